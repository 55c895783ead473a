//! Files of examples for SFT.

use std::path::Path;

use critique_core::files::FileError;
use critique_core::{Message, Problem, Prompt, Role};
use critique_run::SftData;
use critique_tasks::data::{Record, read_json_lines};
use critique_tasks::{Demonstration, Task};
use serde::Deserialize;
use serde_json::Value;

use crate::error::TrainError;

/// Reads the file of a source, if it has one, to see whether it can be used.
pub(crate) fn check_file(data: &SftData, task: &dyn Task) -> Result<(), TrainError> {
    let (path, rows) = match data {
        SftData {
            critiques: Some(path),
            ..
        } => (path, read_critiques(path, task)?.len()),
        SftData {
            messages: Some(path),
            ..
        } => (path, read_messages(path)?.len()),
        _ => return Ok(()),
    };
    if rows == 0 {
        return Err(FileError::content(path, "holds no rows").into());
    }
    Ok(())
}

/// Critiques in a file of JSON lines, each a demonstration of the task's critique prompt.
pub(super) fn read_critiques(
    path: &Path,
    task: &dyn Task,
) -> Result<Vec<Demonstration>, TrainError> {
    let style = task.prompts();
    let demonstration = |row: &Record| {
        let id = row.get("id").and_then(Value::as_str);
        let problem = Problem::new(id.unwrap_or_default(), text(row, "question")?, "");
        let prompt = style.critique(&problem, &text(row, "response")?);
        Ok(Demonstration::new(prompt, text(row, "critique")?))
    };
    read_rows(path, demonstration)
}

/// A field of a row that must be a text.
fn text(row: &Record, field: &str) -> Result<String, String> {
    match row.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("field `{field}` is `{other}`; expected a text")),
        None => Err(format!("field `{field}` is missing")),
    }
}

/// Chats in a file of JSON lines; the last turn must be the model's.
pub(super) fn read_messages(path: &Path) -> Result<Vec<Demonstration>, TrainError> {
    let demonstration = |row: &Record| {
        let wanted = "expected a list of `{\"role\": …, \"content\": …}`";
        let Some(list) = row.get("messages") else {
            return Err(format!("field `messages` is missing; {wanted}"));
        };
        let mut messages = Vec::<Message>::deserialize(list)
            .map_err(|why| format!("field `messages`: {why}; {wanted}"))?;
        match messages.pop() {
            Some(Message {
                role: Role::Assistant,
                content,
            }) => {
                let prompt = Prompt {
                    messages,
                    prefill: String::new(),
                };
                Ok(Demonstration::new(prompt, content))
            }
            _ => Err("field `messages`: the last turn is not the assistant's".into()),
        }
    };
    read_rows(path, demonstration)
}

/// What `read` makes of each row; its words about a row that will not do get the place.
fn read_rows<T>(
    path: &Path,
    read: impl Fn(&Record) -> Result<T, String>,
) -> Result<Vec<T>, TrainError> {
    let rows = read_json_lines(path)?;
    let read =
        |row: &Record| read(row).map_err(|why| FileError::line(path, row.line(), why).into());
    rows.iter().map(read).collect()
}
