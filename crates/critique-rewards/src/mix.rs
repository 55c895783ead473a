//! The reward of a rollout (docs/method.md, "Rewards").
//!
//! Left out: the released code's clip of rewards to [-10, 10], which no mix here reaches.

use critique_core::{Judgment, Rollout};
use serde::{Deserialize, Serialize};

use crate::SettingError;
use crate::advantage::Advantage;
use crate::settings::serde_choice;

/// Which rewards a stage pays, and how much of each: the `rewards` table of a run file.
///
/// The default pays nothing. The paper's stage I is `discriminability = 1.0` (Eq 7), its
/// stage II `refinement = 1.0, discriminability = 0.2` (Eq 9); the released code adds
/// `mode = "gated"` and, in stage I, `dis_values = "plus_minus_one"`.
///
/// ```
/// use critique_rewards::{Mode, RewardMix};
///
/// let stage_two = RewardMix { refinement: 1.0, discriminability: 0.2, ..RewardMix::default() };
/// assert!(stage_two.needs_refinement());
/// assert_eq!(stage_two.mode, Mode::Additive);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RewardMix {
    /// Weight of `r_dis`: the critique's verdict is right (Eq 8).
    pub discriminability: f32,
    /// Weight of `r_refine`: the refinement is right (Eq 4).
    pub refinement: f32,
    /// Weight of `r_Δ`: the refinement's score less the response's (Eq 5).
    ///
    /// The critiques of a group share a response, so its score is the same in all of them and
    /// goes where the group's mean is taken off: under such an advantage `r_Δ` teaches what
    /// `r_refine` teaches, see [`RewardMix::delta_is_refinement`].
    pub delta: f32,
    /// Weight of `r_correction` (Eq 6): 1 for a wrong response made right, `keep_correct` for
    /// a right response kept right, 0 otherwise.
    pub correction: f32,
    /// What `r_correction` pays for a right response kept right; 0.2 in the paper.
    pub keep_correct: f32,
    /// What a wrong verdict does to the other rewards.
    pub mode: Mode,
    /// The values of `r_dis`.
    pub dis_values: DisValues,
    /// Width δ, in units of the scorer, for critiques that give a score:
    /// `r_dis = max(0, 1 − |score − oracle's score| / δ)` (appendix E of the paper). The paper
    /// names no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dis_delta: Option<f32>,
    /// Multiplies `r_dis` where the response is right.
    pub dis_weight_correct: f32,
    /// Multiplies `r_dis` where the response is wrong.
    pub dis_weight_wrong: f32,
    /// Taken off the reward of a critique without exactly one verdict.
    pub format_penalty: f32,
}

impl Default for RewardMix {
    fn default() -> Self {
        Self {
            discriminability: 0.0,
            refinement: 0.0,
            delta: 0.0,
            correction: 0.0,
            keep_correct: 0.2,
            mode: Mode::Additive,
            dis_values: DisValues::ZeroOne,
            dis_delta: None,
            dis_weight_correct: 1.0,
            dis_weight_wrong: 1.0,
            format_penalty: 0.0,
        }
    }
}

/// What a wrong verdict does to the other rewards.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mode {
    /// Nothing: the weighted rewards are added up (Eq 9).
    Additive,
    /// A wrong or missing verdict makes the whole reward `wrong` (the released code,
    /// docs/method.md, "Rewards").
    Gated {
        /// The reward of a wrong or missing verdict.
        #[serde(default = "minus_one")]
        wrong: f32,
    },
}

serde_choice!(Mode, ["additive", "gated"], |name| match name {
    "additive" => Some(Self::Additive),
    "gated" => Some(Self::Gated { wrong: minus_one() }),
    _ => None,
});

fn minus_one() -> f32 {
    -1.0
}

/// The values of `r_dis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisValues {
    /// 1 for a right verdict, 0 for a wrong or missing one (Eq 7).
    ZeroOne,
    /// 1 and −1 (the released code).
    PlusMinusOne,
}

/// A reward and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardBreakdown {
    /// The sum of the parts' `weighted` values.
    pub total: f32,
    /// One entry for each reward that the mix uses, always in the same order.
    pub parts: Vec<RewardPart>,
}

/// One reward of a mix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RewardPart {
    /// `discriminability`, `refinement`, `delta`, `correction`, `format` or `gate`.
    pub name: &'static str,
    /// The reward before its weight: of rollouts that a gate shuts out, too.
    pub raw: f32,
    /// What it adds to the total.
    pub weighted: f32,
}

impl RewardMix {
    /// Whether a reward of the mix looks at refinements.
    pub fn needs_refinement(&self) -> bool {
        self.refinement != 0.0 || self.delta != 0.0 || self.correction != 0.0
    }

    /// Whether the mix pays `r_Δ` where that teaches what `r_refine` teaches: the advantage
    /// compares siblings, whose response is the same, and rewards are added up. A gate tells
    /// the two apart, since the reward of a wrong verdict does not move with the response's
    /// score; so does a baseline over the batch.
    pub fn delta_is_refinement(&self, advantage: &Advantage) -> bool {
        self.delta != 0.0 && self.mode == Mode::Additive && advantage.compares_siblings()
    }

