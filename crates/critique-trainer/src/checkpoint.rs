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

/// Removes the checkpoints of the first `steps` steps of a run: their stages are done.
pub(crate) fn clear(dir: &RunDir, steps: usize) -> Result<(), TrainError> {
    let done = dir.checkpoints()?.into_iter().filter(|&step| step <= steps);
    done.map(|step| dir.checkpoint(step))
        .try_for_each(|folder| remove_folder(&folder))
}

/// Where the checkpoint in this folder stands, if all its parts are there.
///
/// # Errors
///
/// When one is missing or cannot be read.
pub(crate) fn whole(folder: &Path) -> Result<TrainerState, TrainError> {
    if !folder.join(OPTIMIZER).is_file() {
        let message = format!(
            "`{}` is no checkpoint: it has no `{OPTIMIZER}`; expected a `checkpoint-N` of a run folder",
            folder.display()
        );
        return Err(TrainError::Config { message });
    }
    read_state(folder)
}
