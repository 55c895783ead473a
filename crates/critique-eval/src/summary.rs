//! `eval/summary.json`: one row a stage.

use std::collections::BTreeMap;
use std::path::Path;

use critique_core::files::sum::{check_seal, seal};
use critique_core::files::{FileError, read_text, write_whole};
use critique_core::{Rng, derive_seed};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::bootstrap::{Cells, holding};
use crate::metrics::{Metric, Tally};
use crate::outcome::Outcome;
use crate::stats::{RESAMPLES, by_problem, percentile_interval, wilson};

/// The rows of an evaluation, as `eval/summary.json` holds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The layout: 1.
    pub version: u32,
    /// One a stage, in the order of the run.
    pub rows: Vec<Row>,
}

/// One evaluation. Fractions lie between 0 and 1; `None` is `null`: not defined here.
/// [`Metric`] says what each means.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// `no_critic`, `sft`, `stage1`, `stage2` or another name.
    pub stage: String,
    /// Responses evaluated.
    pub n: usize,
    /// [`Metric::AccInitial`].
    pub acc_initial: Option<f64>,
    /// [`Metric::AccRefined`].
    pub acc_refined: Option<f64>,
    /// [`Metric::Delta`].
    pub delta: Option<f64>,
    /// [`Metric::DeltaC2i`].
    pub delta_c2i: Option<f64>,
    /// [`Metric::DeltaI2c`].
    pub delta_i2c: Option<f64>,
    /// [`Metric::AccDis`].
    pub acc_dis: Option<f64>,
    /// [`Metric::AccDisBalanced`].
    pub acc_dis_balanced: Option<f64>,
    /// [`Metric::AccDisCorrect`].
    pub acc_dis_correct: Option<f64>,
    /// [`Metric::AccDisIncorrect`].
    pub acc_dis_incorrect: Option<f64>,
    /// [`Metric::ParseRate`].
    pub parse_rate: Option<f64>,
    /// 95 % intervals by metric: Wilson's for shares where each problem was tried once,
    /// the Bayesian bootstrap over problems with Jeffreys' prior otherwise. None is of width zero
    /// because all went well.
    pub ci95: BTreeMap<String, [f64; 2]>,
    /// What else is known.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Fields of a row beyond those every reader may count on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extra {
    /// The critic's sampling temperature; 0 is greedy.
    pub temperature: Option<f32>,
    /// Problems evaluated; fewer than `n` where each was tried several times.
    pub problems: usize,
    /// Texts that could not be asked for because their prompt did not fit; they count as wrong.
    pub dropped: usize,
    /// [`Metric::C2iOfCorrect`].
    pub c2i_of_correct: Option<f64>,
    /// [`Metric::I2cOfIncorrect`].
    pub i2c_of_incorrect: Option<f64>,
    /// [`Metric::AccDisParsed`].
    pub acc_dis_parsed: Option<f64>,
    /// [`Metric::Mcc`].
    pub mcc: Option<f64>,
    /// [`Metric::Relevance`].
    pub relevance: Option<f64>,
    /// [`Metric::ConstantFloor`].
    pub constant_floor: Option<f64>,
    /// [`Metric::SaidCorrect`].
    pub said_correct: Option<f64>,
    /// [`Metric::MseDis`].
    pub mse_dis: Option<f64>,
    /// [`Metric::MaeDis`].
    pub mae_dis: Option<f64>,
    /// Mean length of responses, in tokens.
    pub tokens_response: f64,
    /// Mean length of critiques, in tokens.
    pub tokens_critique: f64,
    /// Mean length of refinements, in tokens.
    pub tokens_refinement: f64,
    /// SHA-256 of the file of its rollouts, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollouts_sha256: Option<String>,
}

