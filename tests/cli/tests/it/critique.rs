//! A trained critic on texts of one's own.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::resume::RUN;
use crate::support::{Ran, command, run, run_in, wait};

/// A run whose critic has seen a little, trained once for all tests.
fn trained() -> &'static Path {
    static RUN_FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = RUN_FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let short = RUN
            .replace("steps = 40\nrewards", "steps = 4\nrewards")
            .replace(
                "steps = 40\ndata = [{ kind = \"solutions\"",
                "steps = 200\ndata = [{ kind = \"solutions\"",
            );
        std::fs::write(folder.path().join("run.toml"), short).unwrap();
        run_in(folder.path(), &["train", "run.toml", "out=run"]).ok();
        folder
    });
    folder.path()
}

fn asked(args: &[&str], input: &str) -> Ran {
    use std::io::Write;
    let mut child = command(args)
        .current_dir(trained())
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    wait(child)
}

fn records() -> Vec<Value> {
    let text = std::fs::read_to_string(trained().join("run/eval/stage1.jsonl")).unwrap();
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!records.is_empty());
    records
}

/// Records whose response ends as those that models learn from do.
fn usual(records: &[Value]) -> Vec<&Value> {
    let ends_once = |record: &&Value| {
        let response = record["response"].as_str().unwrap();
        let text = response.trim();
        !text.is_empty() && text == response.strip_suffix('\n').unwrap_or("…")
    };
    let usual: Vec<&Value> = records.iter().filter(ends_once).collect();
    assert!(!usual.is_empty(), "no response ends in a newline");
    usual
}

const RUN_1: [&str; 5] = ["critique", "--run", "run", "--stage", "stage1"];

#[test]
fn a_critic_says_what_it_said_when_it_was_evaluated_whatever_blanks_stand_around_the_texts() {
    let records = records();
    let usual = usual(&records);
    let line = |record: &Value, around: [&str; 2]| {
        let [before, after] = around;
        let text = |key: &str| format!("{before}{}{after}", record[key].as_str().unwrap().trim());
        json!({ "id": record["id"], "question": text("question"), "response": text("response") })
            .to_string()
            + "\n"
    };
    let mut said = Vec::new();
    for (around, batch) in [
        (["", ""], "1"),
        (["", "\n"], "3"),
        (["\n ", " \n\n"], "100"),
    ] {
        let input: String = usual.iter().map(|record| line(record, around)).collect();
        let more = [
            "--refine",
            "--jsonl",
            "--max-new-tokens",
            "24",
            "--batch",
            batch,
        ];
        let stdout = asked(&[&RUN_1[..], &more].concat(), &input).ok();
        let (ready, answers) = stdout.split_once('\n').unwrap();
        assert_eq!(ready, "{\"ready\":true}");
        said.push(answers.to_owned());
    }
    assert!(said[0] == said[1] && said[0] == said[2], "{said:?}");
    let answers: Vec<Value> = said[0]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), usual.len());
    for (answer, record) in answers.iter().zip(usual) {
        for key in ["id", "critique", "judgment", "truncated"] {
            assert_eq!(answer[key], record[key], "{key} of {record}");
        }
        assert_eq!(
            answer["refinement"]["text"],
            record["refinements"][0]["text"]
        );
    }
}

#[test]
fn a_line_that_is_no_request_gets_an_error_and_the_rest_goes_on() {
    let good = "{\"question\": \"1+1+1\", \"response\": \"+1=02\"}\n";
    let long = "9".repeat(200);
    let lines = [
        good,
        "nonsense\n",
        "\n",
        "{\"question\": \"1+1+1\"}\n",
        &format!("{{\"question\": \"{long}\", \"response\": \"+1=02\", \"id\": 7}}\n"),
        good,
    ];
    for batch in ["1", "6"] {
        let more = ["--jsonl", "--batch", batch];
        let stdout = asked(&[&RUN_1[..], &more].concat(), &lines.concat()).ok();
        let answers: Vec<Value> = stdout
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(answers.len(), lines.len());
        let error = |at: usize| {
            assert_eq!(answers[at]["line"], at + 1);
            answers[at]["error"].as_str().unwrap()
        };
        assert!(error(1).contains("expected an object such as"), "{stdout}");
        assert!(error(2).contains("expected an object"), "{stdout}");
        assert!(error(3).contains("missing field `response`"), "{stdout}");
        assert!(
            error(4).contains("does not fit its context of 128 tokens"),
            "{stdout}"
        );
        assert_eq!(answers[4]["id"], 7);
        assert!(answers[0]["critique"].is_string());
        assert_eq!(answers[0], answers[5]);
    }
}

