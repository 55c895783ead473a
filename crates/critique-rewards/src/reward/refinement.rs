//! `r_refine` (Eq 4): the refinement is right.

use critique_core::Rollout;

use super::{Reward, mean};

/// The oracle's score of the refinement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refinement;

impl Reward for Refinement {
    fn needs_refinement(&self) -> bool {
        true
    }

    fn score(&self, rollout: &Rollout) -> f32 {
        mean(
            rollout
                .refinements
                .iter()
                .map(|refinement| refinement.score),
        )
    }
}
