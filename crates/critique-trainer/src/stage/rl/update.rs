//! All optimizer steps on the batch of one step.

use critique_core::{Rng, derive_seed};
use critique_model::{LanguageModel, PerToken};
use critique_rewards::LossStats;

use super::elsewhere::Mismatch;
use super::sample::{SampleGroup, add_gradients};
use super::{Batch, RlContext};
use crate::error::TrainError;
use crate::minibatch::{KeptGroup, Minibatch, NotFinite, Samples};

/// What the optimizer steps of a batch came to.
#[derive(Default)]
pub(super) struct Update {
    pub(super) losses: Vec<f32>,
    pub(super) norms: Vec<f32>,
    pub(super) stats: LossStats,
    pub(super) lr: f32,
    /// Largest difference between the log-probs recorded while sampling and those of the first
    /// minibatch, whose policy is still the one that sampled: 0 on the CPU.
    pub(super) log_prob_diff: f32,
    /// More of the same, where other processes sample.
    pub(super) mismatch: Option<Mismatch>,
    /// The first loss or gradient norm that was not finite.
    pub(super) not_finite: Option<NotFinite>,
    /// Minibatches with one, which updated nothing.
    pub(super) skipped: usize,
}

/// Keeps a minibatch that was not finite, with the model that saw it.
pub(crate) type Keep<'a> = &'a dyn Fn(&LanguageModel, &Minibatch) -> Result<(), TrainError>;

impl RlContext<'_> {
    /// A minibatch whose loss or norm is not finite takes no optimizer step, and the first is kept.
    pub(super) fn update(
        &self,
        step: usize,
        critic: &mut LanguageModel,
        batch: &Batch,
        keep: Keep<'_>,
    ) -> Result<Update, TrainError> {
        let settings = self.stage.loss_settings(self.rollout);
        let temperature = self.rollout.critique.log_prob_temperature();
        let minibatches = self.minibatches(step, batch);
        let mut update = Update {
            lr: self.learning_rate(step, 0, 1),
            ..Update::default()
        };
        for (number, places) in minibatches.iter().enumerate() {
            let groups: Vec<&SampleGroup> = places.iter().map(|&g| &batch.samples[g]).collect();
            let (log_probs, stats) =
                add_gradients(critic.engine_mut(), &groups, settings, temperature)?;
            if number == 0 {
                update.log_prob_diff = largest_difference(&log_probs, places, batch);
                update.mismatch = batch
                    .version
                    .map(|_| Mismatch::of(differences(&log_probs, places, batch)));
            }
            update.lr = self.learning_rate(step, number, minibatches.len());
            let loss = stats.loss() as f32;
            let engine = critic.engine_mut();
            let norm = if loss.is_finite() {
                engine.update(update.lr, &self.stage.optimizer)?
            } else {
                engine.drop_gradients();
                0.0
            };
            let Some(found) = NotFinite::of(loss, norm) else {
                update.stats.merge(&stats);
                update.losses.push(loss);
                update.norms.push(norm);
                continue;
            };
            update.skipped += 1;
            if update.not_finite.is_none() {
                update.not_finite = Some(found);
                let kept = groups.iter().map(|group| KeptGroup::of(group)).collect();
                let place = (self.stage.name.as_str(), step, number);
                let kept = Minibatch::new(place, found, temperature, Samples::Rl(kept));
                keep(critic, &kept)?;
            }
        }
        Ok(update)
    }

    /// Learning rate of minibatch `number` of the `parts` of a step. The schedule is over the
    /// optimizer steps of a stage that loses no rollouts; a step with fewer or more minibatches
    /// takes as much of it as any other.
    fn learning_rate(&self, step: usize, number: usize, parts: usize) -> f32 {
        let usual = self.usual_minibatches();
        let place = (step * usual) as f64 + (number * usual) as f64 / parts as f64;
        let steps = self.stage.steps * usual;
        self.stage.lr * self.stage.schedule.at_place(place, steps)
    }

    /// Minibatches of a step that loses no rollouts.
    fn usual_minibatches(&self) -> usize {
        let (rollout, size) = (self.rollout, self.rollout.group_size);
        let responses = if rollout.balanced {
            2
        } else {
            rollout.responses
        };
        let groups = rollout.problems * responses;
        let a_part = match self.stage.minibatch {
            0 => groups,
            most => (most / size).clamp(1, groups),
        };
        groups.div_ceil(a_part) * self.stage.inner_epochs
    }

    /// Places of groups, cut into minibatches, once for each inner epoch. Groups that are left
    /// out of the update are in none, and a minibatch without a token that counts is none.
    fn minibatches(&self, step: usize, batch: &Batch) -> Vec<Vec<usize>> {
        let most = match self.stage.minibatch {
            0 => usize::MAX,
            most => most,
        };
        let mut parts = Vec::new();
        for epoch in 0..self.stage.inner_epochs {
            let mut order: Vec<usize> = (0..batch.groups.len()).collect();
            let names = [
                "minibatches",
                &self.stage.name,
                &step.to_string(),
                &epoch.to_string(),
            ];
            Rng::new(derive_seed(self.seed, &names)).shuffle(&mut order);
            let (mut part, mut members) = (Vec::new(), 0);
            for group in order.into_iter().filter(|&g| !batch.left_out[g]) {
                let size = batch.samples[group].samples.len();
                if members > 0 && members + size > most {
                    parts.push(std::mem::take(&mut part));
                    members = 0;
                }
                part.push(group);
                members += size;
            }
            if !part.is_empty() {
                parts.push(part);
            }
        }
        parts.retain(|part| part.iter().any(|&g| batch.samples[g].counts()));
        parts
    }
}

fn largest_difference(log_probs: &PerToken, places: &[usize], batch: &Batch) -> f32 {
    let gaps = differences(log_probs, places, batch);
    gaps.fold(0.0, |worst: f32, gap| worst.max(gap.abs()))
}

/// Log-probs recorded while sampling less those that training sees, token by token.
fn differences<'a>(
    log_probs: &'a PerToken,
    places: &'a [usize],
    batch: &'a Batch,
) -> impl Iterator<Item = f32> + 'a {
    let recorded = places.iter().flat_map(|&g| batch.groups[g].rollouts());
    let pairs = log_probs.iter().flatten().zip(recorded);
    pairs
        .flat_map(|(seen, rollout)| seen.iter().zip(&rollout.critique.completion.log_probs))
        .map(|(seen, recorded)| recorded - seen)
}
