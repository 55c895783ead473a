//! Threads that share the products of few rows while sampling.
//!
//! A product of few rows takes as long as reading its weights. Where fewer sequences are sampled
//! than keep all threads busy, threads split the columns of each product, so that each reads its
//! part of the weights and all of them are read once. A product takes some microseconds, so
//! helpers wait for the next one without sleeping, as long as the sampling lasts. The order of
//! sums within a column is that of [`gemm`]: no bit depends on the crew.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use critique_core::threads::join_all;

use super::gemm::{Into, Matrix, PANEL, Panels, gemm};
use super::team::pieces;

/// Weights of a product from which on it is shared: reading fewer takes less than handing over.
const WORTH_SHARING: usize = 1 << 16;
/// Turns of waiting before a thread offers its processor to others.
const PATIENCE: usize = 1 << 12;

/// A leader, who runs the pass, and helpers.
#[derive(Debug)]
pub(crate) struct Crew<'a> {
    helpers: Vec<Helper<'a>>,
    done: AtomicBool,
}

/// What a helper and the leader hand each other.
#[derive(Debug, Default)]
struct Helper<'a> {
    /// Products handed over so far, and products finished.
    posted: AtomicUsize,
    finished: AtomicUsize,
    /// Whether it went home, or panicked: then its job is poisoned, and so the leader panics.
    gone: AtomicBool,
    job: Mutex<Job<'a>>,
}

/// Some columns of a product; the memory is kept from one to the next.
#[derive(Debug, Default)]
struct Job<'a> {
    rows: usize,
    a: Vec<f32>,
    b: Option<Panels<'a>>,
    c: Vec<f32>,
}

impl<'a> Crew<'a> {
    /// A crew of this many threads, the leader among them.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            helpers: (1..threads).map(|_| Helper::default()).collect(),
            done: AtomicBool::new(false),
        }
    }

    /// Runs `lead` with the helpers at its side.
    pub(crate) fn run(&self, lead: impl FnOnce()) {
        std::thread::scope(|scope| {
            let spawn = |helper| scope.spawn(move || self.help(helper));
            let helpers: Vec<_> = self.helpers.iter().map(spawn).collect();
            let done = SetOnDrop(&self.done);
            lead();
            drop(done);
            join_all(helpers);
        });
    }

    fn help(&self, helper: &Helper<'a>) {
        let _gone = SetOnDrop(&helper.gone);
        for number in 1.. {
            let posted = || helper.posted.load(Ordering::Acquire) == number;
            wait_until(|| posted() || self.done.load(Ordering::Acquire));
            if !posted() {
                return;
            }
            helper.lock().compute();
            helper.finished.store(number, Ordering::Release);
        }
    }

    /// `C = A B` or `C += A B`, as [`gemm`] with rows side by side. Says no, and does nothing,
    /// where the product is not worth sharing.
    pub(crate) fn product(&self, a: Matrix<'_>, b: Panels<'a>, c: &mut [f32], into: Into) -> bool {
        if a.rows == 0 || a.cols * b.n < WORTH_SHARING || a.col_stride != 1 {
            return false;
        }
        let parts = pieces(b.n.div_ceil(PANEL), self.helpers.len() + 1);
        let columns = |part: usize| {
            let panels = parts.get(part)?;
            let first = panels.start * PANEL;
            Some(first..(panels.end * PANEL).min(b.n))
        };
        for (part, helper) in self.helpers.iter().enumerate() {
            let Some(columns) = columns(part + 1) else {
                break;
            };
            let mut job = helper.lock();
            job.fill(a, b, &columns);
            if into == Into::Sum {
                job.load(c, b.n, &columns);
            } else {
                job.c.fill(0.0);
            }
            drop(job);
            helper.posted.fetch_add(1, Ordering::Release);
        }
        let own = Panels {
            n: columns(0).map_or(0, |columns| columns.len()),
            ..b
        };
        gemm(a, own, c, b.n, into);
        for (part, helper) in self.helpers.iter().enumerate() {
            let Some(columns) = columns(part + 1) else {
                break;
            };
            let posted = helper.posted.load(Ordering::Relaxed);
            wait_until(|| {
                helper.finished.load(Ordering::Acquire) == posted
                    || helper.gone.load(Ordering::Acquire)
            });
            helper.lock().store(c, b.n, &columns);
        }
        true
    }
}

