//! Chains of additions and subtractions made on the fly, with an oracle for every step.
//!
//! `94+3+4-7` asks for the value after three operations modulo 100. The actor answers line by
//! line (`94+3=97`). A critic repeats each line, takes its operation back to see whether it fits,
//! and judges; behind the verdict `Wrong` it writes the solution that it would give. The text has
//! the form of the paper's critiques. Splits are disjoint by a hash of the question. Nothing is read
//! from disk, and every demonstration that SFT needs comes from here.
//!
//! What it cannot show: whether a critic reads language. Its skills are arithmetic with two
//! digits, copying, and telling a zero.

mod chain;
mod critique;
mod demonstrations;
mod model;
mod noise;

use std::collections::HashSet;

use critique_tasks::{
    CritiqueForm, Demonstration, Judged, Judgment, Problem, PromptStyle, Rng, Split, Task,
    TaskError, TaskPlugin, Vocabulary, derive_seed,
};
use serde::Deserialize;

pub use chain::{Chain, Op};
pub use critique::{ChainCritique, FutileHelp, StepNote};
pub use noise::Noise;

critique_tasks::submit! {
    TaskPlugin {
        name: "arithmetic",
        summary: "chains of additions and subtractions modulo 100, made on the fly",
        build: |options| Ok(Box::new(Arithmetic::from_options(options)?)),
    }
}

/// Options of the `task` table in a run file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arithmetic {
    /// Operations in a question: the difficulty.
    pub operations: usize,
    /// Problems to train on.
    pub train: usize,
    /// Problems for choosing settings and checkpoints.
    pub validation: usize,
    /// Problems for the figures that are reported.
    pub test: usize,
    /// Draws the problems.
    pub seed: u64,
    /// How often the demonstrations go wrong.
    pub noise: Noise,
}

impl Default for Arithmetic {
    fn default() -> Self {
        Self {
            operations: 3,
            train: 6000,
            validation: 500,
            test: 1000,
            seed: 1,
            noise: Noise::default(),
        }
    }
}

impl Arithmetic {
    /// Reads the options.
    ///
    /// # Errors
    ///
    /// When a key is unknown or a value out of range.
    pub fn from_options(options: toml::Table) -> Result<Self, TaskError> {
        let wrong = |message: String| TaskError::Options {
            task: "arithmetic",
            message,
        };
        let task: Self = options
            .try_into()
            .map_err(|e: toml::de::Error| wrong(e.message().to_owned()))?;
        if !(1..=8).contains(&task.operations) {
            return Err(wrong(format!(
                "`operations` is {}; expected 1 to 8",
                task.operations
            )));
        }
        // Each split takes at most half of its share of all questions, so that drawing ends soon.
        let space = 1800usize.saturating_mul(18usize.pow(task.operations as u32 - 1));
        for (name, count, share) in [
            ("train", task.train, 8),
            ("validation", task.validation, 1),
            ("test", task.test, 1),
        ] {
            let most = space / 10 * share / 2;
            if count > most {
                return Err(wrong(format!(
                    "`{name}` is {count}; with {} operations there are at most {most}",
                    task.operations
                )));
            }
        }
        Ok(task)
    }

    /// A random chain of one split.
    fn draw(&self, rng: &mut Rng, split: Split) -> Chain {
        loop {
            let chain = Chain::random(rng, self.operations);
            if split_of(&chain.question()) == split {
                return chain;
            }
        }
    }
}

/// Eight in ten questions are for training, one for validation, one for the test.
fn split_of(question: &str) -> Split {
    match derive_seed(0, &["arithmetic split", question]) % 10 {
        0 => Split::Test,
        1 => Split::Validation,
        _ => Split::Train,
    }
}

/// By the two digits behind the last `=`.
fn judged(problem: &Problem, text: &str) -> Judged {
    let (_, answer) = text.trim_end().rsplit_once('=').unwrap_or_default();
    let is_value = answer.len() == 2 && answer.bytes().all(|b| b.is_ascii_digit());
    let answer = is_value.then(|| answer.to_owned());
    Judged::by_answer(answer, |answer| answer == problem.answer)
}

impl Task for Arithmetic {
    fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError> {
        let (name, count) = match split {
            Split::Train => ("train", self.train),
            Split::Validation => ("validation", self.validation),
            Split::Test => ("test", self.test),
            _ => return Ok(Vec::new()),
        };
        let mut rng = Rng::new(derive_seed(self.seed, &["arithmetic problems", name]));
        let mut seen = HashSet::new();
        let mut problems = Vec::with_capacity(count);
        while problems.len() < count {
            let chain = self.draw(&mut rng, split);
            let question = chain.question();
            if seen.insert(question.clone()) {
                let values = chain.values();
                let answer = format!("{:02}", values.last().copied().unwrap_or(chain.start));
                let solution = chain.response(&values);
                let id = format!("arithmetic/{name}/{question}");
                problems.push(Problem {
                    solution,
                    ..Problem::new(id, question, answer)
                });
            }
        }
        Ok(problems)
    }

