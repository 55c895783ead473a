//! A training server with a model of its own: the next token depends on the last one alone, by a
//! table of logits. It speaks Tinker's JSON, and misbehaves where it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use critique_core::Rng;
use serde_json::{Value, json};

use crate::server::{Reply, Seen, Server};

pub(crate) const VOCAB: usize = 16;

/// How a server departs from what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    None,
    MeanOverTokens,
    MeanOverSequences,
    WhitensAdvantages,
    IgnoresClipping,
    ClipsAtOne,
    IgnoresEps,
    IgnoresTemperature,
    TellsNoNorm,
    /// Halves what it does with gradients, but not what it reports.
    ReportsTwiceTheNorm,
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) logits: Vec<f64>,
    gradient: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
    pub(crate) steps: i32,
    sequences: usize,
}

/// What the server knows.
pub(crate) struct Bigram {
    pub(crate) habit: Habit,
    /// Whether it says that it is the worker of this project.
    pub(crate) worker: bool,
    pub(crate) models: BTreeMap<String, Model>,
    states: BTreeMap<String, Model>,
    results: Vec<Reply>,
    known: BTreeMap<(String, u64), String>,
    made: usize,
}

impl Bigram {
    pub(crate) fn new(habit: Habit, worker: bool) -> Self {
        Self {
            habit,
            worker,
            models: BTreeMap::new(),
            states: BTreeMap::new(),
            results: Vec::new(),
            known: BTreeMap::new(),
            made: 0,
        }
    }

    /// A server that answers as it should, but for its habit.
    pub(crate) fn serve(self) -> (Server, Arc<Mutex<Self>>) {
        Self::serve_with(self, |_, _| None)
    }

    /// A server whose answers may be replaced: `fault` sees each request with the honest reply.
    pub(crate) fn serve_with(
        self,
        fault: impl Fn(&Seen, &Reply) -> Option<Reply> + Send + Sync + 'static,
    ) -> (Server, Arc<Mutex<Self>>) {
        let shared = Arc::new(Mutex::new(self));
        let state = Arc::clone(&shared);
        let server = Server::start(move |seen| {
            let reply = state.lock().unwrap().answer(seen);
            fault(seen, &reply).unwrap_or(reply)
        });
        (server, shared)
    }

    pub(crate) fn answer(&mut self, seen: &Seen) -> Reply {
        let body = &seen.body;
        match seen.call() {
            "get_server_capabilities" => Reply::ok(self.capabilities()),
            "create_session" => Reply::ok(json!({ "session_id": "session_1" })),
            "session_heartbeat" => Reply::ok(json!({})),
            "retrieve_future" => {
                let id = body["request_id"]
                    .as_str()
                    .and_then(|it| it.parse::<usize>().ok());
                let found = id.and_then(|id| self.results.get(id));
                found
                    .cloned()
                    .unwrap_or(Reply::Json(404, json!({ "detail": "Future not found" })))
            }
            call => self.submit(call, body),
        }
    }

    fn submit(&mut self, call: &str, body: &Value) -> Reply {
        let key = body["model_id"].as_str().zip(body["seq_id"].as_u64());
        let key = key.map(|(model, number)| (model.to_owned(), number));
        // Only the worker knows calls that it has seen.
        if let Some(id) = key
            .as_ref()
            .filter(|_| self.worker)
            .and_then(|it| self.known.get(it))
        {
            return Reply::ok(json!({ "request_id": id }));
        }
        let result = self.run(call, body);
        let id = self.results.len().to_string();
        self.results.push(match result {
            Ok(value) => Reply::ok(value),
            Err(detail) => Reply::Json(400, json!({ "detail": detail })),
        });
        key.map(|key| self.known.insert(key, id.clone()));
        Reply::ok(json!({ "request_id": id }))
    }

    fn capabilities(&self) -> Value {
        let mut found = json!({ "supported_models": [{ "model_name": "bigram" }] });
        if self.worker {
            found["worker"] = json!({ "protocol": 1, "processes": 1, "vocab": VOCAB, "dtype": "float32",
                                      "device": "cpu", "torch": "none" });
        }
        found
    }

