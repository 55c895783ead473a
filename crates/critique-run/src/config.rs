//! The run file: what is trained, on what, in which stages.

mod check;
mod check_numbers;
mod check_rl;
mod check_servers;
mod gate;
mod lengths;
mod model;
mod place;
mod recipe;
mod rollout;
mod stage;

pub use self::gate::{Gate, Measure};
pub use self::lengths::{EvalLengths, Lengths};
pub use self::model::{ModelSource, NewModel};
pub use self::place::StagePlace;
pub use self::rollout::RolloutConfig;
pub use self::stage::*;

use std::collections::BTreeMap;
use std::path::PathBuf;

use critique_core::Split;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A run file. One that was read is [resolved](RunConfig::resolve).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RunConfig {
    /// Draws everything that is random.
    pub seed: u64,
    /// Where models run: `cpu`, `flex`, `wgpu`, `vulkan`, `metal`, `cuda`, the last four with `:N`.
    #[serde(default = "cpu")]
    pub device: String,
    /// Threads of the CPU engine; 0 takes as many as the machine has. No result depends on it.
    #[serde(default)]
    pub threads: usize,
    /// Computes activations again in the backward pass instead of keeping them: less memory, a
    /// third more work. On the CPU (GPUs decide for themselves); no result depends on it.
    #[serde(default)]
    pub recompute: bool,
    /// The run folder.
    pub out: PathBuf,
    /// The task: `name`, or `file` of a task file; all other keys are its options.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub task: toml::Table,
    /// Models by name.
    pub models: BTreeMap<String, ModelSource>,
    /// How rollouts are made while training.
    #[serde(default)]
    pub rollout: RolloutConfig,
    /// Run in this order.
    pub stages: Vec<StageConfig>,
    /// Evaluation after stages that ask for it.
    #[serde(default)]
    pub eval: EvalConfig,
    /// Checkpoints and records.
    #[serde(default)]
    pub save: SaveConfig,
    /// Steps in a row with a loss or a gradient that is not finite after which the run stops, with
    /// a checkpoint. Such a minibatch changes no weight, and what it learnt from is kept in
    /// `not-finite/`; 1 stops at the first.
    #[serde(default = "three")]
    #[schemars(range(min = 1))]
    pub not_finite_steps: usize,
    /// Trackers that hear of the run while it goes on; no result depends on them.
    #[serde(default)]
    pub track: TrackConfig,
}

impl<'de> Deserialize<'de> for RunConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut config = Self::deserialize(deserializer)?;
        config.resolve();
        Ok(config)
    }
}

impl Serialize for RunConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

fn cpu() -> String {
    "cpu".into()
}

fn three() -> usize {
    3
}

/// Evaluation of the critic with the actor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvalConfig {
    /// Which problems: `train`, `validation` or `test`.
    pub split: Split,
    /// The first this many; 0 takes all.
    pub problems: usize,
    /// Temperatures of all three roles; 0 is greedy. Rows beyond the first temperature get `@T`
    /// after their name, such as `stage1@0.7`.
    pub temperatures: Vec<f32>,
    /// Longest response, critique and refinement, in tokens: one number for all, or a table such as
    /// `{ critique = 512 }`; a role without one has the `max_new_tokens` that `rollout` gives it.
    /// Gates and validation take the same.
    pub max_new_tokens: EvalLengths,
    /// Also evaluates critics that are no models; the perfect one is left out, with a note, where
    /// the task writes no perfect critiques.
    pub controls: bool,
    /// Problems of the validation split, for `validate_every`; 0 takes all.
    pub validation_problems: usize,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            split: Split::Test,
            problems: 0,
            temperatures: vec![0.0],
            max_new_tokens: EvalLengths::default(),
            controls: false,
            validation_problems: 200,
        }
    }
}

/// Who hears of a run while it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrackConfig {
    /// Writes event files of `TensorBoard` into the run folder.
    pub tensorboard: bool,
    /// The address of an `MLflow` server, such as `http://127.0.0.1:5000`; who logs in stands in its
    /// own variables (`MLFLOW_TRACKING_TOKEN`, or `_USERNAME` and `_PASSWORD`). Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mlflow: Option<String>,
    /// The experiment that the run belongs to on that server.
    pub experiment: String,
    /// Rollouts of every step that are shown.
    pub rollouts: usize,
}

impl Default for TrackConfig {
    fn default() -> Self {
        Self {
            tensorboard: false,
            mlflow: None,
            experiment: "critique-rl".into(),
            rollouts: 3,
        }
    }
}

/// What is kept on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SaveConfig {
    /// A checkpoint every this many steps of a stage; 0 saves at the ends of stages only.
    pub every: usize,
    /// Checkpoints kept within a stage; at least 1.
    #[schemars(range(min = 1))]
    pub keep: usize,
    /// Rollouts are recorded every this many RL steps; 0 records none.
    pub rollouts_every: usize,
}

impl Default for SaveConfig {
    fn default() -> Self {
        Self {
            every: 50,
            keep: 2,
            rollouts_every: 1,
        }
    }
}
