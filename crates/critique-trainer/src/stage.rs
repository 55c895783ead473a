//! One stage: the loop over its steps, whatever its kind.
//!
//! A kind of stage is a [`StageWork`], and a [`StageStep`] once it has begun. The loop around it
//! measures gates, logs, saves, and stops where it is asked to.

pub(crate) mod rl;
pub(crate) mod sft;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use critique_core::Problem;
use critique_model::{Group, LanguageModel};
use critique_run::{Metrics, RunConfig, RunDir, StageConfig, StagePlace, TrainerState, stage_seed};
use critique_tasks::Task;
use serde_json::json;

use crate::checkpoint;
use crate::error::TrainError;
use crate::gates::{EarlyEnd, Gauge};
use crate::lineage::Origin;
use crate::memory;
use crate::minibatch::NotFinite;
use crate::observer::{Event, Observer};
use crate::plan::{Measure, ModelHeader, Models, Phases, PromptLengths};

/// What all stages of a run are made with.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) config: &'a RunConfig,
    pub(crate) task: &'a dyn Task,
    pub(crate) dir: &'a RunDir,
    /// Problems of the training split.
    pub(crate) train: &'a [Problem],
}

impl Setting<'_> {
    /// The place of a stage of the run, counted from 0.
    pub(crate) fn index_of(&self, stage: &str) -> usize {
        let mut stages = self.config.stages.iter();
        stages.position(|other| other.name() == stage).unwrap_or(0)
    }

    /// The seed of a stage.
    pub(crate) fn seed(&self, stage: &str) -> u64 {
        stage_seed(self.config.seed, stage)
    }
}

/// A stage in the making.
pub(crate) struct InStage {
    pub(crate) model: LanguageModel,
    pub(crate) state: TrainerState,
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// Steps of the run before this stage.
    pub(crate) before: usize,
    /// Most bytes resident so far, in steps, gates and while saving.
    peak: usize,
}

impl InStage {
    pub(crate) fn new(
        model: LanguageModel,
        state: TrainerState,
        origin: Origin,
        before: usize,
    ) -> Self {
        Self {
            model,
            state,
            origin,
            before,
            peak: 0,
        }
    }

    /// Counts what was resident since the last phase of a step began, and gives the most so far.
    pub(crate) fn note_peak(&mut self) -> usize {
        self.peak = self.peak.max(memory::peak());
        self.peak
    }
}

/// What a run asks of a kind of stage: before anything is loaded, and when it begins.
pub(crate) trait StageWork {
    /// Looks at the files, splits and rewards that its steps will need.
    fn check(&self, run: &Planned<'_>) -> Result<(), TrainError>;

    /// What a person should know of it, none of which is an error.
    fn notes(&self, _run: &Planned<'_>) -> Result<Vec<String>, TrainError> {
        Ok(Vec::new())
    }

    /// Measures the prompts that its steps will sample from.
    fn prompts(
        &self,
        _run: &Planned<'_>,
        _measure: Measure<'_>,
    ) -> Result<Vec<PromptLengths>, TrainError> {
        Ok(Vec::new())
    }

    /// Prompts in a step, and tokens in the whole stage, at most, with a model of this context.
    fn volume(&self, config: &RunConfig, context: usize) -> (usize, usize);

    /// What its passes train on at a time, as long as it may become.
    fn batch(&self, run: &Planned<'_>, model: &ModelHeader) -> Result<Vec<Group>, TrainError>;

    /// What its steps sample at a time.
    fn sampling(&self, _config: &RunConfig) -> Option<Phases<'_>> {
        None
    }

    /// Finds what its steps work with.
    fn begin<'a>(
        &'a self,
        setting: &Setting<'a>,
        model: &LanguageModel,
        models: &'a mut Models,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn StageStep + 'a>, TrainError>;
}

/// The work of a stage, by its kind.
pub(crate) fn work_of(stage: &StageConfig) -> &dyn StageWork {
    match stage {
        StageConfig::Sft(stage) => stage,
        StageConfig::Rl(stage) => stage,
    }
}

/// A run before its stage, as far as it is known.
#[derive(Clone, Copy)]
pub(crate) struct Planned<'a> {
    pub(crate) config: &'a RunConfig,
    /// The stage's place in the run file.
    pub(crate) place: StagePlace<'a>,
    pub(crate) task: &'a dyn Task,
    /// Problems of the training split.
    pub(crate) train: &'a [Problem],
}

