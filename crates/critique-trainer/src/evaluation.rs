//! Evaluations and gates of a run.

use std::ops::Range;

use critique_core::{Attempt, Problem, Sampling, Split};
use critique_eval::{Critic, EvalSettings, Evaluation, Summary, evaluate_responses};
use critique_model::LanguageModel;
use critique_rollout::{Control, RolloutRecord, Scored, Seeds, record, respond};
use critique_tasks::Task;

use crate::config::{EvalConfig, Gate, Measure};
use crate::error::TrainError;
use crate::observer::{Event, Observer};
use crate::run_dir::RunDir;

/// What evaluations of one run share: the problems, and the actor's responses to them.
pub(crate) struct Evaluator<'a> {
    pub(crate) config: &'a EvalConfig,
    pub(crate) task: &'a dyn Task,
    pub(crate) problems: Vec<Problem>,
    pub(crate) seed: u64,
    /// Responses at each temperature, made once.
    responses: Vec<Option<Vec<Vec<Attempt>>>>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        config: &'a EvalConfig,
        task: &'a dyn Task,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let mut problems = task.problems(config.split)?;
        if config.problems > 0 {
            problems.truncate(config.problems);
        }
        Ok(Self {
            config,
            task,
            problems,
            seed,
            responses: vec![None; config.temperatures.len()],
        })
    }

    /// Evaluates a critic, or nobody, at every temperature; puts rows into the summary.
    pub(crate) fn run(
        &mut self,
        name: &str,
        actor: &LanguageModel,
        critic: Critic<'_>,
        dir: &RunDir,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        for at in 0..self.config.temperatures.len() {
            let temperature = self.config.temperatures[at];
            let row = if at == 0 {
                name.to_owned()
            } else {
                format!("{name}@{temperature}")
            };
            observer.on(&Event::EvalStart {
                name: &row,
                problems: self.problems.len(),
            });
            let settings =
                EvalSettings::sampled(&row, self.seed, temperature, self.config.max_new_tokens);
            let evaluation = self.evaluate(at, actor, critic, &settings)?;
            write(dir, &row, self.seed, &evaluation)?;
            observer.on(&Event::EvalEnd {
                row: &evaluation.row,
            });
        }
        Ok(())
    }

    /// Forgets the actor's responses, for another actor.
    pub(crate) fn forget_actor(&mut self) {
        self.responses.fill(None);
    }

    fn evaluate(
        &mut self,
        at: usize,
        actor: &LanguageModel,
        critic: Critic<'_>,
        settings: &EvalSettings,
    ) -> Result<Evaluation, TrainError> {
        if self.responses[at].is_none() {
            let seeds = Seeds {
                run: self.seed,
                stage: "eval",
                step: 0,
            };
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

/// Adds a row to the summary and writes the rollouts beside it.
fn write(dir: &RunDir, name: &str, seed: u64, evaluation: &Evaluation) -> Result<(), TrainError> {
    let seeds = Seeds {
        run: seed,
        stage: "eval",
        step: 0,
    };
    let records: Vec<RolloutRecord> = evaluation
        .groups
        .iter()
        .flat_map(|g| {
            g.members
                .iter()
                .map(|m| RolloutRecord::new(&seeds, g, m, Scored::default()))
        })
        .collect();
    if !records.is_empty() {
        record::write(&dir.eval().join(format!("{name}.jsonl")), &records)?;
    }
    let path = dir.summary();
    let mut summary = if path.exists() {
        Summary::read(&path)?
    } else {
        Summary::new(Vec::new())
    };
    summary.put(evaluation.row.clone());
    Ok(summary.write(&path)?)
}

/// Measures what gates ask for on the validation split.
pub(crate) struct Gauge<'a> {
    task: &'a dyn Task,
    max_new_tokens: usize,
    seed: u64,
    /// Read when a gate first asks for them.
    problems: Vec<Problem>,
    /// Responses of the frozen actor to the first of the problems.
    responses: Vec<Vec<Attempt>>,
}

impl<'a> Gauge<'a> {
    pub(crate) fn new(max_new_tokens: usize, task: &'a dyn Task, seed: u64) -> Self {
        Self {
            task,
            max_new_tokens,
            seed,
            problems: Vec::new(),
            responses: Vec::new(),
        }
    }

    /// Forgets the actor's responses, for another actor.
    pub(crate) fn forget_actor(&mut self) {
        self.responses.clear();
    }

    /// What a gate asks for of `model`. Critiques are of responses of `actor`; those of a frozen
    /// one are kept for the next gate.
    pub(crate) fn measure(
        &mut self,
        gate: &Gate,
        actor: Actor<'_>,
        model: &LanguageModel,
    ) -> Result<f64, TrainError> {
        if self.problems.is_empty() {
            self.problems = self.task.problems(Split::Validation)?;
        }
        let problems = gate.problems.min(self.problems.len());
        let mut settings = EvalSettings::greedy("gate", self.seed, self.max_new_tokens);
        let fresh;
        let (who, critic, attempts) = match gate.measure {
            Measure::Accuracy => {
                fresh = self.respond(model, 0.0, 0..problems)?;
                (model, Critic::Nobody, fresh.as_slice())
            }
            Measure::Discriminability | Measure::PerfectRefinement => {
                let critic = match gate.measure {
                    Measure::PerfectRefinement => Critic::Control(Control::Perfect),
                    _ => Critic::Model(model),
                };
                // Sampled, since a greedy actor errs in one way only.
                let (who, attempts) = match actor {
                    Actor::Training(actor) => {
                        fresh = self.respond(actor, 0.7, 0..problems)?;
                        (actor, fresh.as_slice())
                    }
                    Actor::Frozen(actor) => {
                        let known = self.responses.len().min(problems);
                        let more = self.respond(actor, 0.7, known..problems)?;
                        self.responses.extend(more);
                        (actor, &self.responses[..problems])
                    }
                };
                (who, critic, attempts)
            }
        };
        // Judgments need no refinements, which would take most of the time.
        settings.refinements = usize::from(gate.measure == Measure::PerfectRefinement);
        let problems = &self.problems[..problems];
        let row = evaluate_responses(who, critic, self.task, problems, attempts, &settings)?.row;
        let value = match gate.measure {
            Measure::Accuracy => row.acc_initial,
            Measure::Discriminability => row.acc_dis_balanced,
            Measure::PerfectRefinement => row.acc_refined,
        };
        Ok(value.unwrap_or(0.0))
    }

    /// One response to each of these problems.
    fn respond(
        &self,
        who: &LanguageModel,
        temperature: f32,
        problems: Range<usize>,
    ) -> Result<Vec<Vec<Attempt>>, TrainError> {
        let sampling = Sampling {
            temperature,
            max_new_tokens: self.max_new_tokens,
            ..Sampling::default()
        };
        let seeds = Seeds {
            run: self.seed,
            stage: "gate",
            step: 0,
        };
        let problems = &self.problems[problems];
        Ok(respond(who, self.task, problems, 1, &sampling, &seeds)?.attempts)
    }
}

/// Whose responses are criticised.
#[derive(Clone, Copy)]
pub(crate) enum Actor<'a> {
    /// One that stays as it is.
    Frozen(&'a LanguageModel),
    /// The model in training.
    Training(&'a LanguageModel),
}
