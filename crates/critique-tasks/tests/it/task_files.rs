//! Tasks without Rust.

use std::fs;
use std::path::{Path, PathBuf};

use critique_tasks::check::check;
use critique_tasks::testing::assert_task_contract;
use critique_tasks::{Split, Task, Verdict, build_from_table, file_task, open};

const ROWS: &str = r#"{"split": "train", "prompt": "1 + 1?", "target": "Add.\n#### 2", "options": ["2", "3"]}
{"split": "test", "prompt": "2 + 2?", "target": "Add.\n#### 4", "options": ["4", "5"]}
"#;

const TASK: &str = r#"name = "sums"
summary = "sums of two numbers"
verifier = "gsm8k"
path = "rows.jsonl"

[columns]
question = "prompt"
answer = "target"
answer_after = '####'
"#;

fn write(folder: &Path, task: &str) -> PathBuf {
    fs::write(folder.join("rows.jsonl"), ROWS).unwrap();
    let path = folder.join("sums.toml");
    fs::write(&path, task).unwrap();
    path
}

fn table(text: &str) -> toml::Table {
    toml::from_str(text).unwrap()
}

#[test]
fn a_task_file_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), TASK);
    let load = || file_task::load(&path).unwrap();
    assert_task_contract(&load(), &load());
    let task = load();
    assert_eq!(
        (task.name(), task.summary()),
        ("sums", "sums of two numbers")
    );
    let problem = &task.problems(Split::Test).unwrap()[0];
    assert_eq!(problem.id, "sums/test/0");
    assert_eq!(problem.solution, "Add.");
    let judged = task.judge_one(problem, "The answer is 4.").unwrap();
    assert_eq!(judged.verdict, Verdict::Correct);
}

#[test]
fn choices_join_the_question() {
    let folder = tempfile::tempdir().unwrap();
    let task = TASK
        .replace("answer_after", "choices = \"options\"\nanswer_after")
        .replace("gsm8k", "multiple_choice");
    let lettered = file_task::load(&write(folder.path(), &task)).unwrap();
    let problem = &lettered.problems(Split::Train).unwrap()[0];
    assert_eq!(problem.question, "1 + 1?\nAnswer Choices: (A) 2 (B) 3");
    assert_eq!(problem.choices, ["2", "3"]);
    // Where the answer is a number, no letter stands for it.
    let task = task.replace("multiple_choice", "gsm8k");
    let numbers = file_task::load(&write(folder.path(), &task)).unwrap();
    let plain = &numbers.problems(Split::Train).unwrap()[0];
    assert_eq!(plain.question, problem.question);
    assert!(plain.choices.is_empty());
}

#[test]
fn an_option_that_holds_a_letter_stays_whole() {
    let folder = tempfile::tempdir().unwrap();
    let row = r#"{"question": "Which?", "options": ["2 (B) ", "as (C) says", "3"], "answer": "B"}"#;
    fs::write(folder.path().join("test.jsonl"), row).unwrap();
    let task = "name = 'own'\nverifier = 'multiple_choice'\npath = '.'\n\
                [columns]\nchoices = 'options'";
    let path = folder.path().join("own.toml");
    fs::write(&path, task).unwrap();
    let task = file_task::load(&path).unwrap();
    let problem = &task.problems(Split::Test).unwrap()[0];
    assert_eq!(problem.choices, ["2 (B)", "as (C) says", "3"]);
}

#[test]
fn a_run_file_names_a_task_file_and_changes_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), TASK);
    let (name, task) =
        build_from_table(table(&format!("file = '{}'\nlimit = 0", path.display()))).unwrap();
    assert_eq!(name, "sums");
    assert!(task.problems(Split::Train).unwrap().is_empty());
}

#[test]
fn a_table_needs_a_name_or_a_file() {
    let message = |text: &str| match build_from_table(table(text)) {
        Ok((name, _)) => panic!("built {name}"),
        Err(error) => error.to_string(),
    };
    assert!(message("").starts_with("table `task` has no `name` and no `file`"));
    assert!(message("name = 'a'\nfile = 'b'").contains("give one"));
    assert!(message("name = 3").contains("found `3`, expected a text"));
    assert!(message("name = 'none'").starts_with("unknown task `none`"));
    assert!(message("file = 'none.toml'").contains("cannot read `none.toml`"));
}

