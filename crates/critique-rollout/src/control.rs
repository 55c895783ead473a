//! Critics that are no models: the floors and ceilings that a trained critic is held against
//! (`constant_floor` in docs/method.md, "Figures").

use critique_core::{Completion, Critique, FinishReason, Judgment, Problem, Rng};
use critique_tasks::{CritiqueForm, Task};
use serde::{Deserialize, Serialize};

use crate::error::RolloutError;
use crate::group::{Case, RolloutGroup};
use crate::phases::group_of;
use crate::seeds::{Phase, Seeds};

/// A critic that is no model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Control {
    /// Always says that the answer is correct.
    AlwaysCorrect,
    /// Always says that the answer is wrong.
    AlwaysWrong,
    /// Says either with probability one half.
    Random,
    /// Says the truth and no more.
    TrueVerdict,
    /// Writes what a perfect critic would, where the task can say it.
    Perfect,
    /// Writes nothing: the actor is asked again without a critique.
    Empty,
    /// Says `Correct` behind steps that say the opposite, where the task can write that: whether
    /// the actor obeys the verdict.
    ContradictoryCorrect,
    /// Says `Wrong` behind steps that say the opposite, and helps wrongly.
    ContradictoryWrong,
}

impl Control {
    /// Every control that stands beside a trained critic.
    pub const ALL: [Self; 6] = [
        Self::AlwaysCorrect,
        Self::AlwaysWrong,
        Self::Random,
        Self::TrueVerdict,
        Self::Perfect,
        Self::Empty,
    ];

    /// The word in run files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlwaysCorrect => "always_correct",
            Self::AlwaysWrong => "always_wrong",
            Self::Random => "random",
            Self::TrueVerdict => "true_verdict",
            Self::Perfect => "perfect",
            Self::Empty => "empty",
            Self::ContradictoryCorrect => "contradictory_correct",
            Self::ContradictoryWrong => "contradictory_wrong",
        }
    }

    /// Whether it can be had for these problems: the perfect one needs a task that writes
    /// perfect critiques of all, the contradictory ones a task that writes such critiques of any;
    /// all others need nothing.
    pub fn is_possible(self, task: &dyn Task, problems: &[Problem]) -> bool {
        let contradicts = |problem: &Problem, correct| {
            let response = task.gold_response(problem);
            let written = task.contradicting_critique(problem, &response, correct);
            written.is_some()
        };
        match self {
            Self::Perfect => problems.iter().all(|problem| {
                let response = task.gold_response(problem);
                task.oracle_critique(problem, &response).is_some()
            }),
            Self::ContradictoryCorrect => problems.iter().any(|p| contradicts(p, true)),
            Self::ContradictoryWrong => problems.iter().any(|p| contradicts(p, false)),
            _ => true,
        }
    }
}

/// The critiques of a control, one for each case, to be refined like any other. They have
/// text but no tokens.
///
/// # Errors
///
/// When [`Control::Perfect`] is asked of a task that writes no perfect critiques.
pub fn control_critiques(
    control: Control,
    task: &dyn Task,
    cases: &[Case],
    seeds: &Seeds<'_>,
) -> Result<Vec<RolloutGroup>, RolloutError> {
    let group = |case| -> Result<RolloutGroup, RolloutError> {
        let text = text(control, task, case, seeds)?;
        Ok(given_critiques(case, std::iter::once(text)))
    };
    cases.iter().map(group).collect()
}

/// Critiques that somebody has written, to be refined like any other. They have text but no tokens.
pub fn given_critiques(case: &Case, texts: impl IntoIterator<Item = String>) -> RolloutGroup {
    let critiques = texts.into_iter().map(|text| Critique {
        prompt: Vec::new(),
        judgment: CritiqueForm::Verdict.judgment(&text),
        completion: Completion {
            tokens: Vec::new(),
            log_probs: Vec::new(),
            text,
            finish_reason: FinishReason::Stop,
        },
    });
    group_of(case, critiques)
}

fn text(
    control: Control,
    task: &dyn Task,
    case: &Case,
    seeds: &Seeds<'_>,
) -> Result<String, RolloutError> {
    let no_oracle = || RolloutError::NoOracle {
        problem: case.problem.id.clone(),
    };
    let says_correct = match control {
        Control::AlwaysCorrect => true,
        Control::AlwaysWrong => false,
        Control::TrueVerdict => case.response.verdict.is_correct(),
        Control::Random => {
            let seed = seeds.of(&case.problem.id, Phase::Critique, &[case.sample, 0]);
            Rng::new(seed).chance(0.5)
        }
        Control::Empty => return Ok(String::new()),
        Control::Perfect => {
            let written = task.oracle_critique(&case.problem, &case.response.text);
            return written.ok_or_else(no_oracle);
        }
        Control::ContradictoryCorrect | Control::ContradictoryWrong => {
            let correct = control == Control::ContradictoryCorrect;
            let (problem, response) = (&case.problem, &case.response.text);
            let written = task.contradicting_critique(problem, response, correct);
            return written.ok_or_else(no_oracle);
        }
    };
    Ok(CritiqueForm::claim(Judgment::of(says_correct)))
}
