//! Where a run stands, on disk.

use std::path::Path;

use critique_model::{LanguageModel, load_tensors, save_tensors};
use critique_rewards::BaselineState;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::run_dir::{RunDir, remove_folder, write_folder};

const STATE: &str = "trainer_state.json";
const OPTIMIZER: &str = "optimizer.safetensors";

/// The cursor of a run. Nothing random is stored: every draw is a hash of the run's seed and of
/// what it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerState {
    /// The layout: 1.
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

/// Writes the checkpoint of a stage and removes those beyond `keep`.
pub(crate) fn save(
    dir: &RunDir,
    mut state: TrainerState,
    model: &LanguageModel,
    keep: usize,
) -> Result<(), TrainError> {
    state.optimizer_steps = model.engine().optimizer_steps();
    // Steps that a checkpoint counts must not be missing from the metrics after a power cut.
    dir.sync_metrics()?;
    write_folder(&dir.checkpoint(state.global_step), |folder| {
        model.save(folder)?;
        let (_, moments) = model.engine().optimizer_state();
        save_tensors(&folder.join(OPTIMIZER), &moments)?;
        write_state(folder, &state)
    })?;
    let all = dir.checkpoints()?;
    for &old in &all[..all.len().saturating_sub(keep.max(1))] {
        remove_folder(&dir.checkpoint(old))?;
    }
    Ok(())
}

/// Writes the model that a stage leaves, or that of its best step, without its optimizer.
pub(crate) fn save_model(
    folder: &Path,
    state: &TrainerState,
    model: &LanguageModel,
) -> Result<(), TrainError> {
    let state = TrainerState {
        optimizer_steps: model.engine().optimizer_steps(),
        ..state.clone()
    };
    write_folder(folder, |folder| {
        model.save(folder)?;
        write_state(folder, &state)
    })
}

fn write_state(folder: &Path, state: &TrainerState) -> Result<(), TrainError> {
    let path = folder.join(STATE);
    let text = serde_json::to_string_pretty(state).map_err(|e| TrainError::File {
        path: path.clone(),
        message: e.to_string(),
    })?;
    std::fs::write(&path, text + "\n").map_err(|source| TrainError::Write { path, source })
}

/// Where the checkpoint or stage in this folder stands.
///
/// # Errors
///
/// When its state cannot be read.
pub fn read_state(folder: &Path) -> Result<TrainerState, TrainError> {
    let path = folder.join(STATE);
    let text = std::fs::read_to_string(&path).map_err(|source| TrainError::Read {
        path: path.clone(),
        source,
    })?;
    let state: TrainerState = serde_json::from_str(&text).map_err(|e| TrainError::File {
        path: path.clone(),
        message: e.to_string(),
    })?;
    if state.version != 1 {
        return Err(TrainError::File {
            path,
            message: format!("`version` is {}; this build reads 1", state.version),
        });
    }
    Ok(state)
}

/// Puts the optimizer back as the checkpoint in this folder has it.
pub(crate) fn load_optimizer(
    folder: &Path,
    state: &TrainerState,
    model: &mut LanguageModel,
) -> Result<(), TrainError> {
    let moments = load_tensors(&folder.join(OPTIMIZER))?;
    Ok(model
        .engine_mut()
        .load_optimizer_state(state.optimizer_steps, moments)?)
}

/// Removes the checkpoints of a stage that is done, and of those before it: up to `steps` steps of
/// the run. A checkpoint of as many steps may be the next stage's, before its first step.
pub(crate) fn clear(dir: &RunDir, stage: &str, steps: usize) -> Result<(), TrainError> {
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
pub(crate) fn missing_part(folder: &Path) -> Option<&'static str> {
    let has = |name: &str| folder.join(name).is_file();
    let weights = [
        "model.safetensors",
        "model.safetensors.index.json",
        "adapter_model.safetensors",
    ];
    if !weights.into_iter().any(has) {
        return Some(weights[0]);
    }
    [STATE, OPTIMIZER].into_iter().find(|name| !has(name))
}