/// What one step of a kind of stage does.
pub(crate) trait StageStep {
    /// The frozen actor that gates within the stage measure the model with; without one the model
    /// is measured by itself.
    fn actor(&self) -> Option<&LanguageModel>;

    /// Takes step `step`, counted from 0: updates the model and leaves what belongs to the step.
    /// A minibatch whose numbers are not finite must leave the model as it was, and is kept.
    fn step(&mut self, step: usize, work: &mut InStage) -> Result<StepOutcome, TrainError>;

    /// Looks at the model after step `step`, and adds what it finds to the step's numbers. It may be
    /// asked again where it was stopped.
    fn look(
        &self,
        _step: usize,
        _work: &mut InStage,
        _metrics: &mut Metrics,
    ) -> Result<(), TrainError> {
        Ok(())
    }
}

/// What a step tells the loop.
pub(crate) struct StepOutcome {
    metrics: Metrics,
    /// The first loss or gradient norm that was not finite.
    not_finite: Option<NotFinite>,
    /// Most bytes resident in the step.
    peak: usize,
}

impl StepOutcome {
    pub(crate) fn of(metrics: Metrics, peak: usize) -> Self {
        Self {
            metrics,
            not_finite: None,
            peak,
        }
    }

    /// The same of a step with this number that is not finite, where there is one.
    pub(crate) fn with(mut self, not_finite: Option<NotFinite>) -> Self {
        self.not_finite = not_finite;
        self
    }
}

/// Runs the steps of a stage that are left.
pub(crate) struct StageLoop<'a, 'b> {
    pub(crate) setting: Setting<'a>,
    pub(crate) stage: &'a StageConfig,
    pub(crate) stop: &'a Arc<AtomicBool>,
    pub(crate) observer: &'b mut dyn Observer,
}

