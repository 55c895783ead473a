//! A task without Rust: a TOML file that names its data and its verifier.
//!
//! ```toml
//! name = "lab-questions"
//! summary = "questions of our lab course"
//! verifier = "math"          # math, gsm8k, aqua, theoremqa, multiple_choice or yes_no
//! path = "rows"              # below the folder of this file
//!
//! [columns]                  # only where they are not called so already
//! question = "prompt"
//! answer = "target"
//! ```
//!
//! Run files use it as `task = { file = "lab-questions.toml" }`, and every option of a data
//! set ([`dataset::Options`](crate::dataset::Options)) may stand in the file or in the run
//! file.

use std::path::Path;

use critique_verify::Kind;
use serde::Deserialize;

use crate::data::{Description, Fault, Layout, Loader, ReadRow, Record, Row, last_boxed};
use crate::dataset::{Dataset, Options};
use crate::error::TaskError;
use crate::judge::Judge;
use crate::text::line_at;

/// A task from its TOML file.
///
/// # Errors
///
/// When the file cannot be read, a key is unknown, or a value does not fit.
pub fn load(path: &Path) -> Result<Dataset, TaskError> {
    load_with(path, toml::Table::new())
}

/// A task from its TOML file, with options of a run file that go before those in the file.
///
/// # Errors
///
/// As [`load`].
pub fn load_with(path: &Path, options: toml::Table) -> Result<Dataset, TaskError> {
    let text = std::fs::read_to_string(path).map_err(|source| TaskError::Read {
        path: path.to_owned(),
        source,
    })?;
    let misfit = |error: toml::de::Error| TaskError::File {
        path: path.to_owned(),
        message: error.message().to_owned(),
    };
    let mut table: toml::Table =
        toml::from_str(&text).map_err(|error| syntax(path, &text, &error))?;
    let head = Head::deserialize(take_head(&mut table)).map_err(misfit)?;
    lie_below(path.parent().unwrap_or(Path::new("")), &mut table);
    table.extend(options);
    let options = Options::deserialize(table).map_err(|error| TaskError::File {
        path: path.to_owned(),
        message: format!(
            "{}; or, in a task file, {}",
            error.message(),
            HEAD_KEYS.map(|key| format!("`{key}`")).join(", ")
        ),
    })?;
    let judge = Judge::new(head.verifier);
    Loader::new(head.describe(), options)
        .and_then(|loader| Dataset::new(loader, judge))
        .map_err(|error| match error {
            TaskError::Table(error) => misfit(error),
            TaskError::Data { message } => TaskError::File {
                path: path.to_owned(),
                message,
            },
            other => other,
        })
}

/// A task of rows whose columns are guessed, to look at data that no task describes. Its
/// answers are compared as in mathematics, and may be blank.
pub(crate) fn of_rows(path: &Path, options: toml::Table) -> Result<Dataset, TaskError> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let description = Description {
        name: name.to_string_lossy().into_owned(),
        summary: String::new(),
        layout: LAYOUT,
        row: Box::new(guess),
        sample: "",
        how_to_get: String::new(),
    };
    let loader = Loader::new(description, Options::deserialize(options)?)?;
    Dataset::new(loader, Judge::new(Kind::Math))
}

/// A row by the names that columns go by.
fn guess(record: &Record) -> Result<Row, Fault> {
    if record.is_uniform() {
        return record.uniform();
    }
    let question = record.text(&[
        "question", "problem", "Question", "Problem", "input", "prompt", "query", "article",
    ])?;
    let solution = record
        .text_or_empty(&["solution", "rationale"])
        .unwrap_or_default();
    let named = record.text_or_empty(&[
        "answer",
        "Answer",
        "target",
        "gold",
        "label",
        "correct",
        "answerKey",
        "highlights",
    ]);
    let answer = match named.unwrap_or_default() {
        answer if answer.is_empty() => last_boxed(&solution).unwrap_or_default().to_owned(),
        answer => answer,
    };
    let row = Row::new(question, answer)
        .solution(solution)
        .id(record, &["id", "ID", "unique_id", "qid"]);
    let row = match record.texts(&["options", "choices"]) {
        // Whatever else such a column holds is nothing to look at.
        Ok(choices) => row.clone().choices(&choices).unwrap_or(row),
        Err(_) => row,
    };
    record.complete(row)
}

