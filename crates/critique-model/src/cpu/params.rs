//! The weights of a decoder, in the layouts that products want.

use std::sync::{Arc, OnceLock};

use super::gemm::{Aligned, Matrix, PANEL, Panels, pack, packed_len};
use crate::config::ModelConfig;
use crate::engine::{HostTensor, LoraConfig, NamedTensors};
use crate::error::ModelError;

/// Values of one tensor, shared between an engine and its snapshots until one changes them.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) data: Vec<f32>,
    /// `[d_in, d_out]` in panels, for `x Wᵀ`.
    forward: OnceLock<Aligned>,
    /// `[d_out, d_in]` in panels, for `dy W`.
    backward: OnceLock<Aligned>,
}

impl Clone for Values {
    fn clone(&self) -> Self {
        Self {
            data: self.data.clone(),
            ..Self::default()
        }
    }
}

/// One named tensor.
#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Arc<Values>,
    /// Its place among the trained parameters.
    pub(crate) slot: Option<usize>,
}

impl Param {
    pub(crate) fn data(&self) -> &[f32] {
        &self.values.data
    }

    fn is_adapter(&self) -> bool {
        self.name.starts_with("base_model.")
    }

    /// Changes the values, and with them the packed copies that exist.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut [f32])) {
        let values = Arc::make_mut(&mut self.values);
        change(&mut values.data);
        if let [out, input] = self.shape[..] {
            let weight = Matrix::rows(&values.data, out, input, input);
            if let Some(packed) = values.forward.get_mut() {
                pack(weight.t(), packed);
            }
            if let Some(packed) = values.backward.get_mut() {
                pack(weight, packed);
            }
        }
    }

    /// Panels for `x Wᵀ`.
    pub(crate) fn forward(&self) -> Panels<'_> {
        let (out, input) = (self.shape[0], self.shape[1]);
        let packed = self.values.forward.get_or_init(|| {
            let mut packed = Aligned::zeros(packed_len(input, out));
            pack(
                Matrix::rows(self.data(), out, input, input).t(),
                &mut packed,
            );
            packed
        });
        Panels {
            data: packed,
            stride: PANEL * input,
            n: out,
        }
    }

    /// Panels for `dy W`.
    pub(crate) fn backward(&self) -> Panels<'_> {
        let (out, input) = (self.shape[0], self.shape[1]);
        let packed = self.values.backward.get_or_init(|| {
            let mut packed = Aligned::zeros(packed_len(out, input));
            pack(Matrix::rows(self.data(), out, input, input), &mut packed);
            packed
        });
        Panels {
            data: packed,
            stride: PANEL * out,
            n: input,
        }
    }

    fn tensor(&self) -> HostTensor {
        HostTensor {
            shape: self.shape.clone(),
            data: self.data().to_vec(),
        }
    }
}

/// A linear layer: places of its tensors among the parameters.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    pub(crate) weight: usize,
    pub(crate) bias: Option<usize>,
    pub(crate) lora: Option<Lora>,
    pub(crate) d_in: usize,
    pub(crate) d_out: usize,
}

/// A low-rank adapter of a linear layer: `y += scale * (x Aᵀ) Bᵀ`.
#[derive(Debug, Clone)]
pub(crate) struct Lora {
    pub(crate) a: usize,
    pub(crate) b: usize,
    pub(crate) rank: usize,
    pub(crate) scale: f32,
}

/// One transformer block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) norm1: usize,
    pub(crate) norm2: usize,
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) o: Linear,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
    pub(crate) q_norm: Option<usize>,
    pub(crate) k_norm: Option<usize>,
}

impl Block {
    pub(crate) fn linears_mut(&mut self) -> [&mut Linear; 7] {
        [
            &mut self.q,
            &mut self.k,
            &mut self.v,
            &mut self.o,
            &mut self.gate,
            &mut self.up,
            &mut self.down,
        ]
    }
}

/// All parameters and how they are wired.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    pub(crate) params: Vec<Param>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) embed: usize,
    pub(crate) norm: usize,
    /// Output layer; its weight is the embedding's when tied.
    pub(crate) head: usize,
    /// Places of the trained parameters, by slot.
    pub(crate) trained: Vec<usize>,
}

