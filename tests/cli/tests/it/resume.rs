//! A run that is stopped and goes on ends with the bits of one that was never stopped.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{command, command_in, finished, run_in, wait};

pub(crate) const RUN: &str = r#"seed = 11
out = "unbroken"
task = { name = "arithmetic", operations = 2, train = 60, validation = 20, test = 20 }

[models]
base = { new = { d_model = 32, layers = 1, heads = 2, d_ff = 64, context = 128 } }
actor = { from = "base" }
critic = { from = "base" }

[rollout]
problems = 6
group_size = 3
response = { temperature = 0.7, max_new_tokens = 16 }
critique = { temperature = 1.0, max_new_tokens = 24 }
refinement = { temperature = 0.0, max_new_tokens = 16 }

[eval]
max_new_tokens = 24

[save]
every = 7

[[stages]]
kind = "sft"
name = "solutions"
model = "base"
steps = 40
data = [{ kind = "solutions", rows = 8 }]
lr = 2e-3

[[stages]]
kind = "sft"
name = "critiques"
model = "critic"
steps = 40
data = [{ kind = "clean_critiques", rows = 8 }]
lr = 2e-3
eval_as = "sft"

[[stages]]
kind = "rl"
name = "stage1"
steps = 40
rewards = { discriminability = 1.0 }
advantage = { reinforce = { baseline = "running_mean" } }
kl_coef = 0.01
lr = 1e-4
minibatch = 6
eval_as = "stage1"
"#;

