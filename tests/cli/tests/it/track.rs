//! Runs that are told to trackers, and news as JSON lines.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::resume::RUN;
use crate::support::{run_file, run_in};

const SHORT: [&str; 3] = [
    "stages.solutions.steps=4",
    "stages.critiques.steps=4",
    "stages.stage1.steps=2",
];

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "run.toml"];
    args.extend(SHORT);
    args.extend(more);
    args
}

/// The bytes of the run's one event file.
fn events(run: &Path) -> Vec<u8> {
    let names = fs::read_dir(run).unwrap().map(|it| it.unwrap().path());
    let mut found = names.filter(|it| it.to_string_lossy().contains("events.out.tfevents."));
    let path = found.next().expect("an event file");
    assert!(found.next().is_none(), "more than one event file");
    fs::read(path).unwrap()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|it| it == text.as_bytes())
}

#[test]
fn a_run_tells_tensorboard_and_every_line_of_news_is_json() {
    let (folder, _) = run_file(RUN);
    let args = train(&["track.tensorboard=true", "--log", "json", "--json"]);
    let ran = run_in(folder.path(), &args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let news: Vec<Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let count = |event: &str| news.iter().filter(|it| it["event"] == event).count();
    assert_eq!((count("step"), count("stage_end")), (10, 3));
    assert!(count("eval_end") > 0);

    let run = folder.path().join("unbroken");
    let told = events(&run);
    for name in [
        "train/reward",
        "eval/acc_refined",
        "rollouts/stage1",
        "stages.stage1.lr",
    ] {
        assert!(holds(&told, name), "no `{name}`");
    }
    // The whole run told afterwards, in a file that takes the place of the first.
    let said = run_in(folder.path(), &["track", "unbroken", "--tensorboard"]).ok();
    assert_eq!(said.trim_end(), "tensorboard --logdir unbroken");
    assert!(holds(&events(&run), "train/reward"));
}

#[test]
fn a_tracker_that_is_down_costs_the_run_nothing() {
    let (folder, _) = run_file(RUN);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("track.mlflow=http://{}", gone.local_addr().unwrap());
    drop(gone);
    let ran = run_in(folder.path(), &train(&[&address]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told = ran.stderr.matches("the run goes on without it").count();
    assert_eq!(told, 1, "{}", ran.stderr);
    assert!(folder.path().join("unbroken/eval/summary.json").is_file());
    // Trackers are no settings that a run must go on with.
    run_in(folder.path(), &train(&[])).ok();
}

#[test]
fn an_address_that_cannot_be_one_is_refused_before_anything_is_made() {
    let (folder, _) = run_file(RUN);
    for (address, part) in [
        (
            "track.mlflow=localhost:5000",
            "expected one that begins with http://",
        ),
        (
            "track.mlflow=http://me:hunter2@host",
            "MLFLOW_TRACKING_PASSWORD",
        ),
    ] {
        let stderr = run_in(folder.path(), &train(&[address])).fails(2);
        assert!(stderr.contains(part), "{stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
    assert!(!folder.path().join("unbroken").exists());
}

#[test]
fn one_tracker_that_cannot_begin_does_not_stop_the_other() {
    let (folder, _) = run_file(RUN);
    let run = folder.path().join("unbroken");
    run_in(folder.path(), &train(&[])).ok();
    fs::write(run.join("mlflow.json"), "{").unwrap();
    let both = [
        "track",
        "unbroken",
        "--tensorboard",
        "--mlflow",
        "http://127.0.0.1:9",
    ];
    let ran = run_in(folder.path(), &both);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("mlflow.json"), "{}", ran.stderr);
    assert!(holds(&events(&run), "train/reward"));
}

#[test]
fn event_files_of_a_run_that_writes_its_own_are_left_alone() {
    let (folder, _) = run_file(RUN);
    let run = folder.path().join("unbroken");
    run_in(folder.path(), &train(&["track.tensorboard=true"])).ok();
    let told = events(&run);
    // As a process that trains holds it.
    fs::write(run.join(".lock"), "4711").unwrap();
    let lock = fs::File::open(run.join(".lock")).unwrap();
    lock.lock().unwrap();
    let stderr = run_in(folder.path(), &["track", "unbroken", "--tensorboard"]).fails(2);
    assert!(stderr.contains("writes its own event files"), "{stderr}");
    assert_eq!(events(&run), told);
    lock.unlock().unwrap();
    run_in(folder.path(), &["track", "unbroken", "--tensorboard"]).ok();
}
