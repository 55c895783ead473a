//! What a run file may hold, said once: the types and their documentation give the JSON Schema,
//! for editors, and the tables of `docs/run-files.md`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::config::RunConfig;

/// The JSON Schema of run files (draft 2020-12).
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RunConfig).to_value();
    tidy(&mut schema);
    schema
}

/// Numbers as a person writes them, 0.2 and not the nearest `f32` in 17 digits; no default of
/// `null`, which only says that a key may be absent; and no names of Rust's types.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("default").is_some_and(Value::is_null) {
                fields.remove("default");
            }
            fields.remove("format");
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) if number.is_f64() => {
            let short = number.as_f64().map(|it| format!("{:?}", it as f32));
            if let Some(number) = short.and_then(|text| text.parse().ok()) {
                *value = Value::Number(number);
            }
        }
        _ => {}
    }
}

/// The keys of one type, such as `RlStage`, as a Markdown table; nothing where there is no such
/// type in the schema.
pub fn table(schema: &Value, of: &str) -> Option<String> {
    let object = object(schema, of)?;
    let required: Vec<&str> = object["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut text = "| key | default | meaning |\n| --- | --- | --- |\n".to_owned();
    for (key, property) in object["properties"].as_object()? {
        let default = if required.contains(&key.as_str()) {
            "required".to_owned()
        } else {
            default(schema, property)
        };
        let about = property["description"].as_str().unwrap_or_default();
        let about = about.replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(text, "| `{key}` | {default} | {about} |");
    }
    Some(text)
}

/// The schema of a type. Stages of either kind stand within that of their choice.
fn object<'a>(schema: &'a Value, of: &str) -> Option<&'a Value> {
    let kind = match of {
        "RunConfig" => return Some(schema),
        "SftStage" => "sft",
        "RlStage" => "rl",
        of => return schema["$defs"].get(of),
    };
    let mut kinds = schema["$defs"]["StageConfig"]["oneOf"].as_array()?.iter();
    kinds.find(|stage| stage["properties"]["kind"]["const"] == kind)
}

/// What a key is where it is not given, as TOML. Of a table, what differs from the defaults of
/// its keys.
fn default(schema: &Value, property: &Value) -> String {
    match property.get("default") {
        None => "–".to_owned(),
        Some(Value::Object(table)) => {
            let own = own_defaults(schema, property);
            let differs = |(key, value): &(&String, &Value)| own.get(*key) != Some(*value);
            let differs: Vec<String> = table
                .iter()
                .filter(differs)
                .map(|(key, value)| format!("{key} = {value}"))
                .collect();
            match differs.as_slice() {
                [] => "a table".to_owned(),
                keys => format!("`{{ {} }}`", keys.join(", ")),
            }
        }
        Some(value) => format!("`{value}`"),
    }
}

fn own_defaults(schema: &Value, property: &Value) -> Map<String, Value> {
    let reference = property["$ref"].as_str().unwrap_or_default();
    let name = reference.trim_start_matches("#/$defs/");
    let properties = schema["$defs"][name]["properties"].as_object();
    let default =
        |(key, value): (&String, &Value)| Some((key.clone(), value.get("default")?.clone()));
    properties
        .into_iter()
        .flatten()
        .filter_map(default)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;
    use crate::config::{
        EvalConfig, Gate, ModelSource, NewModel, RlStage, RolloutConfig, SaveConfig, SftData,
        SftStage, TrackConfig,
    };

    /// The keys that a type reads: serde names them all when it meets another.
    fn keys<T: DeserializeOwned>() -> BTreeSet<String> {
        let Err(error) = toml::from_str::<T>("\"no such key\" = 1") else {
            panic!("an unknown key was accepted")
        };
        let message = error.message().to_owned();
        let known = message.split('`').skip(1).step_by(2).skip(1);
        known.map(str::to_owned).collect()
    }

    #[test]
    fn the_schema_has_the_keys_that_run_files_may_have() {
        let schema = schema();
        let written = |name: &str| -> BTreeSet<String> {
            let properties = object(&schema, name).unwrap()["properties"].as_object();
            let keys = properties.unwrap().keys().cloned();
            keys.filter(|key| !(name.ends_with("Stage") && key == "kind"))
                .collect()
        };
        for (name, read) in [
            ("RunConfig", keys::<RunConfig>()),
            ("ModelSource", keys::<ModelSource>()),
            ("NewModel", keys::<NewModel>()),
            ("RolloutConfig", keys::<RolloutConfig>()),
            ("SftStage", keys::<SftStage>()),
            ("SftData", keys::<SftData>()),
            ("RlStage", keys::<RlStage>()),
            ("Gate", keys::<Gate>()),
            ("EvalConfig", keys::<EvalConfig>()),
            ("SaveConfig", keys::<SaveConfig>()),
            ("TrackConfig", keys::<TrackConfig>()),
            ("Sampling", keys::<critique_core::Sampling>()),
            ("RewardMix", keys::<critique_rewards::RewardMix>()),
        ] {
            assert_eq!(written(name), read, "{name}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_types() {
        let schema = schema();
        let of = |table: &str, key: &str| {
            let table = object(&schema, table).unwrap();
            table["properties"][key].clone()
        };
        assert_eq!(of("RlStage", "clip_high")["default"], json!(0.2));
        assert_eq!(of("AdamW", "beta2")["default"], json!(0.95));
        assert!(of("RlStage", "lr").get("default").is_none());
        assert!(of("RlStage", "whiten").get("default").is_none());
    }

    #[test]
    fn every_key_is_explained() {
        let schema = schema();
        for name in TABLES {
            let object = object(&schema, name).unwrap();
            for (key, property) in object["properties"].as_object().unwrap() {
                let about = property["description"].as_str().unwrap_or_default();
                assert!(!about.is_empty() || key == "kind", "{name}.{key}");
                assert!(
                    !about.contains("[`") && !about.contains("]("),
                    "{name}.{key} links"
                );
            }
        }
    }

    /// `CRITIQUE_RL_UPDATE_DOCS=1` writes them anew.
    #[test]
    fn the_tables_of_the_documentation_are_those_of_the_types() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/run-files.md");
        let Ok(before) = std::fs::read_to_string(&path) else {
            return; // a crate by itself has no book
        };
        let schema = schema();
        let mut after = before.clone();
        for name in TABLES {
            let (begin, end) = (
                format!("<!-- {name} -->\n"),
                format!("<!-- end of {name} -->"),
            );
            let start = after.find(&begin).map(|at| at + begin.len());
            let start = start.unwrap_or_else(|| panic!("no `{}` in the book", begin.trim()));
            let length = after[start..].find(&end).unwrap();
            after.replace_range(start..start + length, &table(&schema, name).unwrap());
        }
        if std::env::var_os("CRITIQUE_RL_UPDATE_DOCS").is_some() {
            std::fs::write(&path, after).unwrap();
        } else {
            assert!(
                before == after,
                "docs/run-files.md is not what the types say; CRITIQUE_RL_UPDATE_DOCS=1 writes it"
            );
        }
    }

    const TABLES: [&str; 16] = [
        "RunConfig",
        "ModelSource",
        "NewModel",
        "LoraConfig",
        "RolloutConfig",
        "Sampling",
        "SftStage",
        "SftData",
        "RlStage",
        "RewardMix",
        "Schedule",
        "AdamW",
        "Gate",
        "EvalConfig",
        "SaveConfig",
        "TrackConfig",
    ];
}
