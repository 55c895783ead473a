//! One rollout without its batch.

use critique_core::{Attempt, Generate, Problem, Sampling};
use critique_tasks::Task;

use crate::error::RolloutError;
use crate::group::{Case, RolloutGroup};
use crate::phases::{critique_siblings, refine, respond_samples};
use crate::seeds::Seeds;

/// What makes a rollout, with one request to an engine for each of its texts.
///
/// A sample depends on its seed and on nothing else that is in flight, so an engine whose
/// log-probs do not depend on the batch gives a rollout here the texts that it had in its batch.
#[derive(Clone, Copy)]
pub struct Alone<'a> {
    /// Answers and refines.
    pub actor: &'a dyn Generate,
    /// Writes the critique.
    pub critic: &'a dyn Generate,
    /// Gives prompts and verdicts.
    pub task: &'a dyn Task,
    /// Of the step that the rollout belongs to.
    pub seeds: Seeds<'a>,
    /// How the response is sampled.
    pub response: &'a Sampling,
    /// How the critique is sampled.
    pub critique: &'a Sampling,
    /// How refinements are sampled.
    pub refinement: &'a Sampling,
    /// Refinements; 0 makes none.
    pub refinements: usize,
}

impl Alone<'_> {
    /// The rollout of critique `sibling` of response `sample`, as the only member of its group;
    /// nothing where one of its prompts does not fit a context. `fixed` is the response where it
    /// is not to be sampled.
    ///
    /// # Errors
    ///
    /// When an engine fails.
    pub fn rollout(
        &self,
        problem: &Problem,
        fixed: Option<Attempt>,
        sample: usize,
        sibling: usize,
    ) -> Result<Option<RolloutGroup>, RolloutError> {
        let Some(response) = self.first_answer(problem, fixed, sample)? else {
            return Ok(None);
        };
        let case = Case {
            problem: problem.clone(),
            response,
            sample,
        };
        let siblings = sibling..sibling + 1;
        let (task, seeds) = (self.task, &self.seeds);
        let critiques =
            critique_siblings(self.critic, task, &[case], siblings, self.critique, seeds)?;
        let mut groups = critiques.groups;
        if self.refinements > 0 {
            let (count, sampling) = (self.refinements, self.refinement);
            let unrefined = refine(self.actor, task, &mut groups, count, sampling, seeds)?;
            if unrefined > 0 {
                return Ok(None);
            }
        }
        Ok(groups.pop())
    }

    fn first_answer(
        &self,
        problem: &Problem,
        fixed: Option<Attempt>,
        sample: usize,
    ) -> Result<Option<Attempt>, RolloutError> {
        if fixed.is_some() {
            return Ok(fixed);
        }
        let problems = std::slice::from_ref(problem);
        let samples = vec![sample..sample + 1];
        let (task, seeds) = (self.task, &self.seeds);
        let answers = respond_samples(self.actor, task, problems, samples, self.response, seeds)?;
        Ok(answers.attempts.into_iter().flatten().next())
    }
}
