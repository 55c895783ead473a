//! One rollout of a run made again, alone, from its id.
//!
//! The critic of a step is not on disk. It is made again from the newest checkpoint of the stage
//! at or before the step, or from the model that the stage began with, by taking the updates in
//! between once more, in memory. On the CPU that gives the critic's very bits, and a sample
//! depends on its seed and on nothing else, so the rollout equals its record. The critics of
//! evaluations are on disk. Nothing is written.

use std::path::{Path, PathBuf};

use critique_core::{Completion, Problem, Rollout, Split};
use critique_model::LanguageModel;
use critique_rollout::{Alone, RolloutId, RolloutRecord, Scored, Seeds, record};
use critique_run::rows::{at_temperature, best_of};
use critique_run::{
    RlStage, RolloutConfig, RunConfig, RunDir, RunError, StageConfig, TrainerState, eval_seed,
};
use critique_tasks::Task;
use serde_json::Value;

use crate::error::TrainError;
use crate::minibatch::Minibatch;
use crate::observer::{Event, Observer};
use crate::plan::Models;
use crate::resume::{newest_checkpoint, start_of};
use crate::stage::Setting;
use crate::stage::rl::{RlContext, scored};

/// A rollout that was made again.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The rollout with its token ids and log-probs.
    pub rollout: Rollout,
    /// What each sampled token of its texts says, special tokens included.
    pub token_texts: TokenTexts,
    /// The record that it would leave. The advantage, which compares it with its siblings, is
    /// that of the record in the run folder.
    pub record: RolloutRecord,
    /// The record in the run folder; nothing where `save.rollouts_every` left the step out.
    pub recorded: Option<RolloutRecord>,
    /// The checkpoint that the critic was made from; nothing where it is the model that the
    /// stage began with.
    pub checkpoint: Option<PathBuf>,
    /// Updates that were taken again.
    pub redone: usize,
}

/// The text of each sampled token; empty for texts that were read from a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenTexts {
    /// Of the response.
    pub response: Vec<String>,
    /// Of the critique.
    pub critique: Vec<String>,
    /// Of each refinement.
    pub refinements: Vec<Vec<String>>,
}

impl TokenTexts {
    fn of(rollout: &Rollout, actor: &LanguageModel, critic: &LanguageModel) -> Self {
        let texts = |model: &LanguageModel, completion: Option<&Completion>| {
            let tokens = completion.map_or(&[][..], |completion| &completion.tokens);
            let text = |token| model.codec().decode(std::slice::from_ref(token), false);
            tokens.iter().map(text).collect()
        };
        let refinements = rollout.refinements.iter();
        Self {
            response: texts(actor, rollout.response.completion.as_ref()),
            critique: texts(critic, Some(&rollout.critique.completion)),
            refinements: refinements
                .map(|attempt| texts(actor, attempt.completion.as_ref()))
                .collect(),
        }
    }
}

/// A field of a record that came out otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its path, such as `refinements.0.text`.
    pub field: String,
    /// What the record says; null where it says nothing.
    pub recorded: Value,
    /// What the replay gave.
    pub replayed: Value,
}

impl Replay {
    /// Where the replay and its record differ, field by field; nothing where there is no record.
    /// Sums of log-probs are compared bit for bit, where the record has them.
    pub fn differences(&self) -> Vec<Difference> {
        let mut found = Vec::new();
        if let Some(recorded) = &self.recorded {
            let mut replayed = as_written(&self.record);
            if recorded.log_prob_sums.is_none() {
                replayed.log_prob_sums = None;
            }
            compare("", &value(recorded), &value(&replayed), &mut found);
        }
        found
    }
}

/// A record as it reads when it comes back from disk.
fn as_written(record: &RolloutRecord) -> RolloutRecord {
    let text = serde_json::to_string(record);
    text.and_then(|text| serde_json::from_str(&text))
        .unwrap_or_else(|_| record.clone())
}

fn value(record: &RolloutRecord) -> Value {
    serde_json::to_value(record).unwrap_or_default()
}

