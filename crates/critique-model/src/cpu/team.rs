//! Threads that share one pass.
//!
//! A pass is a row of regions; in each, threads take parts that write to memory of their own, and
//! the next begins when all are done. Which thread takes which part is open, so no part's result
//! may depend on it. Within a region a part is a strip of rows, a block of a gradient's rows, or
//! an attention head.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

/// Rows of a strip: what they compute fits the second-level cache.
const STRIP: usize = 128;

/// Threads that run passes. Engines with as many threads share them.
#[derive(Debug, Clone)]
pub(crate) struct Team {
    pool: Arc<rayon::ThreadPool>,
    threads: usize,
}

impl Team {
    /// A team of this many threads; 0 takes as many as the machine has.
    pub(crate) fn new(threads: usize) -> Self {
        static POOLS: Mutex<BTreeMap<usize, Arc<rayon::ThreadPool>>> = Mutex::new(BTreeMap::new());
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let mut pools = POOLS
            .lock()
            .expect("no thread panics while it holds the pools");
        let pool = pools.entry(threads).or_insert_with(|| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|i| format!("pass-{i}"))
                .build()
                .expect("the system gives threads");
            Arc::new(pool)
        });
        Self {
            pool: Arc::clone(pool),
            threads,
        }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Runs a pass on the team; [`each`] within it uses all threads.
    pub(crate) fn run<T: Send>(&self, pass: impl FnOnce() -> T + Send) -> T {
        self.pool.install(pass)
    }

    /// Cuts `rows` rows into strips.
    pub(crate) fn strips(&self, rows: usize) -> Vec<Range<usize>> {
        strips(rows, self.threads)
    }
}

/// Cuts `rows` rows into strips, as many for each of `threads`.
pub(crate) fn strips(rows: usize, threads: usize) -> Vec<Range<usize>> {
    // Fewer rows than this are not worth a thread of their own.
    let most = rows.div_ceil(12).max(1);
    let even = rows.div_ceil(STRIP).next_multiple_of(threads);
    pieces(rows, even.min(most))
}

/// Runs `job` on every part, on the threads of the team that runs the pass.
pub(crate) fn each<T: Send>(parts: Vec<T>, job: impl Fn(T) + Sync + Send) {
    if parts.len() == 1 {
        parts.into_iter().for_each(job);
    } else {
        parts.into_par_iter().with_max_len(1).for_each(job);
    }
}

/// Nearly equal pieces of `0..len`; none is empty but where `len` is 0.
pub(crate) fn pieces(len: usize, count: usize) -> Vec<Range<usize>> {
    let count = count.clamp(1, len.max(1));
    (0..count)
        .map(|i| i * len / count..(i + 1) * len / count)
        .collect()
}

/// A buffer of rows, handed out from its start.
pub(crate) struct Cuts<'a, T> {
    rest: &'a mut [T],
    width: usize,
}

impl<'a, T: Clone + Default> Cuts<'a, T> {
    /// Sets the buffer to `rows` rows of `width` values, which will be overwritten.
    pub(crate) fn sized(buffer: &'a mut Vec<T>, rows: usize, width: usize) -> Self {
        let len = rows * width;
        if buffer.capacity() < len {
            // Exactly as much, and what was there goes first.
            *buffer = Vec::new();
            *buffer = vec![T::default(); len];
        }
        buffer.resize(len, T::default());
        Self::of(buffer, width)
    }
}

impl<'a, T> Cuts<'a, T> {
    pub(crate) fn of(rest: &'a mut [T], width: usize) -> Self {
        Self { rest, width }
    }

    /// The next rows.
    pub(crate) fn take(&mut self, rows: usize) -> &'a mut [T] {
        let (taken, rest) = std::mem::take(&mut self.rest).split_at_mut(rows * self.width);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_cover_all_rows_in_order() {
        for threads in [1, 2, 3, 16] {
            let team = Team::new(threads);
            for rows in [1, 11, 12, 100, 129, 1000] {
                let strips = team.strips(rows);
                assert_eq!(strips[0].start, 0);
                assert!(strips.windows(2).all(|w| w[0].end == w[1].start));
                assert_eq!(strips[strips.len() - 1].end, rows);
                assert!(strips.iter().all(|s| !s.is_empty() && s.len() <= STRIP));
            }
        }
        assert_eq!(Team::new(2).strips(1000).len(), 8);
    }

    #[test]
    fn every_part_is_run_once() {
        let mut values = vec![0; 100];
        let parts: Vec<&mut i32> = values.iter_mut().collect();
        Team::new(3).run(|| each(parts, |value| *value += 1));
        assert!(values.iter().all(|&v| v == 1));
    }
}
