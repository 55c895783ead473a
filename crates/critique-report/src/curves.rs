//! Metrics as columns, for the page to draw.

use std::collections::BTreeMap;

use critique_run::StepMetrics;
use serde::Serialize;

use crate::run::Run;
use crate::stages::critique_tokens;

/// A curve has at most about this many points; beyond, each is the mean of several steps.
const POINTS: usize = 1_000;

/// Curves of one run: a column a metric, all of one length.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Curves {
    /// Place on the axis, in steps of the run.
    step: Vec<f64>,
    /// Number of the stage, counted from 0.
    stage: Vec<usize>,
    columns: BTreeMap<String, Vec<Option<f64>>>,
}

/// Steps that make one point in each curve of these runs.
pub(crate) fn steps_a_point(runs: &[&Run]) -> usize {
    let last = runs.iter().filter_map(|run| run.steps.last());
    let longest = last.map(|step| step.step).max().unwrap_or(0);
    longest.div_ceil(POINTS).max(1)
}

impl Curves {
    /// The curves of a run with `width` steps a point.
    pub(crate) fn of(run: &Run, width: usize) -> Self {
        let mut curves = Self {
            step: Vec::new(),
            stage: Vec::new(),
            columns: BTreeMap::new(),
        };
        let mut stage = 0;
        let point = |step: &StepMetrics| step.step.saturating_sub(1) / width;
        let same = |a: &StepMetrics, b: &StepMetrics| a.stage == b.stage && point(a) == point(b);
        for steps in run.steps.chunk_by(same) {
            let first = &steps[0];
            while run.stages[stage].last < first.step {
                stage += 1;
            }
            // The same place in every run, however many of its steps a run has.
            let middle = (point(first) * width) as f64 + f64::midpoint(width as f64, 1.0);
            curves.add(middle, stage, steps);
        }
        curves
    }

    /// Names of the metrics that there are.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    /// Place on the axis, number of the stage, and value of each point of a metric that has one.
    pub(crate) fn points(&self, metric: &str) -> Vec<(f64, usize, f64)> {
        let column = self.columns.get(metric).into_iter().flatten();
        let places = self.step.iter().zip(&self.stage).zip(column);
        let points = places.filter_map(|((&step, &stage), value)| Some((step, stage, (*value)?)));
        points.collect()
    }

    fn add(&mut self, step: f64, stage: usize, steps: &[StepMetrics]) {
        let before = self.step.len();
        self.step.push(step);
        self.stage.push(stage);
        for (name, value) in means(steps) {
            let column = self.columns.entry(name).or_default();
            column.resize(before, None);
            column.push(Some(six_digits(value)));
        }
        for column in self.columns.values_mut() {
            column.resize(before + 1, None);
        }
    }
}

/// The mean of every number over the steps that have it.
fn means(steps: &[StepMetrics]) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for step in steps {
        let measured = step.numbers.iter();
        let measured = measured.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
        for (name, value) in measured.chain(derived(step)) {
            let sum = sums.entry(name).or_default();
            *sum = (sum.0 + value, sum.1 + 1.0);
        }
    }
    let mean = |(name, (sum, count))| (name, sum / count);
    sums.into_iter().map(mean).collect()
}

/// Numbers that follow from others of the step.
fn derived(step: &StepMetrics) -> Vec<(String, f64)> {
    let both = |a: &str, b: &str, of: fn(f64, f64) -> f64| Some(of(step.get(a)?, step.get(b)?));
    let speed = || Some(critique_tokens(step)? / step.get("time/rollout").filter(|&t| t > 0.0)?);
    let mean = |a: f64, b: f64| f64::midpoint(a, b);
    let numbers = [
        (
            "acc_dis_balanced",
            both("acc_dis_correct", "acc_dis_incorrect", mean),
        ),
        (
            "stayed_right",
            both("acc_initial", "delta_c2i", |right, lost| right - lost),
        ),
        (
            "stayed_wrong",
            both("acc_initial", "delta_i2c", |right, won| 1.0 - right - won),
        ),
        ("time/critique_tokens_per_second", speed()),
    ];
    let defined = numbers.into_iter();
    let defined = defined.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    defined.collect()
}

/// As many digits as a plot can show.
fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(line: &str) -> StepMetrics {
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn what_follows_from_other_numbers_is_there() {
        let step = step(
            r#"{"step":1,"stage":"s","stage_step":1,"acc_initial":0.5,"delta_c2i":0.125,"delta_i2c":0.25,
               "acc_dis_correct":0.5,"acc_dis_incorrect":1.0,"rollouts":8,"completions/mean_length":10,"time/rollout":4}"#,
        );
        let numbers: BTreeMap<String, f64> = derived(&step).into_iter().collect();
        assert_eq!(numbers["acc_dis_balanced"], 0.75);
        assert_eq!(numbers["stayed_right"], 0.375);
        assert_eq!(numbers["stayed_wrong"], 0.25);
        assert_eq!(numbers["time/critique_tokens_per_second"], 20.0);
    }

    #[test]
    fn a_mean_is_over_steps_that_have_the_number() {
        let steps = [
            step(r#"{"step":1,"stage":"s","stage_step":1,"kl":1.0,"acc_dis_correct":null}"#),
            step(r#"{"step":2,"stage":"s","stage_step":2,"kl":2.0,"acc_dis_correct":0.5}"#),
        ];
        let means = means(&steps);
        assert_eq!((means["kl"], means["acc_dis_correct"]), (1.5, 0.5));
    }
}
