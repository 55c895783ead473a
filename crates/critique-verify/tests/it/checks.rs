//! Responses that take back, hedge, hide or list their answers, and what they earn.

use std::path::Path;

use critique_verify::{Kind, Options, check};

use crate::support::{rows, text};

#[test]
fn only_an_answer_that_stands_alone_earns_anything() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checks.jsonl");
    let table = rows(&path).unwrap();
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|row| {
            let kind: Kind = text(row, "task").parse().unwrap();
            let (gold, response) = (text(row, "gold"), text(row, "text"));
            let found = check(gold, response, kind, &Options::for_kind(kind));
            (Some(found.outcome.equal) != row["equal"].as_bool())
                .then(|| format!("{kind}: {gold} | {response:?} gave {:?}", found.answer))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        table.len(),
        wrong.join("\n")
    );
}
