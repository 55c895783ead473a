//! Pairs of 16-bit floats in words of 32 bits.
//!
//! A word holds two values that follow each other along `k`: the even one in its lower half, the
//! odd one in its upper half. Words lie in memory that is typed as floats, so that panels of both
//! kinds are laid out by the same code; nothing ever computes with them as they are.

use std::cell::RefCell;

use super::Matrix;
use crate::cpu::simd::simd;

/// The bits of the nearest bf16, ties to even; what is below the normal numbers becomes 0, as
/// `vdpbf16ps` takes it.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "must be compiled inside each target-feature function"
)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let sign = bits & 0x8000_0000;
    let size = bits & 0x7fff_ffff;
    // Adding may carry into the exponent, up to infinity, as rounding should.
    let rounded = size.wrapping_add(0x7fff + (size >> 16 & 1)) >> 16;
    let rounded = if size < 0x0080_0000 { 0 } else { rounded };
    // A NaN stays one.
    let rounded = if size > 0x7f80_0000 { 0x7fc0 } else { rounded };
    sign >> 16 | rounded
}

/// A word of two values, rounded.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "must be compiled inside each target-feature function"
)]
pub(crate) fn pair(even: f32, odd: f32) -> f32 {
    f32::from_bits(round(even) | round(odd) << 16)
}

/// The two values of a word.
pub(crate) fn unpair(word: f32) -> (f32, f32) {
    let bits = word.to_bits();
    (
        f32::from_bits(bits << 16),
        f32::from_bits(bits & 0xffff_0000),
    )
}

simd! {
    /// Pairs the values of a row with their neighbours; the last of an odd number with 0.
    fn pair_row(row: &[f32], words: &mut [f32]) {
        let (pairs, rest) = row.as_chunks::<2>();
        for (word, &[even, odd]) in words.iter_mut().zip(pairs) {
            *word = pair(even, odd);
        }
        if let [last] = rest {
            words[pairs.len()] = pair(*last, 0.0);
        }
    }
}

/// Pairs the values of each row of `[rows, k]` with their neighbours: `[rows, k / 2]` words.
pub(crate) fn pair_rows(rows: &[f32], k: usize, words: &mut [f32]) {
    let parts = rows
        .chunks_exact(k)
        .zip(words.chunks_exact_mut(k.div_ceil(2)));
    parts.for_each(|(row, words)| pair_row(row, words));
}

/// Pairs each row of `[k, n]` with the next one: `[k / 2, n]` words.
pub(crate) fn pair_columns(rows: &[f32], n: usize, words: &mut [f32]) {
    for (two, words) in rows.chunks(2 * n).zip(words.chunks_exact_mut(n)) {
        let (even, odd) = two.split_at(n);
        for (at, word) in words.iter_mut().enumerate() {
            *word = pair(even[at], odd.get(at).copied().unwrap_or(0.0));
        }
    }
}

/// Calls `product` with rows `first..last` of a matrix in pairs, one row after the other.
pub(super) fn rounded(a: Matrix<'_>, first: usize, last: usize, product: impl FnOnce(&[f32])) {
    thread_local! {
        /// Kept from one product to the next.
        static WORDS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    let k = a.cols.div_ceil(2);
    WORDS.with_borrow_mut(|words| {
        words.resize(words.len().max((last - first) * k), 0.0);
        let words = &mut words[..(last - first) * k];
        for (row, words) in (first..last).zip(words.chunks_exact_mut(k.max(1))) {
            let at = row * a.row_stride;
            if a.col_stride == 1 {
                pair_row(&a.data[at..at + a.cols], words);
            } else {
                let value = |j| a.data[at + j * a.col_stride];
                for (t, word) in words.iter_mut().enumerate() {
                    let odd = if 2 * t + 1 < a.cols {
                        value(2 * t + 1)
                    } else {
                        0.0
                    };
                    *word = pair(value(2 * t), odd);
                }
            }
        }
        product(words);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_ties_to_even() {
        let cases = [
            (0x3f80_0000, 0x3f80), // 1
            (0x3f80_7fff, 0x3f80), // just below the middle
            (0x3f80_8000, 0x3f80), // a tie, down to even
            (0x3f81_8000, 0x3f82), // a tie, up to even
            (0x3f80_8001, 0x3f81), // just above the middle
            (0xbf81_8000, 0xbf82), // and below 0
            (0x7f7f_ffff, 0x7f80), // beyond the largest
            (0x7f80_0000, 0x7f80), // infinity
            (0x7f80_0001, 0x7fc0), // not a number
            (0x0080_0000, 0x0080), // the smallest normal number
            (0x007f_ffff, 0x0000), // and what is below it
            (0x8000_0001, 0x8000),
        ];
        for (bits, want) in cases {
            let got = round(f32::from_bits(bits));
            assert_eq!(got, want, "{bits:08x} became {got:04x}");
        }
    }

    #[test]
    fn pairs_hold_both_values() {
        let mut words = [0.0; 4];
        pair_rows(&[1.0, 2.0, 3.0, -4.0, 5.0, 6.0], 3, &mut words);
        assert_eq!(
            words.map(unpair),
            [(1.0, 2.0), (3.0, 0.0), (-4.0, 5.0), (6.0, 0.0)]
        );
        pair_columns(&[1.0, 2.0, 3.0, -4.0, 5.0, 6.0], 2, &mut words);
        assert_eq!(
            words.map(unpair),
            [(1.0, 3.0), (2.0, -4.0), (5.0, 0.0), (6.0, 0.0)]
        );
    }
}
