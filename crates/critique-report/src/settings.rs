//! Settings as a flat list: what each is by default, and where runs differ.

use std::collections::{BTreeMap, BTreeSet};

use critique_run::RunConfig;
use toml::{Table, Value};

use crate::run::Run;

/// One setting over all runs.
#[derive(Debug, PartialEq)]
pub(crate) struct Setting {
    /// Its place, such as `stages.stage1.lr`.
    pub(crate) key: String,
    /// What it is where nobody sets it; nothing where it must be set, or has no default.
    pub(crate) default: Option<String>,
    /// What it is in each run; nothing where a run has none.
    pub(crate) values: Vec<Option<String>>,
}

impl Setting {
    /// Whether it is the same in all runs.
    pub(crate) fn is_shared(&self) -> bool {
        self.values.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Whether some run has it other than by default.
    pub(crate) fn is_set(&self) -> bool {
        let mut values = self.values.iter().flatten();
        values.any(|value| Some(value) != self.default.as_ref())
    }
}

/// All settings of these runs, stages in the order of the run.
pub(crate) fn settings(runs: &[&Run]) -> Vec<Setting> {
    let mut order: Vec<String> = Vec::new();
    let mut known = BTreeSet::new();
    let mut values: Vec<BTreeMap<String, (String, Vec<Key>)>> = Vec::new();
    for run in runs {
        let mut flat = Vec::new();
        flatten(
            &Value::Table(run.table.clone()),
            &mut Vec::new(),
            "",
            &mut flat,
        );
        for (name, _, _) in &flat {
            if known.insert(name.clone()) {
                order.push(name.clone());
            }
        }
        let entry = |(name, path, text)| (name, (text, path));
        values.push(flat.into_iter().map(entry).collect());
    }
    let setting = |key: String| {
        let found = values.iter().map(|run| run.get(&key));
        let texts: Vec<_> = found
            .map(|found| found.map(|(text, _)| text.clone()))
            .collect();
        let of = texts.iter().position(Option::is_some).unwrap_or(0);
        let path = values[of].get(&key).map(|(_, path)| path.as_slice());
        Setting {
            default: path.and_then(|path| default(&runs[of].table, path)),
            values: texts,
            key,
        }
    };
    order.into_iter().map(setting).collect()
}

/// Groups of runs whose settings are the same but for the seed: the number of each run's group.
/// Models may lie in folders that are named after the seed, such as `runs/3/skills` or `seed-3`.
pub(crate) fn arms(runs: &[&Run]) -> Vec<usize> {
    let mut known: Vec<Table> = Vec::new();
    let mut arm = |run: &Run| {
        let mut table = run.table.clone();
        // None of these makes a run another experiment.
        table.retain(|key, _| !matches!(key, "seed" | "out" | "threads" | "recompute" | "save"));
        let models = table.get_mut("models").and_then(Value::as_table_mut);
        for model in models.into_iter().flatten() {
            if let Some(Value::String(path)) = model.1.get_mut("path") {
                *path = without_seed(path, &run.table);
            }
        }
        let found = known.iter().position(|other| *other == table);
        found.unwrap_or_else(|| {
            known.push(table);
            known.len() - 1
        })
    };
    runs.iter().map(|run| arm(run)).collect()
}

/// A path with a mark where folders are named after the seed of the run: `3`, `seed-3`, `seed3`.
fn without_seed(path: &str, run: &Table) -> String {
    let seed = run.get("seed").map_or(String::new(), Value::to_string);
    let marked = |name: &str| match name.strip_suffix(&seed) {
        Some(start) if !seed.is_empty() && is_before_seed(start) => format!("{start}{{seed}}"),
        _ => name.to_owned(),
    };
    path.split('/').map(marked).collect::<Vec<_>>().join("/")
}

/// Whether a number behind it may be a seed: `stage1` is no seed, nor is `model-0.1`.
fn is_before_seed(start: &str) -> bool {
    start.is_empty() || start.ends_with("seed") || start.ends_with(['-', '_'])
}

/// A step on the way to a setting.
#[derive(Debug, Clone, PartialEq)]
enum Key {
    Name(String),
    At(usize),
}

/// Every value that is no table: its name, its place, and itself as text.
fn flatten(
    value: &Value,
    path: &mut Vec<Key>,
    name: &str,
    flat: &mut Vec<(String, Vec<Key>, String)>,
) {
    let below = |key: &str| {
        if name.is_empty() {
            key.to_owned()
        } else {
            format!("{name}.{key}")
        }
    };
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                path.push(Key::Name(key.clone()));
                flatten(value, path, &below(key), flat);
                path.pop();
            }
        }
        Value::Array(list) if list.iter().any(Value::is_table) => {
            for (at, value) in list.iter().enumerate() {
                // Stages go by their names, so that those of two runs stand beside each other.
                let own = value.get("name").and_then(Value::as_str);
                let own = own.map_or_else(|| at.to_string(), str::to_owned);
                path.push(Key::At(at));
                flatten(value, path, &below(&own), flat);
                path.pop();
            }
        }
        value => flat.push((name.to_owned(), path.clone(), value.to_string())),
    }
}

