//! Causal attention over spans of keys and values, forward and backward.
//!
//! The keys that a token sees lie in one or more spans: a prompt that several completions
//! share, pages of a cache, a segment of a training batch. Scores are chains over the head's
//! dimensions, outputs are chains over the keys in order, and the sum of a softmax has 16 lanes
//! by the key's place in the sequence, so the result of a row does not depend on how its keys
//! are cut into spans nor on the rows beside it.

use std::ops::Range;

use super::gemm::{Aligned, Into, Matrix, PANEL, Panels, gemm, pack, packed_len};
use super::simd::{LANES, scale as scale_all, softmax, softmax_back};

/// Query rows handled at a time.
pub(crate) const BLOCK: usize = 48;

/// Keys and values of consecutive tokens, for one key-value head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a> {
    /// Keys as columns: `[head_dim, tokens]` in panels, `head_dim * 32` floats apart.
    pub(crate) k: &'a [f32],
    /// Values as rows: `[tokens, head_dim]` in panels.
    pub(crate) v: &'a [f32],
    /// Floats between the panels of `v`.
    pub(crate) v_stride: usize,
    /// Tokens.
    pub(crate) len: usize,
}

impl<'a> Span<'a> {
    /// The first `len` keys as columns.
    fn keys(&self, head_dim: usize, len: usize) -> Panels<'a> {
        Panels::floats(self.k, head_dim * PANEL, len)
    }

    /// The values as rows.
    fn values(&self, head_dim: usize) -> Panels<'a> {
        Panels::floats(self.v, self.v_stride, head_dim)
    }
}

impl Into {
    /// What a product over keys does with the sums over the `keys` keys before them.
    fn after(keys: usize) -> Self {
        if keys == 0 { Self::Fresh } else { Self::Sum }
    }
}

/// The first `len` floats of a buffer, which holds anything.
fn sized(buffer: &mut Aligned, len: usize) -> &mut [f32] {
    buffer.grow(len);
    &mut buffer[..len]
}

/// Reused memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    q: Aligned,
    scores: Aligned,
    grads: Aligned,
    q_panels: Aligned,
    do_panels: Aligned,
}

#[cfg(test)]
impl Scratch {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let all = [
            &self.q,
            &self.scores,
            &self.grads,
            &self.q_panels,
            &self.do_panels,
        ];
        all.into_iter().map(Aligned::bytes).sum()
    }
}

/// Queries of consecutive tokens, of one head, and what they see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queries<'a> {
    /// `[rows, head_dim]`, rows `stride` apart.
    pub(crate) q: &'a [f32],
    /// Floats between rows.
    pub(crate) stride: usize,
    /// Number of rows.
    pub(crate) rows: usize,
    /// Keys that the first row sees, counted over all spans; each further row sees one more.
    pub(crate) visible: usize,
    /// Dimensions of a head.
    pub(crate) head_dim: usize,
}

impl Queries<'_> {
    /// Keys that row `row` sees.
    fn sees(&self, row: usize) -> usize {
        self.visible + row
    }
}

/// Writes `softmax(q kᵀ / sqrt(head_dim)) v` of every row to `out`, rows `out_stride` apart.
pub(crate) fn attend(
    queries: Queries<'_>,
    spans: &[Span<'_>],
    out: &mut [f32],
    out_stride: usize,
    scratch: &mut Scratch,
) {
    let head_dim = queries.head_dim;
    for first in (0..queries.rows).step_by(BLOCK) {
        let rows = BLOCK.min(queries.rows - first);
        let keys = queries.sees(first + rows - 1);
        probabilities(&queries, first, rows, keys, spans, scratch);
        let out = &mut out[first * out_stride..];
        let width = row_width(keys);
        let mut at = 0;
        for span in spans {
            let len = span.len.min(keys - at);
            if len == 0 {
                break;
            }
            let p = Matrix::rows(&scratch.scores[at..], rows, len, width);
            gemm(p, span.values(head_dim), out, out_stride, Into::after(at));
            at += len;
        }
    }
}

/// Keys and values that some rows of [`attend_tokens`] see, all of them.
#[derive(Debug, Clone)]
pub(crate) struct Stretch<'a> {
    pub(crate) rows: Range<usize>,
    /// Keys that these rows see before it.
    pub(crate) before: usize,
    pub(crate) span: Span<'a>,
}

