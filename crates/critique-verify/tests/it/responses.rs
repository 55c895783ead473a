//! Responses as models write them, by the kind of their answer, and wrong answers that look right.
//!
//! Both tables were written before the rules that read them were looked at. A row with a reason in
//! `open` is one that the rules do not yet read; it has to go on failing until its reason goes.

#![expect(clippy::unwrap_used, reason = "a broken table should end its test")]

use std::collections::BTreeMap;
use std::path::Path;

use critique_verify::{Kind, Options, check, equivalent, extract};
use serde_json::Value;

use crate::support::{rows, text};

fn table(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    rows(&path.join(name)).unwrap()
}

/// Whether a row's answer is found, in this or an equal form.
fn is_found(row: &Value) -> bool {
    let kind: Kind = text(row, "task").parse().unwrap();
    let found = extract(text(row, "text"), kind);
    match (row["answer"].as_str(), found) {
        (None, found) => found.is_none(),
        (Some(_), None) => false,
        (Some(answer), Some(found)) => {
            found.answer == answer || equivalent(answer, &found.answer, &Options::default()).equal
        }
    }
}

#[test]
fn responses_of_every_kind_give_their_answer() {
    let mut open: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in table("responses.jsonl") {
        let count = open.entry(text(&row, "family").to_owned()).or_default();
        count.1 += 1;
        let known = row.get("open").is_some();
        count.0 += usize::from(known);
        if is_found(&row) == known {
            wrong.push(format!("{}: {:?}", row["task"], row["text"]));
        }
    }
    for (family, (open, of)) in open {
        println!("{family}: {open} of {of} are not read yet");
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn wrong_answers_that_look_right_are_refused() {
    let accepted: Vec<String> = table("near_misses.jsonl")
        .iter()
        .filter(|row| {
            let kind: Kind = text(row, "task").parse().unwrap();
            let options = Options::for_kind(kind);
            check(text(row, "gold"), text(row, "text"), kind, &options)
                .outcome
                .equal
        })
        .map(|row| format!("{}: {:?}", row["gold"], row["text"]))
        .collect();
    assert!(
        accepted.is_empty(),
        "{}:\n{}",
        accepted.len(),
        accepted.join("\n")
    );
}
