//! What the numbers of a run are called in a tracker.

use std::collections::BTreeMap;

use critique_eval::Row;
use critique_run::rows::{stage_and_best, without_temperature};
use critique_run::{RunConfig, StepMetrics};

/// One number at one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// `train/reward`, `time/step`, `eval/acc_refined`, `eval-T0.7/acc_refined`: letters, digits,
    /// `_`, `-`, `.` and `/`.
    pub name: String,
    /// The run's step.
    pub step: usize,
    /// The number.
    pub value: f64,
}

/// Numbers of a step. What is not defined (`null`) is left out.
pub(crate) fn of_step(metrics: &StepMetrics) -> Vec<Scalar> {
    let numbers = metrics.numbers.iter();
    let finite = numbers.filter_map(|(name, value)| Some((name, value.as_f64()?)));
    finite
        .map(|(name, value)| Scalar {
            name: if name.contains('/') {
                cleaned(name)
            } else {
                format!("train/{}", cleaned(name))
            },
            step: metrics.step,
            value,
        })
        .collect()
}

/// Numbers of an evaluation, at the last step of the stage whose model was evaluated. A row of
/// another model than `critic`, or of a critic that is no model, has its name in theirs.
pub(crate) fn of_row(row: &Row, config: &RunConfig, ends: &BTreeMap<String, usize>) -> Vec<Scalar> {
    let base = without_temperature(&row.stage);
    let temperature = row.stage[base.len()..].replace('@', "-T");
    let of_stage = config.stages.iter().find(|stage| {
        let named = stage.eval_as();
        named == Some(base) || named == Some(stage_and_best(base).0)
    });
    let step = of_stage.and_then(|stage| ends.get(stage.name()).copied());
    let (_, best) = stage_and_best(base);
    let within = match of_stage {
        Some(stage) if stage.model() == "critic" && !best => String::new(),
        _ => format!("{}/", cleaned(base)),
    };
    let all = serde_json::to_value(row).unwrap_or_default();
    let described = ["n", "problems", "temperature"];
    let numbers = all.as_object().into_iter().flatten();
    numbers
        .filter(|(name, _)| !described.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name, value.as_f64()?)))
        .map(|(name, value)| Scalar {
            name: format!("eval{}/{within}{}", cleaned(&temperature), cleaned(name)),
            step: step.unwrap_or(0),
            value,
        })
        .collect()
}

/// A name in the letters that every tracker takes.
pub(crate) fn cleaned(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    name.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}
