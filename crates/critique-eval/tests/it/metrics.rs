//! The figures of docs/method.md on a population that can be counted by hand.

use critique_core::{Judgment, Verdict};
use critique_eval::{Collapse, Lean, Metric, Outcome, Row, Tally, Tokens, collapse};

/// How many responses fared in one way: verdict, judgment, whether the refinement is right.
type Class = (usize, Verdict, Judgment, bool);

pub(crate) fn population(classes: &[Class]) -> Vec<Outcome> {
    let each = classes
        .iter()
        .flat_map(|class| std::iter::repeat_n(class, class.0));
    each.enumerate()
        .map(|(index, &(_, verdict, judgment, refined))| Outcome {
            problem: format!("p/{index:03}"),
            verdict,
            initial: f32::from(u8::from(verdict.is_correct())),
            judgment: Some(judgment),
            refined: Some(f32::from(u8::from(refined))),
            tokens: Tokens {
                response: 10,
                critique: 20,
                refinement: index % 2,
            },
        })
        .collect()
}

/// 60 right and 40 wrong responses.
pub(crate) fn hundred() -> Vec<Outcome> {
    use Judgment::{Correct, Unparsed, Wrong};
    population(&[
        (45, Verdict::Correct, Correct, true),
        (5, Verdict::Correct, Correct, false),
        (2, Verdict::Correct, Wrong, true),
        (4, Verdict::Correct, Wrong, false),
        (4, Verdict::Correct, Unparsed, true),
        (18, Verdict::Wrong, Wrong, true),
        (6, Verdict::Wrong, Wrong, false),
        (1, Verdict::Wrong, Correct, true),
        (9, Verdict::Wrong, Correct, false),
        (4, Verdict::Unparsed, Wrong, true),
        (2, Verdict::Unparsed, Unparsed, false),
    ])
}

#[test]
fn every_metric_equals_what_the_hand_counts() {
    let tally = Tally::of(&hundred());
    // Right verdicts: 50 of 60 right responses, 28 of 40 others. Parsed: 94.
    // Confusion: TP 50, FN 10, TN 28, FP 12.
    let mcc = (50.0 * 28.0 - 12.0 * 10.0) / f64::sqrt(62.0 * 60.0 * 40.0 * 38.0);
    for (metric, want) in [
        (Metric::AccInitial, 0.60),
        (Metric::AccRefined, 0.74),
        (Metric::Delta, 0.14),
        (Metric::DeltaC2i, 0.09),
        (Metric::DeltaI2c, 0.23),
        (Metric::C2iOfCorrect, 9.0 / 60.0),
        (Metric::I2cOfIncorrect, 23.0 / 40.0),
        (Metric::AccDis, 0.78),
        (Metric::AccDisParsed, 78.0 / 94.0),
        (Metric::AccDisCorrect, 50.0 / 60.0),
        (Metric::AccDisIncorrect, 28.0 / 40.0),
        (Metric::AccDisBalanced, f64::midpoint(50.0 / 60.0, 0.7)),
        (Metric::ParseRate, 0.94),
        (Metric::Mcc, mcc),
        (Metric::Relevance, (45.0 + 18.0 + 4.0) / 78.0),
        (Metric::ConstantFloor, 0.60),
        (Metric::SaidCorrect, 0.60),
    ] {
        let got = metric.value(&tally).unwrap();
        assert!(
            (got - want).abs() < 1e-12,
            "{}: {got} is not {want}",
            metric.name()
        );
    }
    assert_eq!(Metric::MseDis.value(&tally), None);
    let tokens = Row::of("x", &hundred()).extra;
    assert_eq!(
        (
            tokens.tokens_response,
            tokens.tokens_critique,
            tokens.tokens_refinement
        ),
        (10.0, 20.0, 0.5)
    );
}

#[test]
fn delta_is_the_difference_of_the_two_ways() {
    let tally = Tally::of(&hundred());
    let value = |metric: Metric| metric.value(&tally).unwrap();
    let ways = value(Metric::DeltaI2c) - value(Metric::DeltaC2i);
    assert!((value(Metric::Delta) - ways).abs() < 1e-12);
}

#[test]
fn without_a_critic_there_is_only_accuracy() {
    let outcomes: Vec<Outcome> = hundred()
        .into_iter()
        .map(|outcome| Outcome {
            judgment: None,
            refined: None,
            ..outcome
        })
        .collect();
    let row = Row::of("no_critic", &outcomes);
    assert_eq!((row.acc_initial, row.acc_refined), (Some(0.6), Some(0.6)));
    assert_eq!((row.delta, row.acc_dis, row.parse_rate), (None, None, None));
    let intervals: Vec<&str> = row.ci95.keys().map(String::as_str).collect();
    assert_eq!(intervals, ["acc_initial", "acc_refined"]);
}

