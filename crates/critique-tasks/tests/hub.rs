//! Fetching a data set from a Hub on the loopback interface: what is asked of it, what lies there
//! afterwards, and what is said when it fails.
//!
//! ```sh
//! cargo test --release -p critique-tasks --features hub --test hub
//! ```
//!
//! Settings come from the environment, so each fetch runs in a process of its own: this test
//! binary once more, of which it runs `fetch_for_another_test`.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use critique_tasks::data::{Layout, Row, fetch};
use critique_tasks::dataset::{Dataset, Spec};
use critique_tasks::verify::Kind;
use critique_tasks::{Judge, Split, Task};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

static SUMS: Spec = Spec {
    name: "sums",
    summary: "sums",
    licence: "CC0-1.0",
    hub: Some("someone/sums"),
    layout: Layout {
        shards: &["main"],
        train: &["train"],
        test: &["test"],
        ..Layout::EMPTY
    },
    row: |record| Ok(Row::new(record.text(&["sum"])?, record.text(&["total"])?)),
    mend: None,
    sample: "",
};

/// Files of the repository `someone/sums`.
fn files() -> Vec<(&'static str, String)> {
    let rows = |from: usize, to: usize| {
        let row = |n: usize| {
            format!(
                "{{\"sum\": \"{n} + {n}\", \"total\": {}}}
",
                2 * n
            )
        };
        (from..to).map(row).collect::<String>()
    };
    vec![
        ("README.md", "no rows\n".into()),
        ("main/train.jsonl", rows(0, 300)),
        ("main/test.jsonl", rows(300, 340)),
        ("socratic/train.jsonl", "not to be fetched\n".into()),
    ]
}

/// How the server behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// Every answer is this status.
    Status(u16),
    /// Half of each file comes, as if it were the whole.
    Half,
    /// Files are there for those with a token only.
    Gated,
}

/// What was asked: `METHOD path`.
type Log = Arc<Mutex<Vec<String>>>;

/// A Hub for one test; gives its address.
fn hub(mood: Mood) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let log = Log::default();
    let seen = Arc::clone(&log);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || answer(stream.unwrap(), mood, &seen));
        }
    });
    (address, log)
}

fn answer(mut stream: TcpStream, mood: Mood, log: &Log) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut words = first.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return;
    };
    let mut token = false;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        token |= line
            .to_lowercase()
            .starts_with("authorization: bearer secret");
        if line.trim().is_empty() {
            break;
        }
    }
    log.lock().unwrap().push(format!("{method} {path}"));
    let (status, headers, body) = reply(path, mood, token);
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    let body = if method == "HEAD" { "" } else { &body };
    // A client that has heard enough may go away.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

/// Status, headers and body of an answer.
fn reply(path: &str, mood: Mood, token: bool) -> (u16, String, String) {
    if let Mood::Status(status) = mood {
        return (status, String::new(), "{\"error\": \"no\"}".into());
    }
    if mood == Mood::Gated && !token {
        let code = "X-Error-Code: GatedRepo\r\n".to_owned();
        return (401, code, "{\"error\": \"this data set is gated\"}".into());
    }
    let plain = path.split('?').next().unwrap();
    let json = "Content-Type: application/json\r\n".to_owned();
    if plain == "/api/datasets/someone/sums/revision/main" {
        let info = format!("{{\"id\": \"someone/sums\", \"sha\": \"{COMMIT}\"}}");
        return (200, json, info);
    }
    if plain.starts_with("/api/datasets/someone/sums/tree/") {
        let entry = |(path, text): (&str, String)| {
            let size = text.len();
            format!(
                "{{\"type\": \"file\", \"oid\": \"{path}\", \"size\": {size}, \"path\": \"{path}\"}}"
            )
        };
        let all: Vec<String> = files().into_iter().map(entry).collect();
        return (200, json, format!("[{}]", all.join(", ")));
    }
    let file = plain
        .strip_prefix("/datasets/someone/sums/resolve/")
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(_, name)| files().into_iter().find(|(known, _)| *known == name));
    match file {
        Some((name, text)) => {
            let tag = name.replace('/', "-");
            let headers = format!("ETag: \"{tag}\"\r\nX-Repo-Commit: {COMMIT}\r\n");
            let sent = if mood == Mood::Half {
                text.len() / 2
            } else {
                text.len()
            };
            (200, headers, text[..sent].to_owned())
        }
        None => (404, "X-Error-Code: EntryNotFound\r\n".into(), String::new()),
    }
}

/// Fetches `SUMS` in a process with a Hub at this address and a home of its own.
fn run(endpoint: &str, home: &Path, settings: &[(&str, &str)], to: Option<&Path>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for variable in [
        "HF_TOKEN",
        "HF_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "HF_TOKEN_PATH",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "FETCH_TO",
    ] {
        command.env_remove(variable);
    }
    command
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", home)
        .envs(settings.iter().copied())
        .envs(to.map(|to| ("FETCH_TO", to)))
        .args(["fetch_for_another_test", "--exact", "--ignored"])
        .args(["--nocapture", "--test-threads=1"])
        .output()
        .unwrap()
}

