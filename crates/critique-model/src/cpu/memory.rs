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
use super::team::strips;
use crate::config::ModelConfig;
use crate::engine::{Group, LoraConfig};

/// Bytes of a float.
const FLOAT: usize = 4;

/// Memory of a decoder on the CPU, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct CpuMemory<'a> {
    config: &'a ModelConfig,
    lora: Option<&'a LoraConfig>,
    threads: usize,
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
    /// Tokens of a completion.
    pub new_tokens: usize,
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
        }
    }

    /// Weights of the base, those of products in panels. `trained` adds the panels of the
    /// backward pass, which a base below a trained adapter needs too, and rows of what is trained.
    pub fn weights(&self, trained: bool) -> usize {
        let matrices = || self.matrices();
        let forward: usize = matrices().map(|(out, input)| packed_len(input, out)).sum();
        let backward: usize = matrices().map(|(out, input)| packed_len(out, input)).sum();
        let products: usize = matrices().map(|(out, input)| out * input).sum();
        let parameters = self.config.parameters();
        let rotary = self.config.max_position_embeddings * self.config.head_dim;
        let floats = match (trained, self.lora) {
            (false, _) => parameters - products + forward,
            (true, Some(_)) => parameters - products + forward + backward,
            (true, None) => parameters + forward + backward,
        };
        FLOAT * (floats + rotary)
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
    pub fn scoring(&self, groups: &[Group]) -> usize {
        Self::largest(groups, |batch| {
            self.block(batch.ids.len()) + self.forward(batch, false)
        })
    }

    /// Work memory of a training pass over these groups. With `recompute` only the inputs of
    /// blocks are kept.
    pub fn training(&self, groups: &[Group], recompute: bool) -> usize {
        let layers = self.config.layers;
        Self::largest(groups, |batch| {
            let rows = batch.ids.len();
            let kept = if recompute {
                self.block(rows) + FLOAT * layers * rows * self.config.d_model
            } else {
                let after = (layers - 1) * rows + batch.outputs.count;
                layers * self.before(rows) + self.after(after)
            };
            kept + self.forward(batch, true) + self.backward(batch)
        })
    }

    /// Keys, values and work memory while these completions are sampled.
    pub fn sampling(&self, sampled: &Sampled) -> usize {
        let Sampled {
            prompts,
            samples,
            prompt_tokens,
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
        // Pages are whole, but the system gives memory for what is written.
        let caches = active.div_ceil(samples.max(1)) * shape.written(prompt_tokens)
            + active * shape.written(new_tokens);
        let admitted = (rows.div_ceil(samples) * prompt_tokens).min(PREFILL + prompt_tokens);
        let read = admitted.min(2 * PREFILL).max(rows);
        let keys = prompt_tokens + new_tokens;
        let scratch = read * (self.config.d_model + self.config.d_ff) + 2 * BLOCK * row_width(keys);
        let logits = rows * self.config.vocab;
        let worker = self.block(read) + FLOAT * (3 * read * self.config.d_model + scratch + logits);
        caches + threads * worker + FLOAT * active * self.config.vocab
    }

    fn largest(groups: &[Group], bytes: impl Fn(&Batch) -> usize) -> usize {
        batches(groups, BATCH_ROWS, &|_| true)
            .iter()
            .map(bytes)
            .max()
            .unwrap_or(0)
    }

    /// What is kept of a block's forward pass over some rows.
    fn block(&self, rows: usize) -> usize {
        self.before(rows) + self.after(rows)
    }

    /// Of its half before attention.
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
    fn forward(&self, batch: &Batch, backward: bool) -> usize {
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
        FLOAT * (2 * rows * config.d_model + scratch + attention + head + kv)
    }

    /// Buffers of the backward pass.
    fn backward(&self, batch: &Batch) -> usize {
        let config = self.config;
        let rows = batch.ids.len();
        let (d, d_ff) = (config.d_model, config.d_ff);
        let (q, kv) = self.projections();
        let normed = if config.qk_norm { q + kv } else { 0 };
        let of_rows = 4 * d + 2 * d_ff + q + 2 * (q + 2 * kv) + normed;
        let ranks = self.lora.map_or(0, |lora| 8 * lora.r);
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
                let name = linear.name.rsplit('.').next()?;
                let lora = lora?;
                let adapted = lora.target_modules.iter().any(|target| target == name);
                adapted.then_some((linear.d_out, linear.d_in, lora.r))
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
        let lora = LoraConfig {
            r: 3,
            alpha: 6.0,
            target_modules: vec!["q_proj".into(), "down_proj".into()],
        };
        let rotary = FLOAT * config.max_position_embeddings * config.head_dim;
        for lora in [None, Some(&lora)] {
            let weights = CpuEngine::random_weights(&config, 0.7, 1);
            let mut engine = CpuEngine::new(&config, weights, 2).unwrap();
            let plan = CpuMemory::new(&config, lora, 2);
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
                engine.update(1e-3, &crate::engine::AdamW::default());
                let (scores, weights) = (engine.score(&groups(), 1.0), engine.weights());
                let frozen = engine.into_frozen();
                assert_eq!(frozen.weight_bytes() + rotary, plan.weights(false));
                assert_eq!(frozen.weights(), weights);
                assert_eq!(frozen.score(&groups(), 1.0).unwrap(), scores.unwrap());
            }
        }
    }

    #[test]
    fn recomputing_takes_less_than_keeping_and_more_rows_take_more() {
        let config = config();
        let plan = CpuMemory::new(&config, None, 2);
        assert!(plan.training(&groups(), true) < plan.training(&groups(), false));
        assert!(plan.scoring(&groups()) < plan.training(&groups(), true));
        let longer = vec![Group {
            prompt: vec![1; 600],
            completions: vec![vec![2; 400]],
        }];
        assert!(plan.scoring(&groups()) < plan.scoring(&longer));
    }
}
