//! Rollouts made again, alone, from their ids.

use critique_rollout::record;
use critique_trainer::{RunConfig, Silent, StageConfig, replay};

use crate::toy::{after_sft, files, finish, stop_after, task};

/// Makes every fourth rollout of these steps again, and gives where the critics came from.
fn replay_all(config: &RunConfig, stage: &str, steps: std::ops::Range<u64>) -> Vec<(bool, usize)> {
    let mut origins = Vec::new();
    for step in steps {
        let records = record::read(&record::step_path(&config.out, stage, step)).unwrap();
        for wanted in records.iter().step_by(4) {
            assert!(wanted.log_prob_sums.as_ref().unwrap().critique.unwrap() < 0.0);
            let id = wanted.id.parse().unwrap();
            let replay = replay(&config.out, config, &*task(config), &id, &mut Silent).unwrap();
            assert_eq!(replay.recorded.as_ref(), Some(wanted));
            assert_eq!(replay.differences(), [], "{}", wanted.id);
            assert_eq!(&replay.record, wanted);
            let critique = &replay.rollout.critique.completion;
            assert_eq!(critique.tokens.len(), replay.token_texts.critique.len());
            origins.push((replay.checkpoint.is_some(), replay.redone));
        }
    }
    origins
}

#[test]
fn any_rollout_is_made_again_alone_after_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let config = after_sft(dir.path());
    finish(&config);
    let before = files(dir.path());
    let origins = replay_all(&config, "one", 0..4);
    assert_eq!(origins.first(), Some(&(false, 0)));
    assert_eq!(
        origins.last(),
        Some(&(false, 3)),
        "all updates are taken again"
    );
    replay_all(&config, "two", 0..3);
    assert!(files(dir.path()) == before, "a replay leaves no trace");
}

#[test]
fn a_replay_begins_at_the_newest_checkpoint_before_the_step() {
    let dir = tempfile::tempdir().unwrap();
    let config = after_sft(dir.path());
    // Three steps of stage `one` are done; checkpoints lie after its second and its third.
    stop_after(3, &config);
    let unfinished = dir.path().join(".unfinished-checkpoint-124");
    std::fs::create_dir(&unfinished).unwrap();
    let origins = replay_all(&config, "one", 0..3);
    let wanted: Vec<(bool, usize)> = [(false, 0), (false, 1), (true, 0)]
        .into_iter()
        .flat_map(|origin| vec![origin; 5])
        .collect();
    assert_eq!(origins, wanted);
    assert!(unfinished.is_dir(), "the run may be writing it");
}

#[test]
fn a_replay_of_other_weights_differs_from_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = after_sft(dir.path());
    config.stages.truncate(3);
    finish(&config);
    let id = record::read(&record::step_path(dir.path(), "one", 1)).unwrap()[0]
        .id
        .clone();
    let StageConfig::Rl(stage) = &mut config.stages[2] else {
        panic!("the third stage is RL")
    };
    stage.lr *= 10.0;
    let id = id.parse().unwrap();
    let replay = replay(dir.path(), &config, &*task(&config), &id, &mut Silent).unwrap();
    let differences = replay.differences();
    assert!(
        differences
            .iter()
            .any(|d| d.field == "log_prob_sums.critique"),
        "{differences:?}"
    );
    assert!(
        !differences.iter().any(|d| d.field.contains("response")),
        "the actor is the same: {differences:?}"
    );
}

#[test]
fn rollouts_that_no_run_made_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = after_sft(dir.path());
    config.stages.truncate(3);
    config.save.rollouts_every = 2;
    finish(&config);
    let ask = |id: &str| {
        replay(
            dir.path(),
            &config,
            &*task(&config),
            &id.parse().unwrap(),
            &mut Silent,
        )
    };
    let why = |id: &str| ask(id).unwrap_err().to_string();
    let good = record::read(&record::step_path(dir.path(), "one", 0)).unwrap()[0]
        .id
        .clone();
    let problem = good
        .strip_prefix("one/0/")
        .unwrap()
        .strip_suffix("/0.0")
        .unwrap();
    assert!(why(&format!("two/0/{problem}/0.0")).ends_with("it has: one"));
    assert!(why(&format!("actor/0/{problem}/0.0")).ends_with("it has: one"));
    assert!(why(&format!("one/4/{problem}/0.0")).ends_with("steps of the stage go from 0 to 3"));
    assert!(why(&format!("one/0/{problem}/0.3")).contains("3 critiques of each"));
    assert!(why("one/0/no/such/0.0").contains("18 others, such as `one/0/"));
    // A step whose rollouts were not to be recorded has nothing to compare with.
    let replayed = ask(&format!("one/1/{problem}/0.0")).unwrap();
    assert!(replayed.recorded.is_none() && replayed.differences().is_empty());
    std::fs::remove_dir_all(dir.path().join("stages/critic")).unwrap();
    assert!(why(&good).contains("the model that stage `critic` left is needed"));
}
