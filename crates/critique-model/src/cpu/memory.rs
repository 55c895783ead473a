//! What the CPU engine will hold in memory, worked out from shapes before anything runs.
//!
//! Each figure follows the buffers of the code that it speaks of; a test compares the sum with
//! what engines really hold.

use super::BATCH_ROWS;
use super::attention::{BLOCK, row_width};
use super::cache::Shape;
use super::gemm::packed_len;
use super::generate::{FEW, LARGE, ROWS};
use super::head::chunk_rows;
use super::layout::{Batch, batches};
use super::read::PREFILL;
use super::region::HUGE_PAGE;
use super::team::strips;
use crate::config::ModelConfig;
use crate::engine::Group;
use critique_core::Dtype;
use critique_core::LoraConfig;

/// Bytes of a float.
const FLOAT: usize = 4;

/// Memory of a decoder on the CPU, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct CpuMemory<'a> {
    config: &'a ModelConfig,
    lora: Option<&'a LoraConfig>,
    threads: usize,
    dtype: Dtype,
}

/// Completions that are sampled together.
#[derive(Debug, Clone, Copy)]
pub struct Sampled {
    /// Prompts.
    pub prompts: usize,
    /// Completions of each.
    pub samples: usize,
    /// Tokens of a prompt.
    pub prompt_tokens: usize,
    /// Prompts that begin with the same `shared_tokens` tokens, which are read once for them.
    pub siblings: usize,
    /// See there.
    pub shared_tokens: usize,
    /// Tokens of a completion.
    pub new_tokens: usize,
}

/// Work memory of passes, by buffers that passes of different kinds have in common.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct WorkMemory {
    /// Activations of the first block, before its attention and from there on.
    before: usize,
    after: usize,
    /// Those of the other blocks, or the inputs of all.
    kept: usize,
    /// Rows on their way, and of the final norm.
    rows: usize,
    scratch: usize,
    /// Keys and values in panels.
    kv: usize,
    head: usize,
    backward: usize,
    /// Logits of sampling.
    logits: usize,
}

impl WorkMemory {
    /// What is left when one pass after the other has worked in the same memory.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        Self {
            before: self.before.max(other.before),
            after: self.after.max(other.after),
            kept: self.kept.max(other.kept),
            rows: self.rows.max(other.rows),
            scratch: self.scratch.max(other.scratch),
            kv: self.kv.max(other.kv),
            head: self.head.max(other.head),
            backward: self.backward.max(other.backward),
            logits: self.logits.max(other.logits),
        }
    }

    /// All of it, in bytes.
    pub fn total(self) -> usize {
        self.before
            + self.after
            + self.kept
            + self.rows
            + self.scratch
            + self.kv
            + self.head
            + self.backward
            + self.logits
    }
}

/// What sampling takes.
#[derive(Debug, Default, Clone, Copy)]
pub struct SamplingMemory {
    /// Threads that sample.
    pub threads: usize,
    /// Work memory of each.
    pub work: WorkMemory,
    /// Bytes of keys, values and the like, which go back to the system at the end.
    pub given_back: usize,
}

/// Work memory that the engines of a process keep between them, as they come to need it.
#[derive(Debug, Default, Clone, Copy)]
pub struct KeptMemory {
    /// Of passes, and of the first thread that samples.
    first: WorkMemory,
    /// Of each other thread that samples.
    other: WorkMemory,
    others: usize,
}

impl KeptMemory {
    /// A pass of scoring or training.
    pub fn pass(&mut self, work: WorkMemory) {
        self.first = self.first.most(work);
    }

    /// A call that samples.
    pub fn sampling(&mut self, sampling: &SamplingMemory) {
        self.first = self.first.most(sampling.work);
        if sampling.threads > 1 {
            self.other = self.other.most(sampling.work);
            self.others = self.others.max(sampling.threads - 1);
        }
    }

    /// All of it, in bytes.
    pub fn total(&self) -> usize {
        self.first.total() + self.others * self.other.total()
    }
}

impl<'a> CpuMemory<'a> {
    /// Stacks of threads, the allocator, tables: what a process takes beside the figures below.
    pub const OVERHEAD: usize = 3 << 20;

