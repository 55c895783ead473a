//! The resolved run file that a run folder keeps.

use std::path::Path;

use critique_core::files::sum::sha256;
use critique_core::files::{FileError, read_text, write_whole};
use toml::{Table, Value};

use crate::config::RunConfig;
use crate::dir::RunDir;
use crate::error::RunError;

/// Writes the resolved run file; a folder of a run with other settings is refused.
///
/// # Errors
///
/// When the folder holds a run with other settings; or cannot be read or written.
pub fn keep_config(dir: &RunDir, config: &RunConfig) -> Result<(), RunError> {
    let path = dir.config();
    let damaged = |why: String| RunError::from(FileError::content(&path, why));
    let mut resolved = config.clone();
    resolved.resolve();
    let text = toml::to_string(&resolved).map_err(|e| damaged(e.to_string()))?;
    let sealed = sealed(&text);
    let before = match std::fs::read_to_string(&path) {
        Ok(before) => before,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(write_whole(&path, sealed.as_bytes())?);
        }
        Err(source) => return Err(FileError::read(&path, source).into()),
    };
    let settings = |text: &str| settings_of(text).map_err(|e| damaged(e.to_string()));
    let (was, is) = (settings(&before)?, settings(&text)?);
    let mut at = Vec::new();
    match difference(Some(&was), Some(&is), &mut at) {
        Some((was, is)) => {
            let message = format!(
                "{} is {is}, but {was} in the run that `{}` holds; expected the same, or another `out`",
                setting_at(config, &at),
                config.out.display()
            );
            Err(RunError::Folder { message })
        }
        None if before == sealed => Ok(()),
        None => {
            check_sum(&path, &before)?;
            Ok(write_whole(&path, sealed.as_bytes())?)
        }
    }
}

/// The settings in the text of a run file that results depend on.
pub(crate) fn settings_of(text: &str) -> Result<Value, toml::de::Error> {
    // A build before this one may have written fewer keys: reading adds what they mean.
    let text = toml::from_str::<RunConfig>(text)
        .ok()
        .and_then(|read| toml::to_string(&read).ok())
        .unwrap_or_else(|| text.to_owned());
    let mut table: Table = toml::from_str(&text)?;
    // Threads, recomputing and trackers change no result, nor does the place of the folder, which
    // may have been moved: a run may go on with others.
    table.retain(|key, _| {
        !matches!(
            key,
            "threads" | "recompute" | "out" | "track" | "not_finite_steps"
        )
    });
    forget_places(&mut table);
    Ok(Value::Table(table))
}

/// Start of the last line, a comment that holds the sum of all text before it.
const SUM: &str = "\n# sha256 of all above: ";

fn sealed(text: &str) -> String {
    let text = text.trim_end();
    format!("{text}{SUM}{}\n", sha256(text))
}

/// Refuses settings that are not what was written. Those of older builds have no sum.
fn check_sum(path: &Path, text: &str) -> Result<(), FileError> {
    match text.rsplit_once(SUM) {
        Some((settings, sum)) if sha256(settings) != sum.trim_end() => {
            let message = "is not what was written: its last line does not fit the text before it";
            Err(FileError::content(path, message))
        }
        _ => Ok(()),
    }
}

/// Servers may have moved as well.
fn forget_places(table: &mut Table) {
    let models = table.get_mut("models").and_then(Value::as_table_mut);
    for (_, model) in models.into_iter().flatten() {
        let Some(model) = model.as_table_mut() else {
            continue;
        };
        let places = [
            "urls",
            "model",
            "token_env",
            "parallel",
            "give_up_secs",
            "adapters",
        ];
        model.retain(|key, _| !places.contains(&key));
    }
}

/// The first place where two run files differ, left in `path`, and what stands there.
fn difference(
    was: Option<&Value>,
    is: Option<&Value>,
    path: &mut Vec<String>,
) -> Option<(String, String)> {
    let mut below = |key: String, was, is| {
        path.push(key);
        let found = difference(was, is, path);
        if found.is_none() {
            path.pop();
        }
        found
    };
    match (was, is) {
        (Some(Value::Table(was)), Some(Value::Table(is))) => {
            let gone = was.keys().filter(|key| !is.contains_key(*key));
            let mut keys = is.keys().chain(gone);
            keys.find_map(|key| below(key.clone(), was.get(key), is.get(key)))
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) if was.len() == is.len() => {
            let mut pairs = was.iter().zip(is).enumerate();
            pairs.find_map(|(at, (was, is))| below(at.to_string(), Some(was), Some(is)))
        }
        (was, is) if was == is => None,
        (was, is) => {
            let shown = |value: Option<&Value>| match value {
                Some(Value::Array(list)) => format!("a list of {}", list.len()),
                Some(Value::Table(_)) => "a table".to_owned(),
                Some(value) => format!("`{value}`"),
                None => "not set".to_owned(),
            };
            Some((shown(was), shown(is)))
        }
    }
}

/// A setting as messages name it: those of a stage by the stage's name.
fn setting_at(config: &RunConfig, path: &[String]) -> String {
    if let [stages, index, rest @ ..] = path
        && stages == "stages"
        && !rest.is_empty()
        && let Some(stage) = index
            .parse()
            .ok()
            .and_then(|at: usize| config.stages.get(at))
    {
        return format!("stage `{}`: `{}`", stage.name(), rest.join("."));
    }
    format!("`{}`", path.join("."))
}

/// Reads the settings that a run folder keeps.
///
/// # Errors
///
/// When they cannot be read.
pub fn read_config(dir: &RunDir) -> Result<RunConfig, RunError> {
    let path = dir.config();
    let text = read_text(&path)?;
    check_sum(&path, &text)?;
    toml::from_str(&text).map_err(|error| FileError::content(&path, error.to_string()).into())
}
