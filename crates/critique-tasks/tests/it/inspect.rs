//! Duplicates within a data set and between two.

use critique_tasks::check::{Check, check};
use critique_tasks::inspect::{Likeness, compare, inspect};
use critique_tasks::{Judged, Problem, Split, Task, TaskError};

const LONG: &str = "A farmer drives from the village to the market with 12 crates of apples and \
                    sells 7 of them before noon and the others in the rain after lunch";

/// Questions as a task; an answer is right when it is the gold one.
struct Questions(Vec<(&'static str, String)>);

impl Task for Questions {
    fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError> {
        if split != Split::Test {
            return Ok(Vec::new());
        }
        let problem = |(id, question): &(&str, String)| Problem::new(*id, question, "5");
        Ok(self.0.iter().map(problem).collect())
    }

    fn judge_one(&self, problem: &Problem, text: &str) -> Result<Judged, TaskError> {
        let answer = Some(text.trim()).filter(|text| !text.is_empty());
        Ok(Judged::by_answer(answer.map(str::to_owned), |answer| {
            answer == problem.answer && problem.id != "odd"
        }))
    }

    fn gold_response(&self, problem: &Problem) -> String {
        problem.answer.clone()
    }
}

fn ours() -> Questions {
    Questions(vec![
        ("a", LONG.to_owned()),
        ("b", LONG.to_uppercase()),
        ("c", LONG.replace("12", "30")),
        (
            "d",
            format!("{LONG}. How much does each crate weigh if all weigh the same?"),
        ),
        ("e", "What is 2 + 2?".to_owned()),
        ("f", "What is 2 - 2?".to_owned()),
    ])
}

#[test]
fn duplicates_are_found_in_three_ways() {
    let summary = inspect("ours", &ours()).unwrap();
    let pairs: Vec<_> = summary
        .duplicates
        .iter()
        .map(|pair| {
            let kind = match pair.likeness {
                Likeness::Equal => "equal",
                Likeness::OtherNumbers => "numbers",
                Likeness::Near(_) => "near",
            };
            (pair.first.as_str(), pair.second.as_str(), kind)
        })
        .collect();
    assert_eq!(
        pairs,
        [
            ("a", "b", "equal"),
            ("a", "c", "numbers"),
            ("a", "d", "near"),
            ("b", "c", "numbers"),
            ("b", "d", "near"),
        ]
    );
    let text = summary.to_string();
    assert!(
        text.contains("1 pairs the same, 2 the same but for their numbers, 2 near"),
        "{text}"
    );
}

#[test]
fn two_data_sets_are_compared_row_by_row() {
    let theirs = Questions(vec![
        ("x", "what is 2+2".to_owned()),
        ("y", "Why?".to_owned()),
    ]);
    let found = compare(("ours", &ours()), ("theirs", &theirs)).unwrap();
    assert_eq!(found.shared.len(), 1);
    assert_eq!(
        (
            found.shared[0].first.as_str(),
            found.shared[0].second.as_str()
        ),
        ("e", "x")
    );
    assert!(
        found
            .to_string()
            .starts_with("ours (6 rows) against theirs (2 rows)\n")
    );
}

#[test]
fn a_row_that_its_own_verifier_refuses_is_listed() {
    let mut questions = ours();
    questions.0.push(("odd", "Why?".to_owned()));
    questions.0.push(("a", "Again?".to_owned()));
    questions.0.push(("blank", "  ".to_owned()));
    let report = check("ours", &questions).unwrap();
    let found: Vec<_> = report
        .failures
        .iter()
        .map(|failure| (failure.id.as_str(), failure.check))
        .collect();
    assert_eq!(
        found,
        [
            ("odd", Check::GoldAccepted),
            ("a", Check::Id),
            ("blank", Check::Texts)
        ]
    );
    assert!(
        report.to_string().ends_with("3 of 9 rows fail (33.33 %)"),
        "{report}"
    );
}
