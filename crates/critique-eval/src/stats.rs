//! Intervals and tests. None draws random numbers but the bootstrap of [`crate::Row`] and of
//! [`crate::Paired`], which takes a fixed seed.

use std::collections::BTreeMap;
use std::f64::consts::{FRAC_2_PI, LN_2};

/// The 97.5 % quantile of the standard normal.
const Z: f64 = 1.959_963_984_540_054;

/// Resamples of a bootstrap, unless others are asked for.
pub const RESAMPLES: usize = 10_000;

/// Wilson's 95 % interval of a proportion (Wilson 1927): never beyond 0 and 1, and sound for
/// few trials. `[0, 1]` without trials.
///
/// ```
/// let [low, high] = critique_eval::stats::wilson(8.0, 10.0);
/// assert!((low - 0.4902).abs() < 1e-4 && (high - 0.9433).abs() < 1e-4);
/// ```
pub fn wilson(successes: f64, trials: f64) -> [f64; 2] {
    if trials <= 0.0 {
        return [0.0, 1.0];
    }
    let share = successes / trials;
    let z2 = Z * Z / trials;
    let centre = (share + z2 / 2.0) / (1.0 + z2);
    let half = Z * (share * (1.0 - share) / trials + z2 / (4.0 * trials)).sqrt() / (1.0 + z2);
    // Rounding would leave 1e-17 where the bound is exactly 0 or 1.
    let low = if successes <= 0.0 { 0.0 } else { centre - half };
    let high = if successes >= trials {
        1.0
    } else {
        centre + half
    };
    [low, high]
}

/// The 2.5 % and 97.5 % quantiles, linear between order statistics.
pub fn percentile_interval(mut values: Vec<f64>) -> Option<[f64; 2]> {
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    Some([quantile(&values, 0.025), quantile(&values, 0.975)])
}

fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = place - below as f64;
    sorted[below] * (1.0 - share) + sorted[above] * share
}

/// The two-sided p-value of a bootstrap: twice the smaller share of resamples on either side
/// of 0, one added to both counts (Davison and Hinkley 1997, 4.4). 1 without resamples.
pub fn bootstrap_p(differences: &[f64]) -> f64 {
    let share = |side: &dyn Fn(f64) -> bool| {
        let count = differences.iter().filter(|d| side(**d)).count();
        (count + 1) as f64 / (differences.len() + 1) as f64
    };
    (2.0 * share(&|d| d <= 0.0).min(share(&|d| d >= 0.0))).min(1.0)
}

/// Two-sided exact p-value of `McNemar`'s test: how unlikely a split of the discordant pairs
/// as uneven as this one is, were each side as likely. 1 without discordant pairs.
///
/// ```
/// // 5 pairs, all on one side: 2 · (1/2)^5.
/// assert!((critique_eval::stats::mcnemar_exact(5, 0) - 0.0625).abs() < 1e-12);
/// ```
pub fn mcnemar_exact(only_first: u64, only_second: u64) -> f64 {
    let fewer = only_first.min(only_second) as usize;
    let tail: f64 = fair_coin(only_first + only_second)[..=fewer].iter().sum();
    (2.0 * tail).min(1.0)
}

/// Discordant pairs of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discordant {
    /// Pairs that only the first got right.
    pub only_first: u64,
    /// Pairs that only the second got right.
    pub only_second: u64,
    /// All pairs of the class, those that both or neither got right included.
    pub pairs: u64,
}

