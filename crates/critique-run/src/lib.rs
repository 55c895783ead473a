//! Run files and run folders: all that a run reads and leaves but its models.
//!
//! A run file says what is trained, in which stages ([`RunConfig`]); a run folder holds what came
//! of it ([`RunDir`]): settings, checkpoints, metrics, rollouts, evaluations. Trainer, command
//! line and reports meet here, and so can tools of others: nothing here needs a model.
//!
//! ```
//! use critique_run::{RunConfig, StageConfig};
//!
//! let config: RunConfig = toml::from_str(
//!     r#"
//!     seed = 1
//!     out = "runs/first"
//!     task = { name = "arithmetic" }
//!     models.base.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }
//!
//!     [[stages]]
//!     kind = "sft"
//!     name = "solutions"
//!     model = "base"
//!     steps = 0
//!     data = [{ kind = "solutions", rows = 4 }]
//!     lr = 1e-3
//!     "#,
//! )?;
//! let misfit = config.check().unwrap_err();
//! assert_eq!(misfit.at.to_string(), "stages.0.steps");
//! assert_eq!(misfit.to_string(), "stage `solutions`: `steps` is 0; expected at least 1");
//! # Ok::<(), toml::de::Error>(())
//! ```

mod audit;
mod config;
mod dir;
mod error;
mod kept;
mod lock;
mod manifest;
mod metrics;
pub mod rows;
mod schedule;
pub mod schema;
mod seeds;
mod started;
mod state;

pub use audit::{Audit, Finding, audit, check_folder};
pub use config::*;
pub use dir::RunDir;
pub use error::{KeyPath, Misfit, RunError};
pub use kept::{keep_config, read_config};
pub use lock::RunLock;
pub use manifest::{
    Lineage, MANIFEST, Manifest, Parent, check_files, fingerprint, read_manifest, write_manifest,
};
pub use metrics::{Metrics, ROLLOUTS_SUM, StepMetrics, metrics_sum, read_metrics};
pub use schedule::{Schedule, Shape};
pub use seeds::{eval_seed, gate_samples, stage_seed};
pub use started::Started;
pub use state::{
    Best, OPTIMIZER, STATE_VERSION, TrainerState, clear_checkpoints, missing_part, read_state,
    write_state,
};
