//! Evaluations of a run.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use critique_core::files::sum::FileSum;
use critique_core::{Attempt, Generate, Problem};
use critique_eval::{Critic, EvalSettings, Evaluation, Known, Memo, Summary, evaluate_responses};
use critique_model::LanguageModel;
use critique_rollout::{Seeds, record, respond};
use critique_run::rows::at_temperature;
use critique_run::{EvalConfig, Lengths, RunConfig, RunDir};
use critique_tasks::Task;

use crate::error::TrainError;
use crate::observer::{Event, Observer};

/// What evaluations of one run share: the problems, and the actor's responses to them.
pub(crate) struct Evaluator<'a> {
    pub(crate) config: &'a EvalConfig,
    lengths: Lengths,
    pub(crate) task: &'a dyn Task,
    pub(crate) problems: Vec<Problem>,
    pub(crate) seed: u64,
    /// Responses at each temperature, made once.
    responses: Vec<Option<Vec<Vec<Attempt>>>>,
    /// Refinements at each temperature by critics that are no models, which say the same often.
    refinements: Vec<Known>,
    /// Whether critics that are no models have been seen to.
    pub(crate) has_controls: bool,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        run: &'a RunConfig,
        task: &'a dyn Task,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let config = &run.eval;
        let mut problems = task.problems(config.split)?;
        if config.problems > 0 {
            problems.truncate(config.problems);
        }
        Ok(Self {
            config,
            lengths: run.eval_lengths(),
            task,
            problems,
            seed,
            responses: vec![None; config.temperatures.len()],
            refinements: config
                .temperatures
                .iter()
                .map(|_| Known::default())
                .collect(),
            has_controls: false,
        })
    }

    /// Evaluates a critic, or nobody, at every temperature, and puts rows into the summary, but
    /// for those that it has. Where a stop is asked for it ends before the next row.
    pub(crate) fn run(
        &mut self,
        name: &str,
        actor: &LanguageModel,
        critic: Critic<'_>,
        (dir, stop): (&RunDir, &Arc<AtomicBool>),
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        for at in 0..self.config.temperatures.len() {
            let temperature = self.config.temperatures[at];
            let row = self.row_name(name, at);
            if has_row(dir, &row, observer)? {
                continue;
            }
            if stop.load(Ordering::Relaxed) {
                return Err(TrainError::Interrupted {
                    saved: dir.root().to_owned(),
                });
            }
            observer.on(&Event::EvalStart {
                name: &row,
                problems: self.problems.len(),
            });
            let settings = self.lengths.settings(&row, self.seed, temperature);
            let evaluation = self.evaluate(at, actor, critic, &settings)?;
            write(dir, &row, self.seed, &evaluation)?;
            observer.on(&Event::EvalEnd {
                row: &evaluation.row,
            });
        }
        Ok(())
    }

    /// Whether the summary has the rows of this name at every temperature.
    pub(crate) fn is_done(
        &self,
        name: &str,
        dir: &RunDir,
        observer: &mut dyn Observer,
    ) -> Result<bool, TrainError> {
        for at in 0..self.config.temperatures.len() {
            if !has_row(dir, &self.row_name(name, at), observer)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn row_name(&self, name: &str, at: usize) -> String {
        at_temperature(name, at, self.config.temperatures[at])
    }

    /// Forgets the actor's responses, for another actor.
    pub(crate) fn forget_actor(&mut self) {
        self.responses.fill(None);
        self.refinements.fill_with(Known::default);
    }

    fn evaluate(
        &mut self,
        at: usize,
        actor: &LanguageModel,
        critic: Critic<'_>,
        settings: &EvalSettings,
    ) -> Result<Evaluation, TrainError> {
        if self.responses[at].is_none() {
            let seeds = Seeds::of_evaluation(self.seed);
            let responses = respond(
                actor,
                self.task,
                &self.problems,
                1,
                &settings.response,
                &seeds,
            )?;
            self.responses[at] = Some(responses.attempts);
        }
        let responses = self.responses[at].as_deref().unwrap_or_default();
        let memo;
        let actor: &dyn Generate = if matches!(critic, Critic::Control(_)) {
            memo = Memo::new(actor, &mut self.refinements[at]);
            &memo
        } else {
            actor
        };
        Ok(evaluate_responses(
            actor,
            critic,
            self.task,
            &self.problems,
            responses,
            settings,
        )?)
    }
}

/// Whether the summary has a row, with its rollouts as they were written. A row without them is made
/// again, which gives the same.
fn has_row(dir: &RunDir, row: &str, observer: &mut dyn Observer) -> Result<bool, TrainError> {
    let path = dir.summary();
    if !path.exists() {
        return Ok(false);
    }
    let summary = Summary::read(&path)?;
    let Some(found) = summary.row(row) else {
        return Ok(false);
    };
    let path = rollouts_of(dir, row);
    let Some(sha256) = &found.extra.rollouts_sha256 else {
        return Ok(true);
    };
    if path.is_file() && FileSum::of(&path)?.sha256 == *sha256 {
        return Ok(true);
    }
    let text = format!(
        "`{}` is not what was written; `{row}` is evaluated again",
        path.display()
    );
    observer.on(&Event::Note { text: &text });
    Ok(false)
}

fn rollouts_of(dir: &RunDir, row: &str) -> PathBuf {
    dir.eval().join(format!("{row}.jsonl"))
}

/// Adds a row to the summary and writes the rollouts beside it.
fn write(dir: &RunDir, name: &str, seed: u64, evaluation: &Evaluation) -> Result<(), TrainError> {
    dir.check_there()?;
    let seeds = Seeds::of_evaluation(seed);
    let mut row = evaluation.row.clone();
    if !evaluation.groups.is_empty() {
        let sum = record::write(&rollouts_of(dir, name), evaluation.records(&seeds))?;
        row.extra.rollouts_sha256 = Some(sum.sha256);
    }
    let path = dir.summary();
    let mut summary = if path.exists() {
        Summary::read(&path)?
    } else {
        Summary::new(Vec::new())
    };
    summary.put(row);
    Ok(summary.write(&path)?)
}
