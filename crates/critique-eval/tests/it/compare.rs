//! Paired comparisons.

use critique_core::{Judgment, Verdict};
use critique_eval::{Difference, EvalError, Metric, Outcome, Paired, common, compare_seeds};

use crate::metrics::population;

fn outcomes(refined: &[bool], judgment: Judgment) -> Vec<Outcome> {
    refined
        .iter()
        .enumerate()
        .map(|(index, &refined)| Outcome {
            problem: format!("p/{index:02}"),
            verdict: Verdict::Wrong,
            judgment: Some(judgment),
            refined: Some(f32::from(u8::from(refined))),
            ..Outcome::default()
        })
        .collect()
}

fn one(a: &[Outcome], b: &[Outcome], metric: Metric) -> Difference {
    let comparison = Paired::new(a, b).unwrap().compare(2_000);
    *comparison.of(metric).unwrap()
}

#[test]
fn pairs_are_matched_by_problem() {
    let a: Vec<bool> = (0..20).map(|i| (2..18).contains(&i)).collect();
    let b: Vec<bool> = (0..20).map(|i| i < 10).collect();
    let mut a = outcomes(&a, Judgment::Wrong);
    a.reverse();
    let b = outcomes(&b, Judgment::Correct);
    let got = one(&a, &b, Metric::AccRefined);
    assert_eq!((got.only_a, got.only_b), (Some(8), Some(2)));
    assert!((got.difference - 0.3).abs() < 1e-12);
    assert!((got.p_exact.unwrap() - 112.0 / 1024.0).abs() < 1e-12);
    assert!(got.ci95[0] < 0.3 && 0.3 < got.ci95[1]);
    let verdicts = one(&a, &b, Metric::AccDis);
    assert_eq!((verdicts.difference, verdicts.only_a), (1.0, Some(20)));
    // All 20 on one side is no proof that all others would be.
    assert!(
        verdicts.ci95[0] < 0.95 && verdicts.ci95[1] == 1.0,
        "{:?}",
        verdicts.ci95
    );
    assert!(verdicts.p_bootstrap < 0.01);
}

#[test]
fn balanced_accuracy_weighs_both_classes_alike() {
    use Judgment::{Correct, Wrong};
    // On 40 right responses `a` alone is right on 4, `b` alone on 1; on 10 wrong ones `a` on 3.
    let mut a = population(&[
        (39, Verdict::Correct, Correct, true),
        (1, Verdict::Correct, Wrong, true),
        (10, Verdict::Wrong, Wrong, true),
    ]);
    let b = population(&[
        (35, Verdict::Correct, Correct, true),
        (4, Verdict::Correct, Wrong, true),
        (1, Verdict::Correct, Correct, true),
        (3, Verdict::Wrong, Correct, true),
        (7, Verdict::Wrong, Wrong, true),
    ]);
    let got = one(&a, &b, Metric::AccDisBalanced);
    assert!((got.difference - f64::midpoint(3.0 / 40.0, 0.3)).abs() < 1e-12);
    assert_eq!((got.only_a, got.only_b), (None, None));
    // 2X − 5 of 40 and 2Y − 3 of 10, X of Binomial(5, 1/2), Y of Binomial(3, 1/2), at least
    // 0.375 from 0: Y of 3 and X from 4 on (6 of 32), or both the other way round.
    assert!((got.p_exact.unwrap() - 2.0 * 6.0 / (32.0 * 8.0)).abs() < 1e-12);
    // Where the responses differ in their class, the two are shares of other problems.
    a[0].verdict = Verdict::Wrong;
    assert_eq!(one(&a, &b, Metric::AccDisBalanced).p_exact, None);
}

#[test]
fn equal_evaluations_do_not_differ() {
    let all = outcomes(&[true; 50], Judgment::Wrong);
    for line in Paired::new(&all, &all).unwrap().compare(2_000).differences {
        assert_eq!(
            (line.difference, line.p_exact),
            (0.0, Some(1.0)),
            "{line:?}"
        );
        assert!(line.p_bootstrap > 0.8, "{line:?}");
        // Fifty problems cannot exclude a difference of 2 points.
        assert!(line.ci95[0] < -0.02 && line.ci95[1] > 0.02, "{line:?}");
    }
}

#[test]
fn what_says_nothing_is_left_out() {
    let all = outcomes(&[true, false], Judgment::Wrong);
    let metrics = |a: &[Outcome], b: &[Outcome]| -> Vec<Metric> {
        let comparison = Paired::new(a, b).unwrap().compare(100);
        comparison.differences.iter().map(|it| it.metric).collect()
    };
    assert_eq!(
        metrics(&all, &all),
        [
            Metric::AccRefined,
            Metric::DeltaC2i,
            Metric::DeltaI2c,
            Metric::AccDis,
            Metric::AccDisIncorrect,
            Metric::ParseRate
        ]
    );
    let mut others = all.clone();
    others[0].verdict = Verdict::Correct;
    others[0].initial = 1.0;
    assert_eq!(metrics(&all, &others)[0], Metric::AccInitial);
    let uncriticised: Vec<Outcome> = all
        .iter()
        .map(|outcome| Outcome {
            judgment: None,
            refined: None,
            ..outcome.clone()
        })
        .collect();
    assert_eq!(metrics(&all, &uncriticised), [Metric::AccRefined]);
}