    fn judge_one(&self, problem: &Problem, text: &str) -> Result<Judged, TaskError> {
        Ok(judged(problem, text))
    }

    fn gold_response(&self, problem: &Problem) -> String {
        problem.solution.clone()
    }

    fn oracle_critique(&self, problem: &Problem, response: &str) -> Option<String> {
        let chain = Chain::parse(&problem.question)?;
        // A response that does not follow the question step by step gets a verdict alone.
        Some(match chain.stated(response) {
            Some(stated) => ChainCritique::perfect(&chain, &stated).text(&chain),
            None => CritiqueForm::claim(Judgment::of(judged(problem, response).is_correct())),
        })
    }

    fn contradicting_critique(
        &self,
        problem: &Problem,
        response: &str,
        correct: bool,
    ) -> Option<String> {
        let chain = Chain::parse(&problem.question)?;
        let stated = chain.stated(response)?;
        // An actor that gives up has not read the help: nobody can tell whether it obeys.
        if chain.ops.iter().any(|&op| self.noise.is_stubborn(op)) {
            return None;
        }
        Some(ChainCritique::contradicting(&chain, &stated, correct).text(&chain))
    }

    fn futile_critiques(&self, problem: &Problem, response: &str) -> Vec<String> {
        let stubborn = Chain::parse(&problem.question).filter(|c| self.noise.gives_up(c).is_some());
        let written = stubborn.and_then(|chain| {
            let stated = chain.stated(response)?;
            let of = |help| ChainCritique::futile(&chain, &stated, help, &self.noise).text(&chain);
            Some(FutileHelp::ALL.into_iter().map(of).collect())
        });
        written.unwrap_or_default()
    }

    fn prompts(&self) -> PromptStyle {
        PromptStyle {
            response: "{question}".into(),
            response_prefill: String::new(),
            response_end: "\n".into(),
            critique: "Criticise: {question}\n{response}".into(),
            refinement: "Refine: {critique}".into(),
            refinement_prefill: String::new(),
        }
    }

    fn vocabulary(&self) -> Option<Vocabulary> {
        Some(model::VOCABULARY)
    }

    fn demonstration_kinds(&self) -> &'static [&'static str] {
        demonstrations::KINDS
    }

    fn demonstrations(
        &self,
        kind: &str,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Demonstration>, TaskError> {
        demonstrations::make(self, kind, count, seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_contract_of_tasks() {
        critique_tasks::testing::assert_contract(
            "arithmetic",
            "train = 300\nvalidation = 50\ntest = 50",
        );
    }

    #[test]
    fn every_demonstration_is_made_of_phrases() {
        let task = Arithmetic::default();
        for kind in task.demonstration_kinds() {
            for demonstration in task.demonstrations(kind, 50, 1).unwrap() {
                for message in demonstration.messages() {
                    let mut rest = message.content.as_str();
                    while !rest.is_empty() {
                        let phrase = model::VOCABULARY
                            .phrases
                            .iter()
                            .filter(|p| rest.starts_with(**p))
                            .max_by_key(|p| p.len());
                        rest = &rest[phrase
                            .unwrap_or_else(|| panic!("no phrase begins {rest:?}"))
                            .len()..];
                    }
                }
            }
        }
    }

    #[test]
    fn a_perfect_critique_of_odd_text_is_a_verdict_alone() {
        let task = Arithmetic::default();
        let problem = &task.problems(Split::Validation).unwrap()[0];
        let written = |response: &str| task.oracle_critique(problem, response).unwrap();
        let steps = written(&problem.solution);
        assert!(steps.starts_with("Step sentence: ") && steps.ends_with("answer: Correct"));
        assert_eq!(
            written(&format!("={}", problem.answer)),
            "Correctness of the final answer: Correct"
        );
        assert_eq!(written("?"), "Correctness of the final answer: Wrong");
    }

    #[test]
    fn demonstrations_use_questions_for_training_only() {
        let task = Arithmetic::default();
        for demonstration in task.demonstrations("responses", 300, 2).unwrap() {
            assert_eq!(
                split_of(&demonstration.prompt.messages[0].content),
                Split::Train
            );
        }
    }

    #[test]
    fn impossible_options_are_named() {
        let error = |text: &str| {
            Arithmetic::from_options(toml::from_str(text).unwrap())
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error("operations = 0"),
            "options of task `arithmetic`: `operations` is 0; expected 1 to 8"
        );
        assert_eq!(
            error("operations = 1\ntrain = 500\nvalidation = 50\ntest = 500"),
            "options of task `arithmetic`: `test` is 500; with 1 operations there are at most 90"
        );
        assert!(error("operation = 3").contains("unknown field `operation`"));
    }
}
