//! Responses to be criticised, and the rollouts that share one.

use std::collections::{BTreeMap, HashMap, HashSet};

use critique_core::{Attempt, Problem, Rng, Rollout, Verdict, derive_seed};

/// A problem with one of the actor's responses.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The question.
    pub problem: Problem,
    /// The actor's answer.
    pub response: Attempt,
    /// Index of the response among those to this problem, from 0, counted on where the problem
    /// stands in a batch again; a part of seeds.
    pub sample: usize,
}

/// The rollouts that share a problem and a response.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutGroup {
    /// The problem and the response.
    pub case: Case,
    /// The rollouts, in the order of their critiques.
    pub members: Vec<Member>,
}

/// A rollout in its group.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Index of the critique among those of this response, from 0; a part of seeds.
    pub sibling: usize,
    /// The rollout.
    pub rollout: Rollout,
}

impl RolloutGroup {
    /// The rollouts alone.
    pub fn rollouts(&self) -> impl ExactSizeIterator<Item = &Rollout> {
        self.members.iter().map(|member| &member.rollout)
    }
}

/// Pairs problems with their responses; `attempts` holds one list a problem. Samples of a problem
/// that stands there again are counted on, and so are those that cannot be scored, which are left out.
///
/// # Panics
///
/// When there are not as many lists as problems.
pub fn cases(problems: &[Problem], attempts: Vec<Vec<Attempt>>) -> Vec<Case> {
    assert_eq!(
        problems.len(),
        attempts.len(),
        "problems and lists of attempts"
    );
    let mut next: HashMap<&str, usize> = HashMap::new();
    let mut cases = Vec::new();
    for (problem, attempts) in problems.iter().zip(attempts) {
        let sample = next.entry(&problem.id).or_default();
        for response in attempts {
            if response.is_scored() {
                cases.push(Case {
                    problem: problem.clone(),
                    response,
                    sample: *sample,
                });
            }
            *sample += 1;
        }
    }
    cases
}

/// Keeps one right and one wrong response of each problem, chosen by the seed, and drops
/// problems that lack either (docs/method.md, "Stages"). `samples` is how many samples a problem counts each
/// time it stands in the batch; every time is a choice of its own.
///
/// # Panics
///
/// When `samples` is 0.
pub fn balanced(cases: Vec<Case>, samples: usize, seed: u64) -> Vec<Case> {
    let mut of_times: BTreeMap<(&str, usize), [Vec<usize>; 2]> = BTreeMap::new();
    for case in &cases {
        let class = usize::from(case.response.verdict.is_correct());
        let time = case.sample / samples;
        of_times.entry((&case.problem.id, time)).or_default()[class].push(case.sample);
    }
    let chosen: HashSet<(String, usize)> = of_times
        .into_iter()
        .filter(|(_, classes)| classes.iter().all(|class| !class.is_empty()))
        .flat_map(|((id, time), classes)| {
            let again = time.to_string();
            let parts = ["balanced", id, &again];
            // The first time has the seed that a problem without repeats has.
            let mut rng = Rng::new(derive_seed(seed, &parts[..if time == 0 { 2 } else { 3 }]));
            classes.map(|class| (id.to_owned(), class[rng.below(class.len())]))
        })
        .collect();
    cases
        .into_iter()
        .filter(|case| chosen.contains(&(case.problem.id.clone(), case.sample)))
        .collect()
}

/// Splits cases into those whose response is right and the others. With an oracle at hand,
/// only the others are criticised, and right responses are kept (figure 5 of the paper).
pub fn split_by_verdict(cases: Vec<Case>) -> (Vec<Case>, Vec<Case>) {
    cases
        .into_iter()
        .partition(|case| case.response.verdict == Verdict::Correct)
}

/// Removes rollouts without a refinement, whose prompts did not fit, and groups that are
/// left empty. Returns how many rollouts went.
pub fn drop_unrefined(groups: &mut Vec<RolloutGroup>) -> usize {
    keep(groups, |rollout| !rollout.refinements.is_empty())
}

/// Removes rollouts with a refinement that cannot be scored, and groups that are left empty: they
/// are in no baseline. Returns how many rollouts went.
pub fn drop_unscored(groups: &mut Vec<RolloutGroup>) -> usize {
    keep(groups, |rollout| {
        rollout.refinements.iter().all(Attempt::is_scored)
    })
}

fn keep(groups: &mut Vec<RolloutGroup>, wanted: impl Fn(&Rollout) -> bool) -> usize {
    let count = |groups: &[RolloutGroup]| groups.iter().map(|group| group.members.len()).sum();
    let before: usize = count(groups);
    for group in groups.iter_mut() {
        group.members.retain(|member| wanted(&member.rollout));
    }
    groups.retain(|group| !group.members.is_empty());
    let after: usize = count(groups);
    before - after
}
