//! Algebra word problems with five options (AQuA-RAT, Ling et al. 2017).
//!
//! 97,467 problems to train on, 254 for validation and 254 to test on; the answer is a letter.
//! A sample of the training problems as `train_3k` will do for `train`. Rows whose rationale
//! ends in another letter than the label are left out, and the task's notes name them. Beside the letter, the
//! verifier takes the text of the one option that a response states as its answer.

use critique_tasks::data::{Fault, Layout, Record, Row};
use critique_tasks::dataset::Spec;
use critique_tasks::verify::Kind;

critique_tasks::submit_dataset! { &AQUA, Kind::Aqua }

/// The data set.
pub static AQUA: Spec = Spec {
    name: "aqua",
    summary: "algebra word problems with five options",
    licence: "Apache-2.0",
    hub: Some("deepmind/aqua_rat"),
    layout: Layout {
        folders: &["aqua", "AQuA"],
        shards: &["raw"],
        train: &["train", "train_3k"],
        validation: &["dev", "validation"],
        test: &["test"],
    },
    row,
    mend: Some(without_contradictions),
    sample: include_str!("sample.jsonl"),
};

/// A row with the publisher's columns: `question`, `options`, `rationale`, `correct`.
fn row(record: &Record) -> Result<Row, Fault> {
    let options = record.texts(&["options"])?;
    let answer = record.text(&["correct"])?.trim().to_uppercase();
    if !matches!(answer.as_str(), "A" | "B" | "C" | "D" | "E") {
        return Err(record.fault("correct", "a letter from `A` to `E`"));
    }
    let row = Row::new(record.text(&["question"])?, answer)
        .choices(&options)
        .map_err(|fault| fault.of("options"))?;
    Ok(row.solution(record.text_or_empty(&["rationale"])?))
}

fn without_contradictions(mut row: Row) -> Row {
    let ends_in = last_letter(&row.solution).map(|letter| letter.to_string());
    if ends_in.is_some_and(|letter| letter != row.answer) {
        row.unsound = Some("the rationale ends in another letter than the label");
    }
    row
}

/// The letter that a rationale ends in after "answer" or "option": `Answer: E`, `(optionB.`.
fn last_letter(rationale: &str) -> Option<char> {
    let text = rationale.trim_end_matches(|c: char| !c.is_alphanumeric());
    let letter = text.chars().last().filter(|c| ('A'..='E').contains(c))?;
    let before = text[..text.len() - 1].to_lowercase();
    let before = before.trim_end_matches(|c: char| !c.is_alphanumeric());
    let before = before.strip_suffix(" is").unwrap_or(before);
    let before = before.trim_end_matches(|c: char| !c.is_alphanumeric());
    (before.ends_with("answer") || before.ends_with("option")).then_some(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_letter_is_read_after_answer_or_option_alone() {
        assert_eq!(last_letter("7 + 5 = 12\nFinal Answer:\nE"), Some('E'));
        assert_eq!(last_letter("The answer is (C)."), Some('C'));
        assert_eq!(last_letter("so 4 (optionB."), Some('B'));
        assert_eq!(last_letter("Let the speed be B"), None);
        assert_eq!(last_letter("The answer is 12."), None);
        assert_eq!(last_letter(""), None);
    }

    #[test]
    fn a_row_that_contradicts_itself_is_left_out() {
        let row = Row::new("q", "A").solution("Answer: B");
        assert!(without_contradictions(row).unsound.is_some());
        let row = Row::new("q", "A").solution("Answer: A");
        assert!(without_contradictions(row).unsound.is_none());
    }
    use critique_tasks::{Judge, Problem, Verdict};

    const ROW: &str = r#"{"question": "2 + 2?", "options": ["A)3", "B)4", "C)5", "D)6", "E)7"],
        "rationale": "It is 4.", "correct": "B"}"#;

    #[test]
    fn options_follow_the_question() {
        let row = row(&Record::from_json(1, ROW).unwrap()).unwrap();
        assert_eq!(
            row.question,
            "2 + 2?\nAnswer Choices: (A) 3 (B) 4 (C) 5 (D) 6 (E) 7"
        );
        assert_eq!(row.choices, ["3", "4", "5", "6", "7"]);
        assert_eq!(row.answer, "B");
    }

    #[test]
    fn a_letter_beyond_e_is_a_fault() {
        let json = ROW.replace(r#""correct": "B""#, r#""correct": "F""#);
        assert_eq!(
            row(&Record::from_json(1, &json).unwrap())
                .unwrap_err()
                .to_string(),
            r#"field `correct`: found `"F"`, expected a letter from `A` to `E`"#
        );
    }

    #[test]
    fn the_text_of_an_option_stands_for_its_letter() {
        let row = row(&Record::from_json(1, ROW).unwrap()).unwrap();
        let problem = Problem {
            choices: row.choices,
            ..Problem::new("x", row.question, row.answer)
        };
        let judge = Judge::new(Kind::Aqua);
        let verdict = |text| judge.judge(&problem, text).verdict;
        assert_eq!(verdict("The answer is B."), Verdict::Correct);
        assert_eq!(verdict("The answer is 4."), Verdict::Correct);
        assert_eq!(verdict("The answer is 5."), Verdict::Wrong);
        assert_eq!(verdict("The answer is 44."), Verdict::Unparsed);
    }
}
