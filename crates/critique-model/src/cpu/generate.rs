//! Sampling many completions at once: a finished one leaves, the next request enters.
//!
//! Each thread runs sequences of its own. A prompt is read once for all its samples. What a
//! sample says depends on its prompt, its seed and its settings alone.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use critique_core::{Completion, Request};

use super::attention::{Queries, attend};
use super::cache::{Cache, Shape};
use super::pass::{Net, Rows, Saved, Workspace, sized};
use super::{CpuEngine, State, check_tokens};
use crate::engine::Ends;
use crate::error::ModelError;
use crate::sample::{Growing, Sampler};

/// Sequences that a thread decodes together.
const ROWS: usize = 64;
/// Prompt tokens that a thread reads in one pass.
const PREFILL: usize = 512;

/// Samples of one request that one thread draws.
struct Job {
    request: usize,
    samples: Range<usize>,
}

/// A completion in the making.
struct Sequence {
    request: usize,
    sample: usize,
    prefix: Arc<Cache>,
    own: Cache,
    sampler: Sampler,
    growing: Growing,
}

impl Sequence {
    fn position(&self) -> usize {
        self.prefix.len() + self.own.len()
    }

    fn last_token(&self) -> u32 {
        *self
            .growing
            .tokens()
            .last()
            .expect("a running sequence has sampled a token")
    }
}

/// Tokens to read, after what a prefix and `own` hold.
struct Entry<'a> {
    ids: &'a [u32],
    prefix: Option<&'a Cache>,
    own: &'a mut Cache,
}

pub(crate) fn generate(
    engine: &CpuEngine,
    requests: &[Request],
    ends: &Ends<'_>,
) -> Result<Vec<Vec<Completion>>, ModelError> {
    let context = engine.config.max_position_embeddings;
    for request in requests {
        check_tokens(&engine.config, "prompt", &request.prompt)?;
        if request.prompt.len() >= context {
            return Err(ModelError::TooLong {
                tokens: request.prompt.len() + 1,
                context,
            });
        }
    }
    let jobs = jobs(requests, engine.team.threads());
    // One completion has all threads to itself.
    let alone = jobs.len() == 1 && jobs[0].samples.len() == 1 && engine.team.threads() > 1;
    let next = AtomicUsize::new(0);
    let out: Vec<Vec<Option<Completion>>> =
        requests.iter().map(|r| vec![None; r.seeds.len()]).collect();
    let out = Mutex::new(out);
    let budget = engine.kv_bytes / engine.team.threads().max(1);
    let work = || {
        let State { work, logits, head } = engine.pool.take();
        let mut worker = Worker {
            net: Net {
                shared: alone,
                ..engine.net()
            },
            engine,
            requests,
            ends,
            work,
            logits,
            active: Vec::new(),
            budget,
        };
        worker.run(
            || jobs.get(next.fetch_add(1, Ordering::Relaxed)),
            |request, sample, completion| {
                out.lock()
                    .expect("no thread panics while it holds the results")[request][sample] =
                    Some(completion);
            },
        );
        let Worker { work, logits, .. } = worker;
        engine.pool.give(State { work, head, logits });
    };
    if alone {
        engine.team.run(work);
    } else {
        std::thread::scope(|scope| {
            let work = &work;
            for _ in 1..engine.team.threads().min(jobs.len()) {
                scope.spawn(work);
            }
            work();
        });
    }
    let out = out.into_inner().expect("no thread panicked");
    Ok(out
        .into_iter()
        .map(|samples| {
            samples
                .into_iter()
                .map(|c| c.expect("every job was run"))
                .collect()
        })
        .collect())
}

/// Requests cut so that every thread has some, longest prompts first.
fn jobs(requests: &[Request], threads: usize) -> Vec<Job> {
    let samples: usize = requests.iter().map(|r| r.seeds.len()).sum();
    let most = samples.div_ceil(threads.max(1)).clamp(1, ROWS);
    let mut jobs: Vec<Job> = Vec::new();
    for (request, r) in requests.iter().enumerate() {
        for first in (0..r.seeds.len()).step_by(most) {
            jobs.push(Job {
                request,
                samples: first..r.seeds.len().min(first + most),
            });
        }
    }
    jobs.sort_by_key(|job| Reverse(requests[job.request].prompt.len()));
    jobs
}

/// One thread's sequences and memory.
struct Worker<'a> {
    net: Net<'a>,
    engine: &'a CpuEngine,
    requests: &'a [Request],
    ends: &'a Ends<'a>,
    work: Workspace,
    logits: Vec<f32>,
    active: Vec<Sequence>,
    /// Bytes that keys and values may take.
    budget: usize,
}

