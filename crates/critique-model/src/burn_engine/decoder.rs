//! The decoder as a burn module: fields are named as in Hugging Face checkpoints, and linear
//! weights are `[d_out, d_in]` as they are there.
//!
//! Activations of all rows of a batch lie below each other, `[batch * seq, d_model]`, so every
//! linear layer is one matrix product. All is `f32`.

use burn::module::{Module, Param};
use burn::tensor::activation::silu;
use burn::tensor::{Int, Tensor};

use super::lora::LowRank;
use super::rope::{Rotary, rotate};

/// Stands for minus infinity where attention must not look; large enough that its exponential
/// is 0, and finite so that a row without anything to look at gives no NaN.
pub(super) const FORBIDDEN: f32 = -1e30;

/// Token ids to logits.
#[derive(Module, Debug)]
pub(super) struct Decoder {
    pub(super) model: Body,
    /// None when the embedding is the output layer.
    pub(super) lm_head: Option<Table>,
}

/// Everything below the output layer.
#[derive(Module, Debug)]
pub(super) struct Body {
    pub(super) embed_tokens: Table,
    pub(super) layers: Vec<Block>,
    pub(super) norm: RmsNorm,
}

/// A `[vocab, d_model]` matrix: the embedding or the output layer.
#[derive(Module, Debug)]
pub(super) struct Table {
    pub(super) weight: Param<Tensor<2>>,
}

/// Attention and a feed-forward layer, each behind a norm and beside a residual.
#[derive(Module, Debug)]
pub(super) struct Block {
    pub(super) input_layernorm: RmsNorm,
    pub(super) self_attn: Attention,
    pub(super) post_attention_layernorm: RmsNorm,
    pub(super) mlp: Mlp,
}

/// Grouped-query attention (Ainslie et al. 2023) with rotary positions.
#[derive(Module, Debug)]
pub(super) struct Attention {
    pub(super) q_proj: Linear,
    pub(super) k_proj: Linear,
    pub(super) v_proj: Linear,
    pub(super) o_proj: Linear,
    pub(super) q_norm: Option<RmsNorm>,
    pub(super) k_norm: Option<RmsNorm>,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
}

/// Feed-forward layer with a gate through `SiLU` (Shazeer 2020).
#[derive(Module, Debug)]
#[expect(clippy::struct_field_names, reason = "checkpoints name them so")]
pub(super) struct Mlp {
    pub(super) gate_proj: Linear,
    pub(super) up_proj: Linear,
    pub(super) down_proj: Linear,
}

/// Scales rows to a mean square of 1, then by a weight each.
#[derive(Module, Debug)]
pub(super) struct RmsNorm {
    pub(super) weight: Param<Tensor<1>>,
    pub(super) eps: f64,
}

/// `y = x Wᵀ + b`, and the low-rank adapter's part where there is one.
#[derive(Module, Debug)]
pub(super) struct Linear {
    pub(super) weight: Param<Tensor<2>>,
    pub(super) bias: Option<Param<Tensor<1>>>,
    pub(super) lora: Option<LowRank>,
}

/// What attention knows of the places of queries and keys.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) batch: usize,
    /// Queries a row.
    pub(super) seq: usize,
    pub(super) rotary: Rotary,
    /// 0 or [`FORBIDDEN`], of shapes that broadcast to `[batch, heads, seq, keys]`; their sum
    /// is added to the scores.
    pub(super) masks: Vec<Tensor<4>>,
}

/// Keys or values, `[batch, kv_heads, keys, head_dim]`.
pub(super) type Heads = Tensor<4>;

impl Decoder {
    /// `[vocab, d_model]`: the output layer.
    pub(super) fn head(&self) -> Tensor<2> {
        let table = self.lm_head.as_ref().unwrap_or(&self.model.embed_tokens);
        table.weight.val()
    }

    /// Name of the output layer's weight.
    pub(super) fn head_name(&self) -> &'static str {
        match self.lm_head {
            Some(_) => "lm_head.weight",
            None => "model.embed_tokens.weight",
        }
    }
}

impl Table {
    /// - `ids`: `[tokens]`
    /// - returns: `[tokens, d_model]`
    pub(super) fn look_up(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        self.weight.val().select(0, ids)
    }
}

