//! A run folder, line by line.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use critique_run::RunDir;

const CONFIG: &str = r#"
seed = 3
out = "elsewhere"
task = { name = "arithmetic" }
models.critic.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }

[[stages]]
kind = "sft"
name = "teacher"
model = "critic"
steps = 10
data = [{ kind = "solutions", rows = 4 }]
lr = 1e-3
eval_as = "sft"
"#;

const ROLLOUT: &str = r#"{"version":1,"id":"teacher/1/p/0.0","stage":"teacher","step":1,"problem":"p","question":"28-8","gold":"20","response":"20","verdict":"correct","score":1.0,"critique":"```\nit is <b>right</b>","judgment":"correct","judged_rightly":true,"refinements":[],"reward":1.0,"rewards":{"discriminability":1.0},"advantage":0.5,"tokens":{"response":1,"critique_prompt":2,"critique":3,"refinements":[]},"truncated":false,"seeds":{"response":"a53c94546b64cc3a","critique":"ffb141cc64a75b69","refinements":[]}}"#;

/// A run of no steps yet.
pub(crate) fn run(root: &Path) -> RunDir {
    fs::write(root.join("config.resolved.toml"), CONFIG).unwrap();
    RunDir::existing(root).unwrap()
}

/// Adds text to the metrics.
pub(crate) fn add(root: &Path, text: &str) {
    let path = root.join("metrics.jsonl");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The metrics of a step: a loss of half the step.
pub(crate) fn step(number: usize) -> String {
    let loss = number as f64 / 2.0;
    format!(
        "{{\"step\":{number},\"stage\":\"teacher\",\"stage_step\":{number},\"loss\":{loss},\"nothing\":null,\"time/step\":0.1}}\n"
    )
}

/// Writes down two rollouts of the first step.
pub(crate) fn record(root: &Path) {
    let folder = root.join("rollouts/stage-teacher");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("step-000000.jsonl"),
        format!("{ROLLOUT}\n{ROLLOUT}\n"),
    )
    .unwrap();
}

/// Writes the evaluation of the stage.
pub(crate) fn evaluate(root: &Path) {
    fs::create_dir_all(root.join("eval")).unwrap();
    let row = critique_eval::Row {
        stage: "sft".into(),
        n: 8,
        acc_refined: Some(0.5),
        ..critique_eval::Row::default()
    };
    let control = critique_eval::Row {
        stage: "perfect@0.7".into(),
        acc_refined: Some(0.75),
        ..row.clone()
    };
    let summary = critique_eval::Summary::new(vec![row, control]);
    summary.write(&root.join("eval/summary.json")).unwrap();
}
