//! What a run asks of a stage of reinforcement learning.

use critique_core::{Problem, Split};
use critique_model::{Group, LanguageModel};
use critique_rollout::FixedResponses;
use critique_run::{RlStage, RolloutConfig, RunConfig};

use super::{RlStep, fixed_responses, problems_of};
use crate::error::TrainError;
use crate::observer::Observer;
use crate::plan::{Measure, ModelHeader, Models, Phases, PromptLengths, longest, prompts_fit};
use crate::stage::{Planned, Setting, StageStep, StageWork};

impl StageWork for RlStage {
    fn check(&self, run: &Planned<'_>) -> Result<(), TrainError> {
        let Planned {
            config,
            place,
            task,
            train,
        } = *run;
        let rewards = self.rewards.check(task.is_open_ended());
        rewards
            .map_err(|why| place.wrong("rewards", why.to_string().replacen('`', "`rewards.", 1)))?;
        let credit = self.token_credit(&config.rollout).check();
        credit.map_err(|why| place.wrong("kl_coef", why))?;
        let loss = self.loss_settings(&config.rollout).check();
        loss.map_err(|why| place.wrong("", why.to_string().replace("kl.coef", "kl_coef")))?;
        if self.validate_every > 0 && task.problems(Split::Validation)?.is_empty() {
            let what = "`validate_every` is set, but the task has no validation split";
            return Err(place.wrong("validate_every", what).into());
        }
        let fixed = fixed_responses(&config.rollout)?;
        problems_of(&self.name, fixed.as_ref(), train)?;
        Ok(())
    }

    fn notes(&self, run: &Planned<'_>) -> Result<Vec<String>, TrainError> {
        let rollout = &run.config.rollout;
        let fixed = fixed_responses(rollout)?;
        let problems = problems_of(&self.name, fixed.as_ref(), run.train)?;
        Ok(notes(rollout, self, fixed.as_ref(), &problems))
    }

    fn prompts(
        &self,
        run: &Planned<'_>,
        measure: Measure<'_>,
    ) -> Result<Vec<PromptLengths>, TrainError> {
        let rollout = &run.config.rollout;
        let fixed = fixed_responses(rollout)?;
        let problems = problems_of(&self.name, fixed.as_ref(), run.train)?;
        prompts_fit(run.place, self, rollout, (run.task, &problems), measure)
    }

    fn volume(&self, config: &RunConfig, _: usize) -> (usize, usize) {
        let rollout = &config.rollout;
        let responses = rollout.problems * rollout.responses;
        let critiques = responses * rollout.group_size;
        let refinements = critiques * refinements(self, rollout);
        let tokens = responses * rollout.response.max_new_tokens
            + critiques * rollout.critique.max_new_tokens
            + refinements * rollout.refinement.max_new_tokens;
        (responses + critiques + refinements, tokens * self.steps)
    }

    fn batch(&self, run: &Planned<'_>, critic: &ModelHeader) -> Result<Vec<Group>, TrainError> {
        let (rollout, task) = (&run.config.rollout, run.task);
        let style = task.prompts();
        let gold = |problem: &Problem| style.critique(problem, &task.gold_response(problem));
        let longest = longest(critic, run.train, &gold)?.clamp(1, critic.context - 1);
        let completion = rollout
            .critique
            .max_new_tokens
            .min(critic.context - longest);
        let group = Group {
            prompt: vec![0; longest],
            completions: vec![vec![0; completion]; rollout.group_size],
        };
        let groups = (rollout.problems * rollout.responses).max(1);
        let part = match self.minibatch {
            0 => groups,
            critiques => critiques.div_ceil(rollout.group_size).min(groups),
        };
        Ok(vec![group; part])
    }

    fn sampling(&self, config: &RunConfig) -> Option<Phases<'_>> {
        let rollout = &config.rollout;
        let refinements = refinements(self, rollout);
        Some(Phases {
            actor: if rollout.responses_file.is_some() && refinements == 0 {
                ""
            } else {
                "actor"
            },
            critic: &self.model,
            problems: rollout.problems,
            responses: rollout.responses,
            critiques: rollout.group_size,
            refinements,
            lengths: [
                rollout.response.max_new_tokens,
                rollout.critique.max_new_tokens,
                rollout.refinement.max_new_tokens,
            ],
        })
    }

    fn begin<'a>(
        &'a self,
        setting: &Setting<'a>,
        _: &LanguageModel,
        models: &'a mut Models,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn StageStep + 'a>, TrainError> {
        Ok(Box::new(RlStep::begin(self, setting, models, observer)?))
    }
}

/// Refinements of a critique.
fn refinements(stage: &RlStage, rollout: &RolloutConfig) -> usize {
    if stage.rewards.needs_refinement() {
        rollout.refinements
    } else {
        0
    }
}

/// What a person should know of a stage that walks through these problems.
pub(super) fn notes(
    rollout: &RolloutConfig,
    stage: &RlStage,
    fixed: Option<&FixedResponses>,
    problems: &[Problem],
) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |what: String| notes.push(format!("stage `{}`: {what}", stage.name));
    if stage.rewards.pays_nothing() {
        note("`rewards` gives no reward a weight, so all rollouts earn the same".to_owned());
    }
    if stage.rewards.delta_is_refinement(&*stage.advantage) {
        note(format!(
            "`rewards.delta` teaches what `rewards.refinement` teaches: the critiques of a group \
             share a response, and `advantage = \"{}\"` takes off what is the same in a group; the \
             two differ under `\"reinforce\"` and `\"reinforce_plus_plus\"`, or with `rewards.mode \
             = \"gated\"`",
            stage.advantage.name()
        ));
    }
    let (minibatch, size) = (stage.minibatch, rollout.group_size);
    if minibatch > 0 && !minibatch.is_multiple_of(size) {
        let taken = (minibatch / size).max(1) * size;
        note(format!(
            "`minibatch` is {minibatch}, and groups of {size} stay whole: an optimizer step takes \
             {taken} critiques"
        ));
    }
    let wanted = rollout.responses;
    let few = |problem: &&Problem| fixed.is_some_and(|fixed| fixed.count(problem) < wanted);
    let few = problems.iter().filter(few).count();
    if few > 0 {
        note(format!(
            "`responses_file` has fewer than {wanted} responses to {few} of {} problems, which give \
             as many as there are",
            problems.len()
        ));
    }
    notes
}
