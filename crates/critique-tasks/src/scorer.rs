//! Scores for texts that have no single right answer.

use critique_core::Problem;

use crate::error::TaskError;

/// How good a text is as an answer to a problem, where no verifier can say: a reward model, or
/// a measure against a reference.
pub trait Scorer: Send + Sync {
    /// The score of each text, from 1 (worst) to 10 (best), in the order of `items`; NaN for one that
    /// cannot be scored.
    ///
    /// # Errors
    ///
    /// When a score cannot be had, such as from a server that does not answer.
    fn scores(&self, items: &[(&Problem, &str)]) -> Result<Vec<f32>, TaskError>;
}

/// A straight line from the raw values of a scorer to scores from 1 to 10; what lies beyond its
/// ends is cut off.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The raw value that becomes 1.
    pub min: f32,
    /// The raw value that becomes 10.
    pub max: f32,
}

impl Scale {
    /// The score of a raw value.
    ///
    /// ```
    /// let scale = critique_tasks::Scale { min: -20.0, max: 40.0 };
    /// assert_eq!(scale.score(10.0), 5.5);
    /// assert_eq!(scale.score(70.0), 10.0);
    /// ```
    pub fn score(self, raw: f32) -> f32 {
        let share = (raw - self.min) / (self.max - self.min);
        1.0 + 9.0 * share.clamp(0.0, 1.0)
    }

    /// Whether the two ends are numbers in order.
    pub fn is_valid(self) -> bool {
        self.min.is_finite() && self.max.is_finite() && self.min < self.max
    }
}
