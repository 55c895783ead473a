//! Matrix products whose every element is one chain of fused multiply-adds, in order.
//!
//! `C[i][j] = ((c0 + A[i][0] B[0][j]) + A[i][1] B[1][j]) + …`, where each step is one fused
//! multiply-add and `c0` is 0 or what `C` held. The order depends on nothing but `k`: not on how
//! many rows there are, on blocking, on threads, or on the instruction set. So a row computed
//! alone while sampling equals, bit for bit, the same row inside a training batch.
//!
//! `B` comes packed in panels of 32 columns (`[n / 32][k][32]`), which makes both the product of
//! a thousand rows and that of one row read it once, in order. Left out: splitting `k` for
//! caches, which panels of the sizes met in decoders (`k` up to some thousands) do not need.
//!
//! The kernels use CPU intrinsics and raw pointers, since a portable body keeps no tile of sums in
//! registers. [`gemm`] checks every bound before it enters them, and a test compares them bit for
//! bit with plain chains at all shapes of tile.

use bytemuck::{Pod, Zeroable};

use super::simd::{Isa, isa, simd};

/// Columns of a panel.
pub(crate) const PANEL: usize = 32;

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

/// A matrix in memory; element `(i, j)` is at `i * row_stride + j * col_stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows one after another, `stride` apart.
    pub(crate) fn rows(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        Self {
            data,
            rows,
            cols,
            row_stride: stride,
            col_stride: 1,
        }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix `[k, n]` in panels of 32 columns; the last panel is filled up with zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panels<'a> {
    pub(crate) data: &'a [f32],
    /// Floats from one panel to the next: at least `32 * k`.
    pub(crate) stride: usize,
    pub(crate) n: usize,
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

/// What a product does with the values that `C` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// Overwrites them.
    Fresh,
    /// Continues their sums.
    Sum,
}

/// `C = A B` or `C += A B`; `C` has rows `c_stride` apart.
///
/// # Shapes
///
/// - `a`: `[m, k]`, any strides
/// - `b`: `[k, n]` in panels
/// - `c`: `[m, n]`
///
/// # Panics
///
/// When a matrix is smaller than its shape says.
pub(crate) fn gemm(a: Matrix<'_>, b: Panels<'_>, c: &mut [f32], c_stride: usize, into: Into) {
    let (m, k, n) = (a.rows, a.cols, b.n);
    if m == 0 || n == 0 {
        return;
    }
    let panels = n.div_ceil(PANEL);
    assert!(
        k == 0 || a.data.len() > (m - 1) * a.row_stride + (k - 1) * a.col_stride,
        "A is smaller than [{m}, {k}]"
    );
    assert!(
        b.stride >= PANEL * k && b.data.len() >= (panels - 1) * b.stride + PANEL * k,
        "B is smaller than [{k}, {n}]"
    );
    assert!(
        c_stride >= n && c.len() >= (m - 1) * c_stride + n,
        "C is smaller than [{m}, {n}]"
    );
    let call = Call {
        a: a.data.as_ptr(),
        a_row: a.row_stride,
        a_col: a.col_stride,
        k,
        b: b.data.as_ptr(),
        b_stride: b.stride,
        c: c.as_mut_ptr(),
        c_row: c_stride,
        sum: into == Into::Sum,
    };
    // Rows that stay in the second-level cache while all panels pass.
    let chunk = (64 * 1024 / k.max(1)).clamp(24, 384);
    let chunks = m.div_ceil(chunk);
    for (first, last) in even(m, chunks) {
        match isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::rows_avx512(&call, first, last, n),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::rows_avx2(&call, first, last, n),
            Isa::Baseline => portable(&call, first, last, n),
        }
    }
}

/// Borders of `parts` nearly equal parts of `0..len`.
fn even(len: usize, parts: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..parts).map(move |i| (i * len / parts, (i + 1) * len / parts))
}

/// Pointers of a product whose bounds [`gemm`] has checked.
struct Call {
    a: *const f32,
    a_row: usize,
    a_col: usize,
    k: usize,
    b: *const f32,
    b_stride: usize,
    c: *mut f32,
    c_row: usize,
    sum: bool,
}

