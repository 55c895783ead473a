//! Sampling many completions at once: a finished one leaves, the next request enters.
//!
//! Each thread runs sequences of its own. What prompts share at their start is read once
//! (`prefixes`), and a prompt once for all its samples. What a sample says depends on its prompt,
//! its seed and its settings alone.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use critique_core::threads::join_all;
use critique_core::{Completion, Request};

use super::cache::{Cache, Pages, Shape};
use super::crew::Crew;
use super::pass::{Net, Workspace, sized};
use super::prefixes::Prefixes;
use super::read::{Entry, PREFILL, Prefix, Reading, tokens_of};
use super::{CpuEngine, State, check_tokens};
use crate::engine::Ends;
use crate::error::ModelError;
use crate::sample::{Growing, Sampler};

/// Sequences that a thread decodes together.
pub(super) const ROWS: usize = 64;
/// Sequences a thread up to which all threads work on one another's: its products then take as
/// long as reading the weights.
pub(super) const FEW: usize = 8;
/// Parameters of a model whose weights are far larger than caches close to a core.
pub(super) const LARGE: usize = 4 << 20;

/// Samples of one request that one thread draws.
struct Job {
    request: usize,
    samples: Range<usize>,
}

/// A completion in the making.
struct Sequence {
    request: usize,
    sample: usize,
    prefix: Prefix,
    own: Cache,
    sampler: Sampler,
    growing: Growing,
}

impl Sequence {
    fn position(&self) -> usize {
        tokens_of(&self.prefix) + self.own.len()
    }

    fn last_token(&self) -> u32 {
        *self
            .growing
            .tokens()
            .last()
            .expect("a running sequence has sampled a token")
    }
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
    let prefixes = Prefixes::of(requests);
    let threads = engine.team.threads();
    let samples: usize = requests.iter().map(|r| r.seeds.len()).sum();
    let together = threads > 1 && samples <= FEW * threads && engine.config.parameters() >= LARGE;
    // No thread takes so many that another has none.
    let most = samples.div_ceil(threads).clamp(1, ROWS);
    let queue = Queue::new(bundles(requests, &prefixes, most));
    let rows = if together { ROWS } else { most };
    let crew = Crew::new(threads);
    let shape = Shape::of(&engine.config);
    let tokens = |r: &Request| r.prompt.len().saturating_add(r.sampling.max_new_tokens);
    let longest = requests.iter().map(tokens).max().unwrap_or(0);
    let huge = shape.huge(rows.min(samples), longest.min(context));
    let out: Vec<Vec<Option<Completion>>> =
        requests.iter().map(|r| vec![None; r.seeds.len()]).collect();
    let out = Mutex::new(out);
    let budget = engine.kv_bytes / engine.team.threads().max(1);
    let work = || {
        let State { work, logits, head } = engine.pool.take();
        let mut worker = Worker {
            net: Net {
                crew: together.then_some(&crew),
                ..engine.net()
            },
            engine,
            requests,
            prefixes: &prefixes,
            ends,
            work,
            pages: Pages::new(shape, huge),
            logits,
            active: Vec::new(),
            waiting: VecDeque::new(),
            nodes: HashMap::new(),
            rows,
            budget,
        };
        worker.run(&queue, |request, sample, completion| {
            out.lock()
                .expect("no thread panics while it holds the results")[request][sample] =
                Some(completion);
        });
        let Worker { work, logits, .. } = worker;
        engine.pool.give(State { work, head, logits });
    };
    if together {
        crew.run(work);
    } else {
        std::thread::scope(|scope| {
            let work = &work;
            let others = 1..threads.min(queue.bundles.len());
            let others: Vec<_> = others.map(|_| scope.spawn(work)).collect();
            work();
            join_all(others);
        });
    }
    if engine.is_stopped() {
        return Err(ModelError::Stopped);
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

/// Jobs in bundles that one thread takes: requests that share a prefix stay together, as far as
/// they are `most` samples. Longest prompts first.
fn bundles(requests: &[Request], prefixes: &Prefixes, most: usize) -> Vec<Vec<Job>> {
    let mut bundles: Vec<Vec<Job>> = Vec::new();
    let (mut node, mut size) = (None, 0);
    for &request in &prefixes.order {
        let of = prefixes.of_request[request];
        for first in (0..requests[request].seeds.len()).step_by(most) {
            let last = requests[request].seeds.len().min(first + most);
            let job = Job {
                request,
                samples: first..last,
            };
            match bundles.last_mut() {
                Some(bundle) if of.is_some() && of == node && size + last - first <= most => {
                    size += last - first;
                    bundle.push(job);
                }
                _ => {
                    (node, size) = (of, last - first);
                    bundles.push(vec![job]);
                }
            }
        }
    }
    bundles.sort_by_key(|bundle| {
        Reverse(
            bundle
                .iter()
                .map(|j| requests[j.request].prompt.len())
                .max(),
        )
    });
    bundles
}

/// Bundles that no thread has taken yet.
struct Queue {
    bundles: Vec<Vec<Job>>,
    next: AtomicUsize,
}

impl Queue {
    fn new(bundles: Vec<Vec<Job>>) -> Self {
        Self {
            bundles,
            next: AtomicUsize::new(0),
        }
    }

    /// The next bundle, unless its first job has more samples than `room`: a thread that cannot
    /// begin it leaves it to others.
    fn take(&self, room: usize) -> Option<&[Job]> {
        let begins = |at: usize| {
            let bundle = self.bundles.get(at)?;
            (bundle[0].samples.len() <= room).then_some(at + 1)
        };
        let taken = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, begins);
        taken.ok().map(|at| &self.bundles[at][..])
    }
}

/// One thread's sequences and memory.
struct Worker<'a> {
    net: Net<'a>,
    engine: &'a CpuEngine,
    requests: &'a [Request],
    prefixes: &'a Prefixes,
    ends: &'a Ends<'a>,
    work: Workspace,
    /// Memory of all keys and values.
    pages: Pages,
    logits: Vec<f32>,
    active: Vec<Sequence>,
    /// Jobs of the bundle at hand.
    waiting: VecDeque<&'a Job>,
    /// Shared prefixes of that bundle.
    nodes: HashMap<usize, Arc<Cache>>,
    /// Sequences that it decodes together at most.
    rows: usize,
    /// Bytes that keys and values may take.
    budget: usize,
}

