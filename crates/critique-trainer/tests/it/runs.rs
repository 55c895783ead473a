//! What runs leave, and that a stop in the middle changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use critique_eval::Summary;
use critique_tasks::Task;
use critique_trainer::{Gate, Measure, Resume, RunConfig, Silent, StageConfig, TrainError, run};

use crate::judging::Judging;
use crate::toy::{Notes, RUN, SFT_STEPS, after_sft, config, files, finish, go, stop_after, task};

#[test]
fn a_run_leaves_what_the_docs_say() {
    let dir = tempfile::tempdir().unwrap();
    finish(&after_sft(dir.path()));
    let summary = Summary::read(&dir.path().join("eval/summary.json")).unwrap();
    let rows: Vec<&str> = summary.rows.iter().map(|r| r.stage.as_str()).collect();
    let wanted = ["no_critic", "sft", "stage1", "stage1-best", "stage2"];
    assert_eq!(
        rows,
        wanted
            .iter()
            .flat_map(|n| [(*n).to_owned(), format!("{n}@1")])
            .collect::<Vec<_>>()
    );
    let files = files(dir.path());
    for name in [
        "stages/two/model.safetensors",
        "stages/two/tokenizer.json",
        "rollouts/stage-one/step-000003.jsonl",
        "eval/stage2.jsonl",
    ] {
        assert!(
            files.contains_key(name),
            "{name} is not among {:?}",
            files.keys()
        );
    }
    assert!(
        !files.keys().any(|name| name.contains("checkpoint")),
        "checkpoints of finished stages are gone"
    );
    let metrics = String::from_utf8(files["metrics.jsonl"].clone()).unwrap();
    assert_eq!(metrics.lines().count(), SFT_STEPS + 7);
    let last: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert_eq!(
        (last["step"].as_u64(), last["stage"].as_str()),
        (Some(SFT_STEPS as u64 + 7), Some("two"))
    );
    for name in [
        "reward",
        "reward_std",
        "frac_reward_zero_std",
        "kl",
        "acc_refined",
        "rewards/refinement/mean",
    ] {
        assert!(last[name].is_number(), "{name} is missing");
    }
    let learnt = metrics.lines().filter(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["reward_std"].as_f64() > Some(0.0) && line["grad_norm"].as_f64() > Some(0.01)
    });
    assert!(
        learnt.count() > 4,
        "the toy is such that critics are told apart"
    );
    assert_eq!(
        last["logprob_diff_max"], 0.0,
        "sampled log-probs are those of training, bit for bit"
    );
}

/// Every file of the second run must be as in the first.
fn assert_same(whole: &BTreeMap<String, Vec<u8>>, resumed: &BTreeMap<String, Vec<u8>>, how: &str) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(resumed), names(whole), "{how}");
    for (name, bytes) in whole {
        assert!(resumed[name] == *bytes, "{name} differs: {how}");
    }
}

/// The toy run with little SFT.
fn short(out: &Path) -> RunConfig {
    let mut config = config(out);
    config.stages.truncate(2);
    for stage in &mut config.stages {
        if let StageConfig::Sft(stage) = stage {
            stage.steps = 3;
        }
    }
    config
}

/// Stops a run after each of so many steps, and lets it go on.
fn stopped_anywhere_equals_unbroken(start: fn(&Path) -> RunConfig, steps: usize) {
    let whole = tempfile::tempdir().unwrap();
    finish(&start(whole.path()));
    let whole = files(whole.path());
    for step in 1..=steps {
        let dir = tempfile::tempdir().unwrap();
        let config = start(dir.path());
        stop_after(step, &config);
        finish(&config);
        assert_same(&whole, &files(dir.path()), &format!("stopped after {step}"));
    }
}

#[test]
fn sft_that_is_stopped_anywhere_and_resumed_equals_unbroken() {
    stopped_anywhere_equals_unbroken(short, 6);
}

#[test]
fn rl_that_is_stopped_anywhere_and_resumed_equals_unbroken() {
    stopped_anywhere_equals_unbroken(after_sft, 7);
}

#[test]
fn an_actor_that_comes_from_the_critic_stays_as_it_was_through_a_stop() {
    an_actor_from_the_critic(0, [5, 8]);
    // Where the critic was measured with it, it is that from before the critic's stage.
    an_actor_from_the_critic(3, [4, 6]);
}

