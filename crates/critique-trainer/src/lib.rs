//! Stages of SFT and policy updates, checkpoints and run folders.
//!
//! A [`RunConfig`] lists stages; [`run`] runs them one after another with one loop. Stage I and
//! stage II of the method differ by settings, not by code. What a run tells on its way reaches an
//! [`Observer`]; what it leaves lies in a [`RunDir`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use critique_trainer::{Resume, RunConfig, Silent, run};
//! use task_arithmetic as _; // links the task that the run file names
//!
//! let mut config: RunConfig = toml::from_str(
//!     r#"
//!     seed = 1
//!     out = "runs/first"
//!     task = { name = "arithmetic", train = 50, validation = 10, test = 10 }
//!     models.base.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }
//!
//!     [[stages]]
//!     kind = "sft"
//!     name = "solutions"
//!     model = "base"
//!     steps = 2
//!     data = [{ kind = "solutions", rows = 4 }]
//!     lr = 1e-3
//!     "#,
//! )?;
//! # let folder = tempfile::tempdir()?;
//! # config.out = folder.path().join("run");
//! let (_, task) = critique_tasks::build_from_table(config.task.clone())?;
//! let dir = run(&config, &*task, &Resume::Auto, &Arc::default(), &mut Silent)?;
//! assert!(dir.stage("solutions").join("model.safetensors").is_file());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod error;
mod evaluation;
mod gates;
mod lineage;
pub mod memory;
mod minibatch;
mod observer;
mod plan;
mod replay;
mod replay_minibatch;
mod resume;
mod run;
mod stage;

/// Run files and run folders, which need no model.
pub use critique_run::{
    Best, EvalConfig, EvalLengths, Gate, Lengths, Measure, Metrics, Misfit, ModelSource, NewModel,
    RlStage, RolloutConfig, RunConfig, RunDir, RunError, SaveConfig, Schedule, SftData, SftStage,
    Shape, StageConfig, TrainerState, read_config, read_state,
};
pub use error::TrainError;
pub use minibatch::{KeptExample, KeptGroup, KeptSample, Minibatch, NotFinite, Samples};
pub use observer::{Event, Observer, Silent};
pub use plan::gpus;
pub use plan::{
    DryRun, MemoryForecast, ModelHeader, ModelPlan, Models, Moment, PlannedModel, PromptForecast,
    Root, StageForecast, StageModels, State, Version, check, notes_of,
};
pub use replay::{Difference, Replay, TokenTexts, models_after, replay, replay_evaluation};
pub use replay_minibatch::{MinibatchReplay, OddToken, replay_minibatch};
pub use resume::Resume;
pub use run::run;
pub use stage::rl::{SampleGroup, TrainingSample, add_gradients};
