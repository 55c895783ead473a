//! `critique-rl config`: the settings of a run.

mod schema;

use std::path::PathBuf;

use clap::Subcommand;

use crate::failure::Failure;
use crate::out;
use crate::run_file::RunFile;

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
            out::say(toml::to_string(&file.config).map_err(Failure::failed)?)
        }
        Command::Schema => out::say(format!("{:#}", schema::schema())),
    }
}
