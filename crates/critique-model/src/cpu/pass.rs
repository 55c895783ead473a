//! One decoder over rows of tokens: the forward pass.
//!
//! A block has two halves around its attention. Each half computes a strip of rows by itself
//! ([`BeforeRows`], [`AfterRows`]), so a thread keeps what it computes in its cache; between them, keys and values of
//! all rows must be there.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::attention::{self, Queries, Span, attend};
use super::crew::Crew;
use super::gemm::{Aligned, Into, Matrix, PANEL, Panels, gemm, pack, packed_len};
use super::layout::{Batch, Chosen};
use super::ops::{Rotary, rms_norm, swiglu};
use super::params::{Block, Decoder, Linear, Param};
use super::simd::{add_assign, scale};
use super::team::{Cuts, Team, each};
use crate::config::ModelConfig;

/// What the backward pass of a block needs from its forward pass.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) before: Before,
    pub(crate) after: After,
}

/// Of the half of a block before its attention, of all rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct Before {
    pub(crate) x: Vec<f32>,
    pub(crate) inv1: Vec<f32>,
    pub(crate) q: Vec<f32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
    pub(crate) q_raw: Vec<f32>,
    pub(crate) k_raw: Vec<f32>,
    pub(crate) q_inv: Vec<f32>,
    pub(crate) k_inv: Vec<f32>,
}

/// Of attention and the half of a block after it, of the rows that go through it.
#[derive(Debug, Default)]
pub(crate) struct After {
    pub(crate) attn: Vec<f32>,
    pub(crate) mid: Vec<f32>,
    pub(crate) inv2: Vec<f32>,
    pub(crate) gate: Vec<f32>,
    pub(crate) up: Vec<f32>,
}

/// A strip of rows in the half of a block before its attention.
pub(crate) struct BeforeRows<'a> {
    /// `[rows]`
    pub(crate) positions: &'a [u32],
    /// The block's input: `[rows, d_model]`.
    pub(crate) x: &'a [f32],
    /// As in [`Before`], of these rows.
    pub(crate) saved_x: &'a mut [f32],
    pub(crate) inv1: &'a mut [f32],
    pub(crate) q: &'a mut [f32],
    pub(crate) k: &'a mut [f32],
    pub(crate) v: &'a mut [f32],
    pub(crate) q_raw: &'a mut [f32],
    pub(crate) k_raw: &'a mut [f32],
    pub(crate) q_inv: &'a mut [f32],
    pub(crate) k_inv: &'a mut [f32],
    /// Work memory of one thread.
    pub(crate) scratch: &'a mut Scratch,
}

/// A strip of rows in the half of a block after its attention.
pub(crate) struct AfterRows<'a> {
    /// The block's input, which becomes its output: `[rows, d_model]`.
    pub(crate) x: &'a mut [f32],
    /// As in [`After`], of these rows.
    pub(crate) attn: &'a mut [f32],
    pub(crate) mid: &'a mut [f32],
    pub(crate) inv2: &'a mut [f32],
    pub(crate) gate: &'a mut [f32],
    pub(crate) up: &'a mut [f32],
    /// Work memory of one thread.
    pub(crate) scratch: &'a mut Scratch,
}

/// Work memory of one strip.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) hidden: Vec<f32>,
    pub(crate) act: Vec<f32>,
    pub(crate) rank: Vec<f32>,
    pub(crate) attention: attention::Scratch,
}

/// Which activations a forward pass keeps for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// None.
    Nothing,
    /// The input of each block; the rest is computed again on the way back.
    Inputs,
    /// All.
    Everything,
}

