//! How each kind of server is asked for a sample, and where its answer holds what.

use critique_core::{EngineKind, Sampling};
use serde_json::{Value, json};

use crate::error::RemoteError;
use crate::http::Http;

/// One sample to be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) model: &'a str,
    pub(super) adapter: Option<&'a str>,
    pub(super) prompt: &'a [u32],
    pub(super) max_tokens: usize,
    pub(super) seed: u64,
    pub(super) sampling: &'a Sampling,
    /// Likeliest tokens whose log-probs are wanted at the first place.
    pub(super) top: usize,
}

/// What a server sampled, before it is checked.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Raw {
    pub(super) tokens: Vec<u32>,
    pub(super) log_probs: Vec<f32>,
    pub(super) finish: String,
    /// The likeliest tokens of the first place.
    pub(super) top: Vec<(u32, f32)>,
}

/// Bytes of an answer beside its tokens.
const BASE_BYTES: u64 = 1 << 18;
/// Bytes of an answer a token: id, log-prob and text, some of them twice.
const TOKEN_BYTES: u64 = 1024;

/// The way of speaking of each kind of server.
pub(super) trait Dialect: Copy {
    /// The call that samples.
    fn call(self) -> &'static str;

    /// Why a server of this kind cannot sample so.
    fn cannot(self, sampling: &Sampling) -> Option<String>;

    /// What helps where its log-probs are not those of sampling.
    fn advice(self) -> &'static str;

    /// Asks for a sample.
    fn ask(self, http: &Http, ask: &Ask<'_>) -> Result<Raw, RemoteError>;
}

impl Dialect for EngineKind {
    fn call(self) -> &'static str {
        match self {
            Self::Vllm | Self::Openai => "v1/completions",
            Self::Sglang => "generate",
            Self::LlamaCpp => "completion",
        }
    }

    fn cannot(self, sampling: &Sampling) -> Option<String> {
        let vllm_hot = self == Self::Vllm && sampling.temperature > 2.0;
        if vllm_hot {
            return Some(format!(
                "takes temperatures up to 2; found {}",
                sampling.temperature
            ));
        }
        let known = matches!(self, Self::Vllm | Self::Sglang);
        if !known && !sampling.stop_token_ids.is_empty() {
            return Some("knows no `stop_token_ids`; leave them empty, or use vLLM".to_owned());
        }
        let plain = sampling.top_k == 0 && sampling.min_p == 0.0 && !sampling.ignore_eos;
        (self == Self::Openai && !plain)
            .then(|| "knows no `top_k`, `min_p` and `ignore_eos`; leave them out".to_owned())
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Vllm => "start vLLM with `--logprobs-mode processed_logprobs`",
            Self::LlamaCpp => {
                "llama.cpp gives them at temperature 1: sample at 1, or train with another server"
            }
            Self::Sglang | Self::Openai => "sample at temperature 1, or use another server",
        }
    }

    fn ask(self, http: &Http, ask: &Ask<'_>) -> Result<Raw, RemoteError> {
        let body = match self {
            Self::Vllm => vllm(ask),
            Self::Openai => openai(ask),
            Self::Sglang => sglang(ask),
            Self::LlamaCpp => llama_cpp(ask),
        };
        let limit = BASE_BYTES + TOKEN_BYTES * (ask.max_tokens + ask.prompt.len()) as u64;
        let answer: Value = http.post(self.call(), &body, limit)?;
        let read = match self {
            Self::Vllm | Self::Openai => read_completions(&answer, ask),
            Self::Sglang => read_sglang(&answer, ask),
            Self::LlamaCpp => read_llama_cpp(&answer, ask),
        };
        read.map_err(|message| http.answer(self.call(), message))
    }
}

fn openai(ask: &Ask<'_>) -> Value {
    let sampling = ask.sampling;
    let mut body = json!({
        "model": ask.adapter.unwrap_or(ask.model),
        "prompt": [ask.prompt],
        "n": 1,
        "max_tokens": ask.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": ask.seed >> 1,
        "logprobs": ask.top.max(1),
        "return_token_ids": true,
        "return_tokens_as_token_ids": true,
    });
    if !sampling.stop.is_empty() {
        body["stop"] = json!(sampling.stop);
    }
    body
}