impl Block {
    /// Its linear layers, in the order of [`ModelConfig::linears`](crate::ModelConfig::linears).
    pub(super) fn linears_mut(&mut self) -> [&mut Linear; 7] {
        let (attention, mlp) = (&mut self.self_attn, &mut self.mlp);
        [
            &mut attention.q_proj,
            &mut attention.k_proj,
            &mut attention.v_proj,
            &mut attention.o_proj,
            &mut mlp.gate_proj,
            &mut mlp.up_proj,
            &mut mlp.down_proj,
        ]
    }

    /// - `x`: `[batch * seq, d_model]`, returned in the same shape
    /// - `keep`: is given the new keys and values and gives those to look at
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        places: &Places,
        keep: impl FnOnce(Heads, Heads) -> (Heads, Heads),
    ) -> Tensor<2> {
        let attended =
            self.self_attn
                .forward(self.input_layernorm.forward(x.clone()), places, keep);
        let x = x + attended;
        let fed = self
            .mlp
            .forward(self.post_attention_layernorm.forward(x.clone()));
        x + fed
    }
}

impl Attention {
    fn forward(
        &self,
        x: Tensor<2>,
        places: &Places,
        keep: impl FnOnce(Heads, Heads) -> (Heads, Heads),
    ) -> Tensor<2> {
        let Places { batch, seq, .. } = *places;
        let (heads, kv_heads, width) = (self.heads, self.kv_heads, self.head_dim);
        let split = |y: Tensor<2>, heads: usize, norm: Option<&RmsNorm>| {
            let y = y.reshape([batch, seq, heads, width]);
            let y = match norm {
                Some(norm) => norm.forward(y),
                None => y,
            };
            y.swap_dims(1, 2)
        };
        let queries = split(self.q_proj.forward(x.clone()), heads, self.q_norm.as_ref());
        let keys = split(
            self.k_proj.forward(x.clone()),
            kv_heads,
            self.k_norm.as_ref(),
        );
        let values = split(self.v_proj.forward(x), kv_heads, None);
        let queries = rotate(queries, &places.rotary).mul_scalar((width as f32).sqrt().recip());
        let (keys, values) = keep(rotate(keys, &places.rotary), values);
        // The query heads that share a key head are neighbours, so they become rows of one
        // product, and keys need no copies.
        let group = heads / kv_heads;
        let seen = keys.dims()[2];
        let queries = queries.reshape([batch, kv_heads, group * seq, width]);
        let scores = queries.matmul(keys.transpose());
        let mut scores = scores.reshape([batch, heads, seq, seen]);
        for mask in &places.masks {
            scores = scores + mask.clone();
        }
        let shares = softmax(scores).reshape([batch, kv_heads, group * seq, seen]);
        let mixed = shares.matmul(values).reshape([batch, heads, seq, width]);
        let mixed = mixed.swap_dims(1, 2).reshape([batch * seq, heads * width]);
        self.o_proj.forward(mixed)
    }
}

/// Softmax over the last dimension. burn's own takes another kernel without a tape, so that old
/// and new log-probs of one policy would differ.
fn softmax(scores: Tensor<4>) -> Tensor<4> {
    let top = scores.clone().max_dim(3).detach();
    let shares = (scores - top).exp();
    let sum = shares.clone().sum_dim(3);
    shares / sum
}

impl Mlp {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = silu(self.gate_proj.forward(x.clone()));
        self.down_proj.forward(gate * self.up_proj.forward(x))
    }
}

impl RmsNorm {
    /// Over the last dimension.
    pub(super) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let mean_square = x.clone().square().mean_dim(D - 1);
        let scale = mean_square.add_scalar(self.eps).sqrt().recip();
        x * scale * self.weight.val().unsqueeze()
    }
}

impl Linear {
    /// - `x`: `[tokens, d_in]`
    /// - returns: `[tokens, d_out]`
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let mut y = x.clone().matmul(self.weight.val().transpose());
        if let Some(bias) = &self.bias {
            y = y + bias.val().unsqueeze();
        }
        match &self.lora {
            Some(lora) => y + lora.forward(x),
            None => y,
        }
    }
}
