//! The loop on held-out problems, without training.

use std::collections::HashMap;

use critique_core::{Attempt, Generate, Judgment, Problem, Rollout, Sampling};
use critique_rollout::{
    Case, Control, RolloutGroup, RolloutRecord, Scored, Seeds, cases, control_critiques, critique,
    drop_unscored, refine, respond,
};
use critique_tasks::Task;

use crate::EvalError;
use crate::outcome::Outcome;
use crate::summary::Row;

/// How an evaluation samples.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalSettings {
    /// Name of the row.
    pub stage: String,
    /// Seed of all samples. Rows with the same seed share responses, which pairs them.
    pub seed: u64,
    /// Responses to each problem.
    pub samples: usize,
    /// How responses are sampled.
    pub response: Sampling,
    /// How critiques are sampled.
    pub critique: Sampling,
    /// How refinements are sampled.
    pub refinement: Sampling,
    /// Refinements of each critique; with 0 a row has judgments alone.
    pub refinements: usize,
    /// Whether right responses are kept without a critique, as an oracle would (figure 5 of the
    /// paper).
    pub oracle: bool,
}

impl EvalSettings {
    /// One greedy response, critique and refinement a problem, each of at most this many
    /// tokens: what the paper's tables show.
    pub fn greedy(stage: &str, seed: u64, max_new_tokens: usize) -> Self {
        Self::sampled(stage, seed, 0.0, max_new_tokens)
    }

    /// The same at a temperature.
    pub fn sampled(stage: &str, seed: u64, temperature: f32, max_new_tokens: usize) -> Self {
        let sampling = Sampling {
            temperature,
            max_new_tokens,
            ..Sampling::default()
        };
        Self {
            stage: stage.to_owned(),
            seed,
            samples: 1,
            response: sampling.clone(),
            critique: sampling.clone(),
            refinement: sampling,
            refinements: 1,
            oracle: false,
        }
    }

    fn seeds(&self) -> Seeds<'static> {
        Seeds::of_evaluation(self.seed)
    }
}

/// Who writes the critiques.
#[derive(Clone, Copy)]
pub enum Critic<'a> {
    /// Nobody: the actor's first answers count.
    Nobody,
    /// A model.
    Model(&'a dyn Generate),
    /// A critic that is no model.
    Control(Control),
}

/// An evaluation, summed up and in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The figures.
    pub row: Row,
    /// What became of each response, in the order of problems.
    pub outcomes: Vec<Outcome>,
    /// The rollouts; none without a critic.
    pub groups: Vec<RolloutGroup>,
}

impl Evaluation {
    /// The rollouts alone.
    pub fn rollouts(&self) -> impl Iterator<Item = &Rollout> {
        self.groups.iter().flat_map(RolloutGroup::rollouts)
    }

    /// The rollouts as they are kept, made one by one.
    pub fn records<'a>(&'a self, seeds: &'a Seeds<'a>) -> impl Iterator<Item = RolloutRecord> + 'a {
        let all = self
            .groups
            .iter()
            .flat_map(|group| group.members.iter().map(move |member| (group, member)));
        all.map(|(group, member)| RolloutRecord::new(seeds, group, member, Scored::default()))
    }
}

/// Evaluates a critic, or the actor alone, on problems.
///
/// A text that could not be asked for because its prompt did not fit counts as wrong, and so does
/// one that cannot be scored.
///
/// # Errors
///
/// When an engine fails.
pub fn evaluate(
    actor: &dyn Generate,
    critic: Option<&dyn Generate>,
    task: &dyn Task,
    problems: &[Problem],
    settings: &EvalSettings,
) -> Result<Evaluation, EvalError> {
    let sampling = &settings.response;
    let responses = respond(
        actor,
        task,
        problems,
        settings.samples,
        sampling,
        &settings.seeds(),
    )?;
    let critic = critic.map_or(Critic::Nobody, Critic::Model);
    evaluate_responses(actor, critic, task, problems, &responses.attempts, settings)
}

