//! `r_Δ` (Eq 5): how much better the refinement is than the response.

use critique_core::Rollout;

use super::{Refinement, Reward};

/// The refinement's score less the response's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delta;

impl Reward for Delta {
    fn needs_refinement(&self) -> bool {
        true
    }

    fn score(&self, rollout: &Rollout) -> f32 {
        Refinement.score(rollout) - rollout.response.score
    }
}
