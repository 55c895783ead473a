//! `critique-rl tasks`: what tasks there are, whether their data is sound, and a new one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use critique_core::{Problem, Prompt, Role, Split};
use critique_tasks::{Task, TaskError, build_from_table, check, data, plugins, scaffold};
use serde_json::json;
use toml::Value;

use crate::failure::{Exit, Failure};
use crate::input::settings::{closest, table_of};
use crate::output::out;

/// Lists, shows, checks and starts tasks.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl tasks list",
    "critique-rl tasks show gsm8k sample=true",
    "critique-rl tasks check my-task.toml",
    "critique-rl tasks new my-task",
))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the tasks of this build
    List {
        /// Prints one JSON list
        #[arg(long)]
        json: bool,
    },
    /// Shows a task: its splits, a problem, and the prompts made of it
    Show(TaskArgs),
    /// Checks every row: ids, answers, and what the verifier makes of them; exit code 1 if rows fail
    Check {
        #[command(flatten)]
        task: TaskArgs,
        /// The share of rows that may fail
        #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
        allow: f64,
        /// Prints one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Writes the crate of a new task, ready to compile
    New {
        /// The task's name, such as `my-task`
        name: String,
        /// Where the crate's folder is made
        #[arg(long, default_value = ".", value_name = "DIR")]
        path: PathBuf,
    },
}

/// A task with its options.
#[derive(Debug, clap::Args)]
pub(crate) struct TaskArgs {
    /// A name of `critique-rl tasks list`, or a task file (`my-task.toml`)
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Options of the task, such as `path=data/gsm8k` or `sample=true`
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) options: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::List { json } => list(*json),
        Command::Show(task) => show(task),
        Command::Check { task, allow, json } => check_rows(task, *allow, *json),
        Command::New { name, path } => new(name, path),
    }
}

/// A task by its name, or from its file, with options `key=value`.
pub(crate) fn build(name: &str, options: &[String]) -> Result<(String, Box<dyn Task>), Failure> {
    let mut table = table_of(options)?;
    let is_file = PathBuf::from(name)
        .extension()
        .is_some_and(|end| end == "toml");
    table.insert(
        if is_file { "file" } else { "name" }.to_owned(),
        Value::String(name.to_owned()),
    );
    build_from_table(table).map_err(|error| {
        let of_task_file = |path: &Path| is_file && path == Path::new(name);
        let is_usage = match &error {
            TaskError::File { path, .. }
            | TaskError::Row { path, .. }
            | TaskError::Read { path, .. } => of_task_file(path),
            _ => false,
        };
        if is_usage {
            return Failure::from(error).with_exit(Exit::Usage);
        }
        let near = match &error {
            TaskError::Unknown { name, known } => closest(name, known.iter().copied()),
            _ => None,
        };
        Failure::from(error).with_help(near.map(|near| format!("did you mean `{near}`?")))
    })
}

fn list(json: bool) -> Result<(), Failure> {
    let all = plugins();
    if json {
        let one = |p: &&critique_tasks::TaskPlugin| json!({"name": p.name, "summary": p.summary});
        return out::say_json(&all.iter().map(one).collect::<Vec<_>>());
    }
    let rows = all
        .iter()
        .map(|plugin| [plugin.name.to_owned(), plugin.summary.to_owned()]);
    out::say(out::columns(["task", "what it is"], rows))
}

fn show(args: &TaskArgs) -> Result<(), Failure> {
    let (name, task) = build(&args.name, &args.options)?;
    let mut text = format!("task {name}\n");
    if let Some(plugin) = plugins().into_iter().find(|plugin| plugin.name == name) {
        let _ = writeln!(text, "  {}", plugin.summary);
    }
    let mut example = None;
    for split in data::SPLITS {
        let problems = task.problems(split)?;
        let _ = writeln!(
            text,
            "  {:<11} {} problems",
            split_name(split),
            problems.len()
        );
        example = example.or_else(|| problems.into_iter().next());
    }
    for note in task.notes()? {
        let _ = writeln!(text, "  note: {note}");
    }
    if task.is_open_ended() {
        let _ = writeln!(text, "  open-ended: critiques end in a score");
    }
    if !task.demonstration_kinds().is_empty() {
        let _ = writeln!(
            text,
            "  demonstrations: {}",
            task.demonstration_kinds().join(", ")
        );
    }
    if let Some(problem) = example {
        text += &prompts(&*task, &problem);
    }
    out::say(text)
}

/// The three prompts of a problem, with stand-ins for what models say.
fn prompts(task: &dyn Task, problem: &Problem) -> String {
    let style = task.prompts();
    let gold = task.gold_response(problem);
    let mut text = format!(
        "\nproblem {}\n  gold answer: {}\n",
        problem.id, problem.answer
    );
    let critique = task
        .oracle_critique(problem, &gold)
        .unwrap_or_else(|| "(the critique)".to_owned());
    let parts = [
        ("prompt of the response", shown(&style.response(problem))),
        ("a response that the verifier accepts", gold.clone()),
        (
            "prompt of the critique",
            shown(&style.critique(problem, &gold)),
        ),
        (
            "prompt of the refinement",
            shown(&style.refinement(problem, &gold, &critique)),
        ),
    ];
    for (title, body) in parts {
        let _ = write!(text, "\n--- {title}\n{}\n", body.trim_end());
    }
    text
}

fn shown(prompt: &Prompt) -> String {
    let role = |role| match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let turn = |m: &critique_core::Message| format!("[{}] {}\n", role(m.role), m.content);
    let turns: String = prompt.messages.iter().map(turn).collect();
    if prompt.prefill.is_empty() {
        turns
    } else {
        format!("{turns}[assistant begins] {}", prompt.prefill)
    }
}

fn check_rows(args: &TaskArgs, allow: f64, json: bool) -> Result<(), Failure> {
    let (name, task) = build(&args.name, &args.options)?;
    let report = check::check(&name, &*task)?;
    if json {
        out::say_json(&report)?;
    } else {
        out::say(report.to_string())?;
    }
    if report.rows() == 0 {
        return Err(Failure::failed(format!("task `{name}` has no rows")));
    }
    if report.failure_share() > allow {
        let (failed, rows) = (report.failures.len(), report.rows());
        return Err(Failure::failed(format!(
            "{failed} of {rows} rows of task `{name}` fail; at most {allow} of them may"
        )));
    }
    Ok(())
}

fn new(name: &str, path: &Path) -> Result<(), Failure> {
    let made = scaffold::new_task(path, name)?;
    out::say(made.to_string())
}

/// The name of a split on the command line and in tables.
pub(crate) fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Validation => "validation",
        _ => "test",
    }
}
