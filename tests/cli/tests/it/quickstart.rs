//! The newcomer's command, end to end.

#[cfg(unix)]
use std::io::{BufRead, BufReader};
#[cfg(unix)]
use std::path::Path;

use serde_json::Value;

#[cfg(unix)]
use crate::support::{finished, shell, wait};
use crate::support::{run, run_in};

#[test]
fn quickstart_trains_evaluates_and_tells() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run_in(
        folder.path(),
        &[
            "quickstart",
            "--quick",
            "--seed",
            "3",
            "--out",
            "a run",
            "--json",
        ],
    );
    let stderr = ran.stderr.clone();
    let stdout = ran.ok();
    let report: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&report["seed"], &report["out"]),
        (&Value::from(3), &Value::from("a run"))
    );
    let rows = report["rows"].as_array().unwrap();
    for stage in ["no_critic", "sft", "stage1", "stage2"] {
        let row = rows.iter().find(|row| row["stage"] == stage).unwrap();
        assert!(row["n"].as_u64().unwrap() > 0);
        let metric = if stage == "no_critic" {
            "acc_initial"
        } else {
            "acc_refined"
        };
        let value = row[metric].as_f64().unwrap();
        let interval = &row["ci95"][metric];
        assert!(interval[0].as_f64().unwrap() <= value && value <= interval[1].as_f64().unwrap());
    }
    assert!(stderr.contains("stage 1/"), "{stderr}");

    let out = folder.path().join("a run");
    for file in [
        "config.resolved.toml",
        "metrics.jsonl",
        "eval/summary.json",
        "stages/stage2/model.safetensors",
    ] {
        assert!(out.join(file).is_file(), "{file}");
    }
    // What was done is not done again, and the table and the examples are for people.
    let stdout = run_in(
        folder.path(),
        &["quickstart", "--quick", "--seed", "3", "--out", "a run"],
    )
    .ok();
    for part in [
        "no critic",
        "stage II",
        "1. ",
        "  critique",
        "What to try next",
        "nothing about learning",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
    assert!(stderr.starts_with("This is a quick run: "), "{stderr}");
    #[cfg(unix)]
    every_hint_works(folder.path(), &stdout);
    // The critic that came out is a model like any other.
    let stage2 = out.join("stages/stage2");
    let said = run(&[
        "generate",
        "--model",
        stage2.to_str().unwrap(),
        "--prompt",
        "1 + 2",
        "--max-new-tokens",
        "4",
        "--json",
    ]);
    let said: Value = serde_json::from_str(&said.ok()).unwrap();
    assert!(!said["tokens"].as_array().unwrap().is_empty());
    let exported = folder.path().join("exported");
    run(&[
        "export",
        stage2.to_str().unwrap(),
        "--out",
        exported.to_str().unwrap(),
    ])
    .ok();
    let same = |file: &str| {
        std::fs::read(exported.join(file)).unwrap() == std::fs::read(stage2.join(file)).unwrap()
    };
    assert!(same("config.json") && same("tokenizer.json") && same("model.safetensors"));
}

/// Pastes what the quickstart says to try next into a shell.
#[cfg(unix)]
fn every_hint_works(folder: &Path, stdout: &str) {
    let (_, hints) = stdout.split_once("What to try next:\n").unwrap();
    let commands: Vec<&str> = hints
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .collect();
    let of = |part: &str| -> &str {
        let found = commands.iter().find(|command| command.contains(part));
        found.unwrap_or_else(|| panic!("{part} in {hints}"))
    };
    // The whole run takes minutes; that it starts will do.
    let whole = of(" quickstart");
    let mut child = shell(folder, &format!("exec {whole}")).spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap());
    let starts = told
        .lines()
        .any(|line| line.unwrap().starts_with("stage 1/"));
    child.kill().unwrap();
    wait(child);
    assert!(starts, "{whole}");

    for command in commands.iter().filter(|command| **command != whole) {
        let stdout = finished(shell(folder, command)).ok();
        assert!(!stdout.trim().is_empty(), "{command}");
        if command.contains(" critique ") {
            assert!(stdout.contains("\njudgment: "), "{command}: {stdout}");
            let refines = command.contains(" --refine ");
            assert_eq!(
                refines,
                stdout.contains("\nrefinement:\n"),
                "{command}: {stdout}"
            );
        }
    }
    // The critic says of the problem that was shown what it said in its evaluation.
    let tried = of(" critique ");
    let records = std::fs::read_to_string(folder.join("a run/eval/stage2.jsonl")).unwrap();
    let of_hint = |record: &Value| {
        let question = record["question"].as_str().unwrap();
        tried.ends_with(question) || tried.ends_with(&format!("'{question}'"))
    };
    let record = records
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(of_hint)
        .unwrap();
    let response = record["response"].as_str().unwrap();
    if format!("{}\n", response.trim()) == response {
        let critique = record["critique"].as_str().unwrap().trim();
        let said = finished(shell(folder, tried)).ok();
        assert!(said.starts_with(critique), "{said} of {record}");
    }
}
