//! A run file with what goes before it: settings of the environment and of the command line.
//!
//! What does not fit is shown where it stands: in the file with its lines, or in the setting
//! that brought it in.

mod place;

use std::path::Path;

use critique_core::files::{FileError, read_text};
use critique_model::DeviceSpec;
use critique_run::{Misfit, ModelSource, RlStage, RunConfig, RunError, SftStage};
use critique_tasks::{Task, TaskError, build_from_table};
use critique_trainer::TrainError;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use crate::failure::{Exit, Failure};
use crate::input::folder::what_would_do;
use crate::input::settings::{Setting, closest};

/// A run file after all settings, and where its parts came from.
pub(crate) struct RunFile {
    /// What it says.
    pub(crate) config: RunConfig,
    source: Source,
}

/// What is needed to point at a fault.
struct Source {
    name: String,
    text: String,
    /// What settings changed: paths with indices, and how they were written.
    changed: Vec<(Vec<String>, String)>,
    /// The file after all settings.
    table: Table,
}

/// What does not fit, and where.
struct Fault {
    path: Vec<String>,
    message: String,
    help: Option<String>,
}

impl RunFile {
    /// Reads a run file; `settings` are those of the command line.
    pub(crate) fn read(path: &Path, settings: &[String]) -> Result<Self, Failure> {
        let text = read_text(path)
            .map_err(|error| Failure::from(TrainError::from(error)).with_exit(Exit::Usage))?;
        let settings: Vec<Setting> = settings
            .iter()
            .map(|written| Setting::parse(written))
            .collect::<Result<_, _>>()?;
        Self::resolve(&path.display().to_string(), &text, settings)
    }

    /// Resolves the text of a run file; later settings go before earlier ones, and all of them
    /// before the environment.
    pub(crate) fn resolve(name: &str, text: &str, settings: Vec<Setting>) -> Result<Self, Failure> {
        let table = toml::from_str::<Table>(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            place::report(
                name,
                text,
                error.message().trim().to_owned(),
                None,
                Some(span),
            )
        })?;
        let mut source = Source {
            name: name.to_owned(),
            text: text.to_owned(),
            changed: Vec::new(),
            table,
        };
        let mut all = Setting::of_environment();
        all.extend(settings);
        for setting in all {
            let path = setting.apply(&mut source.table)?;
            source.changed.push((path, setting.written));
        }
        let config = decode(&source.table).map_err(|fault| source.failure(fault))?;
        let file = Self { config, source };
        if let Err(error) = DeviceSpec::parse(&file.config.device) {
            let fault = Fault {
                path: vec!["device".into()],
                message: error.to_string(),
                help: None,
            };
            return Err(file.source.failure(fault));
        }
        file.config
            .check()
            .map_err(|misfit| file.misfit(misfit.into()))?;
        Ok(file)
    }

    /// Whether the file or a setting before it gives this key.
    pub(crate) fn gives(&self, path: &[&str]) -> bool {
        let path: Vec<String> = path.iter().map(|&key| key.to_owned()).collect();
        place::get(&self.source.table, &path).is_some()
    }

    /// The task of the run.
    pub(crate) fn task(&self) -> Result<(String, Box<dyn Task>), Failure> {
        build_from_table(self.config.task.clone()).map_err(|error| self.task_failure(error))
    }

    fn task_failure(&self, error: TaskError) -> Failure {
        let (key, message) = match &error {
            TaskError::Unknown { name, known } => {
                let near = closest(name, known.iter().copied())
                    .map(|near| format!("did you mean `{near}`?"));
                let fault = Fault {
                    path: vec!["task".into(), "name".into()],
                    message: error.to_string(),
                    help: near,
                };
                return self.source.failure(fault);
            }
            TaskError::Options { message, .. } => {
                let key = unknown_key(message).map(|(key, _)| key);
                (
                    key.or_else(|| message.split('`').nth(1).map(str::to_owned)),
                    message.clone(),
                )
            }
            TaskError::Data { message } => (None, message.clone()),
            _ => return error.into(),
        };
        // A task tells the key and not the tables around it.
        let mut path = vec!["task".to_owned()];
        path.extend(
            key.and_then(|key| place::find(&self.config.task, &key))
                .into_iter()
                .flatten(),
        );
        self.source.failure(fault_of(path, &message))
    }

    /// An error of the check of settings, at the place that it names.
    pub(crate) fn misfit(&self, error: TrainError) -> Failure {
        match error {
            TrainError::Run(RunError::Setting(Misfit { at, message })) => {
                self.source.failure(Fault {
                    path: at.keys().to_vec(),
                    message,
                    help: None,
                })
            }
            TrainError::Task(error) => self.task_failure(error),
            TrainError::Run(RunError::File(FileError::Content { ref path, .. })) => {
                let would_do = self.is_model(path).then(|| what_would_do(path)).flatten();
                Failure::from(error).with_help(would_do)
            }
            error => error.into(),
        }
    }

    /// Whether the run file names this path as a model or an adapter.
    fn is_model(&self, path: &Path) -> bool {
        let named = |source: &ModelSource| {
            source.path.as_deref() == Some(path) || source.adapter.as_deref() == Some(path)
        };
        self.config.models.values().any(named)
    }
}

