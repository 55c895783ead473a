//! REINFORCE++: the reward itself, whitened over the tokens of a batch (Hu et al. 2025).

use super::{BaselineState, Estimator, EstimatorPlugin, each, less_mean, no_settings};
use crate::recipe::Recipe;
use crate::token::{KlEstimator, Whiten};

inventory::submit! {
    EstimatorPlugin {
        name: "reinforce_plus_plus",
        build: |options| no_settings(options, ReinforcePlusPlus),
    }
}

inventory::submit! {
    EstimatorPlugin {
        name: "reinforce_plus_plus_baseline",
        build: |options| no_settings(options, ReinforcePlusPlusBaseline),
    }
}

/// The reward itself, whitened over all tokens of the batch after the KL is taken off: KL in the
/// reward by k1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReinforcePlusPlus;

impl Estimator for ReinforcePlusPlus {
    fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
        groups.to_vec()
    }

    fn compares_siblings(&self) -> bool {
        false
    }

    fn always_whitens(&self) -> bool {
        true
    }
}

/// The reward less the group's mean, then as [`ReinforcePlusPlus`], but with the KL in the loss
/// by k2, whose gradient is that of the KL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReinforcePlusPlusBaseline;

impl Estimator for ReinforcePlusPlusBaseline {
    fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
        each(groups, less_mean)
    }

    fn always_whitens(&self) -> bool {
        true
    }

    fn recipe(&self, _: u32) -> Recipe {
        Recipe {
            whiten: Whiten::Yes,
            ..Recipe::kl_in_loss(KlEstimator::K2)
        }
    }
}
