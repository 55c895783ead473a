//! `critique-rl plot`, `watch` and `export completions` on run folders made by hand.

use std::fs;
use std::path::Path;

use crate::support::run_in;

const CONFIG: &str = r#"
seed = 1
out = "run"
task = { name = "arithmetic" }
models.base.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }

[[stages]]
kind = "rl"
name = "stage1"
model = "base"
steps = 3
lr = 1e-4
kl_coef = 0.01
rewards = { discriminability = 1.0 }
"#;

fn run(folder: &Path) {
    let run = folder.join("run");
    fs::create_dir_all(run.join("rollouts/stage-stage1")).unwrap();
    fs::write(run.join("config.resolved.toml"), CONFIG).unwrap();
    let line = |step: usize| {
        format!(
            r#"{{"step":{step},"stage":"stage1","stage_step":{step},"reward":0.{step},"time/step":2.0}}"#
        )
    };
    fs::write(
        run.join("metrics.jsonl"),
        format!("{}\n{}\n", line(1), line(2)),
    )
    .unwrap();
    let rollout = r#"{"version":1,"id":"stage1/1/p/0.0","stage":"stage1","step":1,"problem":"p","question":"Q?","gold":"4","response":"5","verdict":"wrong","score":0.0,"critique":"\u001b[2J\u202eCorrectness","judgment":"wrong","judged_rightly":true,"refinements":[],"reward":1.0,"rewards":{"discriminability":1.0},"advantage":0.5,"tokens":{"response":1,"critique_prompt":1,"critique":1,"refinements":[]},"truncated":false,"seeds":{"response":"0","critique":"0","refinements":[]}}"#;
    fs::write(
        run.join("rollouts/stage-stage1/step-000001.jsonl"),
        format!("{rollout}\n"),
    )
    .unwrap();
}

#[test]
fn a_plot_is_written_and_a_wrong_name_is_told() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let said = run_in(
        folder.path(),
        &["plot", "run", "--metric", "reward", "-o", "r.svg"],
    )
    .ok();
    assert_eq!(said.trim_end(), "r.svg");
    assert!(
        fs::read_to_string(folder.path().join("r.svg"))
            .unwrap()
            .starts_with("<svg ")
    );
    let stderr = run_in(
        folder.path(),
        &["plot", "run", "-m", "rewrad", "-o", "r.svg"],
    )
    .fails(2);
    assert!(
        stderr.contains("no run has the metric `rewrad`"),
        "{stderr}"
    );
    let stderr = run_in(
        folder.path(),
        &["plot", "run", "-m", "reward", "-o", "r.png"],
    )
    .fails(2);
    assert!(
        stderr.contains("this build draws SVG alone; write `r.svg`"),
        "{stderr}"
    );
}

#[test]
fn a_run_is_watched_without_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let said = run_in(folder.path(), &["watch", "run"]).ok();
    assert!(
        said.starts_with("run: stage 1/1 stage1, step 2 of 3, 2.0 s a step"),
        "{said}"
    );
    assert!(said.contains("reward") && said.contains("▁█"), "{said}");
    assert!(
        said.contains("\\u{1b}[2J\\u{202e}Correctness") && !said.contains('\u{1b}'),
        "{said}"
    );
}

#[test]
fn completions_need_recorded_rollouts_and_a_build_that_writes_parquet() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    let args = ["export", "completions", "run", "--out", "out"];
    let stderr = run_in(folder.path(), &args).fails(2);
    assert!(stderr.contains("this build writes no parquet"), "{stderr}");
    fs::remove_dir_all(folder.path().join("run/rollouts")).unwrap();
    let stderr = run_in(folder.path(), &args).fails(1);
    assert!(
        stderr.contains("has recorded no rollouts of training"),
        "{stderr}"
    );
}