    /// Checks that the numbers make sense.
    ///
    /// # Errors
    ///
    /// When a weight is not finite, a penalty or δ is negative, or δ is missing for a task
    /// whose critiques give scores (`open_ended`).
    pub fn check(&self, open_ended: bool) -> Result<(), SettingError> {
        let gate = match self.mode {
            Mode::Gated { wrong } => wrong,
            Mode::Additive => 0.0,
        };
        for (field, value) in [
            ("discriminability", self.discriminability),
            ("refinement", self.refinement),
            ("delta", self.delta),
            ("correction", self.correction),
            ("keep_correct", self.keep_correct),
            ("mode.gated.wrong", gate),
        ] {
            in_range(field, value, value.is_finite(), "a finite number")?;
        }
        for (field, value) in [
            ("format_penalty", self.format_penalty),
            ("dis_weight_correct", self.dis_weight_correct),
            ("dis_weight_wrong", self.dis_weight_wrong),
        ] {
            let fits = value.is_finite() && value >= 0.0;
            in_range(field, value, fits, "0 or more")?;
        }
        match self.dis_delta {
            Some(delta) => in_range(
                "dis_delta",
                delta,
                delta.is_finite() && delta > 0.0,
                "above 0",
            ),
            None if open_ended && self.discriminability != 0.0 => Err(SettingError::Missing {
                field: "dis_delta",
                reason: "critiques of this task give scores, and r_dis needs a width for them",
            }),
            None => Ok(()),
        }
    }

    /// The reward of one rollout. Several refinements are averaged; a rollout without any
    /// counts as one whose refinement failed.
    pub fn score(&self, rollout: &Rollout) -> RewardBreakdown {
        let closeness = self.closeness(rollout);
        let shut = match self.mode {
            Mode::Gated { wrong } if closeness <= 0.0 => Some(wrong),
            _ => None,
        };
        let unparsed = f32::from(u8::from(!rollout.critique.judgment.is_parsed()));
        let rewards = [
            (
                "discriminability",
                self.discriminability,
                self.r_dis(rollout, closeness),
            ),
            ("refinement", self.refinement, r_refine(rollout)),
            (
                "delta",
                self.delta,
                r_refine(rollout) - rollout.response.score,
            ),
            ("correction", self.correction, self.r_correction(rollout)),
            ("format", -self.format_penalty, unparsed),
        ];
        let mut parts: Vec<RewardPart> = rewards
            .into_iter()
            .filter(|(_, weight, _)| *weight != 0.0)
            .map(|(name, weight, raw)| RewardPart {
                name,
                raw,
                weighted: if shut.is_some() { 0.0 } else { weight * raw },
            })
            .collect();
        if matches!(self.mode, Mode::Gated { .. }) {
            parts.push(RewardPart {
                name: "gate",
                raw: f32::from(u8::from(shut.is_some())),
                weighted: shut.unwrap_or(0.0),
            });
        }
        RewardBreakdown {
            total: parts.iter().map(|part| part.weighted).sum(),
            parts,
        }
    }

    /// How right the critique's claim is, from 0 to 1: all or nothing for a verdict, by the
    /// distance of scores otherwise.
    fn closeness(&self, rollout: &Rollout) -> f32 {
        match (rollout.critique.judgment, self.dis_delta) {
            (Judgment::Score(score), Some(delta)) => {
                (1.0 - (score - rollout.response.score).abs() / delta).max(0.0)
            }
            _ => f32::from(u8::from(rollout.judged_rightly())),
        }
    }

    fn r_dis(&self, rollout: &Rollout, closeness: f32) -> f32 {
        let value = match self.dis_values {
            DisValues::ZeroOne => closeness,
            DisValues::PlusMinusOne => 2.0 * closeness - 1.0,
        };
        let weight = if rollout.response.verdict.is_correct() {
            self.dis_weight_correct
        } else {
            self.dis_weight_wrong
        };
        weight * value
    }

    fn r_correction(&self, rollout: &Rollout) -> f32 {
        let was_correct = rollout.response.verdict.is_correct();
        mean(rollout.refinements.iter().map(|refinement| {
            match (was_correct, refinement.verdict.is_correct()) {
                (false, true) => 1.0,
                (true, true) => self.keep_correct,
                (_, false) => 0.0,
            }
        }))
    }
}

fn in_range(
    field: &'static str,
    value: f32,
    fits: bool,
    wanted: &'static str,
) -> Result<(), SettingError> {
    if fits {
        Ok(())
    } else {
        Err(SettingError::Range {
            field,
            value,
            wanted,
        })
    }
}

/// `r_refine` (Eq 4): the oracle's score of the refinement.
fn r_refine(rollout: &Rollout) -> f32 {
    mean(
        rollout
            .refinements
            .iter()
            .map(|refinement| refinement.score),
    )
}

/// The mean of a few numbers; 0 for none.
fn mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = values.len().max(1);
    values.sum::<f32>() / count as f32
}
