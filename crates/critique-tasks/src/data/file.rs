//! Files of rows: JSON lines, JSON and Parquet, plain or in gzip.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::data::record::{Fault, Record};
use crate::error::TaskError;
use crate::text::line_at;

/// The rows of a `.jsonl`, `.json` or `.parquet` file; the first two may end in `.gz`.
///
/// A `.json` file is a list of objects, JSON lines after all, or an object with one list of
/// objects in it, such as `{"data": [..]}`.
///
/// # Errors
///
/// When the file cannot be read, its kind is not known, or a row is no JSON object.
pub fn read_records(path: &Path) -> Result<Vec<Record>, TaskError> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    match plain.rsplit_once('.').map(|(_, ending)| ending) {
        Some("parquet") => read_parquet(path),
        Some("json") => parse_json(path, &read_text(path)?),
        Some("jsonl" | "ndjson") => read_records_from(path, &read_text(path)?),
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
    text.trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            Record::from_json(at + 1, line).map_err(|fault| row_error(path, at + 1, &fault))
        })
        .collect()
}

/// The fault of a row, with its place.
pub(crate) fn row_error(path: &Path, line: usize, fault: &Fault) -> TaskError {
    TaskError::Row {
        path: path.to_owned(),
        line,
        message: fault.to_string(),
    }
}

/// The text of a file, unpacked where it is gzip by its first two bytes.
fn read_text(path: &Path) -> Result<String, TaskError> {
    let failed = |source| TaskError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    BufReader::new(File::open(path).map_err(failed)?)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice())
            .read_to_end(&mut plain)
            .map_err(failed)?;
        bytes = plain;
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = line_at(error.as_bytes(), good);
        row_error(
            path,
            line,
            &Fault::new("the text is not UTF-8; convert the file"),
        )
    })
}

fn parse_json(path: &Path, text: &str) -> Result<Vec<Record>, TaskError> {
    let list = match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
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