#[test]
fn other_problems_cannot_be_paired() {
    let mut a = outcomes(&[true, false], Judgment::Wrong);
    let mut b = outcomes(&[true, false, true], Judgment::Wrong);
    let refused = Paired::new(&a, &b).unwrap_err();
    assert!(matches!(&refused, EvalError::Unpaired { count: 1, example } if example == "p/02"));
    assert!(matches!(Paired::new(&[], &[]), Err(EvalError::NoProblems)));
    assert_eq!(common(&mut a, &mut b), 1);
    assert_eq!(Paired::new(&a, &b).unwrap().problems(), 2);
}

#[test]
fn several_tries_of_a_problem_are_averaged() {
    let mut a = outcomes(&[true, true], Judgment::Wrong);
    a.extend(outcomes(&[true, true], Judgment::Wrong));
    let mut b = outcomes(&[true, false], Judgment::Wrong);
    b.extend(outcomes(&[false, false], Judgment::Wrong));
    let got = one(&a, &b, Metric::AccRefined);
    assert_eq!((got.p_exact, got.only_a), (None, None));
    assert!((got.difference - 0.75).abs() < 1e-12);
}

#[test]
fn scores_are_compared_as_they_are() {
    let scored = |by: f32| -> Vec<Outcome> {
        (0..30)
            .map(|i| Outcome {
                problem: format!("p/{i:02}"),
                initial: 5.0,
                judgment: Some(Judgment::Score(5.0 + by)),
                refined: Some(6.0 + by + (i % 3) as f32),
                ..Outcome::default()
            })
            .collect()
    };
    let comparison = Paired::new(&scored(1.0), &scored(0.0))
        .unwrap()
        .compare(500);
    let metrics: Vec<Metric> = comparison.differences.iter().map(|it| it.metric).collect();
    assert_eq!(
        metrics,
        [
            Metric::AccRefined,
            Metric::ParseRate,
            Metric::MseDis,
            Metric::MaeDis
        ]
    );
    let refined = comparison.of(Metric::AccRefined).unwrap();
    assert!((refined.difference - 1.0).abs() < 1e-9 && refined.p_exact.is_none());
}

/// `a` is right on all of 100 problems, `b` on all but the last few.
fn run(lost: usize) -> Paired {
    let b: Vec<bool> = (0..100).map(|i| i < 100 - lost).collect();
    let a = outcomes(&[true; 100], Judgment::Wrong);
    Paired::new(&a, &outcomes(&b, Judgment::Wrong)).unwrap()
}

#[test]
fn seeds_are_compared_by_their_own_differences() {
    let all = compare_seeds(&[run(10), run(20), run(30)], 2_000);
    let got = all.of(Metric::AccRefined).unwrap();
    assert_eq!(
        got.by_run,
        [Some(0.1), Some(0.2), Some(0.3)].map(|d: Option<f64>| d.map(|d| 1.0 - (1.0 - d)))
    );
    assert!((got.a - 1.0).abs() < 1e-12 && (got.b - 0.8).abs() < 1e-12);
    assert!((got.difference - 0.2).abs() < 1e-12 && (got.sd.unwrap() - 0.1).abs() < 1e-12);
    // 0.2 ± 4.3027 · 0.1 / √3; t = 3.4641 of 2 degrees of freedom: p = 1 − t / √(2 + t²).
    let [low, high] = got.ci95_t.unwrap();
    assert!((low + 0.0484).abs() < 1e-4 && (high - 0.4484).abs() < 1e-4);
    let t = 12f64.sqrt();
    assert!((got.p_t.unwrap() - (1.0 - t / (2.0 + t * t).sqrt())).abs() < 1e-9);
    // Narrower than one seed alone would say, wider than problems alone.
    assert!(0.05 < got.ci95[0] && got.ci95[0] < 0.16, "{:?}", got.ci95);
    assert!(got.p_bootstrap < 0.002);
}

#[test]
fn one_seed_has_no_spread_and_equal_seeds_no_interval_of_student() {
    let alone = compare_seeds(&[run(10)], 500);
    let got = alone.of(Metric::AccRefined).unwrap();
    assert_eq!((got.sd, got.ci95_t, got.p_t), (None, None, None));
    let equal = compare_seeds(&[run(10), run(10)], 500);
    let got = equal.of(Metric::AccRefined).unwrap();
    assert_eq!((got.sd, got.ci95_t, got.p_t), (Some(0.0), None, None));
    assert!(got.ci95[0] < 0.09 && got.ci95[1] > 0.11);
    assert!(compare_seeds(&[], 500).differences.is_empty());
}

#[test]
fn a_seed_without_a_figure_is_left_out_of_it() {
    let right = population(&[(30, Verdict::Correct, Judgment::Correct, true)]);
    let runs = [run(10), Paired::new(&right, &right).unwrap()];
    let all = compare_seeds(&runs, 500);
    assert_eq!(
        all.of(Metric::AccDisIncorrect).unwrap().by_run,
        [Some(0.0), None]
    );
    assert_eq!(
        all.of(Metric::AccDisCorrect).unwrap().by_run,
        [None, Some(0.0)]
    );
    assert!(all.of(Metric::AccDisBalanced).is_none());
}

#[test]
fn comparisons_are_the_same_every_time() {
    assert_eq!(run(7).compare(300), run(7).compare(300));
    let runs = [run(7), run(9)];
    assert_eq!(compare_seeds(&runs, 300), compare_seeds(&runs, 300));
}
