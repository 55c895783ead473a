//! `r_correction` (Eq 6): a wrong response made right.

use critique_core::Rollout;

use super::{Reward, mean};

/// 1 for a wrong response made right, `keep_correct` for a right one kept right, 0 otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correction {
    /// What a right response kept right is worth; 0.2 in the paper.
    pub keep_correct: f32,
}

impl Reward for Correction {
    fn needs_refinement(&self) -> bool {
        true
    }

    fn score(&self, rollout: &Rollout) -> f32 {
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