const HEAD_KEYS: [&str; 4] = ["name", "summary", "verifier", "columns"];

/// The keys of the file that are no options of a data set, taken out of its table.
fn take_head(table: &mut toml::Table) -> toml::Table {
    HEAD_KEYS
        .iter()
        .filter_map(|key| table.remove_entry(*key))
        .collect()
}

/// Paths in a task file are meant from where it lies.
fn lie_below(folder: &Path, table: &mut toml::Table) {
    let given = table.get("path").and_then(toml::Value::as_str);
    let path = match given {
        Some(path) => folder.join(path),
        None if table.contains_key("files") => folder.to_owned(),
        None => return,
    };
    let path = path.to_string_lossy().into_owned();
    table.insert("path".into(), toml::Value::String(path));
}

/// A fault of TOML itself, with its line.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> TaskError {
    let start = error.span().map_or(0, |span| span.start).min(text.len());
    TaskError::Row {
        path: path.to_owned(),
        line: line_at(text.as_bytes(), start),
        message: error.message().to_owned(),
    }
}

/// The keys that are no options of a data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// What ids and reports call the task.
    name: String,
    /// One line about it.
    #[serde(default)]
    summary: String,
    /// How answers are found and compared.
    verifier: Kind,
    /// What the columns are called.
    #[serde(default)]
    columns: Columns,
}

/// What the columns of a file are called, where not as in the uniform layout.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Columns {
    /// A text that names the row alone; `id` otherwise, or else rows are numbered.
    id: Option<String>,
    /// What is asked; `question` otherwise.
    question: Option<String>,
    /// The gold answer; `answer` otherwise.
    answer: Option<String>,
    /// A worked solution; `solution` otherwise, or none.
    solution: Option<String>,
    /// A list of options, which are appended to the question with letters.
    choices: Option<String>,
    /// Where in the answer column the answer begins, such as `####`; what stands before it is
    /// the solution.
    answer_after: Option<String>,
    /// The answer is what the last `\boxed{..}` of the answer column holds.
    answer_boxed: bool,
}

impl Head {
    fn describe(self) -> Description {
        Description {
            name: self.name,
            summary: self.summary,
            layout: LAYOUT,
            row: self.columns.reader(),
            sample: "",
            how_to_get: "A path in a task file is meant from the folder of that file.".into(),
        }
    }
}

const LAYOUT: Layout = Layout {
    train: &["train"],
    validation: &["validation", "valid", "val", "dev"],
    test: &["test"],
    ..Layout::EMPTY
};

impl Columns {
    fn reader(self) -> ReadRow {
        Box::new(move |record| self.read(record))
    }

    fn read(&self, record: &Record) -> Result<Row, Fault> {
        let name = |given: &Option<String>, usual: &'static str| {
            given.clone().unwrap_or_else(|| usual.to_owned())
        };
        let mut row = Row::new(record.text(&[&name(&self.question, "question")])?, "");
        if let Some(column) = &self.choices {
            row = row
                .choices(&record.texts(&[column])?)
                .map_err(|fault| fault.of(column))?;
        }
        let column = name(&self.answer, "answer");
        let (mut solution, answer) = self.find_answer(record, &column)?;
        if solution.is_empty() {
            solution = record.text_or_empty(&[&name(&self.solution, "solution")])?;
        }
        row.answer = answer;
        record.complete(row.solution(solution).id(record, &[&name(&self.id, "id")]))
    }

    /// The solution, where it stands before the answer in one column, and the answer.
    fn find_answer(&self, record: &Record, column: &str) -> Result<(String, String), Fault> {
        let text = record.text(&[column])?;
        if self.answer_boxed {
            return match last_boxed(&text) {
                Some(answer) if !answer.trim().is_empty() => Ok((text.clone(), answer.to_owned())),
                _ => Err(record.fault(column, "a text with `\\boxed{..}`")),
            };
        }
        match &self.answer_after {
            None => Ok((String::new(), text)),
            Some(mark) => match text.rsplit_once(mark.as_str()) {
                Some((before, answer)) if !answer.trim().is_empty() => {
                    Ok((before.trim().to_owned(), answer.trim().to_owned()))
                }
                _ => Err(record.fault(column, &format!("a text with `{mark}` before the answer"))),
            },
        }
    }
}
