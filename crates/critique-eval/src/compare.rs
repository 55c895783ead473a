//! Two evaluations on the same problems, paired; over one run, or over runs that are seeds.

use std::collections::BTreeMap;

use critique_core::{Rng, derive_seed};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::bootstrap::{Cells, holding};
use crate::metrics::{Metric, Tally};
use crate::outcome::Outcome;
use crate::stats::{
    Discordant, bootstrap_p, by_problem, mcnemar_balanced, mcnemar_exact, over_seeds,
    percentile_interval,
};

/// What is compared, where both evaluations have it.
const METRICS: [Metric; 12] = [
    Metric::AccInitial,
    Metric::AccRefined,
    Metric::Delta,
    Metric::DeltaC2i,
    Metric::DeltaI2c,
    Metric::AccDis,
    Metric::AccDisBalanced,
    Metric::AccDisCorrect,
    Metric::AccDisIncorrect,
    Metric::ParseRate,
    Metric::MseDis,
    Metric::MaeDis,
];

/// Two evaluations, `a` and `b`, on the same problems.
///
/// ```
/// use critique_core::{Judgment, Verdict};
/// use critique_eval::{Metric, Outcome, Paired};
///
/// let outcome = |problem: usize, judgment| Outcome {
///     problem: problem.to_string(),
///     verdict: Verdict::Wrong,
///     judgment: Some(judgment),
///     ..Outcome::default()
/// };
/// // `a` judges five of ten responses better.
/// let a: Vec<Outcome> = (0..10).map(|i| outcome(i, Judgment::Wrong)).collect();
/// let b: Vec<Outcome> = (0..10)
///     .map(|i| outcome(i, if i < 5 { Judgment::Wrong } else { Judgment::Correct }))
///     .collect();
/// let comparison = Paired::new(&a, &b)?.compare(10_000);
/// let verdicts = comparison.of(Metric::AccDis).expect("both have critiques");
/// assert_eq!((verdicts.difference, verdicts.only_a), (0.5, Some(5)));
/// assert_eq!(verdicts.p_exact, Some(0.0625)); // 2 · (1/2)^5
/// # Ok::<(), critique_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// Sums over the tries of each problem, of `a` and of `b`.
    problems: Vec<[Tally; 2]>,
    sums: [Tally; 2],
    cells: Cells<2>,
}

/// How two evaluations of one run differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Problems in both.
    pub problems: usize,
    /// One a metric that both have.
    pub differences: Vec<Difference>,
}

/// A metric of two evaluations. Figures are fractions, or in units of the scorer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Which.
    pub metric: Metric,
    /// Its value in `a`.
    pub a: f64,
    /// Its value in `b`.
    pub b: f64,
    /// `a` less `b`.
    pub difference: f64,
    /// Its 95 % interval, by the paired bootstrap over problems.
    pub ci95: [f64; 2],
    /// Two-sided p-value of that bootstrap.
    pub p_bootstrap: f64,
    /// Problems that count in `a` alone; `None` where a problem counts otherwise than by yes
    /// or no, as when it was tried several times, and for metrics that are no shares of the
    /// same problems.
    pub only_a: Option<u64>,
    /// Problems that count in `b` alone.
    pub only_b: Option<u64>,
    /// Two-sided exact p-value: `McNemar`'s test, and for balanced accuracy the permutation
    /// test ([`mcnemar_balanced`]).
    pub p_exact: Option<f64>,
}

/// How two evaluations differ over several runs, each with a seed of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedComparison {
    /// One a metric that both evaluations have in some run.
    pub differences: Vec<SeedDifference>,
}

/// A metric of two evaluations over several runs. Each run counts as much as any other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedDifference {
    /// Which.
    pub metric: Metric,
    /// Mean of its values in `a`.
    pub a: f64,
    /// Mean of its values in `b`.
    pub b: f64,
    /// Mean of the paired differences, `a` less `b`.
    pub difference: f64,
    /// Its 95 % interval by the hierarchical bootstrap: runs are drawn with replacement, then
    /// the problems of each are resampled (Davison and Hinkley 1997, 3.8). With few runs it
    /// is too narrow where runs differ much; see `ci95_t`.
    pub ci95: [f64; 2],
    /// Two-sided p-value of that bootstrap.
    pub p_bootstrap: f64,
    /// Standard deviation (n − 1) of the differences over runs; `None` of one run.
    pub sd: Option<f64>,
    /// Student's 95 % interval over the runs' differences; `None` of one run, or where all
    /// differences are equal.
    pub ci95_t: Option<[f64; 2]>,
    /// Two-sided p-value of Student's paired test over runs.
    pub p_t: Option<f64>,
    /// Each run's own difference, in the order of runs; `None` where it is not defined.
    pub by_run: Vec<Option<f64>>,
}

