//! Losses and gradients that are not finite.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use critique_core::Rollout;
use critique_rewards::{Reward, RewardPlugin, Whiten};
use critique_rollout::record;
use critique_trainer::{
    RunConfig, RunDir, StageConfig, TrainError, read_state, replay, replay_minibatch,
};

use crate::toy::{Notes, StopAfter, after_sft, config, files, finish, go, task};

/// More than any number for critiques of one problem, or of all.
#[derive(Debug)]
struct Spoil {
    problem: String,
}

impl Reward for Spoil {
    fn score(&self, rollout: &Rollout) -> f32 {
        let of_it = self.problem == "all" || self.problem == rollout.problem.id;
        if of_it {
            return f32::INFINITY;
        }
        0.0
    }
}

critique_rewards::submit! {
    RewardPlugin {
        name: "spoil",
        build: |options| {
            let problem = options.get("problem").and_then(|it| it.as_str());
            let problem = problem.ok_or("`problem` is missing; expected an id")?.to_owned();
            Ok(Box::new(Spoil { problem }))
        },
    }
}

/// The run whose second stage of RL is spoilt by this problem.
fn spoilt(out: &Path, problem: &str) -> RunConfig {
    let mut config = after_sft(out);
    let StageConfig::Rl(stage) = &mut config.stages[3] else {
        panic!("the fourth stage is RL")
    };
    let text = format!(
        "refinement = 1.0\ndiscriminability = 0.2\nothers = {{ spoil = {{ weight = 1.0, problem = \"{problem}\" }} }}"
    );
    stage.rewards = toml::from_str(&text).unwrap();
    stage.minibatch = 6;
    // Whitening would spread it over the step.
    stage.whiten = Some(Whiten::No);
    config
}

fn metrics(out: &Path, stage: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let of_stage = |line: &serde_json::Value| line["stage"] == stage;
    lines.filter(of_stage).collect()
}

#[test]
fn a_minibatch_of_rollouts_is_skipped_and_kept_and_the_run_goes_on_to_the_same_bits() {
    let clean = tempfile::tempdir().unwrap();
    finish(&after_sft(clean.path()));
    let second = record::read(&record::step_path(clean.path(), "two", 1)).unwrap();
    let problem = second[0].problem.clone();

    let dir = tempfile::tempdir().unwrap();
    let config = spoilt(dir.path(), &problem);
    let mut notes = Notes::default();
    go(&config, &mut notes, &Arc::default()).unwrap();
    let lines = metrics(dir.path(), "two");
    assert_eq!(lines.len(), 3);
    let counts: Vec<_> = lines
        .iter()
        .map(|line| line["not_finite"].as_f64())
        .collect();
    assert_eq!(
        counts,
        [None, Some(1.0), None],
        "one minibatch of the second step"
    );
    assert!(lines[1]["loss"].is_f64() && lines[2]["grad_norm"].is_f64());
    let told = notes
        .0
        .iter()
        .filter(|note| note.contains("changed no weight"))
        .count();
    assert_eq!(told, 1, "{:?}", notes.0);

    let step = lines[1]["step"].as_u64().unwrap() as usize;
    let made = replay_minibatch(dir.path(), &config, &*task(&config), step).unwrap();
    assert!(made.is_the_same(), "{made:?}");
    assert_eq!((made.kept.step, made.kept.stage.as_str()), (2, "two"));
    assert!(!made.norm.is_finite() || !made.loss.is_finite());
    let none = replay_minibatch(dir.path(), &config, &*task(&config), 1).unwrap_err();
    let there = format!("there: not-finite/step-{step}");
    assert!(none.to_string().contains(&there), "{none}");
    let checked = critique_run::audit(&RunDir::existing(dir.path()).unwrap()).unwrap();
    assert_eq!((checked.findings, checked.unknown), (vec![], vec![]));

    // A rollout behind it is made again through it.
    let third = record::read(&record::step_path(dir.path(), "two", 2)).unwrap();
    let id = third[0].id.parse().unwrap();
    let again = replay(dir.path(), &config, &*task(&config), &id, &mut notes).unwrap();
    assert_eq!(again.differences(), []);

    let broken = tempfile::tempdir().unwrap();
    let config = spoilt(broken.path(), &problem);
    while let Err(error) = stopped_after_one(&config) {
        assert!(matches!(error, TrainError::Interrupted { .. }), "{error}");
    }
    let (whole, broken) = (files(dir.path()), files(broken.path()));
    let differ = whole
        .keys()
        .filter(|name| whole.get(*name) != broken.get(*name));
    assert_eq!(differ.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Goes on for one step.
fn stopped_after_one(config: &RunConfig) -> Result<(), TrainError> {
    let stop = Arc::new(AtomicBool::new(false));
    go(
        config,
        &mut StopAfter {
            steps: 1,
            stop: &stop,
        },
        &stop,
    )
}

#[test]
fn steps_in_a_row_end_the_run_with_a_checkpoint_and_are_counted_across_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = spoilt(dir.path(), "all");
    config.not_finite_steps = 2;
    let fail = || match go(&config, &mut Notes::default(), &Arc::default()) {
        Err(TrainError::NotFinite {
            step,
            steps,
            kept,
            checkpoint,
            ..
        }) => {
            assert!(kept.join("minibatch.json").is_file());
            let state = read_state(&checkpoint).unwrap();
            assert_eq!((state.stage_step, state.not_finite_steps), (step, steps));
            (step, steps)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(fail(), (2, 2));
    assert_eq!(fail(), (3, 3), "it goes on, and the next step is no better");
}

#[test]
fn the_newest_ten_are_kept_and_no_number_becomes_0() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = spoilt(dir.path(), "all");
    config.not_finite_steps = 100;
    let StageConfig::Rl(stage) = &mut config.stages[3] else {
        panic!("the fourth stage is RL")
    };
    stage.steps = 12;
    let error = go(&config, &mut Notes::default(), &Arc::default()).unwrap_err();
    assert!(matches!(error, TrainError::LearntNothing { .. }), "{error}");
    let lines = metrics(dir.path(), "two");
    assert_eq!(lines.len(), 12);
    for line in &lines {
        assert!(line["not_finite"].as_f64().unwrap() > 0.0);
        for name in ["loss", "grad_norm", "approx_kl"] {
            assert_eq!(line.get(name), None, "{name}");
        }
    }
    let run = RunDir::existing(dir.path()).unwrap();
    let first = lines[2]["step"].as_u64().unwrap() as usize;
    let newest: Vec<usize> = (first..first + 10).collect();
    assert_eq!(run.not_finite_steps().unwrap(), newest);
}

#[test]
fn a_batch_of_examples_is_kept_and_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.stages.truncate(1);
    config.not_finite_steps = 1;
    let StageConfig::Sft(stage) = &mut config.stages[0] else {
        panic!("the first stage is SFT")
    };
    // Weights of the second step are 1e30 times those before.
    stage.lr = 1.0;
    stage.optimizer.weight_decay = 1e30;
    let error = go(&config, &mut Notes::default(), &Arc::default()).unwrap_err();
    let TrainError::NotFinite {
        step, checkpoint, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*step, 2);
    assert!(checkpoint.join("model.safetensors").is_file());
    let line = &metrics(dir.path(), "actor")[1];
    assert_eq!((&line["not_finite"], line.get("loss")), (&1.into(), None));
    let made = replay_minibatch(dir.path(), &config, &*task(&config), 2).unwrap();
    assert!(made.is_the_same(), "{made:?}");
}
