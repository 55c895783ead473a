//! Intervals and tests against published or hand-worked numbers.

use critique_core::{Attempt, Verdict};
use critique_eval::scaling::{majority_at_k, majority_vote, pass_at_k};
use critique_eval::stats::{Discordant, mcnemar_balanced, mcnemar_exact, over_seeds, wilson};
use proptest::prelude::*;

fn close(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() < tolerance, "{got} is not {want}");
}

#[test]
fn wilson_equals_published_intervals() {
    // Newcombe (1998), table I: 81/263, 15/148, 0/20 and 1/29.
    for (successes, trials, low, high) in [
        (81.0, 263.0, 0.2553, 0.3662),
        (15.0, 148.0, 0.0624, 0.1605),
        (0.0, 20.0, 0.0, 0.1611),
        (1.0, 29.0, 0.0061, 0.1718),
    ] {
        let [got_low, got_high] = wilson(successes, trials);
        close(got_low, low, 5e-5);
        close(got_high, high, 5e-5);
    }
    assert_eq!(wilson(0.0, 0.0), [0.0, 1.0]);
    assert_eq!(wilson(7.0, 7.0)[1], 1.0);
}

#[test]
fn mcnemar_sums_the_binomial_tail() {
    // 2 · (C(10,0) + C(10,1) + C(10,2)) / 1024.
    close(mcnemar_exact(2, 8), 112.0 / 1024.0, 1e-12);
    close(mcnemar_exact(8, 2), 112.0 / 1024.0, 1e-12);
    assert_eq!(mcnemar_exact(0, 0), 1.0);
    assert_eq!(mcnemar_exact(4, 4), 1.0);
    // (1/2)^3000 is 0 in double precision; the test must not be.
    let p = mcnemar_exact(1450, 1550);
    // Normal approximation with continuity correction: z = 99/√3000.
    close(p, 0.0707, 1e-3);
}

#[test]
fn without_discordant_pairs_in_one_class_the_balanced_test_is_mcnemars() {
    let class = |only_first, only_second, pairs| Discordant {
        only_first,
        only_second,
        pairs,
    };
    let p = mcnemar_balanced(class(2, 8, 30), class(0, 0, 700)).unwrap();
    close(p, mcnemar_exact(2, 8), 1e-12);
    close(
        mcnemar_balanced(class(5, 5, 30), class(3, 3, 40)).unwrap(),
        1.0,
        1e-12,
    );
    assert_eq!(mcnemar_balanced(class(1, 1, 5), class(0, 0, 0)), None);
    // Normal approximation: variance m / n² of each class.
    let p = mcnemar_balanced(class(260, 240, 600), class(150, 120, 400)).unwrap();
    let z = (20.0 / 600.0 + 30.0 / 400.0) / f64::sqrt(500.0 / 360e3 + 270.0 / 160e3);
    assert!((1.9..2.0).contains(&z));
    close(p, 0.051, 2e-3);
}

#[test]
fn student_equals_published_tables() {
    // 97.5 % quantiles of 1, 2, 3, 4, 9 and 30 degrees of freedom.
    for (seeds, want) in [
        (2, 12.7062),
        (3, 4.3027),
        (4, 3.1824),
        (5, 2.7764),
        (10, 2.2622),
        (31, 2.0423),
    ] {
        // Half of the values one above their mean, half one below.
        let values: Vec<f64> = (0..seeds).map(f64::from).collect();
        let got = over_seeds(&values).unwrap();
        let error = got.sd.unwrap() / f64::from(seeds).sqrt();
        let [low, high] = got.interval.unwrap();
        close((high - low) / 2.0 / error, want, 1e-4);
        // The interval's end lies where the test says 5 %.
        let shifted: Vec<f64> = values.iter().map(|value| value - low).collect();
        close(over_seeds(&shifted).unwrap().p_value.unwrap(), 0.05, 1e-9);
    }
    assert_eq!(over_seeds(&[]), None);
    assert_eq!(over_seeds(&[0.3]).unwrap().sd, None);
}

fn attempt(answer: Option<&str>, verdict: Verdict) -> Attempt {
    Attempt {
        text: String::new(),
        completion: None,
        verdict,
        score: 0.0,
        answer: answer.map(str::to_owned),
    }
}

#[test]
fn the_first_seen_answer_wins_ties() {
    let vote = |answers: &[Option<&str>]| {
        let attempts: Vec<Attempt> = answers
            .iter()
            .map(|a| attempt(*a, Verdict::Wrong))
            .collect();
        majority_vote(&attempts).and_then(|winner| winner.answer.clone())
    };
    assert_eq!(
        vote(&[Some("3"), Some("4"), Some("4"), Some("3")]).as_deref(),
        Some("3")
    );
    assert_eq!(
        vote(&[Some("3"), Some("4"), Some("4")]).as_deref(),
        Some("4")
    );
    assert_eq!(vote(&[None, None, Some("9")]).as_deref(), Some("9"));
    assert_eq!(vote(&[None, None]), None);
    assert_eq!(vote(&[]), None);
}

#[test]
fn majorities_count_problems() {
    let (right, wrong) = (
        attempt(Some("1"), Verdict::Correct),
        attempt(Some("2"), Verdict::Wrong),
    );
    let problems = [
        vec![right.clone(), wrong.clone(), right.clone()],
        vec![wrong.clone(), right.clone(), right.clone()],
        vec![],
        vec![wrong],
    ];
    assert_eq!(majority_at_k(&problems, 1), Some(0.25));
    assert_eq!(majority_at_k(&problems, 3), Some(0.5));
    assert_eq!(majority_at_k(&[], 3), None);
}

#[test]
#[should_panic(expected = "pass@5 of 1 right in 4")]
fn more_draws_than_samples_are_a_bug() {
    pass_at_k(4, 1, 5);
}

proptest! {
    #[test]
    fn pass_at_k_is_what_counting_subsets_gives(n in 1usize..9, right in 0usize..9, k in 1usize..9) {
        prop_assume!(right <= n && k <= n);
        let subsets = (0u32..1 << n).filter(|set| set.count_ones() as usize == k);
        let (mut all, mut hit) = (0, 0);
        for set in subsets {
            all += 1;
            hit += u32::from(set & ((1 << right) - 1) != 0);
        }
        let want = f64::from(hit) / f64::from(all);
        prop_assert!((pass_at_k(n, right, k) - want).abs() < 1e-12);
    }

    #[test]
    fn wilson_holds_the_share(n in 1u32..500, share in 0.0f64..=1.0) {
        let successes = (f64::from(n) * share).floor();
        let [low, high] = wilson(successes, f64::from(n));
        let share = successes / f64::from(n);
        prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
    }
}
