//! Files of rows: JSON lines, JSON and Parquet, plain or in gzip.

use std::path::Path;

use serde_json::Value;

use crate::data::digits;
use crate::data::record::{Fault, Record};
use crate::data::source::Source;
use crate::error::TaskError;

/// Rows of a file, one after the other.
pub(crate) type Rows = Box<dyn Iterator<Item = Result<Record, TaskError>>>;

/// The rows of a `.jsonl`, `.json` or `.parquet` file; the first two may end in `.gz`.
///
/// A `.json` file is a list of objects, JSON lines after all, or an object with one list of
/// objects in it, such as `{"data": [..]}`. Numbers that 64 bits cannot hold are texts of their
/// digits.
///
/// # Errors
///
/// When the file cannot be read, its kind is not known, a row is no JSON object, or the file is
/// larger than docs/tasks.md, "Files of rows", allows.
pub fn read_records(path: &Path) -> Result<Vec<Record>, TaskError> {
    rows(path)?.collect()
}

/// Like [`read_records`], where a file of any other ending holds JSON lines: for files that a run
/// file names, whose kind is known from the key that names them.
///
/// # Errors
///
/// As [`read_records`].
pub fn read_json_lines(path: &Path) -> Result<Vec<Record>, TaskError> {
    match ending(path).as_str() {
        "parquet" | "json" => read_records(path),
        _ => lines(Source::open(path)?).collect(),
    }
}

/// [`read_records`], a row at a time.
pub(crate) fn rows(path: &Path) -> Result<Rows, TaskError> {
    match ending(path).as_str() {
        "parquet" => Ok(Box::new(read_parquet(path)?.into_iter().map(Ok))),
        "json" => {
            let text = Source::open(path)?.text()?;
            Ok(Box::new(parse_json(path, &text)?.into_iter().map(Ok)))
        }
        "jsonl" | "ndjson" => Ok(Box::new(lines(Source::open(path)?))),
        _ if !path.exists() => Err(TaskError::File {
            path: path.to_owned(),
            message: "is not there; expected a file or a folder of rows".into(),
        }),
        _ => Err(TaskError::File {
            path: path.to_owned(),
            message: "not a file of rows; `.jsonl`, `.jsonl.gz`, `.json` and `.parquet` are read"
                .into(),
        }),
    }
}

/// The rows of JSON lines already in memory; `path` is for messages. Blank lines are skipped.
///
/// # Errors
///
/// When a line is no JSON object.
pub fn read_records_from(path: &Path, text: &str) -> Result<Vec<Record>, TaskError> {
    lines(Source::of_text(path, text)).collect()
}

/// What a file's name ends in, in lower case and without `.gz`.
fn ending(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let ending = plain.rsplit_once('.').map_or("", |(_, ending)| ending);
    ending.to_owned()
}

fn lines(source: Source<'_>) -> impl Iterator<Item = Result<Record, TaskError>> {
    let path = source.path().to_owned();
    source.map(move |line| {
        let (number, text) = line?;
        Record::from_json(number, &text).map_err(|fault| row_error(&path, number, &fault))
    })
}

/// The fault of a row, with its place.
pub(crate) fn row_error(path: &Path, line: usize, fault: &Fault) -> TaskError {
    TaskError::Row {
        path: path.to_owned(),
        line,
        message: fault.to_string(),
    }
}

fn parse_json(path: &Path, text: &str) -> Result<Vec<Record>, TaskError> {
    let list = match serde_json::from_str(&digits::quoted(text)) {
        Ok(Value::Array(list)) => list,
        Ok(Value::Object(fields)) => only_list(path, fields)?,
        Ok(_) => return Err(not_a_list(path, "a single value")),
        // Many files of JSON lines are called `.json`.
        Err(error) => {
            return read_records_from(path, text).map_err(|_| {
                let fault = Fault::new(format!("neither JSON nor JSON lines: {error}"));
                row_error(path, error.line(), &fault)
            });
        }
    };
    list.into_iter()
        .enumerate()
        .map(|(at, value)| match value {
            Value::Object(fields) => Ok(Record::new(at + 1, fields)),
            other => {
                let fault = Fault::field(&format!("[{at}]"), &other, "a JSON object");
                Err(row_error(path, at + 1, &fault))
            }
        })
        .collect()
}

/// The list in an object such as `{"version": 1, "data": [..]}`; the object itself where it
/// is a single row.
fn only_list(path: &Path, fields: serde_json::Map<String, Value>) -> Result<Vec<Value>, TaskError> {
    let is_rows = |value: &Value| {
        value
            .as_array()
            .is_some_and(|list| list.first().is_some_and(Value::is_object))
    };
    let mut names: Vec<String> = fields
        .iter()
        .filter(|(_, value)| is_rows(value))
        .map(|(name, _)| name.clone())
        .collect();
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => match fields.into_iter().find(|(key, _)| *key == name) {
            Some((_, Value::Array(list))) => Ok(list),
            _ => Ok(Vec::new()),
        },
        (None, _) if fields.contains_key("question") => Ok(vec![Value::Object(fields)]),
        (None, _) => Err(not_a_list(path, "an object without a list of objects")),
        (Some(_), false) => Err(not_a_list(path, "an object with several lists of objects")),
    }
}

fn not_a_list(path: &Path, found: &str) -> TaskError {
    TaskError::File {
        path: path.to_owned(),
        message: format!("found {found}, expected a list of objects or `{{\"data\": [..]}}`"),
    }
}

#[cfg(feature = "parquet")]
fn read_parquet(path: &Path) -> Result<Vec<Record>, TaskError> {
    crate::data::parquet::read(path)
}

#[cfg(not(feature = "parquet"))]
fn read_parquet(path: &Path) -> Result<Vec<Record>, TaskError> {
    Err(TaskError::File {
        path: path.to_owned(),
        message:
            "this build reads no Parquet; build with the feature `parquet`, or give JSON lines"
                .into(),
    })
}
