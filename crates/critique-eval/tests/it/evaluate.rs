//! The loop on scripted models.

use critique_core::{Generate, Judgment, Problem};
use critique_eval::{Critic, EvalSettings, Known, Memo, evaluate, evaluate_responses};
use critique_rollout::{Control, FixedResponses, Seeds, respond};

use crate::scripted::{Scripted, Sums, greedy, sum};

/// Right on odd problems at first; refines as the verdict says.
fn actor() -> Scripted {
    Scripted::new(|prompt, _| {
        let n: u32 = prompt
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap();
        let told_wrong = prompt.contains("final answer: Wrong");
        let right = (n % 2 == 1) != told_wrong;
        format!("it is {}", if right { 2 * n } else { 0 })
    })
}

fn always(verdict: &'static str) -> Scripted {
    Scripted::new(move |_, _| format!("Correctness of the final answer: {verdict}"))
}

fn problems() -> Vec<Problem> {
    (1..=6).map(sum).chain([sum(7)]).collect()
}

const SEEDS: Seeds<'static> = Seeds {
    run: 17,
    stage: "eval",
    step: 0,
};

fn settings() -> EvalSettings {
    EvalSettings::greedy("sft", 17, 64)
}

#[test]
fn a_constant_critic_stands_on_the_floor() {
    let (actor, critic) = (actor(), always("Wrong"));
    let got = evaluate(&actor, Some(&critic), &Sums, &problems(), &settings()).unwrap();
    let row = &got.row;
    assert_eq!((row.stage.as_str(), row.n), ("sft", 7));
    assert_eq!(row.acc_initial, Some(4.0 / 7.0));
    // The actor obeys: every right answer is broken and every wrong one mended.
    assert_eq!(row.acc_refined, Some(3.0 / 7.0));
    assert_eq!(
        (row.delta_c2i, row.delta_i2c),
        (Some(4.0 / 7.0), Some(3.0 / 7.0))
    );
    assert_eq!(
        (row.acc_dis, row.acc_dis_balanced),
        (Some(3.0 / 7.0), Some(0.5))
    );
    assert_eq!((row.extra.temperature, row.extra.dropped), (Some(0.0), 0));
    assert_eq!(got.rollouts().count(), 7);
    let again = evaluate(&actor, Some(&critic), &Sums, &problems(), &settings()).unwrap();
    assert_eq!(got, again);
}

#[test]
fn without_a_critic_only_responses_are_asked_for() {
    let actor = actor();
    let got = evaluate(&actor, None, &Sums, &problems(), &settings()).unwrap();
    assert_eq!(
        (got.row.acc_refined, got.row.delta),
        (Some(4.0 / 7.0), None)
    );
    assert_eq!(actor.calls.lock().unwrap().len(), 1);
    assert!(got.groups.is_empty());
}

#[test]
fn controls_take_the_place_of_a_critic() {
    let actor = actor();
    let attempts = respond(&actor, &Sums, &problems(), 1, &greedy(), &SEEDS)
        .unwrap()
        .attempts;
    let of = |control| {
        let critic = Critic::Control(control);
        evaluate_responses(&actor, critic, &Sums, &problems(), &attempts, &settings())
            .unwrap()
            .row
    };
    assert_eq!(of(Control::TrueVerdict).acc_refined, Some(1.0));
    assert_eq!(of(Control::Perfect).acc_dis, Some(1.0));
    let empty = of(Control::Empty);
    assert_eq!((empty.delta, empty.parse_rate), (Some(0.0), Some(0.0)));
}

#[test]
fn an_oracle_keeps_right_responses() {
    let oracle = EvalSettings {
        oracle: true,
        ..settings()
    };
    let got = evaluate(
        &actor(),
        Some(&always("Wrong")),
        &Sums,
        &problems(),
        &oracle,
    )
    .unwrap();
    assert_eq!(
        (got.row.acc_refined, got.row.delta_c2i),
        (Some(1.0), Some(0.0))
    );
    assert_eq!(got.rollouts().count(), 3);
    assert_eq!(
        (got.row.acc_dis_correct, got.row.acc_dis_incorrect),
        (None, Some(1.0))
    );
}

