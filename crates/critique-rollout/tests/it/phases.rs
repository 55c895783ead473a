//! Response, critique, refinement: prompts, seeds, order, and what does not fit.

use std::error::Error;
use std::sync::Mutex;

use critique_core::{Judgment, Problem, Split, Verdict, derive_seed};
use critique_rollout::{
    Alone, Case, Control, Phase, RolloutError, RolloutGroup, RolloutId, RolloutRecord, Scored,
    Seeds, cases, control_critiques, critique, drop_unrefined, refine, respond,
};
use critique_tasks::{Judged, PromptStyle, Task, TaskError};

use crate::scripted::{Scripted, Sums, greedy, sum};

const SEEDS: Seeds<'static> = Seeds {
    run: 17,
    stage: "helpfulness",
    step: 3,
};

/// Says 2 to everything first, and obeys a verdict of "Wrong" by saying 4.
fn actor() -> Scripted {
    Scripted::new(|prompt, _| {
        let refines = prompt.contains("critique of your solution");
        let wrong = prompt.contains("final answer: Wrong");
        if refines && wrong {
            "it is 4"
        } else {
            "it is 2"
        }
        .to_owned()
    })
}

/// Says "Wrong" to even seeds.
fn critic() -> Scripted {
    Scripted::new(|_, seed| {
        let verdict = if seed.is_multiple_of(2) {
            "Wrong"
        } else {
            "Correct"
        };
        format!("Well.\nStep sentence: so 2\nCorrectness of the final answer: {verdict}")
    })
}

/// One response of the actor to each problem.
fn answered(actor: &Scripted, task: &dyn Task, problems: &[Problem]) -> Vec<Case> {
    let responses = respond(actor, task, problems, 1, &greedy(), &SEEDS).unwrap();
    cases(problems, responses.attempts)
}

#[test]
fn a_rollout_goes_through_all_three_phases() {
    let problems = [sum(1), sum(2)];
    let (actor, critic) = (actor(), critic());
    let responses = respond(&actor, &Sums, &problems, 2, &greedy(), &SEEDS).unwrap();
    let shape: Vec<usize> = responses.attempts.iter().map(Vec::len).collect();
    assert_eq!((shape, responses.dropped), (vec![2, 2], 0));
    let first = &responses.attempts[0][0];
    let prefill = PromptStyle::default().response_prefill;
    assert_eq!(first.text, format!("{prefill}it is 2"));
    assert_eq!((first.verdict, first.score), (Verdict::Correct, 1.0));
    assert_eq!(first.answer.as_deref(), Some("2"));

    let cases = cases(&problems, responses.attempts);
    let critiques = critique(&critic, &Sums, &cases, 3, &greedy(), &SEEDS).unwrap();
    let mut groups = critiques.groups;
    assert_eq!((groups.len(), critiques.dropped), (4, 0));
    for group in &groups {
        for member in &group.members {
            let id = &group.case.problem.id;
            let seed = SEEDS.of(id, Phase::Critique, &[group.case.sample, member.sibling]);
            let want = if seed.is_multiple_of(2) {
                Judgment::Wrong
            } else {
                Judgment::Correct
            };
            assert_eq!(member.rollout.critique.judgment, want);
            assert!(!member.rollout.critique.prompt.is_empty());
        }
    }

    assert_eq!(
        refine(&actor, &Sums, &mut groups, 2, &greedy(), &SEEDS).unwrap(),
        0
    );
    for rollout in groups.iter().flat_map(RolloutGroup::rollouts) {
        let obeyed = rollout.critique.judgment == Judgment::Wrong;
        let answer = if obeyed { "4" } else { "2" };
        let judged = Sums.judge_one(&rollout.problem, &format!("is {answer}"));
        let verdict = judged.unwrap().verdict;
        assert_eq!(rollout.refinements.len(), 2);
        for refinement in &rollout.refinements {
            assert_eq!(refinement.answer.as_deref(), Some(answer));
            assert_eq!(refinement.verdict, verdict);
        }
    }
    // One call a phase, however many prompts.
    assert_eq!(actor.calls.lock().unwrap().len(), 2);
    assert_eq!(critic.calls.lock().unwrap().len(), 1);
}

#[test]
fn the_actor_never_sees_what_stands_before_the_first_step() {
    let actor = actor();
    let cases = answered(&actor, &Sums, &[sum(1)]);
    let mut groups = critique(&critic(), &Sums, &cases, 1, &greedy(), &SEEDS)
        .unwrap()
        .groups;
    refine(&actor, &Sums, &mut groups, 1, &greedy(), &SEEDS).unwrap();
    let calls = actor.calls.lock().unwrap();
    let (prompt, _) = &calls[1][0];
    assert!(prompt.contains("Step sentence: so 2"));
    assert!(!prompt.contains("Well."));
}

