//! What is looked at before anything is trained, so that a slip in the last stage shows at once
//! and not after the first ones: numbers, names, files and splits.

use critique_core::{Problem, Split};
use critique_model::AdamW;
use critique_rollout::{Control, FixedResponses};
use critique_tasks::Task;

use crate::config::{Gate, Measure, ModelSource, RlStage, RunConfig, SftStage, StageConfig};
use crate::error::TrainError;
use crate::models::check_shape;
use crate::rl::{fixed_responses, problems_of};
use crate::run_dir::RunDir;
use crate::schedule::Schedule;
use crate::sft;

/// More threads than any machine has; a mistyped number would start them all.
const MOST_THREADS: usize = 1024;

/// Checks a run file and what it names: [`RunConfig::check`], the numbers that this leaves, and
/// the splits and files that stages will read. Weights are not read.
///
/// # Errors
///
/// Names the field, what was found, and what would do; or the file and its line.
pub fn check(config: &RunConfig, task: &dyn Task) -> Result<(), TrainError> {
    config.check()?;
    if config.threads > MOST_THREADS {
        let found = config.threads as f64;
        return Err(out_of_range("threads", found, "at most 1024"));
    }
    if config.save.keep == 0 {
        return Err(out_of_range("save.keep", 0.0, "at least 1"));
    }
    if config.stages.is_empty() {
        return Err(wrong("`stages` is empty; expected at least one".into()));
    }
    for (name, source) in &config.models {
        model(config, name, source, task)?;
    }
    let train = task.problems(Split::Train)?;
    let dir = RunDir::existing(&config.out).ok();
    for (index, stage) in config.stages.iter().enumerate() {
        let place = Place(stage.name());
        // What a finished stage read may be gone.
        if dir
            .as_ref()
            .is_some_and(|dir| dir.stage(stage.name()).is_dir())
        {
            continue;
        }
        evaluation(config, index, task)?;
        place.gates(config, stage.gates(), stage.gates_every(), task)?;
        match stage {
            StageConfig::Sft(stage) => supervised(config, stage, task)?,
            StageConfig::Rl(stage) => reinforced(config, stage, task, &train)?,
        }
    }
    Ok(())
}

fn wrong(message: String) -> TrainError {
    TrainError::Config { message }
}

fn out_of_range(key: &str, found: f64, wanted: &str) -> TrainError {
    wrong(format!("`{key}` is {found}; expected {wanted}"))
}

/// A stage, for what is said of it.
#[derive(Clone, Copy)]
struct Place<'a>(&'a str);

impl Place<'_> {
    fn wrong(self, what: &str) -> TrainError {
        wrong(format!("stage `{}`: {what}", self.0))
    }

    fn number(self, key: &str, found: f32, fits: bool, wanted: &str) -> Result<(), TrainError> {
        if fits {
            return Ok(());
        }
        Err(self.wrong(&format!("`{key}` is {found}; expected {wanted}")))
    }

    fn gates(
        self,
        config: &RunConfig,
        gates: &[Gate],
        every: usize,
        task: &dyn Task,
    ) -> Result<(), TrainError> {
        if gates.is_empty() && every > 0 {
            return Err(self.wrong(&format!("`gates_every` is {every} without `gates`")));
        }
        for (index, gate) in gates.iter().enumerate() {
            let key = format!("gates.{index}.at_least");
            let (least, share) = (gate.at_least, (0.0..=1.0).contains(&gate.at_least));
            self.number(&key, least as f32, share, "between 0 and 1")?;
            if let Some(model) = gate
                .model
                .as_ref()
                .filter(|m| !config.models.contains_key(*m))
            {
                let what =
                    format!("`gates.{index}.model` is `{model}`, which is no model of this run");
                return Err(self.wrong(&what));
            }
        }
        if gates.is_empty() {
            return Ok(());
        }
        let problems = task.problems(Split::Validation)?;
        if problems.is_empty() {
            return Err(self.wrong("`gates` look at the validation split, and the task has none"));
        }
        gates
            .iter()
            .try_for_each(|gate| self.measurable(gate, task, &problems))
    }

    /// Refuses a gate whose critiques the task writes for no problem: it would read as 0.
    fn measurable(
        self,
        gate: &Gate,
        task: &dyn Task,
        problems: &[Problem],
    ) -> Result<(), TrainError> {
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
                problems.iter().any(|problem| {
                    let response = task.gold_response(problem);
                    !task.futile_critiques(problem, &response).is_empty()
                }),
                "critiques of problems that no help mends",
            ),
        };
        if possible {
            return Ok(());
        }
        let name = gate.measure.name();
        Err(self.wrong(&format!(
            "a gate measures `{name}`, which needs {what}, and the task writes none"
        )))
    }
}