impl Paired {
    /// Pairs two evaluations by problem.
    ///
    /// # Errors
    ///
    /// When the evaluations hold different problems, or none. [`common`] keeps those in both.
    pub fn new(a: &[Outcome], b: &[Outcome]) -> Result<Self, EvalError> {
        let (a, b) = (tallies(a), tallies(b));
        let lonely = |one: &BTreeMap<&str, Tally>, other: &BTreeMap<&str, Tally>| -> Vec<String> {
            let lonely = one.keys().filter(|id| !other.contains_key(*id));
            lonely.map(|id| (*id).to_owned()).collect()
        };
        let odd = [lonely(&a, &b), lonely(&b, &a)].concat();
        if let Some(example) = odd.first() {
            return Err(EvalError::Unpaired {
                count: odd.len(),
                example: example.clone(),
            });
        }
        if a.is_empty() {
            return Err(EvalError::NoProblems);
        }
        let problems: Vec<[Tally; 2]> = a
            .into_values()
            .zip(b.into_values())
            .map(<[_; 2]>::from)
            .collect();
        let mut sums = [Tally::default(); 2];
        for [of_a, of_b] in &problems {
            sums[0].add(of_a);
            sums[1].add(of_b);
        }
        let cells = Cells::of(&problems);
        Ok(Self {
            problems,
            sums,
            cells,
        })
    }

    /// Problems in both.
    pub fn problems(&self) -> usize {
        self.problems.len()
    }

    /// Compares the two, by this many resamples of the problems. The same evaluations give the
    /// same figures.
    pub fn compare(&self, resamples: usize) -> Comparison {
        let metrics = metrics(std::slice::from_ref(self));
        let mut rng = Rng::new(derive_seed(0, &["eval", "paired"]));
        let mut drawn = vec![Vec::with_capacity(resamples); metrics.len()];
        for _ in 0..resamples {
            let sums = self.cells.resample(&mut rng);
            for (metric, drawn) in metrics.iter().zip(&mut drawn) {
                drawn.extend(difference(*metric, &sums));
            }
        }
        let each = metrics.into_iter().zip(drawn);
        Comparison {
            problems: self.problems.len(),
            differences: each
                .filter_map(|(metric, drawn)| self.line(metric, drawn))
                .collect(),
        }
    }

    fn line(&self, metric: Metric, drawn: Vec<f64>) -> Option<Difference> {
        let [a, b] = values(metric, &self.sums)?;
        let discordant = self.discordant(metric);
        let p_exact = match metric {
            Metric::AccDisBalanced => self
                .discordant(Metric::AccDisCorrect)
                .zip(self.discordant(Metric::AccDisIncorrect))
                .and_then(|(right, wrong)| mcnemar_balanced(right, wrong)),
            _ => discordant.map(|it| mcnemar_exact(it.only_first, it.only_second)),
        };
        Some(Difference {
            metric,
            a,
            b,
            difference: a - b,
            p_bootstrap: bootstrap_p(&drawn),
            ci95: holding(percentile_interval(drawn)?, a - b),
            only_a: discordant.map(|it| it.only_first),
            only_b: discordant.map(|it| it.only_second),
            p_exact,
        })
    }

    /// The problems in which one evaluation counts and the other does not. `None` where some
    /// problem counts otherwise than by yes or no, or in one evaluation alone.
    fn discordant(&self, metric: Metric) -> Option<Discordant> {
        let mut found = Discordant {
            only_first: 0,
            only_second: 0,
            pairs: 0,
        };
        for [a, b] in &self.problems {
            let ((a, of_a), (b, of_b)) = (metric.proportion(a)?, metric.proportion(b)?);
            match (of_a == of_b, of_a == 1.0, of_a == 0.0) {
                (true, true, _) => found.pairs += 1,
                (true, _, true) => continue,
                _ => return None,
            }
            match (a == 1.0, b == 1.0, a + b) {
                (true, true, _) | (false, false, 0.0) => (),
                (true, false, 1.0) => found.only_first += 1,
                (false, true, 1.0) => found.only_second += 1,
                _ => return None,
            }
        }
        Some(found)
    }
}

impl Comparison {
    /// What became of one metric; `None` where it is not in both evaluations.
    pub fn of(&self, metric: Metric) -> Option<&Difference> {
        self.differences.iter().find(|it| it.metric == metric)
    }
}

impl SeedComparison {
    /// What became of one metric; `None` where it is not in both evaluations of any run.
    pub fn of(&self, metric: Metric) -> Option<&SeedDifference> {
        self.differences.iter().find(|it| it.metric == metric)
    }
}

