//! The three generations of a rollout, one call to the engine each.
//!
//! A prompt that leaves no room in the model's context is dropped and counted, never an error.

use std::collections::HashMap;
use std::ops::Range;

use critique_core::{
    Attempt, Completion, Critique, Generate, GenerateError, Problem, Prompt, Request, Rollout,
    Sampling,
};
use critique_tasks::{CritiqueForm, Task};

use crate::attempts::attempts;
use crate::error::RolloutError;
use crate::group::{Case, Member, RolloutGroup};
use crate::seeds::{Phase, Seeds};

/// Responses to a batch of problems.
#[derive(Debug, Clone, PartialEq)]
pub struct Responses {
    /// One list a problem; empty where the prompt did not fit.
    pub attempts: Vec<Vec<Attempt>>,
    /// Problems whose prompt did not fit the actor's context.
    pub dropped: usize,
}

/// Critiques of a batch of responses.
#[derive(Debug, Clone, PartialEq)]
pub struct Critiques {
    /// One group a case whose prompt fitted, in the order of the cases.
    pub groups: Vec<RolloutGroup>,
    /// Cases whose prompt did not fit the critic's context.
    pub dropped: usize,
}

/// The actor's first answers, `samples` for each problem. A problem that stands in the batch
/// again gets others: its samples are counted on, as [`cases`](crate::cases) counts them.
///
/// # Errors
///
/// When the engine fails, or the task cannot judge the responses.
pub fn respond(
    actor: &dyn Generate,
    task: &dyn Task,
    problems: &[Problem],
    samples: usize,
    sampling: &Sampling,
    seeds: &Seeds<'_>,
) -> Result<Responses, RolloutError> {
    let range = |time: usize| time * samples..(time + 1) * samples;
    let ranges = times_before(problems).into_iter().map(range).collect();
    respond_samples(actor, task, problems, ranges, sampling, seeds)
}

/// How many times each problem of a batch stands in it before: 0 for all but repeats.
pub(crate) fn times_before(problems: &[Problem]) -> Vec<usize> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let count = |problem| {
        let times = seen.entry(problem).or_default();
        *times += 1;
        *times - 1
    };
    problems.iter().map(|p| p.id.as_str()).map(count).collect()
}

/// Those of the actor's first answers that have these indices, a range a problem.
pub(crate) fn respond_samples(
    actor: &dyn Generate,
    task: &dyn Task,
    problems: &[Problem],
    samples: Vec<Range<usize>>,
    sampling: &Sampling,
    seeds: &Seeds<'_>,
) -> Result<Responses, RolloutError> {
    let style = task.prompts();
    let asks = problems.iter().zip(samples).map(|(problem, samples)| Ask {
        prompt: style.response(problem),
        seeds: samples
            .map(|sample| seeds.of(&problem.id, Phase::Response, &[sample]))
            .collect(),
    });
    let answers = ask(actor, asks, sampling, Phase::Response)?;
    let dropped = answers.iter().filter(|answer| answer.is_none()).count();
    let (phase, prefill) = (Phase::Response, &style.response_prefill);
    let attempts = judged(task, phase, problems.iter(), prefill, answers)?;
    Ok(Responses { attempts, dropped })
}

/// The critic's texts, `group_size` for each case.
///
/// # Errors
///
/// When the engine fails.
pub fn critique(
    critic: &dyn Generate,
    task: &dyn Task,
    cases: &[Case],
    group_size: usize,
    sampling: &Sampling,
    seeds: &Seeds<'_>,
) -> Result<Critiques, RolloutError> {
    critique_siblings(critic, task, cases, 0..group_size, sampling, seeds)
}

/// Those of the critic's texts that have these indices.
pub(crate) fn critique_siblings(
    critic: &dyn Generate,
    task: &dyn Task,
    cases: &[Case],
    siblings: Range<usize>,
    sampling: &Sampling,
    seeds: &Seeds<'_>,
) -> Result<Critiques, RolloutError> {
    let style = task.prompts();
    let asks = cases.iter().map(|case| Ask {
        prompt: style.critique(&case.problem, &case.response.text),
        seeds: siblings
            .clone()
            .map(|sibling| seeds.of(&case.problem.id, Phase::Critique, &[case.sample, sibling]))
            .collect(),
    });
    let answers = ask(critic, asks, sampling, Phase::Critique)?;
    let dropped = answers.iter().filter(|answer| answer.is_none()).count();
    let mut groups: Vec<RolloutGroup> = cases
        .iter()
        .zip(answers)
        .filter_map(|(case, answer)| answer.map(|answer| group(task, case, answer)))
        .collect();
    for member in groups.iter_mut().flat_map(|group| &mut group.members) {
        member.sibling += siblings.start;
    }
    Ok(Critiques { groups, dropped })
}

