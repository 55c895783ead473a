//! Dr.GRPO: a rollout against the mean of its group (Liu et al. 2025).

use super::{BaselineState, Estimator, EstimatorPlugin, centred, each, no_settings};
use crate::loss::Aggregation;
use crate::recipe::Recipe;
use crate::token::KlEstimator;

inventory::submit! {
    EstimatorPlugin { name: "dr_grpo", build: |options| no_settings(options, DrGrpo) }
}

/// The reward less the group's mean. Its recipe sums over each critique by a constant; as
/// published it has no KL, so where a run file gives one a weight, it is that of GRPO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrGrpo;

impl Estimator for DrGrpo {
    fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
        each(groups, less_mean)
    }

    fn recipe(&self, longest: u32) -> Recipe {
        Recipe {
            aggregation: Aggregation::ConstantLength(longest),
            ..Recipe::kl_in_loss(KlEstimator::K3)
        }
    }
}

/// Dr.GRPO: `A_j = R_j − mean(R)`. A group of one gives 0.
pub fn less_mean(rewards: &[f32]) -> Vec<f32> {
    centred(rewards).map(|a| a as f32).collect()
}