/// Memory that passes reuse.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// One for each block, or one for all of them in turn.
    pub(crate) saved: Vec<Saved>,
    /// Inputs of the blocks, with [`Keep::Inputs`].
    pub(crate) inputs: Vec<Vec<f32>>,
    /// What the forward pass kept.
    pub(crate) kept: Option<Keep>,
    pub(crate) x: Vec<f32>,
    pub(crate) normed: Vec<f32>,
    pub(crate) final_inv: Vec<f32>,
    pub(crate) scratch: Vec<Scratch>,
    pub(crate) kv: Vec<KvPanels>,
    pub(crate) back: super::backward::Buffers,
}

/// A segment's keys and values of one head in panels.
#[derive(Debug, Default)]
pub(crate) struct KvPanels {
    pub(crate) k_cols: Aligned,
    pub(crate) v_rows: Aligned,
    pub(crate) k_rows: Aligned,
    pub(crate) v_cols: Aligned,
}

/// Length of a buffer set without clearing what will be overwritten.
pub(crate) fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    Cuts::sized(buffer, len, 1);
    &mut buffer[..]
}

/// Zeros, as many as asked for.
pub(crate) fn zeroed(buffer: &mut Vec<f32>, len: usize) {
    buffer.clear();
    Cuts::sized(buffer, len, 1);
}

/// A decoder with its configuration and tables, and the threads that run it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Net<'a> {
    pub(crate) config: &'a ModelConfig,
    pub(crate) decoder: &'a Decoder,
    pub(crate) rotary: &'a Rotary,
    pub(crate) team: &'a Team,
    /// Who shares products of few rows. Results do not depend on it.
    pub(crate) crew: Option<&'a Crew<'a>>,
    /// Counts rows.
    pub(crate) computed: &'a AtomicU64,
}

/// Gradients of the trained parameters, by slot.
pub(crate) type Grads = Vec<Vec<f32>>;

impl<'a> Net<'a> {
    /// Rows of the embedding.
    pub(crate) fn embed(&self, ids: &[u32], x: &mut Vec<f32>) {
        let table = &self.decoder.params[self.decoder.embed];
        self.computed.fetch_add(ids.len() as u64, Ordering::Relaxed);
        x.clear();
        x.reserve_exact(ids.len() * self.config.d_model);
        for &id in ids {
            table.read_row(id as usize, x);
        }
    }

    /// `C = A B` or `C += A B` of packed rows.
    pub(crate) fn product(&self, a: Matrix<'_>, b: Panels<'a>, c: &mut [f32], into: Into) {
        let shared = self.crew.is_some_and(|crew| crew.product(a, b, c, into));
        if !shared {
            gemm(a, b, c, b.n, into);
        }
    }

    /// `y = x Wᵀ + b`, and the adapter's part.
    pub(crate) fn linear(&self, linear: &Linear, x: &[f32], y: &mut [f32], rank: &mut Vec<f32>) {
        let rows = x.len() / linear.d_in;
        let params: &'a [Param] = &self.decoder.params;
        let input = Matrix::rows(x, rows, linear.d_in, linear.d_in);
        self.product(input, params[linear.weight].forward(), y, Into::Fresh);
        if let Some(bias) = linear.bias {
            y.chunks_exact_mut(linear.d_out)
                .for_each(|row| add_assign(row, params[bias].vector()));
        }
        if let Some(lora) = &linear.lora {
            let rank = sized(rank, rows * lora.rank);
            self.product(input, params[lora.a].forward(), rank, Into::Fresh);
            scale(rank, lora.scale);
            let rank = Matrix::rows(rank, rows, lora.rank, lora.rank);
            self.product(rank, params[lora.b].forward(), y, Into::Sum);
        }
    }

