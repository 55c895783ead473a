//! From hidden rows to log-probs of given tokens, and back, a few rows of logits at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::gemm::{Aligned, Into, Matrix, gemm};
use super::layout::{Batch, Target};
use super::params::Param;
use super::pass::{Grads, Net, Workspace, zeroed};
use super::simd::{add_assign, max, scale, simd, sum_exp};
use super::sums::Sums;
use super::team::{Cuts, each};
use crate::engine::TokenLoss;

/// Targets of one thread whose logits are held at a time: enough to read the head's weights
/// seldom.
const ROWS: usize = 96;
/// Logits held at a time, in floats, unless [`ROWS`] targets need more.
const MOST_LOGITS: usize = 16 << 20;

/// Log-sum-exp of a row: its shift and the logarithm of its sum, so that
/// `log p(j) = (logit_j - shift) - log_sum`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normaliser {
    pub(crate) shift: f32,
    pub(crate) log_sum: f32,
}

impl Normaliser {
    /// Of logits that are already divided by the temperature. Sampling and scoring both come
    /// through here.
    pub(crate) fn of(logits: &[f32]) -> Self {
        let shift = max(logits);
        Self {
            shift,
            log_sum: sum_exp(logits, shift).ln(),
        }
    }

    /// Log-prob of the token with this logit, in nats.
    pub(crate) fn log_prob(self, logit: f32) -> f32 {
        (logit - self.shift) - self.log_sum
    }
}

/// Reused memory.
#[derive(Debug, Default)]
pub(crate) struct HeadScratch {
    rows: Vec<f32>,
    logits: Vec<f32>,
    drows: Vec<f32>,
    upstream: Vec<f32>,
    panels: Vec<Aligned>,
}

#[cfg(test)]
impl HeadScratch {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let floats = [&self.rows, &self.logits, &self.drows, &self.upstream];
        let panels: usize = self.panels.iter().map(Aligned::bytes).sum();
        4 * floats.into_iter().map(Vec::capacity).sum::<usize>() + panels
    }
}

/// A strip of targets and their rows.
struct Strip<'a> {
    targets: &'a [Target],
    /// Hidden rows: `[targets, d_model]`.
    rows: &'a mut [f32],
    /// `[targets, vocab]`; with a loss, gradients of the logits in the end.
    logits: &'a mut [f32],
    /// Gradients of the hidden rows.
    drows: &'a mut [f32],
    log_probs: &'a mut [f32],
    /// Derivative of the loss by each log-prob.
    upstream: &'a mut [f32],
}

impl<'a> Net<'a> {
    /// Logits of hidden rows divided by `temperature`, into `logits` of `[rows, vocab]`.
    pub(crate) fn logits(&self, hidden: &[f32], temperature: f32, logits: &mut [f32]) {
        let d = self.config.d_model;
        let rows = Matrix::rows(hidden, hidden.len() / d, d, d);
        let head: &'a Param = &self.decoder.params[self.decoder.head];
        self.product(rows, head.forward(), logits, Into::Fresh);
        if temperature != 1.0 {
            scale(logits, 1.0 / temperature);
        }
    }

    /// Log-prob of every target of the batch, in their order. With `backward`, also the gradients
    /// of the loss: of the head, into its gradients, and of the rows of `work.normed`, into
    /// `work.back.dx`.
    pub(crate) fn log_probs(
        &self,
        batch: &Batch,
        temperature: f32,
        work: &mut Workspace,
        scratch: &mut HeadScratch,
        mut backward: Option<(&dyn TokenLoss, &mut Grads)>,
    ) -> Vec<f32> {
        let chunk = chunk_rows(self.config.vocab, self.team.threads());
        let mut out = vec![0.0; batch.targets.len()];
        if backward.is_some() {
            zeroed(&mut work.back.dx, work.normed.len());
        }
        for (targets, out) in batch.targets.chunks(chunk).zip(out.chunks_mut(chunk)) {
            let loss = backward.as_ref().map(|(loss, _)| *loss);
            let any = self.chunk(targets, temperature, &work.normed, scratch, out, loss);
            if let (true, Some((_, grads))) = (any, &mut backward) {
                self.head_back(targets, scratch, &mut work.back.dx, grads);
            }
        }
        out
    }

