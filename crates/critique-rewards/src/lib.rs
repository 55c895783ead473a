//! Rewards, advantages and losses of critic training: numbers in, numbers out, no tensors.
//!
//! A [`RewardMix`] scores each rollout; an [`Estimator`] turns the scores of a group into
//! advantages; a [`TokenCredit`] spreads these, with the KL penalty, over tokens; a
//! [`PolicyLoss`] gives the loss of one token and its derivative, which an engine turns into
//! a gradient of the weights.
//!
//! ```
//! // Three critiques of one response; only the first judged it rightly.
//! let advantages = critique_rewards::advantage::leave_one_out(&[1.0, 0.0, 0.0]);
//! assert_eq!(advantages, [1.0, -0.5, -0.5]);
//! ```

pub mod advantage;
pub mod loss;
mod mix;
mod recipe;
mod reward;
mod settings;
pub mod token;

pub use advantage::{
    Advantage, Advantages, Baseline, BaselineState, DrGrpo, Estimator, EstimatorPlugin, GroupStats,
    Grpo, Reinforce, ReinforcePlusPlus, ReinforcePlusPlusBaseline, Rloo, Scale,
};
/// Registers a [`RewardPlugin`] or an [`EstimatorPlugin`] of a crate of one's own.
pub use inventory::submit;
pub use loss::{
    Aggregation, BatchCounts, Clip, KlPenalty, LossSettings, LossStats, PolicyLoss, TokenInput,
    TokenLoss,
};
pub use mix::{Mode, OtherReward, RewardBreakdown, RewardMix, RewardPart, Rewards};
pub use recipe::Recipe;
pub use reward::{
    Correction, Delta, DisValues, Discriminability, Options, Refinement, Reward, RewardPlugin,
    Unparsed,
};
pub use token::{
    FlatGroups, KlEstimator, KlIn, Part, Sequence, TokenAdvantages, TokenCredit, TokenStats, Whiten,
};

/// A setting that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// A number outside its range.
    #[error("`{field}` is {value}; it must be {wanted}")]
    Range {
        /// The setting's name in the run file.
        field: &'static str,
        /// What was found.
        value: f32,
        /// What would do.
        wanted: &'static str,
    },
    /// A setting that another one calls for.
    #[error("`{field}` is missing: {reason}")]
    Missing {
        /// The setting's name in the run file.
        field: &'static str,
        /// Why it is needed.
        reason: &'static str,
    },
    /// A reward of another crate that is not there or will not do.
    #[error("`{field}` {message}")]
    Other {
        /// The setting's name in the run file.
        field: String,
        /// What was found and what would do.
        message: String,
    },
}
