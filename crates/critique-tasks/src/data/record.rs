//! One row of a file, and what every data set's rows become.

use std::fmt;

use critique_core::{Problem, Split};
use serde_json::{Map, Value};

use crate::data::{choices, digits};

/// What is wrong with a row: the field, what was found, and what would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    message: String,
}

impl Fault {
    /// A fault in free words.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    /// This fault as one of a field.
    pub fn of(self, name: &str) -> Self {
        Self::new(format!("field `{name}`: {}", self.message))
    }

    /// A field that holds what it should not.
    pub fn field(name: &str, found: &Value, wanted: &str) -> Self {
        Self::new(format!(
            "field `{name}`: found {}, expected {wanted}",
            brief(found)
        ))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// A row of a file as it is: named JSON values.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    line: usize,
    fields: Map<String, Value>,
}

impl Record {
    /// A record from its fields; `line` counts from 1.
    pub fn new(line: usize, fields: Map<String, Value>) -> Self {
        Self { line, fields }
    }

    /// A record from a JSON object. Numbers that 64 bits cannot hold become texts of their digits.
    ///
    /// # Errors
    ///
    /// When the text is no JSON object.
    pub fn from_json(line: usize, text: &str) -> Result<Self, Fault> {
        match serde_json::from_str(&digits::quoted(text)) {
            Ok(Value::Object(fields)) => Ok(Self { line, fields }),
            Ok(other) => Err(Fault::new(format!(
                "found {}, expected a JSON object such as `{{\"question\": ..}}`",
                brief(&other)
            ))),
            Err(error) => Err(Fault::new(format!("not JSON: {error}"))),
        }
    }

    /// The line or row number, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// All fields, as a JSON object.
    pub fn into_value(self) -> Value {
        Value::Object(self.fields)
    }

