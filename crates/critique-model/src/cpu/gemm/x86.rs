//! Kernels of CPU intrinsics. [`gemm`](super::gemm) has checked every bound, and the caller has
//! found every CPU feature.
#![expect(
    unsafe_code,
    reason = "CPU intrinsics; every bound is checked by gemm, every feature by isa"
)]

use std::arch::x86_64::{
    __m256, __m256i, __m512, __m512bh, __m512i, __mmask16, _MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch,
    _mm256_and_si256, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_slli_epi32, _mm256_storeu_ps,
    _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi32,
};
use std::mem::transmute;

use super::{Call, PANEL, even};

/// The mask of the first `cols` of 16 lanes.
fn mask(cols: usize) -> __mmask16 {
    if cols >= 16 { !0 } else { (1 << cols) - 1 }
}

/// The odd value of each pair, as a float.
#[target_feature(enable = "avx512f")]
fn odd_512(pairs: __m512) -> __m512 {
    let high: __m512i = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(pairs), high))
}

/// The even value of each pair, as a float.
#[target_feature(enable = "avx512f")]
fn even_512(pairs: __m512) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(pairs)))
}

/// The odd value of each pair, as a float.
#[target_feature(enable = "avx2")]
fn odd_256(pairs: __m256) -> __m256 {
    let high: __m256i = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
    _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(pairs), high))
}

/// The even value of each pair, as a float.
#[target_feature(enable = "avx2")]
fn even_256(pairs: __m256) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(pairs)))
}

/// Steps along `k` between one look ahead and the next.
const STEPS: usize = 8;

/// What a tile fetches while it computes, for the tiles after it. Fetching never fails, wherever
/// a pointer leads.
struct Ahead {
    /// Its share of the next panel of B.
    b: *const f32,
    /// Cache lines of it in a look ahead.
    lines: usize,
    /// Where the next tile of C begins, a row for each look ahead.
    c: *const f32,
}

