//! Texts and the answer that should be found in them.

use std::path::Path;

use critique_verify::{Clue, Kind, extract};

use crate::support::{rows, text};

#[test]
fn own_texts_give_their_answer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/texts.jsonl");
    let table = rows(&path).unwrap();
    let mut wrong = Vec::new();
    for row in &table {
        let kind: Kind = text(row, "task").parse().unwrap();
        let found = extract(text(row, "text"), kind);
        let answer = found.as_ref().map(|found| found.answer.as_str());
        if answer != row["answer"].as_str() {
            wrong.push(format!(
                "{kind}: {:?} gave {found:?}, not {}",
                text(row, "text"),
                row["answer"]
            ));
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

#[test]
fn a_span_points_at_what_was_found() {
    let text = "First \\boxed{3}.\n\nSo the answer is \\boxed{\\frac{1}{2}}.";
    let found = extract(text, Kind::Math).unwrap();
    assert_eq!(&text[found.span.clone()], "\\boxed{\\frac{1}{2}}");
    assert_eq!(
        (found.answer.as_str(), found.clue),
        ("\\frac{1}{2}", Clue::Box)
    );
}
