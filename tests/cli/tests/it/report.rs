//! `critique-rl report` on run folders made by hand.

use std::fs;

use crate::support::run_in;

#[test]
fn a_report_is_written_and_what_it_could_not_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("config.resolved.toml"), "seed = 1\n").unwrap();
    let step = r#"{"step":1,"stage":"stage1","stage_step":1,"reward":0.5}"#;
    fs::write(run.join("metrics.jsonl"), format!("{step}\n{{\"st")).unwrap();

    let said = run_in(folder.path(), &["report", "run", "nothing"]).ok();
    assert_eq!(said.trim_end(), "report.html");
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("\"reward\":[0.5]"));
    for note in ["metrics.jsonl:2: ", "`nothing` is no run folder"] {
        assert!(page.contains(note), "no `{note}` on the page");
    }
}

#[test]
fn a_check_tells_what_is_not_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let rollouts = run.join("rollouts/stage-stage1");
    fs::create_dir_all(&rollouts).unwrap();
    fs::write(rollouts.join("step-000000.jsonl"), "abc").unwrap();
    let config =
        "seed = 1\nout = \"run\"\nstages = []\ntask = { name = \"arithmetic\" }\nmodels = {}\n";
    fs::write(run.join("config.resolved.toml"), config).unwrap();
    let step = |sum: &str| {
        let line =
            format!(r#"{{"step":1,"stage":"stage1","stage_step":1,"rollouts_sha256":"{sum}"}}"#);
        fs::write(run.join("metrics.jsonl"), line).unwrap();
    };
    step("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let said = run_in(folder.path(), &["check", "run"]).ok();
    assert_eq!(
        said.trim_end(),
        "run: 2 files are what was written, 0 are not"
    );
    step("00");
    let json = run_in(folder.path(), &["check", "run", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let file = &json["findings"][0]["file"];
    assert_eq!(file, "rollouts/stage-stage1/step-000000.jsonl");
    let stderr = run_in(folder.path(), &["check", "run"]).fails(1);
    assert!(stderr.contains("not as written: 1"), "{stderr}");
}

#[test]
fn a_report_needs_a_run_and_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let stderr = run_in(dir, &["report", "nothing"]).fails(2);
    let part = "none of the folders holds a run: `nothing` is no run folder";
    assert!(stderr.contains(part), "{stderr}");
    let stderr = run_in(dir, &["report", "nothing", "-o", "."]).fails(2);
    assert!(stderr.contains("`--out .` is a folder"), "{stderr}");
}
