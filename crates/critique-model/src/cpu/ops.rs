//! Norms, rotary positions and the gated activation, forward and backward.
//!
//! Rows are tokens. Every row is computed alone, in an order that no other row changes.

use super::simd::{LANES, exp, for_lanes, simd, sum_lanes};

/// Root-mean-square norm of each row (Zhang and Sennrich 2019): `y = w * x / rms(x)`, with
/// `rms(x)^2 = mean(x^2) + eps`.
///
/// # Shapes
///
/// - `x`, `y`: `[rows, d]`; `w`: `[d]`
/// - `inv_rms`: `[rows]`, written for the backward pass
pub(crate) fn rms_norm(x: &[f32], w: &[f32], eps: f32, y: &mut [f32], inv_rms: &mut [f32]) {
    let d = w.len();
    for ((x, y), inv) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(inv_rms) {
        *inv = norm_row(x, w, eps, y);
    }
}

simd! {
    fn norm_row(x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) -> f32 {
        let d = x.len();
        let (w, y) = (&w[..d], &mut y[..d]);
        let mut lanes = [0f32; LANES];
        for_lanes!(d, |lane, i| lanes[lane] = x[i].mul_add(x[i], lanes[lane]));
        let inv = 1.0 / (sum_lanes(lanes) / d as f32 + eps).sqrt();
        for i in 0..d { y[i] = w[i] * (x[i] * inv); }
        inv
    }
}

/// `y = w * (x * inv_rms)`, as [`rms_norm`] wrote it.
pub(crate) fn rms_norm_again(x: &[f32], w: &[f32], inv_rms: &[f32], y: &mut [f32]) {
    let d = w.len();
    for ((x, y), inv) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(inv_rms) {
        norm_row_again(x, w, *inv, y);
    }
}

simd! {
    fn norm_row_again(x: &[f32], w: &[f32], inv: f32, y: &mut [f32]) {
        let d = x.len();
        let (w, y) = (&w[..d], &mut y[..d]);
        for i in 0..d { y[i] = w[i] * (x[i] * inv); }
    }
}

/// Adds the gradient of the rows that [`rms_norm`] read:
/// `dx += inv (w dy - x inv^2 mean(w dy x))`.
pub(crate) fn rms_norm_backward(x: &[f32], w: &[f32], inv_rms: &[f32], dy: &[f32], dx: &mut [f32]) {
    let d = w.len();
    for (((x, dy), dx), inv) in x
        .chunks_exact(d)
        .zip(dy.chunks_exact(d))
        .zip(dx.chunks_exact_mut(d))
        .zip(inv_rms)
    {
        norm_row_backward(x, w, *inv, dy, dx);
    }
}

/// Adds the gradient of the weight of [`rms_norm`]: `dw += dy x inv`, row by row.
pub(crate) fn rms_norm_weight(x: &[f32], inv_rms: &[f32], dy: &[f32], dw: &mut [f32]) {
    let d = dw.len();
    for ((x, dy), inv) in x.chunks_exact(d).zip(dy.chunks_exact(d)).zip(inv_rms) {
        norm_row_weight(x, *inv, dy, dw);
    }
}

simd! {
    fn norm_row_backward(x: &[f32], w: &[f32], inv: f32, dy: &[f32], dx: &mut [f32]) {
        let d = x.len();
        let (w, dy, dx) = (&w[..d], &dy[..d], &mut dx[..d]);
        let mut lanes = [0f32; LANES];
        for_lanes!(d, |lane, i| lanes[lane] = (w[i] * dy[i]).mul_add(x[i], lanes[lane]));
        let pull = sum_lanes(lanes) * inv * inv * inv / d as f32;
        for i in 0..d { dx[i] += (w[i] * dy[i]).mul_add(inv, -x[i] * pull); }
    }
}

simd! {
    fn norm_row_weight(x: &[f32], inv: f32, dy: &[f32], dw: &mut [f32]) {
        let d = x.len();
        let (dy, dw) = (&dy[..d], &mut dw[..d]);
        for i in 0..d { dw[i] = (dy[i] * inv).mul_add(x[i], dw[i]); }
    }
}

/// Cosines and sines of rotary positions (Su et al. 2021), half and half as Hugging Face
/// lays them out.
#[derive(Debug, Clone)]
pub(crate) struct Rotary {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotary {
    /// Tables for positions `0..positions`.
    pub(crate) fn new(inv_freq: &[f32], positions: usize) -> Self {
        let angles = (0..positions).flat_map(|p| inv_freq.iter().map(move |f| p as f32 * f));
        let (cos, sin) = angles
            .map(|a| (f64::from(a).cos() as f32, f64::from(a).sin() as f32))
            .unzip();
        Self {
            half: inv_freq.len(),
            cos,
            sin,
        }
    }

    /// Turns every head of every row by its position.
    ///
    /// `x`: `[rows, heads * head_dim]`, `positions`: `[rows]`.
    pub(crate) fn apply(&self, x: &mut [f32], positions: &[u32], heads: usize) {
        self.turn(x, positions, heads, 1.0);
    }

    /// Turns gradients back.
    pub(crate) fn apply_backward(&self, dx: &mut [f32], positions: &[u32], heads: usize) {
        self.turn(dx, positions, heads, -1.0);
    }

