//! The weights of a decoder, in the layouts that products want.
//!
//! A weight that takes part in products is kept in panels alone, from the moment it is read. It
//! is kept in rows too once it is trained.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::gemm::{
    Aligned, Matrix, PANEL, Panels, pack, pack_panel, packed_len, pair_columns, pair_rows, unpack,
    unpair,
};
use super::region::Region;
use super::team::{Cuts, Team};
use crate::config::ModelConfig;
use crate::engine::NamedTensors;
use crate::error::ModelError;
use crate::weights::Weights;
use critique_core::Dtype;
use critique_core::LoraConfig;

/// Floats that a thread reads and lays out at a time, about.
const PIECE: usize = 1 << 19;

/// Values of one tensor, shared between an engine and its snapshots until one changes them. They
/// are there in rows or in panels for `x Wᵀ`; the other layouts are made when needed.
#[derive(Debug, Default)]
pub(crate) struct Values {
    /// What panels hold. Rows are always floats, and those of other types are in panels alone.
    dtype: Dtype,
    /// As files hold them.
    rows: OnceLock<Vec<f32>>,
    /// `[d_in, d_out]` in panels, for `x Wᵀ`.
    forward: OnceLock<Packed>,
    /// `[d_out, d_in]` in panels, for `dy W`.
    backward: OnceLock<Packed>,
}

impl Values {
    fn in_rows(rows: Vec<f32>) -> Arc<Self> {
        Arc::new(Self {
            rows: rows.into(),
            ..Self::default()
        })
    }

    fn in_panels(panels: Packed, dtype: Dtype) -> Arc<Self> {
        Arc::new(Self {
            dtype,
            forward: panels.into(),
            ..Self::default()
        })
    }

    fn bytes(&self) -> usize {
        let panels = |cell: &OnceLock<Packed>| cell.get().map_or(0, |it| it.len());
        let rows = self.rows.get().map_or(0, Vec::len);
        4 * (rows + panels(&self.forward) + panels(&self.backward))
    }
}

/// A matrix in panels.
#[derive(Debug)]
enum Packed {
    /// In memory of its own.
    Own(Aligned),
    /// In memory that all weights of a model were read into; it is never changed.
    Part(Arc<Region>, Range<usize>),
}

impl Packed {
    fn of(matrix: Matrix<'_>) -> Self {
        let mut panels = Aligned::zeros(packed_len(matrix.rows, matrix.cols));
        pack(matrix, &mut panels);
        Self::Own(panels)
    }

    fn set(&mut self, matrix: Matrix<'_>) {
        match self {
            Self::Own(panels) => pack(matrix, panels),
            Self::Part(..) => *self = Self::of(matrix),
        }
    }
}

impl Deref for Packed {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match self {
            Self::Own(panels) => panels,
            Self::Part(memory, range) => &memory[range.clone()],
        }
    }
}

/// One named tensor.
#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    values: Arc<Values>,
    /// Its place among the trained parameters.
    pub(crate) slot: Option<usize>,
}

impl Param {
    fn new(name: String, shape: Vec<usize>, values: Arc<Values>) -> Self {
        Self {
            name,
            shape,
            values,
            slot: None,
        }
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Values of a norm or a bias, which takes part in no product.
    ///
    /// # Panics
    ///
    /// When they are kept in panels alone.
    pub(crate) fn vector(&self) -> &[f32] {
        self.values.rows.get().expect("a vector is kept as it is")
    }

    /// Appends one row of a matrix.
    pub(crate) fn read_row(&self, row: usize, out: &mut Vec<f32>) {
        let input = self.shape[1];
        if let Some(rows) = self.values.rows.get() {
            out.extend_from_slice(&rows[row * input..(row + 1) * input]);
            return;
        }
        let panels = self.forward();
        let panel = &panels.data[row / PANEL * panels.stride..][..panels.stride];
        let (lines, _) = panel.as_chunks::<PANEL>();
        let words = lines.iter().map(|line| line[row % PANEL]);
        match panels.dtype {
            Dtype::F32 => out.extend(words),
            Dtype::Bf16 => out.extend(values(words).take(input)),
        }
    }

    pub(crate) fn is_adapter(&self) -> bool {
        self.name.starts_with("base_model.")
    }

    /// Changes the values, and with them the packed copies that exist. Others who share them
    /// keep the old ones.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut [f32])) {
        let own = Arc::get_mut(&mut self.values).is_some_and(|it| it.rows.get().is_some());
        if !own {
            self.unshare();
        }
        let values = Arc::get_mut(&mut self.values).expect("nobody shares them any more");
        let rows = values.rows.get_mut().expect("rows are there");
        change(rows);
        if let [out, input] = self.shape[..] {
            let weight = Matrix::rows(rows, out, input, input);
            if let Some(panels) = values.forward.get_mut() {
                panels.set(weight.t());
            }
            if let Some(panels) = values.backward.get_mut() {
                panels.set(weight);
            }
        }
    }

