//! Where a model is served that other processes sample from, in the words that run files and
//! clients share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of inference server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// vLLM, started with `--logprobs-mode processed_logprobs`.
    Vllm,
    /// `SGLang`.
    Sglang,
    /// The server of llama.cpp: log-probs at temperature 1 and no new adapters, so for evaluation
    /// and frozen models.
    LlamaCpp,
    /// Another server with `/v1/completions` that takes token ids and gives ids with log-probs.
    Openai,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vllm, Self::Sglang, Self::LlamaCpp, Self::Openai];

    /// Its name in run files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::LlamaCpp => "llama_cpp",
            Self::Openai => "openai",
        }
    }

    /// Whether it takes adapters while it runs, which a model needs that is trained.
    pub fn takes_adapters(self) -> bool {
        matches!(self, Self::Vllm | Self::Sglang)
    }
}

/// Servers of one model, and how they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// What they are.
    pub engine: EngineKind,
    /// Their addresses, such as `http://gpu9:8000`, without `/v1`; at least one.
    pub urls: Vec<String>,
    /// Name of the model, as they call it.
    pub model: String,
    /// Tokens that a prompt and its completion may take together; `None` takes what the model's
    /// configuration says.
    pub context: Option<usize>,
    /// Variable of the environment that holds the token that they want.
    pub token_env: Option<String>,
    /// Requests in flight at one server.
    pub parallel: usize,
    /// Seconds to wait while none is up.
    pub give_up_secs: u64,
}

impl Servers {
    /// Requests in flight at one server where nobody says it.
    pub const PARALLEL: usize = 32;
    /// Seconds to wait while no server is up where nobody says it.
    pub const GIVE_UP_SECS: u64 = 300;

    /// Servers of a model, all else as usual.
    pub fn new(engine: EngineKind, urls: Vec<String>, model: String) -> Self {
        Self {
            engine,
            urls,
            model,
            context: None,
            token_env: None,
            parallel: Self::PARALLEL,
            give_up_secs: Self::GIVE_UP_SECS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_run_files() {
        for kind in EngineKind::ALL {
            let name = serde_json::to_value(kind).unwrap();
            assert_eq!(name, kind.name());
            let back: EngineKind = serde_json::from_value(name).unwrap();
            assert_eq!(back, kind);
        }
    }
}