fn an_actor_from_the_critic(gates_every: usize, stops: [usize; 2]) {
    let runs = [None, Some(stops[0]), Some(stops[1])].map(|stop| {
        let dir = tempfile::tempdir().unwrap();
        let mut config = short(dir.path());
        config.stages.drain(..1);
        config
            .stages
            .extend(self::config(dir.path()).stages.drain(2..));
        let actor = config.models.remove("actor").unwrap();
        config.models.insert("critic".into(), actor);
        config
            .models
            .insert("actor".into(), toml::from_str("from = \"critic\"").unwrap());
        for stage in &mut config.stages {
            if let StageConfig::Sft(stage) = stage {
                stage.eval_as = None;
                stage.gates_every = gates_every;
                if gates_every > 0 {
                    let gate = "measure = \"accuracy\"\nat_least = 0.0";
                    stage.gates = vec![toml::from_str(gate).unwrap()];
                }
            }
        }
        if let Some(steps) = stop {
            stop_after(steps, &config);
        }
        finish(&config);
        files(dir.path())
    });
    for (name, bytes) in &runs[0] {
        assert!(
            runs[1..].iter().all(|run| run[name] == *bytes),
            "{name} differs"
        );
    }
}

#[test]
fn threads_change_nothing() {
    let runs = [1, 3].map(|threads| {
        let dir = tempfile::tempdir().unwrap();
        finish(&RunConfig {
            threads,
            ..config(dir.path())
        });
        files(dir.path())
    });
    assert!(runs[0] == runs[1]);
}

#[test]
fn an_adapter_is_trained_saved_and_resumed() {
    let f32 = adapter_runs("");
    let bf16 = adapter_runs("dtype = \"bf16\"");
    let adapter = "stages/one/adapter_model.safetensors";
    assert!(f32[adapter] != bf16[adapter]);
    let metrics = String::from_utf8(bf16["metrics.jsonl"].clone()).unwrap();
    let exact = metrics
        .lines()
        .all(|line| line.contains("\"logprob_diff_max\":0.0"));
    assert!(exact, "{metrics}");
}

/// The files of a run that trains an adapter, unbroken, which are those of one that was resumed.
fn adapter_runs(dtype: &str) -> std::collections::BTreeMap<String, Vec<u8>> {
    let base = tempfile::tempdir().unwrap();
    let mut first = after_sft(base.path());
    first.stages.truncate(2);
    finish(&first);
    let [unbroken, resumed] = [None, Some(2)].map(|stop| {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.stages.drain(..2);
        config.stages.truncate(1);
        for (name, lora) in [("actor", ""), ("critic", "lora = { r = 2, alpha = 4.0 }")] {
            let model = base.path().join("stages").join(name).display().to_string();
            let source = format!("path = {model:?}\n{dtype}\n{lora}");
            config
                .models
                .insert(name.into(), toml::from_str(&source).unwrap());
        }
        if let Some(steps) = stop {
            stop_after(steps, &config);
        }
        finish(&config);
        files(dir.path())
    });
    assert!(unbroken.contains_key("stages/one/adapter_model.safetensors"));
    assert!(!unbroken.contains_key("stages/one/model.safetensors"));
    for (name, bytes) in &unbroken {
        assert!(resumed[name] == *bytes, "{name} differs");
    }
    unbroken
}

#[test]
fn evaluations_ask_the_actor_anew_once_it_was_trained() {
    let runs = [None, Some(2)].map(|stop| {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        let StageConfig::Sft(mut again) = config.stages[0].clone() else {
            panic!("the first stage is SFT")
        };
        (again.name, again.steps) = ("again".into(), 5);
        config.stages.truncate(3);
        config.stages.insert(2, StageConfig::Sft(again));
        if let Some(steps) = stop {
            // In the stage after it, so that what was sampled before is not there any more.
            stop_after(60 + 60 + 5 + steps, &config);
        }
        finish(&config);
        files(dir.path())
    });
    for (name, bytes) in &runs[0] {
        assert!(runs[1][name] == *bytes, "{name} differs");
    }
}

/// A task that writes no perfect critiques, as most that are not made on the fly.
fn without_oracle(config: &RunConfig) -> impl Task {
    Judging::new(task(config), |task, items| task.judge(items))
}