    /// Keeps no other layout beside the panels for `x Wᵀ`, unless others share the values.
    fn settle(&mut self) {
        if let Some(values) = Arc::get_mut(&mut self.values)
            && values.forward.get().is_some()
        {
            values.rows.take();
            values.backward.take();
        }
    }

    /// Copies the values into rows of its own.
    fn unshare(&mut self) {
        self.values = Values::in_rows(self.rows().into_owned());
    }

    /// Panels for `x Wᵀ`.
    pub(crate) fn forward(&self) -> Panels<'_> {
        let (out, input) = (self.shape[0], self.shape[1]);
        let panels = self.values.forward.get_or_init(|| {
            let rows = self.values.rows.get().expect("one layout is always there");
            Packed::of(Matrix::rows(rows, out, input, input).t())
        });
        let dtype = self.values.dtype;
        Panels {
            data: panels,
            stride: PANEL * dtype.words(input),
            n: out,
            dtype,
        }
    }

    /// Panels for `dy W`.
    pub(crate) fn backward(&self) -> Panels<'_> {
        let (out, input) = (self.shape[0], self.shape[1]);
        let dtype = self.values.dtype;
        let panels = self.values.backward.get_or_init(|| {
            let pack =
                |rows: &[f32]| Packed::of(Matrix::rows(rows, dtype.words(out), input, input));
            match (dtype, self.values.rows.get()) {
                (Dtype::F32, Some(rows)) => pack(rows),
                (Dtype::F32, None) => pack(&self.rows()),
                (Dtype::Bf16, _) => {
                    let mut words = vec![0.0; dtype.words(out) * input];
                    pair_columns(&self.rows(), input, &mut words);
                    pack(&words)
                }
            }
        });
        Panels {
            data: panels,
            stride: PANEL * dtype.words(out),
            n: input,
            dtype,
        }
    }

    /// The values in rows: a copy where they lie in panels alone.
    pub(crate) fn rows(&self) -> Cow<'_, [f32]> {
        if let Some(rows) = self.values.rows.get() {
            return Cow::Borrowed(rows);
        }
        let (out, input) = (self.shape[0], self.shape[1]);
        let panels = self.forward();
        let wide = panels.dtype.words(input);
        let mut words = vec![0.0; out * wide];
        unpack(panels, wide, &mut words);
        Cow::Owned(match panels.dtype {
            Dtype::F32 => words,
            Dtype::Bf16 => {
                let mut rows = Vec::with_capacity(self.len());
                for row in words.chunks_exact(wide) {
                    rows.extend(values(row.iter().copied()).take(input));
                }
                rows
            }
        })
    }
}

