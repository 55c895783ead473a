//! One decoder over rows of tokens: the backward pass.
//!
//! For each block, from its end: strips of rows turn the gradient of the block's output into
//! those of its parts, then weights take their sums over all rows ([`Net::add_sums`]); attention goes back a head and a tree of
//! segments at a time; and once more strips and sums, for queries, keys and values. A sum over
//! rows is one chain in the order of rows, so no cut into strips or batches changes it.

use std::ops::Range;

use super::attention::{BackwardSpan, KvGrads, Queries, attend_backward};
use super::gemm::{Aligned, Into, Matrix, gemm};
use super::layout::{Batch, Chosen};
use super::ops::{rms_norm_again, rms_norm_backward, rms_norm_weight, swiglu, swiglu_backward};
use super::params::{Block, Linear};
use super::pass::{After, Before, Grads, Keep, KvPanels, Net, Saved, Workspace, zeroed};
use super::simd::{add_assign, scale};
use super::sums::{Layer, Norm, Rank, RankRows};
use super::team::{Cuts, each};

/// Memory of backward passes, of all rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// Gradient of the rows of a block's output, and in the end of its input.
    pub(crate) dx: Vec<f32>,
    /// Gradient of the rows between the halves of a block.
    dmid: Vec<f32>,
    /// Gradients of the outputs of the two norms.
    dh: Vec<f32>,
    /// Outputs of the norms, once more.
    hidden: Vec<f32>,
    act: Vec<f32>,
    dact: Vec<f32>,
    dattn: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    /// Gradients of the outputs of the norms of queries and keys.
    dq_out: Vec<f32>,
    dk_out: Vec<f32>,
    heads: HeadGrads,
    ranks: [Rank; 4],
    /// Inputs of layers in panels.
    panels: Vec<Aligned>,
    attention: Vec<super::attention::Scratch>,
}

/// Gradients of queries, keys and values, head after head: `[kv_heads, rows, width]` each.
#[derive(Debug, Default)]
struct HeadGrads {
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

#[cfg(test)]
impl Buffers {
    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let heads = &self.heads;
        let floats = [
            &self.dx,
            &self.dmid,
            &self.dh,
            &self.hidden,
            &self.act,
            &self.dact,
            &self.dattn,
            &self.dq,
            &self.dk,
            &self.dv,
            &self.dq_out,
            &self.dk_out,
            &heads.dq,
            &heads.dk,
            &heads.dv,
        ];
        let ranks = self.ranks.iter().flat_map(|rank| [&rank.u, &rank.du]);
        let floats: usize = floats.into_iter().chain(ranks).map(Vec::capacity).sum();
        let panels: usize = self.panels.iter().map(Aligned::bytes).sum();
        let attention: usize = self
            .attention
            .iter()
            .map(super::attention::Scratch::bytes)
            .sum();
        4 * floats + panels + attention
    }
}

