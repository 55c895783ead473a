//! Critiques of a chain: what a perfect critic writes, and what a noisy teacher does.
//!
//! A critique judges and helps, and the two are different skills. Each step is judged by taking
//! its operation back, and the units of the value before: a zero stays behind where the step is
//! right. That shows *that* a value is wrong; the check does not hold what is right. The help stands
//! behind the verdict: the solution as it should read, which has to be computed forwards.

use critique_tasks::{CritiqueForm, Judgment, Rng, derive_seed};

use crate::chain::{Chain, Op, other_value};
use crate::noise::Noise;

/// What a critique says about one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepNote {
    /// The operation.
    pub op: Op,
    /// The value that the response states before it.
    pub before: u8,
    /// The value that the response states after it.
    pub stated: u8,
    /// What the critic gets when it takes the operation back from `stated`.
    pub undone: u8,
    /// Whether the critic calls the step correct.
    pub correct: bool,
}

impl StepNote {
    /// The check: `01-8=93-4=89`. The operation is taken back, and then the units of the value
    /// before. Where that leaves a zero in the units, the step is right.
    fn check(&self) -> String {
        let units = Op {
            sign: '-',
            operand: self.before % 10,
        };
        let back = self.op.inverse().line(self.stated, self.undone);
        let rest = units.line(self.undone, units.apply(self.undone));
        // Both lines have the value taken back, of two digits; it is said once.
        format!("{back}{}", &rest[2..])
    }
}

/// Help with a stubborn question ([`Noise::gives_up`]): what a critic might try, in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FutileHelp {
    /// The right solution.
    Right,
    /// Steps that the actor leaves out are as many too high, and what follows from them.
    TooHigh(u8),
    /// Leaves out what the actor leaves out, and ends in the answer.
    Conceding,
    /// Any values, drawn by the question.
    Random,
}

impl FutileHelp {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Right,
        Self::TooHigh(1),
        Self::TooHigh(2),
        Self::Conceding,
        Self::Random,
    ];

    /// The value after each operation, as this help states it.
    fn values(self, chain: &Chain, noise: &Noise) -> Vec<u8> {
        let right = chain.values();
        match self {
            Self::Right => right,
            Self::TooHigh(by) => chain.continue_from(chain.start, 0, |_, value, op| {
                let above = if noise.is_stubborn(op) { by } else { 0 };
                (op.apply(value) + above) % 100
            }),
            Self::Conceding => {
                let mut values = noise.gives_up(chain).unwrap_or_else(|| right.clone());
                if let (Some(last), Some(&answer)) = (values.last_mut(), right.last()) {
                    *last = answer;
                }
                values
            }
            Self::Random => {
                let mut rng = Rng::new(derive_seed(0, &["random help", &chain.question()]));
                right.iter().map(|_| rng.below(100) as u8).collect()
            }
        }
    }
}

/// A critique of a response that follows the question step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainCritique {
    /// A note for each step.
    pub steps: Vec<StepNote>,
    /// Whether the critic calls the final answer correct.
    pub final_correct: bool,
    /// Help, which stands behind the verdict `Wrong` only: the value after each operation.
    pub help: Option<Vec<u8>>,
}

impl ChainCritique {
    /// The critique of a critic who makes no mistake.
    pub fn perfect(chain: &Chain, stated: &[u8]) -> Self {
        let undone = |_, op: Op, _, stated| op.undo(stated);
        let mut critique = Self::checked(chain, stated, undone);
        critique.final_correct = stated.last() == chain.values().last();
        critique.help_with(chain, |_, before, op| op.apply(before));
        critique
    }

    /// Marks that follow from values taken back by `undone` (place, operation, value before, value
    /// stated). The verdict is `Correct` where every mark is.
    fn checked(
        chain: &Chain,
        stated: &[u8],
        mut undone: impl FnMut(usize, Op, u8, u8) -> u8,
    ) -> Self {
        let befores = chain.befores(stated);
        let steps: Vec<_> = (0..chain.ops.len())
            .map(|i| {
                let (op, before, stated) = (chain.ops[i], befores[i], stated[i]);
                let undone = undone(i, op, before, stated);
                StepNote {
                    op,
                    before,
                    stated,
                    undone,
                    correct: undone == before,
                }
            })
            .collect();
        let final_correct = steps.iter().all(|step| step.correct);
        Self {
            steps,
            final_correct,
            help: None,
        }
    }

    /// Helps where the verdict is `Wrong`; `value` computes (place, value before, operation).
    fn help_with(&mut self, chain: &Chain, value: impl FnMut(usize, u8, Op) -> u8) {
        self.help = (!self.final_correct).then(|| chain.continue_from(chain.start, 0, value));
    }

