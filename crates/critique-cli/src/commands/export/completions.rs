//! `critique-rl export completions`: rollouts of training as TRL logs its completions.

use std::path::{Path, PathBuf};

use critique_core::files::names_in;
use critique_run::{RunDir, read_metrics};

use crate::failure::Failure;
use crate::output::out;

/// Writes the rollouts of a run as parquet files, a step each, in the layout of TRL.
///
/// `completions_00001.parquet` and so on, as TRL's `log_completions` names them, with its columns:
/// `step`, `prompt`, `completion`, one a reward, `advantage`. What TRL has no column for stands in
/// columns of its own between them. Needs a build with the feature `parquet`.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl export completions runs/gsm8k --out runs/gsm8k/completions",
))]
pub(crate) struct Args {
    /// A run folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The folder to write; files of the same steps are replaced
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
}

/// A step of the run, and the file of its rollouts.
struct Recorded {
    #[cfg_attr(
        not(feature = "parquet"),
        expect(dead_code, reason = "only a build that writes files names them")
    )]
    step: usize,
    path: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let dir = RunDir::existing(&args.run)?;
    let steps = recorded(&dir)?;
    if steps.is_empty() {
        return Err(Failure::failed(format!(
            "`{}` has recorded no rollouts of training (`save.rollouts_every`)",
            args.run.display()
        )));
    }
    for step in &steps {
        write(step, &args.out)?;
    }
    out::say(format!("{}: {} files", args.out.display(), steps.len()))
}

/// Steps of the run whose rollouts are there, in order.
fn recorded(dir: &RunDir) -> Result<Vec<Recorded>, Failure> {
    let metrics = read_metrics(&dir.metrics()).map_err(Failure::failed)?;
    let path = |stage: &str, stage_step: usize| {
        // Files of rollouts are counted from 0, steps of metrics when they are done.
        let number = stage_step.saturating_sub(1) as u64;
        critique_rollout::record::step_path(dir.root(), stage, number)
    };
    let all = metrics.iter().map(|of| Recorded {
        step: of.step,
        path: path(&of.stage, of.stage_step),
    });
    let rollouts = dir.root().join("rollouts");
    if !rollouts.is_dir() || names_in(&rollouts).map_err(Failure::failed)?.is_empty() {
        return Ok(Vec::new());
    }
    Ok(all.filter(|of| of.path.is_file()).collect())
}

#[cfg(not(feature = "parquet"))]
fn write(_: &Recorded, _: &Path) -> Result<(), Failure> {
    Err(Failure::usage(
        "this build writes no parquet: `cargo install --path crates/critique-cli --features parquet` does",
    ))
}

#[cfg(feature = "parquet")]
fn write(of: &Recorded, folder: &Path) -> Result<(), Failure> {
    let records = critique_rollout::record::read(&of.path).map_err(Failure::failed)?;
    let path = folder.join(format!("completions_{:05}.parquet", of.step));
    super::parquet::write(&path, of.step, &records)
}
