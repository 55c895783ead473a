//! Both stages from a program, with a reward and an advantage estimator of one's own.
//!
//! ```sh
//! cargo run --release -p toy-two-stage
//! ```
//!
//! A run file in this folder trains a tiny actor and critic for a few steps each: enough to see
//! the parts work together, far too few to learn the method's skills (that is what
//! `critique-rl quickstart` does). Its stage II pays short critiques through [`Brevity`] and learns
//! by [`Rank`], which this crate registers; and the trained critic is evaluated behind a [`Generate`] of its own that
//! counts what it is asked.
#![expect(clippy::print_stdout, reason = "it is what the example shows")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use critique_core::{Completion, Generate, GenerateError, Prompt, Request, Rollout, Split};
use critique_eval::{EvalSettings, Summary, evaluate};
use critique_rewards::{BaselineState, Estimator, EstimatorPlugin, Reward, RewardPlugin};
use critique_trainer::{Event, Observer, Resume, RunConfig, models_after, run};
use task_arithmetic as _; // links the task that the run file names

/// Pays 1 for critiques of at most this many tokens.
struct Brevity {
    tokens: u64,
}

impl Reward for Brevity {
    fn score(&self, rollout: &Rollout) -> f32 {
        let tokens = rollout.critique.completion.tokens.len() as u64;
        f32::from(u8::from(tokens <= self.tokens))
    }
}

critique_rewards::submit! {
    RewardPlugin {
        name: "brevity",
        build: |options| match options.get("tokens").map(|it| (it, it.as_u64())) {
            Some((_, Some(tokens))) => Ok(Box::new(Brevity { tokens })),
            Some((found, None)) => Err(format!("`tokens` is {found}; expected a whole number")),
            None => Err("`tokens` is missing; expected a whole number".into()),
        },
    }
}

/// A rollout's place among its siblings: the share that earn less, minus the share that earn more.
#[derive(Debug)]
struct Rank;

impl Estimator for Rank {
    fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
        let of_group = |group: &Vec<f32>| {
            let sign = |mine: f32, other: f32| {
                f32::from(u8::from(other < mine)) - f32::from(u8::from(other > mine))
            };
            let rank = |mine: &f32| group.iter().map(|other| sign(*mine, *other)).sum::<f32>();
            group
                .iter()
                .map(|mine| rank(mine) / group.len() as f32)
                .collect()
        };
        groups.iter().map(of_group).collect()
    }
}

critique_rewards::submit! {
    EstimatorPlugin {
        name: "rank",
        build: |options| match options.keys().next() {
            None => Ok(Box::new(Rank)),
            Some(key) => Err(format!("`{key}` is no setting; it has none")),
        },
    }
}

/// A model that counts how often it is asked.
struct Counted<'a> {
    model: &'a dyn Generate,
    asked: AtomicUsize,
}

impl Generate for Counted<'_> {
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        self.model.encode(prompt)
    }

    fn generate(&self, requests: &[Request]) -> Result<Vec<Vec<Completion>>, GenerateError> {
        self.asked.fetch_add(requests.len(), Ordering::Relaxed);
        self.model.generate(requests)
    }

    fn context_tokens(&self) -> usize {
        self.model.context_tokens()
    }
}

/// Prints a line for each stage.
struct Stages;

impl Observer for Stages {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::StageEnd { stage, .. } = event {
            println!("{stage} is done");
        }
    }
}

fn train(out: &Path) -> Result<(Summary, usize), Box<dyn Error>> {
    let mut config: RunConfig = toml::from_str(include_str!("../run.toml"))?;
    out.clone_into(&mut config.out);
    let (_, task) = critique_tasks::build_from_table(config.task.clone())?;
    let stop = Arc::default();
    let dir = run(&config, &*task, &Resume::Auto, &stop, &mut Stages)?;

    let mut models = models_after(&dir, &config, &*task, config.stages.len())?;
    let (actor, critic) = models.pair("actor", "critic")?;
    let critic = Counted {
        model: critic,
        asked: AtomicUsize::new(0),
    };
    let problems = task.problems(Split::Test)?;
    let settings = EvalSettings::greedy("stage2", 1, 72);
    let evaluation = evaluate(actor, Some(&critic), &*task, &problems, &settings)?;
    let asked = critic.asked.into_inner();
    Ok((Summary::new(vec![evaluation.row]), asked))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (summary, asked) = train(Path::new("runs/toy-two-stage"))?;
    println!("{}", summary.to_text());
    println!("the critic was asked for {asked} critiques");
    Ok(())
}

#[cfg(test)]
mod tests {
    use critique_rollout::RolloutRecord;

    use super::*;

    #[test]
    fn stage_two_runs_by_a_reward_and_an_estimator_of_this_crate() {
        let folder = std::env::temp_dir().join(format!("toy-two-stage-{}", std::process::id()));
        let (summary, asked) = train(&folder).unwrap();
        assert_eq!(asked, 40, "one critique a problem");
        assert_eq!(summary.rows[0].stage, "stage2");
        let metrics = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        let step = folder.join("rollouts/stage-stage2/step-000001.jsonl");
        let rollouts = critique_rollout::record::read(&step);
        std::fs::remove_dir_all(&folder).unwrap();
        let paid = metrics
            .lines()
            .filter(|line| line.contains("rewards/brevity/mean"));
        assert_eq!(paid.count(), 2, "two steps of stage II");
        // Ranks among four are quarters; nothing else here gives these.
        let quarters = |rollout: &RolloutRecord| (4.0 * rollout.advantage).fract() == 0.0;
        let rollouts = rollouts.unwrap();
        assert!(rollouts.iter().all(quarters));
        assert!(rollouts.iter().any(|rollout| rollout.advantage != 0.0));
    }
}
