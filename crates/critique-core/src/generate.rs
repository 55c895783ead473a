//! What every engine does: token ids in, sampled token ids with log-probs out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Prompt;

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Divides the logits; 0 takes the most likely token (greedy).
    pub temperature: f32,
    /// Keeps the smallest set of tokens whose probabilities sum to at least this; 1 keeps all.
    pub top_p: f32,
    /// Keeps this many most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps tokens at least this fraction as likely as the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Longest completion, in tokens, at least 1.
    #[schemars(range(min = 1))]
    pub max_new_tokens: usize,
    /// Texts that end a completion; they are cut off its text, not off its tokens.
    pub stop: Vec<String>,
    /// Tokens that end a completion beside the model's own end-of-text tokens.
    pub stop_token_ids: Vec<u32>,
    /// Goes on through end-of-text tokens; for benchmarks.
    pub ignore_eos: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            max_new_tokens: 256,
            stop: Vec::new(),
            stop_token_ids: Vec::new(),
            ignore_eos: false,
        }
    }
}

impl Sampling {
    /// The temperature at which log-probs are taken: that of sampling, and 1 for greedy decoding.
    pub fn log_prob_temperature(&self) -> f32 {
        if self.temperature > 0.0 {
            self.temperature
        } else {
            1.0
        }
    }
}

/// One prompt and the seeds of its samples.
///
/// Requests that share a beginning need not say so: engines find shared prefixes themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Token ids of the prompt, prefill included.
    pub prompt: Vec<u32>,
    /// One seed for each sample wanted; a sample depends on its seed and on nothing else
    /// that is in flight.
    pub seeds: Vec<u64>,
    /// How tokens are chosen and when a sample ends.
    pub sampling: Sampling,
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// An end-of-text token, a stop token or a stop text.
    Stop,
    /// `max_new_tokens` or the model's context ran out.
    Length,
}

/// One sampled continuation of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// Sampled token ids, the ending token included.
    pub tokens: Vec<u32>,
    /// Log-prob of each token in nats at [`Sampling::log_prob_temperature`], over the whole
    /// vocabulary (before top-k, top-p and min-p cut it).
    pub log_probs: Vec<f32>,
    /// The text, without ending tokens and stop texts.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
}

/// A language model that can be asked to continue prompts: in process or over HTTP.
pub trait Generate: Send + Sync {
    /// Renders a prompt by the model's chat template and gives its token ids.
    ///
    /// # Errors
    ///
    /// When the template refuses the messages.
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError>;

    /// Completions of every request, in the order of requests and of their seeds.
    ///
    /// # Errors
    ///
    /// When a request cannot be served, such as a prompt longer than the context.
    fn generate(&self, requests: &[Request]) -> Result<Vec<Vec<Completion>>, GenerateError>;

    /// Tokens a prompt and its completion may take together.
    fn context_tokens(&self) -> usize;
}

/// Why an engine gave no completions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The prompt leaves no room for a token.
    #[error("prompt of {prompt} tokens does not fit the model's context of {context} tokens")]
    PromptTooLong {
        /// Tokens in the prompt.
        prompt: usize,
        /// Tokens the model can hold.
        context: usize,
    },
    /// A prompt without tokens has no next token.
    #[error("prompt has no tokens")]
    EmptyPrompt,
    /// A token id beyond the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocab} tokens")]
    UnknownToken {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// The engine was asked to stop before it was done.
    #[error("stopped on request")]
    Stopped,
    /// The chat template or tokenizer refused the text.
    #[error("{context}")]
    Text {
        /// What was being done.
        context: String,
        /// What the template or tokenizer said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine behind this failed.
    #[error("{context}")]
    Engine {
        /// What was being done.
        context: String,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
