//! Critiques of a chain: what a perfect critic writes, and what a noisy teacher does.

use critique_tasks::Rng;

use crate::chain::{Chain, Op, other_value};
use crate::noise::Noise;

/// What a critique says about one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepNote {
    /// The operation.
    pub op: Op,
    /// The value that the response states.
    pub stated: u8,
    /// The value that the critic gets.
    pub own: u8,
    /// Whether the critic calls the step correct.
    pub correct: bool,
}

/// A critique of a response that follows the question step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainCritique {
    /// A note for each step.
    pub steps: Vec<StepNote>,
    /// Whether the critic calls the final answer correct.
    pub final_correct: bool,
}

impl ChainCritique {
    /// The critique of a critic who makes no mistake.
    pub fn perfect(chain: &Chain, stated: &[u8]) -> Self {
        Self::from_own(chain, stated, &chain.values())
    }

    /// What follows from the critic's own values.
    fn from_own(chain: &Chain, stated: &[u8], own: &[u8]) -> Self {
        let steps: Vec<_> = chain
            .ops
            .iter()
            .zip(stated.iter().zip(own))
            .map(|(&op, (&stated, &own))| StepNote {
                op,
                stated,
                own,
                correct: stated == own,
            })
            .collect();
        let final_correct = steps.last().is_none_or(|step| step.correct);
        Self {
            steps,
            final_correct,
        }
    }

    /// What the noisy teacher writes (see [`Noise`]). Its noise sits on hard steps and on the
    /// final verdict, which is lenient.
    pub fn noisy(rng: &mut Rng, chain: &Chain, stated: &[u8], noise: &Noise) -> Self {
        let mut before = chain.start;
        let own = chain.continue_from(chain.start, 0, |i, value, op| {
            let said = stated[i];
            let hard = op.is_hard(value, noise.hard_operand);
            let said_right = said == op.apply(before);
            before = said;
            if !hard {
                op.apply(value)
            } else if said_right {
                if rng.chance(noise.teacher_false_alarm) {
                    op.slip(value)
                } else {
                    op.apply(value)
                }
            } else {
                let draw = rng.uniform();
                if draw < noise.teacher_agrees {
                    op.slip(value)
                } else if draw < noise.teacher_agrees + noise.teacher_other {
                    other_value(rng, op.apply(value))
                } else {
                    op.apply(value)
                }
            }
        });
        let mut critique = Self::from_own(chain, stated, &own);
        for step in &mut critique.steps {
            step.correct ^= rng.chance(noise.teacher_step_flip);
        }
        let flip = if critique.final_correct {
            noise.teacher_final_flip
        } else {
            noise.teacher_lenient
        };
        critique.final_correct ^= rng.chance(flip);
        critique
    }

    /// The text: the critic's own solution, then [`ChainCritique::judgment`]. A small model must
    /// compute before it judges.
    pub fn text(&self) -> String {
        let own =
            |step: &StepNote| format!("{}{}={:02}\n", step.op.sign, step.op.operand, step.own);
        let solution: String = self.steps.iter().map(own).collect();
        solution + &self.judgment()
    }

    /// What the actor reads: the form of METHOD 1.4, with the critic's own value before each
    /// verdict.
    pub fn judgment(&self) -> String {
        let step = |step: &StepNote| {
            format!(
                "Step sentence: {}{}={:02}\nExplanation: {:02}\nCorrectness of the step: {}\n",
                step.op.sign,
                step.op.operand,
                step.stated,
                step.own,
                word(step.correct)
            )
        };
        let steps: String = self.steps.iter().map(step).collect();
        steps + "Correctness of the final answer: " + word(self.final_correct)
    }

