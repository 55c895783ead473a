//! Which responses are criticised.

use critique_core::{Attempt, Problem};
use critique_rollout::{Case, attempts, balanced, cases, split_by_verdict};
use proptest::prelude::*;

use crate::scripted::{Sums, sum};

/// Responses of three problems, right where the pattern says so.
fn patterned(patterns: &[Vec<bool>]) -> Vec<Case> {
    let problems: Vec<_> = (1..=patterns.len() as u32).map(sum).collect();
    let attempts: Vec<Vec<Attempt>> = problems
        .iter()
        .zip(patterns)
        .map(|(problem, pattern)| responses(problem, pattern))
        .collect();
    cases(&problems, attempts)
}

/// A right or wrong response for each element of a pattern.
fn responses(problem: &Problem, pattern: &[bool]) -> Vec<Attempt> {
    let text = |right: &bool| format!("is {}", if *right { &problem.answer } else { "no" });
    let texts = pattern.iter().map(|right| (problem, text(right)));
    attempts(&Sums, texts.collect()).unwrap()
}

#[test]
fn balance_keeps_one_right_and_one_wrong_response() {
    let all = patterned(&[
        vec![true, true, false, false, false],
        vec![true, true],
        vec![false],
        vec![false, true],
    ]);
    let kept = balanced(all, 5, 5);
    let ids: Vec<&str> = kept.iter().map(|case| case.problem.id.as_str()).collect();
    assert_eq!(ids, ["sums/1", "sums/1", "sums/4", "sums/4"]);
    let right = kept
        .iter()
        .filter(|case| case.response.verdict.is_correct());
    assert_eq!(right.count(), 2);
    // The index of the response stays: it is a part of its critiques' seeds.
    assert!(kept[0].sample < 2 && kept[1].sample >= 2);
}

#[test]
fn the_seed_chooses() {
    let all = patterned(&[vec![true, true, true, true, false]]);
    let chosen = |seed| balanced(all.clone(), 5, seed)[0].sample;
    let of_seeds: std::collections::BTreeSet<usize> = (0..50).map(chosen).collect();
    assert_eq!(of_seeds.len(), 4);
    assert_eq!(chosen(9), chosen(9));
}

#[test]
fn a_problem_that_stands_there_again_is_balanced_by_itself() {
    let pattern = [true, false, true, false];
    let (problem, other) = (sum(1), sum(2));
    let attempts = |problem: &Problem| responses(problem, &pattern);
    let problems = [problem.clone(), other.clone(), problem.clone()];
    let all = cases(&problems, problems.iter().map(attempts).collect());
    let samples: Vec<usize> = all.iter().map(|case| case.sample).collect();
    assert_eq!(samples, [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]);
    let once = cases(&problems[..2], problems[..2].iter().map(attempts).collect());
    let mut others_differ = false;
    for seed in 0..20 {
        let kept = balanced(all.clone(), 4, seed);
        assert_eq!(kept.len(), 6);
        let times: Vec<usize> = kept.iter().map(|case| case.sample / 4).collect();
        assert_eq!(times, [0, 0, 0, 0, 1, 1]);
        // What was chosen without the repeat stays chosen.
        assert_eq!(kept[..4], balanced(once.clone(), 4, seed));
        others_differ |= kept[4].sample - 4 != kept[0].sample;
    }
    assert!(others_differ, "a repeat is a draw of its own");
}

#[test]
fn an_oracle_has_only_wrong_responses_criticised() {
    let (right, wrong) = split_by_verdict(patterned(&[vec![true, false], vec![false]]));
    assert_eq!((right.len(), wrong.len()), (1, 2));
    assert!(wrong.iter().all(|case| !case.response.verdict.is_correct()));
}

proptest! {
    #[test]
    fn balance_is_even(patterns in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..6), 1..6), seed: u64) {
        let kept = balanced(patterned(&patterns), 6, seed);
        let right = kept.iter().filter(|case| case.response.verdict.is_correct()).count();
        prop_assert_eq!(kept.len(), 2 * right);
        let mixed = patterns.iter().filter(|p| p.contains(&true) && p.contains(&false)).count();
        prop_assert_eq!(right, mixed);
    }
}
