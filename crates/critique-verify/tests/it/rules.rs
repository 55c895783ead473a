//! The rules of `docs/verifiers.md` as a table: answers with their equals and
//! their near misses.

use std::path::Path;

use critique_verify::{Options, equivalent};

/// `gold @@ equal ;; equal !! unequal ;; unequal`
fn cases(line: &str) -> Vec<(&str, &str, bool)> {
    let (gold, rest) = line.split_once(" @@").expect("a gold answer first");
    let (equal, unequal) = rest.split_once(" !! ").unwrap_or((rest, ""));
    let list = |text| {
        str::split(text, ";;")
            .map(|answer| answer.trim_matches(' '))
            .filter(|answer| !answer.is_empty())
    };
    list(equal)
        .map(|answer| (gold, answer, true))
        .chain(list(unequal).map(|answer| (gold, answer, false)))
        .collect()
}

#[test]
fn rules_accept_equals_and_refuse_near_misses() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rules.txt");
    let table = std::fs::read_to_string(path).unwrap();
    let cases: Vec<_> = table
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.is_empty())
        .flat_map(cases)
        .collect();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|&(gold, answer, expected)| {
            let outcome = equivalent(gold, answer, &Options::default());
            (outcome.equal != expected)
                .then(|| format!("{gold} | {answer} | not {expected} | {}", outcome.rule))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}
