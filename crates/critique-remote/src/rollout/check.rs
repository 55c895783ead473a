//! What a server must be, asked before it is used and when it comes back.

use critique_core::{Message, Prompt, Sampling};
use serde_json::Value;

use super::dialect::{Ask, Dialect};
use super::{LogProbs, Remote, Text};
use crate::error::RemoteError;
use crate::http::{Http, quoted};

/// Bytes of a list of models.
const LIST_BYTES: u64 = 4 << 20;
/// Largest difference in nats, and relative, that 16-bit arithmetic explains.
const GAP_BOUND: f32 = 0.03;
/// Places of a text that are tried for two tokens whose likelihoods differ.
const PLACES: usize = 4;

impl<T: Text> Remote<T> {
    /// That the server serves the model, with room for the run's context.
    pub(super) fn check_server(&self, http: &Http) -> Result<(), RemoteError> {
        let models = list(http)?;
        let wanted = &self.settings.model;
        let Some(entry) = find(&models, wanted) else {
            let names: Vec<_> = models
                .iter()
                .filter_map(|it| it["id"].as_str())
                .take(20)
                .collect();
            return Err(http.differs(format!(
                "does not serve `{wanted}`, it serves `{}`; is it the wrong address, or the wrong model?",
                quoted(&names.join("`, `"))
            )));
        };
        let context = self.settings.context_tokens as u64;
        let room = entry["max_model_len"]
            .as_u64()
            .or(entry["meta"]["n_ctx"].as_u64());
        if let Some(found) = room.filter(|it| *it < context) {
            return Err(http.differs(format!(
                "holds {found} tokens, the run asks for {context}; start it with more (vLLM: \
                 `--max-model-len`, llama.cpp: `--ctx-size`)"
            )));
        }
        let vocab = self.text.vocab() as u64;
        if let Some(found) = entry["meta"]["n_vocab"].as_u64().filter(|it| *it < vocab) {
            return Err(http.differs(format!(
                "serves a model with {found} tokens in its vocabulary; the tokenizer of the run has {vocab}"
            )));
        }
        Ok(())
    }

    /// That log-probs are taken at the temperature of sampling: between two tokens they then
    /// differ by `1 / temperature` times what they do at temperature 1, whatever the others do.
    pub(super) fn check_temperature(&self, http: &Http) -> Result<(), RemoteError> {
        let temperature = self.settings.temperature;
        if self.settings.log_probs == LogProbs::Unused || temperature == 1.0 || temperature == 0.0 {
            return Ok(());
        }
        let prompt = Prompt {
            messages: vec![Message::user("What is 17 plus 25? Think step by step.")],
            prefill: String::new(),
        };
        let mut prompt = self.text.encode(&prompt).map_err(|error| {
            http.unsupported(format!(
                "was not asked: the text of the check cannot be encoded: {error}"
            ))
        })?;
        for _ in 0..PLACES {
            let cold = self.likeliest(http, &prompt, 1.0)?;
            let hot = self.likeliest(http, &prompt, temperature)?;
            if let Some((at_one, at)) = gaps(&cold, &hot).filter(|(gap, _)| gap.abs() > 0.2) {
                return self.check_gap(http, at_one, at);
            }
            prompt.push(cold[0].0);
        }
        Err(http.differs(format!(
            "gives no two tokens to tell the temperature of its log-probs by, in {PLACES} places; are they \
             log-probs of the likeliest tokens?"
        )))
    }

    fn check_gap(&self, http: &Http, at_one: f32, at: f32) -> Result<(), RemoteError> {
        let wanted = at_one / self.settings.temperature;
        if (at - wanted).abs() <= GAP_BOUND * (1.0 + wanted.abs()) {
            return Ok(());
        }
        let advice = self.settings.engine.advice();
        Err(http.differs(format!(
            "gives log-probs that are not those of sampling: at temperature {}, two tokens differ by {at:.4} nats \
             where {wanted:.4} were expected ({at_one:.4} at temperature 1); {advice}",
            self.settings.temperature
        )))
    }

    /// The two likeliest next tokens.
    fn likeliest(
        &self,
        http: &Http,
        prompt: &[u32],
        temperature: f32,
    ) -> Result<Vec<(u32, f32)>, RemoteError> {
        let sampling = Sampling {
            temperature,
            max_new_tokens: 1,
            ..Sampling::default()
        };
        let ask = Ask {
            model: &self.settings.model,
            adapter: None,
            prompt,
            max_tokens: 1,
            seed: 1,
            sampling: &sampling,
            top: 2,
        };
        let mut top = self.settings.engine.ask(http, &ask)?.top;
        top.sort_by(|a, b| b.1.total_cmp(&a.1));
        if top.len() < 2 {
            let message = format!("has {} of the 2 likeliest tokens", top.len());
            return Err(http.answer(self.settings.engine.call(), message));
        }
        Ok(top)
    }
}

/// Difference of the two likeliest tokens at temperature 1, and of the same two in `hot`.
fn gaps(cold: &[(u32, f32)], hot: &[(u32, f32)]) -> Option<(f32, f32)> {
    let find = |id: u32| hot.iter().find(|it| it.0 == id).map(|it| it.1);
    let (first, second) = (cold[0], cold[1]);
    Some((first.1 - second.1, find(first.0)? - find(second.0)?))
}

/// The models of a server, adapters among them.
pub(super) fn list(http: &Http) -> Result<Vec<Value>, RemoteError> {
    let mut answer: Value = http.get("v1/models", LIST_BYTES)?;
    match answer["data"].take() {
        Value::Array(models) => Ok(models),
        _ => Err(http.answer("v1/models", "has no list `data`".to_owned())),
    }
}

pub(super) fn find<'a>(models: &'a [Value], name: &str) -> Option<&'a Value> {
    models.iter().find(|it| it["id"] == name)
}
