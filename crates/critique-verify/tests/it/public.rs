//! The public cases, where they lie beside the workspace.

use critique_verify::{Kind, Options, equivalent, extract};

use crate::support::{rows, shared, text};

#[test]
fn public_cases_get_their_verdict() {
    let Some(table) = rows(&shared().join("verifier_cases.jsonl")) else {
        return;
    };
    let mut wrong = Vec::new();
    for row in &table {
        if row["disputed"] == true {
            continue;
        }
        if text(row, "what") == "equivalence" {
            let (gold, prediction) = (text(row, "gold"), text(row, "prediction"));
            let outcome = equivalent(gold, prediction, &Options::default());
            if Some(outcome.equal) != row["expected"].as_bool() {
                wrong.push(format!(
                    "{}: {gold:.60} | {prediction:.60} | {}",
                    row["id"], outcome.rule
                ));
            }
        } else {
            let kind: Kind = text(row, "task_kind").parse().unwrap();
            let found = extract(text(row, "text"), kind).map(|found| found.answer);
            if found.as_deref() != row["expected_extracted"].as_str() {
                wrong.push(format!("{}: found {found:?}", row["id"]));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        table.len(),
        wrong.join("\n")
    );
}
