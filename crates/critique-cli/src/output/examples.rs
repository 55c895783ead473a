//! The same problems under two critics, for a person to read.

use std::collections::HashMap;
use std::fmt::Write as _;

use critique_core::{Judgment, Verdict};
use critique_rollout::{RolloutRecord, record};
use critique_trainer::RunDir;

use crate::failure::Failure;

/// What an example shows, and which pair of rollouts shows it.
type Kind = (&'static str, fn(&RolloutRecord, &RolloutRecord) -> bool);

/// One of each kind is shown, the last so that failures are seen too.
const KINDS: [Kind; 3] = [
    (
        "a wrong answer that only the trained critic catches",
        |before, after| {
            !before.verdict.is_correct()
                && !before.judged_rightly
                && after.judged_rightly
                && refined_right(after)
        },
    ),
    (
        "a right answer that the untrained critic spoils",
        |before, after| {
            before.verdict.is_correct() && !refined_right(before) && refined_right(after)
        },
    ),
    ("a wrong answer that stays wrong", |before, after| {
        !before.verdict.is_correct() && !refined_right(before) && !refined_right(after)
    }),
];

/// A problem that is shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) question: String,
    /// The actor's first answer.
    pub(crate) response: String,
    /// Whether the verifier accepts it.
    pub(crate) is_right: bool,
    /// Whether the actor had room to refine it.
    pub(crate) is_refined: bool,
}

/// Three problems as they went before and after, as text and for hints: nothing if either
/// evaluation left no rollouts.
pub(crate) fn before_and_after(
    dir: &RunDir,
    before: &str,
    after: &str,
) -> Result<Option<(String, Vec<Shown>)>, Failure> {
    let path = |name: &str| dir.eval().join(format!("{name}.jsonl"));
    if !path(before).is_file() || !path(after).is_file() {
        return Ok(None);
    }
    let read = |name: &str| record::read(&path(name)).map_err(Failure::failed);
    let (first, second) = (read(before)?, read(after)?);
    let by_problem: HashMap<&str, &RolloutRecord> =
        second.iter().map(|r| (r.problem.as_str(), r)).collect();
    let pairs: Vec<(&RolloutRecord, &RolloutRecord)> = first
        .iter()
        .filter_map(|r| Some((r, *by_problem.get(r.problem.as_str())?)))
        .collect();
    let mut text =
        format!("Three problems, with the critic before ({before}) and after ({after}):\n");
    let mut shown: Vec<(&RolloutRecord, &RolloutRecord)> = Vec::new();
    for (title, fits) in KINDS {
        let fresh = |pair: &&(&RolloutRecord, &RolloutRecord)| {
            shown
                .iter()
                .all(|(other, _)| other.problem != pair.0.problem)
        };
        let fitting = pairs
            .iter()
            .filter(fresh)
            .find(|(before, after)| fits(before, after));
        // Where no problem is of this kind, any other will do.
        let (title, pair) = match fitting {
            Some(pair) => (title, Some(pair)),
            None => ("another problem", pairs.iter().find(fresh)),
        };
        let Some((first, second)) = pair else { break };
        shown.push((first, second));
        let _ = write!(text, "\n{}. {title}\n{}", shown.len(), one(first, second));
    }
    let all: Vec<Shown> = shown
        .into_iter()
        .map(|(record, after)| Shown {
            question: record.question.clone(),
            response: record.response.clone(),
            is_right: record.verdict.is_correct(),
            is_refined: !after.refinements.is_empty(),
        })
        .collect();
    Ok((!all.is_empty()).then_some((text, all)))
}

fn one(first: &RolloutRecord, second: &RolloutRecord) -> String {
    let mut text = String::new();
    let mut put = |label: &str, body: &str, mark: &str| {
        let body = body.trim().replace('\n', "\n                 ");
        let line = format!("   {label:<13} {body}{mark}");
        let _ = writeln!(text, "{}", line.trim_end());
    };
    put("question", &first.question, "");
    put("gold", &first.gold, "");
    put("response", &first.response, verdict(first.verdict));
    for (record, name) in [(first, "before"), (second, "after")] {
        put(name, "", "");
        put("  critique", &record.critique, judgment(record));
        for refinement in &record.refinements {
            put(
                "  refinement",
                &refinement.text,
                verdict(refinement.verdict),
            );
        }
    }
    text
}

fn refined_right(record: &RolloutRecord) -> bool {
    record
        .refinements
        .iter()
        .any(|refinement| refinement.verdict.is_correct())
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Correct => "  [right]",
        Verdict::Wrong => "  [wrong]",
        Verdict::Unparsed => "  [no answer found]",
    }
}

fn judgment(record: &RolloutRecord) -> &'static str {
    match (record.judgment, record.judged_rightly) {
        (Judgment::Unparsed, _) => "  [no verdict found]",
        (_, true) => "  [judged rightly]",
        (_, false) => "  [judged wrongly]",
    }
}
