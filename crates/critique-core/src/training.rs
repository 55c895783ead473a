//! How a model is trained, in the words that run files, engines and servers share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::given::shown;

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
    /// Names of the adapted layers, or the ends of them, such as `q_proj`.
    #[serde(default = "LoraConfig::all_linear")]
    pub target_modules: Vec<String>,
    /// Rank and alpha of the layers that have others, by their whole names. Adapters that were
    /// made elsewhere may have them; a run file has no such field.
    #[serde(skip)]
    pub layers: BTreeMap<String, LayerLora>,
}

/// Rank and scale of an adapter on one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerLora {
    /// Rank.
    pub r: usize,
    /// The output is scaled by `alpha / r`.
    pub alpha: f32,
}

impl LoraConfig {
    /// An adapter with one rank and scale for all layers.
    pub fn new(r: usize, alpha: f32, target_modules: Vec<String>) -> Self {
        Self {
            r,
            alpha,
            target_modules,
            layers: BTreeMap::new(),
        }
    }

    /// That there are modules, all of which may be linear layers of a block.
    ///
    /// # Errors
    ///
    /// What the list is or holds instead, as a sentence goes on behind the field's name.
    pub fn check_modules(&self) -> Result<(), String> {
        let unknown = self.target_modules.iter().find(|it| !is_linear(it));
        let found = match unknown {
            Some(other) => format!("holds `{}`", shown(other)),
            None if self.target_modules.is_empty() => "is empty".to_owned(),
            None => return Ok(()),
        };
        let known = Self::all_linear().join("`, `");
        Err(format!("{found}; supported are `{known}`"))
    }

    /// The seven linear layers of a block.
    pub fn all_linear() -> Vec<String> {
        let last = |name: &&str| name.rsplit('.').next().unwrap_or_default().to_owned();
        LINEARS.iter().map(last).collect()
    }

    /// Whether `target` names a layer: in full, or by the end of its name.
    pub fn names(target: &str, layer: &str) -> bool {
        match layer.strip_suffix(target) {
            Some(before) => before.is_empty() || before.ends_with('.'),
            None => false,
        }
    }

    /// Whether a layer, by its whole name, is adapted.
    pub fn adapts(&self, layer: &str) -> bool {
        let mut targets = self.target_modules.iter();
        targets.any(|target| Self::names(target, layer))
    }

    /// Rank on a layer, by its whole name.
    pub fn rank_of(&self, layer: &str) -> usize {
        self.layers.get(layer).map_or(self.r, |it| it.r)
    }

    /// Factor on the adapter's output at a layer, by its whole name.
    pub fn scale_of(&self, layer: &str) -> f32 {
        let layer = self.layers.get(layer).copied();
        let LayerLora { r, alpha } = layer.unwrap_or(LayerLora {
            r: self.r,
            alpha: self.alpha,
        });
        alpha / r as f32
    }

    /// Factor on the adapter's output where a layer has none of its own.
    pub fn scale(&self) -> f32 {
        self.alpha / self.r as f32
    }
}

/// The linear layers of a block by their names in it.
const LINEARS: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

/// Whether a name, or the end of one, may be that of a linear layer of a block.
fn is_linear(target: &str) -> bool {
    let mut parts = target.split('.').rev();
    let last = parts.next();
    let Some(linear) = LINEARS.iter().find(|it| it.rsplit('.').next() == last) else {
        return false;
    };
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let before = [
        linear.split('.').next(),
        None,
        Some("layers"),
        Some("model"),
    ];
    let fits = |(part, wanted): (&str, Option<&str>)| match wanted {
        Some(wanted) => part == wanted,
        None => is_number(part),
    };
    let parts: Vec<_> = parts.collect();
    parts.len() <= before.len() && parts.into_iter().zip(before).all(fits)
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
