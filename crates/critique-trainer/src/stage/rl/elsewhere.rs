//! Critiques that another process sampled, whose arithmetic is not that of this one.

use critique_rollout::RolloutGroup;

use super::SampleGroup;

/// A difference of log-probs beyond this counts in [`Mismatch::share`], in nats.
const FAR: f32 = 0.1;

/// How far log-probs of sampling and of training are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mismatch {
    /// Mean of the absolute differences, in nats.
    pub(super) mean: f64,
    /// Share of tokens that differ by more than 0.1 nats.
    pub(super) share: f64,
    /// KL of the policy that sampled from the one that is trained, in nats a token (k1).
    pub(super) kl: f64,
}

impl Mismatch {
    /// Of log-probs of sampling less those of training.
    pub(super) fn of(differences: impl Iterator<Item = f32>) -> Self {
        let (mut count, mut far, mut sum, mut absolute) = (0usize, 0usize, 0.0, 0.0);
        for gap in differences {
            count += 1;
            far += usize::from(gap.abs() > FAR || gap.is_nan());
            sum += f64::from(gap);
            absolute += f64::from(gap.abs());
        }
        let count = count.max(1) as f64;
        Self {
            mean: absolute / count,
            share: far as f64 / count,
            kl: sum / count,
        }
    }
}

/// Multiplies the advantage of each token by its probability here over that where it was sampled,
/// at most `cap` (truncated importance sampling, Ionides 2008). Where this process sampled, the two
/// are equal and nothing changes.
pub(super) fn weigh(samples: &mut [SampleGroup], groups: &[RolloutGroup], cap: f32) {
    let samples = samples.iter_mut().flat_map(|group| &mut group.samples);
    let rollouts = groups.iter().flat_map(RolloutGroup::rollouts);
    for (sample, rollout) in samples.zip(rollouts) {
        let recorded = &rollout.critique.completion.log_probs;
        for (advantage, (here, there)) in
            (sample.advantages.iter_mut()).zip(sample.old.iter().zip(recorded))
        {
            *advantage *= (here - there).exp().min(cap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_by_hand() {
        let found = Mismatch::of([0.5, 0.0, -0.5, 1.0].into_iter());
        assert_eq!((found.mean, found.share, found.kl), (0.5, 0.75, 0.25));
        let none = Mismatch::of(std::iter::empty());
        assert_eq!((none.mean, none.share, none.kl), (0.0, 0.0, 0.0));
    }
}
