//! `key.path=value` on the command line and `CRITIQUE_RL_*` in the environment.

use toml::{Table, Value};

use crate::failure::Failure;

/// Variables of the environment, and the keys of a run file that they set.
pub(crate) const VARIABLES: [(&str, &str); 4] = [
    ("CRITIQUE_RL_DEVICE", "device"),
    ("CRITIQUE_RL_OUT", "out"),
    ("CRITIQUE_RL_SEED", "seed"),
    ("CRITIQUE_RL_THREADS", "threads"),
];

/// One setting that goes before the run file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// Keys from the outermost in; an entry of a list goes by its `name` or its index.
    pub(crate) path: Vec<String>,
    /// What is set.
    pub(crate) value: Value,
    /// How a person wrote it.
    pub(crate) written: String,
}

impl Setting {
    /// Reads `key.path=value`. The value is TOML; what is no TOML is a text.
    pub(crate) fn parse(written: &str) -> Result<Self, Failure> {
        let wanted = || {
            format!(
                "`{written}` is no setting; expected `key=value`, such as `stages.stage1.lr=1e-5`"
            )
        };
        let Some((path, value)) = written.split_once('=') else {
            return Err(Failure::usage(wanted()));
        };
        let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(Failure::usage(wanted()));
        }
        Ok(Self {
            path,
            value: value_of(value),
            written: format!("`{written}` on the command line"),
        })
    }

    /// The settings that the environment holds.
    pub(crate) fn of_environment() -> Vec<Self> {
        let set = |(variable, key): (&str, &str)| {
            let value = std::env::var(variable)
                .ok()
                .filter(|value| !value.is_empty())?;
            Some(Self {
                path: vec![key.to_owned()],
                value: value_of(&value),
                written: format!("`{variable}={value}` in the environment"),
            })
        };
        VARIABLES.into_iter().filter_map(set).collect()
    }

    /// Puts the value into a table, and gives the path with names of list entries as indices.
    pub(crate) fn apply(&self, table: &mut Table) -> Result<Vec<String>, Failure> {
        let refuse = |message: String| Failure::usage(format!("{}: {message}", self.written));
        let (last, before) = self.path.split_last().unwrap_or((&self.path[0], &[]));
        let mut walked: Vec<String> = Vec::new();
        let mut at = Place::Table(table);
        for key in before {
            let next = at
                .enter(key)
                .map_err(|why| refuse(why.text(&walked, key)))?;
            walked.push(next.0);
            at = next.1;
        }
        let key = at
            .put(last, self.value.clone())
            .map_err(|why| refuse(why.text(&walked, last)))?;
        walked.push(key);
        Ok(walked)
    }
}

/// Several settings as a table: the options of a task.
pub(crate) fn table_of(settings: &[String]) -> Result<Table, Failure> {
    let mut table = Table::new();
    for written in settings {
        Setting::parse(written)?.apply(&mut table)?;
    }
    Ok(table)
}

/// A value as TOML, or as the text that it is.
fn value_of(text: &str) -> Value {
    let text = text.trim();
    let parsed = toml::from_str::<Table>(&format!("value = {text}"));
    match parsed {
        Ok(mut table) if table.len() == 1 => table
            .remove("value")
            .unwrap_or_else(|| Value::String(text.to_owned())),
        _ => Value::String(text.to_owned()),
    }
}