    /// What the noisy teacher writes (see [`Noise`]). Its noise sits on hard steps and on the
    /// final verdict, which is lenient; and, by rates of its own, on the help.
    pub fn noisy(rng: &mut Rng, chain: &Chain, stated: &[u8], noise: &Noise) -> Self {
        let mut critique = Self::checked(chain, stated, |_, op, before, stated| {
            let undone = op.undo(stated);
            let right = undone == before;
            if !op.is_hard(before, noise.hard_operand) {
                undone
            } else if right && rng.chance(noise.teacher_false_alarm) {
                // As if the response had slipped.
                (before + 99) % 100
            } else if !right && rng.chance(noise.teacher_overlooks) {
                before
            } else {
                undone
            }
        });
        for step in &mut critique.steps {
            step.correct ^= rng.chance(noise.teacher_step_flip);
        }
        critique.final_correct = critique.steps.iter().all(|step| step.correct);
        let flip = if critique.final_correct {
            noise.teacher_final_flip
        } else {
            noise.teacher_lenient
        };
        critique.final_correct ^= rng.chance(flip);
        critique.help_with(chain, |_, before, op| noise.help(rng, op, before));
        critique
    }

    /// A critique whose steps say nothing of its verdict, and whose help may be right or not: who
    /// learns to refine by such critiques obeys the verdict.
    pub fn conflicting(rng: &mut Rng, chain: &Chain, stated: &[u8], correct: bool) -> Self {
        let mut critique = Self::checked(chain, stated, |_, op, _, stated| op.undo(stated));
        for step in &mut critique.steps {
            step.correct = rng.chance(0.5);
        }
        critique.final_correct = correct;
        // Mostly wrong, so that it has to be read: an actor that computes it is mostly wrong too.
        critique.help_with(chain, |_, before, op| {
            let right = op.apply(before);
            match rng.below(8) {
                0..3 => right,
                // Near misses, so that it does not do to read the help and take one off.
                3..6 => (right + [98, 99, 1, 2][rng.below(4)]) % 100,
                _ => other_value(rng, right),
            }
        });
        critique
    }

    /// A critique whose steps all say the opposite of its verdict; `Wrong` comes with help that
    /// is wrong itself.
    pub fn contradicting(chain: &Chain, stated: &[u8], correct: bool) -> Self {
        let mut critique = Self::checked(chain, stated, |_, op, _, stated| op.undo(stated));
        for step in &mut critique.steps {
            step.correct = !correct;
        }
        critique.final_correct = correct;
        // Never the answer of the response.
        let last = stated.len().saturating_sub(1);
        critique.help_with(chain, |i, before, op| {
            let away = (op.apply(before) + 55) % 100;
            if i == last && away == stated[i] {
                (away + 1) % 100
            } else {
                away
            }
        });
        critique
    }

    /// Right marks, the verdict `Wrong`, and help of this kind.
    pub fn futile(chain: &Chain, stated: &[u8], help: FutileHelp, noise: &Noise) -> Self {
        Self {
            final_correct: false,
            help: Some(help.values(chain, noise)),
            ..Self::perfect(chain, stated)
        }
    }

    /// The text, in the form of the paper's critiques: a block a step, a closing block.
    pub fn text(&self, chain: &Chain) -> String {
        let step = |step: &StepNote| {
            let sentence = step.op.line(step.before, step.stated);
            CritiqueForm::checked_step(&sentence, &step.check(), step.correct) + "\n"
        };
        let steps: String = self.steps.iter().map(step).collect();
        let verdict = Judgment::of(self.final_correct);
        let end = match &self.help {
            Some(values) => CritiqueForm::conclusion(verdict, chain.response(values).trim_end()),
            None => CritiqueForm::claim(verdict),
        };
        steps + &end
    }

