//! The loop over stages.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use critique_core::{Problem, Split, derive_seed};
use critique_eval::{Critic, evaluate};
use critique_model::LanguageModel;
use critique_rollout::Control;
use critique_tasks::Task;
use serde_json::json;

use crate::check::{check, notes};
use crate::checkpoint::{self, Best, TrainerState};
use crate::config::{RlStage, RunConfig, SftStage, StageConfig};
use crate::error::TrainError;
use crate::evaluation::Evaluator;
use crate::gates::{EarlyEnd, Gauge, check_gates};
use crate::kept_config::keep_config;
use crate::memory;
use crate::models::Models;
use crate::observer::{Event, Metrics, Observer};
use crate::resume::{self, Resume, start_of};
use crate::rl::{RlContext, fixed_responses, problems_of};
use crate::run_dir::RunDir;
use crate::run_lock::RunLock;
use crate::sft::{self, SftFeed};

/// Runs all stages of a run file.
///
/// A stage that the run folder holds already is not run again, and a stage with a checkpoint
/// goes on from it: stopped and resumed, a run ends with the bits it would have had unbroken.
/// `stop` asks for an end after the current step; a checkpoint is written then.
///
/// # Errors
///
/// See [`TrainError`]. Whatever was saved before stays.
pub fn run(
    config: &RunConfig,
    task: &dyn Task,
    resume: &Resume,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<RunDir, TrainError> {
    check(config, task)?;
    if *resume == Resume::Never && RunDir::existing(&config.out).is_ok() {
        let message = format!(
            "`{}` holds a run already; expected another `out`, or --resume auto",
            config.out.display()
        );
        return Err(TrainError::Config { message });
    }
    let lock = RunLock::take(&config.out)?;
    if let Some(text) = lock.note() {
        observer.on(&Event::Note { text });
    }
    let dir = RunDir::open(&config.out)?;
    keep_config(&dir, config)?;
    let runner = Runner {
        config,
        task,
        dir: &dir,
        stop,
    };
    runner.run(resume, observer)?;
    Ok(dir)
}

struct Runner<'a> {
    config: &'a RunConfig,
    task: &'a dyn Task,
    dir: &'a RunDir,
    stop: &'a AtomicBool,
}

/// What stages hand on to each other.
struct Shared<'a> {
    models: Models,
    gauge: Gauge<'a>,
    evaluator: Evaluator<'a>,
    train: Vec<Problem>,
}

/// A stage in the making.
struct InStage {
    model: LanguageModel,
    state: TrainerState,
    /// Steps of the run before this stage.
    before: usize,
    /// Most bytes resident so far, in steps, gates and while saving.
    peak: usize,
}

impl InStage {
    /// Counts what was resident since the last phase of a step began.
    fn note_peak(&mut self) {
        self.peak = self.peak.max(memory::peak());
    }
}

