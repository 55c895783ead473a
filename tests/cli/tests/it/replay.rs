//! A rollout made again from its id.

use std::path::Path;

use serde_json::Value;

use crate::resume::{RUN, results};
use crate::support::run_in;

/// The first rollout of a step.
fn record(run: &Path, step: usize) -> Value {
    let path = run.join(format!("rollouts/stage-stage1/step-{step:06}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

#[test]
fn a_rollout_is_made_again_and_a_changed_record_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let short = RUN.replace("steps = 40", "steps = 6");
    std::fs::write(folder.join("run.toml"), short).unwrap();
    run_in(folder, &["train", "run.toml", "out=runs/first"]).ok();
    // A run folder may be moved; its run file names the old place.
    let run = folder.join("moved");
    std::fs::rename(folder.join("runs/first"), &run).unwrap();
    let before = results(&run);

    let wanted = record(&run, 5);
    let id = wanted["id"].as_str().unwrap();
    let ran = run_in(folder, &["replay", "moved", id, "--json"]);
    assert!(
        ran.stderr.contains("steps 1 to 5 of stage1"),
        "{}",
        ran.stderr
    );
    let replayed: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!(replayed["record"], wanted);
    assert_eq!(replayed["equal"], true);
    assert_eq!(replayed["redone"], 5);
    let tokens = &replayed["tokens"]["critique"];
    let log_probs: Vec<f64> = serde_json::from_value(tokens["log_probs"].clone()).unwrap();
    assert_eq!(tokens["ids"].as_array().unwrap().len(), log_probs.len());
    let sum: f64 = log_probs.iter().sum();
    assert!((sum - wanted["log_prob_sums"]["critique"].as_f64().unwrap()).abs() < 1e-6);
    assert!(results(&run) == before, "nothing is written");

    let stdout = run_in(
        folder,
        &["replay", "moved", id, "--tokens", "--threads", "1"],
    )
    .ok();
    for part in [id, "5 updates", "critique, ", "equals its record"] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }

    // So is one of an evaluation, which needs its row's name.
    let evaluated = std::fs::read_to_string(run.join("eval/stage1.jsonl")).unwrap();
    let evaluated: Value = serde_json::from_str(evaluated.lines().last().unwrap()).unwrap();
    let of_eval = evaluated["id"].as_str().unwrap();
    let args = ["replay", "moved", of_eval, "--row", "stage1", "--json"];
    let replayed: Value = serde_json::from_str(&run_in(folder, &args).ok()).unwrap();
    assert_eq!(
        (&replayed["record"], &replayed["equal"]),
        (&evaluated, &Value::from(true))
    );
    let stderr = run_in(folder, &args[..3]).fails(2);
    assert!(stderr.contains("expected `--row NAME` too"), "{stderr}");
    let stderr = run_in(folder, &["replay", "moved", of_eval, "--row", "stage2"]).fails(2);
    assert!(stderr.contains("rows: sft, stage1"), "{stderr}");

    // Another last digit of a log-prob is found.
    let path = run.join("rollouts/stage-stage1/step-000005.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let sum = wanted["log_prob_sums"]["critique"].to_string();
    let other = format!(
        "{}{}",
        &sum[..sum.len() - 1],
        (sum.as_bytes()[sum.len() - 1] - b'0' + 5) % 10
    );
    std::fs::write(&path, text.replacen(&sum, &other, 1)).unwrap();
    let stderr = run_in(folder, &["replay", "moved", id]).fails(1);
    assert!(
        stderr.contains("step-000005.jsonl: is not what was written"),
        "{stderr}"
    );
    // So it is where nothing says what was written, as in folders of older versions.
    let metrics = run.join("metrics.jsonl");
    let unknown = std::fs::read_to_string(&metrics)
        .unwrap()
        .replace("rollouts_sha256", "other");
    std::fs::write(&metrics, unknown).unwrap();
    let ran = run_in(folder, &["replay", "moved", id]);
    assert!(
        ran.stdout
            .contains(&format!("log_prob_sums.critique: recorded {other}")),
        "{}",
        ran.stdout
    );
    assert_eq!(
        (ran.code, ran.stderr.lines().last().unwrap()),
        (1, "error: the replay differs from its record in one field")
    );
}

#[test]
fn what_is_no_rollout_of_a_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let stderr = run_in(folder, &["replay", ".", "stage1/0/p/0.0"]).fails(2);
    assert_eq!(
        stderr,
        "error: `.` is no run folder: it has no `config.resolved.toml`\n"
    );
    let stderr = run_in(folder, &["replay", ".", "stage1/0.0"]).fails(2);
    assert!(
        stderr.contains("expected STAGE/STEP/PROBLEM/RESPONSE.CRITIQUE"),
        "{stderr}"
    );
    std::fs::write(folder.join("run.toml"), RUN).unwrap();
    let shown = run_in(folder, &["config", "show", "run.toml"]).ok();
    std::fs::write(folder.join("config.resolved.toml"), shown).unwrap();
    let stderr = run_in(folder, &["replay", ".", "stage1/3/p/0.0"]).fails(2);
    assert!(stderr.contains("the run has not come so far"), "{stderr}");
}