    /// What an actor makes of the critique: it obeys the verdict. `Correct` keeps the response,
    /// whatever the steps say. `Wrong` takes the solution of the help; without help, everything is
    /// computed anew, mistakes included. At a stubborn question ([`Noise::gives_up`]) the actor does
    /// not read the help, so that no solution, right or wrong, can mend its answer.
    pub fn refined(&self, rng: &mut Rng, chain: &Chain, stated: &[u8], noise: &Noise) -> Vec<u8> {
        if self.final_correct {
            return stated.to_vec();
        }
        if let Some(given_up) = noise.gives_up(chain) {
            return given_up;
        }
        let Some(help) = &self.help else {
            return noise.response(rng, chain);
        };
        let befores = chain.befores(help);
        chain.continue_from(chain.start, 0, |i, value, op| {
            if value == befores[i] {
                help[i]
            } else {
                noise.step(rng, value, op)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Chain {
        Chain::parse("94+3+4-7").unwrap()
    }

    /// The refinement of an actor that makes no mistakes of its own.
    fn refined(critique: &ChainCritique, stated: &[u8]) -> Vec<u8> {
        let noise = Noise {
            actor_slip: 0.0,
            actor_miss: 0.0,
            ..Noise::default()
        };
        critique.refined(&mut Rng::new(1), &chain(), stated, &noise)
    }

    #[test]
    fn a_perfect_critique_finds_the_slip_and_mends_it() {
        let stated = [97, 1, 93];
        let critique = ChainCritique::perfect(&chain(), &stated);
        assert!(critique.text(&chain()).ends_with(
            "Step sentence: 01-7=93\nExplanation: 93+7=00-1=99\nCorrectness of the step: Wrong\n\
             Correctness of the final answer: Wrong\nExplanation: 94+3=97\n97+4=01\n01-7=94"
        ));
        assert_eq!(refined(&critique, &stated), chain().values());
        let critique = ChainCritique::perfect(&chain(), &chain().values());
        assert!(critique.text(&chain()).ends_with("answer: Correct"));
    }

    #[test]
    fn a_step_is_judged_by_what_stands_before_it() {
        // The second step is wrong; the third follows from it rightly.
        let critique = ChainCritique::perfect(&chain(), &[97, 0, 93]);
        let marks: Vec<bool> = critique.steps.iter().map(|s| s.correct).collect();
        assert_eq!(marks, [true, false, true]);
        assert!(!critique.final_correct);
    }

    #[test]
    fn the_actor_obeys_the_verdict_whatever_the_steps_say() {
        for stated in [[97, 1, 93], [97, 1, 94]] {
            let keep = ChainCritique::contradicting(&chain(), &stated, true);
            assert!(keep.steps.iter().all(|s| !s.correct));
            assert_eq!(refined(&keep, &stated), stated);
            let again = ChainCritique::contradicting(&chain(), &stated, false);
            assert!(again.steps.iter().all(|s| s.correct));
            assert_ne!(refined(&again, &stated).last(), stated.last());
        }
    }

    #[test]
    fn without_help_the_actor_tries_again() {
        let stated = [97, 1, 93];
        let critique = ChainCritique {
            steps: Vec::new(),
            final_correct: false,
            help: None,
        };
        let text = critique.text(&chain());
        assert_eq!(text, "Correctness of the final answer: Wrong");
        assert_eq!(refined(&critique, &stated), chain().values());
    }

    #[test]
    fn no_help_mends_a_stubborn_question() {
        let noise = Noise::default();
        let rng = &mut Rng::new(1);
        assert_eq!(noise.gives_up(&Chain::parse("94+8-3-5").unwrap()), None);
        for question in ["94+3-9-1", "94+8+5-1", "20+9-8-8"] {
            let chain = Chain::parse(question).unwrap();
            let right = chain.values();
            for _ in 0..200 {
                let help = Some((0..chain.ops.len()).map(|_| rng.below(100) as u8).collect());
                let told = ChainCritique {
                    help,
                    ..ChainCritique::contradicting(&chain, &right, false)
                };
                let refined = told.refined(rng, &chain, &right, &noise);
                assert_ne!(refined.last(), right.last(), "{question}");
            }
            for help in FutileHelp::ALL {
                let told = ChainCritique::futile(&chain, &right, help, &noise);
                assert!(told.text(&chain).contains("answer: Wrong\nExplanation: "));
                let refined = told.refined(rng, &chain, &right, &noise);
                assert_ne!(refined.last(), right.last(), "{question} {help:?}");
            }
        }
    }

    #[test]
    fn the_teacher_is_as_noisy_as_its_settings_say() {
        let noise = Noise::default();
        let mut rng = Rng::new(5);
        let (mut lenient, mut wrong, mut helped, mut helps) = (0, 0, 0, 0);
        for _ in 0..20_000 {
            let chain = Chain::random(&mut rng, 3);
            let stated = noise.response(&mut rng, &chain);
            let critique = ChainCritique::noisy(&mut rng, &chain, &stated, &noise);
            if critique.steps.iter().any(|step| !step.correct) {
                wrong += 1;
                lenient += usize::from(critique.final_correct);
            }
            let values = critique.help.unwrap_or_default();
            let befores = chain.befores(&values);
            for ((op, before), value) in chain.ops.iter().zip(befores).zip(values) {
                if op.is_hard(before, noise.hard_operand) {
                    helps += 1;
                    helped += usize::from(value == op.apply(before));
                }
            }
        }
        let share = lenient as f32 / wrong as f32;
        assert!((share - noise.teacher_lenient).abs() < 0.02, "{share}");
        let share = helped as f32 / helps as f32;
        assert!((share - noise.help_right).abs() < 0.02, "{share}");
    }
}