fn compare(path: &str, recorded: &Value, replayed: &Value, found: &mut Vec<Difference>) {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match (recorded, replayed) {
        (Value::Object(was), Value::Object(is)) => {
            let gone = was.keys().filter(|key| !is.contains_key(*key));
            for key in is.keys().chain(gone) {
                let (was, is) = (was.get(key), is.get(key));
                let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
                compare(&below(key), was, is, found);
            }
        }
        (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
            for (index, (was, is)) in was.iter().zip(is).enumerate() {
                compare(&below(&index.to_string()), was, is, found);
            }
        }
        (was, is) if was != is => found.push(Difference {
            field: path.to_owned(),
            recorded: was.clone(),
            replayed: is.clone(),
        }),
        _ => {}
    }
}

/// Makes the rollout of this id again. `root` is the run's folder and `config` the run file that
/// it holds (`config.resolved.toml`); `out` in it does not count, so a run may have moved.
///
/// # Errors
///
/// When the run has no such rollout, when what the run was made from is no longer there, and as
/// [`run`](crate::run()).
pub fn replay(
    root: &Path,
    config: &RunConfig,
    task: &dyn Task,
    id: &RolloutId,
    observer: &mut dyn Observer,
) -> Result<Replay, TrainError> {
    config.check()?;
    let dir = RunDir::existing(root)?;
    let (index, stage) = stage_of(config, id)?;
    let recorded = recorded(&dir, config, id)?;
    let train = task.problems(Split::Train)?;
    let Some(problem) = train.iter().find(|problem| problem.id == id.problem) else {
        return Err(no_rollout(id, "the task has no such training problem"));
    };

    let mut models = models_of(&dir, config, task)?;
    models_before(&dir, config, index, &mut models)?;
    models.begin(&config.stages[index], &dir)?;
    let step = usize::try_from(id.step).unwrap_or(usize::MAX);
    let from = newest_checkpoint(&dir, &stage.name, step)?;
    let checkpoint = from.as_ref().map(|(folder, _)| folder.clone());
    let before = config.stages[..index].iter().map(StageConfig::steps).sum();
    let (mut critic, state) = start_of(&stage.name, &stage.model, before, from, &mut models)?;

    let setting = Setting {
        config,
        task,
        dir: &dir,
        train: &train,
    };
    let context = RlContext::open(stage, &setting, &mut models)?;
    sampled_by(&context, id)?;
    let redone = step - state.stage_step;
    let begin = Event::ReplayStart {
        stage: &stage.name,
        done: state.stage_step,
        steps: step,
    };
    observer.on(&begin);
    take_again(&context, &mut critic, state, step, observer)?;

    let mut made = alone(&context, &critic, problem, id)?;
    made.record.advantage = recorded.as_ref().map_or(0.0, |record| record.advantage);
    // Servers are given other versions by a replay.
    made.record.critic_version = recorded.as_ref().and_then(|record| record.critic_version);
    Ok(Replay {
        recorded,
        checkpoint,
        redone,
        ..made
    })
}

/// Makes a rollout of an evaluation again: the one with this id in `eval/ROW.jsonl`. Critics of
/// rows are on disk, so nothing is trained. See [`replay`].
///
/// # Errors
///
/// When the run has no such row or rollout, when what the run was made from is no longer there,
/// and as [`run`](crate::run()).
pub fn replay_evaluation(
    root: &Path,
    config: &RunConfig,
    task: &dyn Task,
    row: &str,
    id: &RolloutId,
) -> Result<Replay, TrainError> {
    config.check()?;
    let dir = RunDir::existing(root)?;
    let Row {
        stage: index,
        best,
        temperature,
    } = row_of(config, row)?;
    dir.check_evaluation(row)?;
    let recorded = record_in(&dir.eval().join(format!("{row}.jsonl")), id)?;
    let problems = task.problems(config.eval.split)?;
    let Some(problem) = problems.iter().find(|problem| problem.id == id.problem) else {
        return Err(no_rollout(
            id,
            "the task has no such problem in `eval.split`",
        ));
    };

    let stage = &config.stages[index];
    let mut models = models_of(&dir, config, task)?;
    models_before(&dir, config, index + 1, &mut models)?;
    let folder = if best {
        dir.best(stage.name())
    } else {
        dir.stage(stage.name())
    };
    let critic = models.read_of_run(stage.model(), &dir, &folder)?;
    let actor = models.get("actor")?;
    let seed = eval_seed(config.seed);
    let settings = config.eval_lengths().settings(row, seed, temperature);
    let asks = Alone {
        actor,
        critic: &critic,
        task,
        seeds: Seeds::of_evaluation(seed),
        response: &settings.response,
        critique: &settings.critique,
        refinement: &settings.refinement,
        refinements: 1,
    };
    let group = asks
        .rollout(problem, None, id.sample, id.sibling)?
        .ok_or_else(|| no_rollout(id, "one of its prompts does not fit the context"))?;
    let member = &group.members[0];
    Ok(Replay {
        record: RolloutRecord::new(&asks.seeds, &group, member, Scored::default()),
        token_texts: TokenTexts::of(&member.rollout, actor, &critic),
        rollout: member.rollout.clone(),
        recorded: Some(recorded),
        checkpoint: Some(folder),
        redone: 0,
    })
}

