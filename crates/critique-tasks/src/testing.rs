//! The contract that every task keeps, as one assertion for its tests.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use critique_core::{Problem, Split, Verdict};

use crate::data::{SPLITS, check_disjoint};
use crate::judged::Judged;
use crate::registry;
use crate::task::Task;

/// Asserts what the trainer and the evaluation rely on:
///
/// - ids are not empty, unique, and the same on every call;
/// - the splits share no id and no question, and at least one has problems;
/// - questions and gold answers are not blank;
/// - the gold response is accepted, and silence is `Unparsed`;
/// - odd texts (huge, control characters, emoji, unbalanced brackets) never panic and are not
///   accepted, and are judged the same alone and together;
/// - scores are finite, and 1 or 0 by verdict unless the task is open-ended;
/// - the three prompts hold the texts they are made of.
///
/// `options` is the `task` table without `name`, as TOML: `assert_contract("gsm8k",
/// "sample = true")`. The test's crate must name the task's crate: `use task_gsm8k as _;`.
///
/// # Panics
///
/// When the task does not keep one of them.
pub fn assert_contract(name: &str, options: &str) {
    let table: toml::Table = toml::from_str(options)
        .unwrap_or_else(|error| panic!("the options of the test are no TOML: {error}"));
    let build =
        || registry::build(name, table.clone()).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_task_contract(build().as_ref(), build().as_ref());
}

/// [`assert_contract`] for a task that is in no registry, such as one from a task file: the
/// same task made twice.
///
/// # Panics
///
/// When the task does not keep the contract, or the two differ.
pub fn assert_task_contract(task: &dyn Task, again: &dyn Task) {
    let splits = SPLITS.map(|split| (split, problems(task, split)));
    for (split, problems) in &splits {
        assert_eq!(
            problems,
            &self::problems(again, *split),
            "the {split:?} split differs between two calls"
        );
    }
    assert!(
        splits.iter().any(|(_, problems)| !problems.is_empty()),
        "no split has a problem"
    );
    let lists = splits
        .each_ref()
        .map(|(split, problems)| (*split, problems.as_slice()));
    check_disjoint(&lists).unwrap_or_else(|error| panic!("{error}"));
    for (split, problems) in &lists {
        assert_unique_ids(*split, problems);
        for problem in *problems {
            assert_problem(task, problem);
        }
        if let Some(problem) = problems.first() {
            assert_odd_texts(task, problem);
            assert_prompts(task, problem);
        }
    }
}

fn problems(task: &dyn Task, split: Split) -> Vec<Problem> {
    task.problems(split)
        .unwrap_or_else(|error| panic!("the {split:?} split cannot be loaded: {}", chain(&error)))
}

fn assert_unique_ids(split: Split, problems: &[Problem]) {
    let mut seen = HashSet::new();
    for problem in problems {
        let id = problem.id.as_str();
        assert!(
            !id.trim().is_empty(),
            "an id of the {split:?} split is empty"
        );
        assert!(
            seen.insert(id),
            "id `{id}` stands twice in the {split:?} split"
        );
    }
}

fn assert_problem(task: &dyn Task, problem: &Problem) {
    let id = &problem.id;
    assert!(!problem.question.trim().is_empty(), "`{id}` asks nothing");
    assert!(
        !problem.answer.trim().is_empty(),
        "`{id}` has no gold answer"
    );
    let gold = task.gold_response(problem);
    let judged = judged(task, problem, &gold);
    assert_eq!(
        judged.verdict,
        Verdict::Correct,
        "`{id}`: its own gold response is not accepted: {gold:?}"
    );
    assert_score(task, problem, &gold, &judged);
    for silence in ["", " \n\t "] {
        let judged = self::judged(task, problem, silence);
        assert_eq!(
            judged.verdict,
            Verdict::Unparsed,
            "`{id}`: silence must be `Unparsed`"
        );
        assert_score(task, problem, silence, &judged);
    }
}

fn judged(task: &dyn Task, problem: &Problem, text: &str) -> Judged {
    let judged = task.judge_one(problem, text);
    judged.unwrap_or_else(|error| panic!("`{}` cannot be judged: {}", problem.id, chain(&error)))
}

fn assert_score(task: &dyn Task, problem: &Problem, text: &str, judged: &Judged) {
    let (id, score) = (&problem.id, judged.score);
    assert!(score.is_finite(), "`{id}`: the score {score} is not finite");
    if !task.is_open_ended() {
        assert_eq!(
            score,
            f32::from(u8::from(judged.is_correct())),
            "`{id}`: the score does not follow the verdict on {text:?}"
        );
    }
}

fn assert_odd_texts(task: &dyn Task, problem: &Problem) {
    let id = &problem.id;
    let texts = odd_texts();
    let alone: Vec<_> = texts
        .iter()
        .map(|(kind, text)| {
            let judged = catch_unwind(AssertUnwindSafe(|| judged(task, problem, text)));
            judged.unwrap_or_else(|_| panic!("`{id}`: judging panics on {kind}"))
        })
        .collect();
    for ((kind, _), judged) in texts.iter().zip(&alone) {
        assert!(
            !judged.is_correct(),
            "`{id}`: {kind} is accepted, by the answer {:?}",
            judged.answer
        );
    }
    let items: Vec<_> = texts
        .iter()
        .map(|(_, text)| (problem, text.as_str()))
        .collect();
    let together = task.judge(&items);
    let together = together.unwrap_or_else(|error| panic!("`{id}`: {}", chain(&error)));
    assert_eq!(
        together, alone,
        "`{id}`: texts are judged otherwise together than alone"
    );
}

/// Texts that are no answer, with what they are.
fn odd_texts() -> Vec<(&'static str, String)> {
    let zalgo = "e\u{301}\u{302}\u{303}\u{304}".repeat(500);
    vec![
        ("a line of dots", "...".into()),
        ("emoji", "🤔🧮👩‍👩‍👧‍👦 ✅".into()),
        ("control characters", (0..32u8).map(char::from).collect()),
        (
            "marks without an answer",
            "#### \n\\boxed{} The answer is".into(),
        ),
        ("an open box", "The answer is $\\boxed{\\frac{1".into()),
        ("deep brackets", format!("\\boxed{{{}", "{(".repeat(20_000))),
        (
            "deep fractions",
            format!("$\\boxed{{{}", "\\frac{".repeat(5_000)),
        ),
        (
            "a tower of powers",
            format!("\\boxed{{{}}}", "9^".repeat(400) + "9"),
        ),
        ("a huge text", "lorem ipsum ".repeat(90_000)),
        (
            "a huge number",
            format!("The answer is {}.", "7".repeat(200_000)),
        ),
        ("no letters", "\u{200b}\u{feff}\u{202e}".repeat(100)),
        ("combining marks", zalgo),
    ]
}

fn assert_prompts(task: &dyn Task, problem: &Problem) {
    let prompts = task.prompts();
    let said = |messages: &[critique_core::Message], text: &str| {
        messages
            .iter()
            .any(|message| message.content.contains(text))
    };
    let question = problem.question.as_str();
    let asked = prompts.response(problem).messages;
    assert!(
        said(&asked, question),
        "the actor is not asked the question"
    );
    let judged = prompts.critique(problem, "a response 4711").messages;
    assert!(
        said(&judged, question) && said(&judged, "a response 4711"),
        "the critic does not see the question and the response"
    );
    let refined = prompts
        .refinement(problem, "a response 4711", "a critique 4712")
        .messages;
    assert!(
        said(&refined, "a response 4711") && said(&refined, "a critique 4712"),
        "the refinement does not see the response and the critique"
    );
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