    /// A field; `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// The first of these fields that is there, as a text that is not blank. Numbers become
    /// text without a trailing `.0`, truth values become `true` and `false`.
    ///
    /// # Errors
    ///
    /// When none is there, or the first that is there is blank or no text.
    pub fn text(&self, names: &[&str]) -> Result<String, Fault> {
        let (name, value) = self.first(names)?;
        match scalar(value) {
            Some(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(Fault::field(name, value, "a text that is not empty")),
        }
    }

    /// Like [`Record::text`], but empty where no field is there or the field is blank.
    ///
    /// # Errors
    ///
    /// When the field is a list or an object.
    pub fn text_or_empty(&self, names: &[&str]) -> Result<String, Fault> {
        let Ok((name, value)) = self.first(names) else {
            return Ok(String::new());
        };
        scalar(value).ok_or_else(|| Fault::field(name, value, "a text"))
    }

    /// The first of these fields that is there, as a list of texts.
    ///
    /// # Errors
    ///
    /// When none is there, or it is no list of texts or numbers.
    pub fn texts(&self, names: &[&str]) -> Result<Vec<String>, Fault> {
        let (name, value) = self.first(names)?;
        value
            .as_array()
            .and_then(|list| list.iter().map(scalar).collect())
            .ok_or_else(|| Fault::field(name, value, "a list of texts"))
    }

    /// The fault of a field whose value was read but is not what it should be.
    pub fn fault(&self, name: &str, wanted: &str) -> Fault {
        Fault::field(name, self.get(name).unwrap_or(&Value::Null), wanted)
    }

    /// Whether the row is in the uniform layout: `question`, `answer` and a `meta` object.
    pub fn is_uniform(&self) -> bool {
        self.get("question").is_some_and(Value::is_string)
            && self.get("answer").is_some_and(Value::is_string)
            && self.get("meta").is_some_and(Value::is_object)
    }

    /// The row of a record in the uniform layout: `id`, `question`, `answer`, `solution`,
    /// `meta`, and `split` where one file holds several. Options stand in the question
    /// ([`choices_in`](crate::data::choices_in)).
    ///
    /// # Errors
    ///
    /// When a field is missing or no text.
    pub fn uniform(&self) -> Result<Row, Fault> {
        let mut row = Row::new(self.text(&["question"])?, self.text(&["answer"])?);
        row.solution = self.text_or_empty(&["solution"])?;
        row.choices = choices::choices_in(&row.question);
        self.complete(row.id(self, &["id"]))
    }

    /// A row with what the fields `meta` and `split` of this record say.
    ///
    /// # Errors
    ///
    /// When `split` is no split.
    pub fn complete(&self, mut row: Row) -> Result<Row, Fault> {
        row.split = self.split()?;
        if let Some(Value::Object(meta)) = self.get("meta") {
            row.meta.clone_from(meta);
        }
        Ok(row)
    }

    /// An id that names its row alone: the first of these fields that is a text with a
    /// letter in it. A bare number is none, for every file counts from 0.
    pub fn id(&self, names: &[&str]) -> Option<String> {
        names
            .iter()
            .filter_map(|name| self.get(name)?.as_str())
            .find(|id| id.chars().any(char::is_alphabetic))
            .map(str::to_owned)
    }

    /// The split that the row's `split` field names.
    fn split(&self) -> Result<Option<Split>, Fault> {
        let Some(value) = self.get("split") else {
            return Ok(None);
        };
        match value.as_str() {
            Some("train") => Ok(Some(Split::Train)),
            Some("validation" | "valid" | "val" | "dev") => Ok(Some(Split::Validation)),
            Some("test") => Ok(Some(Split::Test)),
            _ => Err(Fault::field(
                "split",
                value,
                "`train`, `validation` or `test`",
            )),
        }
    }

    fn first<'a>(&'a self, names: &[&'a str]) -> Result<(&'a str, &'a Value), Fault> {
        names
            .iter()
            .find_map(|name| Some((*name, self.get(name)?)))
            .ok_or_else(|| {
                let wanted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                let found: Vec<_> = self.fields.keys().map(|key| format!("`{key}`")).collect();
                Fault::new(format!(
                    "field {} is missing; the row has {}",
                    wanted.join(" or "),
                    if found.is_empty() {
                        "no fields".to_owned()
                    } else {
                        found.join(", ")
                    }
                ))
            })
    }
}

/// A problem as a data set has it, before it has its final id and split.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// The data set's own id, where it has one that is unique across splits.
    pub id: Option<String>,
    /// What is asked, with its options where it has any.
    pub question: String,
    /// The gold answer.
    pub answer: String,
    /// A worked solution, or empty.
    pub solution: String,
    /// The options, which [`Row::choices`] puts here and into the question.
    pub choices: Vec<String>,
    /// Everything else that is worth filtering by: level, subject, type.
    pub meta: Map<String, Value>,
    /// The split, where the row itself names it.
    pub split: Option<Split>,
    /// Why the row cannot be trusted, such as "the rationale ends in another letter than the
    /// label". Such rows are left out of train and validation, and the task's notes name them.
    pub unsound: Option<&'static str>,
}

impl Row {
    /// A row with a question and its gold answer.
    pub fn new(question: impl Into<String>, answer: impl Into<String>) -> Self {
        Self {
            question: question.into(),
            answer: answer.into(),
            ..Self::default()
        }
    }

    /// With a worked solution.
    pub fn solution(mut self, solution: impl Into<String>) -> Self {
        self.solution = solution.into();
        self
    }

    /// With options, which follow the question as `Answer Choices: (A) .. (B) ..` on a line of their
    /// own. Letters that they already carry, as in `A)12`, are not repeated.
    ///
    /// # Errors
    ///
    /// When there is no option, or more than there are letters.
    pub fn choices<S: AsRef<str>>(mut self, choices: &[S]) -> Result<Self, Fault> {
        self.choices = choices::unlettered(choices)?;
        self.question = choices::listed(&self.question, &self.choices);
        Ok(self)
    }