#[test]
fn a_pair_is_given_by_arguments_or_with_the_response_on_standard_input() {
    let records = records();
    let record = usual(&records)[0];
    let (question, response) = (
        record["question"].as_str().unwrap(),
        record["response"].as_str().unwrap(),
    );
    let more = ["--refine", "--max-new-tokens", "24", question];
    let by_argument = asked(&[&RUN_1[..], &more, &[response.trim()]].concat(), "").ok();
    let by_input = asked(&[&RUN_1[..], &more].concat(), response).ok();
    assert_eq!(by_argument, by_input);
    let critique = record["critique"].as_str().unwrap().trim();
    assert!(by_argument.starts_with(critique), "{by_argument}");
    for part in ["\njudgment: ", "\nrefinement:\n", "\nanswer: "] {
        assert!(by_argument.contains(part), "{part} in {by_argument}");
    }
    // A task and models by their folders say the same as the run that they are of.
    let by_folders = [
        "critique",
        "--task",
        "arithmetic",
        "--task-option",
        "operations=2",
        "--critic",
        "run/stages/stage1",
        "--json",
        question,
        response,
    ];
    let said: Value = serde_json::from_str(&asked(&by_folders, "").ok()).unwrap();
    let of_run = [
        &RUN_1[..],
        &["--json", "--max-new-tokens", "1024", question, response],
    ]
    .concat();
    let ran: Value = serde_json::from_str(&asked(&of_run, "").ok()).unwrap();
    assert_eq!(said, ran);
    assert!(said.get("refinement").is_none());
    let drawn = |seed: &str| {
        let draw = ["--temperature", "1", "--seed", seed, question, response];
        asked(&[&RUN_1[..], &draw].concat(), "").ok()
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert!((2..9).any(|seed| drawn(&seed.to_string()) != drawn("1")));
}

#[test]
fn what_is_missing_for_a_critique_is_named() {
    let fails = |args: &[&str], code, part: &str| {
        let stderr = asked(&[&["critique"], args].concat(), "").fails(code);
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    };
    fails(
        &["q", "r"],
        2,
        "expected `--run`, or `--task` and `--critic`",
    );
    fails(
        &["--run", "run", "q"],
        2,
        "there is no response; expected it after the question",
    );
    fails(
        &["--run", "run", "--stage", "stage3", "q", "r"],
        2,
        "`stage3` is no stage that trains a critic; stages that do: critiques, stage1",
    );
    fails(
        &["--run", "run", "--stage", "stage1-best", "q", "r"],
        1,
        "`run/stages/stage1-best` is not there",
    );
    fails(&["--run", ".", "q", "r"], 2, "`.` is no run folder");
    fails(
        &[
            "--task",
            "arithmetic",
            "--critic",
            "run/stages/stage1",
            "--refine",
            "q",
            "r",
        ],
        2,
        "`--refine` needs a model that refines; expected `--actor DIR`, or `--run`",
    );
    fails(
        &["--task", "arithmetic", "--critic", "run", "q", "r"],
        1,
        "`run` is no model folder; expected a model folder in Hugging Face layout\n  help: it is the folder of a run, whose models are `run/stages/critiques`, `run/stages/solutions`, `run/stages/stage1`",
    );
    // Without a stage the last one counts, and is named.
    let ran = asked(&["critique", "--run", "run", "1+1+1", "+1=02"], "");
    assert!(
        ran.stderr.starts_with("critic: `run/stages/stage1`\n"),
        "{}",
        ran.stderr
    );
    ran.ok();
}

#[test]
fn a_prompt_loses_one_newline_at_its_end_and_no_more() {
    let model = trained().join("run/stages/stage1");
    let generated = |prompt: Result<&str, &str>| {
        let common = ["generate", "--model", model.to_str().unwrap(), "--json"];
        let short = ["--max-new-tokens", "4"];
        let ran = match prompt {
            Ok(given) => run(&[&common[..], &short, &["--prompt", given]].concat()),
            Err(piped) => asked(&[&common[..], &short].concat(), piped),
        };
        ran.ok()
    };
    let pair = "Criticise: 1+1\n+1=02";
    let with_newline = format!("{pair}\n");
    assert_eq!(generated(Err(&with_newline)), generated(Ok(pair)));
    let with_two = format!("{pair}\n\n");
    assert_eq!(generated(Err(&with_two)), generated(Ok(&with_newline)));
    assert_ne!(generated(Ok(pair)), generated(Ok(&with_newline)));
}

#[test]
fn critiques_are_made_kept_where_they_are_right_and_counted_by_class() {
    let make = |out: &str, more: &[&str]| {
        let common = [
            "data",
            "critiques",
            "--task",
            "arithmetic",
            "operations=2",
            "--actor",
            "run/stages/solutions",
            "--critic",
            "run/stages/critiques",
            "--problems",
            "20",
            "--max-new-tokens",
            "64",
            "--out",
            out,
        ];
        asked(&[&common[..], more].concat(), "")
    };
    let stdout = make("made/all.jsonl", &["--keep", "all", "--samples", "2"]).ok();
    assert!(stdout.starts_with("`made/all.jsonl`: "), "{stdout}");
    let rows = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(trained().join(name)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let all = rows("made/all.jsonl");
    assert!(!all.is_empty());
    let of = |rows: &[Value], key: &str, value: &str| {
        rows.iter().filter(|row| row[key] == value).count()
    };
    let inspected = asked(&["data", "inspect", "made/all.jsonl"], "").ok();
    let classes = format!(
        "{} critiques: {} say `Correct`, {} say `Wrong`, {} have no verdict",
        all.len(),
        of(&all, "judgment", "correct"),
        of(&all, "judgment", "wrong"),
        of(&all, "judgment", "unparsed"),
    );
    assert!(inspected.contains(&classes), "{classes} in {inspected}");
    let json = asked(&["data", "inspect", "made/all.jsonl", "--json"], "").ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["critiques"]["wrong"], of(&all, "judgment", "wrong"));

    // The file is what a stage of SFT learns from.
    let run_file = std::fs::read_to_string(trained().join("run.toml")).unwrap();
    let learn = run_file
        .replace(
            "kind = \"clean_critiques\"",
            "critiques = \"made/all.jsonl\"",
        )
        .replace("out = \"unbroken\"", "out = \"learnt\"");
    std::fs::write(trained().join("learn.toml"), learn).unwrap();
    asked(&["train", "learn.toml", "--dry-run"], "").ok();

    let stderr = make("made/all.jsonl", &[]).fails(2);
    assert!(
        stderr.contains("`made/all.jsonl` is there already"),
        "{stderr}"
    );
}
