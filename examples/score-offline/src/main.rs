//! Rewards and advantages of texts from elsewhere: no model, no GPU.
//!
//! ```sh
//! cargo run --release -p score-offline -- examples/score-offline/rows.jsonl
//! ```
//!
//! A row holds a question with its gold answer, and what actor and critic wrote. Rows one after
//! the other with the same question and response are a group: critiques that are compared. This
//! is what a trainer of one's own needs of this workspace, be it in TRL, verl or anything else.
#![expect(clippy::print_stdout, reason = "it is what the example shows")]

use std::error::Error;

use critique_core::{Completion, Critique, FinishReason, Problem, Rollout};
use critique_rewards::{BaselineState, Estimator, RewardMix, Rloo};
use critique_rollout::attempts;
use critique_tasks::{CritiqueForm, Task, TaskError};
use serde::Deserialize;
use task_gsm8k as _; // links the task whose verifier judges answers

#[derive(Deserialize)]
struct Row {
    question: String,
    answer: String,
    response: String,
    critique: String,
    refinement: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: score-offline ROWS.jsonl")?;
    let task = critique_tasks::build("gsm8k", toml::Table::new())?;
    let rows = std::fs::read_to_string(path)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Row>, _>>()?;
    let rollouts = rollouts(&*task, rows)?;
    let groups = rollouts.chunk_by(|a, b| {
        (&a.problem.question, &a.response.text) == (&b.problem.question, &b.response.text)
    });
    let stage_two = RewardMix {
        refinement: 1.0,
        discriminability: 0.2,
        ..RewardMix::default()
    };
    let rewards = stage_two.open()?;
    let totals: Vec<Vec<f32>> = groups
        .map(|group| group.iter().map(|r| rewards.score(r).total).collect())
        .collect();
    let advantages = Rloo.of_groups(&totals, &mut BaselineState::default());
    println!("reward advantage  judgment  response -> refinement");
    let numbers = totals
        .iter()
        .flatten()
        .zip(advantages.values.iter().flatten());
    for ((reward, advantage), rollout) in numbers.zip(&rollouts) {
        println!(
            "{reward:6.2} {advantage:9.2}  {:?}  {:?} -> {:?}",
            rollout.critique.judgment, rollout.response.verdict, rollout.refinements[0].verdict
        );
    }
    Ok(())
}

/// What rewards look at; the task judges all responses at once, and all refinements. Texts from
/// elsewhere have no tokens here.
fn rollouts(task: &dyn Task, rows: Vec<Row>) -> Result<Vec<Rollout>, TaskError> {
    let problems: Vec<Problem> = rows.iter().map(problem).collect();
    let texts = |text: fn(&Row) -> &str| {
        let with_problem = |(problem, row)| (problem, text(row).to_owned());
        problems.iter().zip(&rows).map(with_problem).collect()
    };
    let responses = attempts(task, texts(|row| &row.response))?;
    let refinements = attempts(task, texts(|row| &row.refinement))?;
    let attempts = responses.into_iter().zip(refinements);
    let rollout = |((problem, row), (response, refinement)): ((Problem, Row), _)| Rollout {
        problem,
        response,
        critique: critique(row.critique),
        refinements: vec![refinement],
    };
    Ok(problems
        .into_iter()
        .zip(rows)
        .zip(attempts)
        .map(rollout)
        .collect())
}

fn problem(row: &Row) -> Problem {
    Problem::new(&row.question, &row.question, &row.answer)
}

fn critique(text: String) -> Critique {
    Critique {
        prompt: Vec::new(),
        judgment: CritiqueForm::Verdict.judgment(&text),
        completion: Completion {
            tokens: Vec::new(),
            log_probs: Vec::new(),
            text,
            finish_reason: FinishReason::Stop,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_earn_what_the_paper_pays() {
        let task = critique_tasks::build("gsm8k", toml::Table::new()).unwrap();
        let rows = include_str!("../rows.jsonl").lines();
        let rows = rows.map(|line| serde_json::from_str(line).unwrap());
        let rewards = RewardMix {
            refinement: 1.0,
            discriminability: 0.2,
            ..RewardMix::default()
        };
        let rewards = rewards.open().unwrap();
        let rollouts = rollouts(&*task, rows.collect()).unwrap();
        let earned: Vec<f32> = rollouts.iter().map(|r| rewards.score(r).total).collect();
        assert_eq!(earned, [1.2, 0.0, 0.0]);
    }
}