impl Net<'_> {
    /// Backward pass of [`Net::forward`]. `work.back.dx` holds the gradients of the rows of the
    /// final norm's output; gradients of parameters are added to `grads`.
    pub(crate) fn backward(&self, batch: &Batch, work: &mut Workspace, grads: &mut Grads) {
        let d = self.config.d_model;
        self.final_norm_back(work, grads);
        let again = work.kept == Some(Keep::Inputs);
        for layer in (0..self.decoder.blocks.len()).rev() {
            let slot = if again { 0 } else { layer };
            if again {
                std::mem::swap(&mut work.x, &mut work.inputs[layer]);
                self.block(layer, slot, batch, work);
            }
            self.block_back(layer, slot, batch, work, grads);
        }
        if let Some(slot) = self.decoder.params[self.decoder.embed].slot {
            for (&id, dx) in batch.ids.iter().zip(work.back.dx.chunks_exact(d)) {
                let row = id as usize * d..(id as usize + 1) * d;
                add_assign(&mut grads[slot][row], dx);
            }
        }
    }

    fn final_norm_back(&self, work: &mut Workspace, grads: &mut Grads) {
        let Workspace {
            x, back, final_inv, ..
        } = work;
        let Buffers { dx, dh, .. } = back;
        std::mem::swap(dx, dh);
        let weight = &self.decoder.params[self.decoder.norm];
        zeroed(dx, dh.len());
        rms_norm_backward(x, weight.vector(), final_inv, dh, dx);
        if let Some(slot) = weight.slot {
            rms_norm_weight(x, final_inv, dh, &mut grads[slot]);
        }
    }

    /// Turns `work.back.dx` from the gradient of a block's output, of the rows that went through
    /// it, into that of its input.
    fn block_back(
        &self,
        layer: usize,
        slot: usize,
        batch: &Batch,
        work: &mut Workspace,
        grads: &mut Grads,
    ) {
        let Workspace {
            saved, kv, back, ..
        } = work;
        let Saved { before, after } = &mut saved[slot];
        let block = &self.decoder.blocks[layer];
        let through = self.through(layer, batch);
        self.feed_forward_back(block, after, back);
        {
            let Buffers {
                dx,
                dmid,
                dh,
                hidden,
                act,
                ranks,
                panels,
                ..
            } = back;
            let layer = |linear, x, dy, rank| Layer {
                linear,
                x,
                dy,
                rank,
            };
            let layers = [
                layer(&block.down, &act[..], &dx[..], &ranks[0]),
                layer(&block.gate, &hidden[..], &after.gate[..], &ranks[1]),
                layer(&block.up, &hidden[..], &after.up[..], &ranks[2]),
                layer(&block.o, &after.attn[..], &dmid[..], &ranks[3]),
            ];
            let norm = Norm {
                param: block.norm2,
                x: &after.mid,
                inv: &after.inv2,
                dy: dh,
            };
            self.add_sums(&layers, &[norm], panels, grads);
        }
        self.pack_kv(batch, before, kv, true);
        self.attention_back(batch, through, before, kv, back);
        through.spread(&mut back.dmid, batch.ids.len(), self.config.d_model);
        self.projections_back(block, batch, before, back);
        let Buffers {
            dh,
            hidden,
            dq,
            dk,
            dv,
            dq_out,
            dk_out,
            ranks,
            panels,
            ..
        } = back;
        let layer = |linear, dy, rank| Layer {
            linear,
            x: &hidden[..],
            dy,
            rank,
        };
        let layers = [
            layer(&block.q, &dq[..], &ranks[0]),
            layer(&block.k, &dk[..], &ranks[1]),
            layer(&block.v, &dv[..], &ranks[2]),
        ];
        let mut norms = vec![Norm {
            param: block.norm1,
            x: &before.x,
            inv: &before.inv1,
            dy: dh,
        }];
        if let (Some(q_norm), Some(k_norm)) = (block.q_norm, block.k_norm) {
            norms.push(Norm {
                param: q_norm,
                x: &before.q_raw,
                inv: &before.q_inv,
                dy: dq_out,
            });
            norms.push(Norm {
                param: k_norm,
                x: &before.k_raw,
                inv: &before.k_inv,
                dy: dk_out,
            });
        }
        self.add_sums(&layers, &norms, panels, grads);
    }

    /// From the gradient `dx` of the block's output to `dmid` between its halves and `dattn` of
    /// the attention's output. `saved.gate` and `saved.up` become their gradients.
    fn feed_forward_back(&self, block: &Block, saved: &mut After, back: &mut Buffers) {
        let config = self.config;
        let (d, d_ff, q_len) = (config.d_model, config.d_ff, config.heads * config.head_dim);
        let Buffers { dx, ranks, .. } = back;
        let n = dx.len() / d;
        let strips = self.team.strips(n);
        let mut gate = Cuts::of(&mut saved.gate, d_ff);
        let mut up = Cuts::of(&mut saved.up, d_ff);
        let mut act = Cuts::sized(&mut back.act, n, d_ff);
        let mut dact = Cuts::sized(&mut back.dact, n, d_ff);
        let mut dmid = Cuts::sized(&mut back.dmid, n, d);
        let mut dh = Cuts::sized(&mut back.dh, n, d);
        let mut hidden = Cuts::sized(&mut back.hidden, n, d);
        let mut dattn = Cuts::sized(&mut back.dattn, n, q_len);
        let [r0, r1, r2, r3] = ranks;
        let mut ranks = [
            r0.cuts(&block.down, n),
            r1.cuts(&block.gate, n),
            r2.cuts(&block.up, n),
            r3.cuts(&block.o, n),
        ];
        let part = |strip: &Range<usize>| {
            let len = strip.len();
            FeedForward {
                dx: strip_of(dx, strip, d),
                mid: strip_of(&saved.mid, strip, d),
                inv2: &saved.inv2[strip.clone()],
                attn: strip_of(&saved.attn, strip, q_len),
                gate: gate.take(len),
                up: up.take(len),
                act: act.take(len),
                dact: dact.take(len),
                dmid: dmid.take(len),
                dh: dh.take(len),
                hidden: hidden.take(len),
                dattn: dattn.take(len),
                ranks: ranks.each_mut().map(|rank| rank.take(len)),
            }
        };
        each(
            strips.iter().map(part).collect(),
            |mut part: FeedForward<'_>| {
                let norm = self.decoder.params[block.norm2].vector();
                let [down_rank, gate_rank, up_rank, o_rank] = &mut part.ranks;
                swiglu(part.gate, part.up, part.act);
                let (act, dact) = (&*part.act, &mut *part.dact);
                self.input_back(&block.down, act, part.dx, dact, Into::Fresh, down_rank);
                swiglu_backward(part.gate, part.up, dact);
                rms_norm_again(part.mid, norm, part.inv2, part.hidden);
                let (hidden, dh) = (&*part.hidden, &mut *part.dh);
                self.input_back(&block.gate, hidden, part.gate, dh, Into::Fresh, gate_rank);
                self.input_back(&block.up, hidden, part.up, dh, Into::Sum, up_rank);
                part.dmid.copy_from_slice(part.dx);
                rms_norm_backward(part.mid, norm, part.inv2, dh, part.dmid);
                let (dmid, dattn) = (&*part.dmid, &mut *part.dattn);
                self.input_back(&block.o, part.attn, dmid, dattn, Into::Fresh, o_rank);
            },
        );
    }

    /// Gradients of queries, keys and values, head after head, from `dattn`.
    fn attention_back(
        &self,
        batch: &Batch,
        through: &Chosen,
        saved: &Before,
        kv: &[KvPanels],
        back: &mut Buffers,
    ) {
        let config = self.config;
        let (width, kv_heads) = (config.head_dim, config.kv_heads);
        let group = config.heads / kv_heads * width;
        let stride = config.heads * width;
        let n = batch.ids.len();
        let Buffers {
            heads,
            dattn,
            attention,
            ..
        } = back;
        heads.dk.clear();
        heads.dv.clear();
        if through.count < n {
            heads.dq.clear();
        }
        let mut dq = Cuts::sized(&mut heads.dq, kv_heads * n, group);
        let mut dk = Cuts::sized(&mut heads.dk, kv_heads * n, width);
        let mut dv = Cuts::sized(&mut heads.dv, kv_heads * n, width);
        let trees = batch.trees();
        attention.resize_with(
            attention.len().max(kv_heads * trees.len()),
            Default::default,
        );
        let mut scratch = attention.iter_mut();
        let mut parts = Vec::new();
        for kv_head in 0..kv_heads {
            for tree in &trees {
                let rows =
                    batch.segments[tree.start].rows.start..batch.segments[tree.end - 1].rows.end;
                let len = rows.len();
                parts.push((
                    (kv_head, tree, rows),
                    (dq.take(len), dk.take(len), dv.take(len)),
                    scratch.next().expect("one for each part"),
                ));
            }
        }
        let dattn = &dattn[..];
        each(parts, |((kv_head, tree, rows), (dq, dk, dv), scratch)| {
            for index in tree.clone() {
                let segment = &batch.segments[index];
                let pieces = through.of(&(index..index + 1));
                if pieces.is_empty() {
                    continue;
                }
                let spans: Vec<BackwardSpan<'_>> = batch
                    .chain(index)
                    .iter()
                    .map(|&s| {
                        let panels = &kv[s * kv_heads + kv_head];
                        let of = &batch.segments[s].rows;
                        BackwardSpan {
                            span: panels.span(of.len()),
                            k_rows: &panels.k_rows,
                            v_cols: &panels.v_cols,
                            first_row: of.start - rows.start,
                        }
                    })
                    .collect();
                // A key's gradient is one chain over heads and then rows, in whatever pieces.
                let heads = config.query_heads(kv_head).enumerate();
                for ((member, head), piece) in
                    heads.flat_map(|head| pieces.iter().map(move |piece| (head, piece)))
                {
                    let queries = Queries {
                        q: &saved.q[piece.rows.start * stride + head * width..],
                        stride,
                        rows: piece.rows.len(),
                        visible: segment.before + (piece.rows.start - segment.rows.start) + 1,
                        head_dim: width,
                    };
                    let at = piece.first * stride + head * width;
                    let to = (piece.rows.start - rows.start) * group + member * width;
                    attend_backward(
                        queries,
                        &spans,
                        (&dattn[at..], stride),
                        (&mut dq[to..], group),
                        &mut KvGrads { dk, dv },
                        scratch,
                    );
                }
            }
        });
    }

    /// From the gradients of heads and `dmid` to the gradient `dx` of the block's input.
    fn projections_back(&self, block: &Block, batch: &Batch, saved: &Before, back: &mut Buffers) {
        let config = self.config;
        let (d, n) = (config.d_model, batch.ids.len());
        let strips = self.team.strips(n);
        let (heads, kv_heads) = (config.heads, config.kv_heads);
        let (q_len, kv_len) = (heads * config.head_dim, kv_heads * config.head_dim);
        let normed = |rows: usize| if config.qk_norm { rows } else { 0 };
        let mut dx = Cuts::sized(&mut back.dx, n, d);
        let mut dh = Cuts::sized(&mut back.dh, n, d);
        let mut hidden = Cuts::sized(&mut back.hidden, n, d);
        let mut dq = Cuts::sized(&mut back.dq, n, q_len);
        let mut dk = Cuts::sized(&mut back.dk, n, kv_len);
        let mut dv = Cuts::sized(&mut back.dv, n, kv_len);
        let mut dq_out = Cuts::sized(&mut back.dq_out, normed(n), q_len);
        let mut dk_out = Cuts::sized(&mut back.dk_out, normed(n), kv_len);
        let [r0, r1, r2, _] = &mut back.ranks;
        let mut ranks = [
            r0.cuts(&block.q, n),
            r1.cuts(&block.k, n),
            r2.cuts(&block.v, n),
        ];
        let (of_heads, dmid) = (&back.heads, &back.dmid);
        let part = |strip: &Range<usize>| {
            let len = strip.len();
            Projections {
                strip: strip.clone(),
                dx: dx.take(len),
                dh: dh.take(len),
                hidden: hidden.take(len),
                dq: dq.take(len),
                dk: dk.take(len),
                dv: dv.take(len),
                dq_out: dq_out.take(normed(len)),
                dk_out: dk_out.take(normed(len)),
                ranks: ranks.each_mut().map(|rank| rank.take(len)),
            }
        };
        each(
            strips.iter().map(part).collect(),
            |mut part: Projections<'_>| {
                let strip = part.strip;
                join_heads(&of_heads.dq, n, &strip, kv_heads, part.dq);
                join_heads(&of_heads.dk, n, &strip, kv_heads, part.dk);
                join_heads(&of_heads.dv, n, &strip, kv_heads, part.dv);
                let positions = &batch.positions[strip.clone()];
                self.rotary.apply_backward(part.dq, positions, heads);
                self.rotary.apply_backward(part.dk, positions, kv_heads);
                if let (Some(q_norm), Some(k_norm)) = (block.q_norm, block.k_norm) {
                    let raw = strip_of(&saved.q_raw, &strip, q_len);
                    let inv = strip_of(&saved.q_inv, &strip, heads);
                    self.head_norm_back(q_norm, raw, inv, part.dq, part.dq_out);
                    let raw = strip_of(&saved.k_raw, &strip, kv_len);
                    let inv = strip_of(&saved.k_inv, &strip, kv_heads);
                    self.head_norm_back(k_norm, raw, inv, part.dk, part.dk_out);
                }
                let norm = self.decoder.params[block.norm1].vector();
                let x = strip_of(&saved.x, &strip, d);
                let inv1 = &saved.inv1[strip.clone()];
                let [q_rank, k_rank, v_rank] = &mut part.ranks;
                rms_norm_again(x, norm, inv1, part.hidden);
                let (hidden, dh) = (&*part.hidden, &mut *part.dh);
                self.input_back(&block.q, hidden, part.dq, dh, Into::Fresh, q_rank);
                self.input_back(&block.k, hidden, part.dk, dh, Into::Sum, k_rank);
                self.input_back(&block.v, hidden, part.dv, dh, Into::Sum, v_rank);
                part.dx.copy_from_slice(strip_of(dmid, &strip, d));
                rms_norm_backward(x, norm, inv1, dh, part.dx);
            },
        );
    }

    /// Moves the gradient `dy` of a head norm's output to `out`, and makes it that of its input.
    fn head_norm_back(
        &self,
        norm: usize,
        raw: &[f32],
        inv: &[f32],
        dy: &mut [f32],
        out: &mut [f32],
    ) {
        out.copy_from_slice(dy);
        dy.fill(0.0);
        rms_norm_backward(raw, self.decoder.params[norm].vector(), inv, out, dy);
    }

    /// Backward pass of [`Net::linear`] to its input: writes or adds to `dx`, and fills what the
    /// adapter's sums need.
    fn input_back(
        &self,
        linear: &Linear,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        into: Into,
        rank: &mut RankRows<'_>,
    ) {
        let params = &self.decoder.params;
        let rows = dy.len() / linear.d_out;
        let dy = Matrix::rows(dy, rows, linear.d_out, linear.d_out);
        gemm(dy, params[linear.weight].backward(), dx, linear.d_in, into);
        let Some(lora) = &linear.lora else { return };
        // y += (s x Aᵀ) Bᵀ, so dB = dyᵀ (s x Aᵀ), d(x Aᵀ) = s dy B, dA = d(x Aᵀ)ᵀ x.
        let r = lora.rank;
        if params[lora.b].slot.is_some() {
            let x = Matrix::rows(x, rows, linear.d_in, linear.d_in);
            gemm(x, params[lora.a].forward(), rank.u, r, Into::Fresh);
            scale(rank.u, lora.scale);
        }
        gemm(dy, params[lora.b].backward(), rank.du, r, Into::Fresh);
        scale(rank.du, lora.scale);
        let du = Matrix::rows(rank.du, rows, r, r);
        gemm(du, params[lora.a].backward(), dx, linear.d_in, Into::Sum);
    }
}

