//! Requests and answers of Tinker's protocol as JSON (prefix `/api/v1`), as far as they are used.

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize)]
pub(super) struct CreateSession {
    pub tags: [&'static str; 1],
    pub user_metadata: Option<()>,
    pub sdk_version: &'static str,
    pub r#type: &'static str,
}

#[derive(Debug, Deserialize)]
pub(super) struct Session {
    pub session_id: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Heartbeat<'a> {
    pub session_id: &'a str,
    pub r#type: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct CreateModel<'a> {
    pub session_id: &'a str,
    pub model_seq_id: u64,
    pub base_model: &'a str,
    pub r#type: &'static str,
    pub lora_config: Lora,
    /// Known to our worker alone: the model takes no gradient.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub frozen: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Lora {
    pub rank: usize,
    pub seed: u64,
    /// Known to our worker alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f32>,
    pub train_unembed: bool,
    pub train_mlp: bool,
    pub train_attn: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct ModelCreated {
    pub model_id: String,
}

/// A call on a model: its number, and what the call itself holds.
#[derive(Debug, Serialize)]
pub(super) struct OnModel<'a, B> {
    pub model_id: &'a str,
    pub seq_id: u64,
    #[serde(flatten)]
    pub body: B,
}

#[derive(Debug, Serialize)]
pub(super) struct Forward {
    pub forward_input: LossInput,
}

#[derive(Debug, Serialize)]
pub(super) struct ForwardBackward {
    pub forward_backward_input: LossInput,
}

#[derive(Debug, Serialize)]
pub(super) struct LossInput {
    pub loss_fn: &'static str,
    pub data: Vec<Datum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_fn_config: Option<LossConfig>,
}

#[derive(Debug, Serialize)]
pub(super) struct LossConfig {
    pub temperature: f32,
}

#[derive(Debug, Serialize)]
pub(super) struct Datum {
    pub model_input: ModelInput,
    pub loss_fn_inputs: LossInputs,
}

#[derive(Debug, Serialize)]
pub(super) struct ModelInput {
    pub chunks: [Chunk; 1],
}

#[derive(Debug, Serialize)]
pub(super) struct Chunk {
    pub r#type: &'static str,
    pub tokens: Vec<u32>,
}

#[derive(Debug, Serialize)]
pub(super) struct LossInputs {
    pub target_tokens: Tensor<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Tensor<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<Tensor<f32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advantages: Option<Tensor<f32>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Tensor<T> {
    pub data: Vec<T>,
    pub dtype: &'static str,
    pub shape: [usize; 1],
}

impl Tensor<f32> {
    pub(super) fn floats(data: Vec<f32>) -> Self {
        let shape = [data.len()];
        let dtype = "float32";
        Self { data, dtype, shape }
    }
}

impl Tensor<u32> {
    pub(super) fn ids(data: Vec<u32>) -> Self {
        let shape = [data.len()];
        let dtype = "int64";
        Self { data, dtype, shape }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Forwarded {
    pub loss_fn_outputs: Vec<LossOutput>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LossOutput {
    pub logprobs: Floats,
}

#[derive(Debug, Deserialize)]
pub(super) struct Floats {
    pub data: Vec<f32>,
}

#[derive(Debug, Serialize)]
pub(super) struct OptimStep {
    pub r#type: &'static str,
    pub adam_params: AdamParams,
}

#[derive(Debug, Serialize)]
pub(super) struct AdamParams {
    pub learning_rate: f64,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f64,
    pub weight_decay: f32,
    pub grad_clip_norm: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Stepped {
    #[serde(default)]
    pub metrics: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Debug, Serialize)]
pub(super) struct SaveWeights<'a> {
    pub r#type: &'static str,
    pub path: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct LoadWeights<'a> {
    pub r#type: &'static str,
    pub path: &'a str,
    pub optimizer: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Typed {
    pub r#type: &'static str,
}

#[derive(Debug, Deserialize)]
pub(super) struct Saved {
    pub path: String,
    /// The folder on the server's disk, where the server tells it.
    #[serde(default)]
    pub dir: Option<std::path::PathBuf>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Submitted {
    pub request_id: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Retrieve<'a> {
    pub request_id: &'a str,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// The models it serves.
    #[serde(default)]
    pub supported_models: Vec<SupportedModel>,
    /// Filled in by the worker of this project alone.
    #[serde(default)]
    pub worker: Option<WorkerInfo>,
}

/// A model that a server serves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SupportedModel {
    /// Its name, which `create_model` takes.
    pub model_name: String,
    /// Tokens of a sequence, where the server says so.
    #[serde(default)]
    pub max_context_length: Option<usize>,
}

/// What the worker of this project says of itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Version of what it adds to Tinker's protocol.
    pub protocol: u32,
    /// Processes that share the work.
    pub processes: usize,
    /// Token ids lie below it.
    pub vocab: usize,
    /// Type of products, such as `bfloat16`.
    pub dtype: String,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Version of PyTorch.
    pub torch: String,
}
