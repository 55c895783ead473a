//! Where models come from.

use std::path::PathBuf;

use critique_core::{Dtype, LoraConfig};
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