#[test]
fn one_class_alone_has_no_balance() {
    let row = Row::of(
        "x",
        &population(&[(3, Verdict::Correct, Judgment::Correct, true)]),
    );
    assert_eq!((row.acc_dis, row.acc_dis_correct), (Some(1.0), Some(1.0)));
    assert_eq!(
        (row.acc_dis_incorrect, row.acc_dis_balanced, row.extra.mcc),
        (None, None, None)
    );
    assert_eq!(row.extra.i2c_of_incorrect, None);
}

#[test]
fn a_critic_that_says_one_thing_is_at_chance() {
    let constant = population(&[
        (7, Verdict::Correct, Judgment::Correct, true),
        (3, Verdict::Wrong, Judgment::Correct, false),
    ]);
    let row = Row::of("x", &constant);
    assert_eq!(row.acc_dis, row.extra.constant_floor);
    assert_eq!(
        (row.acc_dis_balanced, row.extra.mcc),
        (Some(0.5), Some(0.0))
    );
}

#[test]
fn scores_have_errors_instead_of_verdicts() {
    let scored = |problem: &str, score: f32, initial: f32, refined: f32| Outcome {
        problem: problem.into(),
        verdict: Verdict::Wrong,
        initial,
        judgment: Some(Judgment::Score(score)),
        refined: Some(refined),
        ..Outcome::default()
    };
    let row = Row::of(
        "x",
        &[scored("a", 7.0, 5.0, 6.0), scored("b", 4.0, 5.0, 5.5)],
    );
    assert_eq!(
        (row.extra.mse_dis, row.extra.mae_dis),
        (Some(2.5), Some(1.5))
    );
    assert_eq!(
        (row.acc_initial, row.acc_refined, row.delta),
        (Some(5.0), Some(5.75), Some(0.75))
    );
    assert_eq!(
        (row.acc_dis, row.delta_i2c, row.parse_rate),
        (None, None, Some(1.0))
    );
}

fn by_class(on_correct: f64, on_wrong: f64) -> Row {
    Row {
        acc_dis_correct: Some(on_correct),
        acc_dis_incorrect: Some(on_wrong),
        ..Row::default()
    }
}

#[test]
fn collapse_is_told_by_the_class_that_suffers() {
    let sft = by_class(0.90, 0.35);
    for (after, want) in [
        (by_class(0.98, 0.23), Collapse::Conservative),
        (by_class(0.70, 0.60), Collapse::Aggressive),
        (by_class(0.80, 0.20), Collapse::Degraded),
        (by_class(0.95, 0.84), Collapse::Healthy),
        (by_class(0.89, 0.34), Collapse::Healthy),
    ] {
        assert_eq!(collapse(&sft, &after, 0.02), Some(want));
    }
    assert_eq!(collapse(&sft, &Row::default(), 0.02), None);
}

#[test]
fn a_row_says_where_its_critic_leans() {
    use Judgment::{Correct, Unparsed, Wrong};
    let lean = |right: [usize; 3], wrong: [usize; 3]| {
        let class = |verdict, counts: [usize; 3]| {
            [Correct, Wrong, Unparsed]
                .into_iter()
                .zip(counts)
                .map(move |(judgment, count)| (count, verdict, judgment, true))
        };
        let classes: Vec<Class> = class(Verdict::Correct, right)
            .chain(class(Verdict::Wrong, wrong))
            .collect();
        Row::of("x", &population(&classes)).lean()
    };
    for (right, wrong, want) in [
        ([20, 0, 80], [0, 30, 70], Lean::Silent),
        ([100, 0, 0], [99, 1, 0], Lean::Constant),
        ([1, 97, 2], [0, 98, 2], Lean::Constant),
        ([55, 45, 0], [48, 52, 0], Lean::Blind),
        ([95, 5, 0], [40, 60, 0], Lean::ToCorrect),
        ([60, 40, 0], [5, 95, 0], Lean::ToWrong),
        ([90, 10, 0], [15, 85, 0], Lean::Even),
    ] {
        assert_eq!(lean(right, wrong), Some(want), "{right:?} {wrong:?}");
    }
    assert_eq!(lean([90, 10, 0], [0, 0, 0]), None);
}
