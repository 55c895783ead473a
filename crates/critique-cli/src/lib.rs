//! The `critique-rl` command: `commands` has a module a subcommand, `input` where settings, models
//! and texts come from, `output` what is printed, `failure` the exit codes.
//!
//! [`main()`] is the whole of it, with the tasks of the binary that calls it. The binary of this
//! crate links those of `task-all`; one of your own links yours, and all commands know them:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use task_all as _; // the tasks that come with it
//! // use task_my_task as _;
//!
//! fn main() -> ExitCode {
//!     critique_cli::main()
//! }
//! ```

/// Lines of examples for the end of `--help`.
macro_rules! examples_of {
    ($($line:literal),+ $(,)?) => {
        concat!("Examples:", $("\n  ", $line),+)
    };
}

mod commands;
mod failure;
mod input;
mod output;
mod session;
mod tracking;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    bench, board, check, compare, completions, config, critique, data, devices, eval, export,
    generate, plan, plot, quickstart, replay, report, score, tasks, track, train, verify, watch,
};
use crate::failure::Failure;

/// Trains language models to criticise: stage I on telling right from wrong, stage II on
/// critiques that help.
#[derive(Debug, Parser)]
#[command(
    name = "critique-rl",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What each does stands at its arguments.
#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Args),
    Train(train::Args),
    Plan(plan::Args),
    Eval(eval::Args),
    Compare(compare::Args),
    Replay(replay::Args),
    Report(report::Args),
    Board(board::Args),
    Watch(watch::Args),
    Plot(plot::Args),
    Track(track::Args),
    Check(check::Args),
    Critique(critique::Args),
    Generate(generate::Args),
    Score(score::Args),
    Tasks(tasks::Args),
    Data(data::Args),
    Verify(verify::Args),
    Config(config::Args),
    Devices(devices::Args),
    Export(export::Args),
    Bench(bench::Args),
    Completions(completions::Args),
}

/// Runs the command that the arguments of this process ask for, and gives its exit code: 0, 1
/// (failed), 2 (asked for what cannot be), 3 (a figure was not reached), or 128 and the number
/// of the signal that ended it.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Board(args) => board::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Plot(args) => plot::run(&args),
        Command::Track(args) => track::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Critique(args) => critique::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Tasks(args) => tasks::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure),
    }
}

fn end(failure: &Failure) -> ExitCode {
    failure.show();
    ExitCode::from(failure.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a line, without what the shell takes out of it.
    fn words(line: &str) -> Vec<String> {
        let line = line.split(['<', '>']).next().unwrap_or_default();
        let mut words = Vec::new();
        for (index, part) in line.split('\'').enumerate() {
            if index % 2 == 1 {
                words.push(part.to_owned());
            } else {
                let plain = part.split_whitespace().filter(|word| *word != "\\");
                words.extend(plain.map(str::to_owned));
            }
        }
        words
    }

    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default().replace("\\\n", " ");
        let lines = help.lines().skip(1).map(|line| line.trim().to_owned());
        lines.collect()
    }

    #[test]
    fn every_example_of_the_help_is_a_command() {
        let mut cli = <Cli as clap::CommandFactory>::command();
        cli.build();
        for command in cli.get_subcommands() {
            let name = command.get_name();
            let below = command.get_subcommands().flat_map(examples);
            let examples: Vec<String> = examples(command).into_iter().chain(below).collect();
            let small = ["devices", "completions", "help"].contains(&name);
            assert!(small || !examples.is_empty(), "{name} has no examples");
            for example in examples {
                let parsed = Cli::try_parse_from(words(&example));
                parsed.unwrap_or_else(|error| panic!("{example}\n{error}"));
            }
        }
    }
}
