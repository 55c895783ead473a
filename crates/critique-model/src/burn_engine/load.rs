//! A decoder on the device from named tensors on the host.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::tensor::{Device, Tensor};

use super::decoder::{Attention, Block, Body, Decoder, Linear, Mlp, RmsNorm, Table};
use super::lora::LowRank;
use super::names::to_device;
use crate::adapter::adapter_tensors;
use crate::config::{Linear as Shape, ModelConfig};
use crate::engine::NamedTensors;
use crate::error::ModelError;
use crate::weights::Misfits;
use critique_core::LoraConfig;

/// Checks the tensors against the configuration and moves them to the device.
///
/// # Errors
///
/// When tensors are missing, unused or misshapen: one error names them all.
pub(super) fn decoder(
    config: &ModelConfig,
    weights: NamedTensors,
    device: &Device,
) -> Result<Decoder, ModelError> {
    check("weights", &config.expected_tensors(), &weights)?;
    let mut loader = Loader {
        config,
        weights,
        device,
    };
    Ok(loader.decoder())
}

/// Puts an adapter on the decoder.
///
/// # Errors
///
/// As [`decoder`].
pub(super) fn add_adapter(
    decoder: &mut Decoder,
    config: &ModelConfig,
    lora: &LoraConfig,
    mut tensors: NamedTensors,
    device: &Device,
) -> Result<(), ModelError> {
    check("adapter", &adapter_tensors(config, lora)?, &tensors)?;
    for (layer, block) in decoder.model.layers.iter_mut().enumerate() {
        for (linear, shape) in block.linears_mut().into_iter().zip(config.linears(layer)) {
            let mut part = |part| {
                let name = format!("base_model.model.{}.lora_{part}.weight", shape.name);
                take(&mut tensors, &name, device)
            };
            linear.lora = part("A").zip(part("B")).map(|(a, b)| LowRank {
                a,
                b,
                scale: lora.scale_of(&shape.name),
            });
        }
    }
    Ok(())
}

/// Refuses tensors that are not exactly those that are wanted.
pub(super) fn check(
    what: &str,
    wanted: &[(String, Vec<usize>)],
    found: &NamedTensors,
) -> Result<(), ModelError> {
    let shapes = found
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice()));
    match Misfits::between(wanted, shapes, |_, _| false).message() {
        Some(message) => Err(ModelError::Other {
            message: format!("{what}: {message}"),
        }),
        None => Ok(()),
    }
}

struct Loader<'a> {
    config: &'a ModelConfig,
    weights: NamedTensors,
    device: &'a Device,
}

impl Loader<'_> {
    fn decoder(&mut self) -> Decoder {
        let config = self.config;
        let model = Body {
            embed_tokens: self.table("model.embed_tokens.weight"),
            layers: (0..config.layers).map(|layer| self.block(layer)).collect(),
            norm: self.norm("model.norm.weight"),
        };
        let lm_head = (!config.tie_word_embeddings).then(|| self.table("lm_head.weight"));
        Decoder { model, lm_head }
    }

    fn block(&mut self, layer: usize) -> Block {
        let config = self.config;
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let [
            q_proj,
            k_proj,
            v_proj,
            o_proj,
            gate_proj,
            up_proj,
            down_proj,
        ] = config.linears(layer).map(|shape| self.linear(&shape));
        let mut head_norm = |part| config.qk_norm.then(|| self.norm(&name(part)));
        let (q_norm, k_norm) = (head_norm("self_attn.q_norm"), head_norm("self_attn.k_norm"));
        Block {
            input_layernorm: self.norm(&name("input_layernorm")),
            self_attn: Attention {
                q_proj,
                k_proj,
                v_proj,
                o_proj,
                q_norm,
                k_norm,
                heads: config.heads,
                kv_heads: config.kv_heads,
                head_dim: config.head_dim,
            },
            post_attention_layernorm: self.norm(&name("post_attention_layernorm")),
            mlp: Mlp {
                gate_proj,
                up_proj,
                down_proj,
            },
        }
    }

    fn linear(&mut self, shape: &Shape) -> Linear {
        let name = &shape.name;
        Linear {
            weight: self.weight(&format!("{name}.weight")),
            bias: shape.bias.then(|| self.weight(&format!("{name}.bias"))),
            lora: None,
        }
    }

    fn norm(&mut self, name: &str) -> RmsNorm {
        RmsNorm {
            weight: self.weight(name),
            eps: self.config.rms_norm_eps,
        }
    }

    fn table(&mut self, name: &str) -> Table {
        Table {
            weight: self.weight(name),
        }
    }

    fn weight<const D: usize>(&mut self, name: &str) -> Param<Tensor<D>> {
        take(&mut self.weights, name, self.device).expect("all tensors were checked to be there")
    }
}

fn take<const D: usize>(
    tensors: &mut BTreeMap<String, crate::engine::HostTensor>,
    name: &str,
    device: &Device,
) -> Option<Param<Tensor<D>>> {
    let tensor = tensors.remove(name)?;
    let shape = <[usize; D]>::try_from(tensor.shape).expect("all shapes were checked");
    Some(Param::from_tensor(to_device(tensor.data, shape, device)))
}