#[test]
fn controls_that_need_no_perfect_critique_run_on_every_task() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = short(dir.path());
    config.eval.controls = true;
    config.eval.temperatures = vec![0.0];
    let task = without_oracle(&config);
    let (mut notes, stop) = (Notes::default(), Arc::new(AtomicBool::new(false)));
    run(&config, &task, &Resume::Auto, &stop, &mut notes).unwrap();
    let summary = Summary::read(&dir.path().join("eval/summary.json")).unwrap();
    let rows: Vec<&str> = summary.rows.iter().map(|r| r.stage.as_str()).collect();
    assert_eq!(
        rows,
        [
            "no_critic",
            "always_correct",
            "always_wrong",
            "random",
            "true_verdict",
            "empty",
            "sft"
        ]
    );
    let wanted = "the task writes no perfect critiques, so there is no row `perfect`";
    assert!(notes.0.iter().any(|note| note == wanted), "{:?}", notes.0);
}

/// A short run whose actor must obey at least this share of verdicts.
fn obedient(out: &Path, at_least: f64) -> RunConfig {
    let mut config = short(out);
    let StageConfig::Sft(stage) = &mut config.stages[0] else {
        panic!("the first stage is SFT")
    };
    stage.gates = vec![Gate {
        measure: Measure::Obedience,
        model: None,
        at_least,
        problems: 20,
    }];
    config
}

#[test]
fn an_actor_that_does_not_obey_verdicts_stops_at_its_gate() {
    let dir = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    go(&obedient(&dir.path().join("any"), 0.0), &mut Silent, &stop).unwrap();
    // After three steps it can neither repeat a response nor follow help.
    let all = obedient(&dir.path().join("all"), 1.0);
    let error = go(&all, &mut Silent, &stop).unwrap_err();
    assert!(
        matches!(&error, TrainError::Gate { measure, .. } if measure == "obedience"),
        "{error}"
    );
}

#[test]
fn a_gate_that_the_task_cannot_measure_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = obedient(dir.path(), 0.5);
    for (measure, message) in [
        (
            Measure::Obedience,
            "`obedience`, which needs critiques whose steps contradict their verdict, and the task \
             writes none",
        ),
        (
            Measure::Stubbornness,
            "`stubbornness`, which needs critiques of problems that no help mends, and the task \
             writes none",
        ),
    ] {
        let StageConfig::Sft(stage) = &mut config.stages[0] else {
            panic!("the first stage is SFT")
        };
        stage.gates[0].measure = measure;
        let task = without_oracle(&config);
        let stop = Arc::new(AtomicBool::new(false));
        let error = run(&config, &task, &Resume::Auto, &stop, &mut Silent).unwrap_err();
        let wanted = format!("stage `actor`: a gate measures {message}");
        assert_eq!(error.to_string(), wanted);
    }
}

#[test]
fn impossible_run_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let good = RUN
        .replace("OUT", &dir.path().display().to_string())
        .replace(", lora = LORA", "");
    let error = |from: &str, to: &str| {
        assert!(good.contains(from));
        let config: RunConfig = toml::from_str(&good.replacen(from, to, 1)).unwrap();
        go(&config, &mut Silent, &Arc::default())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("name = \"two\"", "name = \"one\""),
        "stage `one`: two stages have this name"
    );
    assert_eq!(
        error("reference = \"critic\"", "reference = \"actor\""),
        "stage `two`: `reference` is `actor`; expected `start`, `none`, or an earlier stage of `critic`"
    );
    assert_eq!(
        error("actor = { new", "actor = { dtype = \"bf16\", new"),
        "`models.actor.dtype` is `bf16` without `path`; expected it at the model that has the `path`"
    );
    let trained = "critic = { path = \"models/small\", dtype = \"bf16\" }";
    assert_eq!(
        error("critic = { from = \"actor\" }", trained),
        "`models.critic` has weights in bf16, and stage `critic` trains them; expected `f32`, or `lora`"
    );
    assert_eq!(
        error("from = \"actor\"", "from = \"critc\""),
        "`models.critic` comes from `critc`, which is no model of this run; models: actor, critic"
    );
    assert_eq!(
        error("steps = 4", "steps = 0"),
        "stage `one`: `steps` is 0; expected at least 1"
    );
    assert_eq!(
        error("kl_coef = 0.05", "kl_coef = -1.0"),
        "stage `two`: `kl_coef` is -1; it must be 0 or more"
    );
    assert_eq!(
        error("d_model = 24", "d_model = 0"),
        "`models.actor.new.d_model` is 0; expected at least 1"
    );
    assert_eq!(
        error("eval_as = \"stage2\"", "eval_as = \"stage1\""),
        "stage `two`: `eval_as` is `stage1`, as of a stage before it"
    );
    assert_eq!(
        error("lr = 1e-3", "lr = 2000.0"),
        "stage `one`: `lr` is 2000; expected 0 or more, at most 1"
    );
    assert_eq!(
        error(
            "critique = { temperature = 1.0",
            "critique = { temperature = 0.0"
        ),
        "stage `two`: `rollout.critique.temperature` is 0, so all critiques of a group are one \
         text and teach `rloo` nothing; expected above 0"
    );
    assert_eq!(
        error("test = 20", "test = 0"),
        "`eval.split` has no problems in this task; expected one that has"
    );
}