impl<'a> Worker<'a> {
    fn run(&mut self, queue: &'a Queue, mut done: impl FnMut(usize, usize, Completion)) {
        while !self.engine.is_stopped() {
            let mut admitted: Vec<&Job> = Vec::new();
            let mut tokens = 0;
            let mut rows = self.active.len();
            while let Some(job) = self.waiting(queue, self.rows - rows) {
                let empty = rows == 0;
                let fits = rows + job.samples.len() <= self.rows
                    && tokens < PREFILL
                    && self.bytes(&admitted, job) <= self.budget;
                if !empty && !fits {
                    break;
                }
                let prompt = self.requests[job.request].prompt.len();
                tokens += prompt - self.prefixes.held(job.request);
                rows += job.samples.len();
                admitted.push(job);
                self.waiting.pop_front();
            }
            if !admitted.is_empty() {
                self.admit(&admitted, &mut done);
            }
            if !self.active.is_empty() {
                self.step(&mut done);
            } else if self.waiting(queue, self.rows).is_none() {
                return;
            }
        }
    }

    /// The job that comes next, where there is room for that many samples.
    fn waiting(&mut self, queue: &'a Queue, room: usize) -> Option<&'a Job> {
        if self.waiting.is_empty()
            && let Some(bundle) = queue.take(room)
        {
            self.waiting.extend(bundle);
        }
        self.waiting.front().copied()
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
            shape.bytes(tokens_of(&s.prefix))
                + shape.bytes(self.requests[s.request].sampling.max_new_tokens)
        };
        self.active.iter().map(running).sum::<usize>()
            + admitted.iter().map(|j| need(j)).sum::<usize>()
            + need(job)
    }

