//! The name of a rollout.

use std::fmt;
use std::str::FromStr;

use crate::seeds::dotted;

/// Which rollout of a run: `STAGE/STEP/PROBLEM/RESPONSE.CRITIQUE`.
///
/// ```
/// use critique_rollout::RolloutId;
///
/// let id: RolloutId = "stage1/12/gsm8k/train/7/0.3".parse()?;
/// assert_eq!((id.step, id.problem.as_str(), id.sibling), (12, "gsm8k/train/7", 3));
/// assert_eq!(id.to_string(), "stage1/12/gsm8k/train/7/0.3");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RolloutId {
    /// Name of the stage.
    pub stage: String,
    /// Step within the stage, counted from 0.
    pub step: u64,
    /// Id of the problem; it may hold slashes.
    pub problem: String,
    /// Index of the response among those to the problem, from 0.
    pub sample: usize,
    /// Index of the critique among those of the response, from 0.
    pub sibling: usize,
}

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = dotted(&[self.sample, self.sibling]);
        write!(f, "{}/{}/{}/{index}", self.stage, self.step, self.problem)
    }
}

impl FromStr for RolloutId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "`{text}` is no id of a rollout; expected STAGE/STEP/PROBLEM/RESPONSE.CRITIQUE, \
                 such as `stage1/0/arithmetic/train/7/0.2`"
            )
        })
    }
}

fn parse(text: &str) -> Option<RolloutId> {
    let (stage, rest) = text.split_once('/')?;
    let (step, rest) = rest.split_once('/')?;
    let (problem, index) = rest.rsplit_once('/')?;
    let (sample, sibling) = index.split_once('.')?;
    let named = !stage.is_empty() && !problem.is_empty();
    named.then_some(RolloutId {
        stage: stage.to_owned(),
        step: step.parse().ok()?,
        problem: problem.to_owned(),
        sample: sample.parse().ok()?,
        sibling: sibling.parse().ok()?,
    })
}