    /// With the record's id, where it has one ([`Record::id`]).
    pub fn id(mut self, record: &Record, names: &[&str]) -> Self {
        self.id = record.id(names);
        self
    }

    /// With some of the record's fields as `meta`.
    pub fn meta(mut self, record: &Record, names: &[&str]) -> Self {
        for name in names {
            if let Some(value) = record.get(name) {
                self.meta.insert((*name).to_owned(), value.clone());
            }
        }
        self
    }

    /// The problem, under its own id or `task/split/number`.
    pub(crate) fn problem(self, task: &str, split: Split, number: usize) -> Problem {
        let split = crate::error::split_name(split);
        Problem {
            id: self
                .id
                .unwrap_or_else(|| format!("{task}/{split}/{number}")),
            question: self.question,
            answer: self.answer,
            solution: self.solution,
            choices: self.choices,
        }
    }
}

/// What the last `\boxed{..}` or `\fbox{..}` of a text holds, braces balanced; for the rare
/// `\boxed 7` the word after it.
pub fn last_boxed(text: &str) -> Option<&str> {
    let start = ["\\boxed", "\\fbox"]
        .iter()
        .filter_map(|mark| text.rfind(mark).map(|at| at + mark.len()))
        .max()?;
    let rest = text[start..].trim_start();
    let Some(body) = rest.strip_prefix('{') else {
        return rest
            .split(|c: char| c.is_whitespace() || c == '$')
            .next()
            .filter(|word| !word.is_empty());
    };
    let mut depth = 1;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => {}
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&body[..at]);
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// A JSON value that is no list and no object, as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        }),
        _ => None,
    }
}

/// A value in a message, cut where it is long.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return format!("`{text}`");
    }
    let head: String = text.chars().take(57).collect();
    format!("`{head}...`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        Record::from_json(3, text).unwrap()
    }

    #[test]
    fn numbers_become_text_without_a_trailing_zero() {
        let record = record(r#"{"a": 18.0, "b": -0.5, "c": 7, "d": true}"#);
        let texts: Vec<_> = ["a", "b", "c", "d"]
            .iter()
            .map(|name| record.text(&[name]).unwrap())
            .collect();
        assert_eq!(texts, ["18", "-0.5", "7", "true"]);
    }

    #[test]
    fn faults_name_the_field_the_value_and_what_would_do() {
        let record = record(r#"{"answer": ["x"], "blank": "  ", "none": null}"#);
        let message = |names: &[&str]| record.text(names).unwrap_err().to_string();
        assert_eq!(
            message(&["answer"]),
            r#"field `answer`: found `["x"]`, expected a text that is not empty"#
        );
        assert_eq!(
            message(&["blank"]),
            r#"field `blank`: found `"  "`, expected a text that is not empty"#
        );
        assert_eq!(
            message(&["none", "target"]),
            "field `none` or `target` is missing; the row has `answer`, `blank`, `none`"
        );
        assert!(
            Record::from_json(1, "[1]")
                .unwrap_err()
                .to_string()
                .contains("expected a JSON object")
        );
    }

    #[test]
    fn the_last_box_is_read_to_its_own_brace() {
        assert_eq!(
            last_boxed(r"\boxed{1} then \boxed{\frac{1}{2}}."),
            Some(r"\frac{1}{2}")
        );
        assert_eq!(last_boxed(r"\fbox{\{1, 2\}}"), Some(r"\{1, 2\}"));
        assert_eq!(last_boxed(r"so $\boxed 7$ it is"), Some("7"));
        assert_eq!(last_boxed(r"\boxed{1"), None);
        assert_eq!(last_boxed("no box"), None);
    }

    #[test]
    fn only_an_id_with_a_letter_names_a_row() {
        let record = record(r#"{"idx": 3, "n": "17", "uid": "x-17"}"#);
        assert_eq!(record.id(&["idx", "n", "uid"]).as_deref(), Some("x-17"));
        assert_eq!(record.id(&["idx", "n"]), None);
    }
}