/// Evaluates on responses that are already there, one list a problem: those of another
/// evaluation of the same actor, or of a file. An empty list counts as one wrong response.
///
/// # Errors
///
/// When an engine fails, or a control cannot be had.
///
/// # Panics
///
/// When there are not as many lists as problems.
pub fn evaluate_responses(
    actor: &dyn Generate,
    critic: Critic<'_>,
    task: &dyn Task,
    problems: &[Problem],
    attempts: &[Vec<Attempt>],
    settings: &EvalSettings,
) -> Result<Evaluation, EvalError> {
    let seeds = settings.seeds();
    let all = cases(problems, attempts.to_vec());
    let asked: Vec<Case> = all
        .iter()
        .filter(|case| !(settings.oracle && case.response.verdict.is_correct()))
        .cloned()
        .collect();
    let mut groups = match critic {
        Critic::Nobody => Vec::new(),
        Critic::Model(model) => {
            critique(model, task, &asked, 1, &settings.critique, &seeds)?.groups
        }
        Critic::Control(control) => control_critiques(control, task, &asked, &seeds)?,
    };
    let unrefined = match settings.refinements {
        0 => 0,
        several => refine(
            actor,
            task,
            &mut groups,
            several,
            &settings.refinement,
            &seeds,
        )?,
    };
    let criticised = groups.len();
    let responses: usize = attempts.iter().map(Vec::len).sum();
    let unscored = drop_unscored(&mut groups) + responses - all.len();
    let outcomes = outcomes(problems, &all, &groups, critic, settings);
    let answered: usize = attempts.iter().filter(|list| !list.is_empty()).count();
    let uncriticised = match critic {
        Critic::Nobody => 0,
        _ => asked.len() - criticised,
    };
    let mut row = Row::of(&settings.stage, &outcomes);
    row.extra.temperature = Some(settings.critique.temperature);
    row.extra.dropped = problems.len() - answered + uncriticised + unrefined + unscored;
    Ok(Evaluation {
        row,
        outcomes,
        groups,
    })
}

/// One outcome a response, in the order of problems, those without a rollout included.
fn outcomes(
    problems: &[Problem],
    all: &[Case],
    groups: &[RolloutGroup],
    critic: Critic<'_>,
    settings: &EvalSettings,
) -> Vec<Outcome> {
    // A refinement that is not there counts as wrong, but for one that nobody asked for.
    let missing = (settings.refinements > 0).then_some(0.0);
    let failed = |outcome: Outcome| Outcome {
        judgment: Some(Judgment::Unparsed),
        refined: missing,
        ..outcome
    };
    let key = |case: &Case| (case.problem.id.clone(), case.sample);
    let rollouts: HashMap<_, &Rollout> = groups
        .iter()
        .flat_map(|group| group.rollouts().map(|rollout| (key(&group.case), rollout)))
        .collect();
    let mut by_problem: HashMap<&str, Vec<Outcome>> = HashMap::new();
    for case in all {
        let plain = Outcome::of_response(&case.problem.id, &case.response);
        let outcome = match (rollouts.get(&key(case)), critic) {
            (_, Critic::Nobody) => plain,
            (Some(rollout), _) => {
                let mut outcome = Outcome::of_rollout(rollout);
                outcome.refined = outcome.refined.or(missing);
                outcome
            }
            (None, _) if settings.oracle && plain.verdict.is_correct() => Outcome {
                refined: missing.map(|_| plain.initial),
                ..plain
            },
            (None, _) => failed(plain),
        };
        by_problem
            .entry(&case.problem.id)
            .or_default()
            .push(outcome);
    }
    problems
        .iter()
        .flat_map(|problem| {
            by_problem.remove(problem.id.as_str()).unwrap_or_else(|| {
                let nothing = Outcome {
                    problem: problem.id.clone(),
                    ..Outcome::default()
                };
                match critic {
                    Critic::Nobody => vec![nothing],
                    _ => vec![failed(nothing)],
                }
            })
        })
        .collect()
}