#[test]
fn faults_in_a_task_file_name_the_file_and_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let message = |task: &str| {
        let error = file_task::load(&write(folder.path(), task)).unwrap_err();
        error.to_string()
    };
    let verifier = message(&TASK.replace("gsm8k", "maths"));
    assert!(
        verifier.contains("sums.toml: ")
            && verifier.contains("`maths`")
            && verifier.contains("`math`"),
        "{verifier}"
    );
    let key = message(&TASK.replace("path", "paths"));
    assert!(
        key.contains("unknown field `paths`") && key.contains("`columns`"),
        "{key}"
    );
    let column = message(&TASK.replace("question =", "questions ="));
    assert!(column.contains("unknown field `questions`"), "{column}");
    let syntax = message(&TASK.replace("[columns]", "[columns"));
    assert!(syntax.contains("sums.toml:6: "), "{syntax}");
    let mark = file_task::load(&write(folder.path(), &TASK.replace("####", "=>"))).unwrap();
    assert!(
        mark.problems(Split::Train)
            .unwrap_err()
            .to_string()
            .ends_with("rows.jsonl:1: field `target`: found `\"Add.\\n#### 2\"`, expected a text with `=>` before the answer")
    );
}

#[test]
fn a_task_is_opened_by_a_file_or_by_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), TASK);
    let opened = |path: &Path| open(&path.to_string_lossy(), toml::Table::new()).unwrap();
    assert_eq!(opened(&path).0, "sums");
    // No column of these rows is called as usual, but for the question.
    let (name, task) = opened(&folder.path().join("rows.jsonl"));
    let problems = task.problems(Split::Train).unwrap();
    assert_eq!((name.as_str(), problems.len()), ("rows.jsonl", 1));
    assert_eq!(problems[0].question, "1 + 1?\nAnswer Choices: (A) 2 (B) 3");
    let error = open("nothing-there", toml::Table::new()).err().unwrap();
    assert!(
        error
            .to_string()
            .starts_with("unknown task `nothing-there`"),
        "{error}"
    );
}

/// A task of multiple choice with one row, and what `tasks check` says of it.
fn checked(options: &[&str], gold: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let list: Vec<_> = options.iter().map(|text| format!("{text:?}")).collect();
    let row = format!(
        r#"{{"question": "Which?", "choices": [{}], "answer": {gold:?}}}"#,
        list.join(", ")
    );
    fs::write(folder.path().join("rows.jsonl"), row).unwrap();
    let path = folder.path().join("own.toml");
    let file = "name = 'own'\nverifier = 'multiple_choice'\npath = 'rows.jsonl'\n\
                [columns]\nchoices = 'choices'";
    fs::write(&path, file).unwrap();
    let task = file_task::load(&path).unwrap();
    let report = check("own", &task).map_err(|error| {
        let text = error.to_string();
        text.rsplit_once('/')
            .map_or(text.clone(), |(_, end)| end.to_owned())
    })?;
    Ok(report.to_string())
}

#[test]
fn a_gold_letter_names_an_option_that_is_there() {
    let three = ["one", "two", "three"];
    for gold in ["A", "C", "(B)", "B.", "[C]"] {
        let report = checked(&three, gold).unwrap();
        assert!(
            report.ends_with("0 of 1 rows fail (0.00 %)"),
            "{gold}: {report}"
        );
    }
    for gold in [
        "D", "E", "J", "Z", "(D)", "d", "two", "2", "AB", "A or B", "none",
    ] {
        let report = checked(&three, gold).unwrap();
        let wanted = format!("own/test/0: gold `{gold}` names none of the options `A` to `C`");
        assert!(report.contains(&wanted), "{gold}: {report}");
    }
}

#[test]
fn as_many_options_as_letters_can_be_chosen() {
    let words: Vec<String> = (0..30).map(|n| format!("word{n}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for (count, gold) in [
        (10, "J"),
        (11, "K"),
        (12, "L"),
        (20, "I"),
        (26, "Z"),
        (26, "A"),
    ] {
        let report = checked(&words[..count], gold).unwrap();
        assert!(
            report.ends_with("0 of 1 rows fail (0.00 %)"),
            "{count}: {report}"
        );
    }
    let report = checked(&words[..11], "L").unwrap();
    assert!(
        report.contains("none of the options `A` to `K`"),
        "{report}"
    );
    for count in [0, 27, 30] {
        assert_eq!(
            checked(&words[..count], "A").unwrap_err(),
            format!(
                "rows.jsonl:1: field `choices`: found {count} options, expected 1 to 26, a letter \
                 from `A` to `Z` each"
            )
        );
    }
}
