//! What a policy update learns from, and the gradient of one minibatch.

use std::sync::Mutex;

use critique_model::{Engine, Group, ModelError, PerToken, TokenRun};
use critique_rewards::{BatchCounts, LossSettings, LossStats, PolicyLoss, TokenInput};

/// A sampled text, with all that the loss reads: each list has a value for each token.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSample {
    /// Token ids, at least one.
    pub tokens: Vec<u32>,
    /// Log-probs of the policy that sampled.
    pub old: Vec<f32>,
    /// Log-probs of the reference policy, where there is one.
    pub reference: Option<Vec<f32>>,
    /// Advantages.
    pub advantages: Vec<f32>,
    /// Out of the loss: a text that was cut off, say. Such tokens count in no average over
    /// tokens, as in TRL; the text still counts in averages over texts.
    pub masked: bool,
}

/// Samples of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleGroup {
    /// Token ids, at least one.
    pub prompt: Vec<u32>,
    /// At least one.
    pub samples: Vec<TrainingSample>,
}

impl SampleGroup {
    /// Groups of samples of what was sampled, none masked. All lists are by group, completion
    /// and token; `reference` is empty without a reference policy, and `advantages` has a list
    /// for each completion, group after group.
    pub fn of(
        groups: Vec<Group>,
        old: PerToken,
        reference: PerToken,
        advantages: Vec<Vec<f32>>,
    ) -> Vec<Self> {
        let mut advantages = advantages.into_iter();
        let mut reference = reference.into_iter().flatten();
        let of_group = |(group, old): (Group, Vec<Vec<f32>>)| Self {
            prompt: group.prompt,
            samples: (group.completions.into_iter().zip(old))
                .zip(advantages.by_ref())
                .map(|((tokens, old), advantages)| TrainingSample {
                    tokens,
                    old,
                    reference: reference.next(),
                    advantages,
                    masked: false,
                })
                .collect(),
        };
        groups.into_iter().zip(old).map(of_group).collect()
    }

    /// Whether any token of the group has a part in the loss.
    pub(crate) fn counts(&self) -> bool {
        self.samples.iter().any(|sample| !sample.masked)
    }

    fn for_engine(&self) -> Group {
        Group {
            prompt: self.prompt.clone(),
            completions: self.samples.iter().map(|s| s.tokens.clone()).collect(),
        }
    }
}

/// Runs a minibatch forward and backward, and adds the gradient of its loss to those that the
/// engine holds. Gives the log-probs that it saw, and figures of the loss.
///
/// Training and `critique-rl bench rloo-step` both take their step with it.
///
/// # Errors
///
/// As [`Engine::score`].
///
/// # Panics
///
/// When a list of a sample is shorter than its tokens.
pub fn add_gradients(
    engine: &mut dyn Engine,
    minibatch: &[&SampleGroup],
    settings: LossSettings,
    temperature: f32,
) -> Result<(PerToken, LossStats), ModelError> {
    let lengths: Vec<usize> = minibatch
        .iter()
        .flat_map(|group| &group.samples)
        .map(|sample| {
            if sample.masked {
                0
            } else {
                sample.tokens.len()
            }
        })
        .collect();
    let policy = PolicyLoss::new(settings, BatchCounts::of(&lengths));
    let stats = Mutex::new(vec![LossStats::default(); minibatch.len()]);
    let loss = |run: TokenRun, log_probs: &[f32], grad: &mut [f32]| {
        let sample = &minibatch[run.group].samples[run.completion];
        if sample.masked {
            grad.fill(0.0);
            return;
        }
        let weight = policy.weight(sample.tokens.len());
        let mut seen = LossStats::default();
        for (i, (&log_prob, grad)) in log_probs.iter().zip(grad).enumerate() {
            let t = run.start + i;
            let token = TokenInput {
                log_prob,
                old_log_prob: sample.old[t],
                advantage: sample.advantages[t],
                ref_log_prob: sample.reference.as_ref().map(|reference| reference[t]),
            };
            let value = policy.value_and_gradient(&token, weight);
            *grad = value.gradient;
            seen.add(&value);
        }
        stats.lock().expect("no thread panics while it counts")[run.group].merge(&seen);
    };
    let groups: Vec<Group> = minibatch.iter().map(|group| group.for_engine()).collect();
    let log_probs = engine.accumulate(&groups, temperature, &loss)?;
    let mut total = LossStats::default();
    // In the order of groups, whichever thread was first: sums of floats keep their bits.
    for stats in stats.into_inner().expect("no thread panicked") {
        total.merge(&stats);
    }
    Ok((log_probs, total))
}