/// A module with `rows(call, first, last, n)` for rows `first..last` of a product, all panels, of
/// which `step` is what a chain takes from two words. Tiles are as tall as 24 accumulators allow;
/// few rows take several panels at once, to have enough independent chains.
macro_rules! avx512 {
    ($name:ident, $features:literal, |$sum:ident, $a:ident, $b:ident| $step:expr) => {
        pub(super) mod $name {
            use super::*;

            pub(in crate::cpu::gemm) fn rows(call: &Call, first: usize, last: usize, n: usize) {
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
                    for (at, (top, bottom)) in even(m, tiles).enumerate() {
                        let (next_row, next_panel) = if bottom < m {
                            (first + bottom, panel)
                        } else {
                            (first, panel + take)
                        };
                        let done = at * call.k / tiles * PANEL;
                        // A single tile would fetch no sooner than the CPU does by itself.
                        let share = if tiles > 1 { 2 * STEPS } else { 0 };
                        let ahead = Ahead {
                            b: call.b.wrapping_add((panel + 1) * call.b_stride + done),
                            lines: share.div_ceil(tiles),
                            c: call
                                .c
                                .wrapping_add(next_row * call.c_row + next_panel * PANEL),
                        };
                        // SAFETY: the caller found these features; `gemm` checked the bounds.
                        unsafe { tile(call, &ahead, first + top, bottom - top, panel, take, cols) }
                    }
                    panel += take;
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn tile(
                call: &Call,
                ahead: &Ahead,
                row: usize,
                rows: usize,
                panel: usize,
                take: usize,
                cols: usize,
            ) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match (rows, take) {
                        (1, 8) => kernel::<1, 8>(call, ahead, row, panel, cols),
                        (1, 6) => {
                            kernel::<1, 3>(call, ahead, row, panel, cols);
                            kernel::<1, 3>(call, ahead, row, panel + 3, cols);
                        }
                        (2, 6) => {
                            kernel::<2, 3>(call, ahead, row, panel, cols);
                            kernel::<2, 3>(call, ahead, row, panel + 3, cols);
                        }
                        (2, 3) => kernel::<2, 3>(call, ahead, row, panel, cols),
                        (3, 3) => kernel::<3, 3>(call, ahead, row, panel, cols),
                        (4, 3) => kernel::<4, 3>(call, ahead, row, panel, cols),
                        (4, 2) => kernel::<4, 2>(call, ahead, row, panel, cols),
                        (5, 2) => kernel::<5, 2>(call, ahead, row, panel, cols),
                        (6, 2) => kernel::<6, 2>(call, ahead, row, panel, cols),
                        _ => {
                            for panel in panel..panel + take {
                                tall(call, ahead, row, rows, panel, cols);
                            }
                        }
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn tall(
                call: &Call,
                ahead: &Ahead,
                row: usize,
                rows: usize,
                panel: usize,
                cols: usize,
            ) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match rows {
                        1 => kernel::<1, 1>(call, ahead, row, panel, cols),
                        2 => kernel::<2, 1>(call, ahead, row, panel, cols),
                        3 => kernel::<3, 1>(call, ahead, row, panel, cols),
                        4 => kernel::<4, 1>(call, ahead, row, panel, cols),
                        5 => kernel::<5, 1>(call, ahead, row, panel, cols),
                        6 => kernel::<6, 1>(call, ahead, row, panel, cols),
                        7 => kernel::<7, 1>(call, ahead, row, panel, cols),
                        8 => kernel::<8, 1>(call, ahead, row, panel, cols),
                        9 => kernel::<9, 1>(call, ahead, row, panel, cols),
                        10 => kernel::<10, 1>(call, ahead, row, panel, cols),
                        11 => kernel::<11, 1>(call, ahead, row, panel, cols),
                        12 => kernel::<12, 1>(call, ahead, row, panel, cols),
                        _ => unreachable!("tiles have at most 12 rows"),
                    }
                }
            }

            /// `M` rows by `P` panels. `cols` is the width of the last panel.
            #[target_feature(enable = $features)]
            unsafe fn kernel<const M: usize, const P: usize>(
                call: &Call,
                ahead: &Ahead,
                row: usize,
                panel: usize,
                cols: usize,
            ) {
                // SAFETY: rows `row..row + M` and panels `panel..panel + P` exist; columns of C
                // beyond `cols` in the last panel are masked out of loads and stores.
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
                    let (mut next_b, mut next_c) = (ahead.b, ahead.c);
                    for first in (0..call.k).step_by(STEPS) {
                        if P == 1 {
                            if first < M * STEPS {
                                _mm_prefetch::<_MM_HINT_ET0>(next_c.cast());
                                _mm_prefetch::<_MM_HINT_ET0>(next_c.wrapping_add(16).cast());
                                next_c = next_c.wrapping_add(call.c_row);
                            }
                            for _ in 0..ahead.lines {
                                _mm_prefetch::<_MM_HINT_T0>(next_b.cast());
                                next_b = next_b.wrapping_add(16);
                            }
                            // Rows of A that lie side by side are fetched by the CPU itself.
                            if call.a_col != 1 {
                                for step in 2 * STEPS..3 * STEPS {
                                    let a = a[M - 1].wrapping_add(step * call.a_col);
                                    _mm_prefetch::<_MM_HINT_T0>(a.cast());
                                }
                            }
                        }
                        for _ in first..call.k.min(first + STEPS) {
                            let mut rows = [_mm512_setzero_ps(); M];
                            for i in 0..M {
                                rows[i] = _mm512_set1_ps(*a[i]);
                                a[i] = a[i].wrapping_add(call.a_col);
                            }
                            for p in 0..P {
                                let at = b.wrapping_add(p * call.b_stride);
                                let halves = [_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(16))];
                                for i in 0..M {
                                    for half in 0..2 {
                                        let ($sum, $a, $b) =
                                            (acc[i][p][half], rows[i], halves[half]);
                                        acc[i][p][half] = $step;
                                    }
                                }
                            }
                            b = b.wrapping_add(PANEL);
                        }
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
        }
    };
}

avx512!(f32_avx512, "avx512f", |sum, a, b| _mm512_fmadd_ps(
    a, b, sum
));
avx512!(bf16_avx512, "avx512f,avx512bf16", |sum, a, b| {
    _mm512_dpbf16_ps(
        sum,
        transmute::<__m512, __m512bh>(a),
        transmute::<__m512, __m512bh>(b),
    )
});
avx512!(widened_avx512, "avx512f", |sum, a, b| {
    let sum = _mm512_fmadd_ps(odd_512(a), odd_512(b), sum);
    _mm512_fmadd_ps(even_512(a), even_512(b), sum)
});

/// As `avx512`, in half panels of 16 columns.
macro_rules! avx2 {
    ($name:ident, |$sum:ident, $a:ident, $b:ident| $step:expr) => {
        pub(super) mod $name {
            use super::*;

            pub(in crate::cpu::gemm) fn rows(call: &Call, first: usize, last: usize, n: usize) {
                let m = last - first;
                let tiles = m.div_ceil(6);
                for half in 0..n.div_ceil(16) {
                    let cols = 16.min(n - half * 16);
                    for (top, bottom) in even(m, tiles) {
                        let row = first + top;
                        // SAFETY: the caller found AVX2 and FMA; `gemm` checked the bounds.
                        unsafe {
                            match bottom - top {
                                1 => kernel::<1>(call, row, half, cols),
                                2 => kernel::<2>(call, row, half, cols),
                                3 => kernel::<3>(call, row, half, cols),
                                4 => kernel::<4>(call, row, half, cols),
                                5 => kernel::<5>(call, row, half, cols),
                                _ => kernel::<6>(call, row, half, cols),
                            }
                        }
                    }
                }
            }

            #[target_feature(enable = "avx2,fma")]
            unsafe fn kernel<const M: usize>(call: &Call, row: usize, half: usize, cols: usize) {
                // SAFETY: rows `row..row + M` exist, and columns beyond `cols` go through a buffer.
                unsafe {
                    let c = call.c.add(row * call.c_row + half * 16);
                    let mut acc: [[__m256; 2]; M] = [[_mm256_setzero_ps(); 2]; M];
                    let mut buffer = [0f32; 16];
                    if call.sum {
                        for (i, acc) in acc.iter_mut().enumerate() {
                            let c = c.add(i * call.c_row);
                            std::ptr::copy_nonoverlapping(c, buffer.as_mut_ptr(), cols);
                            *acc = [
                                _mm256_loadu_ps(buffer.as_ptr()),
                                _mm256_loadu_ps(buffer.as_ptr().add(8)),
                            ];
                        }
                    }
                    let mut b = call.b.add(half / 2 * call.b_stride + half % 2 * 16);
                    let mut a = call.a.wrapping_add(row * call.a_row);
                    for _ in 0..call.k {
                        let halves = [_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8))];
                        for (i, acc) in acc.iter_mut().enumerate() {
                            let $a = _mm256_set1_ps(*a.wrapping_add(i * call.a_row));
                            for ($b, acc) in halves.into_iter().zip(acc) {
                                let $sum = *acc;
                                *acc = $step;
                            }
                        }
                        a = a.wrapping_add(call.a_col);
                        b = b.wrapping_add(PANEL);
                    }
                    for (i, acc) in acc.iter().enumerate() {
                        _mm256_storeu_ps(buffer.as_mut_ptr(), acc[0]);
                        _mm256_storeu_ps(buffer.as_mut_ptr().add(8), acc[1]);
                        let c = c.add(i * call.c_row);
                        std::ptr::copy_nonoverlapping(buffer.as_ptr(), c, cols);
                    }
                }
            }
        }
    };
}

avx2!(f32_avx2, |sum, a, b| _mm256_fmadd_ps(a, b, sum));
avx2!(widened_avx2, |sum, a, b| {
    let sum = _mm256_fmadd_ps(odd_256(a), odd_256(b), sum);
    _mm256_fmadd_ps(even_256(a), even_256(b), sum)
});
