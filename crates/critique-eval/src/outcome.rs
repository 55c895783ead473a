//! What became of one response: all that metrics look at.

use critique_core::{Attempt, Judgment, Rollout, Verdict};
use critique_rollout::RolloutRecord;
use serde::{Deserialize, Serialize};

/// What became of one response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Id of the problem.
    pub problem: String,
    /// What the verifier finds about the response.
    pub verdict: Verdict,
    /// The oracle's score of the response, `o`: 1 or 0 by verdict, or a scorer's value.
    pub initial: f32,
    /// What the critique claims; absent where there was none.
    pub judgment: Option<Judgment>,
    /// The oracle's score of the refinement, `n`, averaged over several; absent where there
    /// was none.
    pub refined: Option<f32>,
    /// Lengths of the texts.
    pub tokens: Tokens,
}

/// Lengths in tokens; 0 for texts that were not sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Of the response.
    pub response: usize,
    /// Of the critique.
    pub critique: usize,
    /// Of all refinements together.
    pub refinement: usize,
}

impl Default for Outcome {
    /// A problem without a response.
    fn default() -> Self {
        Self {
            problem: String::new(),
            verdict: Verdict::Unparsed,
            initial: 0.0,
            judgment: None,
            refined: None,
            tokens: Tokens::default(),
        }
    }
}

impl Outcome {
    /// A response that nobody criticised.
    pub fn of_response(problem: &str, response: &Attempt) -> Self {
        Self {
            problem: problem.to_owned(),
            verdict: response.verdict,
            initial: response.score,
            tokens: Tokens {
                response: length(response),
                ..Tokens::default()
            },
            ..Self::default()
        }
    }

    /// A response with a critique and, where there are any, refinements.
    pub fn of_rollout(rollout: &Rollout) -> Self {
        let refinements = &rollout.refinements;
        let sum: f32 = refinements.iter().map(|refinement| refinement.score).sum();
        let mut outcome = Self::of_response(&rollout.problem.id, &rollout.response);
        outcome.judgment = Some(rollout.critique.judgment);
        outcome.refined = (!refinements.is_empty()).then(|| sum / refinements.len() as f32);
        outcome.tokens.critique = rollout.critique.completion.tokens.len();
        outcome.tokens.refinement = refinements.iter().map(length).sum();
        outcome
    }

    /// What became of the responses in the records of an evaluation (`eval/NAME.jsonl`). A
    /// refinement that is not there counts as wrong, unless nothing was refined.
    pub fn of_records(records: &[RolloutRecord]) -> Vec<Self> {
        let refined = records.iter().any(|record| !record.refinements.is_empty());
        let outcome = |record: &RolloutRecord| {
            let scores = record.refinements.iter().map(|refinement| refinement.score);
            let mean = scores.sum::<f32>() / record.refinements.len().max(1) as f32;
            Self {
                problem: record.problem.clone(),
                verdict: record.verdict,
                initial: record.score,
                judgment: Some(record.judgment),
                refined: refined.then_some(mean),
                tokens: Tokens {
                    response: record.tokens.response,
                    critique: record.tokens.critique,
                    refinement: record.tokens.refinements.iter().sum(),
                },
            }
        };
        records.iter().map(outcome).collect()
    }

    /// The same response without a critique.
    pub fn uncriticised(self) -> Self {
        Self {
            judgment: None,
            refined: None,
            tokens: Tokens {
                response: self.tokens.response,
                ..Tokens::default()
            },
            ..self
        }
    }

    /// Whether the critique's verdict is right; absent where there was no critique.
    pub fn judged_rightly(&self) -> Option<bool> {
        self.judgment
            .map(|judgment| judgment.agrees_with(self.verdict))
    }
}

fn length(attempt: &Attempt) -> usize {
    let completion = attempt.completion.as_ref();
    completion.map_or(0, |completion| completion.tokens.len())
}
