//! REINFORCE: a rollout against a baseline that knows no groups (Williams 1992).

use serde::{Deserialize, Serialize};

use super::{BaselineState, Estimator, EstimatorPlugin, GroupStats, each, read_settings, written};
use crate::reward::Options;
use crate::settings::serde_choice;

inventory::submit! {
    EstimatorPlugin { name: "reinforce", build: read_settings::<Reinforce> }
}

/// The reward less a baseline that knows no groups. Its recipe is that of
/// [`Rloo`](super::Rloo) with another baseline.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reinforce {
    /// The baseline.
    pub baseline: Baseline,
}

/// A baseline that knows no groups.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", deny_unknown_fields)]
pub enum Baseline {
    /// 0: the plain reward.
    None,
    /// The mean reward of the batch.
    #[default]
    BatchMean,
    /// A running mean of the batches before this one; of this one at the first step.
    RunningMean {
        /// Share of the old mean that each batch keeps, from 0 to 1.
        #[serde(default = "default_decay")]
        decay: f32,
    },
}

serde_choice!(
    Baseline,
    ["none", "batch_mean", "running_mean"],
    |name| match name {
        "none" => Some(Self::None),
        "batch_mean" => Some(Self::BatchMean),
        "running_mean" => Some(Self::RunningMean {
            decay: default_decay()
        }),
        _ => None,
    }
);

fn default_decay() -> f32 {
    0.95
}

impl Estimator for Reinforce {
    fn estimate(&self, groups: &[Vec<f32>], state: &mut BaselineState) -> Vec<Vec<f32>> {
        let baseline = self.baseline.of(&GroupStats::of(groups), state);
        each(groups, |group| {
            let less = |&reward: &f32| (f64::from(reward) - baseline) as f32;
            group.iter().map(less).collect()
        })
    }

    fn compares_siblings(&self) -> bool {
        false
    }

    fn settings(&self) -> Options {
        written(self)
    }
}

impl Baseline {
    /// The baseline of a batch; a running mean moves on.
    fn of(self, stats: &GroupStats, state: &mut BaselineState) -> f64 {
        let batch = stats.reward_mean;
        match self {
            Self::None => 0.0,
            Self::BatchMean => batch,
            Self::RunningMean { .. } if stats.rollouts == 0 => state.mean.unwrap_or(0.0),
            Self::RunningMean { decay } => {
                let before = state.mean.unwrap_or(batch);
                state.mean = Some(f64::from(decay) * before + f64::from(1.0 - decay) * batch);
                before
            }
        }
    }
}