/// A table or list on the way to what is set.
enum Place<'a> {
    Table(&'a mut Table),
    List(&'a mut Vec<Value>),
}

/// Why a path does not lead on.
enum Stuck {
    /// There is a plain value already.
    NoTable,
    /// The list has no such entry; those it has.
    NoEntry(Vec<String>),
}

impl Stuck {
    fn text(&self, walked: &[String], key: &str) -> String {
        let whole = walked
            .iter()
            .map(String::as_str)
            .chain([key])
            .collect::<Vec<_>>()
            .join(".");
        match self {
            Self::NoTable => format!("`{whole}` is a plain value with nothing below it"),
            Self::NoEntry(known) => {
                let walked = walked.join(".");
                let near = closest(key, known.iter().map(String::as_str));
                let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                format!(
                    "`{walked}` has no entry `{key}`; entries: {}{near}",
                    known.join(", ")
                )
            }
        }
    }
}

impl<'a> Place<'a> {
    fn of(value: &'a mut Value) -> Result<Self, Stuck> {
        match value {
            Value::Table(table) => Ok(Self::Table(table)),
            Value::Array(list) => Ok(Self::List(list)),
            _ => Err(Stuck::NoTable),
        }
    }

    /// One step in; a table that is not there is made.
    fn enter(self, key: &str) -> Result<(String, Place<'a>), Stuck> {
        match self {
            Self::Table(table) => {
                let value = table
                    .entry(key)
                    .or_insert_with(|| Value::Table(Table::new()));
                Ok((key.to_owned(), Place::of(value)?))
            }
            Self::List(list) => {
                let index = index_of(list, key)?;
                Ok((index.to_string(), Place::of(&mut list[index])?))
            }
        }
    }

    fn put(self, key: &str, value: Value) -> Result<String, Stuck> {
        match self {
            Self::Table(table) => {
                table.insert(key.to_owned(), value);
                Ok(key.to_owned())
            }
            Self::List(list) => {
                let index = index_of(list, key)?;
                list[index] = value;
                Ok(index.to_string())
            }
        }
    }
}

/// An entry of a list by its `name`, or by its index.
fn index_of(list: &[Value], key: &str) -> Result<usize, Stuck> {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    let by_name = list
        .iter()
        .position(|value| name(value).as_deref() == Some(key));
    let by_index = || key.parse().ok().filter(|&index: &usize| index < list.len());
    by_name.or_else(by_index).ok_or_else(|| {
        Stuck::NoEntry(
            list.iter()
                .enumerate()
                .map(|(i, v)| name(v).unwrap_or_else(|| i.to_string()))
                .collect(),
        )
    })
}

/// The known word that a mistyped one is most like, if any is like it.
pub(crate) fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let like = |known: &'a str| (strsim::jaro_winkler(word, known), known);
    let best = known.map(like).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.8).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(file: &str, settings: &[&str]) -> Result<String, Failure> {
        let mut table: Table = toml::from_str(file).unwrap();
        for written in settings {
            Setting::parse(written)?.apply(&mut table)?;
        }
        Ok(toml::to_string(&table).unwrap())
    }

    #[test]
    fn values_are_toml_and_else_texts() {
        let table = table_of(&[
            "a=1".into(),
            "b=[0.5]".into(),
            "c=cuda:0".into(),
            "d=\"1\"".into(),
            "e.f=true".into(),
        ]);
        assert_eq!(
            toml::to_string(&table.unwrap()).unwrap(),
            "a = 1\nb = [0.5]\nc = \"cuda:0\"\nd = \"1\"\n\n[e]\nf = true\n"
        );
    }

    #[test]
    fn a_value_cannot_smuggle_in_other_keys() {
        let table = table_of(&["a=1\nseed = 2".into()]).unwrap();
        assert_eq!(table["a"], Value::String("1\nseed = 2".into()));
    }

    #[test]
    fn entries_of_lists_go_by_name_or_index() {
        let file = "[[stages]]\nname = \"a\"\n[[stages]]\nname = \"b\"\n";
        let done = applied(file, &["stages.b.lr=1", "stages.0.lr=2"]).unwrap();
        let wanted = "[[stages]]\nname = \"a\"\nlr = 2\n\n[[stages]]\nname = \"b\"\nlr = 1\n";
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        assert_eq!(table(&done), table(wanted));
    }

    #[test]
    fn a_wrong_path_says_where_it_ends() {
        let file = "seed = 1\n[[stages]]\nname = \"stage1\"\n";
        let why = |setting| match applied(file, &[setting]) {
            Err(failure) => format!("{failure:?}"),
            Ok(text) => panic!("{text}"),
        };
        assert!(
            why("stages.stage2.lr=1").contains(
                "`stages` has no entry `stage2`; entries: stage1; did you mean `stage1`?"
            )
        );
        assert!(why("seed.x=1").contains("`seed` is a plain value with nothing below it"));
        assert!(why("seed").contains("expected `key=value`"));
    }
}