impl Worker<'_> {
    fn run<'j>(
        &mut self,
        mut next: impl FnMut() -> Option<&'j Job>,
        mut done: impl FnMut(usize, usize, Completion),
    ) {
        let mut waiting = next();
        loop {
            let mut admitted = Vec::new();
            let mut tokens = 0;
            while let Some(job) = waiting {
                let rows = self.active.len()
                    + admitted
                        .iter()
                        .map(|j: &&Job| j.samples.len())
                        .sum::<usize>();
                let empty = rows == 0;
                let fits = rows + job.samples.len() <= ROWS
                    && tokens < PREFILL
                    && self.bytes(&admitted, job) <= self.budget;
                if !empty && !fits {
                    break;
                }
                tokens += self.requests[job.request].prompt.len();
                admitted.push(job);
                waiting = next();
            }
            if !admitted.is_empty() {
                self.admit(&admitted, &mut done);
            }
            if self.active.is_empty() && waiting.is_none() {
                return;
            }
            if !self.active.is_empty() {
                self.step(&mut done);
            }
        }
    }

    /// Bytes of keys and values when these jobs run to their ends beside the active sequences.
    fn bytes(&self, admitted: &[&Job], job: &Job) -> usize {
        let shape = Shape::of(&self.engine.config);
        let need = |job: &Job| {
            let request = &self.requests[job.request];
            shape.bytes(request.prompt.len())
                + job.samples.len() * shape.bytes(request.sampling.max_new_tokens)
        };
        let running = |s: &Sequence| {
            shape.bytes(s.prefix.len())
                + shape.bytes(self.requests[s.request].sampling.max_new_tokens)
        };
        self.active.iter().map(running).sum::<usize>()
            + admitted.iter().map(|j| need(j)).sum::<usize>()
            + need(job)
    }

    /// Reads prompts and draws the first token of each sample.
    fn admit(&mut self, jobs: &[&Job], done: &mut impl FnMut(usize, usize, Completion)) {
        let shape = Shape::of(&self.engine.config);
        let net = self.net;
        let vocab = self.engine.config.vocab;
        let mut caches: Vec<Cache> = jobs.iter().map(|_| Cache::new(shape)).collect();
        let longest = jobs
            .iter()
            .map(|job| self.requests[job.request].prompt.len())
            .max()
            .unwrap_or(0);
        // All but the last tokens in passes of bounded size, then the last tokens with their logits.
        let per_pass = (2 * PREFILL / jobs.len()).max(16);
        let mut first = 0;
        while first < longest {
            let mut entries = Vec::new();
            let mut ending = Vec::new();
            for (index, (job, own)) in jobs.iter().zip(&mut caches).enumerate() {
                let prompt = &self.requests[job.request].prompt;
                if first < prompt.len() {
                    let last = prompt.len().min(first + per_pass);
                    if last == prompt.len() {
                        ending.push((entries.len(), index));
                    }
                    entries.push(Entry {
                        ids: &prompt[first..last],
                        prefix: None,
                        own,
                    });
                }
            }
            let ends: Vec<usize> = last_rows(&entries);
            net.read(&mut entries, &mut self.work);
            drop(entries);
            let rows: Vec<usize> = ending.iter().map(|&(entry, _)| ends[entry]).collect();
            net.logits_of(&rows, &mut self.work, &mut self.logits);
            for (&(_, index), logits) in ending.iter().zip(self.logits.chunks_exact_mut(vocab)) {
                let job = jobs[index];
                let request = &self.requests[job.request];
                scale_logits(logits, request);
                let prefix = Arc::new(std::mem::replace(&mut caches[index], Cache::new(shape)));
                for sample in job.samples.clone() {
                    let sequence = Sequence {
                        request: job.request,
                        sample,
                        prefix: Arc::clone(&prefix),
                        own: Cache::new(shape),
                        sampler: Sampler::new(request.seeds[sample], &request.sampling),
                        growing: Growing::default(),
                    };
                    grow(
                        sequence,
                        logits,
                        request,
                        self.engine,
                        self.ends,
                        &mut self.active,
                        done,
                    );
                }
            }
            first += per_pass;
        }
    }

    /// Draws one token of every active sequence.
    fn step(&mut self, done: &mut impl FnMut(usize, usize, Completion)) {
        let net = self.net;
        let ids: Vec<u32> = self.active.iter().map(Sequence::last_token).collect();
        let mut entries: Vec<Entry<'_>> = self
            .active
            .iter_mut()
            .zip(ids.chunks_exact(1))
            .map(|(sequence, ids)| Entry {
                ids,
                prefix: Some(&sequence.prefix),
                own: &mut sequence.own,
            })
            .collect();
        net.read(&mut entries, &mut self.work);
        let rows: Vec<usize> = (0..ids.len()).collect();
        net.logits_of(&rows, &mut self.work, &mut self.logits);
        let vocab = self.engine.config.vocab;
        let active = std::mem::take(&mut self.active);
        for (sequence, logits) in active.into_iter().zip(self.logits.chunks_exact_mut(vocab)) {
            let request = &self.requests[sequence.request];
            scale_logits(logits, request);
            grow(
                sequence,
                logits,
                request,
                self.engine,
                self.ends,
                &mut self.active,
                done,
            );
        }
    }
}