    /// Reads prompts and draws the first token of each sample.
    fn admit(&mut self, jobs: &[&Job], done: &mut impl FnMut(usize, usize, Completion)) {
        self.read_nodes(jobs);
        let mut readings: Vec<Reading<'_>> = jobs
            .iter()
            .map(|job| Reading {
                ids: &self.requests[job.request].prompt[self.prefixes.held(job.request)..],
                prefix: self.prefix(job.request),
                own: Cache::default(),
            })
            .collect();
        let Self {
            net,
            work,
            pages,
            logits,
            active,
            requests,
            engine,
            ends,
            ..
        } = self;
        net.read_all(
            &mut readings,
            (work, pages),
            Some(logits),
            |index, reading, logits| {
                let job = jobs[index];
                let request = &requests[job.request];
                scale_logits(logits, request);
                let read = std::mem::take(&mut reading.own);
                reading.prefix.push(Arc::new(read));
                for sample in job.samples.clone() {
                    let sequence = Sequence {
                        request: job.request,
                        sample,
                        prefix: reading.prefix.clone(),
                        own: Cache::default(),
                        sampler: Sampler::new(request.seeds[sample], &request.sampling),
                        growing: Growing::default(),
                    };
                    grow(sequence, logits, request, engine, ends, active, done);
                }
            },
        );
    }

    /// Reads what the prompts of these jobs share with others, unless it is there.
    fn read_nodes(&mut self, jobs: &[&Job]) {
        let chains: Vec<Vec<usize>> = jobs
            .iter()
            .map(|job| self.prefixes.chain(job.request))
            .collect();
        let wanted = |node: &usize| chains.iter().any(|chain| chain.contains(node));
        let waits = |node: &usize| {
            let mut waiting = self.waiting.iter();
            waiting.any(|job| self.prefixes.chain(job.request).contains(node))
        };
        let mut nodes = std::mem::take(&mut self.nodes);
        nodes.retain(|node, _| wanted(node) || waits(node));
        self.nodes = nodes;
        let deepest = chains.iter().map(Vec::len).max().unwrap_or(0);
        for depth in 0..deepest {
            let mut missing: Vec<usize> = chains
                .iter()
                .filter_map(|chain| chain.get(depth).copied())
                .filter(|node| !self.nodes.contains_key(node))
                .collect();
            missing.sort_unstable();
            missing.dedup();
            let reading = |&node: &usize| {
                let of = &self.prefixes.nodes[node];
                let chain = chains.iter().find(|chain| chain.get(depth) == Some(&node));
                let above = chain.map_or(&[][..], |chain| &chain[..depth]);
                Reading {
                    ids: &self.requests[of.request].prompt[of.from..of.to],
                    prefix: above.iter().map(|n| Arc::clone(&self.nodes[n])).collect(),
                    own: Cache::default(),
                }
            };
            let mut readings: Vec<Reading<'_>> = missing.iter().map(reading).collect();
            let memory = (&mut self.work, &mut self.pages);
            self.net.read_all(&mut readings, memory, None, |_, _, _| {});
            for (node, reading) in missing.into_iter().zip(readings) {
                self.nodes.insert(node, Arc::new(reading.own));
            }
        }
    }

    /// What stands before the tokens that a request does not share.
    fn prefix(&self, request: usize) -> Prefix {
        let chain = self.prefixes.chain(request);
        chain.iter().map(|n| Arc::clone(&self.nodes[n])).collect()
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
                ends: true,
                ids,
                prefix: &sequence.prefix,
                own: &mut sequence.own,
            })
            .collect();
        net.read(&mut entries, &mut self.work, &mut self.pages);
        let vocab = self.engine.config.vocab;
        let logits = sized(&mut self.logits, ids.len() * vocab);
        net.logits(&self.work.normed, 1.0, logits);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_takes_what_it_has_room_to_begin() {
        let job = |samples| Job {
            request: 0,
            samples: 0..samples,
        };
        let queue = Queue::new(vec![vec![job(4), job(4)], vec![job(1)]]);
        // Too full for the first, it leaves all to the others.
        assert!(queue.take(3).is_none());
        assert_eq!(queue.take(4).unwrap().len(), 2);
        assert!(queue.take(0).is_none());
        assert_eq!(queue.take(64).unwrap().len(), 1);
        assert!(queue.take(64).is_none());
    }
}
