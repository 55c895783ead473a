//! Files and folders of rows.

use std::fs;
use std::io::Write;
use std::path::Path;

use critique_tasks::data::{Layout, Row, read_json_lines, read_records};
use critique_tasks::dataset::{Dataset, Spec};
use critique_tasks::verify::Kind;
use critique_tasks::{Judge, Problem, Split, Task, TaskError};

static SPEC: Spec = Spec {
    name: "sums",
    summary: "sums",
    licence: "CC0-1.0",
    hub: Some("nobody/sums"),
    layout: Layout {
        folders: &["sums"],
        shards: &["main"],
        train: &["train"],
        validation: &["dev"],
        test: &["test"],
    },
    row: |record| Ok(Row::new(record.text(&["sum"])?, record.text(&["total"])?)),
    mend: None,
    sample: "",
};

fn task(options: &str) -> Result<Dataset, TaskError> {
    Dataset::from_spec(
        &SPEC,
        Judge::new(Kind::Gsm8k),
        toml::from_str(options).unwrap(),
    )
}

fn at(path: &Path, more: &str) -> Dataset {
    task(&format!("path = '{}'\n{more}", path.display())).unwrap()
}

fn rows(from: usize, to: usize) -> String {
    let row = |n: usize| format!("{{\"sum\": \"{n} + 1\", \"total\": {}}}", n + 1);
    (from..to).map(row).collect::<Vec<_>>().join("\n") + "\n"
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn ids(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.id.as_str()).collect()
}

fn message(error: &TaskError) -> String {
    let text = error.to_string();
    // What comes before the last separator is the temporary folder.
    text.rsplit_once('/')
        .map_or(text.clone(), |(_, end)| end.to_owned())
}

#[test]
fn every_kind_of_file_gives_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let lines = rows(0, 3);
    let list = format!("[{}]", lines.trim().replace('\n', ", "));
    let files: [(&str, Vec<u8>); 5] = [
        ("a.jsonl", lines.clone().into_bytes()),
        ("b.jsonl.gz", gzip(&lines)),
        ("c.json", list.clone().into_bytes()),
        (
            "d.json",
            format!("{{\"version\": 1, \"data\": {list}}}").into_bytes(),
        ),
        // Many files of JSON lines are called so; a byte-order mark does no harm.
        ("e.json", format!("\u{feff}{lines}\n\n").into_bytes()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let records = read_records(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(records.len(), 3, "{name}");
        assert_eq!(records[2].text(&["sum"]).unwrap(), "2 + 1", "{name}");
    }
}

#[test]
fn faults_name_the_file_the_line_the_field_and_the_value() {
    let folder = tempfile::tempdir().unwrap();
    let fault = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        message(&at(&path, "").problems(Split::Test).unwrap_err())
    };
    assert_eq!(
        fault(
            "a.jsonl",
            b"{\"sum\": \"1\", \"total\": 1}\n\n{\"sum\": [], \"total\": 1}\n"
        ),
        "a.jsonl:3: field `sum`: found `[]`, expected a text that is not empty"
    );
    assert_eq!(
        fault("b.jsonl", b"{\"sum\": \"1\", \"answer\": 1}"),
        "b.jsonl:1: field `total` is missing; the row has `sum`, `answer`"
    );
    assert!(fault("c.jsonl", b"{\"sum\": \"1\"").starts_with("c.jsonl:1: not JSON: "));
    assert_eq!(
        fault("d.jsonl", b"{\"sum\": \"1\", \"total\": 1}\n\xff\n"),
        "d.jsonl:2: the text is not UTF-8; convert the file"
    );
    assert_eq!(
        fault("e.json", b"[{\"sum\": \"1\", \"total\": 1}, 7]"),
        "e.json:2: field `[1]`: found `7`, expected a JSON object"
    );
    assert_eq!(
        fault("f.json", b"{\"a\": [{}], \"b\": [{}]}"),
        "f.json: found an object with several lists of objects, expected a list of objects or \
         `{\"data\": [..]}`"
    );
    assert!(fault("g.csv", b"sum,total").starts_with("g.csv: not a file of rows;"));
    if !cfg!(feature = "parquet") {
        assert!(fault("h.parquet", b"PAR1").contains("build with the feature `parquet`"));
    }
}

#[test]
fn a_file_that_is_cut_off_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.jsonl.gz");
    let packed = gzip(&rows(0, 500));
    fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let error = at(&path, "").problems(Split::Test).unwrap_err();
    assert!(
        matches!(error, TaskError::Row { line, .. } if line > 1),
        "{error}"
    );
}

