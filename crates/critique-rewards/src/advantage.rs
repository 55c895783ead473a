//! From the rewards of a batch to one advantage a rollout (docs/method.md, "Advantages").
//!
//! Groups may differ in size, since rollouts without a score are dropped before. A group of
//! one has no siblings to be compared with, so group baselines give it advantage 0. Sums
//! are taken in double precision and in the order of the batch.

use serde::{Deserialize, Serialize};

use crate::settings::serde_choice;
use crate::token::Whiten;

/// How a reward becomes an advantage.
///
/// ```
/// use critique_rewards::{Advantage, BaselineState};
///
/// let groups = [vec![1.0, 0.0, 0.0], vec![1.0, 1.0]];
/// let got = Advantage::Rloo.of_groups(&groups, &mut BaselineState::default());
/// assert_eq!(got.values, [vec![1.0, -0.5, -0.5], vec![0.0, 0.0]]);
/// assert_eq!(got.stats.zero_variance, 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Advantage {
    /// The reward less the mean of its siblings (Ahmadian et al. 2024); the paper's choice.
    Rloo,
    /// The reward less the group's mean, over the standard deviation (Shao et al. 2024).
    Grpo {
        /// Added to the standard deviation.
        #[serde(default = "default_std_eps")]
        std_eps: f32,
        /// Whose standard deviation.
        #[serde(default)]
        scale: Scale,
    },
    /// The reward less the group's mean (Liu et al. 2025).
    DrGrpo,
    /// The reward itself, whitened over all tokens of the batch after the KL is taken off
    /// (Hu et al. 2025): see [`Advantage::whitens`].
    ReinforcePlusPlus,
    /// The reward less the group's mean, then as [`Advantage::ReinforcePlusPlus`].
    ReinforcePlusPlusBaseline,
    /// The reward less a baseline that knows no groups (Williams 1992).
    Reinforce {
        /// The baseline.
        #[serde(default)]
        baseline: Baseline,
    },
}

serde_choice!(
    Advantage,
    [
        "rloo",
        "grpo",
        "dr_grpo",
        "reinforce_plus_plus",
        "reinforce_plus_plus_baseline",
        "reinforce"
    ],
    |name| match name {
        "rloo" => Some(Self::Rloo),
        "grpo" => Some(Self::Grpo {
            std_eps: default_std_eps(),
            scale: Scale::Group,
        }),
        "dr_grpo" => Some(Self::DrGrpo),
        "reinforce_plus_plus" => Some(Self::ReinforcePlusPlus),
        "reinforce_plus_plus_baseline" => Some(Self::ReinforcePlusPlusBaseline),
        "reinforce" => Some(Self::Reinforce {
            baseline: Baseline::BatchMean,
        }),
        _ => None,
    }
);

fn default_std_eps() -> f32 {
    1e-4
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

/// What a running baseline remembers from step to step; saved with a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineState {
    /// The running mean; absent before the first batch.
    pub mean: Option<f64>,
}

/// Advantages of a batch, in the shape of its rewards.
#[derive(Debug, Clone, PartialEq)]
pub struct Advantages {
    /// One a rollout.
    pub values: Vec<Vec<f32>>,
    /// What the rewards looked like.
    pub stats: GroupStats,
}

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

impl Advantage {
    /// Whether advantages are whitened over tokens: as configured, or always for the
    /// REINFORCE++ family, which is defined by it.
    pub fn whitens(&self, configured: Whiten) -> Whiten {
        match self {
            Self::ReinforcePlusPlus | Self::ReinforcePlusPlusBaseline
                if configured == Whiten::No =>
            {
                Whiten::Yes
            }
            _ => configured,
        }
    }

    /// The word in run files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rloo => "rloo",
            Self::Grpo { .. } => "grpo",
            Self::DrGrpo => "dr_grpo",
            Self::ReinforcePlusPlus => "reinforce_plus_plus",
            Self::ReinforcePlusPlusBaseline => "reinforce_plus_plus_baseline",
            Self::Reinforce { .. } => "reinforce",
        }
    }

    /// Whether a group of these rewards teaches this advantage nothing: rewards that are all
    /// equal, or only one, where a rollout is compared with its siblings.
    pub fn learns_nothing(&self, group: &[f32]) -> bool {
        self.compares_siblings() && (group.len() < 2 || is_flat(group))
    }

    /// Whether a rollout is compared with its group, so that groups of one and groups of
    /// equal rewards teach nothing.
    pub fn compares_siblings(&self) -> bool {
        !matches!(self, Self::ReinforcePlusPlus | Self::Reinforce { .. })
    }

    /// One advantage a rollout. `state` is read and moved on by a running baseline only.
    pub fn of_groups(&self, groups: &[Vec<f32>], state: &mut BaselineState) -> Advantages {
        let stats = GroupStats::of(groups);
        let each = |of_group: &dyn Fn(&[f32]) -> Vec<f32>| -> Vec<Vec<f32>> {
            groups.iter().map(|group| of_group(group)).collect()
        };
        let values = match *self {
            Self::Rloo => each(&leave_one_out),
            Self::DrGrpo | Self::ReinforcePlusPlusBaseline => each(&less_mean),
            Self::Grpo {
                std_eps,
                scale: Scale::Group,
            } => each(&|group| normalized(group, std_eps)),
            Self::Grpo {
                std_eps,
                scale: Scale::Batch,
            } => {
                let divisor = std_dev(&groups.concat()) + f64::from(std_eps);
                each(&|group| centred(group).map(|a| (a / divisor) as f32).collect())
            }
            Self::ReinforcePlusPlus => groups.to_vec(),
            Self::Reinforce { baseline } => {
                let baseline = state.baseline(baseline, &stats);
                each(&|group| {
                    group
                        .iter()
                        .map(|&r| (f64::from(r) - baseline) as f32)
                        .collect()
                })
            }
        };
        Advantages { values, stats }
    }
}

impl BaselineState {
    fn baseline(&mut self, kind: Baseline, stats: &GroupStats) -> f64 {
        let batch = stats.reward_mean;
        match kind {
            Baseline::None => 0.0,
            Baseline::BatchMean => batch,
            Baseline::RunningMean { .. } if stats.rollouts == 0 => self.mean.unwrap_or(0.0),
            Baseline::RunningMean { decay } => {
                let before = self.mean.unwrap_or(batch);
                self.mean = Some(f64::from(decay) * before + f64::from(1.0 - decay) * batch);
                before
            }
        }
    }
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

/// Dr.GRPO: `A_j = R_j − mean(R)`. A group of one gives 0.
pub fn less_mean(rewards: &[f32]) -> Vec<f32> {
    centred(rewards).map(|a| a as f32).collect()
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

fn centred(rewards: &[f32]) -> impl Iterator<Item = f64> {
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
fn std_dev(values: &[f32]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let squares: f64 = centred(values).map(|a| a * a).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}
