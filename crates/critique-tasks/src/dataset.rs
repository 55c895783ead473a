//! A task made of a data set and a verifier: what most tasks are.
//!
//! A task crate describes its data set in a [`Spec`] and registers it with
//! [`submit_dataset!`](crate::submit_dataset); everything else is here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use critique_core::{Problem, Split};
use serde::Deserialize;

use crate::data::{BySplit, Fault, Layout, Loader, Record, Row};
use crate::error::TaskError;
use crate::judge::{Judge, OneOrMany};
use crate::judged::Judged;
use crate::prompts::PromptStyle;
use crate::task::Task;

/// A data set as its task crate describes it.
#[derive(Debug)]
pub struct Spec {
    /// What run files call it.
    pub name: &'static str,
    /// One line for `critique-rl tasks list`.
    pub summary: &'static str,
    /// The licence of the data, as its publisher states it.
    pub licence: &'static str,
    /// The data set on the Hugging Face Hub, such as `openai/gsm8k`.
    pub hub: Option<&'static str>,
    /// How its files lie in a folder.
    pub layout: Layout,
    /// Turns a row with the publisher's columns into ours; rows in the uniform layout
    /// ([`Record::uniform`]) never reach it.
    pub row: fn(&Record) -> Result<Row, Fault>,
    /// Mends what is known to be odd in a row, whatever its layout was, or marks a row that
    /// contradicts itself as [`unsound`](Row::unsound).
    pub mend: Option<fn(Row) -> Row>,
    /// A few rows of our own making, as JSON lines in the uniform layout with a `split` each;
    /// used with `sample = true`.
    pub sample: &'static str,
}

impl Spec {
    /// The row of a record, in whichever layout it is.
    ///
    /// # Errors
    ///
    /// When a field is missing or is not what it should be.
    pub fn read(&self, record: &Record) -> Result<Row, Fault> {
        let row = if record.is_uniform() {
            record.uniform()?
        } else {
            (self.row)(record)?
        };
        Ok(match self.mend {
            Some(mend) => mend(row),
            None => row,
        })
    }
}

/// A [`Spec`] registered by [`submit_dataset!`](crate::submit_dataset).
#[derive(Debug)]
pub struct RegisteredSpec(pub &'static Spec);

inventory::collect!(RegisteredSpec);

/// Registers a data set as a task, with the kind of its answers or, after `build:`, with a
/// function that makes the task from its options.
///
/// ```
/// use critique_tasks::data::{Layout, Row};
/// use critique_tasks::dataset::Spec;
/// use critique_tasks::verify::Kind;
///
/// critique_tasks::submit_dataset! { &SUMS, Kind::Gsm8k }
///
/// static SUMS: Spec = Spec {
///     name: "sums",
///     summary: "sums of two numbers",
///     licence: "CC0-1.0",
///     hub: None,
///     layout: Layout { test: &["test"], ..Layout::EMPTY },
///     row: |record| Ok(Row::new(record.text(&["sum"])?, record.text(&["total"])?)),
///     mend: None,
///     sample: "",
/// };
///
/// assert_eq!(critique_tasks::find("sums")?.summary, "sums of two numbers");
/// # Ok::<(), critique_tasks::TaskError>(())
/// ```
#[macro_export]
macro_rules! submit_dataset {
    ($spec:expr, build: $build:expr $(,)?) => {
        $crate::inventory::submit! {
            $crate::TaskPlugin {
                name: ($spec).name,
                summary: ($spec).summary,
                build: $build,
            }
        }
        $crate::inventory::submit! { $crate::dataset::RegisteredSpec($spec) }
    };
    ($spec:expr, $kind:expr $(,)?) => {
        $crate::submit_dataset! {
            $spec,
            build: |options| {
                let judge = $crate::Judge::new($kind);
                Ok(Box::new($crate::dataset::Dataset::from_spec($spec, judge, options)?))
            },
        }
    };
}

/// The data sets linked into this binary, by name.
pub fn specs() -> Vec<&'static Spec> {
    let mut all: Vec<_> = inventory::iter::<RegisteredSpec>
        .into_iter()
        .map(|registered| registered.0)
        .collect();
    all.sort_by_key(|spec| spec.name);
    all
}