    fn run(&mut self, call: &str, body: &Value) -> Result<Value, String> {
        if call == "create_model" {
            self.made += 1;
            let id = format!("model_{}", self.made);
            let seed = body["lora_config"]["seed"].as_u64().unwrap_or(0);
            self.models.insert(id.clone(), Model::new(seed));
            return Ok(json!({ "model_id": id }));
        }
        let id = body["model_id"].as_str().unwrap_or_default().to_owned();
        if call == "load_weights" {
            let path = body["path"].as_str().unwrap_or_default();
            let state = self.states.get(path).ok_or("no such state")?.clone();
            self.models.insert(id, state);
            return Ok(json!({ "type": call }));
        }
        let habit = self.habit;
        let model = self
            .models
            .get_mut(&id)
            .ok_or(format!("unknown model `{id}`"))?;
        match call {
            "forward" => Ok(model.pass(&body["forward_input"], false, habit)),
            "forward_backward" => Ok(model.pass(&body["forward_backward_input"], true, habit)),
            "optim_step" => Ok(model.step(&body["adam_params"], habit)),
            "save_weights" => {
                let path = format!(
                    "tinker://{id}/weights/{}",
                    body["path"].as_str().unwrap_or_default()
                );
                let state = model.clone();
                self.states.insert(path.clone(), state);
                Ok(json!({ "path": path }))
            }
            "save_weights_for_sampler" => Ok(
                json!({ "path": format!("tinker://{id}/sampler_weights/x"), "dir": "/shared/x" }),
            ),
            "unload_model" => {
                self.models.remove(&id);
                Ok(json!({}))
            }
            other => Err(format!("no such call `{other}`")),
        }
    }
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed + 5);
        let zeros = vec![0.0; VOCAB * VOCAB];
        Self {
            logits: zeros.iter().map(|_| f64::from(rng.normal())).collect(),
            gradient: zeros.clone(),
            m: zeros.clone(),
            v: zeros,
            steps: 0,
            sequences: 0,
        }
    }

    /// Log-prob of a token behind another, and of all others.
    pub(crate) fn row(&self, last: usize, temperature: f64) -> Vec<f64> {
        let row = &self.logits[last * VOCAB..(last + 1) * VOCAB];
        let sum: f64 = row.iter().map(|it| (it / temperature).exp()).sum();
        row.iter().map(|it| it / temperature - sum.ln()).collect()
    }

    fn pass(&mut self, given: &Value, backward: bool, habit: Habit) -> Value {
        let mut temperature = given["loss_fn_config"]["temperature"]
            .as_f64()
            .unwrap_or(1.0);
        if habit == Habit::IgnoresTemperature {
            temperature = 1.0;
        }
        let data = given["data"].as_array().unwrap();
        if backward {
            self.sequences += data.len();
        }
        let outputs: Vec<Value> = data
            .iter()
            .map(|it| self.datum(it, backward, temperature, habit))
            .collect();
        json!({ "loss_fn_output_type": "scalar", "loss_fn_outputs": outputs, "metrics": {} })
    }

    fn datum(&mut self, datum: &Value, backward: bool, temperature: f64, habit: Habit) -> Value {
        let list = |value: &Value| -> Vec<f64> {
            value["data"].as_array().map_or(Vec::new(), |it| {
                it.iter().map(|x| x.as_f64().unwrap()).collect()
            })
        };
        let tokens = datum["model_input"]["chunks"][0]["tokens"]
            .as_array()
            .unwrap();
        let inputs = &datum["loss_fn_inputs"];
        let targets = list(&inputs["target_tokens"]);
        let (old, mut advantages) = (list(&inputs["logprobs"]), list(&inputs["advantages"]));
        if habit == Habit::WhitensAdvantages {
            let size = advantages.iter().map(|it| it * it).sum::<f64>().sqrt();
            for it in &mut advantages {
                *it /= size;
            }
        }
        let mut found = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            let (last, target) = (tokens[at].as_u64().unwrap() as usize, *target as usize);
            let row = self.row(last, temperature);
            found.push(row[target]);
            if !backward {
                continue;
            }
            let mut weight = -advantages[at] * (row[target] - old[at]).exp() / temperature;
            if habit == Habit::MeanOverTokens {
                weight /= targets.len() as f64;
            }
            for (k, lp) in row.iter().enumerate() {
                let hit = f64::from(u8::from(k == target));
                self.gradient[last * VOCAB + k] += weight * (hit - lp.exp());
            }
        }
        json!({ "logprobs": { "data": found, "dtype": "float32", "shape": [found.len()] } })
    }

    fn step(&mut self, adam: &Value, habit: Habit) -> Value {
        let number = |name: &str| adam[name].as_f64().unwrap();
        let mut gradient = std::mem::replace(&mut self.gradient, vec![0.0; VOCAB * VOCAB]);
        if habit == Habit::MeanOverSequences {
            for it in &mut gradient {
                *it /= self.sequences as f64;
            }
        }
        self.sequences = 0;
        let norm = gradient.iter().map(|it| it * it).sum::<f64>().sqrt();
        let mut clip = number("grad_clip_norm");
        match habit {
            Habit::IgnoresClipping => clip = 0.0,
            Habit::ClipsAtOne => clip = 0.3,
            _ => {}
        }
        let factor = if clip > 0.0 && norm > clip {
            clip / norm
        } else {
            1.0
        };
        let factor = if habit == Habit::ReportsTwiceTheNorm {
            factor / 2.0
        } else {
            factor
        };
        for it in &mut gradient {
            *it *= factor;
        }
        self.move_weights(&gradient, adam, habit);
        if habit == Habit::TellsNoNorm {
            return json!({ "metrics": {} });
        }
        json!({ "metrics": { "skyrl.ai/grad_norm": norm, "skyrl.ai/learning_rate": number("learning_rate") } })
    }

    fn move_weights(&mut self, gradient: &[f64], adam: &Value, habit: Habit) {
        let number = |name: &str| adam[name].as_f64().unwrap();
        let (b1, b2, rate) = (number("beta1"), number("beta2"), number("learning_rate"));
        let eps = if habit == Habit::IgnoresEps {
            1e-8
        } else {
            number("eps")
        };
        self.steps += 1;
        for (i, g) in gradient.iter().enumerate() {
            self.m[i] = b1 * self.m[i] + (1.0 - b1) * g;
            self.v[i] = b2 * self.v[i] + (1.0 - b2) * g * g;
            let m = self.m[i] / (1.0 - b1.powi(self.steps));
            let v = self.v[i] / (1.0 - b2.powi(self.steps));
            self.logits[i] -=
                rate * (m / (v.sqrt() + eps) + number("weight_decay") * self.logits[i]);
        }
    }
}