    /// What an actor makes of the critique. It obeys the final verdict: `Correct` keeps the
    /// response. `Wrong` keeps what stands before the first step marked wrong, takes the critic's
    /// value at each step marked wrong, and computes the steps between and after anew; where no
    /// step is marked, everything. `step` computes, mistakes included.
    pub fn refined(
        &self,
        chain: &Chain,
        stated: &[u8],
        mut step: impl FnMut(usize, u8, Op) -> u8,
    ) -> Vec<u8> {
        if self.final_correct {
            return stated.to_vec();
        }
        let Some(first) = self.steps.iter().position(|note| !note.correct) else {
            return chain.continue_from(chain.start, 0, step);
        };
        let mut values = stated[..first].to_vec();
        let before = values.last().copied().unwrap_or(chain.start);
        values.extend(
            chain.continue_from(before, first, |i, value, op| match self.steps.get(i) {
                Some(note) if !note.correct => note.own,
                _ => step(i, value, op),
            }),
        );
        values
    }
}

/// A critique of its last line alone, as critics that are no models write it.
pub(crate) fn verdict_alone(correct: bool) -> ChainCritique {
    ChainCritique {
        steps: Vec::new(),
        final_correct: correct,
    }
}

/// How a verdict reads.
pub(crate) fn word(correct: bool) -> &'static str {
    if correct { "Correct" } else { "Wrong" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_critique_names_the_slip() {
        let chain = Chain::parse("94+3+4-7").unwrap();
        let critique = ChainCritique::perfect(&chain, &[97, 1, 4]);
        assert!(critique.text().ends_with(
            "Step sentence: -7=04\nExplanation: 94\nCorrectness of the step: Wrong\nCorrectness of the final answer: Wrong"
        ));
        let right = |_, value, op: Op| op.apply(value);
        assert_eq!(critique.refined(&chain, &[97, 1, 4], right), chain.values());
    }

    #[test]
    fn the_actor_obeys_the_final_verdict() {
        let chain = Chain::parse("94+3+4-7").unwrap();
        let mut critique = ChainCritique::perfect(&chain, &[97, 1, 4]);
        critique.final_correct = true;
        assert_eq!(
            critique.refined(&chain, &[97, 1, 4], |_, v, op| op.apply(v)),
            [97, 1, 4]
        );
        let mut critique = ChainCritique::perfect(&chain, &[97, 1, 94]);
        critique.final_correct = false;
        assert_eq!(
            critique.refined(&chain, &[97, 1, 94], |_, v, op| op.slip(v)),
            [87, 81, 84]
        );
    }

    #[test]
    fn the_actor_takes_the_critics_value_wherever_a_step_is_marked_wrong() {
        let chain = Chain::parse("94+3+4-7").unwrap();
        let slips = |_: usize, value: u8, op: Op| op.slip(value);
        // The first two steps are wrong, and the last follows from them.
        let stated = [96, 90, 83];
        let mut critique = ChainCritique::perfect(&chain, &stated);
        assert_eq!(critique.refined(&chain, &stated, slips), chain.values());
        // What is not marked after a mark is computed anew, not copied.
        critique.steps[1].correct = true;
        critique.steps[2].correct = true;
        assert_eq!(critique.refined(&chain, &stated, slips), [97, 91, 94]);
    }

    #[test]
    fn a_verdict_alone_is_obeyed_too() {
        let chain = Chain::parse("94+3+4-7").unwrap();
        let stated = [97, 1, 4];
        let right = |_: usize, value: u8, op: Op| op.apply(value);
        let keep = verdict_alone(true);
        assert_eq!(keep.text(), "Correctness of the final answer: Correct");
        assert_eq!(keep.refined(&chain, &stated, right), stated);
        assert_eq!(
            verdict_alone(false).refined(&chain, &stated, right),
            chain.values()
        );
    }

    #[test]
    fn the_teacher_is_as_noisy_as_its_settings_say() {
        let noise = Noise::default();
        let mut rng = Rng::new(5);
        let (mut lenient, mut wrong) = (0, 0);
        for _ in 0..20_000 {
            let chain = Chain::random(&mut rng, 3);
            let stated = noise.response(&mut rng, &chain);
            let critique = ChainCritique::noisy(&mut rng, &chain, &stated, &noise);
            let own = critique.steps[2].own;
            if own != stated[2] {
                wrong += 1;
                lenient += usize::from(critique.final_correct);
            }
        }
        let share = lenient as f32 / wrong as f32;
        assert!((share - noise.teacher_lenient).abs() < 0.02, "{share}");
    }
}
