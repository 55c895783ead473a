//! Sampling in waves of rows: prompts are read once for all their samples, then every row grows
//! by a token at a time with its keys and values kept.
//!
//! Rows are padded on the left, so that all write the same column of the cache. The cache grows
//! by some columns at a time; finished rows leave it then, or once they are half of it.
//! Logits are read to the host, where the sampler of all engines draws from them.

use std::collections::VecDeque;

use burn::tensor::Tensor;
use critique_core::threads::join_all;
use critique_core::{Completion, Request};

use super::BurnEngine;
use super::batch::{check_tokens, padded};
use super::decoder::{FORBIDDEN, Heads, Places};
use super::names::{to_device, to_host};
use super::rope::Rotary;
use crate::engine::Ends;
use crate::error::ModelError;
use crate::sample::{Growing, Sampler};

/// Columns that the cache grows by.
const COLUMNS: usize = 64;
/// Logits that are worth a thread of their own while sampling.
const LOGITS_PER_THREAD: usize = 1 << 18;

/// A completion in the making.
struct Row<'a> {
    request: &'a Request,
    /// Where it goes: index of the request and of the sample.
    place: (usize, usize),
    sampler: Sampler,
    growing: Growing,
    done: bool,
}

/// Keys and values of the rows of a wave.
struct Cache {
    /// Of each layer.
    layers: Vec<(Heads, Heads)>,
    /// Columns of padding before each row's prompt.
    pads: Vec<usize>,
    /// Columns written.
    used: usize,
    /// Columns there are.
    columns: usize,
    /// Forbids the padding; `[rows, 1, 1, columns]`.
    padding: Tensor<4>,
}

pub(super) fn generate(
    engine: &BurnEngine,
    requests: &[Request],
    ends: &Ends<'_>,
) -> Result<Vec<Vec<Completion>>, ModelError> {
    let context = engine.config.max_position_embeddings;
    for request in requests {
        check_tokens(&engine.config, "prompt", &request.prompt)?;
        if request.prompt.len() >= context {
            let tokens = request.prompt.len() + 1;
            return Err(ModelError::TooLong { tokens, context });
        }
    }
    let mut completions: Vec<Vec<Option<Completion>>> = requests
        .iter()
        .map(|it| vec![None; it.seeds.len()])
        .collect();
    let mut waiting = rows(requests);
    while !waiting.is_empty() {
        let wave = engine.next_wave(&mut waiting);
        engine.run_wave(wave, ends, |(request, sample), completion| {
            completions[request][sample] = Some(completion);
        });
    }
    let all = |samples: Vec<Option<_>>| samples.into_iter().flatten().collect();
    Ok(completions.into_iter().map(all).collect())
}

/// Every sample wanted, longest prompts first, samples of a request together.
fn rows(requests: &[Request]) -> VecDeque<Row<'_>> {
    let mut order: Vec<_> = requests.iter().enumerate().collect();
    order.sort_by_key(|(_, request)| std::cmp::Reverse(request.prompt.len()));
    let mut rows = VecDeque::new();
    for (index, request) in order {
        rows.extend(request.seeds.iter().enumerate().map(|(sample, &seed)| Row {
            request,
            place: (index, sample),
            sampler: Sampler::new(seed, &request.sampling),
            growing: Growing::default(),
            done: false,
        }));
    }
    rows
}

impl Row<'_> {
    /// Draws the next token; finds out whether it was the last.
    fn grow(&mut self, logits: &mut [f32], context: usize, ends: &Ends<'_>) {
        let sampling = &self.request.sampling;
        let scale = sampling.log_prob_temperature().recip();
        for logit in logits.iter_mut() {
            *logit *= scale;
        }
        let (token, log_prob) = self.sampler.next(logits);
        self.done = self.growing.push(token, log_prob, sampling, ends);
        if !self.done && self.request.prompt.len() + self.growing.tokens().len() >= context {
            self.growing.stop_at_context();
            self.done = true;
        }
    }
}

