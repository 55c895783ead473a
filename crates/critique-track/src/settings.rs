//! The settings of a run, flat.

use critique_run::RunConfig;
use toml::Value;

/// A setting: a number, a yes or no, or words.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A number.
    Number(f64),
    /// Yes or no.
    Bool(bool),
    /// Anything else as text.
    Text(String),
}

impl Setting {
    /// As a run file has it.
    pub fn text(&self) -> String {
        match self {
            Self::Number(value) => value.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// Every setting by its path, entries of `stages` by their names: `stages.stage1.lr`.
///
/// ```
/// # let text = r#"
/// # seed = 3
/// # out = "runs/first"
/// # task = { name = "arithmetic" }
/// # models.base.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }
/// # [[stages]]
/// # kind = "sft"
/// # name = "solutions"
/// # model = "base"
/// # steps = 10
/// # data = [{ kind = "solutions", rows = 4 }]
/// # lr = 1e-3
/// # "#;
/// use critique_track::{Setting, settings};
///
/// let config: critique_run::RunConfig = toml::from_str(text)?;
/// let all = settings(&config);
/// let named = |name: &str| all.iter().find(|(at, _)| at == name).map(|(_, value)| value.clone());
/// assert_eq!(named("seed"), Some(Setting::Number(3.0)));
/// assert_eq!(named("stages.solutions.steps"), Some(Setting::Number(10.0)));
/// assert_eq!(named("task.name"), Some(Setting::Text("arithmetic".into())));
/// # Ok::<(), toml::de::Error>(())
/// ```
pub fn settings(config: &RunConfig) -> Vec<(String, Setting)> {
    let mut flat = Vec::new();
    // Where a run lies is no setting.
    if let Ok(Value::Table(mut table)) = Value::try_from(config) {
        table.remove("out");
        flatten("", &Value::Table(table), &mut flat);
    }
    flat
}

fn flatten(path: &str, value: &Value, flat: &mut Vec<(String, Setting)>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    let setting = match value {
        Value::Table(table) => {
            for (key, value) in table {
                flatten(&below(key), value, flat);
            }
            return;
        }
        Value::Array(list) if path == "stages" => {
            for (at, stage) in list.iter().enumerate() {
                let name = stage.get("name").and_then(Value::as_str);
                flatten(&below(name.unwrap_or(&at.to_string())), stage, flat);
            }
            return;
        }
        Value::Integer(value) => Setting::Number(*value as f64),
        Value::Float(value) => Setting::Number(*value),
        Value::Boolean(value) => Setting::Bool(*value),
        Value::String(text) => Setting::Text(text.clone()),
        other => Setting::Text(other.to_string()),
    };
    flat.push((path.to_owned(), setting));
}
