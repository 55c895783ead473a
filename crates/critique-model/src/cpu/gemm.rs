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
//! Where `B` is in bf16, rows of `A` are rounded to bf16 too, and a chain takes the products of a
//! pair of values the odd one first, as the `vdpbf16ps` of newer CPUs does. Products of two such
//! values are exact in f32, so CPUs without it get the same bits from fused multiply-adds, but for
//! sums under 1.2e-38, which `vdpbf16ps` takes for 0.
//!
//! The kernels use CPU intrinsics and raw pointers, since a portable body keeps no tile of sums in
//! registers. [`gemm`] checks every bound before it enters them, and a test compares them bit for
//! bit with plain chains at all shapes of tile.

mod bf16;
mod pack;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(test)]
pub(crate) use self::bf16::pair;
pub(crate) use self::bf16::{pair_columns, pair_rows, unpair};
pub(crate) use self::pack::{Aligned, pack, pack_panel, packed_len, unpack};
use super::simd::{Isa, isa};
use critique_core::Dtype;

/// Columns of a panel.
pub(crate) const PANEL: usize = 32;

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
    /// Words of 32 bits: a float each, or a pair of 16-bit ones ([`pair`]).
    pub(crate) data: &'a [f32],
    /// Words from one panel to the next: at least `32 * dtype.words(k)`.
    pub(crate) stride: usize,
    pub(crate) n: usize,
    pub(crate) dtype: Dtype,
}

impl<'a> Panels<'a> {
    /// Panels of floats that lie `stride` floats apart.
    pub(crate) fn floats(data: &'a [f32], stride: usize, n: usize) -> Self {
        Self {
            data,
            stride,
            n,
            dtype: Dtype::F32,
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
    let words = b.dtype.words(k);
    assert!(
        k == 0 || a.data.len() > (m - 1) * a.row_stride + (k - 1) * a.col_stride,
        "A is smaller than [{m}, {k}]"
    );
    assert!(
        b.stride >= PANEL * words && b.data.len() >= (panels - 1) * b.stride + PANEL * words,
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
        match b.dtype {
            Dtype::F32 => rows(&call, first, last, n),
            Dtype::Bf16 => bf16::rounded(a, first, last, |pairs| {
                let call = Call {
                    a: pairs.as_ptr(),
                    a_row: words,
                    a_col: 1,
                    k: words,
                    c: call.c.wrapping_add(first * c_stride),
                    ..call
                };
                bf16_rows(&call, last - first, n);
            }),
        }
    }
}

/// Rows `first..last` of a product of floats.
fn rows(call: &Call, first: usize, last: usize, n: usize) {
    match isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => x86::f32_avx512::rows(call, first, last, n),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => x86::f32_avx2::rows(call, first, last, n),
        Isa::Baseline => portable(call, first, last, n, one),
    }
}

/// The first `rows` rows of a product of pairs.
fn bf16_rows(call: &Call, rows: usize, n: usize) {
    match isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if super::simd::has_bf16() => x86::bf16_avx512::rows(call, 0, rows, n),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => x86::widened_avx512::rows(call, 0, rows, n),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => x86::widened_avx2::rows(call, 0, rows, n),
        Isa::Baseline => portable(call, 0, rows, n, two),
    }
}

/// One link of a chain of floats.
fn one(a: f32, b: f32, sum: f32) -> f32 {
    a.mul_add(b, sum)
}

/// Two links of a chain of pairs.
fn two(a: f32, b: f32, sum: f32) -> f32 {
    let ((a0, a1), (b0, b1)) = (unpair(a), unpair(b));
    a0.mul_add(b0, a1.mul_add(b1, sum))
}

/// Borders of `parts` nearly equal parts of `0..len`.
fn even(len: usize, parts: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..parts).map(move |i| (i * len / parts, (i + 1) * len / parts))
}

