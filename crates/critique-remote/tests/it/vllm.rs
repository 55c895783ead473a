//! A server that speaks as vLLM does, and whose samples depend on prompt and seed alone.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use critique_core::{GenerateError, Prompt, Request, Rng, Sampling, derive_seed};
use critique_remote::rollout::{EngineKind, LogProbs, RolloutSettings, Text};
use serde_json::{Value, json};

use crate::patience;
use crate::server::{Reply, Seen, Server};

/// Tokens of the model; 2 ends a text.
pub(crate) const VOCAB: u32 = 16;
pub(crate) const END: u32 = 2;

/// Ids as letters, one to one.
#[derive(Debug)]
pub(crate) struct Letters;

impl Text for Letters {
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        let text = prompt.messages.iter().map(|it| it.content.as_str());
        Ok(text
            .flat_map(str::bytes)
            .map(|it| 3 + u32::from(it) % 13)
            .take(20)
            .collect())
    }

    fn decode(&self, tokens: &[u32]) -> String {
        tokens
            .iter()
            .map(|it| char::from(b'a' + *it as u8))
            .collect()
    }

    fn ends(&self) -> &[u32] {
        &[END]
    }

    fn vocab(&self) -> usize {
        VOCAB as usize
    }
}

pub(crate) struct Vllm {
    pub(crate) model: String,
    pub(crate) context: usize,
    /// Whether log-probs are at temperature 1 whatever the temperature.
    pub(crate) raw: bool,
    pub(crate) adapters: BTreeMap<String, String>,
    /// Answers in place of the next samples.
    pub(crate) faults: VecDeque<Reply>,
    /// Answers in place of the next loads of an adapter.
    pub(crate) load_faults: VecDeque<Reply>,
    pub(crate) sampled: usize,
}

pub(crate) type Shared = Arc<Mutex<Vllm>>;

impl Vllm {
    pub(crate) fn shared() -> Shared {
        Arc::new(Mutex::new(Self {
            model: "actor".to_owned(),
            context: 64,
            raw: false,
            adapters: BTreeMap::new(),
            faults: VecDeque::new(),
            load_faults: VecDeque::new(),
            sampled: 0,
        }))
    }

    pub(crate) fn start(state: &Shared) -> Server {
        Self::start_at(state, "127.0.0.1:0".parse().unwrap())
    }

    pub(crate) fn start_at(state: &Shared, address: SocketAddr) -> Server {
        let state = Arc::clone(state);
        Server::start_at(address, move |seen| state.lock().unwrap().answer(seen))
    }

    fn answer(&mut self, seen: &Seen) -> Reply {
        match seen.path.as_str() {
            "/v1/models" => Reply::ok(json!({ "data": self.models() })),
            "/v1/load_lora_adapter" => self
                .load_faults
                .pop_front()
                .unwrap_or_else(|| self.load(&seen.body)),
            "/v1/unload_lora_adapter" => {
                self.adapters
                    .remove(seen.body["lora_name"].as_str().unwrap());
                Reply::Text(200, "Success".to_owned())
            }
            "/v1/completions" => self
                .faults
                .pop_front()
                .unwrap_or_else(|| self.sample(&seen.body)),
            _ => Reply::Json(404, json!({ "detail": "Not Found" })),
        }
    }

    fn models(&self) -> Vec<Value> {
        let base = json!({ "id": self.model, "root": "/models/actor", "parent": null, "max_model_len": self.context });
        let adapters = self.adapters.iter();
        let adapters =
            adapters.map(|(name, path)| json!({ "id": name, "root": path, "parent": self.model }));
        std::iter::once(base).chain(adapters).collect()
    }

    fn load(&mut self, body: &Value) -> Reply {
        let text = |field: &str| body[field].as_str().unwrap().to_owned();
        if self.adapters.contains_key(&text("lora_name")) {
            let message = format!(
                "The lora adapter '{}' has already been loaded.",
                text("lora_name")
            );
            return Reply::Json(400, json!({ "error": { "message": message } }));
        }
        self.adapters.insert(text("lora_name"), text("lora_path"));
        Reply::Text(
            200,
            format!(
                "Success: LoRA adapter '{}' added successfully.",
                text("lora_name")
            ),
        )
    }

    fn sample(&mut self, body: &Value) -> Reply {
        let model = body["model"].as_str().unwrap();
        let path = self.adapters.get(model).cloned();
        if model != self.model && path.is_none() {
            let message = format!("The model `{model}` does not exist.");
            return Reply::Json(404, json!({ "error": { "message": message, "code": 404 } }));
        }
        self.sampled += 1;
        Reply::ok(completion(body, &path.unwrap_or_default(), self.raw))
    }
}

/// A sample that the prompt, the seed and the adapter's folder decide.
pub(crate) fn completion(body: &Value, folder: &str, raw: bool) -> Value {
    let prompt = &body["prompt"][0];
    let seed = derive_seed(
        body["seed"].as_u64().unwrap(),
        &[&prompt.to_string(), folder],
    );
    let mut rng = Rng::new(seed);
    let most = body["max_tokens"].as_u64().unwrap() as usize;
    let mut tokens = Vec::new();
    while tokens.len() < most && tokens.last() != Some(&END) {
        tokens.push(rng.below(VOCAB as usize) as u32);
    }
    let ended = tokens.last() == Some(&END);
    let temperature = if raw {
        1.0
    } else {
        body["temperature"].as_f64().unwrap()
    };
    let two = |gap: f64| -> Value {
        let (a, b) = (
            0.0,
            -gap / if temperature > 0.0 { temperature } else { 1.0 },
        );
        let sum = (f64::exp(a) + f64::exp(b)).ln();
        json!({ "token_id:4": a - sum, "token_id:5": b - sum })
    };
    json!({
        "model": body["model"],
        "choices": [{
            "token_ids": tokens, "prompt_token_ids": prompt,
            "finish_reason": if ended { "stop" } else { "length" },
            "logprobs": {
                "tokens": tokens.iter().map(|it| format!("token_id:{it}")).collect::<Vec<_>>(),
                "token_logprobs": tokens.iter().map(|it| -0.1 * f64::from(*it)).collect::<Vec<_>>(),
                "top_logprobs": [two(1.5)],
            },
        }],
    })
}

pub(crate) fn settings(urls: &[&str]) -> RolloutSettings {
    let mut settings = RolloutSettings::new(EngineKind::Vllm, urls, "actor", 64);
    settings.patience = patience();
    settings.parallel = 4;
    settings.give_up = std::time::Duration::from_secs(10);
    settings
}

/// As for a critic that is trained.
pub(crate) fn trained(urls: &[&str]) -> RolloutSettings {
    RolloutSettings {
        log_probs: LogProbs::Trained,
        temperature: 0.7,
        ..settings(urls)
    }
}

/// `count` requests of two samples each.
pub(crate) fn requests(count: u64) -> Vec<Request> {
    let request = |n: u64| Request {
        prompt: vec![1, 5, (n % 16) as u32],
        seeds: vec![derive_seed(n, &["a"]), derive_seed(n, &["b"])],
        sampling: Sampling {
            temperature: 0.7,
            max_new_tokens: 8,
            ..Sampling::default()
        },
    };
    (0..count).map(request).collect()
}