/// The values of pairs.
fn values(words: impl Iterator<Item = f32>) -> impl Iterator<Item = f32> {
    words.flat_map(|word| {
        let (even, odd) = unpair(word);
        [even, odd]
    })
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
    /// Reads the weights, which must be those that the configuration asks for, with all threads
    /// of the team. Those of products are kept in `dtype`.
    pub(crate) fn new(
        config: &ModelConfig,
        weights: &Weights,
        team: &Team,
        dtype: Dtype,
    ) -> Result<Self, ModelError> {
        let params = read_params(config, weights, team, dtype)?;
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

    /// Trains every parameter. All values are copied into rows now, so that what training needs
    /// beside them is never made for others who share them.
    pub(crate) fn train_all(&mut self) {
        self.params.iter_mut().for_each(Param::unshare);
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

    /// Trains nothing, and keeps nothing for it that no other decoder shares.
    pub(crate) fn settle(&mut self) {
        self.trained.clear();
        self.number_slots();
        self.params.iter_mut().for_each(Param::settle);
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
                if !lora.adapts(&name) {
                    continue;
                }
                let rank = lora.rank_of(&name);
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
                    let values = Values::in_rows(tensor.data);
                    self.params.push(Param::new(name, shape, values));
                    added.push(self.params.len() - 1);
                    Ok(self.params.len() - 1)
                };
                let a = take("A", vec![rank, linear.d_in])?;
                let b = take("B", vec![linear.d_out, rank])?;
                linear.lora = Some(Lora {
                    a,
                    b,
                    rank,
                    scale: lora.scale_of(&name),
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

    /// Bytes of values in all layouts.
    pub(crate) fn bytes(&self) -> usize {
        self.params.iter().map(|p| p.values.bytes()).sum()
    }
}

/// Parameters in the order of the configuration: weights of products in panels, others in rows.
fn read_params(
    config: &ModelConfig,
    weights: &Weights,
    team: &Team,
    dtype: Dtype,
) -> Result<Vec<Param>, ModelError> {
    let tensors = config.expected_tensors();
    for (name, shape) in &tensors {
        weights.check(name, shape)?;
    }
    let products = products(config, dtype);
    let panels = |(name, shape): &(String, Vec<usize>)| match shape[..] {
        [out, input] if products.contains(name) => packed_len(dtype.words(input), out),
        _ => 0,
    };
    let rows = |tensor: &(String, Vec<usize>)| match panels(tensor) {
        0 => vec![0.0; tensor.1.iter().product()],
        _ => Vec::new(),
    };
    // All panels lie in one stretch of memory, which threads touch first as they fill it.
    let mut memory = Region::huge(tensors.iter().map(panels).sum());
    let mut rows: Vec<Vec<f32>> = tensors.iter().map(rows).collect();
    let mut cuts = Cuts::of(&mut memory, 1);
    let mut parts = Vec::new();
    for (tensor, rows) in tensors.iter().zip(&mut rows) {
        parts.push((tensor, cuts.take(panels(tensor)), rows));
    }
    let fill = || {
        let parts = parts.into_par_iter();
        let read = parts.map(|((name, shape), panels, rows)| match shape[..] {
            [out, input] if rows.is_empty() => {
                read_panels(weights, name, [out, input], dtype, panels)
            }
            _ => read_rows(weights, name, rows),
        });
        read.collect()
    };
    first_error(team.run(fill))?;

    let memory = Arc::new(memory);
    let mut end = 0;
    let param = |(tensor, rows): ((String, Vec<usize>), Vec<f32>)| {
        let range = end..end + panels(&tensor);
        end = range.end;
        let values = if range.is_empty() {
            Values::in_rows(rows)
        } else {
            Values::in_panels(Packed::Part(Arc::clone(&memory), range), dtype)
        };
        Param::new(tensor.0, tensor.1, values)
    };
    Ok(tensors.into_iter().zip(rows).map(param).collect())
}

/// Names of the weights that are kept in panels: those that take part in products, and an
/// embedding in bf16, which takes half the memory that way.
fn products(config: &ModelConfig, dtype: Dtype) -> BTreeSet<String> {
    let (embed, head) = ("model.embed_tokens.weight", "lm_head.weight");
    let tables: &[&str] = match (config.tie_word_embeddings, dtype) {
        (true, _) => &[embed],
        (false, Dtype::F32) => &[head],
        (false, Dtype::Bf16) => &[embed, head],
    };
    (0..config.layers)
        .flat_map(|layer| config.linears(layer))
        .map(|linear| format!("{}.weight", linear.name))
        .chain(tables.iter().map(|&name| name.to_owned()))
        .collect()
}

/// Reads a tensor as it is.
fn read_rows(weights: &Weights, name: &str, rows: &mut [f32]) -> Result<(), ModelError> {
    let pieces = rows.par_chunks_mut(PIECE).enumerate();
    let read = pieces.map(|(piece, rows)| weights.read(name, piece * PIECE, rows));
    first_error(read.collect())
}

/// Reads an `[out, input]` matrix, packing its transpose on the way.
fn read_panels(
    weights: &Weights,
    name: &str,
    [out, input]: [usize; 2],
    dtype: Dtype,
    panels: &mut [f32],
) -> Result<(), ModelError> {
    let wide = dtype.words(input);
    let (size, packed) = (PANEL * input, PANEL * wide);
    let count = (PIECE / size).max(1);
    let pieces = panels.par_chunks_mut(count * packed).enumerate();
    let read = pieces.map(|(piece, panels)| {
        let mut rows = vec![0.0; size];
        let mut words = Vec::new();
        for (panel, to) in (piece * count..).zip(panels.chunks_exact_mut(packed)) {
            let lines = PANEL.min(out - panel * PANEL);
            let rows = &mut rows[..lines * input];
            weights.read(name, panel * size, rows)?;
            let rows = match dtype {
                Dtype::F32 => &*rows,
                Dtype::Bf16 => {
                    words.resize(lines * wide, 0.0);
                    pair_rows(rows, input, &mut words);
                    &words
                }
            };
            pack_panel(Matrix::rows(rows, lines, wide, wide).t(), 0, to);
        }
        Ok(())
    });
    first_error(read.collect())
}

/// The first error in the order of the parts, whichever thread was first to meet one.
fn first_error(read: Vec<Result<(), ModelError>>) -> Result<(), ModelError> {
    read.into_iter().collect()
}