#[test]
fn a_folder_gives_its_splits_and_rows_without_ids_are_numbered() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("sums");
    fs::create_dir_all(inner.join("main")).unwrap();
    fs::write(inner.join("main/train-00000-of-00001.jsonl"), rows(0, 200)).unwrap();
    fs::write(inner.join("test.jsonl.gz"), gzip(&rows(200, 210))).unwrap();
    let task = at(folder.path(), "");
    assert_eq!(
        ids(&task.problems(Split::Test).unwrap())[..2],
        ["sums/test/0", "sums/test/1"]
    );
    let held = task.problems(Split::Validation).unwrap();
    let train = task.problems(Split::Train).unwrap();
    assert_eq!((train.len(), held.len()), (168, 32));
    assert_eq!(
        task.notes().unwrap(),
        ["32 rows of train serve as validation"]
    );
    assert!(
        at(folder.path(), "hold_out = { validation = 0.0 }")
            .problems(Split::Validation)
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        at(folder.path(), "limit = 7")
            .problems(Split::Train)
            .unwrap()
            .len(),
        7
    );
}

#[test]
fn files_may_be_named_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.jsonl"), rows(0, 40)).unwrap();
    fs::write(folder.path().join("theirs.jsonl"), rows(40, 50)).unwrap();
    let task = at(
        folder.path(),
        "files = { train = 'mine.jsonl', test = 'theirs.jsonl' }",
    );
    assert_eq!(task.problems(Split::Test).unwrap().len(), 10);
    assert_eq!(task.problems(Split::Train).unwrap().len(), 30);
}

#[test]
fn a_few_rows_of_train_that_stand_in_test_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.jsonl"), rows(0, 300)).unwrap();
    fs::write(folder.path().join("test.jsonl"), rows(298, 310)).unwrap();
    let task = at(folder.path(), "hold_out = { validation = 0.0 }");
    assert_eq!(task.problems(Split::Train).unwrap().len(), 298);
    assert_eq!(
        task.notes().unwrap(),
        [
            "2 rows of train also stand in test and were left out: `sums/train/298` = \
          `sums/test/0`, `sums/train/299` = `sums/test/1`"
        ]
    );
}

#[test]
fn one_file_for_both_splits_is_an_error_that_names_a_row() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rows.jsonl"), rows(0, 50)).unwrap();
    let error = at(
        folder.path(),
        "files = { train = 'rows.jsonl', test = 'rows.jsonl' }",
    )
    .problems(Split::Train)
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`sums/train/0`") && text.contains("50 shared"),
        "{text}"
    );
}

#[test]
fn an_id_that_stands_twice_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let row = r#"{"id": "x-1", "question": "1?", "answer": "1", "meta": {}}"#;
    fs::write(folder.path().join("test.jsonl"), format!("{row}\n{row}\n")).unwrap();
    let error = at(folder.path(), "").problems(Split::Test).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("id `x-1` stands on rows 1 and 2"),
        "{error}"
    );
}

#[test]
fn rows_are_kept_by_what_their_meta_says() {
    let folder = tempfile::tempdir().unwrap();
    let row = |n: usize| {
        format!(
            "{{\"id\": \"r{n}\", \"question\": \"{n}?\", \"answer\": \"{n}\", \"meta\": \
             {{\"level\": {n}, \"hard\": {}}}}}\n",
            n > 2
        )
    };
    let text: String = (0..5).map(row).collect();
    fs::write(folder.path().join("test.jsonl"), text).unwrap();
    let kept = |only: &str| {
        let problems = at(folder.path(), only).problems(Split::Test).unwrap();
        problems.len()
    };
    assert_eq!(kept("only = { level = [0, 4] }"), 2);
    assert_eq!(kept("only = { level = [0, 4], hard = true }"), 1);
    assert_eq!(kept("only = { colour = 'red' }"), 5);
}

#[test]
fn a_task_without_a_path_says_how_to_get_the_data() {
    let error = task("")
        .unwrap()
        .problems(Split::Train)
        .unwrap_err()
        .to_string();
    for word in [
        "`path = ..`",
        "critique-rl data fetch sums",
        "`nobody/sums`",
        "`sample = true`",
    ] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn options_that_do_not_fit_are_named() {
    let message = |options: &str| task(options).unwrap_err().to_string();
    let unknown = message("limits = 3");
    assert!(
        unknown.contains("unknown field `limits`") && unknown.contains("`limit`"),
        "{unknown}"
    );
    let share = message("hold_out = { validation = 1.5 }");
    assert!(share.contains("found shares 1.5 and 0"), "{share}");
    let verify = message("verify = { relative_tolerence = 0.1 }");
    assert!(verify.contains("`relative_tolerance`"), "{verify}");
    let prompts = message("prompts = { answer = 'x' }");
    assert!(prompts.contains("`response_prefill`"), "{prompts}");
}

#[test]
fn a_folder_without_the_data_set_says_what_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = at(folder.path(), "")
        .problems(Split::Test)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a file named `train` or `dev` or `test`"),
        "{error}"
    );
}