/// The reference: the same chains in plain Rust.
#[expect(
    unsafe_code,
    reason = "shares its interface with the kernels; gemm has checked all bounds"
)]
fn portable(call: &Call, first: usize, last: usize, n: usize) {
    for panel in 0..n.div_ceil(PANEL) {
        let cols = PANEL.min(n - panel * PANEL);
        for i in first..last {
            let mut acc = [0f32; PANEL];
            // SAFETY: `gemm` has checked that A, B and C hold every index formed here.
            unsafe {
                let c = std::slice::from_raw_parts_mut(
                    call.c.add(i * call.c_row + panel * PANEL),
                    cols,
                );
                if call.sum {
                    acc[..cols].copy_from_slice(c);
                }
                for t in 0..call.k {
                    let a = *call.a.add(i * call.a_row + t * call.a_col);
                    let b = std::slice::from_raw_parts(
                        call.b.add(panel * call.b_stride + t * PANEL),
                        PANEL,
                    );
                    for (acc, b) in acc.iter_mut().zip(b) {
                        *acc = a.mul_add(*b, *acc);
                    }
                }
                c.copy_from_slice(&acc[..cols]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "CPU intrinsics; every bound is checked by gemm, every feature by isa"
)]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, __mmask16, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_storeu_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
        _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps,
    };

    use super::{Call, PANEL, even};

    /// Rows `first..last` of the product, all panels. Tiles are as tall as 24 accumulators
    /// allow; few rows take several panels at once, to have enough independent chains.
    pub(super) fn rows_avx512(call: &Call, first: usize, last: usize, n: usize) {
        let panels = n.div_ceil(PANEL);
        let m = last - first;
        let tiles = m.div_ceil(12);
        let wide = match m.div_ceil(tiles) {
            1 => 8,
            2 => 6,
            3 | 4 => 3,
            5 | 6 => 2,
            _ => 1,
        };
        let mut panel = 0;
        while panel < panels {
            let take = if panels - panel >= wide && n >= (panel + wide) * PANEL {
                wide
            } else {
                1
            };
            let cols = PANEL.min(n - panel * PANEL);
            for (top, bottom) in even(m, tiles) {
                // SAFETY: AVX-512 was detected by the caller; bounds were checked by `gemm`.
                unsafe { tile_avx512(call, first + top, bottom - top, panel, take, cols) }
            }
            panel += take;
        }
    }

    macro_rules! tall {
        ($call:expr, $row:expr, $rows:expr, $panel:expr, $cols:expr, $($m:literal)*) => {
            match $rows { $($m => kernel_avx512::<$m, 1>($call, $row, $panel, $cols),)* _ => unreachable!("tiles have at most 12 rows") }
        };
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn tile_avx512(
        call: &Call,
        row: usize,
        rows: usize,
        panel: usize,
        take: usize,
        cols: usize,
    ) {
        // SAFETY: passed on from the caller.
        unsafe {
            match (rows, take) {
                (1, 8) => kernel_avx512::<1, 8>(call, row, panel, cols),
                (1, 6) => {
                    kernel_avx512::<1, 3>(call, row, panel, cols);
                    kernel_avx512::<1, 3>(call, row, panel + 3, cols);
                }
                (2, 6) => {
                    kernel_avx512::<2, 3>(call, row, panel, cols);
                    kernel_avx512::<2, 3>(call, row, panel + 3, cols);
                }
                (2, 3) => kernel_avx512::<2, 3>(call, row, panel, cols),
                (3, 3) => kernel_avx512::<3, 3>(call, row, panel, cols),
                (4, 3) => kernel_avx512::<4, 3>(call, row, panel, cols),
                (4, 2) => kernel_avx512::<4, 2>(call, row, panel, cols),
                (5, 2) => kernel_avx512::<5, 2>(call, row, panel, cols),
                (6, 2) => kernel_avx512::<6, 2>(call, row, panel, cols),
                (_, 1) => tall!(call, row, rows, panel, cols, 1 2 3 4 5 6 7 8 9 10 11 12),
                _ => {
                    for i in 0..take {
                        tall!(call, row, rows, panel + i, cols, 1 2 3 4 5 6 7 8 9 10 11 12);
                    }
                }
            }
        }
    }

    /// `M` rows by `P` panels. `cols` is the width of the last panel.
    #[target_feature(enable = "avx512f")]
    unsafe fn kernel_avx512<const M: usize, const P: usize>(
        call: &Call,
        row: usize,
        panel: usize,
        cols: usize,
    ) {
        // SAFETY: rows `row..row + M` and panels `panel..panel + P` exist; columns of C beyond
        // `cols` in the last panel are masked out of loads and stores.
        unsafe {
            let low = mask(cols);
            let high = mask(cols.saturating_sub(16));
            let c = call.c.add(row * call.c_row + panel * PANEL);
            let mut acc = [[[_mm512_setzero_ps(); 2]; P]; M];
            if call.sum {
                for (i, acc) in acc.iter_mut().enumerate() {
                    for (p, acc) in acc.iter_mut().enumerate() {
                        let c = c.add(i * call.c_row + p * PANEL);
                        acc[0] = _mm512_maskz_loadu_ps(low, c);
                        acc[1] = _mm512_maskz_loadu_ps(high, c.wrapping_add(16));
                    }
                }
            }
            let mut a: [*const f32; M] = [call.a; M];
            for (i, a) in a.iter_mut().enumerate() {
                *a = call.a.wrapping_add((row + i) * call.a_row);
            }
            let mut b = call.b.add(panel * call.b_stride);
            for _ in 0..call.k {
                let mut rows = [_mm512_setzero_ps(); M];
                for i in 0..M {
                    rows[i] = _mm512_set1_ps(*a[i]);
                    a[i] = a[i].wrapping_add(call.a_col);
                }
                #[expect(
                    clippy::needless_range_loop,
                    reason = "`p` indexes the middle of `acc`"
                )]
                for p in 0..P {
                    let at = b.wrapping_add(p * call.b_stride);
                    let (b0, b1): (__m512, __m512) =
                        (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(16)));
                    for i in 0..M {
                        acc[i][p][0] = _mm512_fmadd_ps(rows[i], b0, acc[i][p][0]);
                        acc[i][p][1] = _mm512_fmadd_ps(rows[i], b1, acc[i][p][1]);
                    }
                }
                b = b.wrapping_add(PANEL);
            }
            for (i, acc) in acc.iter().enumerate() {
                for (p, acc) in acc.iter().enumerate() {
                    let c = c.add(i * call.c_row + p * PANEL);
                    _mm512_mask_storeu_ps(c, low, acc[0]);
                    _mm512_mask_storeu_ps(c.wrapping_add(16), high, acc[1]);
                }
            }
        }
    }

    /// The mask of the first `cols` of 16 lanes.
    fn mask(cols: usize) -> __mmask16 {
        if cols >= 16 { !0 } else { (1 << cols) - 1 }
    }

    /// Rows `first..last` of the product, all panels, in half panels of 16 columns.
    pub(super) fn rows_avx2(call: &Call, first: usize, last: usize, n: usize) {
        let m = last - first;
        let tiles = m.div_ceil(6);
        for half in 0..n.div_ceil(16) {
            let cols = 16.min(n - half * 16);
            for (top, bottom) in even(m, tiles) {
                let row = first + top;
                // SAFETY: AVX2 and FMA were detected by the caller; bounds were checked by `gemm`.
                unsafe {
                    match bottom - top {
                        1 => kernel_avx2::<1>(call, row, half, cols),
                        2 => kernel_avx2::<2>(call, row, half, cols),
                        3 => kernel_avx2::<3>(call, row, half, cols),
                        4 => kernel_avx2::<4>(call, row, half, cols),
                        5 => kernel_avx2::<5>(call, row, half, cols),
                        _ => kernel_avx2::<6>(call, row, half, cols),
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn kernel_avx2<const M: usize>(call: &Call, row: usize, half: usize, cols: usize) {
        // SAFETY: rows `row..row + M` exist, and columns beyond `cols` go through a buffer.
        unsafe {
            let c = call.c.add(row * call.c_row + half * 16);
            let mut acc: [[__m256; 2]; M] = [[_mm256_setzero_ps(); 2]; M];
            let mut buffer = [0f32; 16];
            if call.sum {
                for (i, acc) in acc.iter_mut().enumerate() {
                    std::ptr::copy_nonoverlapping(c.add(i * call.c_row), buffer.as_mut_ptr(), cols);
                    *acc = [
                        _mm256_loadu_ps(buffer.as_ptr()),
                        _mm256_loadu_ps(buffer.as_ptr().add(8)),
                    ];
                }
            }
            let mut b = call.b.add(half / 2 * call.b_stride + half % 2 * 16);
            let mut a = call.a.wrapping_add(row * call.a_row);
            for _ in 0..call.k {
                let (b0, b1) = (_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8)));
                for (i, acc) in acc.iter_mut().enumerate() {
                    let a = _mm256_set1_ps(*a.wrapping_add(i * call.a_row));
                    acc[0] = _mm256_fmadd_ps(a, b0, acc[0]);
                    acc[1] = _mm256_fmadd_ps(a, b1, acc[1]);
                }
                a = a.wrapping_add(call.a_col);
                b = b.wrapping_add(PANEL);
            }
            for (i, acc) in acc.iter().enumerate() {
                _mm256_storeu_ps(buffer.as_mut_ptr(), acc[0]);
                _mm256_storeu_ps(buffer.as_mut_ptr().add(8), acc[1]);
                std::ptr::copy_nonoverlapping(buffer.as_ptr(), c.add(i * call.c_row), cols);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use critique_core::Rng;

    fn chain(a: Matrix<'_>, b: &[f32], n: usize, c: &[f32], sum: bool) -> Vec<f32> {
        let mut out = vec![0f32; a.rows * n];
        for i in 0..a.rows {
            for j in 0..n {
                let mut acc = if sum { c[i * n + j] } else { 0.0 };
                for t in 0..a.cols {
                    acc = a.data[i * a.row_stride + t * a.col_stride].mul_add(b[t * n + j], acc);
                }
                out[i * n + j] = acc;
            }
        }
        out
    }

    #[test]
    fn every_shape_gives_the_bits_of_the_plain_chain() {
        let mut rng = Rng::new(7);
        for m in (1..=26).chain([64, 100, 385]) {
            for (k, n) in [(1, 1), (5, 33), (17, 64), (40, 300), (3, 257)] {
                let a: Vec<f32> = (0..m * k).map(|_| rng.normal()).collect();
                let b: Vec<f32> = (0..k * n).map(|_| rng.normal()).collect();
                let mut packed = Aligned::zeros(packed_len(k, n));
                pack(Matrix::rows(&b, k, n, n), &mut packed);
                let panels = Panels {
                    data: &packed,
                    stride: PANEL * k,
                    n,
                };
                for a in [Matrix::rows(&a, m, k, k), Matrix::rows(&a, k, m, m).t()] {
                    for into in [Into::Fresh, Into::Sum] {
                        let start: Vec<f32> = (0..m * n).map(|_| rng.normal()).collect();
                        let mut c = start.clone();
                        gemm(a, panels, &mut c, n, into);
                        let want = chain(a, &b, n, &start, into == Into::Sum);
                        assert!(
                            c.iter().zip(&want).all(|(x, y)| x.to_bits() == y.to_bits()),
                            "{m}x{k}x{n} {into:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn packing_a_transpose_equals_packing_its_copy() {
        let mut rng = Rng::new(8);
        let (k, n) = (37, 70);
        let w: Vec<f32> = (0..k * n).map(|_| rng.normal()).collect();
        let copy: Vec<f32> = (0..k * n).map(|i| w[(i % n) * k + i / n]).collect();
        let mut x = Aligned::zeros(packed_len(k, n));
        let mut y = Aligned::zeros(packed_len(k, n));
        pack(Matrix::rows(&w, n, k, k).t(), &mut x);
        pack(Matrix::rows(&copy, k, n, n), &mut y);
        assert_eq!(&x[..], &y[..]);
        let panels = Panels {
            data: &x,
            stride: PANEL * k,
            n,
        };
        let mut back = vec![0.0; k * n];
        unpack(panels, k, &mut back);
        assert_eq!(back, w);
    }
}
