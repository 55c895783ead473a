//! Models in training, on disk.

use std::path::Path;

use critique_core::files::{FileError, make_folder, remove_folder, write_folder};
use critique_model::{Held, LanguageModel, load_tensors};
use critique_run::{OPTIMIZER, RunDir, TrainerState, write_manifest, write_state};

use crate::error::TrainError;
use crate::lineage::Origin;
use crate::minibatch::{MINIBATCH, Minibatch};

/// Writes the checkpoint of a stage and removes those beyond `keep`.
pub(crate) fn save(
    dir: &RunDir,
    mut state: TrainerState,
    model: &LanguageModel,
    origin: &Origin,
    keep: usize,
) -> Result<(), TrainError> {
    state.optimizer_steps = model.engine().optimizer_steps();
    dir.check_there()?;
    // Steps that a checkpoint counts must not be missing from the metrics after a power cut.
    dir.sync_metrics()?;
    let lineage = origin.lineage(dir)?;
    write_folder(
        &dir.checkpoint(state.global_step),
        |folder| -> Result<(), TrainError> {
            model.save(folder)?;
            let optimizer = folder.join(OPTIMIZER);
            model.engine().save_in_one(Held::Moments, &optimizer)?;
            write_state(folder, &state)?;
            Ok(write_manifest(folder, &lineage)?)
        },
    )?;
    let all = dir.checkpoints()?;
    for &old in &all[..all.len().saturating_sub(keep.max(1))] {
        remove_folder(&dir.checkpoint(old))?;
    }
    Ok(())
}

/// Writes the model that a stage leaves, or that of its best step, without its optimizer.
pub(crate) fn save_model(
    place: (&RunDir, &Path),
    state: &TrainerState,
    model: &LanguageModel,
    origin: &Origin,
) -> Result<(), TrainError> {
    save_with(place, state, model, origin, |_| Ok(()))
}

/// Minibatches that are kept; a run may go on for long with one now and then.
const MINIBATCHES: usize = 10;

/// Writes a minibatch that was not finite, and the model that saw it, and removes those beyond the
/// newest [`MINIBATCHES`].
pub(crate) fn save_minibatch(
    place: (&RunDir, &Path),
    state: &TrainerState,
    model: &LanguageModel,
    origin: &Origin,
    minibatch: &Minibatch,
) -> Result<(), TrainError> {
    let dir = place.0;
    save_with(place, state, model, origin, |folder| {
        let path = folder.join(MINIBATCH);
        let text = serde_json::to_string(minibatch)
            .map_err(|error| FileError::content(&path, error.to_string()))?;
        let written = std::fs::write(&path, text + "\n");
        Ok(written.map_err(|source| FileError::write(&path, source))?)
    })?;
    let all = dir.not_finite_steps()?;
    for &old in &all[..all.len().saturating_sub(MINIBATCHES)] {
        remove_folder(&dir.not_finite(old))?;
    }
    Ok(())
}

fn save_with(
    (dir, folder): (&RunDir, &Path),
    state: &TrainerState,
    model: &LanguageModel,
    origin: &Origin,
    more: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    dir.check_there()?;
    make_folder(folder.parent().unwrap_or(folder))?;
    let state = TrainerState {
        optimizer_steps: model.engine().optimizer_steps(),
        ..state.clone()
    };
    let lineage = origin.lineage(dir)?;
    write_folder(folder, |folder| {
        model.save(folder)?;
        write_state(folder, &state)?;
        more(folder)?;
        Ok(write_manifest(folder, &lineage)?)
    })
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