impl Source {
    /// A fault with the lines of the file it is about, or the setting that made it.
    fn failure(&self, fault: Fault) -> Failure {
        let span = place::span(&self.text, &fault.path);
        // A setting may also have made the table that does not fit.
        let made = |path: &[String]| {
            span.is_none() && !fault.path.is_empty() && path.starts_with(&fault.path)
        };
        let by = self
            .changed
            .iter()
            .rev()
            .find(|(path, _)| fault.path.starts_with(path) || made(path));
        if let Some((_, written)) = by {
            return Failure::usage(format!("{}; {written} sets it", fault.message))
                .with_help(fault.help);
        }
        place::report(&self.name, &self.text, fault.message, fault.help, span)
    }
}

/// The whole file as settings. Stages are read one by one first: serde loses the way into a
/// table whose kind it finds by a tag.
fn decode(table: &Table) -> Result<RunConfig, Fault> {
    for (index, stage) in table
        .get("stages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let Some(stage) = stage.as_table() else {
            continue;
        };
        let mut fields = stage.clone();
        let name = place::name_or_index(stage, index);
        let within = |fault: Fault| Fault {
            path: ["stages".to_owned(), index.to_string()]
                .into_iter()
                .chain(fault.path)
                .collect(),
            message: fault.message.replacen('`', &format!("`stages.{name}."), 1),
            ..fault
        };
        match fields.remove("kind").as_ref().and_then(Value::as_str) {
            Some("sft") => drop(typed::<SftStage>(fields).map_err(within)?),
            Some("rl") => drop(typed::<RlStage>(fields).map_err(within)?),
            _ => {}
        }
    }
    typed(table.clone())
}

fn typed<T: DeserializeOwned>(table: Table) -> Result<T, Fault> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let path = error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        fault_of(path.collect(), error.inner().message())
    })
}

/// Serde's words in ours.
fn fault_of(mut path: Vec<String>, message: &str) -> Fault {
    let message = message.trim();
    if let Some((key, known)) = unknown_key(message) {
        if path.last() != Some(&key) {
            path.push(key.clone());
        }
        let help = match closest(&key, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known keys: {}", known.join(", ")),
        };
        return Fault {
            message: format!("`{}` is no setting", path.join(".")),
            path,
            help: Some(help),
        };
    }
    if let Some(key) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        let whole = path
            .iter()
            .map(String::as_str)
            .chain([key])
            .collect::<Vec<_>>()
            .join(".");
        return Fault {
            path,
            message: format!("`{whole}` is missing"),
            help: None,
        };
    }
    let message = &in_words(message);
    let message = if path.is_empty() {
        message.to_owned()
    } else {
        format!("`{}`: {message}", path.join("."))
    };
    Fault {
        path,
        message,
        help: None,
    }
}

/// Serde names the types of Rust; a person asks what may stand there.
fn in_words(message: &str) -> String {
    let Some((found, wanted)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let wanted = match wanted {
        "usize" | "u64" | "u32" => "a whole number, 0 or more",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        "a string" | "path string" => "a text",
        "a boolean" => "`true` or `false`",
        wanted => wanted,
    };
    let found = found
        .replacen("invalid type: ", "found ", 1)
        .replacen("invalid value: ", "found ", 1)
        .replacen("floating point ", "", 1)
        .replacen("integer ", "", 1)
        .replacen("boolean ", "", 1)
        .replacen("string ", "", 1);
    format!("{found}; expected {wanted}")
}

/// The key that serde does not know, and those it does.
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let mut words = message
        .strip_prefix("unknown field `")?
        .split('`')
        .step_by(2)
        .map(str::to_owned);
    let key = words.next()?;
    Some((key, words.filter(|word| !word.is_empty()).collect()))
}
