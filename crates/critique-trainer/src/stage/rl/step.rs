//! A step of reinforcement learning within its stage: what it leaves, and the best step so far.

use critique_core::{Problem, Split};
use critique_eval::{Row, evaluate};
use critique_model::LanguageModel;
use critique_rollout::record;
use critique_run::{Best, Metrics, Misfit, ROLLOUTS_SUM, RlStage, TrainerState};
use serde_json::json;

use super::RlContext;
use crate::checkpoint;
use crate::error::TrainError;
use crate::minibatch::Minibatch;
use crate::observer::{Event, Observer};
use crate::plan::Models;
use crate::stage::{InStage, Setting, StageStep, StepOutcome};

/// Steps of a stage of reinforcement learning.
pub(super) struct RlStep<'a> {
    context: RlContext<'a>,
    setting: Setting<'a>,
    /// Problems that choose the best step; none where the stage does not ask for it.
    validation: Vec<Problem>,
}

impl<'a> RlStep<'a> {
    /// Finds what the stage works with.
    pub(super) fn begin(
        stage: &'a RlStage,
        setting: &Setting<'a>,
        models: &'a mut Models,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let context = RlContext::open(stage, setting, models)?;
        for text in context.notes() {
            observer.on(&Event::Note { text: &text });
        }
        let validation = if stage.validate_every > 0 {
            validation(setting)?
        } else {
            Vec::new()
        };
        Ok(Self {
            context,
            setting: *setting,
            validation,
        })
    }

    /// Evaluates the critic on the validation split and keeps it if it is the best so far.
    fn validate(&self, work: &mut InStage, metrics: &mut Metrics) -> Result<(), TrainError> {
        let (stage, config) = (self.context.stage, self.setting.config);
        let lengths = config.eval_lengths();
        let settings = lengths.settings("validation", config.seed, 0.0);
        let (actor, task) = (self.context.actor, self.context.task);
        let row = evaluate(actor, Some(&work.model), task, &self.validation, &settings)?.row;
        log_validation(&row, metrics);
        let value = if stage.rewards.needs_refinement() {
            row.acc_refined
        } else {
            row.acc_dis_balanced
        };
        let value = value.unwrap_or(0.0);
        if work.state.best.is_none_or(|best| value > best.value) {
            let step = work.state.stage_step + 1;
            work.state.best = Some(Best { step, value });
            let state = TrainerState {
                stage_step: step,
                global_step: work.before + step,
                ..work.state.clone()
            };
            let dir = self.setting.dir;
            let place = (dir, &*dir.best(&stage.name));
            checkpoint::save_model(place, &state, &work.model, &work.origin)?;
        }
        Ok(())
    }
}

impl StageStep for RlStep<'_> {
    fn actor(&self) -> Option<&LanguageModel> {
        Some(self.context.actor)
    }

    fn step(&mut self, step: usize, work: &mut InStage) -> Result<StepOutcome, TrainError> {
        let InStage {
            model,
            state,
            origin,
            ..
        } = work;
        let dir = self.setting.dir;
        let before = state.clone();
        let keep = |critic: &LanguageModel, minibatch: &Minibatch| {
            let folder = dir.not_finite(before.global_step + 1);
            checkpoint::save_minibatch((dir, &folder), &before, critic, origin, minibatch)
        };
        let baseline = &mut state.baseline;
        let mut outcome = self.context.step(step, model, baseline, &keep)?;
        let stage = self.context.stage;
        let every = self.setting.config.save.rollouts_every;
        if every > 0 && step.is_multiple_of(every) {
            self.setting.dir.check_there()?;
            let root = self.setting.dir.root();
            let sum = record::write_step(root, &stage.name, step as u64, &outcome.records)?;
            let sum = json!(sum.sha256);
            outcome.metrics.insert(ROLLOUTS_SUM.into(), sum);
        }
        Ok(StepOutcome::of(outcome.metrics, outcome.peak).with(outcome.not_finite))
    }

    fn look(
        &self,
        step: usize,
        work: &mut InStage,
        metrics: &mut Metrics,
    ) -> Result<(), TrainError> {
        let every = self.context.stage.validate_every;
        if every > 0 && (step + 1).is_multiple_of(every) {
            self.validate(work, metrics)?;
        }
        Ok(())
    }
}

/// Problems for choosing the best step.
fn validation(setting: &Setting<'_>) -> Result<Vec<Problem>, TrainError> {
    let mut problems = setting.task.problems(Split::Validation)?;
    let most = setting.config.eval.validation_problems;
    if most > 0 {
        problems.truncate(most);
    }
    if problems.is_empty() {
        let message = "`validate_every` is set, but the task has no validation split";
        return Err(Misfit::new("stages", message).into());
    }
    Ok(problems)
}

fn log_validation(row: &Row, metrics: &mut Metrics) {
    let figures = [
        ("eval/acc_initial", row.acc_initial),
        ("eval/acc_refined", row.acc_refined),
        ("eval/acc_dis", row.acc_dis),
        ("eval/acc_dis_balanced", row.acc_dis_balanced),
        ("eval/acc_dis_correct", row.acc_dis_correct),
        ("eval/acc_dis_incorrect", row.acc_dis_incorrect),
        ("eval/said_correct", row.extra.said_correct),
        ("eval/delta_c2i", row.delta_c2i),
        ("eval/delta_i2c", row.delta_i2c),
        ("eval/parse_rate", row.parse_rate),
    ];
    for (name, value) in figures {
        metrics.insert(name.into(), json!(value));
    }
}
