//! `critique-rl track`: a run told to trackers.

use std::path::PathBuf;

use critique_run::{RunConfig, RunDir, RunLock, TrackConfig, read_config};
use critique_track::{Follower, Login, MLflow, TensorBoard, TrackError};

use crate::failure::Failure;
use crate::output::out;

/// Tells what a run folder holds to TensorBoard or MLflow.
///
/// For a run that was not tracked while it went on, or on another machine; `track` in a run file
/// does it meanwhile. A run that has not ended is told as far as it is. Nothing of the run is
/// changed; a run that is in training and tracks itself needs no other.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl track runs/quickstart-1 --tensorboard",
    "critique-rl track runs/s1 runs/s2 --mlflow http://127.0.0.1:5000",
))]
pub(crate) struct Args {
    /// Run folders
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Writes event files into the run folders, for `tensorboard --logdir`
    #[arg(long, required_unless_present = "mlflow")]
    tensorboard: bool,
    /// Tells an MLflow server; who logs in stands in its own variables (`MLFLOW_TRACKING_TOKEN`, or
    /// `_USERNAME` and `_PASSWORD`)
    #[arg(long, value_name = "URL")]
    mlflow: Option<String>,
    /// The experiment that the runs belong to on that server
    #[arg(long, value_name = "NAME", default_value_t = TrackConfig::default().experiment)]
    experiment: String,
    /// Rollouts of every step that are shown
    #[arg(long, value_name = "N", default_value_t = TrackConfig::default().rollouts)]
    rollouts: usize,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = TrackConfig {
        tensorboard: args.tensorboard,
        mlflow: args.mlflow.clone(),
        experiment: args.experiment.clone(),
        rollouts: args.rollouts,
    };
    let mut failed = None;
    for root in &args.runs {
        let dir = RunDir::existing(root)?;
        let run = read_config(&dir)?;
        refuse_second_writer(args, &dir, &run)?;
        // A stage that is done has left its model.
        let mut stages = run.stages.iter();
        let is_done = stages.all(|stage| dir.stage(stage.name()).is_dir());
        for follower in followers(&dir, &config) {
            let told = follower.and_then(|mut follower| {
                if is_done {
                    follower.end(true)
                } else {
                    follower.poll()
                }
            });
            // One tracker does not stop the others.
            if let Err(error) = told {
                failed = Some(say_again(failed, error));
            }
        }
        if args.tensorboard {
            out::say(format!("tensorboard --logdir {}", root.display()))?;
        }
        if let Some(url) = args.mlflow.as_ref().filter(|_| failed.is_none()) {
            out::say(format!("{}: told to {url}", root.display()))?;
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// The first error ends the command; those after it are told at once.
fn say_again(first: Option<TrackError>, error: TrackError) -> TrackError {
    let Some(first) = first else {
        return error;
    };
    out::tell(format!("error: {}", out::visible(&error.to_string())));
    first
}

/// Event files of a run that writes its own would be replaced under its hands.
fn refuse_second_writer(args: &Args, dir: &RunDir, run: &RunConfig) -> Result<(), Failure> {
    if args.tensorboard && run.track.tensorboard && RunLock::is_held(dir.root()) {
        let root = dir.root().display();
        return Err(Failure::usage(format!(
            "`{root}` is in training and writes its own event files (`track.tensorboard`): `tensorboard --logdir {root}` shows them"
        )));
    }
    Ok(())
}

/// One for each tracker that these settings name, or why there is none.
pub(crate) fn followers(dir: &RunDir, config: &TrackConfig) -> Vec<Result<Follower, TrackError>> {
    let mut all = Vec::new();
    if config.tensorboard {
        let events = TensorBoard::create(dir.root());
        all.push(events.and_then(|events| Follower::new(dir.clone(), events, config.rollouts)));
    }
    if let Some(url) = &config.mlflow {
        let login = Login::from_environment();
        let server = MLflow::new(url, login, &config.experiment, dir.root());
        all.push(server.and_then(|server| Follower::new(dir.clone(), server, config.rollouts)));
    }
    all
}

impl From<TrackError> for Failure {
    fn from(error: TrackError) -> Self {
        match error {
            TrackError::Address { .. } => Self::usage(error),
            error => Self::failed(error),
        }
    }
}