/// As [`attend`], of single tokens of several sequences. Keys that sequences share are read by one
/// product for all their rows.
///
/// - `q`, `out`: `[rows, head_dim]`
/// - `sees`: how many keys each row sees
/// - `stretches`: for each row, in order, all that it sees
pub(crate) fn attend_tokens(
    q: &[f32],
    sees: &[usize],
    stretches: &[Stretch<'_>],
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let head_dim = q.len() / sees.len();
    let width = row_width(sees.iter().copied().max().unwrap_or(0));
    let scaled = sized(&mut scratch.q, q.len());
    scaled.copy_from_slice(q);
    scale_all(scaled, 1.0 / (head_dim as f32).sqrt());
    let scores = sized(&mut scratch.scores, sees.len() * width);
    for Stretch { rows, before, span } in stretches {
        let q = &scaled[rows.start * head_dim..];
        gemm(
            Matrix::rows(q, rows.len(), head_dim, head_dim),
            span.keys(head_dim, span.len),
            &mut scores[rows.start * width + before..],
            width,
            Into::Fresh,
        );
    }
    for (scores, &keys) in scores.chunks_exact_mut(width).zip(sees) {
        softmax(scores, keys);
    }
    for Stretch { rows, before, span } in stretches {
        let p = &scores[rows.start * width + before..];
        gemm(
            Matrix::rows(p, rows.len(), span.len, width),
            span.values(head_dim),
            &mut out[rows.start * head_dim..],
            head_dim,
            Into::after(*before),
        );
    }
}

/// Floats between rows of scores: whole lanes.
pub(crate) fn row_width(keys: usize) -> usize {
    keys.next_multiple_of(LANES)
}

/// Fills `scratch.scores` with `[rows, keys]` probabilities in rows of [`row_width`]; keys that a
/// row does not see get 0.
fn probabilities(
    queries: &Queries<'_>,
    first: usize,
    rows: usize,
    keys: usize,
    spans: &[Span<'_>],
    scratch: &mut Scratch,
) {
    let head_dim = queries.head_dim;
    let scale = 1.0 / (head_dim as f32).sqrt();
    scratch.q.grow(rows * head_dim);
    let width = row_width(keys);
    scratch.scores.grow(rows * width);
    for (row, q) in scratch.q.chunks_exact_mut(head_dim).take(rows).enumerate() {
        let at = (first + row) * queries.stride;
        q.copy_from_slice(&queries.q[at..at + head_dim]);
        scale_all(q, scale);
    }
    let mut at = 0;
    for span in spans {
        let len = span.len.min(keys - at);
        if len == 0 {
            break;
        }
        gemm(
            Matrix::rows(&scratch.q, rows, head_dim, head_dim),
            span.keys(head_dim, len),
            &mut scratch.scores[at..],
            width,
            Into::Fresh,
        );
        at += len;
    }
    for (row, scores) in scratch
        .scores
        .chunks_exact_mut(width)
        .take(rows)
        .enumerate()
    {
        softmax(scores, queries.sees(first + row));
    }
}

/// A span's keys and values once more, laid out for the backward pass, and where their
/// gradients go.
#[derive(Debug)]
pub(crate) struct BackwardSpan<'a> {
    /// As in the forward pass.
    pub(crate) span: Span<'a>,
    /// Keys as rows: `[tokens, head_dim]` in panels, `v_stride` apart.
    pub(crate) k_rows: &'a [f32],
    /// Values as columns: `[head_dim, tokens]` in panels, `head_dim * 32` floats apart.
    pub(crate) v_cols: &'a [f32],
    /// Row of the span's first token in the gradients of its tree.
    pub(crate) first_row: usize,
}

/// Gradients of one head's keys and values: `[rows, head_dim]`.
#[derive(Debug)]
pub(crate) struct KvGrads<'a> {
    pub(crate) dk: &'a mut [f32],
    pub(crate) dv: &'a mut [f32],
}

