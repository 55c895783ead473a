//! A question with a response, and what critic and actor say of it.

use std::error::Error;
use std::fmt::Write as _;

use critique_core::{
    Completion, FinishReason, Generate, Judgment, Problem, Prompt, Request, Sampling, derive_seed,
};
use critique_model::LanguageModel;
use critique_tasks::data::choices_in;
use critique_tasks::{CritiqueForm, Task};
use serde::Serialize;

/// A question and what the actor answered.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) question: String,
    pub(crate) response: String,
}

/// What came of a pair. Names are those of rollouts in a run folder.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) critique: String,
    pub(crate) judgment: Judgment,
    /// Whether the critique was cut off at the longest length.
    pub(crate) truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refinement: Option<Refinement>,
    /// Why there is no refinement where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refinement_error: Option<String>,
}

/// The actor's second answer.
#[derive(Debug, Serialize)]
pub(crate) struct Refinement {
    pub(crate) text: String,
    /// Its answer as the task reads it.
    pub(crate) answer: Option<String>,
    pub(crate) truncated: bool,
}

/// A model with the way it is asked.
pub(crate) struct Speaker {
    /// `critic` or `actor`.
    pub(crate) name: &'static str,
    pub(crate) model: LanguageModel,
    pub(crate) sampling: Sampling,
}

/// A task with its models.
pub(crate) struct Session {
    pub(crate) task: Box<dyn Task>,
    pub(crate) critic: Speaker,
    /// Refines; without it there are critiques only.
    pub(crate) actor: Option<Speaker>,
    pub(crate) seed: u64,
}

impl Session {
    /// An answer to each pair, or why there is none. What a pair gets depends on nothing but the
    /// pair and the seed.
    pub(crate) fn answers(&self, pairs: &[Pair]) -> Vec<Result<Answer, String>> {
        let style = self.task.prompts();
        let cases: Vec<(Problem, String)> = pairs
            .iter()
            .map(|pair| (problem(pair), style.as_response(&pair.response)))
            .collect();
        let asks = cases.iter().map(|(problem, response)| {
            let prompt = style.critique(problem, response);
            (prompt, self.seed_of("critique", problem, response))
        });
        let critiques = self.critic.ask(asks.collect());
        let mut answers: Vec<Result<Answer, String>> = critiques
            .into_iter()
            .map(|critique| critique.map(|critique| self.read(critique)))
            .collect();
        if let Some(actor) = &self.actor {
            self.refine(actor, &cases, &mut answers);
        }
        answers
    }

    fn read(&self, critique: Completion) -> Answer {
        Answer {
            judgment: CritiqueForm::of(&*self.task).judgment(&critique.text),
            truncated: critique.finish_reason == FinishReason::Length,
            critique: critique.text,
            refinement: None,
            refinement_error: None,
        }
    }

    /// Puts a refinement to every critique, or why there is none.
    fn refine(
        &self,
        actor: &Speaker,
        cases: &[(Problem, String)],
        answers: &mut [Result<Answer, String>],
    ) {
        let style = self.task.prompts();
        let criticised = || cases.iter().zip(answers.iter());
        let asks = criticised()
            .filter_map(|((problem, response), answer)| {
                let shown = CritiqueForm::for_actor(&answer.as_ref().ok()?.critique);
                let prompt = style.refinement(problem, response, shown);
                Some((prompt, self.seed_of("refinement", problem, response)))
            })
            .collect();
        let refined = actor.ask(asks);
        let criticised = cases.iter().zip(answers);
        let criticised =
            criticised.filter_map(|((problem, _), answer)| Some((problem, answer.as_mut().ok()?)));
        for ((problem, answer), refined) in criticised.zip(refined) {
            let refined =
                refined.and_then(|said| self.refinement(problem, &said, &style.refinement_prefill));
            match refined {
                Ok(refinement) => answer.refinement = Some(refinement),
                Err(why) => answer.refinement_error = Some(why),
            }
        }
    }

    /// A refinement with its answer. A task that is open-ended finds none, so that its scorer need
    /// not be asked.
    fn refinement(
        &self,
        problem: &Problem,
        said: &Completion,
        prefill: &str,
    ) -> Result<Refinement, String> {
        let text = format!("{prefill}{}", said.text);
        let answer = if self.task.is_open_ended() {
            None
        } else {
            let judged = self.task.judge_one(problem, &text);
            judged.map_err(|error| self::said(&error))?.answer
        };
        Ok(Refinement {
            answer,
            truncated: said.finish_reason == FinishReason::Length,
            text,
        })
    }

    /// Where a pair stands among others changes nothing.
    fn seed_of(&self, phase: &str, problem: &Problem, response: &str) -> u64 {
        derive_seed(self.seed, &[phase, &problem.question, response])
    }
}

impl Speaker {
    /// A completion of each prompt, or why there is none, by one call to the engine.
    fn ask(&self, prompts: Vec<(Prompt, u64)>) -> Vec<Result<Completion, String>> {
        let asked = prompts.into_iter();
        let requests: Vec<Result<Request, String>> = asked
            .map(|(prompt, seed)| self.request(&prompt, seed))
            .collect();
        let sound: Vec<Request> = requests.iter().flatten().cloned().collect();
        let made = if sound.is_empty() {
            Ok(Vec::new())
        } else {
            self.model.generate(&sound)
        };
        let mut made = match made {
            Ok(made) => made.into_iter().flatten(),
            Err(error) => {
                let why = said(&error);
                let failed = |request: Result<Request, _>| request.and(Err(why.clone()));
                return requests.into_iter().map(failed).collect();
            }
        };
        let mut next = |_| {
            made.next()
                .ok_or_else(|| format!("the {} gave no text", self.name))
        };
        requests
            .into_iter()
            .map(|request| request.and_then(&mut next))
            .collect()
    }

    fn request(&self, prompt: &Prompt, seed: u64) -> Result<Request, String> {
        let prompt = self.model.encode(prompt).map_err(|error| said(&error))?;
        let (tokens, context) = (prompt.len(), self.model.context_tokens());
        if tokens >= context {
            return Err(format!(
                "the {}'s prompt of {tokens} tokens does not fit its context of {context} tokens",
                self.name
            ));
        }
        Ok(Request {
            prompt,
            seeds: vec![seed],
            sampling: self.sampling.clone(),
        })
    }
}

fn problem(pair: &Pair) -> Problem {
    let question = pair.question.trim();
    Problem {
        choices: choices_in(question),
        ..Problem::new("asked", question, "")
    }
}

/// An error and its causes in one line.
fn said(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
