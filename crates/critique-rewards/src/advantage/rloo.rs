//! RLOO: a rollout against the mean of its siblings (Ahmadian et al. 2024).

use super::{BaselineState, Estimator, EstimatorPlugin, centred, each, no_settings};

inventory::submit! {
    EstimatorPlugin { name: "rloo", build: |options| no_settings(options, Rloo) }
}

/// The reward less the mean of its siblings; the paper's choice. Its recipe is that of the
/// released code of Critique-RL; as published and in TRL, RLOO is not whitened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rloo;

impl Estimator for Rloo {
    fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
        each(groups, leave_one_out)
    }
}

/// RLOO: `A_j = R_j − (Σ_l R_l − R_j) / (k − 1)` (docs/method.md, "Advantages"). A group of one
/// gives 0.
pub fn leave_one_out(rewards: &[f32]) -> Vec<f32> {
    let siblings = rewards.len() as f64 - 1.0;
    if siblings < 1.0 {
        return vec![0.0; rewards.len()];
    }
    // k R_j − Σ_l R_l over k − 1 is the same number, and the centred form is exact for
    // groups of equal rewards.
    centred(rewards)
        .map(|a| (a * rewards.len() as f64 / siblings) as f32)
        .collect()
}
