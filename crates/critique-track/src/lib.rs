//! Runs told to trackers: `TensorBoard`'s event files and `MLflow` servers.
//!
//! A [`Follower`] reads a run folder and tells a [`Tracker`] what has come since the last time:
//! numbers of steps, rows of evaluations, some rollouts. It needs nothing but the folder, so a run
//! can be tracked while it goes on or after its end, and a tracker that is down costs the run
//! nothing: what it has missed is told when it is back.
//!
//! | tracker | numbers | evaluations | rollouts | settings |
//! | --- | --- | --- | --- | --- |
//! | [`TensorBoard`] | scalars | scalars, and a table as text | text | hyperparameters |
//! | [`MLflow`] | metrics | metrics | – | parameters |

mod error;
mod follower;
mod mlflow;
mod names;
mod settings;
mod tensorboard;

pub use error::TrackError;
pub use follower::Follower;
pub use mlflow::{Login, MLflow, check_address};
pub use names::Scalar;
pub use settings::{Setting, settings};
pub use tensorboard::TensorBoard;

use critique_eval::Row;
use critique_rollout::RolloutRecord;
use critique_run::RunConfig;

/// What hears of a run. Each call is of something that was not told before, unless the run went
/// back to an earlier step ([`Tracker::again`]) or a call before it failed: then the same is
/// told again.
pub trait Tracker {
    /// The run's name and settings, before all else.
    ///
    /// # Errors
    ///
    /// When the tracker cannot be reached or written to; so for all other calls.
    fn begin(&mut self, name: &str, config: &RunConfig) -> Result<(), TrackError>;

    /// The last step that the tracker has from an earlier time, 0 where it has none: steps up to
    /// it are not told again.
    fn has(&self) -> usize {
        0
    }

    /// The run went back to an earlier step: all of it is told anew but for what the tracker
    /// [has](Tracker::has).
    ///
    /// # Errors
    ///
    /// As in [`Tracker::begin`].
    fn again(&mut self) -> Result<(), TrackError> {
        Ok(())
    }

    /// Numbers of some steps, in order.
    ///
    /// # Errors
    ///
    /// As in [`Tracker::begin`].
    fn scalars(&mut self, scalars: &[Scalar]) -> Result<(), TrackError>;

    /// Some rollouts of a step of the run.
    ///
    /// # Errors
    ///
    /// As in [`Tracker::begin`].
    fn rollouts(&mut self, step: usize, records: &[RolloutRecord]) -> Result<(), TrackError>;

    /// All rows of evaluations that there are by this step.
    ///
    /// # Errors
    ///
    /// As in [`Tracker::begin`].
    fn table(&mut self, step: usize, rows: &[Row]) -> Result<(), TrackError>;

    /// The run ends here for now: well, or not.
    ///
    /// # Errors
    ///
    /// As in [`Tracker::begin`].
    fn end(&mut self, well: bool) -> Result<(), TrackError>;
}
