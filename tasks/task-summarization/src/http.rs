//! Scores from a reward model behind HTTP.
//!
//! Meant for a server on the same machine or network: the client speaks plain HTTP.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use critique_tasks::{Problem, Scale, Scorer, TaskError};
use serde_json::{Value, json};

use crate::task::CNN_DAILYMAIL;

/// What a server of scores speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// `OpenRLHF`'s reward server: `{"query": [..], "prompts": [..], "labels": [..]}` gives
    /// `{"rewards": [..]}`; a query is the prompt with the text behind it.
    OpenRlhf,
    /// vLLM's pooling API with a chat: `{"model": .., "messages": [..]}` gives
    /// `{"data": [{"data": [raw]}]}`, a request for each text.
    Vllm {
        /// The name the model is served under.
        model: String,
    },
}

/// A reward model behind HTTP. Scores are kept, so that asking again for the same text costs
/// nothing.
#[derive(Debug)]
pub struct HttpScorer {
    url: String,
    protocol: Protocol,
    scale: Scale,
    agent: ureq::Agent,
    kept: Mutex<HashMap<u64, f32>>,
}

/// Scores that are kept before all are forgotten.
const KEPT: usize = 1 << 16;

impl HttpScorer {
    /// A scorer at an address such as `http://127.0.0.1:8000/get_reward`.
    pub fn new(url: &str, protocol: Protocol, scale: Scale, timeout: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .build();
        Self {
            url: url.to_owned(),
            protocol,
            scale,
            agent: config.into(),
            kept: Mutex::new(HashMap::new()),
        }
    }

    fn ask(&self, items: &[(&Problem, &str)]) -> Result<Vec<f32>, TaskError> {
        let raw = match &self.protocol {
            Protocol::OpenRlhf => self.ask_openrlhf(items)?,
            Protocol::Vllm { model } => items
                .iter()
                .map(|item| self.ask_vllm(model, item))
                .collect::<Result<_, _>>()?,
        };
        if raw.len() != items.len() {
            return Err(self.error(format!("{} scores for {} texts", raw.len(), items.len())));
        }
        if let Some(odd) = raw.iter().find(|value| value.is_infinite()) {
            return Err(self.error(format!("the score {odd} is no number")));
        }
        Ok(raw
            .into_iter()
            .map(|value| self.scale.score(value))
            .collect())
    }

    fn ask_openrlhf(&self, items: &[(&Problem, &str)]) -> Result<Vec<f32>, TaskError> {
        let prompts: Vec<_> = items.iter().map(|(problem, _)| &problem.question).collect();
        let labels: Vec<_> = items.iter().map(|(problem, _)| &problem.answer).collect();
        let query: Vec<_> = items
            .iter()
            .map(|(problem, text)| format!("{}\n\n{text}", problem.question))
            .collect();
        let answer = self.post(&json!({"query": query, "prompts": prompts, "labels": labels}))?;
        let rewards = answer.get("rewards").and_then(Value::as_array);
        rewards
            .and_then(|list| list.iter().map(number).collect())
            .ok_or_else(|| self.unexpected(&answer, "`{\"rewards\": [..]}` with numbers"))
    }

    fn ask_vllm(&self, model: &str, (problem, text): &(&Problem, &str)) -> Result<f32, TaskError> {
        let answer = self.post(&json!({
            "model": model,
            "messages": [
                {"role": "user", "content": problem.question},
                {"role": "assistant", "content": text},
            ],
        }))?;
        answer
            .pointer("/data/0/data/0")
            .or_else(|| answer.pointer("/data/0/data"))
            .and_then(number)
            .ok_or_else(|| self.unexpected(&answer, "`{\"data\": [{\"data\": [number]}]}`"))
    }

    fn post(&self, body: &Value) -> Result<Value, TaskError> {
        self.agent
            .post(&self.url)
            .send_json(body)
            .and_then(|mut response| response.body_mut().read_json())
            .map_err(|error| self.error(error.to_string()))
    }

    fn unexpected(&self, found: &Value, wanted: &str) -> TaskError {
        let text: String = found.to_string().chars().take(200).collect();
        self.error(format!("answered `{text}`, expected {wanted}"))
    }

    fn error(&self, message: String) -> TaskError {
        TaskError::Scorer {
            scorer: self.url.clone(),
            message,
        }
    }
}

impl Scorer for HttpScorer {
    fn scores(&self, items: &[(&Problem, &str)]) -> Result<Vec<f32>, TaskError> {
        let keys: Vec<u64> = items.iter().map(key).collect();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing: Vec<usize> = (0..items.len())
            .filter(|at| !kept.contains_key(&keys[*at]))
            .collect();
        missing.dedup_by_key(|at| keys[*at]);
        if !missing.is_empty() {
            let asked: Vec<_> = missing.iter().map(|at| items[*at]).collect();
            let scores = self.ask(&asked)?;
            if kept.len() + scores.len() > KEPT {
                let current: Vec<_> = keys
                    .iter()
                    .filter_map(|key| Some((*key, *kept.get(key)?)))
                    .collect();
                kept.clear();
                kept.extend(current);
            }
            kept.extend(missing.iter().map(|at| keys[*at]).zip(scores));
        }
        keys.iter()
            .map(|key| {
                let score = kept.get(key).copied();
                score.ok_or_else(|| self.error(format!("no score in `{}`", CNN_DAILYMAIL.name)))
            })
            .collect()
    }
}

fn key((problem, text): &(&Problem, &str)) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&problem.id, text).hash(&mut hasher);
    hasher.finish()
}

/// A score, or NaN where the server says that it has none for a text: null.
fn number(value: &Value) -> Option<f32> {
    match value {
        Value::Null => Some(f32::NAN),
        value => value.as_f64().map(|value| value as f32),
    }
}
