//! A run whose scorer goes down.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use critique_core::Problem;
use critique_rollout::record;
use critique_run::{RunConfig, RunDir, StageConfig, read_metrics};
use critique_tasks::{Judged, Task, TaskError};
use critique_trainer::{Resume, Silent, TrainError, run};

use crate::judging::Judging;
use crate::toy::{SFT_STEPS, after_sft, config, files, finish, task};

/// A task whose scorer answers so many batches, and is down then.
fn down(config: &RunConfig, batches: usize) -> impl Task {
    let left = AtomicUsize::new(batches);
    Judging::new(task(config), move |task, items| {
        let less = |left: usize| left.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        if left.fetch_update(set, fetch, less).is_err() {
            let message = "the scorer is down".to_owned();
            return Err(TaskError::Data { message });
        }
        task.judge(items)
    })
}

/// A run that judges nothing between a step and its line of metrics.
fn without_validation(out: &Path) -> RunConfig {
    let mut config = config(out);
    for stage in &mut config.stages {
        if let StageConfig::Rl(stage) = stage {
            stage.validate_every = 0;
        }
    }
    config
}

#[test]
fn a_scorer_that_goes_down_costs_no_step_that_was_taken() {
    let whole = tempfile::tempdir().unwrap();
    let broken = tempfile::tempdir().unwrap();
    let [unbroken, config] = [&whole, &broken].map(|dir| without_validation(dir.path()));
    finish(&unbroken);
    let stop = Arc::new(AtomicBool::new(false));
    // A batch more each time, so that it goes down in each step and between them.
    let mut taken = 0;
    for batches in 1..100 {
        let task = down(&config, batches);
        let Err(error) = run(&config, &task, &Resume::Auto, &stop, &mut Silent) else {
            break;
        };
        if !matches!(error, TrainError::Rollout(_)) {
            continue;
        }
        let causes = format!("{error:?}");
        assert!(causes.contains("the scorer is down"), "{causes}");
        let dir = RunDir::existing(broken.path()).unwrap();
        let steps = read_metrics(&dir.metrics()).unwrap().len();
        assert!(steps >= taken, "{steps} steps, {taken} before");
        // A stage that has ended has left its model, and no checkpoint.
        let ended = [SFT_STEPS, SFT_STEPS + 4, SFT_STEPS + 7].contains(&steps);
        let kept = dir.checkpoints().unwrap();
        assert!(
            kept.last() == Some(&steps) || ended && kept.is_empty(),
            "{steps} steps, checkpoints {kept:?}"
        );
        taken = steps;
    }
    assert!(taken > SFT_STEPS, "{taken}");
    let (whole, broken) = (files(whole.path()), files(broken.path()));
    assert_eq!(whole["metrics.jsonl"], broken["metrics.jsonl"]);
    for (name, bytes) in &whole {
        let same = name == "config.resolved.toml" || broken.get(name) == Some(bytes);
        assert!(same, "{name} differs");
    }
}

/// Whether a text has no score: one in seven.
fn is_odd(text: &str) -> bool {
    text.bytes().map(u32::from).sum::<u32>().is_multiple_of(7)
}

#[test]
fn texts_that_cannot_be_scored_are_counted_and_in_no_baseline() {
    let dir = tempfile::tempdir().unwrap();
    let config = after_sft(dir.path());
    let task = Judging::new(task(&config), |task, items| {
        let judge = |(problem, text): &(&Problem, &str)| {
            if is_odd(text) {
                return Ok(Judged::unscored());
            }
            task.judge_one(problem, text)
        };
        items.iter().map(judge).collect()
    });
    let stop = Arc::new(AtomicBool::new(false));
    run(&config, &task, &Resume::Auto, &stop, &mut Silent).unwrap();
    let mut counted = 0.0;
    for step in read_metrics(&dir.path().join("metrics.jsonl")).unwrap() {
        counted += step.get("unscored").unwrap_or(0.0);
        let numbers = ["reward", "loss", "grad_norm", "acc_refined"];
        let odd = |name: &&str| {
            step.numbers
                .get(*name)
                .is_some_and(serde_json::Value::is_null)
        };
        assert_eq!(
            numbers.iter().find(|name| odd(name)),
            None,
            "step {}",
            step.step
        );
    }
    assert!(counted > 0.0, "some texts have no score");
    for stage in ["one", "two"] {
        for step in 0..3 {
            let path = record::step_path(dir.path(), stage, step);
            for rollout in record::read(&path).unwrap() {
                let refinements = rollout.refinements.iter().map(|it| &it.text);
                let texts = refinements.chain([&rollout.response]);
                assert_eq!(texts.filter(|text| is_odd(text)).count(), 0);
                assert!(rollout.reward.is_finite() && rollout.advantage.is_finite());
            }
        }
    }
}