#[test]
fn a_seed_is_a_hash_of_names() {
    let seed = SEEDS.of("sums/1", Phase::Critique, &[1, 2]);
    let parts = ["helpfulness", "3", "sums/1", "critique", "1.2"];
    assert_eq!(seed, derive_seed(17, &parts));
    assert_ne!(seed, SEEDS.of("sums/1", Phase::Critique, &[12]));
    assert_ne!(seed, SEEDS.of("sums/1", Phase::Refinement, &[1, 2]));
}

#[test]
fn a_problem_alone_gets_the_samples_it_gets_in_a_batch() {
    let echo = Scripted::new(|_, seed| format!("is {seed}"));
    let together = respond(&echo, &Sums, &[sum(1), sum(2)], 2, &greedy(), &SEEDS).unwrap();
    let alone = respond(&echo, &Sums, &[sum(2)], 2, &greedy(), &SEEDS).unwrap();
    assert_eq!(together.attempts[1], alone.attempts[0]);
    assert_ne!(together.attempts[1][0], together.attempts[1][1]);
}

#[test]
fn a_problem_twice_in_a_batch_gets_its_own_samples_and_ids() {
    let echo = || Scripted::new(|_, seed| format!("is {seed}"));
    let (actor, critic) = (echo(), echo());
    let problems = [sum(1), sum(2), sum(1)];
    let twice = respond(&actor, &Sums, &problems, 2, &greedy(), &SEEDS).unwrap();
    let once = respond(&actor, &Sums, &problems[..2], 2, &greedy(), &SEEDS).unwrap();
    assert_eq!(twice.attempts[..2], once.attempts);
    let texts: std::collections::BTreeSet<&str> = twice
        .attempts
        .iter()
        .flatten()
        .map(|a| a.text.as_str())
        .collect();
    assert_eq!(texts.len(), 6);

    let cases = cases(&problems, twice.attempts);
    let mut groups = critique(&critic, &Sums, &cases, 2, &greedy(), &SEEDS)
        .unwrap()
        .groups;
    refine(&actor, &Sums, &mut groups, 1, &greedy(), &SEEDS).unwrap();
    let members = groups
        .iter()
        .flat_map(|g| g.members.iter().map(move |m| (g, m)));
    let records: Vec<RolloutRecord> = members
        .map(|(g, m)| RolloutRecord::new(&SEEDS, g, m, Scored::default()))
        .collect();
    let distinct = |field: fn(&RolloutRecord) -> String| {
        let all: std::collections::BTreeSet<String> = records.iter().map(field).collect();
        all.len()
    };
    assert_eq!(distinct(|r| r.id.clone()), 12);
    assert_eq!(distinct(|r| r.critique.clone()), 12);
    assert_eq!(distinct(|r| r.refinements[0].text.clone()), 12);

    // Each can be made again, alone, from its id.
    for record in &records {
        let id: RolloutId = record.id.parse().unwrap();
        let asks = Alone {
            actor: &actor,
            critic: &critic,
            task: &Sums,
            seeds: SEEDS,
            response: &greedy(),
            critique: &greedy(),
            refinement: &greedy(),
            refinements: 1,
        };
        let problem = problems.iter().find(|p| p.id == id.problem).unwrap();
        let group = asks
            .rollout(problem, None, id.sample, id.sibling)
            .unwrap()
            .unwrap();
        let again = RolloutRecord::new(&SEEDS, &group, &group.members[0], Scored::default());
        assert_eq!(&again, record);
    }
}

#[test]
fn prompts_that_do_not_fit_are_dropped_and_counted() {
    let mut long = sum(2);
    long.question = "2 + 2? ".repeat(200);
    let problems = [sum(1), long, sum(3)];
    let actor = actor().with_context(800);
    let responses = respond(&actor, &Sums, &problems, 1, &greedy(), &SEEDS).unwrap();
    let shape: Vec<usize> = responses.attempts.iter().map(Vec::len).collect();
    assert_eq!((shape, responses.dropped), (vec![1, 0, 1], 1));

    let cases = cases(&problems, responses.attempts);
    let tiny = critic().with_context(10);
    let critiques = critique(&tiny, &Sums, &cases, 2, &greedy(), &SEEDS).unwrap();
    assert_eq!((critiques.groups.len(), critiques.dropped), (0, 2));
    assert!(tiny.calls.lock().unwrap().is_empty());

    // A critique so long that the refinement's prompt is too long.
    let bomb = Scripted::new(|_, seed| "x".repeat(if seed.is_multiple_of(2) { 2_000 } else { 1 }));
    let mut groups = critique(&bomb, &Sums, &cases, 8, &greedy(), &SEEDS)
        .unwrap()
        .groups;
    let bombs = groups
        .iter()
        .flat_map(RolloutGroup::rollouts)
        .filter(|rollout| rollout.critique.completion.text.len() > 1)
        .count();
    assert!(bombs > 0 && bombs < 16);
    assert_eq!(
        refine(&actor, &Sums, &mut groups, 1, &greedy(), &SEEDS).unwrap(),
        bombs
    );
    assert_eq!(drop_unrefined(&mut groups), bombs);
    let kept: usize = groups.iter().map(|group| group.members.len()).sum();
    assert_eq!(kept, 16 - bombs);
}

