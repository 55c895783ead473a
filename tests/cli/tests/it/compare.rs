//! `critique-rl compare` on run folders made by hand.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::run_in;

/// How one problem fared: is the response right, is the judgment, is the refinement.
type Fared = (bool, bool, bool);

/// A line of `eval/ROW.jsonl`.
fn record(problem: usize, (right, judged, refined): Fared) -> Value {
    let verdict = |right: bool| if right { "correct" } else { "wrong" };
    let score = |right: bool| f64::from(u8::from(right));
    json!({
        "version": 1,
        "id": format!("eval/0/p/{problem}/0.0"),
        "stage": "eval",
        "step": 0,
        "problem": format!("p/{problem}"),
        "question": "?",
        "gold": "1",
        "response": verdict(right),
        "verdict": verdict(right),
        "score": score(right),
        "critique": "…",
        "judgment": verdict(right == judged),
        "judged_rightly": judged,
        "refinements": [{"text": "…", "verdict": verdict(refined), "score": score(refined)}],
        "reward": 0.0,
        "rewards": {},
        "advantage": 0.0,
        "tokens": {"response": 1, "critique_prompt": 1, "critique": 1, "refinements": [1]},
        "truncated": false,
        "seeds": {"response": "0", "critique": "0", "refinements": ["0"]},
    })
}

/// A run folder with these rows, and one without a critic.
fn run_folder(dir: &Path, seed: u64, rows: &[(&str, &[Fared])]) {
    fs::create_dir_all(dir.join("eval")).unwrap();
    fs::write(
        dir.join("config.resolved.toml"),
        format!("seed = {seed}\nout = \"x\"\n"),
    )
    .unwrap();
    let mut listed = vec![json!({"stage": "no_critic", "n": 4, "ci95": {}})];
    for (row, all) in rows {
        let mut lines = String::new();
        for (problem, fared) in all.iter().enumerate() {
            writeln!(lines, "{}", record(problem, *fared)).unwrap();
        }
        fs::write(dir.join(format!("eval/{row}.jsonl")), lines).unwrap();
        listed.push(json!({"stage": row, "n": all.len(), "parse_rate": 1.0, "ci95": {}}));
    }
    let summary = json!({"version": 1, "rows": listed});
    fs::write(dir.join("eval/summary.json"), summary.to_string()).unwrap();
}

/// 60 right responses and 40 wrong ones, of which this many are judged rightly, and as many
/// wrong ones are mended.
fn fared(right: usize, wrong: usize) -> Vec<Fared> {
    let on_right = (0..60).map(|i| (true, i < right, true));
    let on_wrong = (0..40).map(|i| (false, i < wrong, i < wrong));
    on_right.chain(on_wrong).collect()
}

fn three_seeds(folder: &Path) {
    for (seed, right, wrong) in [(1, 58, 36), (2, 57, 33), (10, 59, 37)] {
        let (two, one) = (fared(right, wrong), fared(55, 30));
        let dir = folder.join(format!("runs/seed-{seed}"));
        run_folder(&dir, seed, &[("stage2", &two), ("stage1_only", &one)]);
    }
}

fn line<'a>(text: &'a str, start: &str) -> &'a str {
    let found = text
        .lines()
        .find(|line| line.trim_start().starts_with(start));
    found.unwrap_or_else(|| panic!("a line of {start} in {text}"))
}

fn cells(line: &str) -> Vec<&str> {
    line.split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect()
}

