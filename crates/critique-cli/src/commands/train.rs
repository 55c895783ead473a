//! `critique-rl train RUN.toml`.

use std::path::{Path, PathBuf};

use critique_trainer::Resume;

use crate::failure::Failure;
use crate::input::run_file::RunFile;
use crate::output::dry_run;
use crate::output::out;
use crate::output::tables;
use crate::session;
use crate::session::Log;

/// Trains as a run file says.
///
/// Later settings overrule earlier ones: the run file, then `CRITIQUE_RL_DEVICE`, `_OUT`, `_SEED`
/// and `_THREADS` of the environment, then `key.path=value` here.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl train run.toml",
    "critique-rl train run.toml --dry-run",
    "critique-rl train run.toml seed=2 stages.stage1.lr=1e-6 device=cuda:0",
))]
pub(crate) struct Args {
    /// The run file
    #[arg(value_name = "RUN.toml")]
    file: PathBuf,
    /// Settings that overrule the file; entries of `stages` go by name: `stages.stage1.lr=1e-5`
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Where to begin: `auto` (the last checkpoint of the run folder, if any), `never`, or a
    /// checkpoint's folder
    #[arg(long, default_value = "auto", value_name = "auto|never|PATH")]
    resume: String,
    /// Reads settings, task and model headers, says what the run would do, and writes nothing
    #[arg(long)]
    dry_run: bool,
    /// Prints one JSON object at the end
    #[arg(long)]
    json: bool,
    /// How the run tells of itself on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    log: Log,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let file = RunFile::read(&args.file, &args.settings)?;
    let (name, task) = file.task()?;
    if args.dry_run {
        return dry_run::run(&file, &name, &*task, args.json);
    }
    let resume = match args.resume.as_str() {
        "auto" => Resume::Auto,
        "never" => Resume::Never,
        folder if Path::new(folder).join("optimizer.safetensors").is_file() => {
            Resume::From(folder.into())
        }
        folder => {
            return Err(Failure::usage(format!(
                "`--resume {folder}`: no checkpoint; expected `auto`, `never`, or a `checkpoint-N` of a run folder"
            )));
        }
    };
    let done = session::execute(&file, &*task, &resume, args.log)?;
    if args.json {
        return out::say_json(&done.report(&file.config));
    }
    if let Some(summary) = &done.summary {
        out::say(tables::of(summary))?;
    }
    out::say(format!("run folder: {}", done.dir.root().display()))
}