/// Options of the `task` table that every data set takes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// A file of rows, or a folder with a file for each split.
    pub path: Option<PathBuf>,
    /// The file of each split, where names differ from the usual; below `path` where that is
    /// given. Splits not named here do not exist.
    pub files: BySplit<PathBuf>,
    /// The split that a single file holds, where neither its name nor its rows say so.
    pub split: Option<Split>,
    /// Uses the few rows that ship with the task, for trying things out.
    pub sample: bool,
    /// Most problems in each split; all where absent.
    pub limit: Option<usize>,
    /// Keeps training rows that contradict themselves ([`Row::unsound`]); the test split keeps
    /// them anyway.
    pub keep_unsound: bool,
    /// Shares of the training rows that become splits the data set does not have.
    pub hold_out: HoldOut,
    /// Keeps rows whose `meta` field has one of these values, such as
    /// `only = { level = ["Level 4", "Level 5"] }`; a row without the field is kept.
    pub(crate) only: BTreeMap<String, OneOrMany<toml::Value>>,
    /// Judges by the rules of the method's released code, for comparison only.
    pub compat: bool,
    /// Changes to the options of comparison, such as `{ relative_tolerance = 0.01 }`.
    pub verify: toml::Table,
    /// Changes to the three prompts, by the field names of [`PromptStyle`].
    pub prompts: toml::Table,
}

/// Shares of the training rows, in `0..1`, that become other splits; see
/// [`hold_out`](crate::data::hold_out) for which rows.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldOut {
    /// For a data set without a validation split; 0 gives none.
    pub validation: f64,
    /// For a data set without a test split; 0 gives none.
    pub test: f64,
}

impl Default for HoldOut {
    fn default() -> Self {
        Self {
            validation: 0.05,
            test: 0.0,
        }
    }
}

/// A data set with its verifier and prompts.
#[derive(Debug)]
pub struct Dataset {
    loader: Loader,
    judge: Judge,
    prompts: PromptStyle,
}

impl Dataset {
    /// The task of a data set, from its options: the `task` table of a run file without
    /// `name`. No file is read before [`Task::problems`] is called.
    ///
    /// # Errors
    ///
    /// When a key is unknown or a value does not fit.
    pub fn from_spec(
        spec: &'static Spec,
        judge: Judge,
        options: toml::Table,
    ) -> Result<Self, TaskError> {
        let options = Options::deserialize(options)?;
        Self::new(Loader::from_spec(spec, options)?, judge)
    }

    pub(crate) fn new(loader: Loader, judge: Judge) -> Result<Self, TaskError> {
        let options = loader.options();
        if options.compat && !options.verify.is_empty() {
            return Err(TaskError::Data {
                message: format!(
                    "task `{}` has both `compat = true` and `verify`; the released rules have no \
                     options",
                    loader.name()
                ),
            });
        }
        let judge = if options.compat {
            Judge::compat(judge.kind())
        } else {
            judge.with(&options.verify)?
        };
        let prompts = judge.prompts().with(&options.prompts)?;
        Ok(Self {
            loader,
            judge,
            prompts,
        })
    }

    /// What run files and ids call it.
    pub fn name(&self) -> &str {
        self.loader.name()
    }

    /// One line about it.
    pub fn summary(&self) -> &str {
        self.loader.summary()
    }
}

impl Task for Dataset {
    fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError> {
        let mut problems = self.loader.problems(split)?;
        if !self.judge.has_options() {
            // The answer is no letter, whatever the question lists.
            for problem in &mut problems {
                problem.choices.clear();
            }
        }
        Ok(problems)
    }

    fn judge_one(&self, problem: &Problem, text: &str) -> Result<Judged, TaskError> {
        Ok(self.judge.judge(problem, text))
    }

    fn gold_response(&self, problem: &Problem) -> String {
        self.judge.gold_response(problem)
    }

    fn stated_solution(&self, problem: &Problem) -> Option<String> {
        self.judge.stated_solution(problem)
    }

    fn prompts(&self) -> PromptStyle {
        self.prompts.clone()
    }

    fn notes(&self) -> Result<Vec<String>, TaskError> {
        self.loader.notes()
    }
}
