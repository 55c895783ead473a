//! The task `reversal`: words to be written backwards, judged by code of its own.

use critique_tasks::{Judged, Problem, Split, Task, TaskError, TaskPlugin};
use serde::Deserialize;

critique_tasks::submit! {
    TaskPlugin {
        name: "reversal",
        summary: "words to be written backwards",
        build: |options| Ok(Box::new(Reversal::deserialize(options)?)),
    }
}

const TRAIN: [&str; 4] = ["lamp", "river", "stone", "cloud"];
const TEST: [&str; 2] = ["garden", "window"];

/// Options of the `task` table in a run file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Reversal {
    /// Whether `Lamp` counts where `lamp` is right.
    ignore_case: bool,
}

impl Default for Reversal {
    fn default() -> Self {
        Self { ignore_case: true }
    }
}

impl Task for Reversal {
    fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError> {
        let words: &[&str] = match split {
            Split::Train => &TRAIN,
            Split::Test => &TEST,
            _ => &[],
        };
        let problem = |word: &&str| {
            let question = format!("Write the word `{word}` backwards.");
            let backwards: String = word.chars().rev().collect();
            Problem::new(format!("reversal/{word}"), question, backwards)
        };
        Ok(words.iter().map(problem).collect())
    }

    fn judge_one(&self, problem: &Problem, text: &str) -> Result<Judged, TaskError> {
        Ok(Judged::by_answer(last_word(text), |word| {
            word == problem.answer || self.ignore_case && word.to_lowercase() == problem.answer
        }))
    }

    fn gold_response(&self, problem: &Problem) -> String {
        format!("The answer is {}.", problem.answer)
    }
}

/// The word after the last "The answer is", which is what the default prompt asks for.
fn last_word(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once("The answer is")?;
    let word = rest.split_whitespace().next()?;
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    (!word.is_empty()).then(|| word.to_owned())
}
