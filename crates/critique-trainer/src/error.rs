//! What can stop a run.

use std::path::PathBuf;

use critique_core::GenerateError;
use critique_core::files::FileError;
use critique_run::{Misfit, RunError};
use critique_text::TextError;

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The run file will not do, or the run folder could not be read or written.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A model could not be loaded, run or saved.
    #[error(transparent)]
    Model(#[from] critique_model::ModelError),
    /// The task could not give its problems.
    #[error(transparent)]
    Task(#[from] critique_tasks::TaskError),
    /// A rollout could not be made or recorded.
    #[error(transparent)]
    Rollout(#[from] critique_rollout::RolloutError),
    /// An evaluation failed.
    #[error(transparent)]
    Eval(#[from] critique_eval::EvalError),
    /// The loss or its gradient was NaN or infinite in as many steps in a row as the run file allows;
    /// such minibatches updated nothing.
    #[error("stage `{stage}`, step {step}: {what} is {value}{}; weights without it are in `{}`, and what it learnt from in `{}`", in_a_row(*steps), checkpoint.display(), kept.display())]
    NotFinite {
        /// The stage.
        stage: String,
        /// The step, counted from 1.
        step: usize,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// What it was.
        value: f32,
        /// Steps in a row in which something was not finite.
        steps: usize,
        /// The folder with the minibatch and its model.
        kept: PathBuf,
        /// The checkpoint written then.
        checkpoint: PathBuf,
    },
    /// No step of a stage had anything to learn from; its model is that from before it.
    #[error(
        "stage `{stage}` took {steps} steps and none of them had anything to learn from: all rollouts were dropped or left out, or no minibatch was finite, see `dropped`, `unscored`, `parse_rate`, `frac_reward_zero_std` and `not_finite` in the metrics"
    )]
    LearntNothing {
        /// The stage.
        stage: String,
        /// Its steps.
        steps: usize,
    },
    /// A figure that must be reached was not.
    #[error(
        "gate of stage `{stage}` not met: {measure} is {value:.3}, expected at least {at_least}"
    )]
    Gate {
        /// The stage.
        stage: String,
        /// What was measured.
        measure: String,
        /// What came out.
        value: f64,
        /// What would do.
        at_least: f64,
    },
    /// The user asked for a stop before a step had changed anything.
    #[error("stopped on request before a step was taken")]
    StoppedBeforeStep,
    /// The user asked for a stop; all that was done is saved.
    #[error("stopped on request; `{}` goes on from here with --resume auto", saved.display())]
    Interrupted {
        /// The checkpoint; the run folder where no stage was in training.
        saved: PathBuf,
    },
}

fn in_a_row(steps: usize) -> String {
    match steps {
        0 | 1 => String::new(),
        steps => format!(", as something was in {steps} steps in a row"),
    }
}

impl From<Misfit> for TrainError {
    fn from(misfit: Misfit) -> Self {
        Self::Run(misfit.into())
    }
}

impl From<FileError> for TrainError {
    fn from(error: FileError) -> Self {
        Self::Run(error.into())
    }
}

impl From<TextError> for TrainError {
    fn from(error: TextError) -> Self {
        Self::Model(error.into())
    }
}

impl TrainError {
    /// Whether a step failed before it changed anything: texts were not sampled or not judged.
    pub(crate) fn is_before_update(&self) -> bool {
        use critique_rollout::RolloutError::{Generate, Judge};
        matches!(self, Self::Rollout(Generate { .. } | Judge { .. }))
    }

    /// Whether an engine was asked to stop while it sampled.
    pub(crate) fn is_stop(&self) -> bool {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if matches!(error.downcast_ref(), Some(GenerateError::Stopped)) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}
