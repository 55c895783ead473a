//! The rewards of a stage, weighted and added up (docs/method.md, "Rewards").
//!
//! Left out: the released code's clip of rewards to [-10, 10], which no mix here reaches.

use std::collections::BTreeMap;

use critique_core::Rollout;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingError;
use crate::advantage::Estimator;
use crate::reward::{
    Correction, Delta, DisValues, Discriminability, Options, Refinement, Reward, Unparsed,
    registered,
};
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewardMix {
    /// Weight of `r_dis`: the critique's verdict is right (Eq 8).
    pub discriminability: f32,
    /// Weight of `r_refine`: the refinement is right (Eq 4).
    pub refinement: f32,
    /// Weight of `r_Δ`: the refinement's score less the response's (Eq 5). Under an advantage that
    /// compares siblings it teaches what `r_refine` teaches.
    pub delta: f32,
    /// Weight of `r_correction` (Eq 6): 1 for a wrong response made right, `keep_correct` for
    /// a right response kept right, 0 otherwise.
    pub correction: f32,
    /// What `r_correction` pays for a right response kept right; 0.2 in the paper.
    pub keep_correct: f32,
    /// `"additive"`: weighted rewards are added up. `"gated"` or `{ gated = { wrong = -1.0 } }`: a
    /// wrong or missing judgment makes the whole reward `wrong`.
    pub mode: Mode,
    /// `zero_one`, or `plus_minus_one` for −1 where the judgment is wrong or missing.
    pub dis_values: DisValues,
    /// For tasks whose critiques give a score, in units of the scorer: `r_dis = max(0, 1 − distance
    /// of the scores / dis_delta)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dis_delta: Option<f32>,
    /// Multiplies `r_dis` where the response is right.
    pub dis_weight_correct: f32,
    /// Multiplies `r_dis` where the response is wrong.
    pub dis_weight_wrong: f32,
    /// Taken off the reward of a critique without exactly one judgment.
    pub format_penalty: f32,
    /// Rewards that other crates register, by name: a table each, of `weight` and the reward's own
    /// settings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, OtherReward>,
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
            others: BTreeMap::new(),
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

/// A reward of another crate in a mix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherReward {
    /// Its weight.
    pub weight: f32,
    /// Its own settings.
    #[serde(flatten)]
    pub options: Options,
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
    /// `discriminability`, `refinement`, `delta`, `correction`, `format`, `gate`, or the name of a
    /// reward of another crate.
    pub name: &'static str,
    /// The reward before its weight: of rollouts that a gate shuts out, too.
    pub raw: f32,
    /// What it adds to the total.
    pub weighted: f32,
}

impl RewardMix {
    /// Whether no reward has a weight.
    pub fn pays_nothing(&self) -> bool {
        let own = [
            self.discriminability,
            self.refinement,
            self.delta,
            self.correction,
            self.format_penalty,
        ];
        own.iter().all(|weight| *weight == 0.0)
            && self.others.values().all(|other| other.weight == 0.0)
            && self.mode == Mode::Additive
    }

    /// Whether a reward of the mix looks at refinements.
    pub fn needs_refinement(&self) -> bool {
        let other = |(name, other): (&String, &OtherReward)| {
            registered(name, &other.options).is_ok_and(|(_, reward)| reward.needs_refinement())
        };
        self.refinement != 0.0
            || self.delta != 0.0
            || self.correction != 0.0
            || self.others.iter().any(other)
    }

    /// Whether the mix pays `r_Δ` where that teaches what `r_refine` teaches: the advantage
    /// compares siblings, whose response is the same, so that its score goes where the group's
    /// mean is taken off, and rewards are added up. A gate tells
    /// the two apart, since the reward of a wrong verdict does not move with the response's
    /// score; so does a baseline over the batch.
    pub fn delta_is_refinement(&self, advantage: &dyn Estimator) -> bool {
        self.delta != 0.0 && self.mode == Mode::Additive && advantage.compares_siblings()
    }

    /// Checks that the numbers make sense.
    ///
    /// # Errors
    ///
    /// When a weight is not finite, a penalty or δ is negative, δ is missing for a task whose
    /// critiques give scores (`open_ended`), or a reward of another crate is not registered.
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
        for (name, other) in &self.others {
            if !other.weight.is_finite() {
                return Err(SettingError::Other {
                    field: format!("others.{name}.weight"),
                    message: format!("is {}; it must be a finite number", other.weight),
                });
            }
        }
        self.open()?;
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

    /// The mix ready to score rollouts. Rewards of weight 0 are left out.
    ///
    /// # Errors
    ///
    /// When a reward of another crate is not registered, or refuses its settings.
    pub fn open(&self) -> Result<Rewards, SettingError> {
        let judgment = Discriminability {
            values: self.dis_values,
            delta: self.dis_delta,
            weight_correct: self.dis_weight_correct,
            weight_wrong: self.dis_weight_wrong,
        };
        let correction = Correction {
            keep_correct: self.keep_correct,
        };
        let mut terms = vec![
            Term::new("discriminability", self.discriminability, judgment),
            Term::new("refinement", self.refinement, Refinement),
            Term::new("delta", self.delta, Delta),
            Term::new("correction", self.correction, correction),
            Term::new("format", -self.format_penalty, Unparsed),
        ];
        for (name, other) in &self.others {
            let (name, reward) = registered(name, &other.options)?;
            let weight = other.weight;
            terms.push(Term {
                name,
                weight,
                reward,
            });
        }
        terms.retain(|term| term.weight != 0.0);
        Ok(Rewards {
            mode: self.mode,
            judgment,
            terms,
        })
    }
}

/// A [`RewardMix`] that scores rollouts.
pub struct Rewards {
    mode: Mode,
    judgment: Discriminability,
    terms: Vec<Term>,
}

/// A reward and its weight.
struct Term {
    name: &'static str,
    weight: f32,
    reward: Box<dyn Reward>,
}

impl Term {
    fn new(name: &'static str, weight: f32, reward: impl Reward + 'static) -> Self {
        Self {
            name,
            weight,
            reward: Box::new(reward),
        }
    }
}

impl Rewards {
    /// The reward of one rollout. Several refinements are averaged; a rollout without any
    /// counts as one whose refinement failed.
    pub fn score(&self, rollout: &Rollout) -> RewardBreakdown {
        let shut = match self.mode {
            Mode::Gated { wrong } if self.judgment.closeness(rollout) <= 0.0 => Some(wrong),
            _ => None,
        };
        let part = |term: &Term| {
            let raw = term.reward.score(rollout);
            RewardPart {
                name: term.name,
                raw,
                weighted: if shut.is_some() {
                    0.0
                } else {
                    term.weight * raw
                },
            }
        };
        let mut parts: Vec<RewardPart> = self.terms.iter().map(part).collect();
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