impl<'a> StageLoop<'a, '_> {
    /// Trains until the last step, or until gates are met where the stage ends then.
    pub(crate) fn run(
        &mut self,
        work: &mut InStage,
        models: &mut Models,
        gauge: &mut Gauge<'_>,
    ) -> Result<(), TrainError> {
        let stage = self.stage.common();
        let early = EarlyEnd {
            gates: stage.gates,
            every: stage.gates_every,
            steps: stage.steps,
        };
        let mut kind = self.begin(work, models)?;
        let done = work.state.stage_step;
        let none = &mut Metrics::new();
        let mut ended = early.met(done, kind.actor(), &work.model, gauge, none)?;
        while !ended && work.state.stage_step < stage.steps {
            let step = work.state.stage_step;
            work.note_peak();
            memory::forget_peak();
            let mut outcome = match kind.step(step, work) {
                Err(TrainError::StoppedBeforeStep) => return Err(self.interrupt(work)?),
                // A scorer that is down costs the step at hand, and none that was taken before.
                Err(error) if error.is_before_update() => {
                    self.save(work)?;
                    return Err(error);
                }
                outcome => outcome?,
            };
            self.count(work, outcome.not_finite);
            work.peak = work.peak.max(outcome.peak);
            let metrics = &mut outcome.metrics;
            ended = self.undisturbed(|| {
                kind.look(step, work, metrics)?;
                early.met(step + 1, kind.actor(), &work.model, gauge, metrics)
            })?;
            self.advance(work, outcome.metrics)?;
            if let Some(found) = outcome.not_finite
                && work.state.not_finite_steps >= self.setting.config.not_finite_steps
            {
                return Err(self.give_up(work, found)?);
            }
        }
        // The count is of this stage alone, and checkpoints keep it.
        if work.model.engine().optimizer_steps() == 0 {
            return Err(TrainError::LearntNothing {
                stage: stage.name.to_owned(),
                steps: work.state.stage_step,
            });
        }
        Ok(())
    }

    /// Goes through with what a request to stop cuts short, unless there is a second one: between a
    /// step and its line of metrics there is nothing that a run could go on from.
    fn undisturbed<R>(
        &self,
        mut look: impl FnMut() -> Result<R, TrainError>,
    ) -> Result<R, TrainError> {
        match look() {
            Err(error) if error.is_stop() => {
                self.stop.store(false, Ordering::Relaxed);
                let again = look();
                self.stop.store(true, Ordering::Relaxed);
                again
            }
            found => found,
        }
    }

    fn begin<'m>(
        &mut self,
        work: &InStage,
        models: &'m mut Models,
    ) -> Result<Box<dyn StageStep + 'm>, TrainError>
    where
        'a: 'm,
    {
        let observer = &mut *self.observer;
        work_of(self.stage).begin(&self.setting, &work.model, models, observer)
    }

    /// Counts a step that was taken: logs it, saves where it is time, and stops where asked.
    fn advance(&mut self, work: &mut InStage, metrics: Metrics) -> Result<(), TrainError> {
        work.state.stage_step += 1;
        work.state.global_step = work.before + work.state.stage_step;
        let name = self.stage.name();
        let mut line = Metrics::new();
        line.insert("step".into(), json!(work.state.global_step));
        line.insert("stage".into(), json!(name));
        line.insert("stage_step".into(), json!(work.state.stage_step));
        line.extend(metrics);
        self.setting.dir.log(&line)?;
        self.observer.on(&Event::Step {
            stage: name,
            done: work.state.stage_step,
            metrics: &line,
        });
        let stopped = self.stop.load(Ordering::Relaxed);
        let every = self.setting.config.save.every;
        let due = every > 0 && work.state.stage_step.is_multiple_of(every);
        if stopped || (due && work.state.stage_step < self.stage.steps()) {
            self.save(work)?;
        }
        if stopped {
            return Err(self.interrupted(work));
        }
        Ok(())
    }

    /// The error for a stop before a step, once the state before it is saved.
    fn interrupt(&self, work: &InStage) -> Result<TrainError, TrainError> {
        self.save(work)?;
        Ok(self.interrupted(work))
    }

    fn interrupted(&self, work: &InStage) -> TrainError {
        TrainError::Interrupted {
            saved: self.setting.dir.checkpoint(work.state.global_step),
        }
    }

    fn save(&self, work: &InStage) -> Result<(), TrainError> {
        let Setting { dir, config, .. } = self.setting;
        let state = work.state.clone();
        checkpoint::save(dir, state, &work.model, &work.origin, config.save.keep)
    }

    /// Counts steps in a row with a number that is not finite, and says so.
    fn count(&mut self, work: &mut InStage, found: Option<NotFinite>) {
        let Some(NotFinite { what, value }) = found else {
            work.state.not_finite_steps = 0;
            return;
        };
        work.state.not_finite_steps += 1;
        let kept = self.setting.dir.not_finite(work.state.global_step + 1);
        let text = format!(
            "stage `{}`, step {}: {what} is {value}; its minibatch changed no weight and is kept in `{}`",
            self.stage.name(),
            work.state.stage_step + 1,
            kept.display()
        );
        self.observer.on(&Event::Note { text: &text });
    }

    /// The error for steps in a row with numbers that are not finite, once the weights are saved.
    fn give_up(&self, work: &InStage, found: NotFinite) -> Result<TrainError, TrainError> {
        self.save(work)?;
        Ok(TrainError::NotFinite {
            stage: self.stage.name().to_owned(),
            step: work.state.stage_step,
            what: found.what,
            value: found.value,
            steps: work.state.not_finite_steps,
            kept: self.setting.dir.not_finite(work.state.global_step),
            checkpoint: self.setting.dir.checkpoint(work.state.global_step),
        })
    }
}