    /// Of a decoder with this adapter, run by this many threads.
    pub fn new(config: &'a ModelConfig, lora: Option<&'a LoraConfig>, threads: usize) -> Self {
        Self {
            config,
            lora,
            threads: threads.max(1),
            dtype: Dtype::F32,
        }
    }

    /// With the weights of products in `dtype`, unless they are trained.
    #[must_use]
    pub fn with_dtype(self, dtype: Dtype) -> Self {
        Self { dtype, ..self }
    }

    /// Weights of the base as they are made or read, and the tables of its positions.
    pub fn stored(&self) -> usize {
        let products: usize = self.matrices().map(|(out, input)| out * input).sum();
        FLOAT * (self.dtype.words(products) + self.others(self.dtype))
    }

    /// Weights of the base, those of products in panels. `trained` adds the panels of the
    /// backward pass, which a base below a trained adapter needs too, and rows of what is trained.
    pub fn weights(&self, trained: bool) -> usize {
        let matrices = || self.matrices();
        let dtype = match (trained, self.lora) {
            (true, None) => Dtype::F32,
            _ => self.dtype,
        };
        let packed = |k, n| packed_len(dtype.words(k), n);
        let forward: usize = matrices().map(|(out, input)| packed(input, out)).sum();
        let backward: usize = matrices().map(|(out, input)| packed(out, input)).sum();
        let products: usize = matrices().map(|(out, input)| out * input).sum();
        let floats = match (trained, self.lora) {
            (false, _) => forward,
            (true, Some(_)) => forward + backward,
            (true, None) => products + forward + backward,
        };
        FLOAT * (floats + self.others(dtype))
    }

    /// Floats of what takes part in no product: vectors, tables of positions, and an embedding of
    /// its own, which is packed in bf16 alone.
    fn others(&self, dtype: Dtype) -> usize {
        let (vocab, d) = (self.config.vocab, self.config.d_model);
        let products: usize = self.matrices().map(|(out, input)| out * input).sum();
        let rotary = self.config.max_position_embeddings * self.config.head_dim;
        let vectors = self.config.parameters() - products + rotary;
        match (self.config.tie_word_embeddings, dtype) {
            (false, Dtype::Bf16) => vectors - vocab * d + packed_len(dtype.words(d), vocab),
            _ => vectors,
        }
    }

    /// The adapter's weights and their copies; 0 without one.
    pub fn adapter(&self) -> usize {
        let floats = |(out, input, rank): (usize, usize, usize)| {
            let matrix = |out, input| out * input + packed_len(input, out) + packed_len(out, input);
            matrix(rank, input) + matrix(out, rank)
        };
        FLOAT * self.adapted().map(floats).sum::<usize>()
    }

    /// Floats that training changes.
    pub fn trained(&self) -> usize {
        match self.lora {
            Some(_) => self
                .adapted()
                .map(|(out, input, r)| r * (out + input))
                .sum(),
            None => self.config.parameters(),
        }
    }

    /// Gradients and both moments of `AdamW`.
    pub fn optimizer(&self) -> usize {
        3 * FLOAT * self.trained()
    }

    /// Work memory of scoring these groups.
    pub fn scoring(&self, groups: &[Group]) -> WorkMemory {
        Self::most(groups, |batch| {
            let rows = batch.ids.len();
            WorkMemory {
                before: self.before(rows),
                after: self.after(rows),
                ..self.forward(batch, false)
            }
        })
    }

    /// Work memory of a training pass over these groups. With `recompute` only the inputs of
    /// blocks are kept.
    pub fn training(&self, groups: &[Group], recompute: bool) -> WorkMemory {
        let others = self.config.layers - 1;
        Self::most(groups, |batch| {
            let rows = batch.ids.len();
            let kept = if recompute {
                FLOAT * self.config.layers * rows * self.config.d_model
            } else {
                // The last block's second half is that of the rows that are read.
                others * self.before(rows)
                    + others.saturating_sub(1) * self.after(rows)
                    + others.min(1) * self.after(batch.outputs.count)
            };
            WorkMemory {
                before: self.before(rows),
                after: self.after(rows),
                kept,
                backward: self.backward(batch),
                ..self.forward(batch, true)
            }
        })
    }

