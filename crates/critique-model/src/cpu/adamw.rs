//! `AdamW` over plain slices.

use super::simd::simd;
use critique_core::AdamW;

/// Bias corrections and rates of one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) lr: f32,
    pub(crate) decay: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) eps: f32,
    /// `1 / (1 - beta1^t)`
    pub(crate) correct1: f32,
    /// `1 / sqrt(1 - beta2^t)`
    pub(crate) correct2: f32,
    /// Factor on the gradients.
    pub(crate) clip: f32,
}

impl Step {
    /// Step `t`, counted from 1.
    pub(crate) fn new(t: u64, lr: f32, settings: &AdamW, clip: f32) -> Self {
        let power = |beta: f32| f64::from(beta).powf(t as f64);
        Self {
            lr,
            decay: settings.weight_decay,
            beta1: settings.beta1,
            beta2: settings.beta2,
            eps: settings.eps,
            correct1: (1.0 / (1.0 - power(settings.beta1))) as f32,
            correct2: (1.0 / (1.0 - power(settings.beta2)).sqrt()) as f32,
            clip,
        }
    }
}

simd! {
    /// `w -= lr (decay w + m̂ / (sqrt(v̂) + eps))`, and clears the gradients.
    fn update(w: &mut [f32], g: &mut [f32], m: &mut [f32], v: &mut [f32], step: &Step) {
        let n = w.len();
        let (g, m, v) = (&mut g[..n], &mut m[..n], &mut v[..n]);
        let (rise1, rise2) = (1.0 - step.beta1, 1.0 - step.beta2);
        let keep = 1.0 - step.lr * step.decay;
        let rate = step.lr * step.correct1;
        for i in 0..n {
            let grad = g[i] * step.clip;
            m[i] = step.beta1.mul_add(m[i], rise1 * grad);
            v[i] = step.beta2.mul_add(v[i], rise2 * grad * grad);
            let root = v[i].sqrt() * step.correct2 + step.eps;
            w[i] = w[i] * keep - rate * m[i] / root;
            g[i] = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_steps_equal_pytorch() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/adamw.json");
        let golden: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let numbers = |v: &serde_json::Value| -> Vec<f32> {
            v.as_array()
                .unwrap()
                .iter()
                .map(|x| x.as_f64().unwrap() as f32)
                .collect()
        };
        let number = |v: &serde_json::Value| v.as_f64().unwrap() as f32;
        let settings = &golden["settings"];
        let settings_of = AdamW {
            beta1: number(&settings["betas"][0]),
            beta2: number(&settings["betas"][1]),
            eps: number(&settings["eps"]),
            weight_decay: number(&settings["weight_decay"]),
            max_grad_norm: 0.0,
        };
        let lr = number(&settings["lr"]);
        for (case, max_norm) in [("unclipped", None), ("clipped", Some(1.0f64))] {
            let want = &golden[case];
            let mut w = numbers(&golden["params"]);
            let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
            for (t, gradient) in golden["gradients"].as_array().unwrap().iter().enumerate() {
                let mut g = numbers(gradient);
                let norm = super::super::simd::sum_squares(&g).sqrt();
                assert!((norm - want["norms"][t].as_f64().unwrap()).abs() < 1e-4);
                let clip = max_norm.map_or(1.0, |max| (max / (norm + 1e-6)).min(1.0)) as f32;
                update(
                    &mut w,
                    &mut g,
                    &mut m,
                    &mut v,
                    &Step::new(t as u64 + 1, lr, &settings_of, clip),
                );
                assert!(g.iter().all(|&g| g == 0.0));
                for (got, want) in w.iter().zip(numbers(&want["params_after"][t])) {
                    assert!(
                        (got - want).abs() < 2e-6,
                        "{case}, step {t}: {got} is not {want}"
                    );
                }
            }
            for (got, want) in m.iter().chain(&v).zip(
                numbers(&want["exp_avg"])
                    .into_iter()
                    .chain(numbers(&want["exp_avg_sq"])),
            ) {
                assert!((got - want).abs() < 1e-6);
            }
        }
    }
}