#[test]
fn two_rows_of_one_run_are_compared_over_problems() {
    let folder = tempfile::tempdir().unwrap();
    three_seeds(folder.path());
    let args = [
        "compare",
        "--a",
        "runs/seed-1:stage2",
        "--b",
        ":stage1_only",
    ];
    let text = run_in(folder.path(), &args).ok();
    assert!(
        text.starts_with("a: runs/seed-1:stage2\nb: :stage1_only\n100 problems\n"),
        "{text}"
    );
    // 96 of 100 against 90: six problems, all on one side: 2 / 2^6.
    let refined = cells(line(&text, "Acc@Refine"));
    assert_eq!(
        refined[..4],
        ["Acc@Refine", "96.0", "90.0", "+6.0"],
        "{text}"
    );
    assert_eq!(refined[5..], ["0.031", "6", "0"], "{text}");
    // 58/60 and 36/40 against 55/60 and 30/40.
    let balanced = cells(line(&text, "balanced"));
    assert_eq!(
        balanced[..4],
        ["balanced", "93.3", "83.3", "+10.0"],
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    let printed = run_in(folder.path(), &[&args[..], &["--json"]].concat()).ok();
    let object: Value = serde_json::from_str(&printed).unwrap();
    let refined = &object["pairs"][0]["differences"][0];
    assert_eq!(
        (refined["metric"].as_str(), refined["only_a"].as_u64()),
        (Some("acc_refined"), Some(6))
    );
    assert_eq!(
        (&object["over_seeds"], &object["pairs"][0]["seed"]),
        (&Value::Null, &json!(1))
    );
    let markdown = run_in(folder.path(), &[&args[..], &["--markdown"]].concat()).ok();
    assert!(
        markdown.contains("\n| % | a | b | a − b | 95 % | p | only a | only b |\n| --- | ---: |"),
        "{markdown}"
    );
}

#[test]
fn seeds_are_paired_and_what_is_missing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    three_seeds(folder.path());
    run_folder(
        &folder.path().join("runs/seed-3"),
        3,
        &[("stage1_only", &fared(55, 30))],
    );
    fs::create_dir_all(folder.path().join("runs/seed-4")).unwrap();
    let args = [
        "compare",
        "--a",
        "runs/seed-*:stage2",
        "--b",
        ":stage1_only",
    ];
    let text = run_in(folder.path(), &args).ok();
    assert!(
        text.contains("3 of 5 pairs of runs, 100 problems each; 2 left out:"),
        "{text}"
    );
    assert!(
        text.contains(
            "- seed 3, `runs/seed-3` has no row `stage2`; its rows: no_critic, stage1_only\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("- `runs/seed-4` holds no evaluation\n"),
        "{text}"
    );
    // Differences of 6, 3 and 7 points.
    let refined = cells(line(&text, "Acc@Refine"));
    assert_eq!(
        refined[..5],
        ["Acc@Refine", "95.3", "90.0", "+5.3", "2.1"],
        "{text}"
    );
    assert_eq!(refined[7..], ["[+0.2, +10.5]", "0.047"], "{text}");
    let each: Vec<Vec<&str>> = ["1 ", "2 ", "10 "]
        .map(|seed| cells(line(&text, seed)))
        .into();
    let refined: Vec<&str> = each.iter().map(|cells| cells[1]).collect();
    assert_eq!(refined, ["+6.0", "+3.0", "+7.0"], "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn arms_in_folders_of_their_own_are_paired_by_seed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for (seed, wrong) in [(7, 36), (8, 33)] {
        run_folder(
            &dir.join(format!("two/{seed}")),
            seed,
            &[("stage2", &fared(58, wrong))],
        );
    }
    // In another order, and with a seed that the other arm lacks.
    for (name, seed) in [("x", 8), ("y", 7), ("z", 9)] {
        run_folder(
            &dir.join("one").join(name),
            seed,
            &[("stage1", &fared(55, 30))],
        );
    }
    let args = [
        "compare",
        "--a",
        "two/*:stage2",
        "--b",
        "one/*:stage1",
        "--json",
    ];
    let object: Value = serde_json::from_str(&run_in(dir, &args).ok()).unwrap();
    let pairs: Vec<(&str, &str)> = object["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair["a"].as_str().unwrap(), pair["b"].as_str().unwrap()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("two/7:stage2", "one/y:stage1"),
            ("two/8:stage2", "one/x:stage1")
        ]
    );
    assert_eq!(
        object["left_out"][0]["why"],
        "`one/z:stage1` is of seed 9, of which `--a` has no run"
    );
    let refined = &object["over_seeds"]["differences"][0];
    assert_eq!(refined["by_run"].as_array().unwrap().len(), 2);
}