impl Decoder {
    /// Takes the weights, which must be exactly those that the configuration asks for.
    pub(crate) fn new(config: &ModelConfig, mut weights: NamedTensors) -> Result<Self, ModelError> {
        let mut params = Vec::new();
        for (name, shape) in config.expected_tensors() {
            let Some(tensor) = weights.remove(&name) else {
                return Err(ModelError::Other {
                    message: format!("weight `{name}` is missing"),
                });
            };
            if tensor.shape != shape || tensor.data.len() != shape.iter().product::<usize>() {
                let message = format!(
                    "weight `{name}` has shape {:?}; the configuration asks for {shape:?}",
                    tensor.shape
                );
                return Err(ModelError::Other { message });
            }
            let values = Arc::new(Values {
                data: tensor.data,
                ..Values::default()
            });
            params.push(Param {
                name,
                shape,
                values,
                slot: None,
            });
        }
        let find = |name: &str| {
            params
                .iter()
                .position(|p| p.name == name)
                .expect("expected_tensors names every tensor")
        };
        let blocks = (0..config.layers)
            .map(|layer| {
                let prefix = format!("model.layers.{layer}");
                let [q, k, v, o, gate, up, down] = config.linears(layer).map(|linear| Linear {
                    weight: find(&format!("{}.weight", linear.name)),
                    bias: linear.bias.then(|| find(&format!("{}.bias", linear.name))),
                    lora: None,
                    d_in: linear.d_in,
                    d_out: linear.d_out,
                });
                let head_norm = |name: &str| {
                    config
                        .qk_norm
                        .then(|| find(&format!("{prefix}.self_attn.{name}.weight")))
                };
                Block {
                    norm1: find(&format!("{prefix}.input_layernorm.weight")),
                    norm2: find(&format!("{prefix}.post_attention_layernorm.weight")),
                    q_norm: head_norm("q_norm"),
                    k_norm: head_norm("k_norm"),
                    q,
                    k,
                    v,
                    o,
                    gate,
                    up,
                    down,
                }
            })
            .collect();
        let embed = find("model.embed_tokens.weight");
        let head = if config.tie_word_embeddings {
            embed
        } else {
            find("lm_head.weight")
        };
        let norm = find("model.norm.weight");
        Ok(Self {
            blocks,
            embed,
            norm,
            head,
            params,
            trained: Vec::new(),
        })
    }

    /// Trains every parameter. Values that others share are copied now, so that what training
    /// needs beside them is never made for the others.
    pub(crate) fn train_all(&mut self) {
        for param in &mut self.params {
            param.values = Arc::new(Values::clone(&param.values));
        }
        self.trained = (0..self.params.len()).collect();
        self.number_slots();
    }

    pub(crate) fn has_adapter(&self) -> bool {
        self.params.iter().any(Param::is_adapter)
    }

    /// Trains the adapter alone.
    pub(crate) fn train_adapter(&mut self) {
        self.trained = (0..self.params.len())
            .filter(|&i| self.params[i].is_adapter())
            .collect();
        self.number_slots();
    }

    fn number_slots(&mut self) {
        self.params.iter_mut().for_each(|p| p.slot = None);
        for (slot, &param) in self.trained.iter().enumerate() {
            self.params[param].slot = Some(slot);
        }
    }

    /// Adds an adapter. `tensors` holds its values by PEFT name.
    pub(crate) fn add_adapter(
        &mut self,
        lora: &LoraConfig,
        mut tensors: NamedTensors,
        train: bool,
    ) -> Result<(), ModelError> {
        let mut added = Vec::new();
        for block in &mut self.blocks {
            for linear in block.linears_mut() {
                let name = self.params[linear.weight]
                    .name
                    .trim_end_matches(".weight")
                    .to_owned();
                if !lora
                    .target_modules
                    .iter()
                    .any(|target| name.rsplit('.').next() == Some(target))
                {
                    continue;
                }
                let mut take = |which: &str, shape: Vec<usize>| {
                    let name = format!("base_model.model.{name}.lora_{which}.weight");
                    let tensor = tensors.remove(&name).ok_or_else(|| ModelError::Other {
                        message: format!("adapter tensor `{name}` is missing"),
                    })?;
                    if tensor.shape != shape {
                        let message = format!(
                            "adapter tensor `{name}` has shape {:?}; the model and rank ask for {shape:?}",
                            tensor.shape
                        );
                        return Err(ModelError::Other { message });
                    }
                    let values = Arc::new(Values {
                        data: tensor.data,
                        ..Values::default()
                    });
                    self.params.push(Param {
                        name,
                        shape,
                        values,
                        slot: None,
                    });
                    added.push(self.params.len() - 1);
                    Ok(self.params.len() - 1)
                };
                let a = take("A", vec![lora.r, linear.d_in])?;
                let b = take("B", vec![linear.d_out, lora.r])?;
                linear.lora = Some(Lora {
                    a,
                    b,
                    rank: lora.r,
                    scale: lora.scale(),
                });
            }
        }
        if let Some(name) = tensors.keys().next() {
            return Err(ModelError::Other {
                message: format!("adapter tensor `{name}` fits no layer of `target_modules`"),
            });
        }
        self.trained = if train { added } else { Vec::new() };
        self.number_slots();
        Ok(())
    }

    /// Drops panels of the backward pass that no other decoder shares.
    pub(crate) fn forget_backward(&mut self) {
        for param in &mut self.params {
            if let Some(values) = Arc::get_mut(&mut param.values) {
                values.backward = OnceLock::new();
            }
        }
    }

    /// Tensors of the base (`adapter` false) or of the adapter.
    pub(crate) fn tensors(&self, adapter: bool) -> NamedTensors {
        let chosen = self.params.iter().filter(|p| p.is_adapter() == adapter);
        chosen.map(|p| (p.name.clone(), p.tensor())).collect()
    }

    /// Bytes of values and packed copies.
    pub(crate) fn bytes(&self) -> usize {
        let packed = |cell: &OnceLock<Aligned>| cell.get().map_or(0, Aligned::bytes);
        self.params
            .iter()
            .map(|p| 4 * p.data().len() + packed(&p.values.forward) + packed(&p.values.backward))
            .sum()
    }
}