/// Pointers of a product whose bounds [`gemm`] has checked.
#[derive(Clone, Copy)]
struct Call {
    a: *const f32,
    a_row: usize,
    a_col: usize,
    /// Words of a row of A and of a panel's column.
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
fn portable(call: &Call, first: usize, last: usize, n: usize, link: fn(f32, f32, f32) -> f32) {
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
                        *acc = link(a, *b, *acc);
                    }
                }
                c.copy_from_slice(&acc[..cols]);
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
                let panels = Panels::floats(&packed, PANEL * k, n);
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

    /// Chains of pairs, the odd value first, from values that are rounded already.
    fn chain_of_pairs(a: &[f32], b: &[f32], k: usize, n: usize, c: &[f32]) -> Vec<f32> {
        let at = |values: &[f32], i: usize| values.get(i).copied().unwrap_or(0.0);
        let element = |(at_c, &c): (usize, &f32)| {
            let (i, j) = (at_c / n, at_c % n);
            let mut acc = c;
            for t in (0..k).step_by(2) {
                let row = &a[i * k..(i + 1) * k];
                acc = at(row, t + 1).mul_add(at(b, (t + 1) * n + j), acc);
                acc = row[t].mul_add(b[t * n + j], acc);
            }
            acc
        };
        c.iter().enumerate().map(element).collect()
    }

    fn rounded(values: &[f32]) -> Vec<f32> {
        values.iter().map(|&x| unpair(pair(x, 0.0)).0).collect()
    }

    #[test]
    fn products_of_pairs_have_the_bits_of_their_chain() {
        let mut rng = Rng::new(9);
        for m in (1..=26).chain([64, 385]) {
            for (k, n) in [(1, 1), (5, 33), (17, 64), (40, 300), (3, 257)] {
                let a: Vec<f32> = (0..m * k).map(|_| rng.normal()).collect();
                let b: Vec<f32> = (0..k * n).map(|_| rng.normal()).collect();
                let dtype = Dtype::Bf16;
                let wide = dtype.words(k);
                let mut words = vec![0.0; wide * n];
                pair_columns(&b, n, &mut words);
                let mut packed = Aligned::zeros(packed_len(wide, n));
                pack(Matrix::rows(&words, wide, n, n), &mut packed);
                let panels = Panels {
                    data: &packed,
                    stride: PANEL * wide,
                    n,
                    dtype,
                };
                let start: Vec<f32> = (0..m * n).map(|_| rng.normal()).collect();
                let want = chain_of_pairs(&rounded(&a), &rounded(&b), k, n, &start);
                let same = |c: &[f32], what: &str| {
                    let same = c.iter().zip(&want).all(|(x, y)| x.to_bits() == y.to_bits());
                    assert!(same, "{what}: {m}x{k}x{n}");
                };

                let mut c = start.clone();
                gemm(Matrix::rows(&a, m, k, k), panels, &mut c, n, Into::Sum);
                same(&c, "rows");
                let across: Vec<f32> = (0..m * k).map(|at| a[at % m * k + at / m]).collect();
                let mut c = start.clone();
                gemm(
                    Matrix::rows(&across, k, m, m).t(),
                    panels,
                    &mut c,
                    n,
                    Into::Sum,
                );
                same(&c, "columns");

                // Every kernel that this CPU can run, not just the best.
                let mut rows = vec![0.0; m * wide];
                pair_rows(&a, k, &mut rows);
                for (name, kernel) in kernels_of_pairs() {
                    let mut c = start.clone();
                    let call = Call {
                        a: rows.as_ptr(),
                        a_row: wide,
                        a_col: 1,
                        k: wide,
                        b: packed.as_ptr(),
                        b_stride: PANEL * wide,
                        c: c.as_mut_ptr(),
                        c_row: n,
                        sum: true,
                    };
                    kernel(&call, 0, m, n);
                    same(&c, name);
                }
            }
        }
    }

    type Kernel = fn(&Call, usize, usize, usize);

    fn kernels_of_pairs() -> Vec<(&'static str, Kernel)> {
        let plain: Kernel = |call, first, last, n| portable(call, first, last, n, two);
        let mut kernels = vec![("portable", plain)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                kernels.push(("AVX2", x86::widened_avx2::rows));
            }
            if isa() == Isa::Avx512 {
                kernels.push(("AVX-512", x86::widened_avx512::rows));
            }
            if isa() == Isa::Avx512 && crate::cpu::simd::has_bf16() {
                kernels.push(("vdpbf16ps", x86::bf16_avx512::rows));
            }
        }
        kernels
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
        let panels = Panels::floats(&x, PANEL * k, n);
        let mut back = vec![0.0; k * n];
        unpack(panels, k, &mut back);
        assert_eq!(back, w);
    }
}
