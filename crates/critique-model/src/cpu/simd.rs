//! Element-wise kernels, compiled once for each instruction set and chosen at run time.
//!
//! Every kernel is one body of plain Rust. [`simd!`] compiles it for AVX-512, for AVX2 and
//! for the machine's baseline, and picks by what the CPU has. The bodies fix the order of every
//! sum (16 lanes, then a tree) and write fused multiply-adds out, so all three give the same
//! bits: the baseline is the reference that the tests compare with.

#[cfg(target_arch = "x86_64")]
use std::sync::atomic::{AtomicU8, Ordering};

/// Instruction sets that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isa {
    /// What the build targets.
    Baseline,
    /// 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The best instruction set of this CPU.
#[inline]
pub(crate) fn isa() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        static FOUND: AtomicU8 = AtomicU8::new(0);
        match FOUND.load(Ordering::Relaxed) {
            1 => Isa::Baseline,
            2 => Isa::Avx2,
            3 => Isa::Avx512,
            _ => {
                let found = detect();
                FOUND.store(1 + found as u8, Ordering::Relaxed);
                found
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    Isa::Baseline
}

/// Whether this CPU multiplies pairs of bf16.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn has_bf16() -> bool {
    is_x86_feature_detected!("avx512bf16")
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Isa {
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
    {
        return Isa::Avx512;
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return Isa::Avx2;
    }
    Isa::Baseline
}

/// Compiles a function for every [`Isa`] and dispatches on the one this CPU has.
macro_rules! simd {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }

            match $crate::cpu::simd::isa() {
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "isa() has just found these CPU features")]
                // SAFETY: `isa` returns `Avx512` only where the CPU has every feature enabled above.
                $crate::cpu::simd::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "isa() has just found these CPU features")]
                // SAFETY: as above, for AVX2 and FMA.
                $crate::cpu::simd::Isa::Avx2 => unsafe { avx2($($arg),*) },
                $crate::cpu::simd::Isa::Baseline => body($($arg),*),
            }
        }
    };
}
pub(crate) use simd;

/// Lanes of every fixed-order sum.
pub(crate) const LANES: usize = 16;

/// `e^x` within 2 ulp for `-87.3 <= x <= 88.3`; arguments beyond are clamped. The polynomial is
/// that of the Cephes library (`expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer
    let x = x.clamp(-87.33, 88.37);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4_f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_5e-1);
    p = p.mul_add(r, 0.5);
    let y = p.mul_add(r * r, r) + 1.0;
    y * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000))
}

/// Sum of the lanes, by halves.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "must be compiled inside each target-feature function"
)]
pub(crate) fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    let mut lanes = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// Calls `f(lane, index)` for every index, lanes in turn; whole blocks of 16 first.
macro_rules! for_lanes {
    ($len:expr, |$lane:ident, $i:ident| $body:expr) => {{
        let len = $len;
        let whole = len - len % $crate::cpu::simd::LANES;
        let mut base = 0;
        while base < whole {
            for $lane in 0..$crate::cpu::simd::LANES {
                let $i = base + $lane;
                $body;
            }
            base += $crate::cpu::simd::LANES;
        }
        for $lane in 0..len - whole {
            let $i = whole + $lane;
            $body;
        }
    }};
}
pub(crate) use for_lanes;

simd! {
    /// `y += x`.
    fn add_assign(y: &mut [f32], x: &[f32]) {
        for (y, x) in y.iter_mut().zip(x) { *y += *x; }
    }
}

simd! {
    /// `y *= factor`.
    fn scale(y: &mut [f32], factor: f32) {
        for y in y.iter_mut() { *y *= factor; }
    }
}

simd! {
    /// Sum, in 16 lanes.
    fn sum(x: &[f32]) -> f32 {
        let mut lanes = [0f32; LANES];
        for_lanes!(x.len(), |lane, i| lanes[lane] += x[i]);
        sum_lanes(lanes)
    }
}

simd! {
    /// Sum of squares in double precision, in 16 lanes.
    fn sum_squares(x: &[f32]) -> f64 {
        let mut lanes = [0f64; LANES];
        for_lanes!(x.len(), |lane, i| lanes[lane] += f64::from(x[i]) * f64::from(x[i]));
        lanes.iter().sum()
    }
}

simd! {
    /// Largest value; negative infinity of nothing. NaN never wins.
    fn max(x: &[f32]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for_lanes!(x.len(), |lane, i| lanes[lane] = if x[i] > lanes[lane] { x[i] } else { lanes[lane] });
        lanes.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
    }
}

simd! {
    /// Replaces each `x` by `e^(x - shift)` and gives their sum.
    fn exp_sum(x: &mut [f32], shift: f32) -> f32 {
        let mut lanes = [0f32; LANES];
        for_lanes!(x.len(), |lane, i| { x[i] = exp(x[i] - shift); lanes[lane] += x[i] });
        sum_lanes(lanes)
    }
}

simd! {
    /// Sum of `e^(x - shift)`, the same bits as [`exp_sum`].
    fn sum_exp(x: &[f32], shift: f32) -> f32 {
        let mut lanes = [0f32; LANES];
        for_lanes!(x.len(), |lane, i| lanes[lane] += exp(x[i] - shift));
        sum_lanes(lanes)
    }
}

/// Blocks of [`LANES`] values that hold the first `n`.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "must be compiled inside each target-feature function"
)]
fn blocks(x: &mut [f32], n: usize) -> &mut [[f32; LANES]] {
    &mut x.as_chunks_mut().0[..n.div_ceil(LANES)]
}