/// Fields that vLLM adds. Its seeds are signed numbers of 64 bits.
fn vllm(ask: &Ask<'_>) -> Value {
    let sampling = ask.sampling;
    let mut body = openai(ask);
    body["logprobs"] = json!(ask.top);
    body["skip_special_tokens"] = json!(false);
    if sampling.top_k > 0 {
        body["top_k"] = json!(sampling.top_k);
    }
    if sampling.min_p > 0.0 {
        body["min_p"] = json!(sampling.min_p);
    }
    if sampling.ignore_eos {
        body["ignore_eos"] = json!(true);
    }
    if !sampling.stop_token_ids.is_empty() {
        body["stop_token_ids"] = json!(sampling.stop_token_ids);
    }
    body
}

fn sglang(ask: &Ask<'_>) -> Value {
    let sampling = ask.sampling;
    let top_k = if sampling.top_k == 0 {
        -1
    } else {
        sampling.top_k as i64
    };
    let mut body = json!({
        "input_ids": ask.prompt,
        "sampling_params": {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": top_k,
            "min_p": sampling.min_p,
            "n": 1,
            "max_new_tokens": ask.max_tokens,
            "sampling_seed": ask.seed >> 1,
            "stop": sampling.stop,
            "stop_token_ids": sampling.stop_token_ids,
            "ignore_eos": sampling.ignore_eos,
        },
        "return_logprob": true,
        "logprob_start_len": -1,
    });
    if ask.top > 0 {
        body["top_logprobs_num"] = json!(ask.top);
    }
    if let Some(adapter) = ask.adapter {
        body["lora_path"] = json!(adapter);
    }
    body
}

/// llama.cpp's own call. Its seeds have 32 bits, of which all ones mean "at random". Stop texts are
/// not sent: where one ends a text, no log-probs come back. They cut the completion here instead.
fn llama_cpp(ask: &Ask<'_>) -> Value {
    let sampling = ask.sampling;
    let seed = (ask.seed ^ (ask.seed >> 32)) % u64::from(u32::MAX);
    json!({
        "prompt": ask.prompt,
        "n_predict": ask.max_tokens,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "samplers": ["top_k", "top_p", "min_p", "temperature"],
        "seed": seed,
        "n_probs": ask.top.max(1),
        "return_tokens": true,
        "ignore_eos": sampling.ignore_eos,
        "stream": false,
    })
}

fn read_completions(answer: &Value, ask: &Ask<'_>) -> Result<Raw, String> {
    let wanted = ask.adapter.unwrap_or(ask.model);
    if let Some(model) = answer["model"].as_str().filter(|it| *it != wanted) {
        return Err(format!("is of model `{model}`; `{wanted}` was asked for"));
    }
    let choices = answer["choices"].as_array().ok_or("has no `choices`")?;
    let [choice] = &choices[..] else {
        return Err(format!("has {} samples; 1 was asked for", choices.len()));
    };
    if let Some(echo) = choice["prompt_token_ids"].as_array()
        && !echo
            .iter()
            .map(Value::as_u64)
            .eq(ask.prompt.iter().map(|it| Some(u64::from(*it))))
    {
        return Err(format!(
            "was computed for another prompt, of {} tokens; {} were sent: does the server cut prompts?",
            echo.len(),
            ask.prompt.len()
        ));
    }
    let names = &choice["logprobs"]["tokens"];
    let tokens = if choice["token_ids"].is_array() {
        ids(&choice["token_ids"], "choices[0].token_ids")?
    } else {
        named_ids(names)?
    };
    let top = choice["logprobs"]["top_logprobs"][0].as_object();
    let top = top
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((named_id(name)?, value.as_f64()? as f32)));
    Ok(Raw {
        tokens,
        log_probs: floats(
            &choice["logprobs"]["token_logprobs"],
            "choices[0].logprobs.token_logprobs",
        )?,
        finish: choice["finish_reason"]
            .as_str()
            .unwrap_or("nothing")
            .to_owned(),
        top: top.collect(),
    })
}

