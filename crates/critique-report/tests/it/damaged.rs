//! What cannot be read costs itself and is named.

use std::fs;
use std::path::PathBuf;

use critique_report::{Options, Report};

use crate::support::{Folder, data, evaluated, list, report, rollout};

#[test]
fn damaged_files_are_named_and_the_rest_is_shown() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 1);
    folder.step(0, &[rollout(0, "2+2", 0), rollout(0, "2+2", 1)]);
    folder.evaluation("stage1", &[evaluated("1+1")]);
    let in_run = |name: &str| folder.root.join(name);
    let append = |name: &str, more: &str| {
        let text = fs::read_to_string(in_run(name)).unwrap();
        fs::write(in_run(name), text + more).unwrap();
    };
    append("metrics.jsonl", "{\"step\": 11, \"sta");
    append(
        "rollouts/stage-stage1/step-000000.jsonl",
        "{\"version\":1}\n",
    );
    fs::write(
        in_run("eval/summary.json"),
        "{\"version\": 7, \"rows\": []}",
    )
    .unwrap();
    fs::write(in_run("config.resolved.toml"), "seed = 'x'").unwrap();

    let report = report(&[&folder.root]);
    let notes = report.notes().join("\n");
    for named in [
        "metrics.jsonl:11: ",
        "step-000000.jsonl:3: missing field",
        "summary.json: summary of version 7; this build reads version 1",
        "config.resolved.toml: ",
    ] {
        assert!(notes.contains(named), "`{named}` is not in\n{notes}");
    }
    let html = report.to_html();
    assert!(html.contains("What could not be read") && html.contains("metrics.jsonl:11: "));
    let data = data(&html);
    assert_eq!(list(&data["rollouts"]["list"]).len(), 3);
    assert_eq!(list(&data["runs"][0]["curves"]["step"]).len(), 10);
}

#[test]
fn rollouts_of_another_version_are_left_out() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 1);
    let mut other = rollout(0, "2+2", 1);
    other.version = 2;
    folder.step(0, &[rollout(0, "2+2", 0), other]);
    let report = report(&[&folder.root]);
    assert!(report.notes()[0].contains("1 rollouts are of another version than 1"));
    assert_eq!(list(&data(&report.to_html())["rollouts"]["list"]).len(), 1);
}

#[test]
fn a_folder_without_a_run_is_told_and_only_that_is_fatal() {
    let under = tempfile::tempdir().unwrap();
    let folder = Folder::new(&under, "run", 1);
    let nothing = under.path().join("nothing");
    let both = report(&[&folder.root, &nothing]);
    assert!(both.notes()[0].contains("is no run folder"));
    let none = Report::of(&[nothing], &Options::default()).unwrap_err();
    let text = none.to_string();
    assert!(
        text.starts_with("none of the folders holds a run: `"),
        "{text}"
    );
    assert!(text.contains("it has no `config.resolved.toml`"), "{text}");
}

#[test]
fn a_run_that_has_just_begun_has_a_page() {
    let under = tempfile::tempdir().unwrap();
    let root: PathBuf = under.path().join("new");
    fs::create_dir(&root).unwrap();
    fs::write(
        root.join("config.resolved.toml"),
        crate::support::run_file(3, "1e-4"),
    )
    .unwrap();
    let report = report(&[&root]);
    assert!(report.notes().is_empty(), "{:?}", report.notes());
    let html = report.to_html();
    assert!(html.contains("no step done") && html.contains("No evaluation has been made yet."));
}