simd! {
    /// Softmax of the first `n` values of a row; the others become 0. The row's length is a
    /// multiple of [`LANES`].
    ///
    /// Whole blocks are computed and what is beyond `n` masked out, since rows are short and of
    /// any length: values one by one at the end would take most of the time.
    fn softmax(row: &mut [f32], n: usize) {
        let whole = n / LANES;
        let rest = n % LANES;
        let used = blocks(row, n);
        if rest > 0 {
            for (lane, x) in used[whole].iter_mut().enumerate() {
                *x = if lane < rest { *x } else { f32::NEG_INFINITY };
            }
        }
        let mut top = [f32::NEG_INFINITY; LANES];
        for block in used.iter() {
            for lane in 0..LANES { top[lane] = if block[lane] > top[lane] { block[lane] } else { top[lane] }; }
        }
        let top = top.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        let mut lanes = [0f32; LANES];
        for block in &mut used[..whole] {
            for lane in 0..LANES { block[lane] = exp(block[lane] - top); lanes[lane] += block[lane]; }
        }
        if rest > 0 {
            let block = &mut used[whole];
            for lane in 0..LANES {
                let e = exp(block[lane] - top);
                block[lane] = if lane < rest { e } else { 0.0 };
                lanes[lane] += block[lane];
            }
        }
        let factor = 1.0 / sum_lanes(lanes);
        for block in used { for x in block.iter_mut() { *x *= factor; } }
        let end = n.next_multiple_of(LANES);
        row[end..].fill(0.0);
    }
}

simd! {
    /// Gradient of [`softmax`], from probabilities and over the gradients of these:
    /// `ds = p (ds - sum(p ds)) scale`. `p` is 0 beyond `n`, and so becomes `ds`.
    fn softmax_back(p: &mut [f32], ds: &mut [f32], n: usize, scale: f32) {
        let whole = n / LANES;
        let rest = n % LANES;
        let (p, used) = (blocks(p, n), blocks(ds, n));
        let mut lanes = [0f32; LANES];
        for (p, ds) in p[..whole].iter().zip(&used[..whole]) {
            for lane in 0..LANES { lanes[lane] = p[lane].mul_add(ds[lane], lanes[lane]); }
        }
        if rest > 0 {
            // Beyond `n` there may be anything, even what is no number.
            for (lane, ds) in used[whole].iter_mut().enumerate() {
                *ds = if lane < rest { *ds } else { 0.0 };
            }
            for lane in 0..LANES { lanes[lane] = p[whole][lane].mul_add(used[whole][lane], lanes[lane]); }
        }
        let mean = sum_lanes(lanes);
        for (p, ds) in p.iter().zip(used) {
            for lane in 0..LANES { ds[lane] = p[lane] * (ds[lane] - mean) * scale; }
        }
        let end = n.next_multiple_of(LANES);
        ds[end..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_equals_the_library_within_two_ulp() {
        for i in -87_300..88_300 {
            let x = i as f32 / 1000.0;
            let (ours, exact) = (exp(x), f64::from(x).exp());
            assert!(
                (f64::from(ours) / exact - 1.0).abs() < 2.5e-7,
                "exp({x}) = {ours}, not {exact}"
            );
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e9) < 2e-38);
    }

    #[test]
    fn a_sum_does_not_depend_on_the_instruction_set() {
        let mut rng = critique_core::Rng::new(1);
        for n in [0, 1, 15, 16, 17, 100, 1000] {
            let x: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
            let mut lanes = [0f32; LANES];
            for i in 0..n {
                lanes[i % LANES] += x[i];
            }
            assert_eq!(sum(&x).to_bits(), sum_lanes(lanes).to_bits());
        }
    }

    #[test]
    fn softmax_has_the_bits_of_its_parts_and_its_gradient_is_right() {
        let mut rng = critique_core::Rng::new(2);
        for n in [1, 5, 15, 16, 17, 40, 64, 77] {
            let width = 96;
            let x: Vec<f32> = (0..width).map(|_| 3.0 * rng.normal()).collect();
            let mut p = x.clone();
            softmax(&mut p, n);
            let mut parts = x[..n].to_vec();
            let top = max(&parts);
            let sum = exp_sum(&mut parts, top);
            scale(&mut parts, 1.0 / sum);
            assert_eq!(p[..n], parts[..]);
            assert!(p[n..].iter().all(|&p| p == 0.0));

            let up: Vec<f32> = (0..width).map(|_| rng.normal()).collect();
            let mut ds = up.clone();
            ds[n..].fill(f32::NAN);
            softmax_back(&mut p, &mut ds, n, 0.5);
            assert!(ds[n..].iter().all(|&d| d == 0.0));
            let loss = |x: &[f32]| -> f64 {
                let top = x[..n].iter().fold(f64::MIN, |a, &b| a.max(f64::from(b)));
                let e: Vec<f64> = x[..n].iter().map(|&v| (f64::from(v) - top).exp()).collect();
                let sum: f64 = e.iter().sum();
                e.iter()
                    .zip(&up)
                    .map(|(e, &u)| e / sum * f64::from(u))
                    .sum()
            };
            for i in 0..n {
                let mut at = x.clone();
                at[i] += 1e-2;
                let high = loss(&at);
                at[i] -= 2e-2;
                let slope = (high - loss(&at)) / 2e-2;
                assert!((f64::from(ds[i]) - 0.5 * slope).abs() < 2e-4, "{n} {i}");
            }
        }
    }
}
