//! How a model is trained, in the words that run files, engines and servers share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `AdamW` with decoupled weight decay (Loshchilov and Hutter 2019), `f32` state.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay, applied to matrices only.
    pub weight_decay: f32,
    /// Largest global norm of the gradients; larger ones are scaled down. 0 never clips.
    pub max_grad_norm: f32,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
        }
    }
}

/// A low-rank adapter on linear layers (Hu et al. 2021), with PEFT's meaning of each field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank.
    #[schemars(range(min = 1))]
    pub r: usize,
    /// The adapter's output is scaled by `alpha / r`.
    pub alpha: f32,
    /// Last part of the names of the adapted layers, such as `q_proj`.
    #[serde(default = "LoraConfig::all_linear")]
    pub target_modules: Vec<String>,
}

impl LoraConfig {
    /// That there are modules, all of which a model has.
    ///
    /// # Errors
    ///
    /// What the list is or holds instead, as a sentence goes on behind the field's name.
    pub fn check_modules(&self) -> Result<(), String> {
        let known = Self::all_linear();
        let unknown = self.target_modules.iter().find(|it| !known.contains(it));
        let found = match unknown {
            Some(other) => format!("holds `{other}`"),
            None if self.target_modules.is_empty() => "is empty".to_owned(),
            None => return Ok(()),
        };
        Err(format!("{found}; supported are `{}`", known.join("`, `")))
    }

    /// The seven linear layers of a block.
    pub fn all_linear() -> Vec<String> {
        [
            "q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            "gate_proj",
            "up_proj",
            "down_proj",
        ]
        .map(String::from)
        .to_vec()
    }

    /// Factor on the adapter's output.
    pub fn scale(&self) -> f32 {
        self.alpha / self.r as f32
    }
}

/// The type that products with weights compute in. Sums, attention, norms and everything that is
/// trained stay in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32 bits.
    #[default]
    #[serde(alias = "float32")]
    F32,
    /// 16 bits with the range of 32: frozen weights are kept in it, and the rows that they
    /// multiply are rounded to it. Half the memory, and up to twice as fast on CPUs that have
    /// `vdpbf16ps`; others get the same bits.
    #[serde(alias = "bfloat16")]
    Bf16,
}

impl Dtype {
    /// Words of 32 bits that `k` values take.
    pub fn words(self, k: usize) -> usize {
        match self {
            Self::F32 => k,
            Self::Bf16 => k.div_ceil(2),
        }
    }
}
