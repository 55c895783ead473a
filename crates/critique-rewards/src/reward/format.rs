//! The form of a critique.

use critique_core::Rollout;

use super::Reward;

/// 1 for a critique without exactly one verdict; a mix takes it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unparsed;

impl Reward for Unparsed {
    fn score(&self, rollout: &Rollout) -> f32 {
        f32::from(u8::from(!rollout.critique.judgment.is_parsed()))
    }
}