/// Lines of metrics, once the run has written this many.
fn wait_for_metrics(path: &Path, lines: usize) {
    let begin = Instant::now();
    while std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .count()
        < lines
    {
        assert!(
            begin.elapsed() < Duration::from_mins(2),
            "no {lines} steps within two minutes"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What must be equal, by its path below the run folder.
pub(crate) fn results(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().display().to_string();
            // The run file names its own folder; metrics hold seconds.
            let own = ["config.resolved.toml", "started.json", "metrics.jsonl"];
            if !own.contains(&name.as_str()) {
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Metrics without what the clock says.
fn metrics(root: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(root.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        value
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !key.starts_with("time") && !key.starts_with("memory"));
        value
    };
    text.lines().map(line).collect()
}

#[test]
fn stopped_and_resumed_equals_unbroken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("run.toml"), RUN).unwrap();
    run_in(folder, &["train", "run.toml"]).ok();

    // Stopped in the first stage, in the second, and among rollouts.
    for steps in [10, 55, 90] {
        let child = command(&["train", "run.toml", "out=broken"])
            .current_dir(folder)
            .spawn()
            .unwrap();
        wait_for_metrics(&folder.join("broken/metrics.jsonl"), steps);
        let sent = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        let stderr = wait(child).fails(130);
        assert!(stderr.contains("--resume auto"), "{stderr}");
    }
    run_in(
        folder,
        &["train", "run.toml", "out=broken", "--resume", "auto"],
    )
    .ok();

    let (unbroken, broken) = (
        results(&folder.join("unbroken")),
        results(&folder.join("broken")),
    );
    assert_eq!(
        unbroken.keys().collect::<Vec<_>>(),
        broken.keys().collect::<Vec<_>>()
    );
    assert!(unbroken.contains_key("stages/stage1/model.safetensors"));
    assert!(unbroken.contains_key("eval/summary.json"));
    assert!(
        unbroken
            .keys()
            .any(|name| name.starts_with("rollouts/stage-stage1/"))
    );
    for (name, bytes) in &unbroken {
        assert!(*bytes == broken[name], "{name} differs");
    }
    assert_eq!(
        metrics(&folder.join("unbroken")),
        metrics(&folder.join("broken"))
    );

    // Done is done, and a run that is there is not written over.
    run_in(folder, &["train", "run.toml", "out=broken"]).ok();
    let stderr = run_in(
        folder,
        &["train", "run.toml", "out=broken", "--resume", "never"],
    )
    .fails(2);
    assert!(stderr.contains("holds a run already"), "{stderr}");
    let stderr = run_in(folder, &["train", "run.toml", "out=broken", "seed=12"]).fails(2);
    assert!(
        stderr.contains("`seed` is `12`, but `11` in the run that `broken` holds"),
        "{stderr}"
    );
}

#[test]
fn a_folder_that_vanishes_is_an_error_and_goes_on_once_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // A checkpoint a step, so that there is always something to be written.
    std::fs::write(
        folder.join("run.toml"),
        RUN.replace("every = 7", "every = 1"),
    )
    .unwrap();
    run_in(folder, &["train", "run.toml"]).ok();
    let child = command(&["train", "run.toml", "out=broken"])
        .current_dir(folder)
        .spawn()
        .unwrap();
    let (out, away) = (folder.join("broken"), folder.join("away"));
    wait_for_metrics(&out.join("metrics.jsonl"), 20);
    std::fs::rename(&out, &away).unwrap();
    let stderr = wait(child).fails(1);
    let told = stderr.contains("cannot write `broken/") || stderr.contains("was moved or removed");
    assert!(told, "{stderr}");
    // What was in the making may be left, and is no run.
    for name in ["metrics.jsonl", "config.resolved.toml", "stages"] {
        assert!(
            !out.join(name).exists(),
            "{name} is begun anew in its place"
        );
    }
    let _ = std::fs::remove_dir_all(&out);
    std::fs::rename(&away, &out).unwrap();
    run_in(folder, &["train", "run.toml", "out=broken"]).ok();
    assert!(results(&folder.join("unbroken")) == results(&out));
    assert_eq!(metrics(&folder.join("unbroken")), metrics(&out));
}

/// SIGKILL at moments that nobody chose, over and over, in runs that save after every step and
/// evaluate often: each ends with the bits of a run that was left alone. `CRITIQUE_RL_KILLS` asks
/// for more kills than 100.
#[test]
fn killed_over_and_over_equals_unbroken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = RUN
        .replace("steps = 40", "steps = 5")
        .replace("every = 7", "every = 1\nkeep = 2")
        .replace(
            "[eval]",
            "[eval]\ncontrols = true\ntemperatures = [0.0, 1.0]",
        )
        .replace("minibatch = 6", "minibatch = 6\nvalidate_every = 2");
    std::fs::write(folder.join("run.toml"), text).unwrap();
    let train = |out: &str| command_in(folder, &["train", "run.toml", &format!("out={out}")]);
    // The first command of all builds the binary, which is no part of a run.
    finished(train("first")).ok();
    let begin = Instant::now();
    finished(train("unbroken")).ok();
    let alone = begin.elapsed();
    let all = |out: &str| (results(&folder.join(out)), metrics(&folder.join(out)));
    let unbroken = all("unbroken");
    let wanted = std::env::var("CRITIQUE_RL_KILLS").map_or(100, |n| n.parse().unwrap());
    let mut state = 1u64;
    let (mut kills, mut runs) = (0, 0);
    while kills < wanted {
        let out = format!("broken-{runs}");
        // A run is killed some times; then it may end, so that the test does on any machine.
        for _ in 0..4 {
            let mut child = train(&out).spawn().unwrap();
            // Knuth's generator, for moments all over a run.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let share = (state >> 40) as f32 / (1u64 << 24) as f32;
            std::thread::sleep(alone.mul_f32(share));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
        finished(train(&out)).ok();
        let found = all(&out);
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found.0), names(&unbroken.0), "{out}");
        assert!(found == unbroken, "{out} differs");
        std::fs::remove_dir_all(folder.join(&out)).unwrap();
        runs += 1;
    }
    println!("{kills} kills in {runs} runs");
}

#[test]
fn threads_change_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let short = RUN.replace("steps = 40", "steps = 5");
    std::fs::write(folder.join("run.toml"), short).unwrap();
    run_in(folder, &["train", "run.toml", "out=one", "threads=1"]).ok();
    run_in(folder, &["train", "run.toml", "out=three", "threads=3"]).ok();
    assert!(results(&folder.join("one")) == results(&folder.join("three")));
}