#[test]
fn a_row_without_a_critic_takes_its_responses_from_another() {
    let folder = tempfile::tempdir().unwrap();
    three_seeds(folder.path());
    let args = [
        "compare",
        "--a",
        "runs/seed-1:stage2",
        "--b",
        "runs/seed-1:no_critic",
    ];
    let text = run_in(folder.path(), &args).ok();
    let refined = cells(line(&text, "Acc@Refine"));
    assert_eq!(
        refined[..4],
        ["Acc@Refine", "96.0", "60.0", "+36.0"],
        "{text}"
    );
    assert!(!text.contains("Acc@Dis"), "{text}");
}

#[test]
fn other_problems_are_refused_or_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let all = fared(58, 36);
    run_folder(
        &dir.join("run"),
        1,
        &[("stage2", &all), ("stage1", &all[..90])],
    );
    let args = ["compare", "--a", "run:stage2", "--b", "run:stage1"];
    let stderr = run_in(dir, &args).fails(1);
    assert!(
        stderr.starts_with("error: `run:stage2` and `run:stage1`: "),
        "{stderr}"
    );
    assert!(stderr.contains("--common"), "{stderr}");
    let text = run_in(dir, &[&args[..], &["--common"]].concat()).ok();
    assert!(text.contains("\n90 problems\n"), "{text}");
    assert!(text.contains("note: `run:stage2` and `run:stage1`: 10 problems are in one of the two alone and left out\n"), "{text}");
}

#[test]
fn settings_that_differ_are_told_and_a_page_holds_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for (name, lr) in [("x", "1e-3"), ("<b>", "2e-3")] {
        run_folder(&dir.join(name), 1, &[("stage2", &fared(58, 36))]);
        let config = format!("seed = 1\nout = \"{name}\"\n[[stages]]\nname = \"s\"\nlr = {lr}\n");
        fs::write(dir.join(name).join("config.resolved.toml"), config).unwrap();
    }
    let args = ["compare", "--a", "x:stage2", "--b", "<b>:stage2"];
    let text = run_in(dir, &args).ok();
    let setting = cells(line(&text, "stages.s.lr"));
    assert_eq!(setting, ["stages.s.lr", "0.001", "0.002"], "{text}");
    assert!(
        !text.contains("\nout "),
        "where a run lies is no setting: {text}"
    );
    let said = run_in(dir, &[&args[..], &["--html", "both.html"]].concat()).ok();
    assert_eq!(said, "both.html\n");
    let page = fs::read_to_string(dir.join("both.html")).unwrap();
    assert!(page.starts_with("<!doctype html>"), "{page}");
    for part in [
        "&lt;b&gt;:stage2",
        "<th scope=\"row\">balanced</th>",
        "<td>0.002</td>",
    ] {
        assert!(page.contains(part), "no {part}: {page}");
    }
    assert!(!page.contains("<b>"), "{page}");
}

#[test]
fn responses_that_differ_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    run_folder(&dir.join("x"), 1, &[("stage2", &fared(58, 36))]);
    let mut other = fared(58, 36);
    other[0].0 = false;
    run_folder(&dir.join("y"), 1, &[("stage2", &other)]);
    let text = run_in(dir, &["compare", "--a", "x:stage2", "--b", "y:stage2"]).ok();
    assert!(text.contains("1 of 100 responses differ"), "{text}");
    assert!(line(&text, "balanced").contains('~'), "{text}");
}

#[test]
fn what_cannot_be_compared_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    run_folder(&dir.join("x"), 1, &[("stage2", &fared(58, 36))]);
    run_folder(&dir.join("y"), 1, &[("stage2", &fared(58, 36))]);
    run_folder(&dir.join("other"), 2, &[("stage2", &fared(58, 36))]);
    for (a, b, code, part) in [
        ("x", "y:stage2", 2, "`--a x`: expected RUN:ROW, such as"),
        (
            "x:stage2",
            "z*:stage2",
            2,
            "`--b z*:stage2`: no folder is called so",
        ),
        ("z:stage2", "x:stage2", 1, "there is nothing to compare: "),
        (
            "x:stage1",
            "y:stage2",
            1,
            "`x` has no row `stage1`; its rows: no_critic, stage2",
        ),
        (
            "?:stage2",
            "other:stage2",
            2,
            "`--a` has two runs of seed 1, `",
        ),
    ] {
        let stderr = run_in(dir, &["compare", "--a", a, "--b", b]).fails(code);
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}
