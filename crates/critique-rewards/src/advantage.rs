//! From the rewards of a batch to one advantage a rollout (docs/method.md, "Advantages").
//!
//! Those of the literature are a file each below. A crate of one's own adds another by registering
//! an [`EstimatorPlugin`]; run files then name it as `advantage`.
//!
//! Groups may differ in size, since rollouts without a score are dropped before. A group of
//! one has no siblings to be compared with, so group baselines give it advantage 0. Sums
//! are taken in double precision and in the order of the batch.

mod chosen;
mod dr_grpo;
mod grpo;
mod reinforce;
mod reinforce_plus_plus;
mod rloo;
mod stats;

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::chosen::Advantage;
pub use self::dr_grpo::{DrGrpo, less_mean};
pub use self::grpo::{Grpo, Scale, normalized};
pub use self::reinforce::{Baseline, Reinforce};
pub use self::reinforce_plus_plus::{ReinforcePlusPlus, ReinforcePlusPlusBaseline};
pub use self::rloo::{Rloo, leave_one_out};
pub use self::stats::{GroupStats, is_flat};

use self::stats::{centred, std_dev};
use crate::recipe::Recipe;
use crate::reward::Options;
use crate::token::Whiten;

/// How the rewards of a batch become advantages.
///
/// ```
/// use critique_rewards::{BaselineState, Estimator};
///
/// /// 1 for the rollouts that earn as much as the best of their group, 0 for the others.
/// #[derive(Debug)]
/// struct BestOfGroup;
///
/// impl Estimator for BestOfGroup {
///     fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
///         let of = |group: &Vec<f32>| {
///             let best = group.iter().copied().fold(f32::MIN, f32::max);
///             group.iter().map(|reward| f32::from(u8::from(*reward == best))).collect()
///         };
///         groups.iter().map(of).collect()
///     }
/// }
///
/// let got = BestOfGroup.of_groups(&[vec![0.2, 1.2]], &mut BaselineState::default());
/// assert_eq!(got.values, [[0.0, 1.0]]);
/// ```
pub trait Estimator: Debug + Send + Sync {
    /// One advantage for each reward of each group. `state` is what the batches before this one
    /// left; whoever needs no memory leaves it as it is.
    fn estimate(&self, groups: &[Vec<f32>], state: &mut BaselineState) -> Vec<Vec<f32>>;

    /// Whether a rollout is compared with its group, so that groups of one and groups of
    /// equal rewards teach nothing.
    fn compares_siblings(&self) -> bool {
        true
    }

    /// Whether advantages are whitened by definition, whatever a run file says.
    fn always_whitens(&self) -> bool {
        false
    }

    /// What a run file has where it says nothing else; `longest` is the longest critique that may
    /// be sampled, in tokens.
    fn recipe(&self, _longest: u32) -> Recipe {
        Recipe::default()
    }

    /// Its settings as a run file would have them, those that were left out, too: a run folder
    /// keeps them beside those that the run file gave.
    fn settings(&self) -> Options {
        Options::new()
    }

    /// Advantages of a batch, and what its rewards looked like. Not to be overridden.
    ///
    /// # Panics
    ///
    /// When [`Estimator::estimate`] gives other than one number for each reward.
    fn of_groups(&self, groups: &[Vec<f32>], state: &mut BaselineState) -> Advantages {
        let values = self.estimate(groups, state);
        let sizes = |of: &[Vec<f32>]| of.iter().map(Vec::len).collect::<Vec<_>>();
        let (wanted, found) = (sizes(groups), sizes(&values));
        assert!(
            wanted == found,
            "{self:?} gave advantages to groups of {found:?} for rewards in groups of {wanted:?}"
        );
        Advantages {
            values,
            stats: GroupStats::of(groups),
        }
    }

    /// Whether advantages are whitened over tokens: as configured, or always where it is by
    /// definition. Not to be overridden.
    fn whitens(&self, configured: Whiten) -> Whiten {
        if self.always_whitens() && configured == Whiten::No {
            Whiten::Yes
        } else {
            configured
        }
    }

    /// Whether a group of these rewards teaches nothing: rewards that are all equal, or only one,
    /// where a rollout is compared with its siblings. Not to be overridden.
    fn learns_nothing(&self, group: &[f32]) -> bool {
        self.compares_siblings() && (group.len() < 2 || is_flat(group))
    }
}

/// An estimator that a crate adds.
///
/// ```
/// # use critique_rewards::{Advantage, BaselineState, Estimator, EstimatorPlugin};
/// # #[derive(Debug)]
/// # struct BestOfGroup;
/// # impl Estimator for BestOfGroup {
/// #     fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
/// #         groups.to_vec()
/// #     }
/// # }
/// critique_rewards::submit! {
///     EstimatorPlugin {
///         name: "best_of_group",
///         build: |_options| Ok(Box::new(BestOfGroup)),
///     }
/// }
/// // advantage = "best_of_group"
/// # assert!(Advantage::named("best_of_group").is_ok());
/// ```
pub struct EstimatorPlugin {
    /// The word in run files: small letters, digits and `_`.
    pub name: &'static str,
    /// Makes it with the settings of a run file; an error says what will not do and what would.
    pub build: fn(&Options) -> Result<Box<dyn Estimator>, String>,
}

inventory::collect!(EstimatorPlugin);

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

/// The advantages of each group by itself.
fn each(groups: &[Vec<f32>], of_group: impl Fn(&[f32]) -> Vec<f32>) -> Vec<Vec<f32>> {
    groups.iter().map(|group| of_group(group)).collect()
}

/// An estimator that has no settings.
fn no_settings(
    options: &Options,
    estimator: impl Estimator + 'static,
) -> Result<Box<dyn Estimator>, String> {
    match options.keys().next() {
        None => Ok(Box::new(estimator)),
        Some(key) => Err(format!("unknown field `{key}`; it has no settings")),
    }
}

/// An estimator whose settings are its fields.
fn read_settings<E: Estimator + DeserializeOwned + 'static>(
    options: &Options,
) -> Result<Box<dyn Estimator>, String> {
    let estimator: E = serde_json::from_value(Value::Object(options.clone()))
        .map_err(|error| error.to_string())?;
    Ok(Box::new(estimator))
}

/// Settings as a run file has them. They go through text: a `Value` made of an `f32` shows the
/// digits of the `f64` nearest to it, 0.00009999999747378752 for 0.0001.
fn written(settings: &impl Serialize) -> Options {
    serde_json::to_string(settings)
        .and_then(|text| serde_json::from_str(&text))
        .expect("settings are numbers and words by name")
}
