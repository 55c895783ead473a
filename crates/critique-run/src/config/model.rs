//! Where models come from.

use std::path::PathBuf;

use critique_core::{Dtype, EngineKind, LoraConfig, Servers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a model comes from: one of `path`, `from` and `new`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// A folder in Hugging Face layout. Two models from one folder share its weights in memory on
    /// the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A PEFT adapter on the model at `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
    /// Another model of this run, as it is when this one is first needed: after the stages that
    /// come before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A model with random weights, for tasks that have a vocabulary of their own (`arithmetic`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<NewModel>,
    /// Trains an adapter of this kind; without it all weights are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// The type of the weights at `path`: `"bf16"` takes half the memory and, on CPUs that multiply
    /// it, less time. For models that are not trained, or trained by `lora`: the adapter stays in
    /// f32. On the CPU alone; see engines.
    #[serde(default, skip_serializing_if = "is_f32")]
    pub dtype: Dtype,
    /// Samples on inference servers of this kind instead of in this process: `vllm`, `sglang`,
    /// `llama_cpp` or `openai`. `path` gives tokenizer, chat template and shape; of a model that no
    /// stage trains, weights are not read from it. A model that is trained needs `lora`, and `vllm`
    /// or `sglang`, which get its adapter after each update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// Addresses of the servers, such as `http://gpu9:8000`, without `/v1`. They share the work; one
    /// that goes away is left out until it is back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// The model's name, as the servers call it; absent, `path` as it is written here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Tokens that a prompt and its completion may take together on the servers; absent, what the
    /// configuration at `path` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub context: Option<usize>,
    /// Variable of the environment that holds the token that the servers want.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
    /// Requests in flight at one server; absent, 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub parallel: Option<usize>,
    /// Seconds to wait while no server is up, before the run ends; absent, 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub give_up_secs: Option<u64>,
    /// Where versions of a trained adapter are written for the servers, which must see the folder
    /// under the same path; absent, `adapters/NAME` in the run folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapters: Option<PathBuf>,
    /// Largest mean difference, in nats, between the log-probs that servers give for the first
    /// samples of a trained model and those of this process; absent, 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_prob_bound: Option<f32>,
}

impl ModelSource {
    /// Largest mean difference of log-probs where a run file does not say it, in nats. Arithmetic
    /// in 16 bits gives about 0.01.
    pub const LOG_PROB_BOUND: f32 = 0.05;

    /// The servers that sample for it, where there are any.
    pub fn servers(&self) -> Option<Servers> {
        let folder = || self.path.as_ref().map(|it| it.display().to_string());
        let model = self.model.clone().or_else(folder).unwrap_or_default();
        let plain = Servers::new(self.engine?, self.urls.clone(), model);
        Some(Servers {
            context: self.context,
            token_env: self.token_env.clone(),
            parallel: self.parallel.unwrap_or(plain.parallel),
            give_up_secs: self.give_up_secs.unwrap_or(plain.give_up_secs),
            ..plain
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_f32(dtype: &Dtype) -> bool {
    *dtype == Dtype::F32
}

/// The shape of a new model. Its tokens are those of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewModel {
    /// Width of the residual stream.
    #[schemars(range(min = 1))]
    pub d_model: usize,
    /// Blocks.
    #[schemars(range(min = 1))]
    pub layers: usize,
    /// Query heads, and key-value heads.
    #[schemars(range(min = 1))]
    pub heads: usize,
    /// Width of the feed-forward layer.
    #[schemars(range(min = 1))]
    pub d_ff: usize,
    /// Longest sequence, in tokens.
    #[schemars(range(min = 1))]
    pub context: usize,
    /// Deviation of a weight times the square root of its fan-in.
    #[serde(default = "gain")]
    pub gain: f32,
}

fn gain() -> f32 {
    0.7
}