fn read_sglang(answer: &Value, ask: &Ask<'_>) -> Result<Raw, String> {
    let answer = match answer {
        Value::Array(samples) if samples.len() == 1 => &samples[0],
        Value::Array(samples) => {
            return Err(format!("has {} samples; 1 was asked for", samples.len()));
        }
        one => one,
    };
    let meta = &answer["meta_info"];
    if let Some(count) = meta["prompt_tokens"]
        .as_u64()
        .filter(|it| *it != ask.prompt.len() as u64)
    {
        return Err(format!(
            "was computed for a prompt of {count} tokens; {} were sent",
            ask.prompt.len()
        ));
    }
    let rows = meta["output_token_logprobs"]
        .as_array()
        .ok_or("has no `meta_info.output_token_logprobs`")?;
    let log_probs: Vec<Value> = rows.iter().map(|row| row[0].clone()).collect();
    let tokens: Vec<Value> = rows.iter().map(|row| row[1].clone()).collect();
    let tokens = ids(&Value::Array(tokens), "meta_info.output_token_logprobs")?;
    if answer["output_ids"].is_array() && ids(&answer["output_ids"], "output_ids")? != tokens {
        return Err("has other ids in `output_ids` than in `output_token_logprobs`".to_owned());
    }
    let finish = &meta["finish_reason"];
    let finish = finish["type"]
        .as_str()
        .or(finish.as_str())
        .unwrap_or("nothing");
    let top = meta["output_top_logprobs"][0]
        .as_array()
        .into_iter()
        .flatten();
    Ok(Raw {
        tokens,
        log_probs: floats(&Value::Array(log_probs), "meta_info.output_token_logprobs")?,
        finish: finish.to_owned(),
        top: top
            .filter_map(|it| Some((it[1].as_u64()? as u32, it[0].as_f64()? as f32)))
            .collect(),
    })
}

fn read_llama_cpp(answer: &Value, ask: &Ask<'_>) -> Result<Raw, String> {
    if answer["truncated"] == true {
        return Err("was cut: the server's context is smaller than that of the run".to_owned());
    }
    if let Some(count) = answer["tokens_evaluated"]
        .as_u64()
        .filter(|it| *it != ask.prompt.len() as u64)
    {
        return Err(format!(
            "was computed for a prompt of {count} tokens; {} were sent",
            ask.prompt.len()
        ));
    }
    let rows = answer["completion_probabilities"]
        .as_array()
        .ok_or("has no `completion_probabilities`")?;
    let tokens: Vec<Value> = rows.iter().map(|row| row["id"].clone()).collect();
    let log_probs: Vec<Value> = rows.iter().map(|row| row["logprob"].clone()).collect();
    let finish = match answer["stop_type"].as_str() {
        Some("eos" | "word") => "stop",
        Some("limit") => "length",
        Some(other) => other,
        None => "nothing",
    };
    let top = answer.pointer("/completion_probabilities/0/top_logprobs");
    let top = top.and_then(Value::as_array).into_iter().flatten();
    Ok(Raw {
        tokens: ids(&Value::Array(tokens), "completion_probabilities")?,
        log_probs: floats(&Value::Array(log_probs), "completion_probabilities")?,
        finish: finish.to_owned(),
        top: top
            .filter_map(|it| Some((it["id"].as_u64()? as u32, it["logprob"].as_f64()? as f32)))
            .collect(),
    })
}

fn ids(value: &Value, field: &str) -> Result<Vec<u32>, String> {
    let list = value
        .as_array()
        .ok_or_else(|| format!("has no list `{field}`"))?;
    let read = |it: &Value| {
        let id = it.as_u64().and_then(|it| u32::try_from(it).ok());
        id.ok_or_else(|| format!("has `{it}` in `{field}`; a token id was expected"))
    };
    list.iter().map(read).collect()
}

/// Ids as vLLM writes them where it is asked for ids in place of texts: `token_id:12`.
fn named_ids(value: &Value) -> Result<Vec<u32>, String> {
    let list = value.as_array().ok_or(NO_IDS)?;
    let read = |it: &Value| {
        it.as_str()
            .and_then(named_id)
            .ok_or_else(|| NO_IDS.to_owned())
    };
    list.iter().map(read).collect()
}

const NO_IDS: &str =
    "has no token ids; the server must know `return_token_ids` or `return_tokens_as_token_ids`";

fn named_id(name: &str) -> Option<u32> {
    name.strip_prefix("token_id:")?.parse().ok()
}

fn floats(value: &Value, field: &str) -> Result<Vec<f32>, String> {
    let list = value
        .as_array()
        .ok_or_else(|| format!("has no list `{field}`"))?;
    let read = |it: &Value| {
        let number = it.as_f64().map(|it| it as f32);
        number.ok_or_else(|| format!("has `{it}` in `{field}`; a number was expected"))
    };
    list.iter().map(read).collect()
}
