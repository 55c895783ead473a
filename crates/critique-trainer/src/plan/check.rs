//! What is looked at before anything is trained, so that a slip in the last stage shows at once
//! and not after the first ones: files, splits, and what the task can do.

use critique_core::files::FileError;
use critique_core::{Problem, Split};
use critique_rollout::Control;
use critique_run::rows::NO_CRITIC;
use critique_run::{
    Gate, Measure, Misfit, ModelSource, RunConfig, RunDir, StageConfig, StagePlace,
};
use critique_tasks::Task;

use super::prompts::{self, PromptLengths};
use crate::error::TrainError;
use crate::stage::{Planned, work_of};

/// Checks a run file and what it names: [`RunConfig::check`], and the splits and files that stages
/// will read. Weights are not read.
///
/// # Errors
///
/// Names the setting, what was found, and what would do; or the file and its line.
pub fn check(config: &RunConfig, task: &dyn Task) -> Result<(), TrainError> {
    config.check()?;
    if config.stages.is_empty() {
        let message = "`stages` is empty; expected at least one";
        return Err(Misfit::new("stages", message).into());
    }
    output(config)?;
    for (name, source) in &config.models {
        model(name, source, task)?;
    }
    let train = task.problems(Split::Train)?;
    let dir = RunDir::existing(&config.out).ok();
    let is_done = |name: &str| dir.as_ref().is_some_and(|dir| dir.stage(name).is_dir());
    for (index, stage) in config.stages.iter().enumerate() {
        // What a finished stage read may be gone.
        if is_done(stage.name()) {
            continue;
        }
        let place = StagePlace::of(config, index);
        evaluation(config, index, task)?;
        gates(place, stage.gates(), task)?;
        work_of(stage).check(&planned(config, index, task, &train))?;
    }
    Ok(())
}

/// That the run folder can be one.
fn output(config: &RunConfig) -> Result<(), Misfit> {
    let out = &config.out;
    // An empty path stands for the folder at hand.
    let mut above = out.ancestors().filter(|path| !path.as_os_str().is_empty());
    match above.find(|path| path.exists()) {
        Some(file) if !file.is_dir() => {
            let (out, file) = (out.display(), file.display());
            let message = format!("`out` is `{out}`, and `{file}` is a file; expected a folder");
            Err(Misfit::new("out", message))
        }
        _ => Ok(()),
    }
}

/// Gates look at the validation split.
fn gates(place: StagePlace<'_>, gates: &[Gate], task: &dyn Task) -> Result<(), TrainError> {
    if gates.is_empty() {
        return Ok(());
    }
    let problems = task.problems(Split::Validation)?;
    if problems.is_empty() {
        let what = "`gates` look at the validation split, and the task has none";
        return Err(place.wrong("gates", what).into());
    }
    for (at, gate) in gates.iter().enumerate() {
        measurable(place, at, gate, task, &problems)?;
    }
    Ok(())
}

/// Refuses a gate whose critiques the task writes for no problem: it would read as 0.
fn measurable(
    place: StagePlace<'_>,
    at: usize,
    gate: &Gate,
    task: &dyn Task,
    problems: &[Problem],
) -> Result<(), Misfit> {
    let futile = |problem: &Problem| {
        let response = task.gold_response(problem);
        !task.futile_critiques(problem, &response).is_empty()
    };
    let (possible, what) = match gate.measure {
        Measure::Accuracy | Measure::Discriminability => return Ok(()),
        Measure::PerfectRefinement => (
            Control::Perfect.is_possible(task, problems),
            "perfect critiques",
        ),
        Measure::Obedience => (
            Control::ContradictoryCorrect.is_possible(task, problems),
            "critiques whose steps contradict their verdict",
        ),
        Measure::Stubbornness => (
            problems.iter().any(futile),
            "critiques of problems that no help mends",
        ),
    };
    if possible {
        return Ok(());
    }
    let name = gate.measure.name();
    let what = format!("a gate measures `{name}`, which needs {what}, and the task writes none");
    Err(place.wrong(&format!("gates.{at}.measure"), what))
}