    /// The half of a block before its attention: queries, keys and values of some rows.
    pub(crate) fn before_attention(&self, block: &Block, rows: &mut BeforeRows<'_>) {
        let (config, params) = (self.config, &self.decoder.params);
        let eps = config.rms_norm_eps as f32;
        let Scratch { hidden, rank, .. } = rows.scratch;
        rows.saved_x.copy_from_slice(rows.x);
        let hidden = sized(hidden, rows.x.len());
        rms_norm(rows.x, params[block.norm1].vector(), eps, hidden, rows.inv1);
        self.linear(&block.q, hidden, rows.q, rank);
        self.linear(&block.k, hidden, rows.k, rank);
        self.linear(&block.v, hidden, rows.v, rank);
        if let (Some(q_norm), Some(k_norm)) = (block.q_norm, block.k_norm) {
            rows.q_raw.copy_from_slice(rows.q);
            rows.k_raw.copy_from_slice(rows.k);
            let (q_norm, k_norm) = (params[q_norm].vector(), params[k_norm].vector());
            rms_norm(rows.q_raw, q_norm, eps, rows.q, rows.q_inv);
            rms_norm(rows.k_raw, k_norm, eps, rows.k, rows.k_inv);
        }
        self.rotary.apply(rows.q, rows.positions, config.heads);
        self.rotary.apply(rows.k, rows.positions, config.kv_heads);
    }

    /// The half of a block after its attention.
    pub(crate) fn after_attention(&self, block: &Block, rows: &mut AfterRows<'_>) {
        let (config, params) = (self.config, &self.decoder.params);
        let Scratch {
            hidden, act, rank, ..
        } = rows.scratch;
        let hidden = sized(hidden, rows.x.len());
        self.linear(&block.o, rows.attn, hidden, rank);
        add_assign(rows.x, hidden);
        rows.mid.copy_from_slice(rows.x);
        rms_norm(
            rows.x,
            params[block.norm2].vector(),
            config.rms_norm_eps as f32,
            hidden,
            rows.inv2,
        );
        self.linear(&block.gate, hidden, rows.gate, rank);
        self.linear(&block.up, hidden, rows.up, rank);
        let act = sized(act, rows.gate.len());
        swiglu(rows.gate, rows.up, act);
        self.linear(&block.down, act, hidden, rank);
        add_assign(rows.x, hidden);
    }

    /// The final norm of `work.x`, into `work.normed`.
    pub(crate) fn final_norm(&self, work: &mut Workspace) {
        let d = self.config.d_model;
        let rows = work.x.len() / d;
        let weight = self.decoder.params[self.decoder.norm].vector();
        sized(&mut work.final_inv, rows);
        rms_norm(
            &work.x,
            weight,
            self.config.rms_norm_eps as f32,
            sized(&mut work.normed, rows * d),
            &mut work.final_inv,
        );
    }

