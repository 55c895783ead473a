//! `critique-rl config`: the settings of a run.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use critique_trainer::StageConfig;
use serde::Serialize;

use crate::failure::Failure;
use crate::input::run_file::RunFile;
use crate::output::out;

/// Shows settings, and what a run file may hold.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl config show run.toml",
    "critique-rl config show runs/gsm8k/config.resolved.toml",
    "critique-rl config schema > run-file.schema.json",
))]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints a run file with every default written out, after all settings
    Show {
        /// The run file
        #[arg(value_name = "RUN.toml")]
        file: PathBuf,
        /// Settings that overrule the file
        #[arg(value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// Prints the JSON Schema of run files, for editors
    Schema,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Show { file, settings } => {
            let file = RunFile::read(file, settings)?;
            let text = toml::to_string(&file.config).map_err(Failure::failed)?;
            out::say(named(&file) + &text)
        }
        Command::Schema => out::say(format!("{:#}", critique_run::schema::schema())),
    }
}

/// What the names of advantages set in each stage of RL, as comments before the settings; nothing
/// where the file sets all of it.
fn named(file: &RunFile) -> String {
    let mut lines = String::new();
    for (index, stage) in file.config.stages.iter().enumerate() {
        let StageConfig::Rl(stage) = stage else {
            continue;
        };
        let recipe = stage.recipe(&file.config.rollout);
        let all = [
            ("whiten", shown(&recipe.whiten)),
            ("kl_in", shown(&recipe.kl_in)),
            ("kl_estimator", shown(&recipe.kl_estimator)),
            ("aggregation", shown(&recipe.aggregation)),
        ];
        let set: Vec<String> = all
            .into_iter()
            .filter(|(key, _)| !file.gives(&["stages", &index.to_string(), key]))
            .map(|(key, value)| format!("{key} = {value}"))
            .collect();
        if !set.is_empty() {
            let (name, advantage) = (&stage.name, stage.advantage.name());
            let set = set.join(", ");
            let _ = writeln!(
                lines,
                "# stage `{name}`: advantage \"{advantage}\" sets {set}"
            );
        }
    }
    if !lines.is_empty() {
        lines.push('\n');
    }
    lines
}

/// A setting as TOML has it.
fn shown(value: &impl Serialize) -> String {
    toml::Value::try_from(value).map_or_else(|_| String::new(), |value| value.to_string())
}
