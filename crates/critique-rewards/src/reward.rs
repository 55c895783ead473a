//! A reward: what one rollout earns, before its weight in a mix (docs/method.md, "Rewards").
//!
//! Those of the paper are a file each below. A crate of one's own adds another by registering a
//! [`RewardPlugin`]; run files then name it in `rewards.others`.

mod correction;
mod delta;
mod discriminability;
mod format;
mod refinement;

use critique_core::Rollout;
use serde_json::{Map, Value};

pub use self::correction::Correction;
pub use self::delta::Delta;
pub use self::discriminability::{DisValues, Discriminability};
pub use self::format::Unparsed;
pub use self::refinement::Refinement;

use crate::SettingError;

/// What a rollout earns by one measure.
///
/// ```
/// use critique_core::Rollout;
/// use critique_rewards::Reward;
///
/// /// Pays critiques of at most this many tokens.
/// struct Brevity(usize);
///
/// impl Reward for Brevity {
///     fn score(&self, rollout: &Rollout) -> f32 {
///         f32::from(u8::from(rollout.critique.completion.tokens.len() <= self.0))
///     }
/// }
/// ```
pub trait Reward: Send + Sync {
    /// Whether it looks at refinements, which are made only where a reward does.
    fn needs_refinement(&self) -> bool {
        false
    }

    /// The value of one rollout. Several refinements are averaged; a rollout without any counts
    /// as one whose refinement failed.
    fn score(&self, rollout: &Rollout) -> f32;
}

/// Settings of a reward or estimator of another crate, as the run file has them.
pub type Options = Map<String, Value>;

/// A reward that a crate adds.
///
/// ```
/// # use critique_core::Rollout;
/// # use critique_rewards::{Reward, RewardPlugin};
/// # struct Brevity(usize);
/// # impl Reward for Brevity { fn score(&self, _: &Rollout) -> f32 { 0.0 } }
/// critique_rewards::submit! {
///     RewardPlugin {
///         name: "brevity",
///         build: |options| {
///             let tokens = options.get("tokens").and_then(|it| it.as_u64());
///             let tokens = tokens.ok_or("`tokens` is missing; expected a whole number")?;
///             Ok(Box::new(Brevity(tokens as usize)))
///         },
///     }
/// }
/// // rewards = { refinement = 1.0, others = { brevity = { weight = 0.1, tokens = 200 } } }
/// # let table = r#"{"others": {"brevity": {"weight": 0.1, "tokens": 200}}}"#;
/// # let mix: critique_rewards::RewardMix = serde_json::from_str(table)?;
/// # assert!(mix.open().is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct RewardPlugin {
    /// The word in run files, metrics and records: small letters, digits and `_`.
    pub name: &'static str,
    /// Makes it with the settings of a run file; an error says what will not do and what would.
    pub build: fn(&Options) -> Result<Box<dyn Reward>, String>,
}

inventory::collect!(RewardPlugin);

/// The reward that a linked crate registers under a name.
pub(crate) fn registered(
    name: &str,
    options: &Options,
) -> Result<(&'static str, Box<dyn Reward>), SettingError> {
    let all = || inventory::iter::<RewardPlugin>.into_iter();
    let Some(plugin) = all().find(|plugin| plugin.name == name) else {
        let mut known: Vec<&str> = all().map(|plugin| plugin.name).collect();
        known.sort_unstable();
        let known = match known.as_slice() {
            [] => "no linked crate registers one".to_owned(),
            known => format!("registered are `{}`", known.join("`, `")),
        };
        return Err(SettingError::Other {
            field: format!("others.{name}"),
            message: format!("is no reward; {known}"),
        });
    };
    let reward = (plugin.build)(options).map_err(|message| SettingError::Other {
        field: format!("others.{name}"),
        message: format!("will not do: {message}"),
    })?;
    Ok((plugin.name, reward))
}

/// The mean of a few numbers; 0 for none.
fn mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = values.len().max(1);
    values.sum::<f32>() / count as f32
}
