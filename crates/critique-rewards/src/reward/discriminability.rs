//! `r_dis` (Eq 7 and 8): the verdict is right.

use critique_core::{Judgment, Rollout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Reward;

/// The values of `r_dis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisValues {
    /// 1 for a right verdict, 0 for a wrong or missing one (Eq 7).
    ZeroOne,
    /// 1 and −1 (the released code).
    PlusMinusOne,
}

/// Pays right verdicts, and scores that are near the oracle's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discriminability {
    /// What right and wrong verdicts are worth.
    pub values: DisValues,
    /// Width δ for critiques that give a score (appendix E of the paper).
    pub delta: Option<f32>,
    /// Multiplies the reward where the response is right.
    pub weight_correct: f32,
    /// Multiplies the reward where the response is wrong.
    pub weight_wrong: f32,
}

impl Discriminability {
    /// How right the critique's claim is, from 0 to 1: all or nothing for a verdict, by the
    /// distance of scores otherwise.
    pub fn closeness(&self, rollout: &Rollout) -> f32 {
        match (rollout.critique.judgment, self.delta) {
            (Judgment::Score(score), Some(delta)) => {
                (1.0 - (score - rollout.response.score).abs() / delta).max(0.0)
            }
            _ => f32::from(u8::from(rollout.judged_rightly())),
        }
    }
}

impl Reward for Discriminability {
    fn score(&self, rollout: &Rollout) -> f32 {
        let closeness = self.closeness(rollout);
        let value = match self.values {
            DisValues::ZeroOne => closeness,
            DisValues::PlusMinusOne => 2.0 * closeness - 1.0,
        };
        let weight = if rollout.response.verdict.is_correct() {
            self.weight_correct
        } else {
            self.weight_wrong
        };
        weight * value
    }
}