    /// What sampling these completions takes.
    pub fn sampling(&self, sampled: &Sampled) -> SamplingMemory {
        let Sampled {
            prompts,
            samples,
            prompt_tokens,
            siblings,
            shared_tokens,
            new_tokens,
        } = *sampled;
        let total = prompts * samples;
        let threads = if total <= FEW * self.threads && self.config.parameters() >= LARGE {
            1
        } else {
            self.threads.min(total)
        };
        let shape = Shape::of(self.config);
        let rows = total.div_ceil(threads).min(ROWS);
        let active = (threads * rows).min(total);
        // Pages are whole, but the system gives memory for what is written. Where many sequences
        // come one after the other, pages change hands until all of each was written.
        let many = total > 2 * active;
        let huge = shape.huge(rows, prompt_tokens + new_tokens);
        let touched = |tokens| {
            if many || huge {
                shape.bytes(tokens)
            } else {
                shape.written(tokens)
            }
        };
        let asked = active.div_ceil(samples.max(1));
        let stretches = asked.div_ceil(siblings.max(1));
        let caches = stretches * touched(shared_tokens)
            + asked * touched(prompt_tokens - shared_tokens)
            + active * touched(new_tokens)
            + if huge { threads * HUGE_PAGE } else { 0 };
        let admitted = (rows.div_ceil(samples) * prompt_tokens).min(PREFILL + prompt_tokens);
        let read = admitted.min(2 * PREFILL).max(rows);
        let (d, d_ff) = (self.config.d_model, self.config.d_ff);
        let keys = prompt_tokens + new_tokens;
        let work = WorkMemory {
            before: self.before(read),
            after: self.after(read),
            rows: FLOAT * (read + rows) * d,
            scratch: FLOAT * (read * (d + d_ff) + 2 * BLOCK * row_width(keys)),
            // A thread draws from weights that it keeps.
            logits: FLOAT * (rows + 1) * self.config.vocab,
            ..WorkMemory::default()
        };
        SamplingMemory {
            threads,
            work,
            given_back: caches,
        }
    }

    fn most(groups: &[Group], work: impl Fn(&Batch) -> WorkMemory) -> WorkMemory {
        batches(groups, BATCH_ROWS, &|_| true)
            .iter()
            .map(work)
            .fold(WorkMemory::default(), WorkMemory::most)
    }

    /// What is kept of a block's forward pass over some rows, of its half before attention.
    fn before(&self, rows: usize) -> usize {
        let config = self.config;
        let (q, kv) = self.projections();
        let raw = if config.qk_norm {
            q + kv + config.heads + config.kv_heads
        } else {
            0
        };
        FLOAT * rows * (config.d_model + 1 + q + 2 * kv + raw)
    }

    /// Of attention and the half after it.
    fn after(&self, rows: usize) -> usize {
        let (q, _) = self.projections();
        FLOAT * rows * (self.config.d_model + 1 + q + 2 * self.config.d_ff)
    }

    /// Widths of queries and of keys.
    fn projections(&self) -> (usize, usize) {
        let config = self.config;
        (
            config.heads * config.head_dim,
            config.kv_heads * config.head_dim,
        )
    }

    /// Memory of a forward pass beside what is kept, with the head.
    fn forward(&self, batch: &Batch, backward: bool) -> WorkMemory {
        let config = self.config;
        let rows = batch.ids.len();
        let keys = longest(batch);
        let strips = strips(rows, self.threads);
        let scratch: usize = strips
            .iter()
            .map(|s| s.len() * (config.d_model + config.d_ff))
            .sum();
        let attention = strips.len() * BLOCK * (config.head_dim + row_width(keys));
        let chunk = chunk_rows(config.vocab, self.threads).min(batch.targets.len());
        let head = chunk * (config.d_model + config.vocab + 1)
            + if backward {
                chunk * config.d_model + packed_len(chunk, config.d_model)
            } else {
                0
            };
        let layouts = if backward { 2 } else { 1 };
        let kv: usize = batch
            .segments
            .iter()
            .map(|segment| {
                let len = segment.rows.len();
                let width = config.head_dim;
                config.kv_heads * layouts * (packed_len(width, len) + packed_len(len, width))
            })
            .sum();
        WorkMemory {
            rows: FLOAT * 2 * rows * config.d_model,
            scratch: FLOAT * (scratch + attention),
            kv: FLOAT * kv,
            head: FLOAT * head,
            ..WorkMemory::default()
        }
    }

