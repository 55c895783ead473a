//! A run from start to end: signals, progress, and what is left at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use critique_eval::Summary;
use critique_tasks::Task;
use critique_trainer::{Observer, Resume, RunConfig, RunDir, TrainError, run};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Exit, Failure};
use crate::input::run_file::RunFile;
use crate::output::json_log::JsonLog;
use crate::output::progress::Progress;
use crate::tracking::Tracking;

/// A run that has ended well.
pub(crate) struct Finished {
    pub(crate) dir: RunDir,
    pub(crate) summary: Option<Summary>,
    pub(crate) seconds: f64,
}

/// A run as one line of JSON.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    out: String,
    seconds: f64,
    seed: u64,
    rows: &'a [critique_eval::Row],
}

impl Finished {
    /// What `--json` prints.
    pub(crate) fn report(&self, config: &RunConfig) -> Report<'_> {
        Report {
            out: self.dir.root().display().to_string(),
            seconds: (self.seconds * 10.0).round() / 10.0,
            seed: config.seed,
            rows: self.summary.as_ref().map_or(&[], |summary| &summary.rows),
        }
    }
}

/// How a run tells of itself on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Log {
    /// Bars where a person watches, else lines
    #[default]
    Text,
    /// A JSON object a line: each stage, step, evaluation and note
    Json,
}

/// Runs all stages. The first Ctrl-C asks for an end after the step at hand, the second ends at
/// once.
pub(crate) fn execute(
    file: &RunFile,
    task: &dyn Task,
    resume: &Resume,
    log: Log,
) -> Result<Finished, Failure> {
    let begin = Instant::now();
    if let Some(url) = &file.config.track.mlflow {
        critique_track::check_address(url)?;
    }
    let signals = Signals::watch()?;
    let mut progress = Progress::new(Arc::clone(&signals.stop)).of_run(&file.config);
    let mut json = JsonLog;
    let shown: &mut dyn Observer = match log {
        Log::Text => &mut progress,
        Log::Json => &mut json,
    };
    let mut tracking = Tracking::new(&file.config, shown);
    let done = run(&file.config, task, resume, &signals.stop, &mut tracking);
    tracking.end(done.is_ok());
    progress.end();
    let dir = done.map_err(|error| match error {
        TrainError::Interrupted { .. } => {
            Failure::from(error).with_exit(Exit::Signal(signals.number()))
        }
        error => file.misfit(error),
    })?;
    let path = dir.summary();
    let summary = if path.exists() {
        Some(Summary::read(&path)?)
    } else {
        None
    };
    Ok(Finished {
        dir,
        summary,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// Signals that ask for an end.
struct Signals {
    stop: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

impl Signals {
    fn watch() -> Result<Self, Failure> {
        let signals = Self {
            stop: Arc::default(),
            which: Arc::default(),
        };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag that the first one set.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.stop))?;
            flag::register(signal, Arc::clone(&signals.stop))?;
            flag::register_usize(signal, Arc::clone(&signals.which), signal as usize)?;
        }
        Ok(signals)
    }

    fn number(&self) -> u8 {
        match self.which.load(Ordering::Relaxed) {
            0 => SIGINT as u8,
            number => number as u8,
        }
    }
}