/// The actor's second answers, `refinements` for each rollout, put in place of any that are
/// there. Returns how many rollouts got none because their prompt did not fit: see
/// [`drop_unrefined`](crate::drop_unrefined).
///
/// # Errors
///
/// When the engine fails, or the task cannot judge the refinements.
pub fn refine(
    actor: &dyn Generate,
    task: &dyn Task,
    groups: &mut [RolloutGroup],
    refinements: usize,
    sampling: &Sampling,
    seeds: &Seeds<'_>,
) -> Result<usize, RolloutError> {
    let style = task.prompts();
    let asks = members(groups).map(|(case, member)| Ask {
        prompt: style.refinement(
            &case.problem,
            &case.response.text,
            CritiqueForm::for_actor(&member.rollout.critique.completion.text),
        ),
        seeds: (0..refinements)
            .map(|index| {
                let siblings = [case.sample, member.sibling, index];
                seeds.of(&case.problem.id, Phase::Refinement, &siblings)
            })
            .collect(),
    });
    let answers = ask(actor, asks, sampling, Phase::Refinement)?;
    let dropped = answers.iter().filter(|answer| answer.is_none()).count();
    let problems = members(groups).map(|(case, _)| &case.problem);
    let (phase, prefill) = (Phase::Refinement, &style.refinement_prefill);
    let refinements = judged(task, phase, problems, prefill, answers)?;
    let rollouts = groups.iter_mut().flat_map(|group| &mut group.members);
    for (member, refinements) in rollouts.zip(refinements) {
        member.rollout.refinements = refinements;
    }
    Ok(dropped)
}

/// A prompt and the seeds of its samples.
struct Ask {
    prompt: Prompt,
    seeds: Vec<u64>,
}

/// What came back: the prompt's tokens and its completions.
struct Answer {
    prompt: Vec<u32>,
    completions: Vec<Completion>,
}

/// One call to the engine for all prompts that fit it; `None` for those that do not.
fn ask(
    engine: &dyn Generate,
    asks: impl Iterator<Item = Ask>,
    sampling: &Sampling,
    phase: Phase,
) -> Result<Vec<Option<Answer>>, RolloutError> {
    let failed = |source| RolloutError::Generate { phase, source };
    let mut requests = Vec::new();
    let mut fits = Vec::new();
    for ask in asks {
        let prompt = match engine.encode(&ask.prompt) {
            Ok(prompt) if prompt.len() < engine.context_tokens() => prompt,
            Ok(_) | Err(GenerateError::PromptTooLong { .. }) => {
                fits.push(false);
                continue;
            }
            Err(source) => return Err(failed(source)),
        };
        fits.push(true);
        requests.push(Request {
            prompt,
            seeds: ask.seeds,
            sampling: sampling.clone(),
        });
    }
    let completions = if requests.is_empty() {
        Vec::new()
    } else {
        engine.generate(&requests).map_err(failed)?
    };
    check_shape(&requests, &completions);
    let mut answers = requests.into_iter().zip(completions);
    Ok(fits
        .into_iter()
        .map(|fits| {
            let (request, completions) = fits.then(|| answers.next()).flatten()?;
            Some(Answer {
                prompt: request.prompt,
                completions,
            })
        })
        .collect())
}

/// An engine that loses completions is broken: going on would pair texts with wrong prompts.
fn check_shape(requests: &[Request], completions: &[Vec<Completion>]) {
    let wanted: Vec<usize> = requests.iter().map(|request| request.seeds.len()).collect();
    let got: Vec<usize> = completions.iter().map(Vec::len).collect();
    assert_eq!(
        wanted, got,
        "completions asked of the engine, and given by it"
    );
}

/// The texts of completions with what the task finds in them, a list a problem.
fn judged<'a>(
    task: &dyn Task,
    phase: Phase,
    problems: impl Iterator<Item = &'a Problem>,
    prefill: &str,
    answers: Vec<Option<Answer>>,
) -> Result<Vec<Vec<Attempt>>, RolloutError> {
    let completions = |answer: Option<Answer>| answer.map(|answer| answer.completions);
    let lists: Vec<Vec<Completion>> = answers
        .into_iter()
        .map(|answer| completions(answer).unwrap_or_default())
        .collect();
    let texts = problems.zip(&lists).flat_map(|(problem, list)| {
        let text = move |completion: &Completion| format!("{prefill}{}", completion.text);
        list.iter()
            .map(move |completion| (problem, text(completion)))
    });
    let attempts = attempts(task, texts.collect());
    let mut attempts = attempts
        .map_err(|source| RolloutError::Judge { phase, source })?
        .into_iter();
    let sampled = |(completion, attempt)| Attempt {
        completion: Some(completion),
        ..attempt
    };
    Ok(lists
        .into_iter()
        .map(|list| {
            list.into_iter()
                .zip(attempts.by_ref())
                .map(sampled)
                .collect()
        })
        .collect())
}

fn group(task: &dyn Task, case: &Case, answer: Answer) -> RolloutGroup {
    let form = CritiqueForm::of(task);
    let critiques = answer.completions.into_iter().map(|completion| Critique {
        prompt: answer.prompt.clone(),
        judgment: form.judgment(&completion.text),
        completion,
    });
    group_of(case, critiques)
}

/// Rollouts of one case, not refined yet.
pub(crate) fn group_of(case: &Case, critiques: impl Iterator<Item = Critique>) -> RolloutGroup {
    let members = critiques
        .enumerate()
        .map(|(sibling, critique)| Member {
            sibling,
            rollout: Rollout {
                problem: case.problem.clone(),
                response: case.response.clone(),
                critique,
                refinements: Vec::new(),
            },
        })
        .collect();
    RolloutGroup {
        case: case.clone(),
        members,
    }
}

fn members(groups: &[RolloutGroup]) -> impl Iterator<Item = (&Case, &Member)> {
    groups
        .iter()
        .flat_map(|group| group.members.iter().map(|member| (&group.case, member)))
}
