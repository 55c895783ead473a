//! The resolved run file that a run folder keeps.

use toml::{Table, Value};

use crate::config::RunConfig;
use crate::error::TrainError;
use crate::run_dir::{RunDir, write_file};

/// Writes the resolved run file; a folder of a run with other settings is refused.
pub(crate) fn keep_config(dir: &RunDir, config: &RunConfig) -> Result<(), TrainError> {
    let path = dir.config();
    let damaged = |why: String| TrainError::File {
        path: path.clone(),
        message: why,
    };
    let mut resolved = config.clone();
    resolved.resolve();
    let text = toml::to_string(&resolved).map_err(|e| damaged(e.to_string()))?;
    let before = match std::fs::read_to_string(&path) {
        Ok(before) => before,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return write_file(&path, text.as_bytes());
        }
        Err(source) => return Err(TrainError::Read { path, source }),
    };
    let settings = |text: &str| -> Result<Value, TrainError> {
        // A build before this one may have written fewer keys: reading adds what they mean.
        let text = toml::from_str::<RunConfig>(text)
            .ok()
            .and_then(|read| toml::to_string(&read).ok())
            .unwrap_or_else(|| text.to_owned());
        let mut table: Table = toml::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        // Threads and recomputing change no result, nor does the place of the folder, which may
        // have been moved: a run may go on with others.
        table.retain(|key, _| !matches!(key, "threads" | "recompute" | "out"));
        Ok(Value::Table(table))
    };
    let (was, is) = (settings(&before)?, settings(&text)?);
    let mut path = Vec::new();
    match difference(Some(&was), Some(&is), &mut path) {
        Some((was, is)) => {
            let message = format!(
                "{} is {is}, but {was} in the run that `{}` holds; expected the same, or another `out`",
                setting_at(config, &path),
                config.out.display()
            );
            Err(TrainError::Config { message })
        }
        None if before == text => Ok(()),
        None => write_file(&dir.config(), text.as_bytes()),
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
