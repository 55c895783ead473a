//! The bootstrap over problems that all intervals but Wilson's come from.
//!
//! It is the Bayesian bootstrap (Rubin 1981): a resample weighs each problem by an exponential
//! random number instead of drawing it so many times. Problems that fared alike are one
//! [`Cell`], whose weight is a gamma random number of the shape that is its count, so that a
//! resample costs as much as there are cells, not problems.
//!
//! Where all problems went well, plain resampling knows no other outcome, and its interval is
//! of width zero. So outcomes get Jeffreys' prior: half a problem in each cell of each class's
//! table, which is right and wrong of one evaluation, and the four cells of a pair (Brown, Cai
//! and DasGupta 2001; Agresti and Min 2005 for pairs). An interval is widened to hold its
//! estimate, as is usual where the estimate lies at a border (Brown, Cai and DasGupta 2001).
//! Open-ended scores have no list of outcomes to spread a prior over; their bootstrap is
//! Rubin's alone.

use critique_core::{Judgment, Rng, Verdict};

use crate::metrics::Tally;
use crate::outcome::Outcome;

/// Problems that the prior is worth in each cell of a class's table.
const PRIOR: f64 = 0.5;

/// As many cells are searched for equal ones; where problems fare in more ways than this, as
/// with several tries each, most differ anyway.
const SEARCHED: usize = 128;

/// Problems by how they fared in `N` evaluations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cells<const N: usize> {
    cells: Vec<Cell<N>>,
}

/// Problems that fared alike.
#[derive(Debug, Clone, PartialEq)]
struct Cell<const N: usize> {
    /// Sums over the tries of one of these problems, for each evaluation.
    tallies: [Tally; N],
    /// How many problems; fractions come from the prior.
    count: f64,
}

impl<const N: usize> Cells<N> {
    /// Cells of problems, with the prior. Each problem's tries are summed up.
    pub(crate) fn of(problems: &[[Tally; N]]) -> Self {
        let mut cells = Self { cells: Vec::new() };
        for tallies in problems {
            cells.add(tallies.map(Tally::without_lengths), 1.0);
        }
        for (tallies, count) in prior(problems) {
            cells.add(tallies, count);
        }
        cells
    }

    fn add(&mut self, tallies: [Tally; N], count: f64) {
        let searched = self.cells.iter_mut().take(SEARCHED);
        match searched.into_iter().find(|cell| cell.tallies == tallies) {
            Some(cell) => cell.count += count,
            None => self.cells.push(Cell { tallies, count }),
        }
    }

    /// Sums over one resample, for each evaluation, up to a factor that no metric depends on.
    pub(crate) fn resample(&self, rng: &mut Rng) -> [Tally; N] {
        let mut sums = [Tally::default(); N];
        for cell in &self.cells {
            let weight = gamma(rng, cell.count);
            for (sum, tally) in sums.iter_mut().zip(&cell.tallies) {
                sum.add_times(tally, weight);
            }
        }
        sums
    }
}

/// Every way in which a problem can fare, with its prior weight: in each class half of the
/// verdicts are right and half of the refinements. Nothing for open-ended scores.
fn prior<const N: usize>(problems: &[[Tally; N]]) -> Vec<([Tally; N], f64)> {
    let mut total = [Tally::default(); N];
    for tallies in problems {
        for (sum, tally) in total.iter_mut().zip(tallies) {
            sum.add(tally);
        }
    }
    if problems
        .iter()
        .flatten()
        .any(|tally| !tally.is_of_verdicts())
    {
        return Vec::new();
    }
    let classes = [
        (Verdict::Correct, Judgment::Correct),
        (Verdict::Wrong, Judgment::Wrong),
    ];
    let class = |(verdict, truth): (Verdict, Judgment)| {
        let start = Outcome {
            verdict,
            initial: f32::from(u8::from(verdict.is_correct())),
            ..Outcome::default()
        };
        // The table of one class has two cells an evaluation; what follows fills them evenly.
        let mut cells = vec![(
            std::array::from_fn(|_| start.clone()),
            PRIOR * f64::from(1 << N),
        )];
        for (index, of) in total.iter().enumerate() {
            if of.judged() > 0.0 {
                cells = split(
                    &cells,
                    &judgments(truth),
                    |outcomes: &mut [Outcome; N], judgment| {
                        outcomes[index].judgment = Some(judgment);
                    },
                );
            }
            if of.refined_n > 0.0 {
                cells = split(&cells, &[(0.0, 0.5), (1.0, 0.5)], |outcomes, refined| {
                    outcomes[index].refined = Some(refined);
                });
            }
        }
        cells
    };
    // A problem that was tried several times outweighs one that was tried once.
    let tries = total.map(|tally| tally.n / problems.len() as f64);
    let weighed = |(outcomes, count): ([Outcome; N], f64)| {
        let tally = |index: usize| {
            let mut tally = Tally::default();
            tally.add_times(&Tally::of([&outcomes[index]]), tries[index]);
            tally
        };
        (std::array::from_fn(tally), count)
    };
    classes.into_iter().flat_map(class).map(weighed).collect()
}

