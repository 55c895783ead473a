//! Whether the prompts of a stage fit its models.

use critique_core::{Problem, Prompt};
use critique_rollout::Phase;
use critique_run::{Misfit, RlStage, RolloutConfig, StagePlace};
use critique_tasks::Task;

use crate::error::TrainError;

/// Problems whose prompts are measured.
const MEASURED: usize = 64;

/// Lengths of the prompts of one phase, in tokens, on the first training problems. What models
/// will write stands in as the problem's worked solution, or its answer where it has none, so
/// real prompts may be longer or shorter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PromptLengths {
    /// What is prompted for.
    pub(crate) phase: Phase,
    /// The model that is prompted.
    pub(crate) model: String,
    /// Tokens that it takes, with those that it writes.
    pub(crate) context: usize,
    /// The median.
    pub(crate) median: usize,
    /// The longest.
    pub(crate) longest: usize,
    /// Prompts that leave room for a token.
    pub(crate) fit: usize,
    /// Prompts that were measured.
    pub(crate) measured: usize,
}

/// Tokens of a prompt, and the context, of the model of a name.
pub(crate) type Measure<'a> =
    &'a mut dyn FnMut(&str, &Prompt) -> Result<(usize, usize), TrainError>;

/// Measures the prompts of a stage of RL on its problems.
///
/// # Errors
///
/// When none of a phase fits: the stage would run to its end without a rollout. Names the phase,
/// the model and its context.
pub(crate) fn prompts_fit(
    place: StagePlace<'_>,
    stage: &RlStage,
    rollout: &RolloutConfig,
    (task, problems): (&dyn Task, &[Problem]),
    measure: Measure<'_>,
) -> Result<Vec<PromptLengths>, TrainError> {
    let mut phases = Vec::new();
    if rollout.responses_file.is_none() {
        phases.push((Phase::Response, "actor"));
    }
    phases.push((Phase::Critique, stage.model.as_str()));
    if stage.rewards.needs_refinement() {
        phases.push((Phase::Refinement, "actor"));
    }
    let mut all = Vec::new();
    for (phase, model) in phases {
        let problems = &problems[..problems.len().min(MEASURED)];
        let lengths = lengths(phase, model, task, problems, measure)?;
        if lengths.fit == 0 && lengths.measured > 0 {
            return Err(none_fits(place, &lengths).into());
        }
        all.push(lengths);
    }
    Ok(all)
}

fn lengths(
    phase: Phase,
    model: &str,
    task: &dyn Task,
    problems: &[Problem],
    measure: Measure<'_>,
) -> Result<PromptLengths, TrainError> {
    let style = task.prompts();
    let (mut tokens, mut context) = (Vec::new(), 0);
    for problem in problems {
        let response = match problem.solution.as_str() {
            "" => &problem.answer,
            solution => solution,
        };
        let prompt = match phase {
            Phase::Response => style.response(problem),
            Phase::Critique => style.critique(problem, response),
            Phase::Refinement => style.refinement(problem, response, ""),
        };
        let (length, most) = measure(model, &prompt)?;
        tokens.push(length);
        context = most;
    }
    tokens.sort_unstable();
    Ok(PromptLengths {
        phase,
        model: model.to_owned(),
        context,
        median: tokens.get(tokens.len() / 2).copied().unwrap_or(0),
        longest: tokens.last().copied().unwrap_or(0),
        fit: tokens.iter().filter(|&&length| length < context).count(),
        measured: tokens.len(),
    })
}

fn none_fits(place: StagePlace<'_>, lengths: &PromptLengths) -> Misfit {
    let PromptLengths {
        phase,
        model,
        context,
        median,
        measured,
        ..
    } = lengths;
    let what = format!(
        "no {phase} prompt fits `models.{model}`, whose context is {context} tokens: the median of \
         {measured} takes {median}; expected a model with a longer context, or a task with shorter \
         problems"
    );
    place.wrong_at(&format!("models.{model}"), what)
}

impl PromptLengths {
    /// What a person should know: that some do not fit.
    pub(crate) fn note(&self, stage: &str) -> Option<String> {
        (self.fit < self.measured).then(|| {
            format!(
                "stage `{stage}`: {} of {} {} prompts that were measured exceed the {} tokens of \
                 `models.{}`; such rollouts are dropped",
                self.measured - self.fit,
                self.measured,
                self.phase,
                self.context,
                self.model
            )
        })
    }
}
