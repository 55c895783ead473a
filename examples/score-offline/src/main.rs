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
use critique_rollout::{attempt, parse_judgment};
use critique_tasks::Task;
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
    let rollouts = std::fs::read_to_string(path)?
        .lines()
        .map(|line| Ok(rollout(&*task, serde_json::from_str(line)?)))
        .collect::<Result<Vec<Rollout>, serde_json::Error>>()?;
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

/// What a reward looks at. Texts from elsewhere have no tokens here.
fn rollout(task: &dyn Task, row: Row) -> Rollout {
    let problem = Problem {
        id: row.question.clone(),
        question: row.question,
        answer: row.answer,
        solution: String::new(),
    };
    let completion = Completion {
        tokens: Vec::new(),
        log_probs: Vec::new(),
        text: row.critique,
        finish_reason: FinishReason::Stop,
    };
    Rollout {
        response: attempt(task, &problem, row.response, None),
        refinements: vec![attempt(task, &problem, row.refinement, None)],
        critique: Critique {
            prompt: Vec::new(),
            judgment: parse_judgment(&completion.text),
            completion,
        },
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_earn_what_the_paper_pays() {
        let task = critique_tasks::build("gsm8k", toml::Table::new()).unwrap();
        let rows = include_str!("../rows.jsonl").lines();
        let rewards = RewardMix {
            refinement: 1.0,
            discriminability: 0.2,
            ..RewardMix::default()
        };
        let rewards = rewards.open().unwrap();
        let row = |line| rollout(&*task, serde_json::from_str(line).unwrap());
        let earned: Vec<f32> = rows.map(|line| rewards.score(&row(line)).total).collect();
        assert_eq!(earned, [1.2, 0.0, 0.0]);
    }
}