#[test]
fn what_does_not_fit_counts_as_wrong() {
    let mut problems = problems();
    problems[0].question = format!("1 + 1? {}", "really? ".repeat(100));
    let actor = actor().with_context(700);
    let got = evaluate(
        &actor,
        Some(&always("Correct")),
        &Sums,
        &problems,
        &settings(),
    )
    .unwrap();
    assert_eq!((got.row.n, got.row.extra.dropped), (7, 1));
    assert_eq!(got.outcomes[0].judgment, Some(Judgment::Unparsed));
    assert_eq!(
        (got.row.acc_initial, got.row.acc_refined),
        (Some(3.0 / 7.0), Some(3.0 / 7.0))
    );
    // The dropped one is a response without an answer, which nobody judged.
    assert_eq!(got.row.acc_dis_incorrect, Some(0.0));
    assert_eq!(got.row.parse_rate, Some(6.0 / 7.0));

    let tiny = always("Correct").with_context(5);
    let got = evaluate(&actor, Some(&tiny), &Sums, &problems, &settings()).unwrap();
    assert_eq!((got.row.extra.dropped, got.row.acc_refined), (7, Some(0.0)));
}

#[test]
fn several_samples_share_their_problem() {
    let sampled = EvalSettings {
        samples: 3,
        ..EvalSettings::sampled("sft", 17, 0.7, 64)
    };
    let got = evaluate(
        &actor(),
        Some(&always("Correct")),
        &Sums,
        &problems(),
        &sampled,
    )
    .unwrap();
    assert_eq!((got.row.n, got.row.extra.problems), (21, 7));
    assert_eq!(got.row.extra.temperature, Some(0.7));
}

#[test]
fn responses_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    std::fs::write(
        &path,
        r#"{"id": "sums/1", "responses": [{"text": "it is 9"}]}"#,
    )
    .unwrap();
    let problems = [sum(1)];
    let attempts = FixedResponses::read(&path)
        .unwrap()
        .attempts(&Sums, &problems)
        .unwrap();
    let critic = always("Wrong");
    let critic = Critic::Model(&critic);
    let got =
        evaluate_responses(&actor(), critic, &Sums, &problems, &attempts, &settings()).unwrap();
    assert_eq!(
        (got.row.acc_initial, got.row.acc_dis),
        (Some(0.0), Some(1.0))
    );
}

#[test]
fn a_memo_asks_the_same_thing_once_and_changes_no_answer() {
    let (actor, mut known) = (actor(), Known::default());
    let attempts = respond(&actor, &Sums, &problems(), 1, &greedy(), &SEEDS)
        .unwrap()
        .attempts;
    let row = |who: &dyn Generate, control| {
        let critic = Critic::Control(control);
        evaluate_responses(who, critic, &Sums, &problems(), &attempts, &settings()).unwrap()
    };
    let asked = || actor.calls.lock().unwrap().len();
    for (control, calls) in [
        (Control::AlwaysCorrect, 1),
        (Control::AlwaysWrong, 1),
        // These say one or the other.
        (Control::TrueVerdict, 0),
        (Control::Random, 0),
        (Control::Empty, 1),
    ] {
        let before = asked();
        let with = row(&Memo::new(&actor, &mut known), control);
        assert_eq!(asked() - before, calls, "{control:?}");
        assert_eq!(with, row(&actor, control));
    }

    // Other settings are other questions.
    let warm = EvalSettings::sampled("sft", 17, 1.0, 64);
    let before = asked();
    let critic = Critic::Control(Control::Empty);
    let memo = Memo::new(&actor, &mut known);
    evaluate_responses(&memo, critic, &Sums, &problems(), &attempts, &warm).unwrap();
    assert_eq!(asked() - before, 1);
}