    fn turn(&self, x: &mut [f32], positions: &[u32], heads: usize, sign: f32) {
        let head_dim = 2 * self.half;
        for (row, &position) in x.chunks_exact_mut(heads * head_dim).zip(positions) {
            let at = position as usize * self.half;
            turn_row(
                row,
                &self.cos[at..at + self.half],
                &self.sin[at..at + self.half],
                sign,
            );
        }
    }
}

simd! {
    fn turn_row(row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        let half = cos.len();
        let sin = &sin[..half];
        for head in row.chunks_exact_mut(2 * half) {
            let (a, b) = head.split_at_mut(half);
            for i in 0..half {
                let (x, y, s) = (a[i], b[i], sign * sin[i]);
                a[i] = x.mul_add(cos[i], -(y * s));
                b[i] = y.mul_add(cos[i], x * s);
            }
        }
    }
}

simd! {
    /// `out = silu(gate) * up` (Shazeer 2020).
    fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
        let n = out.len();
        let (gate, up) = (&gate[..n], &up[..n]);
        for i in 0..n { out[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i]; }
    }
}

simd! {
    /// Gradients of [`swiglu`], written over `gate` and `up`.
    fn swiglu_backward(gate: &mut [f32], up: &mut [f32], dout: &[f32]) {
        let n = dout.len();
        let (gate, up) = (&mut gate[..n], &mut up[..n]);
        for i in 0..n {
            let s = 1.0 / (1.0 + exp(-gate[i]));
            let silu = gate[i] * s;
            let slope = s.mul_add(1.0 - silu, silu);
            gate[i] = dout[i] * up[i] * slope;
            up[i] = dout[i] * silu;
        }
    }
}

/// Adds the sum of the rows of `dy` to `db`.
pub(crate) fn add_rows(dy: &[f32], db: &mut [f32]) {
    for row in dy.chunks_exact(db.len()) {
        super::simd::add_assign(db, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use critique_core::Rng;

    fn normals(rng: &mut Rng, n: usize) -> Vec<f32> {
        (0..n).map(|_| rng.normal()).collect()
    }

    /// Central difference of `f` along each coordinate of `x`, in double precision steps.
    fn numeric(x: &[f32], f: impl Fn(&[f32]) -> f64) -> Vec<f64> {
        let step = 1e-2_f32;
        (0..x.len())
            .map(|i| {
                let mut at = x.to_vec();
                at[i] = x[i] + step;
                let up = f(&at);
                at[i] = x[i] - step;
                (up - f(&at)) / f64::from(2.0 * step)
            })
            .collect()
    }

    fn weighted(y: &[f32], g: &[f32]) -> f64 {
        y.iter()
            .zip(g)
            .map(|(y, g)| f64::from(*y) * f64::from(*g))
            .sum()
    }

    fn close(got: &[f32], want: &[f64]) {
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!(
                (f64::from(*g) - w).abs() < 2e-3 * (1.0 + w.abs()),
                "{i}: {g} is not {w}"
            );
        }
    }

    #[test]
    fn rms_norm_gradients_equal_finite_differences() {
        let mut rng = Rng::new(1);
        let (x, w, g) = (
            normals(&mut rng, 34),
            normals(&mut rng, 17),
            normals(&mut rng, 34),
        );
        let run = |x: &[f32], w: &[f32]| {
            let (mut y, mut inv) = (vec![0.0; 34], vec![0.0; 2]);
            rms_norm(x, w, 1e-5, &mut y, &mut inv);
            (y, inv)
        };
        let (_, inv) = run(&x, &w);
        let (mut dx, mut dw) = (vec![0.0; 34], vec![0.0; 17]);
        rms_norm_backward(&x, &w, &inv, &g, &mut dx);
        rms_norm_weight(&x, &inv, &g, &mut dw);
        close(&dx, &numeric(&x, |x| weighted(&run(x, &w).0, &g)));
        close(&dw, &numeric(&w, |w| weighted(&run(&x, w).0, &g)));
    }

    #[test]
    fn swiglu_gradients_equal_finite_differences() {
        let mut rng = Rng::new(2);
        let (gate, up, g) = (
            normals(&mut rng, 19),
            normals(&mut rng, 19),
            normals(&mut rng, 19),
        );
        let run = |gate: &[f32], up: &[f32]| {
            let mut out = vec![0.0; 19];
            swiglu(gate, up, &mut out);
            weighted(&out, &g)
        };
        let (mut dgate, mut dup) = (gate.clone(), up.clone());
        swiglu_backward(&mut dgate, &mut dup, &g);
        close(&dgate, &numeric(&gate, |gate| run(gate, &up)));
        close(&dup, &numeric(&up, |up| run(&gate, up)));
    }

    #[test]
    fn turning_back_undoes_a_turn_and_keeps_lengths() {
        let mut rng = Rng::new(3);
        let rotary = Rotary::new(&[1.0, 0.1, 0.01], 50);
        let x = normals(&mut rng, 2 * 12);
        let mut y = x.clone();
        rotary.apply(&mut y, &[49, 3], 2);
        assert!((weighted(&y, &y) - weighted(&x, &x)).abs() < 1e-4);
        rotary.apply_backward(&mut y, &[49, 3], 2);
        assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-5));
    }
}
