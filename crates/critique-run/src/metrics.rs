//! Numbers of each step: `metrics.jsonl`.

use std::collections::BTreeMap;
use std::path::Path;

use critique_core::files::sum::FileSum;
use critique_core::files::{FileError, read_text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The sum of a step's file of rollouts, where it has one.
pub const ROLLOUTS_SUM: &str = "rollouts_sha256";

/// Numbers of one step by name, as they stand in `metrics.jsonl`.
pub type Metrics = Map<String, Value>;

/// A line of `metrics.jsonl`.
///
/// ```
/// let line = r#"{"step": 12, "stage": "stage1", "stage_step": 2, "kl": 0.01, "acc_dis_correct": null}"#;
/// let metrics: critique_run::StepMetrics = serde_json::from_str(line)?;
/// assert_eq!((metrics.step, metrics.stage.as_str()), (12, "stage1"));
/// assert_eq!(metrics.get("kl"), Some(0.01));
/// assert_eq!(metrics.get("acc_dis_correct"), None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Steps of the run done with this one.
    pub step: usize,
    /// The stage.
    pub stage: String,
    /// Steps of the stage done with this one.
    pub stage_step: usize,
    /// All other numbers by name.
    #[serde(flatten)]
    pub numbers: Metrics,
}

impl StepMetrics {
    /// A number; nothing where the step has none of this name, or it is not defined (`null`).
    pub fn get(&self, name: &str) -> Option<f64> {
        self.numbers.get(name)?.as_f64()
    }
}

/// Reads `metrics.jsonl`. A last line that a kill tore off is left out.
///
/// # Errors
///
/// When the file cannot be read, or a line that is not the last holds no metrics of a step.
pub fn read_metrics(path: &Path) -> Result<Vec<StepMetrics>, FileError> {
    let text = read_text(path)?;
    let mut all = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        match serde_json::from_str(line) {
            Ok(metrics) => all.push(metrics),
            Err(_) if lines.peek().is_none() => {}
            Err(error) => {
                let message = format!("{error}; expected the metrics of a step");
                return Err(FileError::line(path, at + 1, message));
            }
        }
    }
    Ok(all)
}

/// The sum of the metrics in a file but for times and memory, which differ from run to run; nothing
/// when there is no such file.
///
/// # Errors
///
/// As [`read_metrics`].
pub fn metrics_sum(path: &Path) -> Result<Option<FileSum>, FileError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut lines = String::new();
    for step in read_metrics(path)? {
        lines += &sum_line(&step);
        lines.push('\n');
    }
    Ok(Some(FileSum::of_bytes(lines.as_bytes())))
}

/// A step's metrics but for times and memory, by their names.
pub(crate) fn sum_line(step: &StepMetrics) -> String {
    let counts = |name: &str| !name.starts_with("time/") && !name.starts_with("memory/");
    let numbers = step.numbers.iter().filter(|(name, _)| counts(name));
    let numbers: BTreeMap<&String, &Value> = numbers.collect();
    let text = serde_json::to_string(&numbers).unwrap_or_default();
    format!("{} {} {} {text}", step.step, step.stage, step.stage_step)
}
