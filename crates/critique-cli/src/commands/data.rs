//! `critique-rl data`: data sets on this machine and on the Hub.

mod classes;
mod critiques;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use critique_core::{Problem, Split, Verdict};
use critique_tasks::data::{Layout, Record, fetch, find_split, read_records, split_of_name};
use critique_tasks::dataset::specs;
use critique_tasks::inspect::{compare, inspect};
use critique_tasks::{Judged, Task, TaskError};

use self::classes::Classes;
use crate::commands::tasks::build;
use crate::failure::Failure;
use crate::input::settings::closest;
use crate::output::out;

/// Fetches and inspects data sets, and makes critiques to learn from.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl data fetch gsm8k",
    "critique-rl data inspect gsm8k path=data/gsm8k --against data/critiques.jsonl",
    "critique-rl data critiques --task gsm8k path=data/gsm8k --actor models/small --critic models/large \\\n    \
       --balanced --out data/critiques.jsonl",
))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Downloads a data set from the Hugging Face Hub and prints its folder
    Fetch {
        /// A data set of `critique-rl tasks list`
        name: String,
        /// Where the files go; the cache of the Hub if absent
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Makes a file of critiques to learn from by SFT
    Critiques(Box<critiques::Args>),
    /// Counts rows and finds questions that stand twice; says of a file of critiques how many are
    /// of each class
    Inspect {
        /// A task, a task file, or a file or folder of rows with `question` and `answer`
        #[arg(value_name = "NAME|PATH")]
        name: String,
        /// Options of the task, such as `path=data/gsm8k`
        #[arg(value_name = "KEY=VALUE")]
        options: Vec<String>,
        /// Finds the rows whose questions also stand in this task or path
        #[arg(long, value_name = "NAME|PATH")]
        against: Option<String>,
        /// Options of the other task; may be given several times
        #[arg(long, value_name = "KEY=VALUE", requires = "against")]
        against_option: Vec<String>,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Fetch { name, to } => fetch_one(name, to.as_deref()),
        Command::Critiques(args) => critiques::run(args),
        Command::Inspect {
            name,
            options,
            against: None,
            json,
            ..
        } => inspect_one(name, options, *json),
        Command::Inspect {
            name,
            options,
            against: Some(other),
            against_option,
            json,
        } => {
            let (name, task) = rows_of(name, options)?;
            let (other, rows) = rows_of(other, against_option)?;
            let found = compare((&name, &*task), (&other, &*rows))?;
            if *json {
                out::say_json(&found)
            } else {
                out::say(found.to_string())
            }
        }
    }
}

fn inspect_one(name: &str, options: &[String], json: bool) -> Result<(), Failure> {
    let (name, task) = rows_of(name, options)?;
    let found = inspect(&name, &*task)?;
    let path = Path::new(&name);
    let classes = if path.is_file() {
        Classes::read(path)?
    } else {
        None
    };
    if json {
        let mut found = serde_json::to_value(&found).map_err(Failure::failed)?;
        if let Some(classes) = classes {
            found["critiques"] = serde_json::to_value(classes).map_err(Failure::failed)?;
        }
        return out::say_json(&found);
    }
    let mut text = found.to_string().trim_end().to_owned();
    if let Some(classes) = classes {
        let _ = write!(text, "\n{classes}");
        if let Some(warning) = classes.warning() {
            let _ = write!(text, "\nnote: {warning}");
        }
    }
    out::say(text)
}

fn fetch_one(name: &str, to: Option<&Path>) -> Result<(), Failure> {
    let all = specs();
    let Some(spec) = all.iter().find(|spec| spec.name == name) else {
        let names: Vec<&str> = all.iter().map(|spec| spec.name).collect();
        let near =
            closest(name, names.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let known = names.join(", ");
        return Err(Failure::usage(format!(
            "unknown data set `{name}`; known data sets: {known}"
        ))
        .with_help(near));
    };
    if let Some(repository) = spec.hub {
        out::tell(format!("fetching `{repository}`"));
    }
    let folder = fetch(spec, to)?;
    out::say(folder.display().to_string())
}

/// The rows of a task, or of plain files.
fn rows_of(name: &str, options: &[String]) -> Result<(String, Box<dyn Task>), Failure> {
    let path = Path::new(name);
    let is_task_file = path.extension().is_some_and(|end| end == "toml");
    // A path is a path where it is written as one; a folder that has a task's name is not meant.
    let is_path = name.contains(['/', '\\', '.']) && !is_task_file;
    if !is_path {
        return build(name, options);
    }
    if !options.is_empty() {
        return Err(Failure::usage(format!(
            "`{name}` is a path and takes no options; expected a task's name"
        )));
    }
    Ok((
        name.to_owned(),
        Box::new(Rows {
            path: path.to_owned(),
        }),
    ))
}

/// What the files of splits are usually called.
const USUAL: Layout = Layout {
    train: &["train"],
    validation: &["validation", "valid", "val", "dev"],
    test: &["test"],
    ..Layout::EMPTY
};

/// Rows of files of no known data set.
struct Rows {
    path: PathBuf,
}

impl Rows {
    fn read(path: &Path) -> Result<Vec<Problem>, TaskError> {
        let problem = |record: Record| {
            let row = |fault: critique_tasks::data::Fault| TaskError::Row {
                path: path.to_owned(),
                line: record.line(),
                message: fault.to_string(),
            };
            let id = record.id(&["id"]);
            let id = id.unwrap_or_else(|| format!("{}:{}", path.display(), record.line()));
            let question = record
                .text(&["question", "problem", "prompt", "input", "Question", "Body"])
                .map_err(row)?;
            let answer = record
                .text_or_empty(&["answer", "target", "output", "Answer"])
                .map_err(row)?;
            let solution = record
                .text_or_empty(&["solution", "rationale"])
                .map_err(row)?;
            Ok(Problem {
                solution,
                ..Problem::new(id, question, answer)
            })
        };
        read_records(path)?.into_iter().map(problem).collect()
    }
}

impl Task for Rows {
    fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError> {
        if self.path.is_dir() {
            let files = find_split(&self.path, &USUAL, split)?;
            let parts = files
                .iter()
                .map(|path| Self::read(path))
                .collect::<Result<Vec<_>, _>>()?;
            return Ok(parts.concat());
        }
        // A file whose name says nothing stands for one split of its own.
        if split_of_name(&self.path).unwrap_or(Split::Train) == split {
            Self::read(&self.path)
        } else {
            Ok(Vec::new())
        }
    }

    fn judge_one(&self, _: &Problem, _: &str) -> Result<Judged, TaskError> {
        Ok(Verdict::Unparsed.into())
    }

    fn gold_response(&self, problem: &Problem) -> String {
        problem.answer.clone()
    }
}