/// What a setting is in the same run file without it, or without a table around it: one that says
/// how another choice is made, such as `gated` in place of `"additive"`, has that choice by default.
fn default(table: &Table, path: &[Key]) -> Option<String> {
    let mut own = None;
    for length in (1..=path.len()).rev() {
        let read = without(table, &path[..length]);
        match read.and_then(|read| nearest(&read, path)) {
            Some((choice, true)) => return Some(choice),
            Some((value, false)) => own = own.or(Some(value)),
            None => {}
        }
    }
    own
}

/// The resolved run file without what stands at this place; nothing where it cannot be without.
fn without(table: &Table, path: &[Key]) -> Option<Value> {
    let mut rest = Value::Table(table.clone());
    remove(&mut rest, path)?;
    let read: RunConfig = rest.try_into().ok()?;
    toml::from_str(&toml::to_string(&read).ok()?).ok()
}

fn remove(value: &mut Value, path: &[Key]) -> Option<()> {
    match path {
        [Key::Name(name)] => value.as_table_mut()?.remove(name).map(|_| ()),
        [] | [Key::At(_)] => None,
        [Key::Name(name), rest @ ..] => remove(value.as_table_mut()?.get_mut(name)?, rest),
        [Key::At(at), rest @ ..] => remove(value.as_array_mut()?.get_mut(*at)?, rest),
    }
}

/// The value at this place, or what stands in place of a table around it, and whether it is that.
fn nearest(value: &Value, path: &[Key]) -> Option<(String, bool)> {
    let Some((first, rest)) = path.split_first() else {
        return Some((value.to_string(), false));
    };
    let below = match first {
        Key::Name(name) => value.get(name.as_str()),
        Key::At(at) => value.get(*at),
    };
    match below {
        Some(below) => nearest(below, rest),
        None if value.is_table() || value.is_array() => None,
        None => Some((value.to_string(), true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        seed = 1
        out = "x"
        task = { name = "arithmetic", test = 40 }
        models.base.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }
        [[stages]]
        kind = "rl"
        name = "stage1"
        model = "base"
        steps = 3
        lr = 1e-3
        clip_low = 0.2
        kl_coef = 0.01
        rewards = { discriminability = 1.0, mode = { gated = { wrong = -1.0 } } }
    "#;

    fn default_of(path: &[Key]) -> Option<String> {
        default(&toml::from_str(FILE).unwrap(), path)
    }

    fn path(text: &str) -> Vec<Key> {
        let key = |key: &str| key.parse().map_or_else(|_| Key::Name(key.into()), Key::At);
        text.split('.').map(key).collect()
    }

    #[test]
    fn folders_named_after_the_seed_are_the_same_for_all_seeds() {
        let run: Table = "seed = 3".parse().unwrap();
        let path = |text| without_seed(text, &run);
        assert_eq!(path("runs/toy/3/skills"), "runs/toy/{seed}/skills");
        assert_eq!(path("seed-3/actor"), "seed-{seed}/actor");
        assert_eq!(path("seed3/actor"), "seed{seed}/actor");
        assert_eq!(path("runs/13/model-0.3/stage3"), "runs/13/model-0.3/stage3");
    }

    #[test]
    fn a_default_is_what_the_file_means_without_the_setting() {
        assert_eq!(
            default_of(&path("stages.0.clip_low")).as_deref(),
            Some("0.2")
        );
        let gate = default_of(&path("stages.0.rewards.mode.gated.wrong"));
        assert_eq!(gate.as_deref(), Some("\"additive\""));
        assert_eq!(default_of(&path("stages.0.steps")), None);
        assert_eq!(default_of(&path("task.test")), None);
    }
}