/// Rows of the last token of each entry.
fn last_rows(entries: &[Entry<'_>]) -> Vec<usize> {
    entries
        .iter()
        .scan(0, |rows, entry| {
            *rows += entry.ids.len();
            Some(*rows - 1)
        })
        .collect()
}

fn scale_logits(logits: &mut [f32], request: &Request) {
    let temperature = request.sampling.log_prob_temperature();
    if temperature != 1.0 {
        super::simd::scale(logits, 1.0 / temperature);
    }
}

/// Draws a token; the sequence goes on among `active` or is done.
fn grow(
    mut sequence: Sequence,
    logits: &[f32],
    request: &Request,
    engine: &CpuEngine,
    ends: &Ends<'_>,
    active: &mut Vec<Sequence>,
    done: &mut impl FnMut(usize, usize, Completion),
) {
    let (token, log_prob) = sequence.sampler.next(logits);
    let mut ended = sequence
        .growing
        .push(token, log_prob, &request.sampling, ends);
    if !ended && sequence.position() + 1 >= engine.config.max_position_embeddings {
        sequence.growing.stop_at_context();
        ended = true;
    }
    if ended {
        done(
            sequence.request,
            sequence.sample,
            sequence.growing.finish(ends),
        );
    } else {
        active.push(sequence);
    }
}

impl Net<'_> {
    /// Reads the entries' tokens into their caches; `work.normed` holds a row a token then.
    fn read(&self, entries: &mut [Entry<'_>], work: &mut Workspace) {
        let mut ids = Vec::new();
        let mut positions = Vec::new();
        for entry in entries.iter_mut() {
            let before = entry.prefix.map_or(0, Cache::len) + entry.own.len();
            ids.extend_from_slice(entry.ids);
            positions.extend((0..entry.ids.len()).map(|i| (before + i) as u32));
            entry.own.reserve(entry.ids.len());
        }
        work.saved
            .resize_with(work.saved.len().max(1), Saved::default);
        self.embed(&ids, &mut work.x);
        let all = std::iter::once(&positions[..]);
        for (layer, block) in self.decoder.blocks.iter().enumerate() {
            let Workspace {
                x, saved, scratch, ..
            } = &mut *work;
            for mut rows in self.rows(all.clone(), x, &mut saved[0], scratch) {
                self.before_attention(block, &mut rows);
                let mut first = 0;
                for entry in entries.iter_mut() {
                    self.attend_cached(layer, entry, first, &mut rows);
                    first += entry.ids.len();
                }
                self.after_attention(block, &mut rows);
            }
        }
        self.final_norm(work);
        for entry in entries {
            entry.own.advance(entry.ids.len());
        }
    }

    /// Attention of one entry, whose rows start at `first`.
    fn attend_cached(&self, layer: usize, entry: &mut Entry<'_>, first: usize, of: &mut Rows<'_>) {
        let config = self.config;
        let width = config.head_dim;
        let (q_stride, kv_stride) = (config.heads * width, config.kv_heads * width);
        let rows = entry.ids.len();
        for row in 0..rows {
            let at = (first + row) * kv_stride;
            entry.own.write(
                layer,
                row,
                &of.k[at..at + kv_stride],
                &of.v[at..at + kv_stride],
            );
        }
        let read = entry.prefix.map_or(0, Cache::len);
        let own = entry.own.len();
        let scratch = &mut of.scratch.attention;
        let mut spans = Vec::new();
        for kv_head in 0..config.kv_heads {
            spans.clear();
            if let Some(prefix) = entry.prefix {
                prefix.spans(layer, kv_head, read, &mut spans);
            }
            entry.own.spans(layer, kv_head, own + rows, &mut spans);
            let heads = config.query_heads(kv_head);
            if rows == 1 {
                // The heads of one token see the same keys: they are the rows.
                let at = first * q_stride + heads.start * width;
                let queries = Queries {
                    q: &of.q[at..],
                    stride: width,
                    rows: heads.len(),
                    visible: read + own + 1,
                    step: 0,
                    head_dim: width,
                };
                attend(queries, &spans, &mut of.attn[at..], width, scratch);
                continue;
            }
            for head in heads {
                let at = first * q_stride + head * width;
                let queries = Queries {
                    q: &of.q[at..],
                    stride: q_stride,
                    rows,
                    visible: read + own + 1,
                    step: 1,
                    head_dim: width,
                };
                attend(queries, &spans, &mut of.attn[at..], q_stride, scratch);
            }
        }
    }

    /// Logits of some rows of `work.normed`, unscaled, into `logits`.
    fn logits_of(&self, rows: &[usize], work: &mut Workspace, logits: &mut Vec<f32>) {
        let d = self.config.d_model;
        let Workspace { normed, x, .. } = work;
        // `x` is free after the final norm.
        x.clear();
        for &row in rows {
            x.extend_from_slice(&normed[row * d..(row + 1) * d]);
        }
        self.logits(x, 1.0, sized(logits, rows.len() * self.config.vocab));
    }
}