    /// Log-probs of some targets; with a loss, also gradients of their logits and rows. Says
    /// whether there is any gradient.
    fn chunk(
        &self,
        targets: &[Target],
        temperature: f32,
        normed: &[f32],
        scratch: &mut HeadScratch,
        out: &mut [f32],
        loss: Option<&dyn TokenLoss>,
    ) -> bool {
        let (d, vocab) = (self.config.d_model, self.config.vocab);
        let n = targets.len();
        let any = AtomicBool::new(false);
        let with_loss = |rows: usize| if loss.is_some() { rows } else { 0 };
        let mut rows = Cuts::sized(&mut scratch.rows, n, d);
        let mut logits = Cuts::sized(&mut scratch.logits, n, vocab);
        let mut drows = Cuts::sized(&mut scratch.drows, with_loss(n), d);
        let mut upstream = Cuts::sized(&mut scratch.upstream, n, 1);
        let mut log_probs = Cuts::of(out, 1);
        let strip = |range: Range<usize>| Strip {
            rows: rows.take(range.len()),
            logits: logits.take(range.len()),
            drows: drows.take(with_loss(range.len())),
            log_probs: log_probs.take(range.len()),
            upstream: upstream.take(range.len()),
            targets: &targets[range],
        };
        each(
            self.team.strips(n).into_iter().map(strip).collect(),
            |strip: Strip<'_>| {
                for (target, row) in strip.targets.iter().zip(strip.rows.chunks_exact_mut(d)) {
                    row.copy_from_slice(&normed[target.output * d..(target.output + 1) * d]);
                }
                self.logits(strip.rows, temperature, strip.logits);
                let norms: Vec<Normaliser> = strip
                    .logits
                    .chunks_exact(vocab)
                    .map(Normaliser::of)
                    .collect();
                for (i, (target, norm)) in strip.targets.iter().zip(&norms).enumerate() {
                    let logit = strip.logits[i * vocab + target.token as usize];
                    strip.log_probs[i] = norm.log_prob(logit);
                }
                if let Some(loss) = loss
                    && self.strip_back(strip, &norms, temperature, loss)
                {
                    any.store(true, Ordering::Relaxed);
                }
            },
        );
        any.into_inner()
    }

    /// Turns logits into their gradients, and these into those of the hidden rows.
    fn strip_back(
        &self,
        strip: Strip<'_>,
        norms: &[Normaliser],
        temperature: f32,
        loss: &dyn TokenLoss,
    ) -> bool {
        let (d, vocab) = (self.config.d_model, self.config.vocab);
        let Strip {
            targets,
            logits,
            drows,
            log_probs,
            upstream,
            ..
        } = strip;
        upstream.fill(0.0);
        for run in runs(targets) {
            loss.gradient(
                targets[run.start].at,
                &log_probs[run.clone()],
                &mut upstream[run],
            );
        }
        for (((target, row), norm), &g) in targets
            .iter()
            .zip(logits.chunks_exact_mut(vocab))
            .zip(norms)
            .zip(&*upstream)
        {
            // d log p(t) / d z_j = (1[j = t] - p_j) / temperature
            let g = g / temperature;
            negative_softmax(row, norm.shift, norm.log_sum, g);
            row[target.token as usize] += g;
        }
        let any = upstream.iter().any(|&g| g != 0.0);
        if any {
            let head = &self.decoder.params[self.decoder.head];
            let dlogits = Matrix::rows(logits, targets.len(), vocab, vocab);
            gemm(dlogits, head.backward(), drows, d, Into::Fresh);
        } else {
            drows.fill(0.0);
        }
        any
    }

    /// Adds the gradients of rows and of the head that [`Net::chunk`] left in `scratch`.
    fn head_back(
        &self,
        targets: &[Target],
        scratch: &mut HeadScratch,
        dx: &mut [f32],
        grads: &mut Grads,
    ) {
        let (d, vocab) = (self.config.d_model, self.config.vocab);
        // Completions of one prompt begin after the same row, so rows may come more than once.
        for (target, drow) in targets.iter().zip(scratch.drows.chunks_exact(d)) {
            add_assign(&mut dx[target.output * d..(target.output + 1) * d], drow);
        }
        let slot = self.decoder.params[self.decoder.head].slot;
        let mut sums = Sums::default();
        sums.product(slot, (&scratch.logits, vocab), (&scratch.rows, d));
        sums.add(&mut scratch.panels, grads, self.team.threads());
    }
}

/// Targets whose logits are held at a time. No result depends on it.
pub(super) fn chunk_rows(vocab: usize, threads: usize) -> usize {
    let wanted = ROWS * threads.max(2);
    let most = (MOST_LOGITS / vocab).max(ROWS);
    wanted.min(most)
}

simd! {
    /// `row = -g e^(row - shift - log_sum)`.
    fn negative_softmax(row: &mut [f32], shift: f32, log_sum: f32, g: f32) {
        for x in row.iter_mut() { *x = -g * super::simd::exp((*x - shift) - log_sum); }
    }
}

/// Ranges of targets that follow each other in one completion.
fn runs(targets: &[Target]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let start = targets.get(first)?.at;
        let same = |(i, t): (usize, &Target)| {
            (t.at.group, t.at.completion, t.at.start)
                == (start.group, start.completion, start.start + i)
        };
        let len = targets[first..]
            .iter()
            .enumerate()
            .take_while(|&(i, t)| same((i, t)))
            .count();
        let run = first..first + len;
        first += len;
        Some(run)
    })
}
