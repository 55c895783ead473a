//! Where a run stands, on disk: `trainer_state.json`, and which folders are checkpoints.

use std::path::Path;

use critique_core::files::{FileError, read_text, remove_folder};
use critique_rewards::BaselineState;
use serde::{Deserialize, Serialize};

use crate::dir::RunDir;
use crate::error::RunError;
use crate::manifest::MANIFEST;

const STATE: &str = "trainer_state.json";

/// The layout of states that are written now: their folders have a manifest.
pub const STATE_VERSION: u32 = 2;

/// The optimizer's moments in a checkpoint.
pub const OPTIMIZER: &str = "optimizer.safetensors";

/// The cursor of a run. Nothing random is stored: every draw is a hash of the run's seed and of
/// what it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerState {
    /// The layout: [`STATE_VERSION`], or 1 in folders without a manifest.
    pub version: u32,
    /// The stage in training.
    pub stage: String,
    /// Its steps done.
    pub stage_step: usize,
    /// Steps of the run done.
    pub global_step: usize,
    /// Steps of the optimizer done.
    pub optimizer_steps: u64,
    /// What a running baseline remembers.
    pub baseline: BaselineState,
    /// The step that did best on the validation split.
    pub best: Option<Best>,
    /// Steps in a row, up to here, with a loss or a gradient that was not finite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_finite_steps: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The step of a stage that did best on the validation split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The step, counted from 1.
    pub step: usize,
    /// What it reached: Acc@Refine where the stage pays refinements, else balanced Acc@Dis.
    pub value: f64,
}

/// Writes where a checkpoint or stage stands into its folder.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_state(folder: &Path, state: &TrainerState) -> Result<(), RunError> {
    let path = folder.join(STATE);
    let text = serde_json::to_string_pretty(state)
        .map_err(|error| FileError::content(&path, error.to_string()))?;
    let written = std::fs::write(&path, text + "\n");
    Ok(written.map_err(|source| FileError::write(&path, source))?)
}

/// Where the checkpoint or stage in this folder stands.
///
/// # Errors
///
/// When its state cannot be read.
pub fn read_state(folder: &Path) -> Result<TrainerState, RunError> {
    let path = folder.join(STATE);
    let text = read_text(&path)?;
    let state: TrainerState = serde_json::from_str(&text)
        .map_err(|error| FileError::content(&path, error.to_string()))?;
    match state.version {
        1 => Ok(state),
        STATE_VERSION if folder.join(MANIFEST).is_file() => Ok(state),
        STATE_VERSION => Err(FileError::content(&folder.join(MANIFEST), "is missing").into()),
        other => {
            let message = format!("`version` is {other}; this build reads 1 and {STATE_VERSION}");
            Err(FileError::content(&path, message).into())
        }
    }
}

/// Removes the checkpoints of a stage that is done, and of those before it: up to `steps` steps of
/// the run. A checkpoint of as many steps may be the next stage's, before its first step.
///
/// # Errors
///
/// When a checkpoint cannot be removed.
pub fn clear_checkpoints(dir: &RunDir, stage: &str, steps: usize) -> Result<(), RunError> {
    for step in dir.checkpoints()?.into_iter().filter(|&step| step <= steps) {
        let folder = dir.checkpoint(step);
        let is_next = || read_state(&folder).is_ok_and(|state| state.stage != stage);
        if step < steps || !is_next() {
            remove_folder(&folder)?;
        }
    }
    Ok(())
}

/// A file without which a folder is no checkpoint, if one is missing.
pub fn missing_part(folder: &Path) -> Option<&'static str> {
    missing_of_model(folder).or_else(|| (!folder.join(OPTIMIZER).is_file()).then_some(OPTIMIZER))
}

/// A file without which a folder holds no model of a run, if one is missing.
pub(crate) fn missing_of_model(folder: &Path) -> Option<&'static str> {
    let has = |name: &str| folder.join(name).is_file();
    let weights = [
        "model.safetensors",
        "model.safetensors.index.json",
        "adapter_model.safetensors",
    ];
    if !weights.into_iter().any(has) {
        return Some(weights[0]);
    }
    (!has(STATE)).then_some(STATE)
}
