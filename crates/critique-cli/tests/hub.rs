//! `data fetch` against a Hub on the loopback interface: what is asked of it, what lies there
//! afterwards, and what is said when it fails.
//!
//! ```sh
//! cargo test --release -p critique-cli --features hub --test hub
//! ```
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Files of the repository `openai/gsm8k`, in the publisher's columns.
fn files() -> Vec<(&'static str, String)> {
    let rows = |from: usize, to: usize| {
        let row = |n: usize| {
            let sum = 2 * n;
            format!(
                "{{\"question\": \"What is {n} + {n}?\", \"answer\": \"It is {n} + {n} = {sum}.\\n#### {sum}\"}}\n"
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
    if plain == "/api/datasets/openai/gsm8k/revision/main" {
        let info = format!("{{\"id\": \"openai/gsm8k\", \"sha\": \"{COMMIT}\"}}");
        return (200, json, info);
    }
    if plain.starts_with("/api/datasets/openai/gsm8k/tree/") {
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
        .strip_prefix("/datasets/openai/gsm8k/resolve/")
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

/// `critique-rl` with a Hub at this address and a home of its own.
fn run(endpoint: &str, home: &Path, settings: &[(&str, &str)], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_critique-rl"));
    for variable in [
        "HF_TOKEN",
        "HF_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "HF_TOKEN_PATH",
    ] {
        command.env_remove(variable);
    }
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", home)
        .env("NO_COLOR", "1")
        .envs(settings.iter().copied())
        .args(args)
        .output()
        .unwrap()
}

/// Standard output of a command that must succeed.
fn ok(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error of a command that must fail with 1.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

const FETCH: [&str; 3] = ["data", "fetch", "gsm8k"];

#[test]
fn a_data_set_is_fetched_once_and_serves_offline() {
    let home = tempfile::tempdir().unwrap();
    let (address, log) = hub(Mood::Well);
    let stdout = ok(&run(&address, home.path(), &[], &FETCH));
    let folder = stdout.trim();
    assert!(
        folder.starts_with(home.path().to_str().unwrap()),
        "{folder}"
    );
    assert!(Path::new(folder).join("main/test.jsonl").is_file());
    let asked = log.lock().unwrap().join("\n");
    for part in [
        "GET /api/datasets/openai/gsm8k/revision/main",
        "/tree/",
        "/main/train.jsonl",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    assert!(
        !asked.contains("README.md") && !asked.contains("socratic"),
        "only files of splits are fetched: {asked}"
    );

    // The folder that it prints is what a run file names.
    let path = format!("path={folder}");
    let checked = ok(&run(
        &address,
        home.path(),
        &[],
        &["tasks", "check", "gsm8k", &path],
    ));
    assert!(checked.contains("0 of 340 rows fail"), "{checked}");

    // Again: the files are not sent a second time.
    log.lock().unwrap().clear();
    assert_eq!(ok(&run(&address, home.path(), &[], &FETCH)), stdout);
    let asked = log.lock().unwrap().join("\n");
    assert!(!asked.contains("GET /datasets/"), "{asked}");

    // Offline nobody is asked.
    log.lock().unwrap().clear();
    let offline = [("HF_HUB_OFFLINE", "1")];
    assert_eq!(ok(&run(&address, home.path(), &offline, &FETCH)), stdout);
    assert_eq!(log.lock().unwrap().len(), 0);
}

#[test]
fn a_data_set_goes_where_one_wants_it() {
    let home = tempfile::tempdir().unwrap();
    let (address, _) = hub(Mood::Well);
    let to = home.path().join("data/gsm8k");
    let args = ["data", "fetch", "gsm8k", "--to", to.to_str().unwrap()];
    assert_eq!(ok(&run(&address, home.path(), &[], &args)).trim(), args[4]);
    let text = std::fs::read_to_string(to.join("main/test.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 40);
    assert!(!to.join("README.md").exists());
    // Offline, what lies there serves.
    let offline = [("HF_HUB_OFFLINE", "yes")];
    assert_eq!(
        ok(&run(&address, home.path(), &offline, &args)).trim(),
        args[4]
    );
}

#[test]
fn a_token_opens_what_is_gated() {
    let home = tempfile::tempdir().unwrap();
    let (address, _) = hub(Mood::Gated);
    let stderr = refused(&run(&address, home.path(), &[], &FETCH));
    assert!(
        stderr.contains("`openai/gsm8k` could not be had"),
        "{stderr}"
    );
    assert!(stderr.contains("set `HF_TOKEN`"), "{stderr}");
    assert!(stderr.contains("this data set is gated"), "{stderr}");
    ok(&run(
        &address,
        home.path(),
        &[("HF_TOKEN", "secret")],
        &FETCH,
    ));
}

#[test]
fn a_file_that_comes_short_is_not_kept() {
    let home = tempfile::tempdir().unwrap();
    let (address, _) = hub(Mood::Half);
    let stderr = refused(&run(&address, home.path(), &[], &FETCH));
    assert!(stderr.contains("did not come whole"), "{stderr}");
    assert!(stderr.contains("bytes on the Hub"), "{stderr}");
    // It is not taken from the cache the next time.
    let (address, _) = hub(Mood::Well);
    let folder = ok(&run(&address, home.path(), &[], &FETCH));
    let path = format!("path={}", folder.trim());
    let checked = ok(&run(
        &address,
        home.path(),
        &[],
        &["tasks", "check", "gsm8k", &path],
    ));
    assert!(checked.contains("0 of 340 rows fail"), "{checked}");

    let to = home.path().join("mine");
    let args = ["data", "fetch", "gsm8k", "--to", to.to_str().unwrap()];
    let (half, _) = hub(Mood::Half);
    refused(&run(&half, home.path(), &[], &args));
    ok(&run(&address, home.path(), &[], &args));
    let text = std::fs::read_to_string(to.join("main/test.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 40);
}

#[test]
fn failures_say_what_would_do() {
    let home = tempfile::tempdir().unwrap();
    let said = |mood: Mood| {
        let (address, _) = hub(mood);
        refused(&run(&address, home.path(), &[], &FETCH))
    };
    for (status, part) in [
        (404, "it is not there"),
        (401, "set `HF_TOKEN`"),
        (403, "accept its terms"),
    ] {
        let stderr = said(Mood::Status(status));
        assert!(stderr.contains(part), "{status}: {stderr}");
    }
    let offline = [("HF_HUB_OFFLINE", "1")];
    let stderr = refused(&run("http://127.0.0.1:9", home.path(), &offline, &FETCH));
    assert!(stderr.contains("the cache does not have it"), "{stderr}");
    let to = home.path().join("empty");
    let args = ["data", "fetch", "gsm8k", "--to", to.to_str().unwrap()];
    let stderr = refused(&run("http://127.0.0.1:9", home.path(), &offline, &args));
    assert!(
        stderr.contains("holds no file of this data set"),
        "{stderr}"
    );
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
    let stderr = refused(&run(&address, home.path(), &[], &FETCH));
    assert!(stderr.contains("no connection"), "{stderr}");
    assert!(stderr.contains("path = .."), "{stderr}");
}