fn model(
    config: &RunConfig,
    name: &str,
    source: &ModelSource,
    task: &dyn Task,
) -> Result<(), TrainError> {
    for (key, folder) in [("path", &source.path), ("adapter", &source.adapter)] {
        if let Some(path) = folder.as_ref().filter(|path| !path.is_dir()) {
            let message = format!("is no folder; `models.{name}.{key}` names it");
            let path = path.clone();
            return Err(TrainError::File { path, message });
        }
    }
    if let Some(new) = &source.new {
        check_shape(name, new)?;
        if task.vocabulary().is_none() {
            return Err(wrong(format!(
                "`models.{name}.new` needs a task with a vocabulary of its own; this task has none"
            )));
        }
    }
    let Some(lora) = &source.lora else {
        return Ok(());
    };
    if lora.r == 0 {
        return Err(out_of_range(
            &format!("models.{name}.lora.r"),
            0.0,
            "at least 1",
        ));
    }
    if !lora.alpha.is_finite() {
        let key = format!("models.{name}.lora.alpha");
        return Err(out_of_range(&key, lora.alpha.into(), "a finite number"));
    }
    // Saving refuses others; then all steps of the stage would be lost.
    let key = format!("models.{name}.lora.target_modules");
    lora.check_modules()
        .map_err(|why| wrong(format!("`{key}` {why}")))?;
    let mut root = source;
    while let Some(from) = &root.from {
        root = &config.models[from];
    }
    if root.path.is_none() {
        return Err(wrong(format!(
            "`models.{name}.lora` needs a base model in a folder; this one is made by the run"
        )));
    }
    Ok(())
}

