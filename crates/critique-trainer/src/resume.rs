//! Where a run goes on.

use std::path::PathBuf;

use critique_core::files::FileError;
use critique_model::LanguageModel;
use critique_rewards::BaselineState;
use critique_run::{
    RunConfig, RunDir, RunError, STATE_VERSION, StageConfig, TrainerState, check_files,
    check_folder, missing_part, read_state,
};

use crate::checkpoint;
use crate::error::TrainError;
use crate::observer::{Event, Observer};
use crate::plan::Models;

/// Where a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Resume {
    /// At the last checkpoint of the run folder, or at the start if it holds none.
    #[default]
    Auto,
    /// At the start; a folder that holds a run already is refused.
    Never,
    /// At this checkpoint.
    From(PathBuf),
}

/// A checkpoint's folder and where it stands.
pub(crate) type Found = (PathBuf, TrainerState);

/// The checkpoint to go on from, if any. One that was asked for must be of the stage that comes
/// next: all behind another would be run anew.
pub(crate) fn checkpoint(
    resume: &Resume,
    config: &RunConfig,
    dir: &RunDir,
    observer: &mut dyn Observer,
) -> Result<Option<Found>, TrainError> {
    let is_done = |name: &str| dir.stage(name).is_dir();
    let mut left = config
        .stages
        .iter()
        .skip_while(|stage| is_done(stage.name()));
    let next = left.next().map(StageConfig::name);
    let found = match resume {
        Resume::Never => None,
        Resume::From(folder) => match missing_part(folder) {
            None => {
                check_files(folder)?;
                Some((folder.clone(), read_state(folder)?))
            }
            Some(part) => {
                let message = format!(
                    "`{}` is no checkpoint: it has no `{part}`; expected a `checkpoint-N` of a run folder",
                    folder.display()
                );
                return Err(RunError::Folder { message }.into());
            }
        },
        Resume::Auto => {
            let done = config
                .stages
                .iter()
                .take_while(|stage| is_done(stage.name()));
            newest_whole(dir, done.map(StageConfig::steps).sum(), observer)?
        }
    };
    let Some((folder, state)) = found else {
        return Ok(None);
    };
    if !config.stages.iter().any(|s| s.name() == state.stage) {
        let message = format!(
            "is of stage `{}`, which the run file does not have",
            state.stage
        );
        return Err(FileError::content(&folder, message).into());
    }
    if matches!(resume, Resume::From(_)) && next != Some(state.stage.as_str()) {
        let next = next.map_or("all stages are done".to_owned(), |next| {
            format!("stage `{next}` comes next")
        });
        let message = format!(
            "`{}` is of stage `{}`, but {next} in `{}`; expected one of its checkpoints, or --resume auto",
            folder.display(),
            state.stage,
            dir.root().display()
        );
        return Err(RunError::Folder { message }.into());
    }
    Ok(Some((folder, state)))
}

/// The newest checkpoint that is whole; those that are not are named.
///
/// # Errors
///
/// When there are checkpoints behind the `done` steps of stages that are done and none is whole: to
/// begin the stage anew would throw away what a person may still mend.
fn newest_whole(
    dir: &RunDir,
    done: usize,
    observer: &mut dyn Observer,
) -> Result<Option<Found>, TrainError> {
    let mut spoilt = None;
    for step in dir.checkpoints()?.into_iter().rev() {
        let folder = dir.checkpoint(step);
        let Some(why) = unfit(dir, step)? else {
            let state = read_state(&folder)?;
            return Ok(Some((folder, state)));
        };
        let text = format!("`{}` is left out: {why}", folder.display());
        observer.on(&Event::Note { text: &text });
        if step > done {
            spoilt = Some((folder, why));
        }
    }
    match spoilt {
        None => Ok(None),
        Some((folder, why)) => {
            let message = format!(
                "{why}, and no other checkpoint of the stage is whole; \
                 expected it whole, or no checkpoint, to begin the stage anew"
            );
            Err(FileError::content(&folder, message).into())
        }
    }
}

/// Why a checkpoint cannot be gone on from, if so.
fn unfit(dir: &RunDir, step: usize) -> Result<Option<String>, TrainError> {
    if let Some(part) = missing_part(&dir.checkpoint(step)) {
        return Ok(Some(format!("it has no `{part}`")));
    }
    match check_folder(dir, &format!("checkpoint-{step}")) {
        Ok(_) => Ok(None),
        // One file of it will not do. What cannot be read at all may be mended by a person.
        Err(RunError::File(error @ (FileError::Content { .. } | FileError::Line { .. }))) => {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// A stage's model in training and where it stands: as the checkpoint has them, or as the stage
/// begins after `before` steps of the run.
pub(crate) fn start_of(
    stage: &str,
    model: &str,
    before: usize,
    from: Option<Found>,
    models: &mut Models,
) -> Result<(LanguageModel, TrainerState), TrainError> {
    let start = models.trainable(model)?;
    let Some((folder, state)) = from else {
        let state = TrainerState {
            version: STATE_VERSION,
            stage: stage.to_owned(),
            stage_step: 0,
            global_step: before,
            optimizer_steps: 0,
            baseline: BaselineState::default(),
            best: None,
            not_finite_steps: 0,
        };
        return Ok((start, state));
    };
    let mut model = models.read(model, &folder)?.fork(&start.training())?;
    checkpoint::load_optimizer(&folder, &state, &mut model)?;
    Ok((model, state))
}

/// The newest whole checkpoint of a stage with at most `steps` of its steps done.
pub(crate) fn newest_checkpoint(
    dir: &RunDir,
    stage: &str,
    steps: usize,
) -> Result<Option<Found>, TrainError> {
    for step in dir.checkpoints()?.into_iter().rev() {
        let folder = dir.checkpoint(step);
        if unfit(dir, step)?.is_some() {
            continue;
        }
        let state = read_state(&folder)?;
        if state.stage == stage && state.stage_step <= steps {
            return Ok(Some((folder, state)));
        }
    }
    Ok(None)
}
