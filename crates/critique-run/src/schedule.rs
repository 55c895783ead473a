//! The learning rate over a stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A linear rise, then a shape.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Steps of a linear rise.
    pub warmup: usize,
    /// What follows: `cosine` or `constant`.
    pub shape: Shape,
    /// The end of a fall, as a share of the peak.
    pub floor: f32,
    /// The step at which the fall ends; the rate stays there until the stage ends. 0 takes the
    /// stage's last step.
    #[serde(skip_serializing_if = "is_zero")]
    pub steps: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(steps: &usize) -> bool {
    *steps == 0
}

/// The shape after the rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The peak to the end.
    Constant,
    /// Half a cosine wave down to the floor.
    Cosine,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            warmup: 0,
            shape: Shape::Cosine,
            floor: 0.1,
            steps: 0,
        }
    }
}

impl Schedule {
    /// Learning rate of step `step` (counted from 0) of `steps`, as a share of the peak.
    pub fn at(&self, step: usize, steps: usize) -> f32 {
        self.at_place(step as f64, steps)
    }

    /// The same at a place between two steps.
    pub fn at_place(&self, step: f64, steps: usize) -> f32 {
        let warmup = self.warmup as f64;
        if step < warmup {
            return ((step + 1.0) as f32 / self.warmup as f32).min(1.0);
        }
        let steps = if self.steps > 0 { self.steps } else { steps };
        match self.shape {
            Shape::Constant => 1.0,
            Shape::Cosine => {
                let fall = steps.saturating_sub(self.warmup).max(1);
                let done = (step - warmup) as f32 / fall as f32;
                let wave = 0.5 * (1.0 + (std::f32::consts::PI * done.min(1.0)).cos());
                self.floor + (1.0 - self.floor) * wave
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_falls_from_the_peak_to_the_floor() {
        let schedule = Schedule {
            warmup: 2,
            shape: Shape::Cosine,
            floor: 0.1,
            steps: 0,
        };
        let at: Vec<f32> = (0..=12).map(|step| schedule.at(step, 12)).collect();
        assert_eq!(at[..3], [0.5, 1.0, 1.0]);
        assert!((at[7] - 0.55).abs() < 1e-6);
        assert!((at[12] - 0.1).abs() < 1e-6);

        // One that ends before its stage stays where it is.
        let early = Schedule {
            steps: 12,
            ..schedule
        };
        let same: Vec<f32> = (0..=12).map(|step| early.at(step, 100)).collect();
        assert_eq!(at, same);
        assert_eq!(early.at(60, 100), at[12]);
    }

    #[test]
    fn between_two_steps_the_rate_lies_between_theirs() {
        let schedule = Schedule {
            warmup: 3,
            ..Schedule::default()
        };
        for step in 0..11 {
            let (left, right) = (schedule.at(step, 12), schedule.at(step + 1, 12));
            let middle = schedule.at_place(step as f64 + 0.5, 12);
            let (low, high) = (left.min(right), left.max(right));
            assert!((low..=high).contains(&middle), "{step}: {middle}");
            assert_eq!(schedule.at_place(step as f64, 12), left);
        }
    }
}
