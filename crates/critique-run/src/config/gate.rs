//! What must hold after a stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A figure on the validation split that must be reached, or the run stops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What is measured.
    pub measure: Measure,
    /// The model that is measured; the stage's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The least that will do, between 0 and 1.
    pub at_least: f64,
    /// Problems: the first this many of the validation split.
    #[serde(default = "two_hundred")]
    pub problems: usize,
}

fn two_hundred() -> usize {
    200
}

/// What a gate measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of right greedy answers.
    Accuracy,
    /// Balanced accuracy of greedy verdicts on the actor's responses, sampled at T = 0.7.
    Discriminability,
    /// Share of right greedy refinements by perfect critiques of responses sampled at T = 0.7.
    PerfectRefinement,
    /// Share of greedy refinements that do what the verdict of a critique says although all of its
    /// steps say the opposite: told `Correct`, repeat the response; told `Wrong`, change it. The
    /// lower of the two shares, on responses sampled at T = 0.7 that the task can write such
    /// critiques of.
    Obedience,
    /// Share of greedy refinements that stay wrong where the actor is made to get a problem wrong
    /// whatever help it is given. Help of each kind that the task can write of such problems, the
    /// right solution included, has a share of its own, over responses sampled at T = 0.7; the
    /// lowest counts.
    Stubbornness,
}

impl Measure {
    /// The word in run files, metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Discriminability => "discriminability",
            Self::PerfectRefinement => "perfect_refinement",
            Self::Obedience => "obedience",
            Self::Stubbornness => "stubbornness",
        }
    }
}