/// Buffers of a strip in [`Net::feed_forward_back`].
struct FeedForward<'a> {
    dx: &'a [f32],
    mid: &'a [f32],
    inv2: &'a [f32],
    attn: &'a [f32],
    gate: &'a mut [f32],
    up: &'a mut [f32],
    act: &'a mut [f32],
    dact: &'a mut [f32],
    dmid: &'a mut [f32],
    dh: &'a mut [f32],
    hidden: &'a mut [f32],
    dattn: &'a mut [f32],
    ranks: [RankRows<'a>; 4],
}

/// Buffers of a strip in [`Net::projections_back`].
struct Projections<'a> {
    strip: Range<usize>,
    dx: &'a mut [f32],
    dh: &'a mut [f32],
    hidden: &'a mut [f32],
    dq: &'a mut [f32],
    dk: &'a mut [f32],
    dv: &'a mut [f32],
    dq_out: &'a mut [f32],
    dk_out: &'a mut [f32],
    ranks: [RankRows<'a>; 3],
}

/// Rows of a strip.
fn strip_of<'b>(buffer: &'b [f32], strip: &Range<usize>, width: usize) -> &'b [f32] {
    &buffer[strip.start * width..strip.end * width]
}

/// Rows of a strip with their heads side by side, from `[heads, rows, width]`.
fn join_heads(
    of_heads: &[f32],
    rows: usize,
    strip: &Range<usize>,
    heads: usize,
    joined: &mut [f32],
) {
    let width = joined.len() / strip.len() / heads;
    for (row, joined) in strip.clone().zip(joined.chunks_exact_mut(heads * width)) {
        for (head, joined) in joined.chunks_exact_mut(width).enumerate() {
            let at = (head * rows + row) * width;
            joined.copy_from_slice(&of_heads[at..at + width]);
        }
    }
}
