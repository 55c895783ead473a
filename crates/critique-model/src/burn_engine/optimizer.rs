//! `AdamW` over flattened parameters, all state in `f32` on the device.
//!
//! burn's own optimizers clip each parameter by itself, and their records come back on a
//! default device that the build's features choose.

use burn::tensor::{Tensor, Transaction};

use super::names::Flat;
use critique_core::AdamW;

/// First and second moment of one parameter.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    pub(super) m: Tensor<1>,
    pub(super) v: Tensor<1>,
}

/// One step: the numbers that all parameters share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Factor on the gradients.
    clip: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    /// Learning rate over the bias correction of the first moment.
    rate: f32,
    /// Root of the bias correction of the second moment.
    root: f32,
    /// Factor of decoupled weight decay.
    keep: f32,
}

impl Step {
    /// The step number `steps`, counted from 1, on gradients of global norm `norm`.
    pub(super) fn new(steps: u64, lr: f32, optimizer: &AdamW, norm: f32) -> Self {
        let AdamW {
            beta1,
            beta2,
            eps,
            weight_decay,
            max_grad_norm,
        } = *optimizer;
        let steps = steps as f64;
        let correction1 = 1.0 - f64::from(beta1).powf(steps);
        let correction2 = 1.0 - f64::from(beta2).powf(steps);
        let clip = if max_grad_norm > 0.0 {
            (max_grad_norm / (norm + 1e-6)).min(1.0)
        } else {
            1.0
        };
        Self {
            clip,
            beta1,
            beta2,
            eps,
            rate: (f64::from(lr) / correction1) as f32,
            root: correction2.sqrt() as f32,
            keep: 1.0 - lr * weight_decay,
        }
    }

    /// A parameter and its moments after the step; `matrix` says whether it decays.
    pub(super) fn take(
        &self,
        param: Tensor<1>,
        gradient: Tensor<1>,
        moments: Option<Moments>,
        matrix: bool,
    ) -> (Tensor<1>, Moments) {
        let gradient = gradient.mul_scalar(self.clip);
        let moments = moments.unwrap_or_else(|| Moments {
            m: gradient.zeros_like(),
            v: gradient.zeros_like(),
        });
        let fresh = gradient.clone().mul_scalar(1.0 - self.beta1);
        let m = moments.m.mul_scalar(self.beta1) + fresh;
        let fresh = gradient.square().mul_scalar(1.0 - self.beta2);
        let v = moments.v.mul_scalar(self.beta2) + fresh;
        let param = if matrix && self.keep != 1.0 {
            param.mul_scalar(self.keep)
        } else {
            param
        };
        let divisor = v.clone().sqrt().div_scalar(self.root).add_scalar(self.eps);
        let param = param - m.clone().mul_scalar(self.rate) / divisor;
        (param, Moments { m, v })
    }
}

/// The norm of all gradients taken together; sums of parameters on the device, their sum here.
pub(super) fn global_norm(gradients: &Flat) -> f32 {
    let squares = gradients.values().map(|it| it.clone().square().sum());
    let read = squares.fold(Transaction::default(), Transaction::register);
    let sum: f64 = read
        .execute()
        .iter()
        .flat_map(|data| data.as_slice::<f32>().expect("sums of `f32` are `f32`"))
        .map(|&square| f64::from(square))
        .sum();
    sum.sqrt() as f32
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::Device;
    use serde_json::Value;

    use super::super::names::{to_device, to_host};
    use super::*;

    fn floats(value: &Value) -> Vec<f32> {
        let values = value.as_array().unwrap().iter();
        values.map(|it| it.as_f64().unwrap() as f32).collect()
    }

    fn assert_near(found: &[f32], wanted: &[f32], tolerance: f32) {
        assert_eq!(found.len(), wanted.len());
        for (a, b) in found.iter().zip(wanted) {
            assert!(
                (a - b).abs() <= tolerance * b.abs().max(1.0),
                "{found:?} {wanted:?}"
            );
        }
    }

    #[test]
    fn five_steps_equal_torch() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/adamw.json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let settings = &golden["settings"];
        let number = |value: &Value| value.as_f64().unwrap() as f32;
        let device = Device::flex();
        for case in ["unclipped", "clipped"] {
            let wanted = &golden[case];
            let optimizer = AdamW {
                beta1: number(&settings["betas"][0]),
                beta2: number(&settings["betas"][1]),
                eps: number(&settings["eps"]),
                weight_decay: number(&settings["weight_decay"]),
                max_grad_norm: wanted["max_norm"].as_f64().unwrap_or(0.0) as f32,
            };
            let mut param = to_device(floats(&golden["params"]), [10], &device);
            let mut moments = None;
            for (k, gradient) in golden["gradients"].as_array().unwrap().iter().enumerate() {
                let gradient = to_device(floats(gradient), [10], &device);
                let norm = global_norm(&Flat::from([("p".to_owned(), gradient.clone())]));
                assert_near(&[norm], &[number(&wanted["norms"][k])], 1e-6);
                let step = Step::new(k as u64 + 1, number(&settings["lr"]), &optimizer, norm);
                let (next, state) = step.take(param, gradient, moments, true);
                assert_near(
                    &to_host(next.clone()),
                    &floats(&wanted["params_after"][k]),
                    1e-6,
                );
                (param, moments) = (next, Some(state));
            }
            let Moments { m, v } = moments.unwrap();
            assert_near(&to_host(m), &floats(&wanted["exp_avg"]), 1e-6);
            assert_near(&to_host(v), &floats(&wanted["exp_avg_sq"]), 1e-6);
        }
    }
}