#[test]
fn controls_say_what_they_are_named_for() {
    let problems: Vec<_> = (1..=40).map(sum).collect();
    let cases = answered(&actor(), &Sums, &problems);
    let judgments = |control| -> Vec<Judgment> {
        let groups = control_critiques(control, &Sums, &cases, &SEEDS).unwrap();
        let members = groups.iter().flat_map(|group| &group.members);
        members
            .map(|member| member.rollout.critique.judgment)
            .collect()
    };
    let truth: Vec<Judgment> = cases
        .iter()
        .map(|case| match case.response.verdict {
            Verdict::Correct => Judgment::Correct,
            _ => Judgment::Wrong,
        })
        .collect();
    assert_eq!(judgments(Control::AlwaysCorrect), [Judgment::Correct; 40]);
    assert_eq!(judgments(Control::AlwaysWrong), [Judgment::Wrong; 40]);
    assert_eq!(judgments(Control::TrueVerdict), truth);
    assert_eq!(judgments(Control::Perfect), truth);
    assert_eq!(judgments(Control::Empty), [Judgment::Unparsed; 40]);
    let random = judgments(Control::Random);
    let correct = random.iter().filter(|j| **j == Judgment::Correct).count();
    assert!((8..=32).contains(&correct), "{correct}");
    assert_eq!(random, judgments(Control::Random));
}

/// A task that cannot say what a perfect critic would write.
struct Silent;

impl Task for Silent {
    fn problems(&self, _: Split) -> Result<Vec<Problem>, TaskError> {
        Ok(Vec::new())
    }

    fn judge_one(&self, _: &Problem, _: &str) -> Result<Judged, TaskError> {
        Ok(Verdict::Unparsed.into())
    }

    fn gold_response(&self, _: &Problem) -> String {
        String::new()
    }
}

#[test]
fn perfect_critiques_must_come_from_the_task() {
    let cases = answered(&actor(), &Silent, &[sum(1)]);
    let refused = control_critiques(Control::Perfect, &Silent, &cases, &SEEDS).unwrap_err();
    assert!(matches!(&refused, RolloutError::NoOracle { problem } if problem == "sums/1"));
    let possible = |task: &dyn Task| -> Vec<Control> {
        let all = Control::ALL.into_iter();
        all.filter(|control| control.is_possible(task, &[sum(1)]))
            .collect()
    };
    assert_eq!(possible(&Sums), Control::ALL);
    assert_eq!(possible(&Silent).len(), Control::ALL.len() - 1);
    assert!(!possible(&Silent).contains(&Control::Perfect));
}

/// Sums whose scorer takes some batches and is down for all after them.
struct Scorer {
    batches: Mutex<usize>,
    /// Texts of each batch that it was asked for.
    asked: Mutex<Vec<usize>>,
}

impl Scorer {
    fn of(batches: usize) -> Self {
        Self {
            batches: Mutex::new(batches),
            asked: Mutex::default(),
        }
    }
}

impl Task for Scorer {
    fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError> {
        Sums.problems(split)
    }

    fn judge_one(&self, problem: &Problem, text: &str) -> Result<Judged, TaskError> {
        Sums.judge_one(problem, text)
    }

    fn judge(&self, items: &[(&Problem, &str)]) -> Result<Vec<Judged>, TaskError> {
        self.asked.lock().unwrap().push(items.len());
        let mut left = self.batches.lock().unwrap();
        *left = left.checked_sub(1).ok_or_else(|| TaskError::Scorer {
            scorer: "http://scores".into(),
            message: "is down".into(),
        })?;
        Sums.judge(items)
    }

    fn gold_response(&self, problem: &Problem) -> String {
        Sums.gold_response(problem)
    }
}

#[test]
fn a_phase_is_judged_at_once_and_a_scorer_that_is_down_is_an_error() {
    let (actor, problems) = (actor(), [sum(1), sum(2), sum(3)]);
    let said = |error: RolloutError| {
        let cause = error.source().unwrap().to_string();
        format!("{error}: {cause}")
    };
    let never = Scorer::of(0);
    let error = respond(&actor, &never, &problems, 2, &greedy(), &SEEDS).unwrap_err();
    assert_eq!(
        said(error),
        "judging responses failed: scorer `http://scores`: is down"
    );

    let once = Scorer::of(1);
    let cases = answered(&actor, &once, &problems);
    let critiques = critique(&critic(), &once, &cases, 2, &greedy(), &SEEDS).unwrap();
    let mut groups = critiques.groups;
    let error = refine(&actor, &once, &mut groups, 1, &greedy(), &SEEDS).unwrap_err();
    assert_eq!(
        said(error),
        "judging refinements failed: scorer `http://scores`: is down"
    );
    assert_eq!(*once.asked.lock().unwrap(), [3, 6]);
}