/// `McNemar`'s exact test for balanced accuracy: two-sided p-value of the mean of two classes'
/// differences, were the two verdicts on each problem exchangeable.
///
/// This is the permutation test that swaps the two within problems, over all permutations: a
/// class with `m` discordant pairs of `n` differs by `(2X − m) / n`, `X` of `Binomial(m, 1/2)`.
/// With discordant pairs in one class only it is [`mcnemar_exact`] of that class. `None` where
/// a class is empty.
///
/// ```
/// use critique_eval::stats::{Discordant, mcnemar_balanced};
///
/// // One discordant pair in each class of 4, both for the second: of the four ways to swap
/// // them, two are as far from 0.
/// let class = Discordant { only_first: 0, only_second: 1, pairs: 4 };
/// assert_eq!(mcnemar_balanced(class, class), Some(0.5));
/// ```
pub fn mcnemar_balanced(right: Discordant, wrong: Discordant) -> Option<f64> {
    if right.pairs == 0 || wrong.pairs == 0 {
        return None;
    }
    let differences = |class: Discordant| -> Vec<(f64, f64)> {
        let discordant = class.only_first + class.only_second;
        let difference = |x: usize| (2.0 * x as f64 - discordant as f64) / class.pairs as f64;
        let chances = fair_coin(discordant).into_iter().enumerate();
        chances.map(|(x, chance)| (difference(x), chance)).collect()
    };
    let seen = |class: Discordant| {
        (class.only_first as f64 - class.only_second as f64) / class.pairs as f64
    };
    // Sums that are equal on paper may differ in their last bits.
    let seen = (seen(right) + seen(wrong)).abs() - 1e-9;
    let wrong = differences(wrong);
    let p: f64 = differences(right)
        .into_iter()
        .map(|(difference, chance)| {
            let as_far = wrong.iter().filter(|(d, _)| (difference + d).abs() >= seen);
            chance * as_far.map(|(_, chance)| chance).sum::<f64>()
        })
        .sum();
    Some(p.min(1.0))
}

/// Chances of 0 to `tosses` heads of a fair coin.
fn fair_coin(tosses: u64) -> Vec<f64> {
    // In logarithms, since (1/2)^tosses underflows beyond a thousand tosses.
    let mut log_chance = -(tosses as f64) * LN_2;
    let chances = (0..=tosses).map(|heads| {
        let chance = log_chance.exp();
        log_chance += ((tosses - heads) as f64 / (heads + 1) as f64).ln();
        chance
    });
    chances.collect()
}

/// A mean over training seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OverSeeds {
    /// Mean of the values.
    pub mean: f64,
    /// Their standard deviation (n − 1); none of one value.
    pub sd: Option<f64>,
    /// Student's 95 % interval of the mean; none of one value, or of values that are all
    /// equal, which say nothing about their spread.
    pub interval: Option<[f64; 2]>,
    /// Two-sided p-value of Student's test that the mean is 0, where there is an interval.
    pub p_value: Option<f64>,
}

/// Mean, spread, and Student's interval and test of values, one a seed; none without values.
///
/// ```
/// let got = critique_eval::stats::over_seeds(&[1.0, 2.0, 3.0]).expect("three values");
/// // 2 ± 4.3027 · 1 / √3.
/// assert!((got.interval.expect("values differ")[0] - (2.0 - 2.4841)).abs() < 1e-4);
/// ```
pub fn over_seeds(values: &[f64]) -> Option<OverSeeds> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = match values.len() {
        0 => return None,
        1 => None,
        _ => {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            Some((squares / (n - 1.0)).sqrt())
        }
    };
    let error = sd.map(|sd| sd / n.sqrt()).filter(|error| *error > 1e-12);
    let freedom = values.len() as u64 - 1;
    Some(OverSeeds {
        mean,
        sd,
        interval: error.map(|error| {
            let half = student_quantile(freedom) * error;
            [mean - half, mean + half]
        }),
        p_value: error.map(|error| 1.0 - student_within(mean.abs() / error, freedom)),
    })
}

/// The chance that Student's t of so many degrees of freedom lies within ±`t`: the finite
/// sums 26.7.3 and 26.7.4 of Abramowitz and Stegun (1964).
fn student_within(t: f64, freedom: u64) -> f64 {
    let angle = (t / (freedom as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    // Odd: cos θ + 2/3 cos³ θ + …; even: 1 + 1/2 cos² θ + …; the last power is freedom − 2.
    let mut term = if odd { cos } else { 1.0 };
    let mut sum = 0.0;
    let mut power = u64::from(odd);
    while power + 2 <= freedom {
        sum += term;
        power += 2;
        term *= cos * cos * (power - 1) as f64 / power as f64;
    }
    if odd {
        FRAC_2_PI * (angle + sin * sum)
    } else {
        sin * sum
    }
}

/// The 97.5 % quantile of Student's t.
fn student_quantile(freedom: u64) -> f64 {
    let (mut low, mut high) = (0.0, 20.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if student_within(middle, freedom) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Splits items by problem, in the order of ids, so that samples of one problem stay together.
pub(crate) fn by_problem<'a, T>(
    items: &'a [T],
    id: impl Fn(&'a T) -> &'a str,
) -> BTreeMap<&'a str, Vec<&'a T>> {
    let mut clusters: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for item in items {
        clusters.entry(id(item)).or_default().push(item);
    }
    clusters
}
