//! An engine that says what a function tells it to, and a task of sums.

use std::sync::Mutex;

use critique_core::{
    Completion, FinishReason, Generate, GenerateError, Problem, Prompt, Request, Sampling, Split,
};
use critique_tasks::{CritiqueForm, Judged, Judgment, Task, TaskError};

/// What it says to a prompt (as rendered text) under a seed.
type Script = Box<dyn Fn(&str, u64) -> String + Send + Sync>;

/// Prompts and seeds of one call.
type Call = Vec<(String, Vec<u64>)>;

pub(crate) struct Scripted {
    script: Script,
    context: usize,
    /// What it was asked.
    pub(crate) calls: Mutex<Vec<Call>>,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(&str, u64) -> String + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            context: usize::MAX,
            calls: Mutex::default(),
        }
    }

    /// With room for this many bytes, one a token.
    pub(crate) fn with_context(mut self, context: usize) -> Self {
        self.context = context;
        self
    }
}

fn ids(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

impl Generate for Scripted {
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        let turns = prompt
            .messages
            .iter()
            .map(|message| message.content.as_str());
        let text: Vec<&str> = turns.chain([prompt.prefill.as_str()]).collect();
        Ok(ids(&text.join("|")))
    }

    fn generate(&self, requests: &[Request]) -> Result<Vec<Vec<Completion>>, GenerateError> {
        let mut call = Vec::new();
        let mut all = Vec::new();
        for request in requests {
            let letters = request.prompt.iter();
            let prompt: String = letters.filter_map(|&id| char::from_u32(id)).collect();
            let completion = |&seed: &u64| {
                let text = (self.script)(&prompt, seed);
                Completion {
                    tokens: ids(&text),
                    log_probs: vec![-0.5; text.len()],
                    text,
                    finish_reason: FinishReason::Stop,
                }
            };
            all.push(request.seeds.iter().map(completion).collect());
            call.push((prompt, request.seeds.clone()));
        }
        self.calls.lock().unwrap().push(call);
        Ok(all)
    }

    fn context_tokens(&self) -> usize {
        self.context
    }
}

/// Sums `n + n`; the answer is what follows the last `is `.
pub(crate) struct Sums;

impl Task for Sums {
    fn problems(&self, _: Split) -> Result<Vec<Problem>, TaskError> {
        Ok((1..=3).map(sum).collect())
    }

    fn judge_one(&self, problem: &Problem, text: &str) -> Result<Judged, TaskError> {
        let answer = text.rsplit_once("is ").map(|(_, answer)| answer.to_owned());
        Ok(Judged::by_answer(answer, |answer| answer == problem.answer))
    }

    fn gold_response(&self, problem: &Problem) -> String {
        format!("it is {}", problem.answer)
    }

    fn oracle_critique(&self, problem: &Problem, response: &str) -> Option<String> {
        let right = self.judge_one(problem, response).ok()?.is_correct();
        let help = format!("it is {}", problem.answer);
        Some(CritiqueForm::conclusion(Judgment::of(right), &help))
    }
}

pub(crate) fn sum(n: u32) -> Problem {
    let answer = (n + n).to_string();
    Problem::new(format!("sums/{n}"), format!("{n} + {n}?"), answer)
}

pub(crate) fn greedy() -> Sampling {
    Sampling {
        temperature: 0.0,
        ..Sampling::default()
    }
}