/// A row of the summary: the stage whose critic it evaluates, whether it is the critic of the
/// best step, and the temperature.
#[derive(Debug, Clone, Copy)]
struct Row {
    stage: usize,
    best: bool,
    temperature: f32,
}

/// What a row evaluates. Rows without a critic of the run have nothing to be made again.
fn row_of(config: &RunConfig, name: &str) -> Result<Row, TrainError> {
    let mut known = Vec::new();
    for (stage, of) in config.stages.iter().enumerate() {
        let Some(row) = of.eval_as() else { continue };
        for best in [false, true] {
            if best && !of.settings().keeps_best() {
                continue;
            }
            for (at, &temperature) in config.eval.temperatures.iter().enumerate() {
                let plain = if best { best_of(row) } else { row.to_owned() };
                let full = at_temperature(&plain, at, temperature);
                if full == name {
                    return Ok(Row {
                        stage,
                        best,
                        temperature,
                    });
                }
                known.push(full);
            }
        }
    }
    let message = format!(
        "no row `{name}` with a critic of the run; rows: {}",
        known.join(", ")
    );
    Err(RunError::Folder { message }.into())
}

/// Takes updates up to this step once more.
fn take_again(
    context: &RlContext<'_>,
    critic: &mut LanguageModel,
    mut state: TrainerState,
    until: usize,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    while state.stage_step < until {
        // What was not finite changed nothing, and is kept already.
        let keep = |_: &LanguageModel, _: &Minibatch| Ok(());
        let outcome = context.step(state.stage_step, critic, &mut state.baseline, &keep)?;
        state.stage_step += 1;
        let stage = &context.stage.name;
        observer.on(&Event::Step {
            stage,
            done: state.stage_step,
            metrics: &outcome.metrics,
        });
    }
    Ok(())
}

/// The rollout by the critic as it now is.
fn alone(
    context: &RlContext<'_>,
    critic: &LanguageModel,
    problem: &Problem,
    id: &RolloutId,
) -> Result<Replay, TrainError> {
    let (stage, rollout, task) = (context.stage, context.rollout, context.task);
    let seeds = Seeds {
        run: context.seed,
        stage: &stage.name,
        step: id.step,
    };
    let asks = Alone {
        actor: context.actor,
        critic,
        task,
        seeds,
        response: &rollout.response,
        critique: &rollout.critique,
        refinement: &rollout.refinement,
        refinements: if stage.rewards.needs_refinement() {
            rollout.refinements
        } else {
            0
        },
    };
    let fixed = context.fixed_response(id, &seeds)?;
    if context.has_fixed() && fixed.is_none() {
        let why = "the step has no such response of `responses_file`";
        return Err(no_rollout(id, why));
    }
    let group = asks
        .rollout(problem, fixed, id.sample, id.sibling)?
        .ok_or_else(|| no_rollout(id, "one of its prompts does not fit the context"))?;
    let member = &group.members[0];
    let reward = context.rewards.score(&member.rollout);
    Ok(Replay {
        record: RolloutRecord::new(&seeds, &group, member, scored(&reward, 0.0)),
        token_texts: TokenTexts::of(&member.rollout, context.actor, critic),
        rollout: member.rollout.clone(),
        recorded: None,
        checkpoint: None,
        redone: 0,
    })
}

