//! Settings of stages of RL: what they do to a toy run, and which are refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use critique_rewards::{Advantage, Aggregation, FlatGroups, KlEstimator, KlIn, Whiten};
use critique_rollout::record::{self, RolloutRecord};
use critique_trainer::{
    Lengths, RlStage, RunConfig, Silent, StageConfig, TrainError, notes_of, replay,
};
use serde_json::{Value, json};

use crate::toy::{
    Notes, RUN, SFT_STEPS, after_sft, config, files, finish, forget_data, go, stop_after, task,
};

/// The stage of RL at this place of the run file.
fn rl(config: &mut RunConfig, index: usize) -> &mut RlStage {
    match &mut config.stages[index] {
        StageConfig::Rl(stage) => stage,
        StageConfig::Sft(_) => panic!("stage {index} is RL"),
    }
}

/// The toy run with nothing but stage `one` after its SFT, which `change` changes.
fn one_stage(out: &Path, change: impl Fn(&mut RlStage)) -> RunConfig {
    let mut config = after_sft(out);
    config.stages.truncate(3);
    let stage = rl(&mut config, 2);
    (stage.eval_as, stage.validate_every) = (None, 0);
    stage.advantage = Advantage::named("rloo").unwrap();
    change(stage);
    config
}

/// The metrics of the steps of RL.
fn metrics(out: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let lines = text.lines().skip(SFT_STEPS);
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn records(out: &Path, stage: &str, step: u64) -> Vec<RolloutRecord> {
    record::read(&record::step_path(out, stage, step)).unwrap()
}

fn weights(out: &Path, stage: &str) -> Vec<u8> {
    std::fs::read(out.join("stages").join(stage).join("model.safetensors")).unwrap()
}

/// The run file of the toy with text put in place of other text.
fn with(changes: &[(&str, &str)]) -> RunConfig {
    let mut text = RUN.replace(", lora = LORA", "");
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    toml::from_str(&text).unwrap()
}

fn refusal(changes: &[(&str, &str)]) -> String {
    with(changes).check().unwrap_err().to_string()
}

const ADVANTAGE: &str = "advantage = { reinforce = { baseline = \"running_mean\" } }";

#[test]
fn an_advantage_sets_its_whole_recipe_unless_overruled() {
    let recipe = |advantage: &str| {
        let mut config = with(&[(ADVANTAGE, advantage)]);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(
            toml::from_str::<RunConfig>(&text).unwrap(),
            config,
            "{text}"
        );
        let stage = rl(&mut config, 2).clone();
        let written = (
            stage.whiten.unwrap(),
            stage.kl_in.unwrap(),
            stage.kl_estimator.unwrap(),
            stage.aggregation.unwrap(),
        );
        let recipe = stage.recipe(&config.rollout);
        let used = (
            recipe.whiten,
            recipe.kl_in,
            recipe.kl_estimator,
            recipe.aggregation,
        );
        assert_eq!(written, used);
        written
    };
    let as_ever = (
        Whiten::Yes,
        KlIn::Reward,
        KlEstimator::K1,
        Aggregation::PerSequenceMean,
    );
    for advantage in ["", "advantage = \"rloo\"", ADVANTAGE] {
        assert_eq!(recipe(advantage), as_ever);
    }
    let grpo = (
        Whiten::No,
        KlIn::Loss,
        KlEstimator::K3,
        Aggregation::PerSequenceMean,
    );
    assert_eq!(recipe("advantage = \"grpo\""), grpo);
    let batch = "advantage = { grpo = { scale = \"batch\" } }";
    assert_eq!(recipe(batch), grpo);
    // The longest critique of the toy has 32 tokens.
    let dr_grpo = (
        Whiten::No,
        KlIn::Loss,
        KlEstimator::K3,
        Aggregation::ConstantLength(32),
    );
    assert_eq!(recipe("advantage = \"dr_grpo\""), dr_grpo);
    let with_baseline = (
        Whiten::Yes,
        KlIn::Loss,
        KlEstimator::K2,
        Aggregation::PerSequenceMean,
    );
    assert_eq!(
        recipe("advantage = \"reinforce_plus_plus_baseline\""),
        with_baseline
    );
    let overruled = "advantage = \"dr_grpo\"\nwhiten = \"std\"\nkl_in = \"reward\"\n\
                     kl_estimator = \"k1\"\naggregation = \"token_mean\"";
    let mine = (
        Whiten::Std,
        KlIn::Reward,
        KlEstimator::K1,
        Aggregation::TokenMean,
    );
    assert_eq!(recipe(overruled), mine);
}

#[test]
fn a_stage_that_was_built_by_hand_means_what_its_text_means() {
    let mut config = with(&[(ADVANTAGE, "advantage = \"dr_grpo\"")]);
    let resolved = rl(&mut config, 2).clone();
    let mut bare = resolved.clone();
    (bare.whiten, bare.kl_in) = (None, None);
    (bare.kl_estimator, bare.aggregation) = (None, None);
    let rollout = &config.rollout;
    assert_eq!(bare.loss_settings(rollout), resolved.loss_settings(rollout));
    assert_eq!(bare.token_credit(rollout), resolved.token_credit(rollout));
    *rl(&mut config, 2) = bare;
    config.resolve();
    assert_eq!(rl(&mut config, 2), &resolved);
}

#[test]
fn settings_that_undo_one_another_are_refused() {
    let stage = |setting: &str| refusal(&[("minibatch = 6", setting)]);
    assert_eq!(
        stage("kl_in = \"loss\""),
        "stage `one`: `kl_estimator` is `k1` with the KL in the loss, where its gradient is 0 in \
         expectation; expected `k2` or `k3`, `kl_in = \"reward\"`, or `kl_importance_weighted = true`"
    );
    let weighted = "kl_in = \"loss\"\nkl_importance_weighted = true\ndual_clip = 3.0";
    let mut weighted = with(&[("minibatch = 6", weighted)]);
    weighted.check().unwrap();
    let rollout = weighted.rollout.clone();
    let loss = rl(&mut weighted, 2).loss_settings(&rollout);
    assert!(loss.kl.unwrap().importance_weighted);
    assert_eq!(loss.dual_clip, Some(3.0));
    assert!(stage("kl_importance_weighted = true").contains("with the KL in the reward"));
    assert!(
        stage("flat_groups = \"drop\"").contains("`reinforce` learns from groups of equal rewards")
    );
    let siblings = |setting: &str| refusal(&[(ADVANTAGE, setting)]);
    assert!(
        siblings("advantage = \"grpo\"\nflat_groups = \"apart\"").contains("without whitening")
    );
    assert!(
        siblings("advantage = \"reinforce_plus_plus\"\nwhiten = false")
            .contains("`reinforce_plus_plus` is whitened by definition")
    );
    let low = with(&[("minibatch = 6", "dual_clip = 1.1")]);
    let refused = go(&low, &mut Silent, &Arc::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "stage `one`: `dual_clip` is 1.1; it must be above 1 + clip_high"
    );
}

#[test]
fn stages_that_others_begin_as_or_refer_to_must_be_there() {
    let two = |setting: &str| refusal(&[("reference = \"critic\"", setting)]);
    assert_eq!(
        two("start = \"actor\""),
        "stage `two`: `start` is `actor`; expected an earlier stage of `critic`"
    );
    assert_eq!(
        two("start = \"two\""),
        "stage `two`: `start` is `two`; expected an earlier stage of `critic`"
    );
    assert!(two("start = \"critic-best\"").contains("stage `critic` keeps no best step"));
    assert!(two("reference = \"critic-best\"").contains("stage `critic` keeps no best step"));
    let late = [
        ("reference = \"critic\"", "start = \"one-best\""),
        ("validate_every = 2", "validate_every = 5"),
    ];
    assert!(refusal(&late).contains("from 1 to its `steps`"));
    with(&[("reference = \"critic\"", "start = \"one-best\"")])
        .check()
        .unwrap();
}

/// The toy run whose second stage begins as the best step of the first and is held to it, and
/// whose third begins as the critic of SFT.
fn branched(out: &Path) -> RunConfig {
    let mut config = after_sft(out);
    let mut third = rl(&mut config, 3).clone();
    let second = rl(&mut config, 3);
    second.start = Some("one-best".into());
    second.reference = "one-best".into();
    third.name = "three".into();
    third.start = Some("critic".into());
    third.eval_as = None;
    (third.lr, third.steps) = (0.0, 1);
    config.stages.push(StageConfig::Rl(third));
    config
}

#[test]
fn a_stage_begins_as_the_best_step_of_an_earlier_one() {
    let whole = tempfile::tempdir().unwrap();
    let mut run = branched(whole.path());
    // Validation as it is finds the first step best; the last differs.
    rl(&mut run, 2).steps = 5;
    finish(&run);
    assert!(weights(whole.path(), "one") != weights(whole.path(), "one-best"));
    // At its first step the policy is the reference, so there is no KL; the third stage has no
    // learning rate and leaves what it began as.
    let steps = metrics(whole.path());
    assert_eq!(steps[5]["stage"], "two");
    assert_eq!(steps[5]["kl_sequence"], 0.0);
    assert!(weights(whole.path(), "three") == weights(whole.path(), "critic"));

    for record in records(whole.path(), "two", 1).iter().step_by(7) {
        let id = record.id.parse().unwrap();
        let made = replay(whole.path(), &run, &*task(&run), &id, &mut Silent).unwrap();
        assert_eq!(&made.record, record);
    }
    let whole = files(whole.path());
    for stop in [4, 5, 6, 8] {
        let dir = tempfile::tempdir().unwrap();
        let mut run = branched(dir.path());
        rl(&mut run, 2).steps = 5;
        stop_after(stop, &run);
        finish(&run);
        assert!(files(dir.path()) == whole, "stopped after {stop}");
    }
}

#[test]
fn a_best_step_that_was_never_kept_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let run = branched(dir.path());
    finish(&run);
    for gone in ["two", "three", "one-best"] {
        std::fs::remove_dir_all(dir.path().join("stages").join(gone)).unwrap();
    }
    let error = go(&run, &mut Silent, &Arc::default()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("stage `two`: `start` is `one-best`, and `"),
        "{error}"
    );
    assert!(error.ends_with("stage `one` may have ended before its first validation"));
}