    /// Buffers of the backward pass.
    fn backward(&self, batch: &Batch) -> usize {
        let config = self.config;
        let rows = batch.ids.len();
        let (d, d_ff) = (config.d_model, config.d_ff);
        let (q, kv) = self.projections();
        let normed = if config.qk_norm { q + kv } else { 0 };
        let of_rows = 4 * d + 2 * d_ff + q + 2 * (q + 2 * kv) + normed;
        let ranks = self.adapted().map(|(_, _, rank)| rank).max();
        let ranks = 8 * ranks.unwrap_or(0);
        // Inputs of layers in panels: all of them where their weights are trained, those of
        // adapted layers where adapters are.
        let panels = packed_len(rows, d_ff) + packed_len(rows, d) + packed_len(rows, q);
        let attention = batch.trees().len() * config.kv_heads * {
            let panel = packed_len(BLOCK, config.head_dim);
            2 * panel + BLOCK * (config.head_dim + 2 * row_width(longest(batch)))
        };
        FLOAT * (rows * (of_rows + ranks) + panels + attention)
    }

    /// Rows and columns of every weight that takes part in products.
    fn matrices(&self) -> impl Iterator<Item = (usize, usize)> {
        let config = self.config;
        (0..config.layers)
            .flat_map(|layer| config.linears(layer))
            .map(|linear| (linear.d_out, linear.d_in))
            .chain([(config.vocab, config.d_model)])
    }

    /// Rows, columns and rank of every adapted layer.
    fn adapted(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let lora = self.lora;
        (0..self.config.layers)
            .flat_map(|layer| self.config.linears(layer))
            .filter_map(move |linear| {
                let lora = lora?;
                let rank = lora.rank_of(&linear.name);
                lora.adapts(&linear.name)
                    .then_some((linear.d_out, linear.d_in, rank))
            })
    }
}

