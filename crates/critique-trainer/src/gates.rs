//! Gates: what a stage must reach, and whether it may end before its last step.

use std::collections::BTreeMap;
use std::ops::Range;

use critique_core::{Attempt, Problem, Sampling, Split};
use critique_eval::{Critic, Evaluation, evaluate_responses};
use critique_model::LanguageModel;
use critique_rollout::{Case, Control, RolloutGroup, cases, given_critiques, refine, respond};
use critique_run::{Gate, Lengths, Measure, Metrics, StageConfig, gate_samples};
use critique_tasks::Task;
use serde_json::json;

use crate::error::TrainError;
use crate::observer::{Event, Observer};
use crate::plan::Models;

/// Measures what gates ask for on the validation split.
pub(crate) struct Gauge<'a> {
    task: &'a dyn Task,
    lengths: Lengths,
    seed: u64,
    /// Read when a gate first asks for them.
    problems: Vec<Problem>,
    /// Responses of the frozen actor to the first of the problems.
    responses: Vec<Vec<Attempt>>,
}

impl<'a> Gauge<'a> {
    pub(crate) fn new(lengths: Lengths, task: &'a dyn Task, seed: u64) -> Self {
        Self {
            task,
            lengths,
            seed,
            problems: Vec::new(),
            responses: Vec::new(),
        }
    }

    /// Forgets the actor's responses, for another actor.
    pub(crate) fn forget_actor(&mut self) {
        self.responses.clear();
    }

    /// What a gate asks for of `model`. Critiques are of responses of the actor, which are kept for
    /// the next gate; without one, of the model's own.
    pub(crate) fn measure(
        &mut self,
        gate: &Gate,
        actor: Option<&LanguageModel>,
        model: &LanguageModel,
    ) -> Result<f64, TrainError> {
        if self.problems.is_empty() {
            self.problems = self.task.problems(Split::Validation)?;
        }
        let problems = gate.problems.min(self.problems.len());
        if gate.measure == Measure::Accuracy {
            let attempts = self.respond(model, 0.0, 0..problems)?;
            let row = self.evaluate(model, Critic::Nobody, &attempts, 0)?.row;
            return Ok(row.acc_initial.unwrap_or(0.0));
        }
        // Sampled, since a greedy actor errs in one way only.
        let fresh;
        let (who, attempts) = match actor {
            None => {
                fresh = self.respond(model, 0.7, 0..problems)?;
                (model, fresh.as_slice())
            }
            Some(actor) => {
                let known = self.responses.len().min(problems);
                let more = self.respond(actor, 0.7, known..problems)?;
                self.responses.extend(more);
                (actor, &self.responses[..problems])
            }
        };
        let value = match gate.measure {
            Measure::PerfectRefinement => {
                let perfect = Critic::Control(Control::Perfect);
                self.evaluate(who, perfect, attempts, 1)?.row.acc_refined
            }
            Measure::Obedience => Some(self.obedience(who, attempts)?),
            Measure::Stubbornness => Some(self.stubbornness(who, attempts)?),
            // Judgments need no refinements, which would take most of the time.
            _ => {
                let critic = Critic::Model(model);
                self.evaluate(who, critic, attempts, 0)?
                    .row
                    .acc_dis_balanced
            }
        };
        Ok(value.unwrap_or(0.0))
    }

    /// Evaluates on responses to the first problems.
    fn evaluate(
        &self,
        actor: &LanguageModel,
        critic: Critic<'_>,
        attempts: &[Vec<Attempt>],
        refinements: usize,
    ) -> Result<Evaluation, TrainError> {
        let mut settings = self.lengths.settings("gate", self.seed, 0.0);
        settings.refinements = refinements;
        let problems = &self.problems[..attempts.len()];
        Ok(evaluate_responses(
            actor, critic, self.task, problems, attempts, &settings,
        )?)
    }

    /// The lower share of refinements that obey a verdict against the steps before it (see
    /// [`Measure::Obedience`]).
    fn obedience(
        &self,
        actor: &LanguageModel,
        attempts: &[Vec<Attempt>],
    ) -> Result<f64, TrainError> {
        let can = |problem: &Problem, attempt: &&Attempt| {
            let written = |correct| {
                self.task
                    .contradicting_critique(problem, &attempt.text, correct)
            };
            written(true).is_some() && written(false).is_some()
        };
        let fitting: Vec<Vec<Attempt>> = attempts
            .iter()
            .zip(&self.problems)
            .map(|(list, problem)| list.iter().filter(|a| can(problem, a)).cloned().collect())
            .collect();
        let share = |control: Control, obeys: fn(&str, &str) -> bool| -> Result<f64, TrainError> {
            let evaluation = self.evaluate(actor, Critic::Control(control), &fitting, 1)?;
            let (mut obeyed, mut told) = (0u32, 0u32);
            for rollout in evaluation.rollouts() {
                for refinement in &rollout.refinements {
                    told += 1;
                    let texts = (rollout.response.text.trim(), refinement.text.trim());
                    obeyed += u32::from(obeys(texts.0, texts.1));
                }
            }
            Ok(f64::from(obeyed) / f64::from(told.max(1)))
        };
        let kept = share(Control::ContradictoryCorrect, |before, after| {
            before == after
        })?;
        let changed = share(Control::ContradictoryWrong, |before, after| before != after)?;
        Ok(kept.min(changed))
    }

