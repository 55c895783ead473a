//! Attempts, critiques, and the rollouts they make up.

use serde::{Deserialize, Serialize};

use crate::generate::Completion;
use crate::problem::Problem;

/// What the verifier finds about a text. Odd text is data, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The text's answer equals the gold answer.
    Correct,
    /// It does not.
    Wrong,
    /// No answer was found in the text; scored as wrong, counted apart.
    Unparsed,
}

impl Verdict {
    /// Whether the verifier accepts the text.
    pub fn is_correct(self) -> bool {
        self == Self::Correct
    }
}

/// What a critique claims about the final answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgment {
    /// The critique says the final answer is correct.
    Correct,
    /// The critique says it is wrong.
    Wrong,
    /// The critique gives a score, in the units of the task's scorer (open-ended tasks).
    Score(f32),
    /// No claim, or contradicting ones; scored as a wrong judgment
    /// (docs/method.md, "The judgment").
    Unparsed,
}

impl Judgment {
    /// The verdict that an answer is right, or that it is not.
    pub fn of(correct: bool) -> Self {
        if correct { Self::Correct } else { Self::Wrong }
    }

    /// Whether the claim is right. A score or no claim never is.
    pub fn agrees_with(self, verdict: Verdict) -> bool {
        match self {
            Self::Correct => verdict.is_correct(),
            Self::Wrong => !verdict.is_correct(),
            Self::Score(_) | Self::Unparsed => false,
        }
    }

    /// Whether a claim was found.
    pub fn is_parsed(self) -> bool {
        self != Self::Unparsed
    }
}

/// A response or a refinement with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The whole text, prefill included.
    pub text: String,
    /// What was sampled; absent for texts read from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<Completion>,
    /// What the verifier finds.
    pub verdict: Verdict,
    /// The oracle's score: 1 or 0 by verdict, or the scorer's value on open-ended tasks; NaN where
    /// the text cannot be scored ([`is_scored`](Self::is_scored)).
    pub score: f32,
    /// The answer found in the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl Attempt {
    /// Whether the oracle has a score for it. Without one it is neither good nor bad: it has a part
    /// in no rollout that is learnt from, and in no baseline.
    pub fn is_scored(&self) -> bool {
        !self.score.is_nan()
    }
}

/// What the critic wrote about a response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Critique {
    /// Token ids of the prompt it answers.
    pub prompt: Vec<u32>,
    /// Token ids, log-probs and text.
    pub completion: Completion,
    /// Its claim about the final answer.
    pub judgment: Judgment,
}

/// One problem, response, critique and, where a reward needs it, refinements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// The question.
    pub problem: Problem,
    /// The actor's first answer.
    pub response: Attempt,
    /// The critic's text.
    pub critique: Critique,
    /// The actor's second answers; empty in a stage whose rewards need none.
    pub refinements: Vec<Attempt>,
}

impl Rollout {
    /// Whether the critique's claim about the response is right.
    pub fn judged_rightly(&self) -> bool {
        self.critique.judgment.agrees_with(self.response.verdict)
    }
}