#[test]
fn a_problem_twice_in_a_step_is_two_problems() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = one_stage(dir.path(), |stage| stage.steps = 2);
    run.task.insert("train".into(), toml::Value::Integer(4));
    forget_data(dir.path());
    finish(&run);
    for step in 0..2 {
        let records = records(dir.path(), "one", step);
        assert_eq!(records.len(), 18);
        let ids: std::collections::BTreeSet<&str> =
            records.iter().map(|record| record.id.as_str()).collect();
        assert_eq!(ids.len(), 18);
        let seeds: std::collections::BTreeSet<&str> = records
            .iter()
            .map(|record| record.seeds.critique.as_str())
            .collect();
        assert_eq!(seeds.len(), 18);
        let again = records.iter().filter(|record| record.id.contains("/1."));
        assert_eq!(again.count(), 6, "two problems stand there again");
        for record in records.iter().step_by(5) {
            let id = record.id.parse().unwrap();
            let made = replay(dir.path(), &run, &*task(&run), &id, &mut Silent).unwrap();
            assert_eq!(made.differences(), []);
        }
    }
    let never = records(dir.path(), "one", 0)[0].id.clone();
    let never = never.replace("/0.0", "/2.0").parse().unwrap();
    let refused = replay(dir.path(), &run, &*task(&run), &never, &mut Silent);
    assert!(refused.is_err());
}