/// Backward pass of [`attend`]: writes `dq`, adds to the gradients of keys and values.
///
/// `dout` and `dq` come with the floats between their rows.
pub(crate) fn attend_backward(
    queries: Queries<'_>,
    spans: &[BackwardSpan<'_>],
    dout: (&[f32], usize),
    dq: (&mut [f32], usize),
    kv: &mut KvGrads<'_>,
    scratch: &mut Scratch,
) {
    let head_dim = queries.head_dim;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let forward: Vec<Span<'_>> = spans.iter().map(|s| s.span).collect();
    let (dout, dout_stride) = dout;
    let (dq, dq_stride) = dq;
    for first in (0..queries.rows).step_by(BLOCK) {
        let rows = BLOCK.min(queries.rows - first);
        let keys = queries.sees(first + rows - 1);
        probabilities(&queries, first, rows, keys, &forward, scratch);
        let width = row_width(keys);
        scratch.grads.grow(rows * width);
        let q = Matrix::rows(
            &queries.q[first * queries.stride..],
            rows,
            head_dim,
            queries.stride,
        );
        let dout = Matrix::rows(&dout[first * dout_stride..], rows, head_dim, dout_stride);
        scratch.q_panels.grow(packed_len(rows, head_dim));
        scratch.do_panels.grow(packed_len(rows, head_dim));
        pack(q, &mut scratch.q_panels);
        pack(dout, &mut scratch.do_panels);

        for (span, at, len) in seen(spans, keys) {
            let v = Panels::floats(span.v_cols, head_dim * PANEL, len);
            gemm(dout, v, &mut scratch.grads[at..], width, Into::Fresh);
        }
        // dS = P (dP - sum(P dP)) / sqrt(head_dim)
        let Scratch { scores, grads, .. } = scratch;
        let pairs = scores
            .chunks_exact_mut(width)
            .zip(grads.chunks_exact_mut(width));
        for (row, (p, ds)) in pairs.take(rows).enumerate() {
            softmax_back(p, ds, queries.sees(first + row), scale);
        }
        for (span, at, len) in seen(spans, keys) {
            let ds = Matrix::rows(&scratch.grads[at..], rows, len, width);
            let k = Panels::floats(span.k_rows, span.span.v_stride, head_dim);
            gemm(
                ds,
                k,
                &mut dq[first * dq_stride..],
                dq_stride,
                Into::after(at),
            );
            let q = Panels::floats(&scratch.q_panels, rows * PANEL, head_dim);
            let dout = Panels::floats(&scratch.do_panels, rows * PANEL, head_dim);
            let to = span.first_row * head_dim;
            gemm(ds.t(), q, &mut kv.dk[to..], head_dim, Into::Sum);
            let p = Matrix::rows(&scratch.scores[at..], rows, len, width);
            gemm(p.t(), dout, &mut kv.dv[to..], head_dim, Into::Sum);
        }
    }
}

/// The spans with the place of their first key and how many of `keys` keys lie in each.
fn seen<'s, 'a>(
    spans: &'s [BackwardSpan<'a>],
    keys: usize,
) -> impl Iterator<Item = (&'s BackwardSpan<'a>, usize, usize)> {
    spans.iter().scan(0, move |at, span| {
        let (start, len) = (*at, span.span.len.min(keys - *at));
        *at += len;
        (len > 0).then_some((span, start, len))
    })
}
