//! The rules of `docs/verifiers.md` as tables: answers with their equals and their near misses,
//! and the rule that decides each pair.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use critique_verify::{Kind, Options, Rule, check, equivalent};

use crate::support::{rows, text};

/// A gold answer, an answer, and whether they are equal.
type Case = (String, String, bool);

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file)
}

/// `gold @@ equal ;; equal !! unequal ;; unequal`
fn cases(line: &str) -> Vec<Case> {
    let (gold, rest) = line.split_once(" @@").expect("a gold answer first");
    let (equal, unequal) = rest.split_once(" !! ").unwrap_or((rest, ""));
    let list = |text, is_equal| {
        str::split(text, ";;")
            .map(|answer| answer.trim_matches(' '))
            .filter(|answer| !answer.is_empty())
            .map(move |answer| (gold.to_owned(), answer.to_owned(), is_equal))
    };
    list(equal, true).chain(list(unequal, false)).collect()
}

/// The pairs of `rules.txt`.
fn rule_cases() -> Vec<Case> {
    let table = std::fs::read_to_string(data("rules.txt")).expect("the table of rules");
    table
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.is_empty())
        .flat_map(cases)
        .collect()
}

/// The pairs of `pairs.jsonl`.
fn pair_cases() -> Vec<Case> {
    let table = rows(&data("pairs.jsonl")).expect("the table of pairs");
    table
        .iter()
        .map(|row| {
            let equal = row["equal"].as_bool().expect("`equal` of a pair");
            (
                text(row, "gold").to_owned(),
                text(row, "prediction").to_owned(),
                equal,
            )
        })
        .collect()
}

fn assert_verdicts(cases: &[Case]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(gold, answer, expected)| {
            let outcome = equivalent(gold, answer, &Options::default());
            (outcome.equal != *expected)
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

#[test]
fn rules_accept_equals_and_refuse_near_misses() {
    assert_verdicts(&rule_cases());
}

#[test]
fn own_pairs_get_their_verdict() {
    assert_verdicts(&pair_cases());
}

/// Which rule decides which pair, so that another order of rules shows. After a change that is
/// meant, `UPDATE_DECISIONS=1 cargo test -p critique-verify --test it decides` writes the table.
#[test]
fn each_pair_is_decided_by_its_rule() {
    let path = data("decisions.txt");
    let mut found = String::new();
    for (gold, answer, _) in rule_cases().into_iter().chain(pair_cases()) {
        let outcome = equivalent(&gold, &answer, &Options::default());
        let sign = if outcome.equal { "==" } else { "!=" };
        let _ = writeln!(found, "{:<18}{gold}  {sign}  {answer}", outcome.rule);
    }
    if std::env::var_os("UPDATE_DECISIONS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let moved: Vec<String> = expected
        .lines()
        .zip(found.lines())
        .filter(|(before, now)| before != now)
        .map(|(before, now)| format!("- {before}\n+ {now}"))
        .collect();
    assert!(
        moved.is_empty(),
        "{} moved:\n{}",
        moved.len(),
        moved.join("\n")
    );
    assert_eq!(expected.lines().count(), found.lines().count());
}

/// Pairs that two rules could decide, with the one that has the say.
#[test]
fn the_first_rule_that_can_decide_has_the_say() {
    let table = [
        // Words before letters: each of these is also a product.
        ("no", "No.", true, Rule::TruthValue),
        ("true", "false", false, Rule::TruthValue),
        ("B", "(B)", true, Rule::Choice),
        ("ABC", "ACB", false, Rule::Label),
        ("3:45", "3:45 AM", true, Rule::Time),
        ("Alice and Bob", "Bob, Alice", true, Rule::Text),
        // The same text before what could find a difference in it, and no value before both.
        ("\\frac{0}{0}", "\\frac{0}{0}", false, Rule::Undefined),
        ("(C) 5", "\\textbf{(C) }5", true, Rule::Same),
        // An option's text counts where the other side names no letter.
        ("(C) 12", "12", true, Rule::Same),
        // A certain interval before a tuple.
        ("[0, \\infty)", "(0, \\infty)", false, Rule::Interval),
        ("\\{1, 2\\}", "(1, 2)", false, Rule::Brackets),
        ("\\{1, 2, 3\\}", "(3, 2, 1)", true, Rule::List),
        ("(3, 2, 1)", "\\{1, 2, 3\\}", false, Rule::Tuple),
        // Exact numbers before rounding, and structure before points drawn at random.
        ("0.5", "\\frac12", true, Rule::Exact),
        ("x + x", "2x", true, Rule::Structure),
        ("\\frac23", "0.667", true, Rule::Rounding),
    ];
    for (gold, answer, equal, rule) in table {
        let outcome = equivalent(gold, answer, &Options::default());
        assert_eq!(
            (outcome.equal, outcome.rule),
            (equal, rule),
            "{gold} | {answer}"
        );
    }
}

#[test]
fn every_rule_decides_something() {
    let mut used: BTreeSet<Rule> = rule_cases()
        .into_iter()
        .chain(pair_cases())
        .map(|(gold, answer, _)| equivalent(&gold, &answer, &Options::default()).rule)
        .collect();
    let long = "9".repeat(5_000);
    used.insert(equivalent("1", "", &Options::default()).rule);
    let hurried = Options {
        max_steps: 40,
        ..Options::default()
    };
    used.insert(equivalent("\\sin(x)^2+\\cos(x)^2", "1", &hurried).rule);
    used.insert(equivalent(&long, "x", &Options::default()).rule);
    used.insert(equivalent("2.5", "2.6", &Options::theoremqa()).rule);
    used.insert(
        check("1", "no number", Kind::Gsm8k, &Options::default())
            .outcome
            .rule,
    );
    let idle: Vec<_> = Rule::ALL
        .iter()
        .filter(|rule| !used.contains(rule))
        .collect();
    assert!(idle.is_empty(), "no pair is decided by {idle:?}");
}
