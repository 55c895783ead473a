//! Stages of SFT and policy updates, checkpoints and run folders.
//!
//! A [`RunConfig`] lists stages; [`run`] runs them one after another with one loop. Stage I and
//! stage II of the method differ by settings, not by code. What a run tells on its way reaches an
//! [`Observer`]; what it leaves lies in a [`RunDir`].

mod checkpoint;
mod config;
mod error;
mod evaluation;
pub mod memory;
mod models;
mod observer;
mod replay;
mod rl;
mod run;
mod run_dir;
mod schedule;
mod sft;

pub use checkpoint::{Best, TrainerState, read_state};
pub use config::{
    EvalConfig, Gate, Measure, ModelSource, NewModel, RlStage, RolloutConfig, RunConfig,
    SaveConfig, SftData, SftStage, StageConfig,
};
pub use error::TrainError;
pub use models::Models;
pub use observer::{Event, Metrics, Observer, Silent};
pub use replay::{Difference, Replay, TokenTexts, replay};
pub use run::{Resume, read_config, run};
pub use run_dir::RunDir;
pub use schedule::{Schedule, Shape};
pub use sft::sft_examples;
