//! GRPO: a rollout against the mean of its group, over a deviation (Shao et al. 2024).

use serde::{Deserialize, Serialize};

use super::{
    BaselineState, Estimator, EstimatorPlugin, centred, each, is_flat, read_settings, std_dev,
    written,
};
use crate::recipe::Recipe;
use crate::reward::Options;
use crate::token::KlEstimator;

inventory::submit! {
    EstimatorPlugin { name: "grpo", build: read_settings::<Grpo> }
}

/// The reward less the group's mean, over the standard deviation. Its recipe is that of Shao et
/// al. 2024 (Eq 3 and 4): KL in the loss by k3, a mean over each critique. TRL and verl average
/// over all tokens unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grpo {
    /// Added to the standard deviation.
    pub std_eps: f32,
    /// Whose standard deviation.
    pub scale: Scale,
}

impl Default for Grpo {
    fn default() -> Self {
        Self {
            std_eps: 1e-4,
            scale: Scale::Group,
        }
    }
}

/// Whose standard deviation scales a GRPO advantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// That of the group.
    #[default]
    Group,
    /// That of all rewards of the batch.
    Batch,
}

impl Estimator for Grpo {
    fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
        if self.scale == Scale::Group {
            return each(groups, |group| normalized(group, self.std_eps));
        }
        let divisor = std_dev(&groups.concat()) + f64::from(self.std_eps);
        each(groups, |group| {
            centred(group).map(|a| (a / divisor) as f32).collect()
        })
    }

    fn recipe(&self, _: u32) -> Recipe {
        Recipe::kl_in_loss(KlEstimator::K3)
    }

    fn settings(&self) -> Options {
        written(self)
    }
}

/// GRPO: `A_j = (R_j − mean(R)) / (std(R) + eps)`, the standard deviation with n − 1, as
/// TRL has it. A group of one gives 0.
pub fn normalized(rewards: &[f32], std_eps: f32) -> Vec<f32> {
    let divisor = std_dev(rewards) + f64::from(std_eps);
    if is_flat(rewards) {
        return vec![0.0; rewards.len()];
    }
    centred(rewards)
        .map(|a| if a == 0.0 { 0.0 } else { (a / divisor) as f32 })
        .collect()
}