#[test]
fn a_file_of_responses_gives_so_many_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = one_stage(dir.path(), |stage| stage.steps = 2);
    run.rollout.responses = 2;
    let path = dir.path().join("responses.jsonl");
    let problems = task(&run).problems(critique_core::Split::Train).unwrap();
    // What is a right answer to one problem is mostly a wrong one to others.
    let line = |index: usize| {
        let count = if index == 0 { 1 } else { 7 };
        let texts: Vec<Value> = (index..index + count)
            .map(|n| json!({ "text": task(&run).gold_response(&problems[n]) }))
            .collect();
        json!({ "id": problems[index].id, "responses": texts }).to_string() + "\n"
    };
    let lines: String = (0..8).map(line).collect();
    std::fs::write(&path, lines).unwrap();
    run.rollout.responses_file = Some(path);
    let notes = notes_of(&run, &*task(&run)).unwrap();
    assert_eq!(
        notes,
        [
            "stage `one`: `responses_file` has fewer than 2 responses to 1 of 8 problems, which give \
          as many as there are"
        ]
    );
    finish(&run);
    let all: Vec<RolloutRecord> = (0..2)
        .flat_map(|step| records(dir.path(), "one", step))
        .collect();
    // 12 problems, of which one or two have a single response; 3 critiques each.
    assert!(
        (22..=23).any(|responses| all.len() == 3 * responses),
        "{}",
        all.len()
    );
    let samples: std::collections::BTreeSet<&str> =
        all.iter().map(|record| record.response.as_str()).collect();
    assert!(samples.len() > 4, "{samples:?}");
    for record in all.iter().step_by(6) {
        let id = record.id.parse().unwrap();
        let made = replay(dir.path(), &run, &*task(&run), &id, &mut Silent).unwrap();
        assert_eq!(made.differences(), []);
    }
    let elsewhere = tempfile::tempdir().unwrap();
    run.out = elsewhere.path().to_owned();
    run.rollout.balanced = true;
    run.rollout.responses = 1;
    let refused = go(&run, &mut Silent, &Arc::default()).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("`rollout.responses` of at least 2")
    );
}

