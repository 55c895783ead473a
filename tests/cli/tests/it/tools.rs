//! Small commands: tasks, data, verify, config, devices, completions.

use serde_json::Value;

use crate::support::{run, run_file, run_in, run_with};

#[test]
fn tasks_are_listed_with_what_they_are() {
    let stdout = run(&["tasks", "list"]).ok();
    for name in [
        "arithmetic",
        "gsm8k",
        "math",
        "aqua",
        "svamp",
        "theoremqa",
        "strategyqa",
        "summarization",
    ] {
        assert!(
            stdout.lines().any(|line| line.starts_with(name)),
            "{name} in {stdout}"
        );
    }
    let listed: Value = serde_json::from_str(&run(&["tasks", "list", "--json"]).ok()).unwrap();
    assert!(
        listed
            .as_array()
            .unwrap()
            .iter()
            .all(|task| !task["summary"].as_str().unwrap().is_empty())
    );
}

#[test]
fn a_task_is_shown_with_its_prompts() {
    let stdout = run(&["tasks", "show", "gsm8k", "sample=true"]).ok();
    for part in [
        "task gsm8k",
        "train",
        "gold answer:",
        "--- prompt of the critique",
    ] {
        assert!(stdout.contains(part), "{part} in {stdout}");
    }
}

#[test]
fn rows_of_a_sound_task_pass() {
    let stdout = run(&[
        "tasks",
        "check",
        "arithmetic",
        "train=50",
        "validation=20",
        "test=20",
    ])
    .ok();
    assert!(stdout.contains("0 of 90 rows fail"), "{stdout}");
}

#[test]
fn rows_that_fail_are_named_and_fail_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "{\"question\": \"1 + 1?\", \"answer\": \"\"}\n{\"question\": \"1 + 2?\", \"answer\": \"3\"}\n";
    std::fs::write(folder.path().join("test.jsonl"), rows).unwrap();
    std::fs::write(
        folder.path().join("mine.toml"),
        "name = \"mine\"\nverifier = \"math\"\npath = \"test.jsonl\"\n",
    )
    .unwrap();
    let ran = run_in(folder.path(), &["tasks", "check", "mine.toml"]);
    assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn faults_of_a_task_file_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(
        folder.join("rows.jsonl"),
        "{\"question\": \"1?\", \"answer\": \"1\"}\n",
    )
    .unwrap();
    let head = "name = \"mine\"\nverifier = \"math\"\npath = \"rows.jsonl\"\n";
    let check = |text: &str| {
        std::fs::write(folder.join("mine.toml"), text).unwrap();
        run_in(folder, &["tasks", "check", "mine.toml"])
    };
    check(head).ok();
    for (text, part) in [
        (
            format!("{head}[verify]\nrelative = 1\n"),
            "unknown field `relative`",
        ),
        (
            format!("{head}[prompts]\nresponse = \"?\"\n"),
            "does not name `{question}`",
        ),
        (head.replace("path", "paht"), "unknown field `paht`"),
    ] {
        let stderr = check(&text).fails(2);
        assert!(stderr.starts_with("error: mine.toml: "), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
        assert!(!stderr.contains("caused by"), "{stderr}");
    }
    std::fs::write(folder.join("rows.jsonl"), "").unwrap();
    let ran = check(head);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (1, "error: task `mine` has no rows\n")
    );
    let stderr = run_in(folder, &["tasks", "check", "gsm8k", "path=nowhere"]).fails(1);
    assert!(
        stderr.starts_with("error: nowhere: is not there; expected a file or a folder of rows. "),
        "{stderr}"
    );
    assert!(stderr.contains("critique-rl data fetch gsm8k"), "{stderr}");
}

#[test]
fn a_new_task_says_what_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let stdout = run_in(folder.path(), &["tasks", "new", "my-task"]).ok();
    assert!(folder.path().join("task-my-task/src/lib.rs").is_file());
    assert!(stdout.contains("task-my-task"), "{stdout}");
    run_in(folder.path(), &["tasks", "new", "My Task"]).fails(1);
}

#[test]
fn data_are_inspected_by_name_and_by_path() {
    let stdout = run(&["data", "inspect", "gsm8k", "sample=true"]).ok();
    assert!(stdout.contains("gsm8k"), "{stdout}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.jsonl");
    std::fs::write(
        &path,
        "{\"question\": \"What is 1 + 1?\", \"answer\": \"2\"}\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let stdout = run(&["data", "inspect", path, "--against", path]).ok();
    assert!(stdout.contains("train.jsonl:1"), "{stdout}");
}

#[test]
fn the_line_protocol_answers_every_line() {
    let input = "{\"op\":\"equiv\",\"gold\":\"1/2\",\"pred\":\"0.5\"}\nnonsense\n\
                 {\"op\":\"equiv\",\"gold\":\"3\",\"pred\":\"so it is 4.\",\"mode\":\"text\"}\n\
                 {\"op\":\"extract\",\"text\":\"so #### 42\",\"task\":\"gsm8k\"}\n";
    let stdout = run_with(input, &["verify", "--jsonl"]).ok();
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["ready"], true);
    assert_eq!(
        (&lines[1]["r"], &lines[1]["undecided"]),
        (&Value::Bool(true), &Value::Bool(false))
    );
    assert!(lines[1]["rule"].is_string() && lines[1]["t"].is_number());
    assert!(lines[2]["error"].is_string());
    assert_eq!(lines[3]["r"], false);
    assert_eq!(lines[4]["r"], "42");
}