/// Compares two evaluations over runs that differ by their seed, by this many resamples of runs
/// and problems. The same evaluations give the same figures. Nothing is compared without runs.
pub fn compare_seeds(runs: &[Paired], resamples: usize) -> SeedComparison {
    let metrics = metrics(runs);
    let mut rng = Rng::new(derive_seed(0, &["eval", "seeds"]));
    let by_run = |metric: Metric| -> Vec<Option<f64>> {
        let each = runs.iter().map(|run| difference(metric, &run.sums));
        each.collect()
    };
    let known: Vec<Vec<Option<f64>>> = metrics.iter().map(|metric| by_run(*metric)).collect();
    let mut drawn = vec![Vec::with_capacity(resamples); metrics.len()];
    for _ in 0..resamples {
        let mut sums = vec![(0.0, 0.0); metrics.len()];
        for _ in runs {
            let run = rng.below(runs.len());
            let resample = runs[run].cells.resample(&mut rng);
            for (index, metric) in metrics.iter().enumerate() {
                // The prior defines figures also where a run has none.
                let difference = known[index][run].and_then(|_| difference(*metric, &resample));
                if let Some(difference) = difference {
                    sums[index].0 += difference;
                    sums[index].1 += 1.0;
                }
            }
        }
        for ((sum, count), drawn) in sums.into_iter().zip(&mut drawn) {
            drawn.extend((count > 0.0).then(|| sum / count));
        }
    }
    let each = metrics.into_iter().zip(known).zip(drawn);
    SeedComparison {
        differences: each
            .filter_map(|((metric, by_run), drawn)| seed_line(metric, runs, by_run, drawn))
            .collect(),
    }
}

fn seed_line(
    metric: Metric,
    runs: &[Paired],
    by_run: Vec<Option<f64>>,
    drawn: Vec<f64>,
) -> Option<SeedDifference> {
    let both: Vec<[f64; 2]> = runs
        .iter()
        .filter_map(|run| values(metric, &run.sums))
        .collect();
    let mean = |index: usize| both.iter().map(|it| it[index]).sum::<f64>() / both.len() as f64;
    let differences: Vec<f64> = by_run.iter().copied().flatten().collect();
    let spread = over_seeds(&differences)?;
    Some(SeedDifference {
        metric,
        a: mean(0),
        b: mean(1),
        difference: spread.mean,
        p_bootstrap: bootstrap_p(&drawn),
        ci95: holding(percentile_interval(drawn)?, spread.mean),
        sd: spread.sd,
        ci95_t: spread.interval,
        p_t: spread.p_value,
        by_run,
    })
}

/// Keeps the problems that are in both evaluations. Returns how many are in one alone.
pub fn common(a: &mut Vec<Outcome>, b: &mut Vec<Outcome>) -> usize {
    let ids = |outcomes: &[Outcome]| -> std::collections::BTreeSet<String> {
        outcomes.iter().map(|it| it.problem.clone()).collect()
    };
    let (of_a, of_b) = (ids(a), ids(b));
    a.retain(|outcome| of_b.contains(&outcome.problem));
    b.retain(|outcome| of_a.contains(&outcome.problem));
    of_a.symmetric_difference(&of_b).count()
}

/// The metrics that both evaluations of some run have. Where they share their responses, as
/// rows of one run do, the responses' accuracy is the same, and Δ differs as Acc@Refine does.
fn metrics(runs: &[Paired]) -> Vec<Metric> {
    let share = |run: &Paired| run.problems.iter().all(|[a, b]| a.initial == b.initial);
    let same_responses = runs.iter().all(share);
    let says_nothing =
        |metric: Metric| same_responses && matches!(metric, Metric::AccInitial | Metric::Delta);
    let known = |metric: Metric| runs.iter().any(|run| values(metric, &run.sums).is_some());
    METRICS
        .into_iter()
        .filter(|metric| known(*metric) && !says_nothing(*metric))
        .collect()
}

fn values(metric: Metric, [a, b]: &[Tally; 2]) -> Option<[f64; 2]> {
    Some([metric.value(a)?, metric.value(b)?])
}

fn difference(metric: Metric, sums: &[Tally; 2]) -> Option<f64> {
    values(metric, sums).map(|[a, b]| a - b)
}

/// The sums over the tries of each problem.
fn tallies(outcomes: &[Outcome]) -> BTreeMap<&str, Tally> {
    let by_problem = by_problem(outcomes, |outcome| outcome.problem.as_str());
    let each = by_problem.into_iter();
    each.map(|(id, tries)| (id, Tally::of(tries))).collect()
}