/// The folders that a model is read from, and the task that a new one speaks for.
fn model(name: &str, source: &ModelSource, task: &dyn Task) -> Result<(), TrainError> {
    for (key, folder) in [("path", &source.path), ("adapter", &source.adapter)] {
        if let Some(path) = folder.as_ref().filter(|path| !path.is_dir()) {
            let message = format!("is no folder; `models.{name}.{key}` names it");
            return Err(FileError::content(path, message).into());
        }
    }
    if source.new.is_some() && task.vocabulary().is_none() {
        let message = format!(
            "`models.{name}.new` needs a task with a vocabulary of its own; this task has none"
        );
        let at = critique_run::KeyPath::from("models").key(name).key("new");
        return Err(Misfit::new(at, message).into());
    }
    Ok(())
}

/// The row that a stage makes, and the split that it is made on.
fn evaluation(config: &RunConfig, index: usize, task: &dyn Task) -> Result<(), TrainError> {
    let stages = &config.stages;
    let place = StagePlace::of(config, index);
    let Some(row) = stages[index].eval_as() else {
        return Ok(());
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if row.is_empty() || row.starts_with('.') || !row.chars().all(plain) {
        let what = format!("`eval_as` is `{row}`; expected letters, digits, `-`, `_` and `.`");
        return Err(place.wrong("eval_as", what).into());
    }
    let control = Control::ALL.iter().any(|control| control.name() == row);
    if row == NO_CRITIC || control {
        let what = format!("`eval_as` is `{row}`, which is another row's name");
        return Err(place.wrong("eval_as", what).into());
    }
    if stages[..index].iter().any(|s| s.eval_as() == Some(row)) {
        let what = format!("`eval_as` is `{row}`, as of a stage before it");
        return Err(place.wrong("eval_as", what).into());
    }
    if task.problems(config.eval.split)?.is_empty() {
        let message = "`eval.split` has no problems in this task; expected one that has";
        return Err(Misfit::new("eval.split", message).into());
    }
    Ok(())
}

/// Measures the prompts of a run's stages on training problems, each with the stage's name.
/// `measure` gives the tokens of a prompt and the context of the model of a name.
///
/// # Errors
///
/// When none of a phase fits its model, when problems cannot be read, or as `measure`.
pub(super) fn measure_prompts(
    config: &RunConfig,
    task: &dyn Task,
    measure: prompts::Measure<'_>,
) -> Result<Vec<(String, PromptLengths)>, TrainError> {
    let train = task.problems(Split::Train)?;
    let mut all = Vec::new();
    for (index, stage) in config.stages.iter().enumerate() {
        let run = planned(config, index, task, &train);
        let found = work_of(stage).prompts(&run, measure)?.into_iter();
        all.extend(found.map(|lengths| (stage.name().to_owned(), lengths)));
    }
    Ok(all)
}

/// A run before the stage at this place.
pub(super) fn planned<'a>(
    config: &'a RunConfig,
    index: usize,
    task: &'a dyn Task,
    train: &'a [Problem],
) -> Planned<'a> {
    Planned {
        config,
        place: StagePlace::of(config, index),
        task,
        train,
    }
}

/// What a person should know of the stages that a run would train, none of which is an error.
///
/// # Errors
///
/// When the task's problems or the file of responses cannot be read.
pub fn notes_of(config: &RunConfig, task: &dyn Task) -> Result<Vec<String>, TrainError> {
    let train = task.problems(Split::Train)?;
    let mut all: Vec<String> = config.stages.iter().filter_map(idle).collect();
    let found = task.problems(config.eval.split)?.len();
    if config.eval.problems > found && config.stages.iter().any(|s| s.eval_as().is_some()) {
        all.push(format!(
            "`eval.problems` is {}, and the split has {found}: all of them are evaluated",
            config.eval.problems
        ));
    }
    for (index, stage) in config.stages.iter().enumerate() {
        let run = planned(config, index, task, &train);
        all.extend(work_of(stage).notes(&run)?);
    }
    Ok(all)
}

/// That a stage changes nothing.
fn idle(stage: &StageConfig) -> Option<String> {
    let common = stage.common();
    (common.lr == 0.0).then(|| format!("stage `{}`: `lr` is 0, so nothing is learnt", common.name))
}