impl Row {
    /// Sums up outcomes under a stage's name.
    pub fn of(stage: &str, outcomes: &[Outcome]) -> Self {
        let tally = Tally::of(outcomes);
        let value = |metric: Metric| metric.value(&tally);
        let per_outcome = |sum: f64| sum / tally.n.max(1.0);
        Self {
            stage: stage.to_owned(),
            n: outcomes.len(),
            acc_initial: value(Metric::AccInitial),
            acc_refined: value(Metric::AccRefined),
            delta: value(Metric::Delta),
            delta_c2i: value(Metric::DeltaC2i),
            delta_i2c: value(Metric::DeltaI2c),
            acc_dis: value(Metric::AccDis),
            acc_dis_balanced: value(Metric::AccDisBalanced),
            acc_dis_correct: value(Metric::AccDisCorrect),
            acc_dis_incorrect: value(Metric::AccDisIncorrect),
            parse_rate: value(Metric::ParseRate),
            ci95: intervals(outcomes, &tally),
            extra: Extra {
                temperature: None,
                problems: by_problem(outcomes, |outcome| outcome.problem.as_str()).len(),
                dropped: 0,
                c2i_of_correct: value(Metric::C2iOfCorrect),
                i2c_of_incorrect: value(Metric::I2cOfIncorrect),
                acc_dis_parsed: value(Metric::AccDisParsed),
                mcc: value(Metric::Mcc),
                relevance: value(Metric::Relevance),
                constant_floor: value(Metric::ConstantFloor),
                said_correct: value(Metric::SaidCorrect),
                mse_dis: value(Metric::MseDis),
                mae_dis: value(Metric::MaeDis),
                tokens_response: per_outcome(tally.response_tokens),
                tokens_critique: per_outcome(tally.critique_tokens),
                tokens_refinement: per_outcome(tally.refinement_tokens),
                rollouts_sha256: None,
            },
        }
    }
}

/// Intervals of every metric that is defined.
fn intervals(outcomes: &[Outcome], tally: &Tally) -> BTreeMap<String, [f64; 2]> {
    let problems: Vec<[Tally; 1]> = by_problem(outcomes, |outcome| outcome.problem.as_str())
        .into_values()
        .map(|tries| [Tally::of(tries)])
        .collect();
    let wilson_fits = problems.len() == outcomes.len() && outcomes.iter().all(is_all_or_nothing);
    let mut intervals = BTreeMap::new();
    let mut resampled = Vec::new();
    for metric in Metric::ALL {
        let Some(value) = metric.value(tally) else {
            continue;
        };
        match metric.proportion(tally) {
            Some((hits, of)) if wilson_fits => {
                intervals.insert(metric.name().to_owned(), wilson(hits, of));
            }
            _ => resampled.push((metric, value)),
        }
    }
    intervals.extend(bootstrap(&problems, &resampled));
    intervals
}

fn is_all_or_nothing(outcome: &Outcome) -> bool {
    let whole = |score: f32| score == 0.0 || score == 1.0;
    whole(outcome.initial) && outcome.refined.is_none_or(whole)
}

/// Intervals of several metrics from one set of resamples. A resample in which a metric is not
/// defined is left out of that metric's interval.
fn bootstrap(problems: &[[Tally; 1]], metrics: &[(Metric, f64)]) -> Vec<(String, [f64; 2])> {
    if metrics.is_empty() {
        return Vec::new();
    }
    let cells = Cells::of(problems);
    let mut rng = Rng::new(derive_seed(0, &["eval", "bootstrap"]));
    let resamples: Vec<[Tally; 1]> = (0..RESAMPLES).map(|_| cells.resample(&mut rng)).collect();
    metrics
        .iter()
        .filter_map(|(metric, value)| {
            let values = resamples.iter().filter_map(|[tally]| metric.value(tally));
            let interval = percentile_interval(values.collect())?;
            Some((metric.name().to_owned(), holding(interval, *value)))
        })
        .collect()
}

impl Summary {
    /// A summary of these rows.
    pub fn new(rows: Vec<Row>) -> Self {
        Self { version: 1, rows }
    }

    /// The row of a stage.
    pub fn row(&self, stage: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.stage == stage)
    }

    /// Puts a row in place of that of the same stage, or at the end.
    pub fn put(&mut self, row: Row) {
        match self.rows.iter_mut().find(|old| old.stage == row.stage) {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
    }

    /// Writes `summary.json`, whole or not at all.
    ///
    /// # Errors
    ///
    /// When the folder or file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvalError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| FileError::content(path, error.to_string()))?;
        Ok(write_whole(path, seal(&text).as_bytes())?)
    }

    /// Reads `summary.json`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not what was written, or is no summary of version 1.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let text = read_text(path)?;
        let refused = |message: String| EvalError::from(FileError::content(path, message));
        let summary: Self =
            serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        if summary.version != 1 {
            let version = summary.version;
            return Err(refused(format!(
                "summary of version {version}; this build reads version 1"
            )));
        }
        check_seal(path, &text)?;
        Ok(summary)
    }
}