#[test]
#[ignore = "the other tests run it with their settings"]
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "another test reads it"
)]
fn fetch_for_another_test() {
    let to = std::env::var_os("FETCH_TO").map(PathBuf::from);
    match fetch(&SUMS, to.as_deref()) {
        Ok(folder) => println!("\nfetched {}", folder.display()),
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(next) = cause {
                eprintln!("{next}");
                cause = next.source();
            }
            std::process::exit(1);
        }
    }
}

/// The folder that a fetch gave, which must have gone well.
fn ok(output: &Output) -> PathBuf {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let folder = stdout
        .lines()
        .find_map(|line| line.strip_prefix("fetched "));
    folder.expect("the folder on a line").into()
}

/// What was said by a fetch that must have failed.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Problems of the test split in a folder.
fn test_rows(folder: &Path) -> usize {
    let options = format!("path = '{}'", folder.display());
    let judge = Judge::new(Kind::Gsm8k);
    let task = Dataset::from_spec(&SUMS, judge, toml::from_str(&options).unwrap()).unwrap();
    task.problems(Split::Test).unwrap().len()
}

#[test]
fn a_data_set_is_fetched_once_and_serves_offline() {
    let home = tempfile::tempdir().unwrap();
    let (address, log) = hub(Mood::Well);
    let folder = ok(&run(&address, home.path(), &[], None));
    assert!(folder.starts_with(home.path()), "{}", folder.display());
    assert_eq!(test_rows(&folder), 40);
    let asked = log.lock().unwrap().join("\n");
    for part in [
        "GET /api/datasets/someone/sums/revision/main",
        "/tree/",
        "/main/train.jsonl",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    assert!(
        !asked.contains("README.md") && !asked.contains("socratic"),
        "only files of splits are fetched: {asked}"
    );

    // Again: the files are not sent a second time.
    log.lock().unwrap().clear();
    assert_eq!(ok(&run(&address, home.path(), &[], None)), folder);
    let asked = log.lock().unwrap().join("\n");
    assert!(!asked.contains("GET /datasets/"), "{asked}");

    // Offline nobody is asked.
    log.lock().unwrap().clear();
    let offline = [("HF_HUB_OFFLINE", "1")];
    assert_eq!(ok(&run(&address, home.path(), &offline, None)), folder);
    assert_eq!(log.lock().unwrap().len(), 0);
}

#[test]
fn a_data_set_goes_where_one_wants_it() {
    let home = tempfile::tempdir().unwrap();
    let (address, _) = hub(Mood::Well);
    let to = home.path().join("data/sums");
    assert_eq!(ok(&run(&address, home.path(), &[], Some(&to))), to);
    assert_eq!(test_rows(&to), 40);
    assert!(!to.join("README.md").exists());
    // Offline, what lies there serves.
    let offline = [("HF_HUB_OFFLINE", "yes")];
    assert_eq!(ok(&run(&address, home.path(), &offline, Some(&to))), to);
}

#[test]
fn a_token_opens_what_is_gated() {
    let home = tempfile::tempdir().unwrap();
    let (address, _) = hub(Mood::Gated);
    let said = refused(&run(&address, home.path(), &[], None));
    for part in [
        "`someone/sums` could not be had",
        "set `HF_TOKEN`",
        "this data set is gated",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let token = [("HF_TOKEN", "secret")];
    ok(&run(&address, home.path(), &token, None));
}

#[test]
fn a_file_that_comes_short_is_not_kept() {
    let home = tempfile::tempdir().unwrap();
    let mine = home.path().join("mine");
    let (half, _) = hub(Mood::Half);
    let (whole, _) = hub(Mood::Well);
    for to in [None, Some(mine.as_path())] {
        let said = refused(&run(&half, home.path(), &[], to));
        assert!(said.contains("did not come whole"), "{said}");
        assert!(said.contains("bytes on the Hub"), "{said}");
        // It is not taken from there the next time.
        let folder = ok(&run(&whole, home.path(), &[], to));
        assert_eq!(test_rows(&folder), 40);
    }
}

#[test]
fn failures_say_what_would_do() {
    let home = tempfile::tempdir().unwrap();
    for (status, part) in [
        (404, "it is not there"),
        (401, "set `HF_TOKEN`"),
        (403, "accept its terms"),
    ] {
        let (address, _) = hub(Mood::Status(status));
        let said = refused(&run(&address, home.path(), &[], None));
        assert!(said.contains(part), "{status}: {said}");
    }
    let offline = [("HF_HUB_OFFLINE", "1")];
    let nobody = "http://127.0.0.1:9";
    let said = refused(&run(nobody, home.path(), &offline, None));
    assert!(said.contains("the cache does not have it"), "{said}");
    let to = home.path().join("empty");
    let said = refused(&run(nobody, home.path(), &offline, Some(&to)));
    assert!(said.contains("holds no file of this data set"), "{said}");
}

#[test]
fn without_a_connection_it_says_so() {
    let home = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let address = format!("http://127.0.0.1:{port}");
    let said = refused(&run(&address, home.path(), &[], None));
    assert!(said.contains("no connection"), "{said}");
    assert!(said.contains("path = .."), "{said}");
}
