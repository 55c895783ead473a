//! What rewards look like: means, deviations, and groups that tell nothing apart.

use serde::{Deserialize, Serialize};

/// What the rewards of a batch looked like.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GroupStats {
    /// Groups with at least one rollout.
    pub groups: usize,
    /// Rollouts in them.
    pub rollouts: usize,
    /// Groups of one, which a group baseline cannot judge.
    pub singletons: usize,
    /// Groups of two or more whose rewards are all equal, which teach a group baseline nothing.
    pub zero_variance: usize,
    /// Mean reward.
    pub reward_mean: f64,
    /// Mean over groups of the rewards' standard deviation (n − 1; 0 for a group of one).
    pub reward_std: f64,
}

impl GroupStats {
    /// Counts and means of a batch; empty groups are left out.
    pub fn of(groups: &[Vec<f32>]) -> Self {
        let groups: Vec<&[f32]> = groups
            .iter()
            .map(Vec::as_slice)
            .filter(|g| !g.is_empty())
            .collect();
        let rollouts: usize = groups.iter().map(|group| group.len()).sum();
        let total: f64 = groups
            .iter()
            .flat_map(|g| g.iter())
            .map(|&r| f64::from(r))
            .sum();
        let spread: f64 = groups.iter().map(|group| std_dev(group)).sum();
        Self {
            groups: groups.len(),
            rollouts,
            singletons: groups.iter().filter(|group| group.len() == 1).count(),
            zero_variance: groups.iter().filter(|group| is_flat(group)).count(),
            reward_mean: total / rollouts.max(1) as f64,
            reward_std: spread / groups.len().max(1) as f64,
        }
    }
}

/// Whether a group of two or more has equal rewards, so that its siblings tell nothing apart.
pub fn is_flat(group: &[f32]) -> bool {
    group.len() > 1 && group.iter().all(|reward| *reward == group[0])
}

/// Rewards less their mean.
pub(super) fn centred(rewards: &[f32]) -> impl Iterator<Item = f64> {
    // Equal rewards must give exactly 0, which a rounded mean would not promise.
    let mean = if is_flat(rewards) {
        f64::from(rewards[0])
    } else {
        mean(rewards)
    };
    rewards.iter().map(move |&reward| f64::from(reward) - mean)
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len().max(1) as f64
}

/// Standard deviation with n − 1; 0 for fewer than two numbers.
pub(super) fn std_dev(values: &[f32]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let squares: f64 = centred(values).map(|a| a * a).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}