impl<'a> Helper<'a> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Job<'a>> {
        self.job
            .lock()
            .expect("no thread panics while it holds a product")
    }
}

impl<'a> Job<'a> {
    fn fill(&mut self, a: Matrix<'_>, b: Panels<'a>, columns: &std::ops::Range<usize>) {
        self.rows = a.rows;
        self.a.clear();
        for row in 0..a.rows {
            let at = row * a.row_stride;
            self.a.extend_from_slice(&a.data[at..at + a.cols]);
        }
        self.b = Some(Panels {
            data: &b.data[columns.start / PANEL * b.stride..],
            n: columns.len(),
            ..b
        });
        self.c.resize(a.rows * columns.len(), 0.0);
    }

    /// Takes what the sums go on from.
    fn load(&mut self, c: &[f32], stride: usize, columns: &std::ops::Range<usize>) {
        for (own, c) in self
            .c
            .chunks_exact_mut(columns.len())
            .zip(c.chunks_exact(stride))
        {
            own.copy_from_slice(&c[columns.clone()]);
        }
    }

    /// Gives back the columns.
    fn store(&self, c: &mut [f32], stride: usize, columns: &std::ops::Range<usize>) {
        for (own, c) in self
            .c
            .chunks_exact(columns.len())
            .zip(c.chunks_exact_mut(stride))
        {
            c[columns.clone()].copy_from_slice(own);
        }
    }

    fn compute(&mut self) {
        let Self { rows, a, b, c } = self;
        if let Some(b) = b {
            let cols = a.len() / *rows;
            // Sums begin with what `c` holds: 0 where they are fresh.
            gemm(Matrix::rows(a, *rows, cols, cols), *b, c, b.n, Into::Sum);
        }
    }
}

/// Sets a flag at the end of a scope, also by a panic: nobody waits for who is gone.
struct SetOnDrop<'f>(&'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    let mut turns = 0;
    while !condition() {
        turns += 1;
        if turns % PATIENCE == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::gemm::{Aligned, pack, packed_len};
    use critique_core::Rng;

    #[test]
    fn shared_products_have_the_bits_of_their_own() {
        let mut rng = Rng::new(1);
        for threads in [1, 2, 5] {
            for (m, k, n) in [(1, 300, 300), (3, 512, 129), (7, 64, 1024), (2, 70_000, 1)] {
                let a: Vec<f32> = (0..m * k).map(|_| rng.normal()).collect();
                let w: Vec<f32> = (0..k * n).map(|_| rng.normal()).collect();
                let mut packed = Aligned::zeros(packed_len(k, n));
                pack(Matrix::rows(&w, k, n, n), &mut packed);
                let panels = Panels::floats(&packed, PANEL * k, n);
                for into in [Into::Fresh, Into::Sum] {
                    let start: Vec<f32> = (0..m * n).map(|_| rng.normal()).collect();
                    let rows = Matrix::rows(&a, m, k, k);
                    let (mut own, mut shared) = (start.clone(), start);
                    gemm(rows, panels, &mut own, n, into);
                    let crew = Crew::new(threads);
                    crew.run(|| {
                        assert!(crew.product(rows, panels, &mut shared, into));
                    });
                    assert_eq!(own, shared, "{threads} threads, {m}x{k}x{n} {into:?}");
                }
            }
        }
    }

    #[test]
    fn small_products_are_left_to_the_leader() {
        let crew = Crew::new(2);
        let data = vec![0.0; 1 << 16];
        for (rows, cols, n) in [(1, 1, 32), (0, 64, 1024)] {
            let panels = Panels::floats(&data, PANEL * cols, n);
            let a = vec![1.0; rows * cols];
            let a = Matrix::rows(&a, rows, cols, cols);
            assert!(!crew.product(a, panels, &mut vec![0.0; rows * n], Into::Fresh));
        }
    }

    #[test]
    #[should_panic(expected = "no thread panics while it holds a product")]
    fn the_leader_does_not_wait_for_a_helper_that_panicked() {
        // The last panel lacks a value.
        let data = vec![0.0; 300 * 512 - 1];
        let panels = Panels::floats(&data, PANEL * 300, 512);
        let crew = Crew::new(2);
        let a = [0.0; 300];
        crew.run(|| {
            crew.product(
                Matrix::rows(&a, 1, 300, 300),
                panels,
                &mut [0.0; 512],
                Into::Fresh,
            );
        });
    }
}