#[test]
fn a_model_that_no_prompt_fits_is_named_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.stages.drain(..2);
    config.stages.truncate(1);
    let new = config.models.get_mut("actor").unwrap().new.as_mut();
    new.unwrap().context = 10;
    let error = go(&config, &mut Silent, &Arc::default()).unwrap_err();
    let told = error.to_string();
    let wanted =
        "stage `one`: no critique prompt fits `models.critic`, whose context is 10 tokens: ";
    assert!(told.starts_with(wanted), "{told}");
    assert!(!dir.path().join("metrics.jsonl").exists());
}

#[test]
fn a_folder_of_another_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = short(dir.path());
    config.stages.truncate(1);
    finish(&config);
    config.seed = 4;
    let error = go(&config, &mut Silent, &Arc::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`seed` is `4`, but `3` in the run that"),
        "{error}"
    );
    config.seed = 3;
    config.threads = 2;
    finish(&config);
    let refused = run(
        &config,
        &*task(&config),
        &Resume::Never,
        &Arc::default(),
        &mut Silent,
    );
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("holds a run already")
    );
}

#[test]
fn a_stage_ends_once_its_gates_are_met_resumed_or_not() {
    let early = |out: &Path| {
        let mut config = config(out);
        config.stages.truncate(1);
        let StageConfig::Sft(stage) = &mut config.stages[0] else {
            unreachable!("the first stage is SFT")
        };
        stage.gates = vec![toml::from_str("measure = \"accuracy\"\nat_least = 0.0").unwrap()];
        stage.gates_every = 10;
        config
    };
    let unbroken = tempfile::tempdir().unwrap();
    finish(&early(unbroken.path()));
    let files_of = files(unbroken.path());
    let metrics = String::from_utf8(files_of["metrics.jsonl"].clone()).unwrap();
    assert_eq!(metrics.lines().count(), 10);
    let measured = |line: &str| line.contains("\"gate/accuracy\":");
    assert_eq!(metrics.lines().filter(|line| measured(line)).count(), 1);
    assert!(metrics.lines().last().is_some_and(measured));
    let resumed = tempfile::tempdir().unwrap();
    stop_after(10, &early(resumed.path()));
    finish(&early(resumed.path()));
    assert!(files(resumed.path()) == files_of);

    let mut wrong = early(resumed.path());
    let StageConfig::Sft(stage) = &mut wrong.stages[0] else {
        unreachable!("the first stage is SFT")
    };
    stage.gates[0].model = Some("critic".into());
    assert!(
        wrong
            .check()
            .unwrap_err()
            .to_string()
            .contains("gates_every")
    );
}

/// Stops come wherever they come: while a step samples or learns, in validation, gates and rows of
/// evaluations. Later ones come later, so that the run comes to its end.
#[test]
fn rl_that_is_stopped_at_any_moment_and_resumed_equals_unbroken() {
    let whole = tempfile::tempdir().unwrap();
    finish(&after_sft(whole.path()));
    let dir = tempfile::tempdir().unwrap();
    let mut config = after_sft(dir.path());
    // Nothing is saved but where a run is stopped, and every step is validated.
    config.save.every = 0;
    let steps = || {
        let lines = std::fs::read_to_string(dir.path().join("metrics.jsonl"));
        lines.unwrap().lines().count()
    };
    let (mut stops, mut taken) = (0, 0);
    for round in 1.. {
        let stop = Arc::new(AtomicBool::new(false));
        let alarm = Arc::clone(&stop);
        let wait = std::time::Duration::from_millis(3 * round);
        let clock = std::thread::spawn(move || {
            std::thread::sleep(wait);
            alarm.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let end = go(&config, &mut Silent, &stop);
        clock.join().unwrap();
        match end {
            Ok(()) => break,
            Err(TrainError::Interrupted { saved }) => assert!(saved.is_dir(), "{saved:?}"),
            Err(error) => panic!("{error}"),
        }
        assert!(steps() >= taken, "a step was lost: {} of {taken}", steps());
        (stops, taken) = (stops + 1, steps());
    }
    assert!(stops > 5, "{stops} stops");
    assert_same(&files(whole.path()), &files(dir.path()), "stopped anywhere");
}
