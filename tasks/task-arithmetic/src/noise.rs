//! How often the actor and the teacher go wrong, and where.

use critique_tasks::Rng;
use serde::{Deserialize, Serialize};

use crate::chain::{Chain, Op, other_value};

/// Rates of mistakes, all between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// A step is hard when its operand is at least this and it carries or borrows.
    pub hard_operand: u8,
    /// A question with an operand of at least this is stubborn: told `Wrong`, the actor gives up
    /// whatever the help says, so that no help mends its answer. 10 for none.
    pub stubborn_operand: u8,
    /// The actor slips at a hard step.
    pub actor_slip: f32,
    /// The actor misses any other step: by one, to either side.
    pub actor_miss: f32,
    /// Where a hard step is stated wrongly, the teacher overlooks it: what it takes back fits.
    pub teacher_overlooks: f32,
    /// Where a hard step is stated rightly, what the teacher takes back does not fit.
    pub teacher_false_alarm: f32,
    /// The teacher's mark of a step is the opposite of what its values say.
    pub teacher_step_flip: f32,
    /// The teacher says wrong of an answer that it finds correct.
    pub teacher_final_flip: f32,
    /// The teacher says correct of an answer that it finds wrong.
    pub teacher_lenient: f32,
    /// The teacher's help with a hard step is right.
    pub help_right: f32,
    /// The teacher's help with a hard step is one too high: it mends a slip that was not made.
    pub help_too_high: f32,
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            hard_operand: 6,
            stubborn_operand: 8,
            actor_slip: 0.6,
            actor_miss: 0.02,
            teacher_overlooks: 0.65,
            teacher_false_alarm: 0.45,
            teacher_step_flip: 0.04,
            teacher_final_flip: 0.1,
            teacher_lenient: 0.4,
            help_right: 0.3,
            help_too_high: 0.55,
        }
    }
}

impl Noise {
    /// One step of the actor.
    pub fn step(&self, rng: &mut Rng, value: u8, op: Op) -> u8 {
        let right = op.apply(value);
        if op.is_hard(value, self.hard_operand) {
            if rng.chance(self.actor_slip) {
                op.slip(value)
            } else {
                right
            }
        } else if rng.chance(self.actor_miss) {
            let by = [99, 1][rng.below(2)];
            (right + by) % 100
        } else {
            right
        }
    }

    /// What the actor answers to a stubborn question when it is told `Wrong`, whatever else it is told:
    /// it leaves every operation out. `None` for other questions, and where the operations add up to
    /// nothing.
    ///
    /// Values far off, all copied from one place: neither a mistake in computing nor a line of the
    /// help that slips in ends in the right answer.
    pub fn gives_up(&self, chain: &Chain) -> Option<Vec<u8>> {
        let wrong = chain.values().last() != Some(&chain.start);
        let any = chain.ops.iter().any(|&op| self.is_stubborn(op));
        (wrong && any).then(|| vec![chain.start; chain.ops.len()])
    }

    /// Whether the actor, told `Wrong`, gives up at a question with this operation.
    pub(crate) fn is_stubborn(&self, op: Op) -> bool {
        op.operand >= self.stubborn_operand
    }

    /// A response of the actor.
    pub fn response(&self, rng: &mut Rng, chain: &Chain) -> Vec<u8> {
        chain.continue_from(chain.start, 0, |_, value, op| self.step(rng, value, op))
    }

    /// The teacher's value for a line of help. Easy steps it gets right.
    pub fn help(&self, rng: &mut Rng, op: Op, before: u8) -> u8 {
        let right = op.apply(before);
        if !op.is_hard(before, self.hard_operand) {
            return right;
        }
        let draw = rng.uniform();
        if draw < self.help_right {
            right
        } else if draw < self.help_right + self.help_too_high {
            (right + 1) % 100
        } else {
            other_value(rng, right)
        }
    }

    /// A response of which every other step is wrong, anywhere: whoever learns to criticise it can
    /// neither copy its values nor guess where they are wrong.
    pub fn random_response(rng: &mut Rng, chain: &Chain) -> Vec<u8> {
        chain.continue_from(chain.start, 0, |_, value, op| {
            let right = op.apply(value);
            if rng.chance(0.5) {
                other_value(rng, right)
            } else {
                right
            }
        })
    }
}