#[test]
fn two_answers_are_compared_for_a_person() {
    assert_eq!(
        run(&["verify", "1/2", "0.5"]).ok(),
        "equal, by rule `exact`\n"
    );
    assert!(run(&["verify", "-1/2", "-0.5"]).ok().starts_with("equal"));
    assert!(run(&["verify", "1/2", "1/3"]).ok().starts_with("not equal"));
    run(&["verify", "1/2", "1/3", "--exit-code"]).fails(3);
    insta::assert_snapshot!(run(&["verify", "--explain", r"\frac12", "0.5"]).ok());
}

#[test]
fn config_show_writes_every_default_out() {
    let (_folder, path) = run_file(
        "seed = 3\nout = \"runs/x\"\ntask = { name = \"arithmetic\" }\n\n\
         [models]\nactor = { path = \"models/a b\" }\ncritic = { path = \"models/a b\" }\n\n\
         [[stages]]\nkind = \"rl\"\nname = \"stage1\"\nsteps = 5\nrewards = { discriminability = 1.0 }\nkl_coef = 0.01\nlr = 1e-6\n",
    );
    let stdout = run(&[
        "config",
        "show",
        path.to_str().unwrap(),
        "stages.stage1.lr=1e-5",
        "eval.problems=7",
    ])
    .ok();
    insta::assert_snapshot!(stdout);
}

#[test]
fn the_environment_goes_before_the_file_and_the_command_line_before_both() {
    let (_folder, path) = run_file(
        "seed = 3\nout = \"o\"\ntask = { name = \"arithmetic\" }\nmodels = {}\nstages = []\n",
    );
    let path = path.to_str().unwrap();
    let seed = |args: &[&str]| {
        let mut command = crate::support::command(args);
        let output = command.env("CRITIQUE_RL_SEED", "4").output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(seed(&["config", "show", path]), "seed = 4");
    assert_eq!(seed(&["config", "show", path, "seed=5"]), "seed = 5");
}

#[test]
fn the_cpu_is_always_among_the_devices() {
    let devices: Value = serde_json::from_str(&run(&["devices", "--json"]).ok()).unwrap();
    let cpu = &devices.as_array().unwrap()[0];
    assert_eq!(
        (&cpu["name"], &cpu["found"]),
        (&Value::from("cpu"), &Value::Bool(true))
    );
    assert!(run(&["devices"]).ok().contains("cuda"));
}

#[test]
fn completions_are_written_for_bash() {
    assert!(run(&["completions", "bash"]).ok().contains("critique-rl"));
}

#[test]
fn the_schema_is_json_schema() {
    let schema: Value = serde_json::from_str(&run(&["config", "schema"]).ok()).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let stages = schema["$defs"]["StageConfig"]["oneOf"].as_array().unwrap();
    let is_rl = |stage: &&Value| stage["properties"]["kind"]["const"] == "rl";
    let stage = stages.iter().find(is_rl).unwrap();
    assert_eq!(stage["properties"]["clip_low"]["default"], 0.2);
    assert!(
        stage["required"]
            .as_array()
            .unwrap()
            .contains(&Value::from("kl_coef"))
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = crate::support::command(&["completions", "zsh"])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = crate::support::wait(child);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn help_ends_with_examples() {
    for command in ["train", "eval", "critique", "generate", "data", "verify"] {
        let stdout = run(&[command, "--help"]).ok();
        let (_, examples) = stdout.split_once("\nExamples:\n").unwrap();
        assert!(
            examples.starts_with(&format!("  critique-rl {command}")),
            "{stdout}"
        );
    }
    run(&["data", "critiques", "--help"]).ok();
}

#[test]
fn a_file_of_critiques_says_how_many_are_of_each_class() {
    let folder = tempfile::tempdir().unwrap();
    let row = |verdict: &str| {
        format!(
            "{{\"question\": \"What is 1 + 1?\", \"response\": \"3\", \"critique\": \"Correctness of the final answer: {verdict}\"}}\n"
        )
    };
    let rows = row("Wrong").repeat(19) + &row("Correct");
    std::fs::write(folder.path().join("critiques.jsonl"), rows).unwrap();
    let args = ["data", "inspect", "./critiques.jsonl"];
    let stdout = run_in(folder.path(), &args).ok();
    let wanted = "\n20 critiques: 1 say `Correct`, 19 say `Wrong`, 0 have no verdict\n\
                  note: 95 % of them say `Wrong`, and a critic that learns from them will say so of any response\n";
    assert!(stdout.ends_with(wanted), "{stdout}");
}