/// The row that a stage makes, and the split that it is made on.
fn evaluation(config: &RunConfig, index: usize, task: &dyn Task) -> Result<(), TrainError> {
    let stages = &config.stages;
    let place = Place(stages[index].name());
    let Some(row) = stages[index].eval_as() else {
        return Ok(());
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if row.is_empty() || row.starts_with('.') || !row.chars().all(plain) {
        return Err(place.wrong(&format!(
            "`eval_as` is `{row}`; expected letters, digits, `-`, `_` and `.`"
        )));
    }
    let control = Control::ALL.iter().any(|control| control.name() == row);
    if row == "no_critic" || control {
        return Err(place.wrong(&format!(
            "`eval_as` is `{row}`, which is another row's name"
        )));
    }
    if stages[..index].iter().any(|s| s.eval_as() == Some(row)) {
        return Err(place.wrong(&format!("`eval_as` is `{row}`, as of a stage before it")));
    }
    if task.problems(config.eval.split)?.is_empty() {
        return Err(wrong(
            "`eval.split` has no problems in this task; expected one that has".into(),
        ));
    }
    Ok(())
}

fn common(place: Place<'_>, schedule: &Schedule, optimizer: &AdamW) -> Result<(), TrainError> {
    let share = |value: f32| (0.0..1.0).contains(&value);
    let positive = |value: f32| value.is_finite() && value >= 0.0;
    let floor = schedule.floor;
    let fits = (0.0..=1.0).contains(&floor);
    place.number("schedule.floor", floor, fits, "between 0 and 1")?;
    let o = optimizer;
    for (key, found, fits, wanted) in [
        ("beta1", o.beta1, share(o.beta1), "at least 0 and below 1"),
        ("beta2", o.beta2, share(o.beta2), "at least 0 and below 1"),
        ("eps", o.eps, positive(o.eps) && o.eps > 0.0, "above 0"),
        (
            "weight_decay",
            o.weight_decay,
            positive(o.weight_decay),
            "0 or more",
        ),
        (
            "max_grad_norm",
            o.max_grad_norm,
            positive(o.max_grad_norm),
            "0 or more",
        ),
    ] {
        place.number(&format!("optimizer.{key}"), found, fits, wanted)?;
    }
    Ok(())
}

fn supervised(config: &RunConfig, stage: &SftStage, task: &dyn Task) -> Result<(), TrainError> {
    let place = Place(&stage.name);
    common(place, &stage.schedule, &stage.optimizer)?;
    for (index, data) in stage.data.iter().enumerate() {
        let fits = data.weight.is_finite() && data.weight > 0.0;
        place.number(
            &format!("data.{index}.weight"),
            data.weight,
            fits,
            "above 0",
        )?;
        let known = task.demonstration_kinds();
        if let Some(kind) = data.kind.as_deref().filter(|kind| !known.contains(kind)) {
            let makes = match known {
                [] => "none".to_owned(),
                known => known.join(", "),
            };
            let what = format!(
                "`data.{index}.kind` is `{kind}`; demonstrations that the task makes: {makes}"
            );
            return Err(place.wrong(&what));
        }
        sft::check_file(data, task)?;
    }
    if stage.model == "critic" && stage.gates_every > 0 && !config.models.contains_key("actor") {
        return Err(
            place.wrong("`gates_every` measures the critic with `models.actor`, which is missing")
        );
    }
    Ok(())
}

fn reinforced(
    config: &RunConfig,
    stage: &RlStage,
    task: &dyn Task,
    train: &[Problem],
) -> Result<(), TrainError> {
    let place = Place(&stage.name);
    common(place, &stage.schedule, &stage.optimizer)?;
    let rewards = stage.rewards.check(task.is_open_ended());
    rewards.map_err(|why| place.wrong(&why.to_string().replacen('`', "`rewards.", 1)))?;
    let credit = stage.token_credit(&config.rollout).check();
    credit.map_err(|why| place.wrong(&why.to_string()))?;
    let loss = stage.loss_settings(&config.rollout).check();
    loss.map_err(|why| place.wrong(&why.to_string().replace("kl.coef", "kl_coef")))?;
    let rollout = &config.rollout;
    if rollout.balanced && rollout.responses < 2 {
        return Err(place.wrong(
            "`rollout.balanced` wants a right and a wrong response; expected `rollout.responses` of at least 2",
        ));
    }
    if stage.validate_every > 0 && task.problems(Split::Validation)?.is_empty() {
        return Err(place.wrong("`validate_every` is set, but the task has no validation split"));
    }
    problems_of(&stage.name, fixed_responses(rollout)?.as_ref(), train)?;
    Ok(())
}

/// What a person should know of the stages of RL that a run would train, none of which is an error.
///
/// # Errors
///
/// When the task's problems or the file of responses cannot be read.
pub fn notes_of(config: &RunConfig, task: &dyn Task) -> Result<Vec<String>, TrainError> {
    let train = task.problems(Split::Train)?;
    let mut all = Vec::new();
    for stage in &config.stages {
        if let StageConfig::Rl(stage) = stage {
            let fixed = fixed_responses(&config.rollout)?;
            let problems = problems_of(&stage.name, fixed.as_ref(), &train)?;
            all.extend(notes(config, stage, fixed.as_ref(), &problems));
        }
    }
    Ok(all)
}

/// The same of one stage that walks through these problems.
pub(crate) fn notes(
    config: &RunConfig,
    stage: &RlStage,
    fixed: Option<&FixedResponses>,
    problems: &[Problem],
) -> Vec<String> {
    let mut notes = Vec::new();
    if stage.rewards.delta_is_refinement(&stage.advantage) {
        notes.push(format!(
            "stage `{}`: `rewards.delta` teaches what `rewards.refinement` teaches: the critiques \
             of a group share a response, and `advantage = \"{}\"` takes off what is the same in a \
             group; the two differ under `\"reinforce\"` and `\"reinforce_plus_plus\"`, or with \
             `rewards.mode = \"gated\"`",
            stage.name,
            stage.advantage.name()
        ));
    }
    let wanted = config.rollout.responses;
    let few = |problem: &&Problem| fixed.is_some_and(|fixed| fixed.count(problem) < wanted);
    let few = problems.iter().filter(few).count();
    if few > 0 {
        notes.push(format!(
            "stage `{}`: `responses_file` has fewer than {wanted} responses to {few} of {} problems, \
             which give as many as there are",
            stage.name,
            problems.len()
        ));
    }
    notes
}
