//! Matrices laid out in panels.

use bytemuck::{Pod, Zeroable};

use super::{Matrix, PANEL, Panels};
use crate::cpu::simd::simd;

/// Sixteen floats on a cache line.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Zeroed floats that start on a cache line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aligned(Vec<Line>);

impl Aligned {
    pub(crate) fn zeros(len: usize) -> Self {
        Self(vec![Line([0.0; 16]); len.div_ceil(16)])
    }

    /// Makes it at least `len` floats, whose values are open.
    pub(crate) fn grow(&mut self, len: usize) {
        if self.0.len() * 16 < len {
            self.0 = Vec::new();
            *self = Self::zeros(len);
        }
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.0.len() * 64
    }
}

impl std::ops::Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// Floats that a packed `[k, n]` matrix takes.
pub(crate) fn packed_len(k: usize, n: usize) -> usize {
    n.div_ceil(PANEL) * PANEL * k
}

/// Packs a `[k, n]` matrix into panels; columns beyond `n` become 0.
pub(crate) fn pack(b: Matrix<'_>, out: &mut [f32]) {
    let (k, n) = (b.rows, b.cols);
    assert!(
        out.len() >= packed_len(k, n),
        "{} floats do not hold [{k}, {n}] in panels",
        out.len()
    );
    for (panel, out) in (0..n.div_ceil(PANEL)).zip(out.chunks_exact_mut((PANEL * k).max(1))) {
        pack_panel(b, panel, out);
    }
}

/// One panel of [`pack`].
pub(crate) fn pack_panel(b: Matrix<'_>, panel: usize, out: &mut [f32]) {
    let first = panel * PANEL;
    let cols = PANEL.min(b.cols - first);
    if b.col_stride == 1 && cols == PANEL {
        pack_rows(&b.data[first..], b.row_stride, out.as_chunks_mut().0);
    } else if b.col_stride == 1 {
        for (row, out) in out.chunks_exact_mut(PANEL).enumerate() {
            let at = row * b.row_stride + first;
            out[..cols].copy_from_slice(&b.data[at..at + cols]);
            out[cols..].fill(0.0);
        }
    } else if b.row_stride == 1 {
        pack_columns(b, first, cols, out);
    } else {
        for (row, out) in out.chunks_exact_mut(PANEL).enumerate() {
            for (j, out) in out.iter_mut().enumerate() {
                *out = if j < cols {
                    b.data[row * b.row_stride + (first + j) * b.col_stride]
                } else {
                    0.0
                };
            }
        }
    }
}

simd! {
    /// Copies the first 32 values of rows that lie `stride` apart.
    fn pack_rows(data: &[f32], stride: usize, out: &mut [[f32; PANEL]]) {
        for (row, out) in out.iter_mut().enumerate() {
            *out = *data[row * stride..].first_chunk().expect("a row has these columns");
        }
    }
}

/// Packs columns that are contiguous in memory (the transpose of a row-major matrix), in
/// squares of 16.
fn pack_columns(b: Matrix<'_>, first: usize, cols: usize, out: &mut [f32]) {
    let columns = |i| &b.data[(first + i) * b.col_stride..];
    for (base, out) in (0..b.rows).step_by(16).zip(out.chunks_mut(16 * PANEL)) {
        for half in [0, 16] {
            let (out, _) = out.as_chunks_mut::<PANEL>();
            let cols = cols.saturating_sub(half).min(16);
            if cols == 16 && out.len() == 16 {
                transpose(&columns(half)[base..], b.col_stride, out, half);
                continue;
            }
            for (i, out) in out.iter_mut().enumerate() {
                let out = &mut out[half..half + 16];
                out[cols..].fill(0.0);
                for (j, out) in out[..cols].iter_mut().enumerate() {
                    *out = columns(half + j)[base + i];
                }
            }
        }
    }
}

simd! {
    /// Writes 16 columns, `stride` apart, as columns `first..first + 16` of 16 rows.
    fn transpose(columns: &[f32], stride: usize, out: &mut [[f32; PANEL]], first: usize) {
        let mut rows = [[0f32; 16]; 16];
        for (j, row) in rows.iter_mut().enumerate() {
            *row = *columns[j * stride..].first_chunk().expect("a column has these rows");
        }
        // Four times, each pair of rows eight apart is dealt into two neighbours.
        for _ in 0..4 {
            let mut dealt = [[0f32; 16]; 16];
            for i in 0..8 {
                for l in 0..8 {
                    dealt[2 * i][2 * l] = rows[i][l];
                    dealt[2 * i][2 * l + 1] = rows[i + 8][l];
                    dealt[2 * i + 1][2 * l] = rows[i][l + 8];
                    dealt[2 * i + 1][2 * l + 1] = rows[i + 8][l + 8];
                }
            }
            rows = dealt;
        }
        for (row, out) in rows.iter().zip(out) {
            out[first..first + 16].copy_from_slice(row);
        }
    }
}

/// Undoes [`pack`] of a transpose: writes `[n, k]`, row by row.
pub(crate) fn unpack(panels: Panels<'_>, k: usize, out: &mut [f32]) {
    let stripes = out.chunks_mut((PANEL * k).max(1));
    for (panel, out) in panels.data.chunks(panels.stride.max(1)).zip(stripes) {
        let (lines, _) = panel.as_chunks::<PANEL>();
        for (j, out) in out.chunks_exact_mut(k).enumerate() {
            out.iter_mut()
                .zip(lines)
                .for_each(|(out, line)| *out = line[j]);
        }
    }
}
