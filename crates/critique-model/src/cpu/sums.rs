//! What rows add to the gradients of the parameters that they went through.
//!
//! A sum over rows is one chain in the order of rows; threads share a sum by blocks of the
//! parameter's rows.

use super::gemm::{Aligned, Into, Matrix, PANEL, Panels, gemm, pack_panel, packed_len};
use super::ops::{add_rows, rms_norm_weight};
use super::params::Linear;
use super::pass::{Grads, Net};
use super::team::{Cuts, each, pieces};

/// An adapter's input in its rank, `s x Aᵀ`, and the gradient of `x Aᵀ`; both `[rows, rank]`.
#[derive(Debug, Default)]
pub(super) struct Rank {
    pub(super) u: Vec<f32>,
    pub(super) du: Vec<f32>,
}

impl Rank {
    pub(super) fn cuts(&mut self, linear: &Linear, rows: usize) -> RankCuts<'_> {
        let rank = linear.lora.as_ref().map_or(0, |lora| lora.rank);
        RankCuts {
            u: Cuts::sized(&mut self.u, rows, rank),
            du: Cuts::sized(&mut self.du, rows, rank),
        }
    }
}

pub(super) struct RankCuts<'a> {
    pub(super) u: Cuts<'a, f32>,
    pub(super) du: Cuts<'a, f32>,
}

/// A strip of [`Rank`].
pub(super) struct RankRows<'a> {
    pub(super) u: &'a mut [f32],
    pub(super) du: &'a mut [f32],
}

impl<'a> RankCuts<'a> {
    pub(super) fn take(&mut self, rows: usize) -> RankRows<'a> {
        RankRows {
            u: self.u.take(rows),
            du: self.du.take(rows),
        }
    }
}

/// A linear layer on its way back: its input, and the gradient of its output.
pub(super) struct Layer<'a> {
    pub(super) linear: &'a Linear,
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
    pub(super) rank: &'a Rank,
}

/// A norm on its way back: the rows it read, what it divided by, the gradient of its output.
pub(super) struct Norm<'a> {
    pub(super) param: usize,
    pub(super) x: &'a [f32],
    pub(super) inv: &'a [f32],
    pub(super) dy: &'a [f32],
}

impl Net<'_> {
    /// Adds to the gradients of layers and norms what their rows sum up to.
    pub(super) fn add_sums(
        &self,
        layers: &[Layer<'_>],
        norms: &[Norm<'_>],
        panels: &mut Vec<Aligned>,
        grads: &mut Grads,
    ) {
        let params = &self.decoder.params;
        let mut sums = Sums::default();
        for layer in layers {
            let Linear { d_in, d_out, .. } = *layer.linear;
            sums.product(
                params[layer.linear.weight].slot,
                (layer.dy, d_out),
                (layer.x, d_in),
            );
            if let Some(slot) = layer.linear.bias.and_then(|bias| params[bias].slot) {
                sums.of_slot.push((slot, Sum::Bias(layer.dy)));
            }
            if let Some(lora) = &layer.linear.lora {
                let Rank { u, du } = layer.rank;
                sums.product(params[lora.b].slot, (layer.dy, d_out), (u, lora.rank));
                sums.product(params[lora.a].slot, (du, lora.rank), (layer.x, d_in));
            }
        }
        for norm in norms {
            if let Some(slot) = params[norm.param].slot {
                sums.of_slot.push((slot, Sum::Norm(norm)));
            }
        }
        sums.add(panels, grads, self.team.threads());
    }
}

/// Sums over rows, and the inputs that they share.
#[derive(Default)]
pub(super) struct Sums<'a> {
    /// Rows and their width.
    inputs: Vec<(&'a [f32], usize)>,
    of_slot: Vec<(usize, Sum<'a>)>,
}

/// What is added to a parameter's gradient.
enum Sum<'a> {
    /// `dyᵀ x`: rows of `dy`, their width, and which input `x` is.
    Product(&'a [f32], usize, usize),
    Bias(&'a [f32]),
    Norm(&'a Norm<'a>),
}

/// A part of a sum that one thread adds.
enum Part<'a> {
    Product {
        dy: Matrix<'a>,
        x: Panels<'a>,
        sum: &'a mut [f32],
    },
    Bias(&'a [f32], &'a mut [f32]),
    Norm(&'a Norm<'a>, &'a mut [f32]),
}

impl<'a> Sums<'a> {
    /// `dyᵀ x`, where the parameter is trained. `dy` and `x` come with the width of their rows.
    pub(super) fn product(
        &mut self,
        slot: Option<usize>,
        (dy, d_out): (&'a [f32], usize),
        (x, d_in): (&'a [f32], usize),
    ) {
        let Some(slot) = slot else { return };
        let known = self
            .inputs
            .iter()
            .position(|(input, _)| std::ptr::eq(*input, x));
        let input = known.unwrap_or_else(|| {
            self.inputs.push((x, d_in));
            self.inputs.len() - 1
        });
        self.of_slot.push((slot, Sum::Product(dy, d_out, input)));
    }

    /// Adds all sums to the gradients.
    pub(super) fn add(&self, panels: &mut Vec<Aligned>, grads: &mut Grads, threads: usize) {
        panels.resize_with(panels.len().max(self.inputs.len()), Aligned::default);
        let mut packs = Vec::new();
        for (&(x, width), panels) in self.inputs.iter().zip(panels.iter_mut()) {
            let x = Matrix::rows(x, x.len() / width, width, width);
            panels.grow(packed_len(x.rows, width));
            let len = packed_len(x.rows, width);
            packs.extend(
                panels[..len]
                    .chunks_mut(PANEL * x.rows)
                    .enumerate()
                    .map(|(panel, out)| (x, panel, out)),
            );
        }
        each(packs, |(x, panel, out)| pack_panel(x, panel, out));

        let mut parts = Vec::new();
        for (slot, grad) in grads.iter_mut().enumerate() {
            let Some((_, sum)) = self.of_slot.iter().find(|(of, _)| *of == slot) else {
                continue;
            };
            match *sum {
                Sum::Product(dy, d_out, input) => {
                    let d_in = self.inputs[input].1;
                    let rows = dy.len() / d_out;
                    let mut grad = Cuts::of(grad, d_in);
                    for block in pieces(d_out, (2 * threads).min(d_out.div_ceil(12))) {
                        let dy = Matrix {
                            rows: block.len(),
                            ..Matrix::rows(&dy[block.start..], rows, d_out, d_out).t()
                        };
                        let x = Panels::floats(&panels[input], rows * PANEL, d_in);
                        let sum = grad.take(block.len());
                        parts.push(Part::Product { dy, x, sum });
                    }
                }
                Sum::Bias(dy) => parts.push(Part::Bias(dy, grad)),
                Sum::Norm(norm) => parts.push(Part::Norm(norm, grad)),
            }
        }
        each(parts, |part| match part {
            Part::Product { dy, x, sum } => gemm(dy, x, sum, x.n, Into::Sum),
            Part::Bias(dy, sum) => add_rows(dy, sum),
            Part::Norm(norm, sum) => rms_norm_weight(norm.x, norm.inv, norm.dy, sum),
        });
    }
}