    /// The lowest share, over kinds of help, of refinements that stay wrong (see
    /// [`Measure::Stubbornness`]).
    fn stubbornness(
        &self,
        actor: &LanguageModel,
        attempts: &[Vec<Attempt>],
    ) -> Result<f64, TrainError> {
        let problems = &self.problems[..attempts.len()];
        let futile = |case: &Case| {
            let texts = self
                .task
                .futile_critiques(&case.problem, &case.response.text);
            given_critiques(case, texts)
        };
        let mut groups: Vec<RolloutGroup> = cases(problems, attempts.to_vec())
            .iter()
            .map(futile)
            .collect();
        let sampling = self.lengths.settings("gate", self.seed, 0.0).refinement;
        refine(
            actor,
            self.task,
            &mut groups,
            1,
            &sampling,
            &gate_samples(self.seed),
        )?;
        Ok(lowest_wrong_share(&groups))
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
            max_new_tokens: self.lengths.response,
            ..Sampling::default()
        };
        let seeds = gate_samples(self.seed);
        let problems = &self.problems[problems];
        Ok(respond(who, self.task, problems, 1, &sampling, &seeds)?.attempts)
    }
}

/// The share of refinements that are wrong, of the siblings that have the lowest: every critique of
/// a group helps in a way of its own. 0 without any, so that a gate cannot be met by nothing.
fn lowest_wrong_share(groups: &[RolloutGroup]) -> f64 {
    let mut kinds: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
    let members = groups.iter().flat_map(|group| &group.members);
    // One whose prompt does not fit was not asked for.
    for member in members.filter(|member| !member.rollout.refinements.is_empty()) {
        let (wrong, asked) = kinds.entry(member.sibling).or_default();
        let right = |refinement: &Attempt| refinement.verdict.is_correct();
        *wrong += u32::from(!member.rollout.refinements.iter().any(right));
        *asked += 1;
    }
    let share = |(wrong, asked): &(u32, u32)| f64::from(*wrong) / f64::from(*asked);
    kinds.values().map(share).reduce(f64::min).unwrap_or(0.0)
}

/// Whether the gates of a stage are met before its last step, where it asks for that; what they
/// measure goes into the metrics of the step before. A run that goes on from a checkpoint asks
/// again and gets the same answer.
pub(crate) struct EarlyEnd<'a> {
    pub(crate) gates: &'a [Gate],
    pub(crate) every: usize,
    /// Steps of the stage.
    pub(crate) steps: usize,
}

impl EarlyEnd<'_> {
    /// After `step` steps of the stage, the model measured with this frozen actor, or by itself.
    pub(crate) fn met(
        &self,
        step: usize,
        actor: Option<&LanguageModel>,
        model: &LanguageModel,
        gauge: &mut Gauge<'_>,
        metrics: &mut Metrics,
    ) -> Result<bool, TrainError> {
        let asked = self.every > 0 && step.is_multiple_of(self.every);
        if self.gates.is_empty() || !asked || step == 0 || step >= self.steps {
            return Ok(false);
        }
        let mut met = true;
        for gate in self.gates {
            let value = gauge.measure(gate, actor, model)?;
            metrics.insert(format!("gate/{}", gate.measure.name()), json!(value));
            met &= value >= gate.at_least;
        }
        Ok(met)
    }
}

/// Measures the gates of a stage that has ended.
pub(crate) fn check_gates(
    stage: &StageConfig,
    models: &mut Models,
    gauge: &mut Gauge<'_>,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let planned = models.plan().stage(stage.name()).gates.clone();
    for (gate, (actor, model)) in stage.gates().iter().zip(&planned) {
        // Without an actor, a model is measured by itself and differs from stage to stage.
        let frozen = actor == "actor";
        let (actor, model) = models.pair(actor, model)?;
        let actor = frozen.then_some(actor);
        let value = gauge.measure(gate, actor, model)?;
        if value < gate.at_least {
            return Err(TrainError::Gate {
                stage: stage.name().to_owned(),
                measure: gate.measure.name().to_owned(),
                value,
                at_least: gate.at_least,
            });
        }
        observer.on(&Event::GateMet {
            stage: stage.name(),
            measure: gate.measure,
            value,
            at_least: gate.at_least,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use critique_core::Verdict;

    use super::*;

    /// A response refined by as many critiques, the refinements with these verdicts.
    fn refined(verdicts: &[Verdict]) -> RolloutGroup {
        let attempt = |verdict| Attempt {
            text: String::new(),
            completion: None,
            verdict,
            score: 0.0,
            answer: None,
        };
        let case = Case {
            problem: Problem::new("one", "", ""),
            response: attempt(Verdict::Wrong),
            sample: 0,
        };
        let mut group = given_critiques(&case, verdicts.iter().map(|_| "help".to_owned()));
        for (member, &verdict) in group.members.iter_mut().zip(verdicts) {
            member.rollout.refinements = vec![attempt(verdict)];
        }
        group
    }

    #[test]
    fn the_help_that_mends_most_counts() {
        let (right, wrong) = (Verdict::Correct, Verdict::Wrong);
        let groups = [
            refined(&[wrong, right, wrong]),
            refined(&[]),
            refined(&[Verdict::Unparsed, wrong, wrong]),
            refined(&[wrong, right, wrong]),
            refined(&[right, right, wrong]),
        ];
        let share = lowest_wrong_share(&groups);
        assert!((share - 0.25).abs() < 1e-12, "{share}");
        let share = lowest_wrong_share(&[refined(&[wrong])]);
        assert!((share - 1.0).abs() < 1e-12, "{share}");
        let share = lowest_wrong_share(&[refined(&[])]);
        assert!(
            share.abs() < 1e-12,
            "nothing was asked, and the share is {share}"
        );
    }
}