/// Keys that the last token of the longest sequence sees.
fn longest(batch: &Batch) -> usize {
    let end = |segment: &super::layout::Segment| segment.before + segment.rows.len();
    batch.segments.iter().map(end).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::CpuEngine;
    use crate::cpu::gemm::Aligned;
    use crate::engine::{Engine, NamedTensors};

    fn config() -> ModelConfig {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/golden/models/qwen2-untied"
        );
        ModelConfig::load(std::path::Path::new(path)).unwrap()
    }

    fn groups() -> Vec<Group> {
        let group = Group {
            prompt: vec![1; 20],
            completions: vec![vec![2; 9]; 3],
        };
        vec![group; 4]
    }

    #[test]
    fn weights_take_what_was_predicted_once_every_product_has_run() {
        let config = config();
        let lora = LoraConfig::new(3, 6.0, vec!["q_proj".into(), "down_proj".into()]);
        let rotary = FLOAT * config.max_position_embeddings * config.head_dim;
        let cases = [
            (Dtype::F32, None),
            (Dtype::F32, Some(&lora)),
            (Dtype::Bf16, None),
            (Dtype::Bf16, Some(&lora)),
        ];
        for (dtype, lora) in cases {
            let weights = CpuEngine::random_weights(&config, 0.7, 1);
            let mut engine = CpuEngine::with_dtype(&config, weights, 2, dtype).unwrap();
            let plan = CpuMemory::new(&config, lora, 2).with_dtype(dtype);
            engine.score(&groups(), 1.0).unwrap();
            assert_eq!(engine.weight_bytes() + rotary, plan.weights(false));
            match lora {
                Some(lora) => engine
                    .add_adapter(lora, NamedTensors::new(), true, 1)
                    .unwrap(),
                None => engine.train_all(),
            }
            let loss = |_: crate::engine::TokenRun, _: &[f32], grad: &mut [f32]| grad.fill(0.1);
            engine.accumulate(&groups(), 1.0, &loss).unwrap();
            assert_eq!(
                engine.weight_bytes() + rotary,
                plan.weights(true) + plan.adapter()
            );
            let trained: usize = engine.gradients().values().map(|g| g.data.len()).sum();
            assert_eq!(3 * FLOAT * trained, plan.optimizer());
            if lora.is_none() {
                engine
                    .update(1e-3, &critique_core::AdamW::default())
                    .unwrap();
                let (scores, weights) = (engine.score(&groups(), 1.0), engine.weights());
                engine.settle();
                let frozen = engine;
                let plan = plan.with_dtype(Dtype::F32);
                assert_eq!(frozen.weight_bytes() + rotary, plan.weights(false));
                assert_eq!(frozen.weights(), weights);
                assert_eq!(frozen.score(&groups(), 1.0).unwrap(), scores.unwrap());
            }
        }
    }

    /// Bytes of everything that a pass left in its memory.
    fn held(state: &crate::cpu::State) -> usize {
        let work = &state.work;
        let mut floats = vec![&work.x, &work.normed, &work.final_inv, &state.logits];
        floats.extend(&work.inputs);
        for saved in &work.saved {
            let (before, after) = (&saved.before, &saved.after);
            floats.extend([&before.x, &before.inv1, &before.q, &before.k, &before.v]);
            floats.extend([&before.q_raw, &before.k_raw, &before.q_inv, &before.k_inv]);
            floats.extend([&after.attn, &after.mid, &after.inv2, &after.gate, &after.up]);
        }
        let mut aligned = 0;
        for scratch in &work.scratch {
            floats.extend([&scratch.hidden, &scratch.act, &scratch.rank]);
            aligned += scratch.attention.bytes();
        }
        for kv in &work.kv {
            let panels = [&kv.k_cols, &kv.v_rows, &kv.k_rows, &kv.v_cols];
            aligned += panels.into_iter().map(Aligned::bytes).sum::<usize>();
        }
        let floats: usize = floats.into_iter().map(Vec::capacity).sum();
        FLOAT * floats + aligned + work.back.bytes() + state.head.bytes()
    }

    #[test]
    fn what_passes_keep_is_what_was_predicted() {
        let config = ModelConfig {
            layers: 3,
            d_ff: 160,
            ..config()
        };
        let plan = CpuMemory::new(&config, None, 2);
        let groups: Vec<Group> = groups().into_iter().cycle().take(12).collect();
        for recompute in [false, true] {
            let weights = CpuEngine::random_weights(&config, 0.7, 1);
            let mut engine = CpuEngine::new(&config, weights, 2).unwrap();
            engine.pool = std::sync::Arc::default();
            engine.train_all();
            engine.set_recompute(recompute);
            let mut kept = KeptMemory::default();
            kept.pass(plan.scoring(&groups));
            kept.pass(plan.training(&groups, recompute));
            let loss = |_: crate::engine::TokenRun, _: &[f32], grad: &mut [f32]| grad.fill(0.1);
            for _ in 0..2 {
                engine.score(&groups, 1.0).unwrap();
                engine.accumulate(&groups, 1.0, &loss).unwrap();
                let states = engine.pool.0.lock().unwrap();
                assert_eq!(states.len(), 1, "passes share one set of buffers");
                let (used, planned) = (held(&states[0]) as f64, kept.total() as f64);
                let off = used / planned - 1.0;
                assert!(off.abs() < 0.08, "{used} bytes of {planned}, {recompute}");
            }
        }
    }

    #[test]
    fn recomputing_takes_less_than_keeping_and_more_rows_take_more() {
        let config = config();
        let plan = CpuMemory::new(&config, None, 2);
        let training = |recompute| plan.training(&groups(), recompute).total();
        let scoring = |groups: &[Group]| plan.scoring(groups).total();
        assert!(training(true) < training(false));
        assert!(scoring(&groups()) < training(true));
        let longer = vec![Group {
            prompt: vec![1; 600],
            completions: vec![vec![2; 400]],
        }];
        assert!(scoring(&groups()) < scoring(&longer));
    }
}
