//! Common sense and facts: `strategyqa`, `commonsenseqa`.

use critique_tasks::data::{Fault, Layout, Record, Row};
use critique_tasks::dataset::Spec;
use critique_tasks::verify::Kind;

critique_tasks::submit_dataset! { &STRATEGYQA, Kind::YesNo }
critique_tasks::submit_dataset! { &COMMONSENSEQA, Kind::MultipleChoice }

/// Yes or no, by facts that the question does not name (Geva et al. 2021). The labels of the
/// official test split are not public: the development split is the test split here.
pub static STRATEGYQA: Spec = Spec {
    name: "strategyqa",
    summary: "yes or no, by facts that the question does not name",
    licence: "MIT",
    hub: Some("ChilleD/StrategyQA"),
    layout: Layout {
        folders: &["strategyqa"],
        shards: &[],
        train: &["train"],
        validation: &["validation"],
        test: &["dev", "test"],
    },
    row: strategyqa_row,
    mend: None,
    sample: include_str!("samples/strategyqa.jsonl"),
};

/// Common sense with five options (Talmor et al. 2019). The labels of the official test split
/// are not public: the development split is the test split here.
pub static COMMONSENSEQA: Spec = Spec {
    name: "commonsenseqa",
    summary: "common sense with five options",
    licence: "MIT",
    hub: Some("tau/commonsense_qa"),
    layout: Layout {
        folders: &["commonsenseqa"],
        shards: &[],
        train: &["train", "train_rand_split"],
        validation: &[],
        test: &["dev", "validation", "dev_rand_split"],
    },
    row: commonsenseqa_row,
    mend: None,
    sample: include_str!("samples/commonsenseqa.jsonl"),
};

/// The publisher's columns: `question`, `answer` (true or false), `facts`.
fn strategyqa_row(record: &Record) -> Result<Row, Fault> {
    let answer = match record.text(&["answer"])?.to_lowercase().as_str() {
        "true" | "yes" => "yes",
        "false" | "no" => "no",
        _ => return Err(record.fault("answer", "true or false")),
    };
    let facts = match record.texts(&["facts"]) {
        Ok(facts) => facts.join("\n"),
        Err(_) => record.text_or_empty(&["facts"])?,
    };
    Ok(Row::new(record.text(&["question"])?, answer)
        .solution(facts)
        .id(record, &["qid"]))
}

/// The Hub's columns (`question`, `choices.text`, `answerKey`) or those of the original file
/// (`question.stem`, `question.choices[].text`, `answerKey`).
fn commonsenseqa_row(record: &Record) -> Result<Row, Fault> {
    let texts = |list: &serde_json::Value| -> Option<Vec<String>> {
        list.as_array()?
            .iter()
            .map(|item| {
                let text = item.get("text").unwrap_or(item);
                text.as_str().map(str::to_owned)
            })
            .collect()
    };
    let original = record.get("question").filter(|value| value.is_object());
    let (stem, choices) = match original {
        Some(question) => (
            question
                .get("stem")
                .and_then(|stem| stem.as_str())
                .map(str::to_owned),
            question.get("choices").and_then(texts),
        ),
        None => (
            Some(record.text(&["question"])?),
            record
                .get("choices")
                .map(|choices| choices.get("text").unwrap_or(choices))
                .and_then(texts),
        ),
    };
    let stem = stem.ok_or_else(|| record.fault("question", "a text, or an object with `stem`"))?;
    let choices = choices.ok_or_else(|| {
        let name = if original.is_some() {
            "question"
        } else {
            "choices"
        };
        record.fault(name, "`choices` as a list of options, each with its `text`")
    })?;
    let answer = record.text(&["answerKey"])?;
    let row = Row::new(stem, answer).choices(&choices);
    Ok(row
        .map_err(|fault| fault.of("choices"))?
        .id(record, &["id"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: &Spec, json: &str) -> Row {
        spec.read(&Record::from_json(1, json).unwrap()).unwrap()
    }

    #[test]
    fn truth_values_become_yes_and_no() {
        let row = read(
            &STRATEGYQA,
            r#"{"qid": "ab1", "question": "Can it?", "answer": false, "facts": ["One.", "Two."]}"#,
        );
        assert_eq!(
            (row.answer.as_str(), row.solution.as_str()),
            ("no", "One.\nTwo.")
        );
    }

    #[test]
    fn both_forms_of_options_are_read() {
        let hub = read(
            &COMMONSENSEQA,
            r#"{"question": "Where?", "choices": {"label": ["A", "B"], "text": ["here", "there"]},
                "answerKey": "B"}"#,
        );
        let original = read(
            &COMMONSENSEQA,
            r#"{"question": {"stem": "Where?", "choices": [{"label": "A", "text": "here"},
                {"label": "B", "text": "there"}]}, "answerKey": "B"}"#,
        );
        assert_eq!(hub.question, "Where?\nAnswer Choices: (A) here (B) there");
        assert_eq!(hub, original);
    }
}
