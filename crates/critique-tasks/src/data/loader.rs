//! The problems of a data set, loaded once: rows, ids, splits.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use critique_core::{Problem, Split};
use serde_json::{Map, Value};

use crate::data::{
    BySplit, Fault, Layout, Record, Row, SPLITS, drop_shared, find_split, hold_out,
    read_records_from, rows, split_of_name,
};
use crate::dataset::{HoldOut, Options, Spec};
use crate::error::{TaskError, split_name};

/// How a record becomes a row.
pub(crate) type ReadRow = Box<dyn Fn(&Record) -> Result<Row, Fault> + Send + Sync>;

/// What a loader needs to know of a data set, from a [`Spec`] or from a task file.
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) summary: String,
    pub(crate) layout: Layout,
    pub(crate) row: ReadRow,
    pub(crate) sample: &'static str,
    /// How to get the data, for the error of a task without a path.
    pub(crate) how_to_get: String,
}

/// The problems of a data set, by its [`Options`]; loaded on first use and kept.
pub struct Loader {
    description: Description,
    options: Options,
    splits: OnceLock<Splits>,
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("name", &self.description.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Splits {
    problems: BySplit<Vec<Problem>>,
    notes: Vec<String>,
}

impl Loader {
    /// A loader of a data set. No file is read before [`Loader::problems`] is called.
    ///
    /// # Errors
    ///
    /// When a value of the options does not fit.
    pub fn from_spec(spec: &'static Spec, options: Options) -> Result<Self, TaskError> {
        let description = Description {
            name: spec.name.to_owned(),
            summary: spec.summary.to_owned(),
            layout: spec.layout,
            row: Box::new(|record| spec.read(record)),
            sample: spec.sample,
            how_to_get: how_to_get(spec),
        };
        Self::new(description, options)
    }

    pub(crate) fn new(description: Description, options: Options) -> Result<Self, TaskError> {
        let HoldOut { validation, test } = options.hold_out;
        if !(validation >= 0.0 && test >= 0.0 && validation + test < 1.0) {
            return Err(TaskError::Data {
                message: format!(
                    "`hold_out` of task `{}`: found shares {validation} and {test}; they must be \
                     at least 0 and leave rows to train on",
                    description.name
                ),
            });
        }
        Ok(Self {
            description,
            options,
            splits: OnceLock::new(),
        })
    }

    /// What run files and ids call the data set.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// One line about it.
    pub fn summary(&self) -> &str {
        &self.description.summary
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The problems of a split; empty where the data set has none.
    ///
    /// # Errors
    ///
    /// When a file is missing, a row is not what it should be, or splits share problems.
    pub fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError> {
        let splits = self.splits()?;
        Ok(splits.problems.get(split).cloned().unwrap_or_default())
    }

    /// What happened to the rows on loading, a line each.
    ///
    /// # Errors
    ///
    /// As [`Loader::problems`].
    pub fn notes(&self) -> Result<Vec<String>, TaskError> {
        Ok(self.splits()?.notes.clone())
    }

    fn splits(&self) -> Result<&Splits, TaskError> {
        if let Some(splits) = self.splits.get() {
            return Ok(splits);
        }
        let splits = self.load()?;
        Ok(self.splits.get_or_init(|| splits))
    }

    fn load(&self) -> Result<Splits, TaskError> {
        let mut rows = self.rows()?;
        let mut splits = Splits::default();
        for split in SPLITS {
            if let Some(rows) = rows.slot(split).take() {
                let problems = self.problems_of(split, rows, &mut splits.notes);
                *splits.problems.slot(split) = Some(problems);
            }
        }
        self.check_ids(&splits)?;
        separate(&mut splits, Split::Train, Split::Test)?;
        separate(&mut splits, Split::Train, Split::Validation)?;
        separate(&mut splits, Split::Validation, Split::Test)?;
        self.fill_by_hold_out(&mut splits);
        if let Some(limit) = self.options.limit {
            for split in SPLITS {
                if let Some(problems) = splits.problems.slot(split) {
                    problems.truncate(limit);
                }
            }
        }
        Ok(splits)
    }

    /// The problems that are wanted of a split's rows, numbered by their place among all.
    /// Unsound rows are left out of train and validation; test stays as published, so that
    /// figures compare.
    fn problems_of(&self, split: Split, rows: Vec<Row>, notes: &mut Vec<String>) -> Vec<Problem> {
        let keeps = split == Split::Test || self.options.keep_unsound;
        let mut problems = Vec::with_capacity(rows.len());
        let mut unsound: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (number, row) in rows.into_iter().enumerate() {
            if !self.is_wanted(&row.meta) {
                continue;
            }
            let why = row.unsound;
            let problem = row.problem(&self.description.name, split, number);
            if let Some(why) = why {
                unsound.entry(why).or_default().push(problem.id.clone());
            }
            if keeps || why.is_none() {
                problems.push(problem);
            }
        }
        for (why, ids) in unsound {
            notes.push(format!(
                "{} rows of {} {}: {why}: `{}`",
                ids.len(),
                split_name(split),
                if keeps {
                    "are kept though unsound"
                } else {
                    "are unsound and were left out"
                },
                ids.join("`, `")
            ));
        }
        problems
    }

    fn rows(&self) -> Result<BySplit<Vec<Row>>, TaskError> {
        if self.options.sample {
            let place = PathBuf::from(format!("{}/sample.jsonl", self.description.name));
            let records = read_records_from(&place, self.description.sample)?;
            return self.by_split(&place, records.into_iter().map(Ok), Split::Test);
        }
        if !self.options.files.is_empty() {
            return self.rows_of_files();
        }
        let Some(path) = &self.options.path else {
            return Err(self.no_path());
        };
        if path.is_dir() {
            return self.rows_of_folder(path);
        }
        if !path.exists() {
            let how = self.description.how_to_get.trim();
            let message = "is not there; expected a file or a folder of rows";
            return Err(TaskError::File {
                path: path.clone(),
                message: if how.is_empty() {
                    message.to_owned()
                } else {
                    format!("{message}. {how}")
                },
            });
        }
        let split = self
            .options
            .split
            .or_else(|| split_of_name(path))
            .unwrap_or(Split::Test);
        self.by_split(path, rows(path)?, split)
    }

    fn no_path(&self) -> TaskError {
        TaskError::Data {
            message: format!(
                "task `{}` has no data yet: give `path = ..` in its table, a file or a folder. {}",
                self.description.name, self.description.how_to_get
            ),
        }
    }

    fn rows_of_files(&self) -> Result<BySplit<Vec<Row>>, TaskError> {
        let mut rows = BySplit::default();
        for (split, file) in self.options.files.iter() {
            let file = match &self.options.path {
                Some(folder) => folder.join(file),
                None => file.clone(),
            };
            *rows.slot(split) = Some(self.rows_of(&file)?);
        }
        Ok(rows)
    }

    fn rows_of_folder(&self, folder: &Path) -> Result<BySplit<Vec<Row>>, TaskError> {
        let mut rows = BySplit::default();
        for split in SPLITS {
            for file in find_split(folder, &self.description.layout, split)? {
                rows.slot(split)
                    .get_or_insert_with(Vec::new)
                    .extend(self.rows_of(&file)?);
            }
        }
        if rows.is_empty() {
            return Err(TaskError::File {
                path: folder.to_owned(),
                message: self.nothing_found(),
            });
        }
        Ok(rows)
    }

    fn nothing_found(&self) -> String {
        let layout = &self.description.layout;
        let names: Vec<_> = SPLITS
            .iter()
            .flat_map(|split| layout.stems(*split))
            .map(|stem| format!("`{stem}`"))
            .collect();
        format!(
            "no file of task `{}` is in this folder; a file named {} with the ending `.jsonl`, \
             `.jsonl.gz`, `.json` or `.parquet` would do, or name the files in `files`",
            self.description.name,
            names.join(" or ")
        )
    }

    /// The rows of a file that is one split.
    fn rows_of(&self, file: &Path) -> Result<Vec<Row>, TaskError> {
        rows(file)?.map(|record| self.row(file, &record?)).collect()
    }

    /// The rows of a single file, by the split they name, or all in `split`.
    fn by_split(
        &self,
        place: &Path,
        records: impl Iterator<Item = Result<Record, TaskError>>,
        split: Split,
    ) -> Result<BySplit<Vec<Row>>, TaskError> {
        let mut rows = BySplit::default();
        for record in records {
            let row = self.row(place, &record?)?;
            rows.slot(row.split.unwrap_or(split))
                .get_or_insert_with(Vec::new)
                .push(row);
        }
        Ok(rows)
    }

    fn row(&self, file: &Path, record: &Record) -> Result<Row, TaskError> {
        (self.description.row)(record)
            .map_err(|fault| crate::data::row_error(file, record.line(), &fault))
    }

    fn is_wanted(&self, meta: &Map<String, Value>) -> bool {
        self.options.only.iter().all(|(field, wanted)| {
            meta.get(field).is_none_or(|found| {
                wanted
                    .as_slice()
                    .iter()
                    .any(|value| same_value(found, value))
            })
        })
    }

    fn check_ids(&self, splits: &Splits) -> Result<(), TaskError> {
        for (split, problems) in splits.problems.iter() {
            let mut seen = HashMap::new();
            for (number, problem) in problems.iter().enumerate() {
                let Some(other) = seen.insert(problem.id.as_str(), number) else {
                    continue;
                };
                return Err(TaskError::Data {
                    message: format!(
                        "task `{}`: id `{}` stands on rows {} and {} of the {} split; ids must \
                         be unique",
                        self.description.name,
                        problem.id,
                        other + 1,
                        number + 1,
                        split_name(split)
                    ),
                });
            }
        }
        Ok(())
    }

    fn fill_by_hold_out(&self, splits: &mut Splits) {
        let shares = [
            (Split::Test, self.options.hold_out.test),
            (Split::Validation, self.options.hold_out.validation),
        ];
        for (split, share) in shares {
            if splits.problems.get(split).is_some() {
                continue;
            }
            let Some(train) = &mut splits.problems.train else {
                return;
            };
            let held = hold_out(train, share, split);
            if !held.is_empty() {
                splits.notes.push(format!(
                    "{} rows of train serve as {}",
                    held.len(),
                    split_name(split)
                ));
                *splits.problems.slot(split) = Some(held);
            }
        }
    }
}

/// Leaves out of one split what also stands in the other, and notes it.
fn separate(splits: &mut Splits, split: Split, kept: Split) -> Result<(), TaskError> {
    let Some(mut rows) = splits.problems.slot(split).take() else {
        return Ok(());
    };
    let others = splits.problems.get(kept).map_or(&[][..], Vec::as_slice);
    let dropped = drop_shared(split, &mut rows, kept, others)?;
    *splits.problems.slot(split) = Some(rows);
    if !dropped.is_empty() {
        let pairs: Vec<_> = dropped
            .iter()
            .map(|row| format!("`{}` = `{}`", row.id, row.same_as))
            .collect();
        splits.notes.push(format!(
            "{} rows of {} also stand in {} and were left out: {}",
            dropped.len(),
            split_name(split),
            split_name(kept),
            pairs.join(", ")
        ));
    }
    Ok(())
}

fn how_to_get(spec: &Spec) -> String {
    let fetch = spec.hub.map_or_else(String::new, |hub| {
        format!(
            "`critique-rl data fetch {}` downloads `{hub}` from the Hugging Face Hub (a build \
             with the feature `hub`). ",
            spec.name
        )
    });
    format!("{fetch}`sample = true` uses the few rows that ship with the task.")
}

/// Whether a JSON value is the one that an option names.
fn same_value(found: &Value, wanted: &toml::Value) -> bool {
    match (found, wanted) {
        (Value::String(found), toml::Value::String(wanted)) => found == wanted,
        (Value::Bool(found), toml::Value::Boolean(wanted)) => found == wanted,
        (Value::Number(found), toml::Value::Integer(wanted)) => found.as_i64() == Some(*wanted),
        (Value::Number(found), toml::Value::Float(wanted)) => found.as_f64() == Some(*wanted),
        _ => false,
    }
}