/// Every reader of rows gives the same, whatever surrounds them.
#[test]
fn marks_line_ends_and_packing_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lines = rows(0, 3);
    let (head, tail) = lines.split_at(lines.find('\n').unwrap() + 1);
    let list = format!("[{}]", lines.trim().replace('\n', ", "));
    let mut padded = gzip(&lines);
    padded.extend([0; 700]);
    let members = [gzip(head), gzip(""), gzip(&format!("\u{feff}{tail}"))].concat();
    let files: [(&str, Vec<u8>); 10] = [
        ("a.jsonl", format!("\u{feff}{lines}").into_bytes()),
        ("b.jsonl", lines.replace('\n', "\r\n").into_bytes()),
        ("c.jsonl", lines.replace('\n', "\n\n \t\r\n").into_bytes()),
        ("d.jsonl", lines.trim_end().as_bytes().to_vec()),
        ("e.jsonl", format!("{head}\u{feff}{tail}").into_bytes()),
        ("f.jsonl.gz", padded),
        ("g.jsonl.gz", members),
        // Told by its first bytes, not by its name.
        ("h.jsonl", gzip(&lines)),
        ("i.json.gz", gzip(&format!("\u{feff}{list}\r\n"))),
        ("j.ndjson.gz", lines.clone().into_bytes()),
    ];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        for records in [read_records(&path), read_json_lines(&path)] {
            let records = records.unwrap_or_else(|error| panic!("{name}: {error}"));
            let sums: Vec<_> = records.iter().map(|row| row.text(&["sum"])).collect();
            let wanted = ["0 + 1", "1 + 1", "2 + 1"].map(|sum| Ok(sum.to_owned()));
            assert_eq!(sums, wanted, "{name}");
        }
    }
    let other = folder.path().join("chats.txt");
    fs::write(&other, lines).unwrap();
    assert_eq!(read_json_lines(&other).unwrap().len(), 3);
    assert!(read_records(&other).is_err());
}

#[test]
fn hostile_files_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let fault = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        message(&at(&path, "").problems(Split::Test).unwrap_err())
    };
    let deep = "[".repeat(1_000_000);
    for (name, text) in [
        ("a.jsonl", format!("\n{deep}")),
        ("b.jsonl", format!("\n{{\"sum\": {deep}")),
        ("c.jsonl", "\n".to_owned() + &"{\"a\":".repeat(1_000_000)),
    ] {
        let found = fault(name, text.as_bytes());
        assert!(
            found.starts_with(&format!("{name}:2: not JSON: recursion limit exceeded")),
            "{found}"
        );
    }
    let found = fault("d.json", deep.as_bytes());
    assert!(
        found.starts_with("d.json:1: neither JSON nor JSON lines: recursion limit exceeded"),
        "{found}"
    );
    let long = format!("{{}}\n{{\"sum\": \"{}\"}}", "x".repeat(17 << 20));
    assert!(fault("e.jsonl", long.as_bytes()).starts_with("e.jsonl:1: field `sum`"));
    let found = fault("f.jsonl", &long.as_bytes()[3..]);
    assert_eq!(
        found,
        "f.jsonl:1: the line is longer than 16 MiB, the most that a row may have"
    );
    let bomb = gzip(&"\n".repeat(10 << 20)).repeat(20);
    let found = fault("g.jsonl.gz", &bomb);
    assert!(
        found.starts_with("g.jsonl.gz:") && found.contains("200 times its own size"),
        "{found}"
    );
    let found = fault("h.json.gz", &bomb);
    assert!(found.contains("200 times its own size"), "{found}");
    let cut = gzip(&rows(0, 3));
    let found = fault("i.jsonl.gz", &cut[..cut.len() - 9]);
    assert!(found.contains("breaks off behind this line"), "{found}");
}

#[test]
fn numbers_keep_their_digits_in_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let answers = [
        ("12345678901234567890123", "12345678901234567890123"),
        ("-98765432109876543210", "-98765432109876543210"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709551616"),
        ("9007199254740993", "9007199254740993"),
        ("0.12345678901234567890", "0.12345678901234567890"),
        ("123456789012345678.5", "123456789012345678.5"),
        ("1e400", "1e400"),
        ("18.0", "18"),
        ("0.5", "0.5"),
        ("\"007\"", "007"),
    ];
    for (written, wanted) in answers {
        let row = format!("{{\"sum\": \"?\", \"total\": {written}}}");
        for (name, bytes) in [
            ("a.jsonl", row.clone().into_bytes()),
            ("b.jsonl.gz", gzip(&row)),
            ("c.json", format!("[{row}]").into_bytes()),
            ("d.json", format!("{{\"data\": [{row}]}}").into_bytes()),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let problems = at(&path, "").problems(Split::Test).unwrap();
            assert_eq!(problems[0].answer, wanted, "{name}: {written}");
        }
    }
}

#[test]
fn a_long_answer_is_right_by_its_digits_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    fs::write(
        &path,
        "{\"sum\": \"?\", \"total\": 12345678901234567890123}",
    )
    .unwrap();
    let task = at(&path, "");
    let problem = &task.problems(Split::Test).unwrap()[0];
    let right = |text: &str| task.judge_one(problem, text).unwrap().is_correct();
    assert!(right("#### 12345678901234567890123"));
    assert!(right("#### 12,345,678,901,234,567,890,123"));
    assert!(!right("#### 12345678901234567890124"));
    assert!(!right("#### 12345678901234568000000"));
    assert!(!right("#### 1.2345678901234568e22"));
}