/// The stage of the rollout, which must be one of RL with such a step and such indices.
fn stage_of<'a>(config: &'a RunConfig, id: &RolloutId) -> Result<(usize, &'a RlStage), TrainError> {
    let all = || config.stages.iter().enumerate();
    let found = all().find_map(|(index, stage)| match stage {
        StageConfig::Rl(stage) if stage.name == id.stage => Some((index, stage)),
        _ => None,
    });
    let Some((index, stage)) = found else {
        let names: Vec<&str> = all()
            .filter(|(_, stage)| matches!(stage, StageConfig::Rl(_)))
            .map(|(_, stage)| stage.name())
            .collect();
        let why = format!(
            "the run has no stage of RL with this name; it has: {}",
            names.join(", ")
        );
        return Err(no_rollout(id, &why));
    };
    if id.step >= stage.steps as u64 {
        let why = format!("steps of the stage go from 0 to {}", stage.steps - 1);
        return Err(no_rollout(id, &why));
    }
    if id.sibling >= config.rollout.group_size {
        return Err(too_many(id, &config.rollout));
    }
    Ok((index, stage))
}

/// That the step makes so many responses to the problem: those of each time that it has it.
fn sampled_by(context: &RlContext<'_>, id: &RolloutId) -> Result<(), TrainError> {
    let step = usize::try_from(id.step).unwrap_or(usize::MAX);
    let problems = context.problems(step);
    let times = problems.iter().filter(|p| p.id == id.problem).count();
    if id.sample < context.samples_a_time() * times.max(1) {
        return Ok(());
    }
    Err(too_many(id, context.rollout))
}

fn too_many(id: &RolloutId, rollout: &RolloutConfig) -> TrainError {
    let why = format!(
        "the run makes {} responses to a problem, each time that a step has it, and {} critiques \
         of each, counted from 0",
        rollout.responses, rollout.group_size
    );
    no_rollout(id, &why)
}

fn no_rollout(id: &RolloutId, why: &str) -> TrainError {
    let message = format!("no rollout `{id}`: {why}");
    RunError::Folder { message }.into()
}

/// The record of the rollout. A step that was to be recorded must be there, and hold it.
fn recorded(
    dir: &RunDir,
    config: &RunConfig,
    id: &RolloutId,
) -> Result<Option<RolloutRecord>, TrainError> {
    let path = record::step_path(dir.root(), &id.stage, id.step);
    let every = config.save.rollouts_every as u64;
    if !path.is_file() {
        if every == 0 || !id.step.is_multiple_of(every) {
            return Ok(None);
        }
        let why = format!(
            "`{}` is not there: the run has not come so far",
            path.display()
        );
        return Err(no_rollout(id, &why));
    }
    dir.check_rollouts(&id.stage, id.step)?;
    record_in(&path, id).map(Some)
}

/// The record with this id in a file.
fn record_in(path: &Path, id: &RolloutId) -> Result<RolloutRecord, TrainError> {
    let all = record::read(path)?;
    let name = id.to_string();
    let example = all
        .first()
        .map_or("none", |first| first.id.as_str())
        .to_owned();
    let count = all.len();
    let found = all.into_iter().find(|record| record.id == name);
    found.ok_or_else(|| {
        let why = format!(
            "`{}` holds {count} others, such as `{example}`",
            path.display()
        );
        no_rollout(id, &why)
    })
}

/// The models of a run as they were after its first `stages` stages, read from its folder; `config`
/// is the run file that it holds.
///
/// # Errors
///
/// When a stage has left no model, or what the run was made from is no longer there.
pub fn models_after(
    dir: &RunDir,
    config: &RunConfig,
    task: &dyn Task,
    stages: usize,
) -> Result<Models, TrainError> {
    let mut models = models_of(dir, config, task)?;
    models_before(dir, config, stages, &mut models)?;
    Ok(models)
}

/// Models of a run that is there; none is loaded yet.
pub(crate) fn models_of(
    dir: &RunDir,
    config: &RunConfig,
    task: &dyn Task,
) -> Result<Models, TrainError> {
    let mut models = Models::new(config, task)?;
    if let Some(started) = dir.started()? {
        models.set_time(started.unix_seconds);
    }
    Ok(models)
}

/// The models as they were when stage `index` began, those that earlier stages left read from
/// the run folder.
pub(crate) fn models_before(
    dir: &RunDir,
    config: &RunConfig,
    index: usize,
    models: &mut Models,
) -> Result<(), TrainError> {
    for stage in &config.stages[..index] {
        let folder = dir.stage(stage.name());
        if !folder.is_dir() {
            let message = format!(
                "`{}` is not there; the model that stage `{}` left is needed",
                folder.display(),
                stage.name()
            );
            return Err(RunError::Folder { message }.into());
        }
        models.begin(stage, dir)?;
        models.take_up(stage, dir)?;
        models.need_after(stage)?;
    }
    Ok(())
}
