//! An inference server within the test: a model of this process behind HTTP, in the shapes of vLLM
//! and of the server of llama.cpp.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use critique_core::{Completion, FinishReason, Generate, Request, Sampling};
use critique_model::{Group, LanguageModel, Runtime};
use serde_json::{Value, json};

use crate::server::{Reply, Seen, Server};

/// What it answers once it has answered as often as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing: it is gone.
    Gone,
    /// JSON that is no answer.
    Malformed,
}

/// A model that is served.
pub(crate) struct Served {
    base: LanguageModel,
    folder: PathBuf,
    name: String,
    /// Adapters by name, with the folders that they came from.
    adapters: Mutex<BTreeMap<String, (String, Arc<LanguageModel>)>>,
    /// Samples that are left before `then`.
    left: AtomicUsize,
    then: Then,
    /// Added to each log-prob, in nats.
    off: f32,
    pub(crate) sampled: AtomicUsize,
}

impl Served {
    pub(crate) fn of(folder: &Path, name: &str) -> Self {
        let runtime = Runtime {
            threads: 1,
            ..Runtime::default()
        };
        Self {
            base: LanguageModel::load(folder, &runtime).unwrap(),
            folder: folder.to_owned(),
            name: name.to_owned(),
            adapters: Mutex::default(),
            left: AtomicUsize::new(usize::MAX),
            then: Then::Gone,
            off: 0.0,
            sampled: AtomicUsize::new(0),
        }
    }

    /// It answers so many samples.
    pub(crate) fn after(mut self, samples: usize, then: Then) -> Self {
        self.left = AtomicUsize::new(samples);
        self.then = then;
        self
    }

    pub(crate) fn off_by(self, off: f32) -> Self {
        Self { off, ..self }
    }

    pub(crate) fn start(self) -> (Server, Arc<Self>) {
        let served = Arc::new(self);
        let own = Arc::clone(&served);
        (Server::start(move |seen| own.answer(seen)), served)
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let samples = matches!(seen.path.as_str(), "/v1/completions" | "/completion");
        let less = |left: usize| left.checked_sub(usize::from(samples && left < usize::MAX));
        let relaxed = Ordering::Relaxed;
        let over = self.left.fetch_update(relaxed, relaxed, less).is_err()
            || self.left.load(relaxed) == 0 && !samples && self.then == Then::Gone;
        if over {
            return match self.then {
                Then::Gone => Reply::Close,
                Then::Malformed => Reply::ok(json!({ "choices": [{ "token_ids": ["?"] }] })),
            };
        }
        self.sampled.fetch_add(usize::from(samples), relaxed);
        match seen.path.as_str() {
            "/v1/models" => Reply::ok(json!({ "data": self.models() })),
            "/v1/load_lora_adapter" => self.load(&seen.body),
            "/v1/unload_lora_adapter" => Reply::Text(200, "Success".to_owned()),
            "/v1/completions" => self.vllm(&seen.body),
            "/completion" => self.llama_cpp(&seen.body),
            _ => Reply::Json(404, json!({ "detail": "Not Found" })),
        }
    }

    fn models(&self) -> Vec<Value> {
        let context = self.base.context_tokens();
        let base = json!({ "id": self.name, "max_model_len": context });
        let adapters = self.adapters.lock().unwrap();
        let adapters = adapters
            .iter()
            .map(|(name, (path, _))| json!({ "id": name, "root": path, "parent": self.name }));
        std::iter::once(base).chain(adapters).collect()
    }

    fn load(&self, body: &Value) -> Reply {
        let text = |field: &str| body[field].as_str().unwrap().to_owned();
        let path = PathBuf::from(text("lora_path"));
        let runtime = Runtime {
            threads: 1,
            ..Runtime::default()
        };
        match LanguageModel::load_with_adapter(&self.folder, &path, &runtime) {
            Ok(model) => {
                let entry = (text("lora_path"), Arc::new(model));
                self.adapters
                    .lock()
                    .unwrap()
                    .insert(text("lora_name"), entry);
                Reply::Text(200, "Success".to_owned())
            }
            Err(error) => Reply::Json(404, json!({ "error": { "message": error.to_string() } })),
        }
    }

    fn vllm(&self, body: &Value) -> Reply {
        let name = body["model"].as_str().unwrap();
        let adapter = self.adapters.lock().unwrap().get(name).cloned();
        if name != self.name && adapter.is_none() {
            return Reply::Json(404, json!({ "error": { "message": "no such model" } }));
        }
        let model = adapter.as_ref().map_or(&self.base, |(_, model)| model);
        let request = request(&body["prompt"][0], &body["max_tokens"], body);
        let made = sample(model, &request);
        let top = if body["logprobs"].as_u64() > Some(0) {
            likelihoods(model, &request)
        } else {
            json!({})
        };
        let tokens = made.tokens.iter().map(|id| format!("token_id:{id}"));
        Reply::ok(json!({
            "model": name,
            "choices": [{
                "token_ids": made.tokens, "prompt_token_ids": body["prompt"][0],
                "finish_reason": if made.finish_reason == FinishReason::Stop { "stop" } else { "length" },
                "logprobs": {
                    "tokens": tokens.collect::<Vec<_>>(),
                    "token_logprobs": made.log_probs.iter().map(|it| it + self.off).collect::<Vec<_>>(),
                    "top_logprobs": [top],
                },
            }],
        }))
    }

    fn llama_cpp(&self, body: &Value) -> Reply {
        let made = sample(
            &self.base,
            &request(&body["prompt"], &body["n_predict"], body),
        );
        let rows = made.tokens.iter().zip(&made.log_probs);
        Reply::ok(json!({
            "tokens_evaluated": body["prompt"].as_array().unwrap().len(),
            "stop_type": if made.finish_reason == FinishReason::Stop { "eos" } else { "limit" },
            "completion_probabilities": rows.map(|(id, value)| json!({ "id": id, "logprob": value })).collect::<Vec<_>>(),
        }))
    }
}

fn request(prompt: &Value, most: &Value, body: &Value) -> Request {
    let ids = prompt.as_array().unwrap().iter();
    Request {
        prompt: ids.map(|it| it.as_u64().unwrap() as u32).collect(),
        seeds: vec![body["seed"].as_u64().unwrap()],
        sampling: Sampling {
            temperature: body["temperature"].as_f64().unwrap() as f32,
            max_new_tokens: most.as_u64().unwrap() as usize,
            ..Sampling::default()
        },
    }
}

fn sample(model: &LanguageModel, request: &Request) -> Completion {
    let made = model.generate(std::slice::from_ref(request)).unwrap();
    made.into_iter().flatten().next().unwrap()
}

/// The log-prob of each token at the first place, at the temperature of sampling.
fn likelihoods(model: &LanguageModel, request: &Request) -> Value {
    let all = 0..model.config().vocab as u32;
    let group = Group {
        prompt: request.prompt.clone(),
        completions: all.clone().map(|id| vec![id]).collect(),
    };
    let temperature = request.sampling.log_prob_temperature();
    let scored = model.engine().score(&[group], temperature).unwrap();
    let named = all
        .zip(&scored[0])
        .map(|(id, value)| (format!("token_id:{id}"), json!(value[0])));
    Value::Object(named.collect())
}