/// What a critique may say, with its share: the truth by half.
fn judgments(truth: Judgment) -> [(Judgment, f64); 3] {
    let other = match truth {
        Judgment::Correct => Judgment::Wrong,
        _ => Judgment::Correct,
    };
    [(truth, 0.5), (other, 0.25), (Judgment::Unparsed, 0.25)]
}

/// Splits each cell by the values that `set` gives it.
fn split<C: Clone, V: Copy>(
    cells: &[(C, f64)],
    values: &[(V, f64)],
    set: impl Fn(&mut C, V),
) -> Vec<(C, f64)> {
    let each = cells
        .iter()
        .flat_map(|cell| values.iter().map(move |value| (cell, value)));
    each.map(|((cell, count), (value, share))| {
        let mut cell = cell.clone();
        set(&mut cell, *value);
        (cell, count * share)
    })
    .collect()
}

/// A gamma random number of this shape and scale 1 (Marsaglia and Tsang 2000).
fn gamma(rng: &mut Rng, shape: f64) -> f64 {
    if shape < 1.0 {
        return gamma(rng, shape + 1.0) * (1.0 - rng.uniform_f64()).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = f64::from(rng.normal());
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 {
            let u = 1.0 - rng.uniform_f64();
            if u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }
}

/// An interval that holds its estimate.
pub(crate) fn holding([low, high]: [f64; 2], estimate: f64) -> [f64; 2] {
    [low.min(estimate), high.max(estimate)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_numbers_have_their_mean_and_variance() {
        for shape in [0.05, 0.5, 1.0, 7.0, 400.0] {
            let mut rng = Rng::new(1);
            let drawn: Vec<f64> = (0..100_000).map(|_| gamma(&mut rng, shape)).collect();
            let mean = drawn.iter().sum::<f64>() / 1e5;
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
            // Both are the shape; 4 standard errors of the mean, and 6 % of the variance.
            assert!(
                (mean - shape).abs() < 4.0 * (shape / 1e5).sqrt(),
                "{shape}: {mean}"
            );
            let allowed = if shape < 0.1 { 0.2 } else { 0.06 };
            assert!(
                (variance / shape - 1.0).abs() < allowed,
                "{shape}: {variance}"
            );
        }
    }

    #[test]
    fn problems_that_fared_alike_share_a_cell() {
        let tally = |judgment| {
            let outcome = Outcome {
                verdict: Verdict::Wrong,
                judgment: Some(judgment),
                ..Outcome::default()
            };
            [Tally::of(&[outcome])]
        };
        let problems: Vec<[Tally; 1]> = (0..50)
            .map(|i| tally([Judgment::Wrong, Judgment::Correct][i % 2]))
            .collect();
        let cells = Cells::of(&problems);
        // Two classes times three judgments.
        assert_eq!(cells.cells.len(), 6);
        let counts: f64 = cells.cells.iter().map(|cell| cell.count).sum();
        assert!((counts - 52.0).abs() < 1e-12);
        assert_eq!(cells.cells[0].count, 25.0 + 0.5);
        assert_eq!(cells.cells[1].count, 25.0 + 0.25);
    }
}
