//! The seed of every completion, from names alone.

use std::fmt;

use critique_core::derive_seed;
use serde::{Deserialize, Serialize};

/// One of the three generations of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The actor's first answer.
    Response,
    /// The critic's text.
    Critique,
    /// The actor's second answer.
    Refinement,
}

impl Phase {
    /// The word in seeds, files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Critique => "critique",
            Self::Refinement => "refinement",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Gives every completion of a step its seed, a hash of (run seed, stage, step, problem id,
/// phase, sibling indices), so that neither batching nor order changes a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds<'a> {
    /// Seed of the run.
    pub run: u64,
    /// Name of the stage, or of the evaluation.
    pub stage: &'a str,
    /// Step within the stage.
    pub step: u64,
}

impl Seeds<'static> {
    /// Those of evaluations, which have one step. Rows with the same seed share responses.
    pub fn of_evaluation(seed: u64) -> Self {
        Self {
            run: seed,
            stage: "eval",
            step: 0,
        }
    }
}

impl Seeds<'_> {
    /// The seed of one completion. `siblings` is `[response]`, `[response, critique]` or
    /// `[response, critique, refinement]`, each counted from 0.
    pub fn of(&self, problem: &str, phase: Phase, siblings: &[usize]) -> u64 {
        let step = self.step.to_string();
        let siblings = dotted(siblings);
        let parts = [self.stage, &step, problem, phase.name(), &siblings];
        derive_seed(self.run, &parts)
    }

    /// The seed that draws responses to a problem from a file, for each time that it stands in
    /// the step.
    pub(crate) fn draw(&self, problem: &str, time: usize) -> u64 {
        let (step, time) = (self.step.to_string(), time.to_string());
        derive_seed(self.run, &[self.stage, &step, problem, "draw", &time])
    }
}

/// `[1, 0, 2]` as `1.0.2`.
pub(crate) fn dotted(indices: &[usize]) -> String {
    let words: Vec<String> = indices.iter().map(usize::to_string).collect();
    words.join(".")
}
