//! Run folders of our making.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use critique_core::{Judgment, Verdict};
use critique_eval::{Outcome, Row, Summary};
use critique_report::{Options, Report};
use critique_rollout::RolloutRecord;
use critique_rollout::record::{self, RefinementRecord, VERSION};
use serde_json::Value;
use tempfile::TempDir;

/// A run file with a stage of each kind.
pub(crate) fn run_file(seed: u64, lr: &str) -> String {
    format!(
        r#"
seed = {seed}
out = "runs/x"
task = {{ name = "arithmetic", test = 40 }}
models.base.new = {{ d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }}

[[stages]]
kind = "sft"
name = "sft"
model = "base"
steps = 4
lr = 1e-3
data = [{{ kind = "solutions", rows = 4 }}]

[[stages]]
kind = "rl"
name = "stage1"
model = "base"
steps = 6
lr = {lr}
kl_coef = 0.01
rewards = {{ discriminability = 1.0 }}
"#
    )
}

/// A run folder under construction.
pub(crate) struct Folder {
    pub(crate) root: PathBuf,
}

impl Folder {
    /// A run with a run file and metrics of both stages.
    pub(crate) fn new(under: &TempDir, name: &str, seed: u64) -> Self {
        let root = under.path().join(name);
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("config.resolved.toml"), run_file(seed, "1e-4")).unwrap();
        let folder = Self { root };
        folder.metrics(seed as f64 / 100.0);
        folder
    }

    fn metrics(&self, shift: f64) {
        let mut text = String::new();
        for step in 1..=4 {
            let _ = writeln!(
                text,
                r#"{{"step":{step},"stage":"sft","stage_step":{step},"loss":{},"num_tokens":100,"time/step":0.5,"memory/train_mb":20}}"#,
                4.0 / f64::from(step)
            );
        }
        for step in 1..=6 {
            let reward = shift + f64::from(step) / 10.0;
            let _ = writeln!(
                text,
                r#"{{"step":{},"stage":"stage1","stage_step":{step},"reward":{reward},"acc_initial":0.5,"acc_dis_correct":{reward},"acc_dis_incorrect":null,"rollouts":8,"completions/mean_length":10,"time/step":2,"time/rollout":1,"time/train":0.5,"memory/rollout_mb":30,"unparsed/no_line":0.25,"my/own":1.5}}"#,
                step + 4
            );
        }
        fs::write(self.root.join("metrics.jsonl"), text).unwrap();
    }

    /// Rollouts of a step, counted from 0, in `stage1`.
    pub(crate) fn step(&self, step: u64, records: &[RolloutRecord]) {
        record::write_step(&self.root, "stage1", step, records).unwrap();
    }

    /// An evaluation and its rollouts.
    pub(crate) fn evaluation(&self, name: &str, records: &[RolloutRecord]) {
        let path = self.root.join("eval/summary.json");
        let mut summary = Summary::read(&path).unwrap_or_else(|_| Summary::new(Vec::new()));
        let outcomes: Vec<Outcome> = records.iter().map(outcome).collect();
        summary.put(Row::of(name, &outcomes));
        summary.write(&path).unwrap();
        record::write(&self.root.join(format!("eval/{name}.jsonl")), records).unwrap();
    }
}

fn outcome(record: &RolloutRecord) -> Outcome {
    let right = |verdict: Verdict| if verdict.is_correct() { 1.0 } else { 0.0 };
    Outcome {
        problem: record.problem.clone(),
        verdict: record.verdict,
        initial: right(record.verdict),
        judgment: Some(record.judgment),
        refined: record.refinements.first().map(|it| right(it.verdict)),
        ..Outcome::default()
    }
}

/// A rollout about problem `problem`, the critique of this number, of a step of `stage1`.
pub(crate) fn rollout(step: u64, problem: &str, sibling: usize) -> RolloutRecord {
    named(
        &format!("stage1/{step}/{problem}/0.{sibling}"),
        "stage1",
        step,
        problem,
    )
}

/// A rollout of an evaluation.
pub(crate) fn evaluated(problem: &str) -> RolloutRecord {
    named(&format!("eval/0/{problem}/0.0"), "eval", 0, problem)
}

fn named(id: &str, stage: &str, step: u64, problem: &str) -> RolloutRecord {
    RolloutRecord {
        version: VERSION,
        id: id.to_owned(),
        stage: stage.to_owned(),
        step,
        problem: problem.to_owned(),
        question: format!("What is {problem}?"),
        gold: "4".to_owned(),
        response: "It is 5".to_owned(),
        verdict: Verdict::Wrong,
        score: 0.0,
        critique: format!("Critique of {id}\nCorrectness of the final answer: Wrong"),
        judgment: Judgment::Wrong,
        judged_rightly: true,
        refinements: vec![RefinementRecord {
            text: "It is 4".to_owned(),
            verdict: Verdict::Correct,
            score: 1.0,
        }],
        reward: 1.0,
        rewards: vec![("discriminability".to_owned(), 1.0)],
        advantage: 0.25,
        tokens: record::TokenCounts::default(),
        log_prob_sums: None,
        truncated: false,
        critic_version: None,
        seeds: record::SeedRecord::default(),
    }
}

/// The report of these folders, with default options.
pub(crate) fn report(folders: &[&Path]) -> Report {
    report_of(folders, 2_000)
}

/// The report of these folders with at most so many rollouts.
pub(crate) fn report_of(folders: &[&Path], rollouts: usize) -> Report {
    let folders: Vec<PathBuf> = folders.iter().map(|path| path.to_path_buf()).collect();
    Report::of(&folders, &Options { rollouts }).unwrap()
}

/// What the page's script draws from.
pub(crate) fn data(html: &str) -> Value {
    let open = "<script type=\"application/json\" id=\"data\">";
    let start = html.find(open).expect("a page has data") + open.len();
    let length = html[start..].find("</script>").unwrap();
    serde_json::from_str(&html[start..start + length]).unwrap()
}

/// The elements of a JSON list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