/// Metrics of the only step of stage `one`, and its weights after and before it.
fn one_step(change: impl Fn(&mut RlStage)) -> (Value, Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let run = one_stage(dir.path(), |stage| {
        stage.steps = 1;
        stage.minibatch = 0;
        stage.inner_epochs = 1;
        change(stage);
    });
    finish(&run);
    let step = metrics(dir.path()).remove(0);
    (
        step,
        weights(dir.path(), "one"),
        weights(dir.path(), "critic"),
    )
}

/// Whether a run comes to its end; a stage without anything to learn from does not.
fn learns(run: &RunConfig) -> bool {
    match go(run, &mut Silent, &Arc::default()) {
        Ok(()) => true,
        Err(TrainError::LearntNothing { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn groups_of_equal_rewards_are_dropped_or_left_out_of_whitening() {
    let dir = tempfile::tempdir().unwrap();
    let run = one_stage(dir.path(), |stage| {
        stage.steps = 1;
        stage.rewards = toml::from_str("").unwrap();
        stage.flat_groups = FlatGroups::Drop;
        stage.kl_coef = 0.0;
    });
    assert!(!learns(&run), "nothing was learnt from");
    let step = metrics(dir.path()).remove(0);
    assert_eq!(step["frac_reward_zero_std"], 1.0);
    assert_eq!(step["grad_norm"], 0.0);
    assert!(step["learning_rate"].as_f64() > Some(0.0));

    // Some groups are flat and some are not: all three differ.
    let runs = [FlatGroups::Keep, FlatGroups::Apart, FlatGroups::Drop].map(|flat_groups| {
        let (step, after, _) = one_step(|stage| stage.flat_groups = flat_groups);
        let share = step["frac_reward_zero_std"].as_f64().unwrap();
        assert!(0.0 < share && share < 1.0, "{share}");
        after
    });
    assert!(runs[0] != runs[1] && runs[1] != runs[2] && runs[0] != runs[2]);
}

#[test]
fn cut_off_critiques_can_be_masked() {
    let run = |mask: bool, longest: usize| {
        let dir = tempfile::tempdir().unwrap();
        let mut run = one_stage(dir.path(), |stage| {
            stage.steps = 1;
            stage.mask_truncated = mask;
            // Without a baseline even critiques that all earn the same are learnt from.
            stage.advantage = toml::from_str::<BTreeMap<String, Advantage>>(
                "a = { reinforce = { baseline = \"none\" } }",
            )
            .unwrap()["a"]
                .clone();
            stage.whiten = Some(Whiten::No);
        });
        run.rollout.critique.max_new_tokens = longest;
        run.rollout.critique.ignore_eos = longest < 32;
        let learnt = learns(&run);
        let step = metrics(dir.path()).remove(0);
        let ratio = step["completions/clipped_ratio"].as_f64().unwrap();
        let same = || weights(dir.path(), "one") == weights(dir.path(), "critic");
        (ratio, step, !learnt || same())
    };
    let (ratio, step, unchanged) = run(true, 2);
    assert_eq!((ratio, unchanged), (1.0, true));
    assert_eq!(step["grad_norm"], 0.0);
    let (_, _, unchanged) = run(false, 2);
    assert!(!unchanged);
    // Whole critiques are learnt from as before.
    let (ratio, masked, unchanged) = run(true, 32);
    assert!(ratio < 1.0 && !unchanged);
    let (_, all, _) = run(false, 32);
    assert_eq!(masked["loss"] == all["loss"], ratio == 0.0);
}

#[test]
fn metrics_tell_classes_and_transitions_and_what_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = after_sft(dir.path());
    run.rollout.refinements = 2;
    rl(&mut run, 3).dual_clip = Some(2.0);
    finish(&run);
    let steps = metrics(dir.path());
    let one = &steps[0];
    assert!(one["responses/clipped_ratio"].is_number());
    assert!(one.get("delta_c2i").is_none() && one.get("refinements/clipped_ratio").is_none());
    for name in [
        "acc_dis_correct",
        "acc_dis_incorrect",
        "delta_c2i",
        "delta_i2c",
    ] {
        assert!(steps[1].get(format!("eval/{name}")).is_some(), "{name}");
    }
    let (two, records) = (&steps[4], records(dir.path(), "two", 0));
    let mut sums = [0.0f64; 4];
    for record in &records {
        let right = |verdict: critique_core::Verdict| f64::from(u8::from(verdict.is_correct()));
        let refined: f64 = record.refinements.iter().map(|r| right(r.verdict)).sum();
        let was = right(record.verdict);
        sums[0] += was * (1.0 - refined / 2.0);
        sums[1] += (1.0 - was) * refined / 2.0;
        sums[2] += was;
        sums[3] += 1.0 - was;
    }
    let n = records.len() as f64;
    let close = |name: &str, value: f64| {
        let got = two[name].as_f64().unwrap();
        assert!((got - value).abs() < 1e-9, "{name}: {got} {value}");
    };
    close("delta_c2i", sums[0] / n);
    close("delta_i2c", sums[1] / n);
    // Of a class that the step does not have there is no share.
    for (name, sum, of) in [
        ("c2i_of_correct", sums[0], sums[2]),
        ("i2c_of_incorrect", sums[1], sums[3]),
    ] {
        if of == 0.0 {
            assert!(two[name].is_null(), "{name}");
        } else {
            close(name, sum / of);
        }
    }
    let said = records
        .iter()
        .filter(|r| r.judgment == critique_core::Judgment::Correct);
    close("said_correct", said.count() as f64 / n);
    for name in [
        "responses/clipped_ratio",
        "refinements/clipped_ratio",
        "clip_ratio/dual_mean",
    ] {
        assert!(two[name].is_number(), "{name}");
    }
}

#[test]
fn the_learning_rate_falls_evenly_however_many_minibatches_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = one_stage(dir.path(), |stage| {
        (stage.steps, stage.minibatch, stage.inner_epochs) = (6, 3, 1);
    });
    (run.rollout.balanced, run.rollout.responses) = (true, 2);
    let path = dir.path().join("responses.jsonl");
    let problems = task(&run).problems(critique_core::Split::Train).unwrap();
    // Every third problem has no wrong response, and is dropped.
    let line = |index: usize| {
        let right = task(&run).gold_response(&problems[index]);
        let other = if index.is_multiple_of(3) { &right } else { "?" };
        json!({ "id": problems[index].id, "responses": [{ "text": right }, { "text": other }] })
            .to_string()
            + "\n"
    };
    let lines: String = (0..20).map(line).collect();
    std::fs::write(&path, lines).unwrap();
    run.rollout.responses_file = Some(path);
    let stage = rl(&mut run, 2).clone();
    finish(&run);
    let steps = metrics(dir.path());
    let counts: std::collections::BTreeSet<u64> = steps
        .iter()
        .map(|step| step["rollouts"].as_f64().unwrap() as u64)
        .collect();
    assert!(counts.len() > 1, "steps differ in minibatches: {counts:?}");
    for (index, step) in steps.iter().enumerate() {
        let rate = step["learning_rate"].as_f64().unwrap() as f32;
        let at = |step: usize| stage.lr * stage.schedule.at(step, stage.steps);
        let near = 1e-6 * stage.lr;
        assert!(
            rate <= at(index) + near && rate > at(index + 1),
            "{index}: {rate}"
        );
    }
}

#[test]
fn evaluations_are_as_long_as_training_unless_told_otherwise() {
    let lengths = |setting: &str| {
        let config = with(&[("max_new_tokens = 32\ntemp", &format!("{setting}\ntemp"))]);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(
            toml::from_str::<RunConfig>(&text).unwrap(),
            config,
            "{text}"
        );
        let Lengths {
            response,
            critique,
            refinement,
        } = config.eval_lengths();
        [response, critique, refinement]
    };
    assert_eq!(lengths(""), [8, 32, 8]);
    assert_eq!(lengths("max_new_tokens = 20"), [20, 20, 20]);
    assert_eq!(lengths("max_new_tokens = { critique = 20 }"), [8, 20, 8]);
    let all = "max_new_tokens = { response = 1, critique = 2, refinement = 3 }";
    assert_eq!(lengths(all), [1, 2, 3]);
    let from = "max_new_tokens = 32\ntemp";
    assert_eq!(
        refusal(&[(from, "max_new_tokens = 0\ntemp")]),
        "`eval.max_new_tokens` is 0; expected at least 1"
    );
    assert_eq!(
        refusal(&[(from, "max_new_tokens = { refinement = 0 }\ntemp")]),
        "`eval.max_new_tokens.refinement` is 0; expected at least 1"
    );

    let dir = tempfile::tempdir().unwrap();
    let mut run = config(dir.path());
    run.stages.truncate(2);
    for stage in &mut run.stages {
        if let StageConfig::Sft(stage) = stage {
            stage.steps = 1;
        }
    }
    run.eval.max_new_tokens =
        toml::from_str::<BTreeMap<String, _>>("a = { critique = 3 }").unwrap()["a"];
    finish(&run);
    // Models that were hardly trained go on until they are cut off.
    let most = |count: fn(&RolloutRecord) -> usize| {
        let records = record::read(&dir.path().join("eval/sft@1.jsonl")).unwrap();
        records.iter().map(count).max().unwrap()
    };
    assert_eq!(most(|r| r.tokens.response), 8);
    assert_eq!(most(|r| r.tokens.critique), 3);
    assert_eq!(most(|r| r.tokens.refinements[0]), 8);
}

#[test]
fn a_stage_that_pays_delta_within_groups_says_that_it_is_refinement() {
    let dir = tempfile::tempdir().unwrap();
    let run = one_stage(dir.path(), |stage| {
        stage.steps = 1;
        stage.rewards = toml::from_str("delta = 1.0").unwrap();
    });
    let mut notes = Notes::default();
    go(&run, &mut notes, &Arc::default()).unwrap();
    assert_eq!(notes.0, notes_of(&run, &*task(&run)).unwrap());
    assert!(
        notes.0[0].starts_with("stage `one`: `rewards.delta` teaches what `rewards.refinement`"),
        "{notes:?}",
        notes = notes.0
    );
    let other = one_stage(dir.path(), |stage| {
        stage.rewards = toml::from_str("delta = 1.0\nmode = \"gated\"").unwrap();
    });
    assert!(notes_of(&other, &*task(&other)).unwrap().is_empty());
}

#[test]
fn a_folder_of_a_build_that_wrote_fewer_keys_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let run = one_stage(dir.path(), |stage| stage.steps = 2);
    stop_after(1, &run);
    let path = dir.path().join("config.resolved.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let new = ["flat_groups", "mask_truncated", "kl_importance_weighted"];
    let old: String = text
        .lines()
        .filter(|line| !new.iter().any(|key| line.starts_with(key)))
        // Nor did it write a sum.
        .filter(|line| !line.starts_with("# sha256"))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(old.len() < text.len());
    std::fs::write(&path, old).unwrap();
    finish(&run);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