impl Runner<'_> {
    fn run(&self, resume: &Resume, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let config = self.config;
        let eval_seed = derive_seed(config.seed, &["eval"]);
        let mut shared = Shared {
            models: Models::new(config, self.task)?,
            gauge: Gauge::new(config.eval_lengths(), self.task, config.seed),
            evaluator: Evaluator::new(config, self.task, eval_seed)?,
            train: self.task.problems(Split::Train)?,
        };
        let mut checkpoint = resume::checkpoint(resume, config, self.dir, observer)?;
        let mut before = 0;
        for (index, stage) in config.stages.iter().enumerate() {
            let folder = self.dir.stage(stage.name());
            if folder.is_dir() {
                observer.on(&Event::StageSkipped {
                    stage: stage.name(),
                });
                shared.models.begin(stage, self.dir)?;
                shared.models.take_up(stage, &folder)?;
                // A kill at the end of the stage leaves its checkpoints.
                checkpoint::clear(self.dir, stage.name(), before + stage.steps())?;
            } else {
                let from = checkpoint
                    .take()
                    .filter(|(_, state)| state.stage == stage.name());
                self.dir
                    .cut(from.as_ref().map_or(before, |(_, state)| state.global_step))?;
                self.stage(index, stage, before, from, &mut shared, observer)?;
            }
            if stage.model() == "actor" {
                shared.evaluator.forget_actor();
                shared.gauge.forget_actor();
            }
            self.after_stage(stage, &mut shared, observer)?;
            before += stage.steps();
        }
        Ok(())
    }

    fn stage(
        &self,
        index: usize,
        stage: &StageConfig,
        before: usize,
        from: Option<(PathBuf, TrainerState)>,
        shared: &mut Shared<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        shared.models.begin(stage, self.dir)?;
        let (model, state) = start_of(
            stage.name(),
            stage.model(),
            before,
            from,
            &mut shared.models,
        )?;
        observer.on(&Event::StageStart {
            stage: stage.name(),
            index: index + 1,
            stages: self.config.stages.len(),
            done: state.stage_step,
            steps: stage.steps(),
        });
        let mut work = InStage {
            model,
            state,
            before,
            peak: 0,
        };
        memory::forget_peak();
        match stage {
            StageConfig::Sft(stage) => self.sft(stage, &mut work, shared, observer)?,
            StageConfig::Rl(stage) => self.rl(stage, &mut work, shared, observer)?,
        }
        checkpoint::save_model(&self.dir.stage(stage.name()), &work.state, &work.model)?;
        work.note_peak();
        let InStage { model, peak, .. } = work;
        checkpoint::clear(self.dir, stage.name(), before + stage.steps())?;
        let frozen = model.into_frozen();
        shared.models.put(stage.model(), frozen);
        observer.on(&Event::StageEnd {
            stage: stage.name(),
            peak_bytes: peak,
        });
        Ok(())
    }

    fn seed(&self, stage: &str) -> u64 {
        derive_seed(self.config.seed, &["stage", stage])
    }

    fn sft(
        &self,
        stage: &SftStage,
        work: &mut InStage,
        shared: &mut Shared<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let Shared { models, gauge, .. } = shared;
        let seed = self.seed(&stage.name);
        let context = work.model.config().max_position_embeddings;
        let threads = self.config.threads;
        let mut feed = SftFeed::new(stage, self.task, work.model.codec(), context, seed, threads)?;
        if feed.too_long > 0 {
            let text = format!(
                "{} examples exceed the model's context and are left out",
                feed.too_long
            );
            observer.on(&Event::Note { text: &text });
        }
        // A critic is measured with the actor; any other model by itself.
        let early = EarlyEnd {
            gates: &stage.gates,
            every: stage.gates_every,
            steps: stage.steps,
            actor: match stage.model.as_str() {
                "critic" if stage.gates_every > 0 => Some(models.get("actor")?),
                _ => None,
            },
        };
        let step = work.state.stage_step;
        let mut ended = early.met(step, &work.model, gauge, &mut Metrics::new())?;
        while !ended && work.state.stage_step < stage.steps {
            let begin = Instant::now();
            work.note_peak();
            memory::forget_peak();
            let step = work.state.stage_step;
            let outcome = sft::accumulate(&mut feed, &mut work.model, step)?;
            self.finite(&stage.name, work, "loss", outcome.loss as f32)?;
            let lr = stage.lr * stage.schedule.at(step, stage.steps);
            let norm = work.model.engine_mut().update(lr, &stage.optimizer);
            self.finite(&stage.name, work, "gradient norm", norm)?;
            let seconds = begin.elapsed().as_secs_f64();
            let mut metrics = Metrics::new();
            metrics.insert("loss".into(), json!(outcome.loss));
            metrics.insert("grad_norm".into(), json!(norm));
            metrics.insert("learning_rate".into(), json!(lr));
            metrics.insert("num_tokens".into(), json!(outcome.tokens));
            metrics.insert("learnt_tokens".into(), json!(outcome.learnt));
            metrics.insert("time/step".into(), json!(seconds));
            metrics.insert("memory/train_mb".into(), json!(memory::peak() >> 20));
            metrics.insert(
                "time/tokens_per_second".into(),
                json!(outcome.tokens as f64 / seconds),
            );
            ended = early.met(step + 1, &work.model, gauge, &mut metrics)?;
            self.advance(&stage.name, stage.steps, work, metrics, observer)?;
        }
        Ok(())
    }

    fn rl(
        &self,
        stage: &RlStage,
        work: &mut InStage,
        shared: &mut Shared<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let Shared {
            models,
            gauge,
            train,
            ..
        } = shared;
        let rollout = &self.config.rollout;
        let fixed = fixed_responses(rollout)?;
        let problems = problems_of(&stage.name, fixed.as_ref(), train)?;
        for text in notes(self.config, stage, fixed.as_ref(), &problems) {
            observer.on(&Event::Note { text: &text });
        }
        let named = named_reference(self.dir, stage, models)?;
        // The model among `models` is the policy as it was when the stage began.
        let (actor, policy) = models.pair("actor", &stage.model)?;
        let reference = match stage.reference.as_str() {
            "none" => None,
            _ => Some(named.as_ref().unwrap_or(policy)),
        };
        let context = RlContext {
            stage,
            rollout,
            task: self.task,
            problems: &problems,
            fixed: fixed.as_ref(),
            actor,
            reference,
            seed: self.seed(&stage.name),
        };
        let validation = if stage.validate_every > 0 {
            self.validation()?
        } else {
            Vec::new()
        };
        let early = EarlyEnd {
            gates: &stage.gates,
            every: stage.gates_every,
            steps: stage.steps,
            actor: Some(actor),
        };
        let step = work.state.stage_step;
        let mut ended = early.met(step, &work.model, gauge, &mut Metrics::new())?;
        while !ended && work.state.stage_step < stage.steps {
            let step = work.state.stage_step;
            work.note_peak();
            let mut outcome = context.step(step, &mut work.model, &mut work.state.baseline)?;
            if let Some((what, value)) = outcome.not_finite {
                self.finite(&stage.name, work, what, value)?;
            }
            let every = self.config.save.rollouts_every;
            if every > 0 && step.is_multiple_of(every) {
                critique_rollout::record::write_step(
                    self.dir.root(),
                    &stage.name,
                    step as u64,
                    &outcome.records,
                )?;
            }
            if stage.validate_every > 0 && (step + 1).is_multiple_of(stage.validate_every) {
                self.validate(stage, &validation, actor, work, &mut outcome.metrics)?;
            }
            ended = early.met(step + 1, &work.model, gauge, &mut outcome.metrics)?;
            self.advance(&stage.name, stage.steps, work, outcome.metrics, observer)?;
        }
        Ok(())
    }

    /// Problems for choosing checkpoints.
    fn validation(&self) -> Result<Vec<Problem>, TrainError> {
        let mut problems = self.task.problems(Split::Validation)?;
        let most = self.config.eval.validation_problems;
        if most > 0 {
            problems.truncate(most);
        }
        if problems.is_empty() {
            return Err(TrainError::Config {
                message: "`validate_every` is set, but the task has no validation split".into(),
            });
        }
        Ok(problems)
    }

    /// Evaluates the critic on the validation split and keeps it if it is the best so far.
    fn validate(
        &self,
        stage: &RlStage,
        problems: &[Problem],
        actor: &LanguageModel,
        work: &mut InStage,
        metrics: &mut Metrics,
    ) -> Result<(), TrainError> {
        let lengths = self.config.eval_lengths();
        let settings = lengths.settings("validation", self.config.seed, 0.0);
        let row = evaluate(actor, Some(&work.model), self.task, problems, &settings)?.row;
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
            checkpoint::save_model(&self.dir.best(&stage.name), &state, &work.model)?;
        }
        Ok(())
    }

    /// Counts a step that was taken: logs it, saves where it is time, and stops where asked.
    fn advance(
        &self,
        stage: &str,
        steps: usize,
        work: &mut InStage,
        metrics: Metrics,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let memory = metrics
            .iter()
            .filter(|(name, _)| name.starts_with("memory/"));
        for mib in memory.filter_map(|(_, value)| value.as_u64()) {
            work.peak = work.peak.max((mib as usize) << 20);
        }
        work.state.stage_step += 1;
        work.state.global_step = work.before + work.state.stage_step;
        let mut line = Metrics::new();
        line.insert("step".into(), json!(work.state.global_step));
        line.insert("stage".into(), json!(stage));
        line.insert("stage_step".into(), json!(work.state.stage_step));
        line.extend(metrics);
        self.dir.log(&line)?;
        observer.on(&Event::Step {
            stage,
            done: work.state.stage_step,
            metrics: &line,
        });
        let stopped = self.stop.load(Ordering::Relaxed);
        let save = &self.config.save;
        let due = save.every > 0 && work.state.stage_step.is_multiple_of(save.every);
        if stopped || (due && work.state.stage_step < steps) {
            checkpoint::save(self.dir, work.state.clone(), &work.model, save.keep)?;
        }
        if stopped {
            return Err(TrainError::Interrupted {
                saved: self.dir.checkpoint(work.state.global_step),
            });
        }
        Ok(())
    }

    /// Stops at a number that is not finite, with the weights before it saved.
    fn finite(
        &self,
        stage: &str,
        work: &InStage,
        what: &'static str,
        value: f32,
    ) -> Result<(), TrainError> {
        if value.is_finite() {
            return Ok(());
        }
        checkpoint::save(
            self.dir,
            work.state.clone(),
            &work.model,
            self.config.save.keep,
        )?;
        let checkpoint = self.dir.checkpoint(work.state.global_step);
        Err(TrainError::NotFinite {
            stage: stage.to_owned(),
            step: work.state.stage_step + 1,
            what,
            value,
            checkpoint,
        })
    }

    /// Gates and evaluations, where they are not done yet.
    fn after_stage(
        &self,
        stage: &StageConfig,
        shared: &mut Shared<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        shared.models.need_after(stage)?;
        check_gates(stage, &mut shared.models, &mut shared.gauge, observer)?;
        let Shared {
            models, evaluator, ..
        } = shared;
        let Some(name) = stage.eval_as() else {
            return Ok(());
        };
        let (actor, critic) = models.pair("actor", stage.model())?;
        let at = (self.dir, self.stop);
        evaluator.run("no_critic", actor, Critic::Nobody, at, observer)?;
        if self.config.eval.controls && !evaluator.has_controls {
            for control in Control::ALL {
                if control.is_possible(self.task, &evaluator.problems) {
                    let critic = Critic::Control(control);
                    evaluator.run(control.name(), actor, critic, at, observer)?;
                } else {
                    let name = control.name();
                    let text = format!(
                        "the task writes no perfect critiques, so there is no row `{name}`"
                    );
                    observer.on(&Event::Note { text: &text });
                }
            }
            evaluator.has_controls = true;
        }
        evaluator.run(name, actor, Critic::Model(critic), at, observer)?;
        let best = self.dir.best(stage.name());
        let row = format!("{name}-best");
        if best.is_dir() && !evaluator.is_done(&row, self.dir)? {
            let best = models.read(stage.model(), &best)?;
            let actor = models.get("actor")?;
            evaluator.run(&row, actor, Critic::Model(&best), at, observer)?;
        }
        Ok(())
    }
}

/// The reference policy, where it is what an earlier stage left.
pub(crate) fn named_reference(
    dir: &RunDir,
    stage: &RlStage,
    models: &mut Models,
) -> Result<Option<LanguageModel>, TrainError> {
    match stage.reference.as_str() {
        "start" | "none" => Ok(None),
        earlier => {
            let of = (stage.name.as_str(), stage.model.as_str());
            models.left_by(earlier, "reference", of, dir).map(Some)
        }
    }
}

/// Reads a run file.
///
/// # Errors
///
/// When it cannot be read, or a field is missing, unknown or of the wrong type.
pub fn read_config(path: &Path) -> Result<RunConfig, TrainError> {
    let text = std::fs::read_to_string(path).map_err(|source| TrainError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|e| TrainError::File {
        path: path.to_owned(),
        message: e.to_string(),
    })
}
