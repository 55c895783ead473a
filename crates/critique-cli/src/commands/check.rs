//! `critique-rl check`: whether run folders hold what was written into them.

use std::path::PathBuf;

use critique_run::{RunDir, audit};
use serde_json::json;

use crate::failure::Failure;
use crate::output::out;

/// Compares what run folders hold with what was written into them.
///
/// Every file with a checksum is read: settings, models, checkpoints, rollouts, evaluations. That
/// a stage was trained from the models that are there is checked too. Nothing is changed. Exit
/// code 1 when something is not as it was written.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl check runs/quickstart-1",
    "critique-rl check runs/* --json",
))]
pub(crate) struct Args {
    /// Run folders
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Prints one object a run: `run`, `checked`, `unknown`, `findings`
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut wrong = 0;
    for root in &args.runs {
        let found = audit(&RunDir::existing(root)?)?;
        wrong += found.findings.len();
        if args.json {
            let findings = found.findings.iter();
            let findings: Vec<_> = findings
                .map(|it| json!({"file": it.file, "message": it.message}))
                .collect();
            out::say_json(&json!({
                "run": root, "checked": found.checked, "unknown": found.unknown, "findings": findings,
            }))?;
            continue;
        }
        for finding in &found.findings {
            out::say(&finding.message)?;
        }
        for file in &found.unknown {
            let text =
                "nothing says what was written: it is of an older version, or was being written";
            out::say(format!("{}: {text}", root.join(file).display()))?;
        }
        let (checked, findings) = (found.checked, found.findings.len());
        out::say(format!(
            "{}: {checked} files are what was written, {findings} are not",
            root.display()
        ))?;
    }
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::failed(format!(
            "not as written: {wrong}; a run goes on from what is whole (`train`), and makes evaluations again"
        ))),
    }
}
