//! A run: stages one after another, with their evaluations.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use critique_core::{Problem, Split};
use critique_eval::Critic;
use critique_rollout::Control;
use critique_run::rows::{NO_CRITIC, best_of};
use critique_run::{
    RunConfig, RunDir, RunError, RunLock, StageConfig, clear_checkpoints, eval_seed, keep_config,
    metrics_sum, read_manifest,
};
use critique_tasks::Task;

use crate::checkpoint;
use crate::error::TrainError;
use crate::evaluation::Evaluator;
use crate::gates::{Gauge, check_gates};
use crate::lineage::{Origin, sum_of};
use crate::memory;
use crate::observer::{Event, Observer};
use crate::plan::{Models, check};
use crate::resume::{self, Found, Resume, start_of};
use crate::stage::{InStage, Setting, StageLoop};

/// Runs all stages of a run file.
///
/// A stage that the run folder holds already is not run again, and a stage with a checkpoint
/// goes on from it: stopped and resumed, a run ends with the bits it would have had unbroken.
/// `stop` asks for an end: while a step samples, before that step; otherwise behind it, with its
/// validation and gates. A checkpoint is written then. An evaluation after a stage is begun anew.
///
/// # Errors
///
/// See [`TrainError`]. Whatever was saved before stays.
pub fn run(
    config: &RunConfig,
    task: &dyn Task,
    resume: &Resume,
    stop: &Arc<AtomicBool>,
    observer: &mut dyn Observer,
) -> Result<RunDir, TrainError> {
    check(config, task)?;
    if *resume == Resume::Never && RunDir::existing(&config.out).is_ok() {
        let message = format!(
            "`{}` holds a run already; expected another `out`, or --resume auto",
            config.out.display()
        );
        return Err(RunError::Folder { message }.into());
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
    runner.run(resume, observer).map_err(|error| {
        if error.is_stop() {
            let saved = last_saved(&dir);
            return TrainError::Interrupted { saved };
        }
        error
    })?;
    Ok(dir)
}

/// The newest checkpoint; the run folder where there is none.
fn last_saved(dir: &RunDir) -> PathBuf {
    let steps = dir.checkpoints().unwrap_or_default();
    let newest = steps.last().map(|&step| dir.checkpoint(step));
    newest.unwrap_or_else(|| dir.root().to_owned())
}

struct Runner<'a> {
    config: &'a RunConfig,
    task: &'a dyn Task,
    dir: &'a RunDir,
    stop: &'a Arc<AtomicBool>,
}

/// What stages hand on to each other.
struct Shared<'a> {
    models: Models,
    gauge: Gauge<'a>,
    evaluator: Evaluator<'a>,
    train: Vec<Problem>,
}

impl Shared<'_> {
    /// Sums of the problems that the run learns from and is evaluated on.
    fn data(&self) -> BTreeMap<String, String> {
        let splits = [("train", &self.train), ("eval", &self.evaluator.problems)];
        let sums = splits.map(|(split, problems)| (split.to_owned(), sum_of(problems)));
        sums.into_iter().collect()
    }
}

impl Runner<'_> {
    fn run(&self, resume: &Resume, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let config = self.config;
        let mut shared = Shared {
            models: Models::new(config, self.task)?,
            gauge: Gauge::new(config.eval_lengths(), self.task, config.seed),
            evaluator: Evaluator::new(config, self.task, eval_seed(config.seed))?,
            train: self.task.problems(Split::Train)?,
        };
        shared.models.stop_when(self.stop);
        let started = self.dir.start(config, shared.data())?;
        shared.models.set_time(started.unix_seconds);
        shared.models.ask_servers()?;
        let mut checkpoint = resume::checkpoint(resume, config, self.dir, observer)?;
        let mut before = 0;
        for (index, stage) in config.stages.iter().enumerate() {
            if self.dir.stage(stage.name()).is_dir() {
                self.skip(stage, before, &mut shared, observer)?;
            } else {
                let of_stage = |(_, state): &Found| state.stage == stage.name();
                let from = checkpoint.take().filter(of_stage);
                let kept = from.as_ref().map_or(before, |(_, state)| state.global_step);
                self.dir.cut(kept)?;
                self.compare_metrics(from.as_ref(), observer)?;
                self.stage(index, before, from, &mut shared, observer)?;
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

    /// Says so where the metrics are not those that were there when the checkpoint was written.
    /// They cannot be had again.
    fn compare_metrics(
        &self,
        from: Option<&Found>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let Some((folder, _)) = from else {
            return Ok(());
        };
        let manifest = read_manifest(folder)?;
        let Some(written) = manifest.and_then(|it| it.lineage.metrics) else {
            return Ok(());
        };
        if metrics_sum(&self.dir.metrics())? != Some(written) {
            let text = format!(
                "`{}` is not what it was when `{}` was written; the run goes on, its metrics until then are damaged",
                self.dir.metrics().display(),
                folder.display()
            );
            observer.on(&Event::Note { text: &text });
        }
        Ok(())
    }

    /// Takes up what a stage left that was done before.
    fn skip(
        &self,
        stage: &StageConfig,
        before: usize,
        shared: &mut Shared<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let name = stage.name();
        observer.on(&Event::StageSkipped { stage: name });
        shared.models.begin(stage, self.dir)?;
        shared.models.take_up(stage, self.dir)?;
        // A kill at the end of the stage leaves its checkpoints.
        Ok(clear_checkpoints(self.dir, name, before + stage.steps())?)
    }

    /// Trains a stage, from its start or from a checkpoint, and saves the model that it leaves.
    fn stage(
        &self,
        index: usize,
        before: usize,
        from: Option<Found>,
        shared: &mut Shared<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let stage = &self.config.stages[index];
        let (name, trained) = (stage.name(), stage.model());
        let Shared {
            models,
            gauge,
            train,
            ..
        } = shared;
        models.begin(stage, self.dir)?;
        let origin = Origin::of_stage(models.plan(), name, self.dir)?;
        let (model, state) = start_of(name, trained, before, from, models)?;
        observer.on(&Event::StageStart {
            stage: name,
            index: index + 1,
            stages: self.config.stages.len(),
            done: state.stage_step,
            steps: stage.steps(),
        });
        let mut work = InStage::new(model, state, origin, before);
        memory::forget_peak();
        let mut steps = StageLoop {
            setting: Setting {
                config: self.config,
                task: self.task,
                dir: self.dir,
                train,
            },
            stage,
            stop: self.stop,
            observer,
        };
        steps.run(&mut work, models, gauge)?;
        let place = (self.dir, &*self.dir.stage(name));
        checkpoint::save_model(place, &work.state, &work.model, &work.origin)?;
        let peak_bytes = work.note_peak();
        clear_checkpoints(self.dir, name, before + stage.steps())?;
        models.put(trained, work.model.into_frozen());
        observer.on(&Event::StageEnd {
            stage: name,
            peak_bytes,
        });
        Ok(())
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
        evaluator.run(NO_CRITIC, actor, Critic::Nobody, at, observer)?;
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
        let row = best_of(name);
        if best.is_dir() && !evaluator.is_done(&row, self.dir, observer)? {
            let best = models.read_of_run(stage.model(), self.dir, &best)?;
            let actor = models.get("actor")?;
            evaluator.run(&row, actor, Critic::Model(&best), at, observer)?;
        }
        Ok(())
    }
}