impl BurnEngine {
    /// Takes as many rows as fit the limits; at least one.
    fn next_wave<'a>(&self, waiting: &mut VecDeque<Row<'a>>) -> Vec<Row<'a>> {
        let mut wave: Vec<Row<'a>> = Vec::new();
        let (mut prompts, mut longest) = (0, 0);
        while let Some(row) = waiting.front() {
            let new = wave.last().is_none_or(|last| last.place.0 != row.place.0);
            prompts += usize::from(new);
            let new_tokens = row.request.sampling.max_new_tokens;
            longest = longest.max(new_tokens.min(self.config.max_position_embeddings));
            // The first prompt is the longest.
            let seq = padded(wave.first().unwrap_or(row).request.prompt.len());
            if !wave.is_empty() && !self.wave_fits(wave.len() + 1, prompts, seq, longest) {
                break;
            }
            wave.extend(waiting.pop_front());
        }
        wave
    }

    fn wave_fits(&self, rows: usize, prompts: usize, seq: usize, new_tokens: usize) -> bool {
        let config = &self.config;
        let column = 8 * config.layers * config.kv_heads * config.head_dim;
        rows <= self.limits.sampled_rows
            && rows * (seq + new_tokens) * column <= self.limits.cache_bytes
            && prompts * self.tape_bytes(seq) <= self.limits.tape_bytes
    }

    fn run_wave(
        &self,
        mut rows: Vec<Row<'_>>,
        ends: &Ends<'_>,
        mut done: impl FnMut((usize, usize), Completion),
    ) {
        // Which row of the cache each row goes on from: a prompt's at first, then its own.
        let mut slots = prompts_of(&rows);
        let (mut cache, logits) = self.read_prompts(&rows, &slots);
        let vocab = self.config.vocab;
        let of_prompt = |&slot: &usize| &logits[slot * vocab..(slot + 1) * vocab];
        let mut logits: Vec<f32> = slots.iter().flat_map(of_prompt).copied().collect();
        self.sample(&mut rows, &mut logits, ends);
        let mut of_prompts = true;
        loop {
            let live = rows.iter().filter(|row| !row.done).count();
            if live == 0 {
                break;
            }
            if of_prompts || cache.used == cache.columns || 2 * live <= rows.len() {
                let kept = rows.iter().zip(&slots).filter(|(row, _)| !row.done);
                let kept: Vec<usize> = kept.map(|(_, &slot)| slot).collect();
                cache = self.regrow(cache, &kept);
                for row in rows.extract_if(.., |row| row.done) {
                    done(row.place, row.growing.finish(ends));
                }
                slots = (0..rows.len()).collect();
                of_prompts = false;
            }
            logits = self.step(&rows, &mut cache);
            self.sample(&mut rows, &mut logits, ends);
        }
        for row in rows {
            done(row.place, row.growing.finish(ends));
        }
    }

    /// Reads each prompt once; gives a cache with a row a prompt, and the logits after each.
    fn read_prompts(&self, rows: &[Row<'_>], prompt_of: &[usize]) -> (Cache, Vec<f32>) {
        let firsts = prompt_of
            .iter()
            .enumerate()
            .filter(|&(row, prompt)| row == 0 || prompt_of[row - 1] != *prompt);
        let prompts: Vec<&[u32]> = firsts.map(|(row, _)| &*rows[row].request.prompt).collect();
        let seq = padded(prompts.iter().map(|it| it.len()).max().unwrap_or(0));
        let pads: Vec<usize> = prompts.iter().map(|it| seq - it.len()).collect();
        let mut ids = Vec::with_capacity(prompts.len() * seq);
        let mut positions = Vec::with_capacity(prompts.len() * seq);
        for (prompt, &pad) in prompts.iter().zip(&pads) {
            ids.extend(std::iter::repeat_n(0, pad));
            ids.extend(prompt.iter().map(|&id| id as i32));
            positions.extend((0..seq).map(|column| column.saturating_sub(pad) as u32));
        }
        let padding = self.padding(&pads, seq);
        let places = Places {
            batch: prompts.len(),
            seq,
            rotary: Rotary::new(&self.inv_freq, prompts.len(), &positions, &self.device),
            masks: vec![self.causal(seq), padding.clone()],
        };
        let mut layers = Vec::with_capacity(self.config.layers);
        let mut x = self.embed_ids(ids);
        for block in &self.decoder.model.layers {
            x = block.forward(x, &places, |keys, values| {
                layers.push((keys.clone(), values.clone()));
                (keys, values)
            });
        }
        let last: Vec<i32> = (1..=prompts.len())
            .map(|it| (it * seq - 1) as i32)
            .collect();
        let x = x.select(0, self.indices(last));
        let cache = Cache {
            layers,
            pads,
            used: seq,
            columns: seq,
            padding,
        };
        (cache, self.logits(x))
    }

    /// The cache with these of its rows, in this order, and room for another column.
    fn regrow(&self, cache: Cache, kept: &[usize]) -> Cache {
        let pads: Vec<usize> = kept.iter().map(|&row| cache.pads[row]).collect();
        let rows = self.indices(kept.iter().map(|&row| row as i32).collect());
        let columns = (cache.used + 1)
            .next_multiple_of(COLUMNS)
            .max(cache.columns);
        let grow = |heads: Heads| {
            let heads = heads.select(0, rows.clone());
            if columns == cache.columns {
                return heads;
            }
            let mut shape = heads.dims();
            shape[2] = columns - cache.columns;
            Tensor::cat(vec![heads, Tensor::zeros(shape, &self.device)], 2)
        };
        let layers = cache
            .layers
            .into_iter()
            .map(|(k, v)| (grow(k), grow(v)))
            .collect();
        Cache {
            layers,
            padding: self.padding(&pads, columns),
            pads,
            used: cache.used,
            columns,
        }
    }

    /// Reads the last token of each row; gives the logits after it.
    fn step(&self, rows: &[Row<'_>], cache: &mut Cache) -> Vec<f32> {
        let column = cache.used;
        let ids = rows.iter().map(|row| {
            let last = row.growing.tokens().last().copied();
            last.unwrap_or(0) as i32
        });
        let positions: Vec<u32> = cache.pads.iter().map(|pad| (column - pad) as u32).collect();
        let ahead = (0..cache.columns).map(|it| if it > column { FORBIDDEN } else { 0.0 });
        let ahead = to_device(ahead.collect(), [1, 1, 1, cache.columns], &self.device);
        let places = Places {
            batch: rows.len(),
            seq: 1,
            rotary: Rotary::new(&self.inv_freq, rows.len(), &positions, &self.device),
            masks: vec![cache.padding.clone(), ahead],
        };
        let write = |all: &mut Heads, new: Heads| {
            let [rows, heads, _, width] = new.dims();
            let here = [0..rows, 0..heads, column..column + 1, 0..width];
            all.inplace(|all| all.slice_assign(here, new));
            all.clone()
        };
        let mut x = self.embed_ids(ids.collect());
        for (block, (keys, values)) in self.decoder.model.layers.iter().zip(&mut cache.layers) {
            x = block.forward(x, &places, |k, v| (write(keys, k), write(values, v)));
        }
        cache.used += 1;
        self.logits(x)
    }

    /// Draws a token for every row that has not ended.
    fn sample(&self, rows: &mut [Row<'_>], logits: &mut [f32], ends: &Ends<'_>) {
        let (vocab, context) = (self.config.vocab, self.config.max_position_embeddings);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (logits.len() / LOGITS_PER_THREAD).clamp(1, cores);
        let share = rows.len().div_ceil(threads);
        let draw = |rows: &mut [Row<'_>], logits: &mut [f32]| {
            for (row, logits) in rows.iter_mut().zip(logits.chunks_exact_mut(vocab)) {
                if !row.done {
                    row.grow(logits, context, ends);
                }
            }
        };
        std::thread::scope(|scope| {
            let mut shares = rows.chunks_mut(share).zip(logits.chunks_mut(share * vocab));
            let own = shares.next();
            let others: Vec<_> = shares
                .map(|(rows, logits)| scope.spawn(|| draw(rows, logits)))
                .collect();
            if let Some((rows, logits)) = own {
                draw(rows, logits);
            }
            join_all(others);
        });
    }

    /// `[rows, vocab]` on the host, after the hidden states `x`, `[rows, d_model]`.
    fn logits(&self, x: Tensor<2>) -> Vec<f32> {
        let x = self.decoder.model.norm.forward(x);
        to_host(x.matmul(self.decoder.head().transpose()))
    }

    /// Forbids each row's padding on the left.
    fn padding(&self, pads: &[usize], columns: usize) -> Tensor<4> {
        let of_row = |&pad: &usize| {
            (0..columns).map(move |column| if column < pad { FORBIDDEN } else { 0.0 })
        };
        let mask = pads.iter().flat_map(of_row).collect();
        to_device(mask, [pads.len(), 1, 1, columns], &self.device)
    }
}

/// The number of each row's prompt, counted from 0 in the order of rows.
fn prompts_of(rows: &[Row<'_>]) -> Vec<usize> {
    let mut prompt = 0;
    let mut before = None;
    let mut number = |row: &Row<'_>| {
        prompt += usize::from(before.is_some_and(|it| it != row.place.0));
        before = Some(row.place.0);
        prompt
    };
    rows.iter().map(&mut number).collect()
}