    /// Rows that go through the whole of a block.
    pub(crate) fn through<'b>(&self, layer: usize, batch: &'b Batch) -> &'b Chosen {
        if layer + 1 == self.decoder.blocks.len() {
            &batch.outputs
        } else {
            &batch.all
        }
    }

    /// All blocks over a batch, and the final norm of its outputs.
    pub(crate) fn forward(&self, batch: &Batch, work: &mut Workspace, keep: Keep) {
        let blocks = &self.decoder.blocks;
        let held = match keep {
            Keep::Everything => blocks.len(),
            Keep::Inputs | Keep::Nothing => 1,
        };
        work.kept = Some(keep);
        work.saved
            .resize_with(work.saved.len().max(held), Saved::default);
        if keep == Keep::Inputs {
            work.inputs.resize_with(blocks.len(), Vec::new);
        }
        self.embed(&batch.ids, &mut work.x);
        for layer in 0..blocks.len() {
            if keep == Keep::Inputs {
                sized(&mut work.inputs[layer], work.x.len()).copy_from_slice(&work.x);
            }
            self.block(layer, layer.min(held - 1), batch, work);
        }
        self.final_norm(work);
    }

    /// One block over a batch: `work.x` is its input and becomes its output, of the rows that go
    /// through it.
    pub(crate) fn block(&self, layer: usize, slot: usize, batch: &Batch, work: &mut Workspace) {
        let block = &self.decoder.blocks[layer];
        let through = self.through(layer, batch);
        let Workspace {
            saved,
            x,
            scratch,
            kv,
            ..
        } = work;
        let Saved { before, after } = &mut saved[slot];
        let strips = self.team.strips(batch.ids.len());
        let parts = self.before_rows(&strips, &batch.positions, x, before, scratch);
        each(parts, |mut rows| self.before_attention(block, &mut rows));
        self.pack_kv(batch, before, kv, false);
        through.gather(x, self.config.d_model);
        let strips = self.team.strips(through.count);
        let parts = self.after_rows(&strips, x, after, scratch);
        each(strips.iter().zip(parts).collect(), |(strip, mut rows)| {
            self.attend_strip(batch, through, strip, &before.q, &mut rows, kv);
            self.after_attention(block, &mut rows);
        });
    }

    /// Cuts the buffers of the half of a block before its attention into strips.
    pub(crate) fn before_rows<'r>(
        &self,
        strips: &[Range<usize>],
        positions: &'r [u32],
        x: &'r [f32],
        saved: &'r mut Before,
        scratch: &'r mut Vec<Scratch>,
    ) -> Vec<BeforeRows<'r>> {
        let config = self.config;
        let d = config.d_model;
        let (heads, kv_heads) = (config.heads, config.kv_heads);
        let (q_len, kv_len) = (heads * config.head_dim, kv_heads * config.head_dim);
        let n = positions.len();
        scratch.resize_with(scratch.len().max(strips.len()), Scratch::default);
        let of_raw = |rows: usize| if config.qk_norm { rows } else { 0 };
        let mut saved_x = Cuts::sized(&mut saved.x, n, d);
        let mut inv1 = Cuts::sized(&mut saved.inv1, n, 1);
        let mut q = Cuts::sized(&mut saved.q, n, q_len);
        let mut k = Cuts::sized(&mut saved.k, n, kv_len);
        let mut v = Cuts::sized(&mut saved.v, n, kv_len);
        let mut q_raw = Cuts::sized(&mut saved.q_raw, of_raw(n), q_len);
        let mut k_raw = Cuts::sized(&mut saved.k_raw, of_raw(n), kv_len);
        let mut q_inv = Cuts::sized(&mut saved.q_inv, of_raw(n), heads);
        let mut k_inv = Cuts::sized(&mut saved.k_inv, of_raw(n), kv_heads);
        strips
            .iter()
            .zip(scratch)
            .map(|(strip, scratch)| {
                let n = strip.len();
                BeforeRows {
                    positions: &positions[strip.clone()],
                    x: &x[strip.start * d..strip.end * d],
                    saved_x: saved_x.take(n),
                    inv1: inv1.take(n),
                    q: q.take(n),
                    k: k.take(n),
                    v: v.take(n),
                    q_raw: q_raw.take(of_raw(n)),
                    k_raw: k_raw.take(of_raw(n)),
                    q_inv: q_inv.take(of_raw(n)),
                    k_inv: k_inv.take(of_raw(n)),
                    scratch,
                }
            })
            .collect()
    }

    /// Cuts the buffers of the half of a block after its attention into strips.
    pub(crate) fn after_rows<'r>(
        &self,
        strips: &[Range<usize>],
        x: &'r mut [f32],
        saved: &'r mut After,
        scratch: &'r mut Vec<Scratch>,
    ) -> Vec<AfterRows<'r>> {
        let config = self.config;
        let d = config.d_model;
        let n = x.len() / d;
        scratch.resize_with(scratch.len().max(strips.len()), Scratch::default);
        let mut x = Cuts::of(x, d);
        let mut attn = Cuts::sized(&mut saved.attn, n, config.heads * config.head_dim);
        let mut mid = Cuts::sized(&mut saved.mid, n, d);
        let mut inv2 = Cuts::sized(&mut saved.inv2, n, 1);
        let mut gate = Cuts::sized(&mut saved.gate, n, config.d_ff);
        let mut up = Cuts::sized(&mut saved.up, n, config.d_ff);
        strips
            .iter()
            .zip(scratch)
            .map(|(strip, scratch)| {
                let n = strip.len();
                AfterRows {
                    x: x.take(n),
                    attn: attn.take(n),
                    mid: mid.take(n),
                    inv2: inv2.take(n),
                    gate: gate.take(n),
                    up: up.take(n),
                    scratch,
                }
            })
            .collect()
    }

    /// Lays out keys and values of every segment for attention; `backward` adds what only the
    /// backward pass reads.
    pub(crate) fn pack_kv(
        &self,
        batch: &Batch,
        saved: &Before,
        kv: &mut Vec<KvPanels>,
        backward: bool,
    ) {
        let (width, kv_heads) = (self.config.head_dim, self.config.kv_heads);
        let stride = kv_heads * width;
        let needed = batch.segments.len() * kv_heads;
        kv.resize_with(kv.len().max(needed), KvPanels::default);
        let parts = kv.chunks_mut(kv_heads).zip(&batch.segments).collect();
        each(
            parts,
            |(panels, segment): (&mut [KvPanels], &super::layout::Segment)| {
                let len = segment.rows.len();
                for (head, panels) in panels.iter_mut().enumerate() {
                    let at = segment.rows.start * stride + head * width;
                    let k = Matrix::rows(&saved.k[at..], len, width, stride);
                    let v = Matrix::rows(&saved.v[at..], len, width, stride);
                    panels.k_cols.grow(packed_len(width, len));
                    panels.v_rows.grow(packed_len(len, width));
                    pack(k.t(), &mut panels.k_cols);
                    pack(v, &mut panels.v_rows);
                    if backward {
                        panels.k_rows.grow(packed_len(len, width));
                        panels.v_cols.grow(packed_len(width, len));
                        pack(k, &mut panels.k_rows);
                        pack(v.t(), &mut panels.v_cols);
                    }
                }
            },
        );
    }

    /// Attention of a strip of chosen rows; `q` holds the queries of all rows.
    fn attend_strip(
        &self,
        batch: &Batch,
        chosen: &Chosen,
        strip: &Range<usize>,
        q: &[f32],
        rows: &mut AfterRows<'_>,
        kv: &[KvPanels],
    ) {
        let config = self.config;
        let (width, kv_heads) = (config.head_dim, config.kv_heads);
        let stride = config.heads * width;
        let scratch = &mut rows.scratch.attention;
        for piece in &chosen.pieces {
            let first = piece.first.max(strip.start);
            let last = (piece.first + piece.rows.len()).min(strip.end);
            if first >= last {
                continue;
            }
            let row = piece.rows.start + (first - piece.first);
            let segment = &batch.segments[piece.segment];
            let chain = batch.chain(piece.segment);
            for kv_head in 0..kv_heads {
                let spans: Vec<Span<'_>> = chain
                    .iter()
                    .map(|&s| kv[s * kv_heads + kv_head].span(batch.segments[s].rows.len()))
                    .collect();
                for head in config.query_heads(kv_head) {
                    let queries = Queries {
                        q: &q[row * stride + head * width..],
                        stride,
                        rows: last - first,
                        visible: segment.before + (row - segment.rows.start) + 1,
                        head_dim: width,
                    };
                    let out = &mut rows.attn[(first - strip.start) * stride + head * width..];
                    attend(queries, &spans, out, stride, scratch);
                }
            }
        }
    }
}

impl KvPanels {
    pub(crate) fn span(&self, len: usize) -> Span<'_> {
        Span {
            k: &self.k_cols,
            v: &self.v_rows,
            v_stride: len * PANEL,
            len,
        }
    }
}

impl ModelConfig {
    /// Query heads that read one key-value head.
    pub(crate) fn query_heads(&self, kv_head: usize) -> Range<usize> {
        let group = self.heads / self.kv_heads;
        kv_head * group..(kv_head + 1) * group
    }
}
