//! MLflow's calls, answered by a server of these tests; `tests/interop/trackers.py` has a real one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use critique_track::{Follower, Login, MLflow};
use serde_json::{Value, json};

use crate::support::{add, evaluate, run, step};

/// A call, its login and what it held.
type Call = (String, Option<String>, Value);

/// A server that remembers what it is told, and its address. It refuses so many calls that log.
fn server(mut refuses: usize) -> (String, Arc<Mutex<Vec<Call>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
    let known = Arc::clone(&calls);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let (mut length, mut login) = (0, None);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim().split_once(": ") else {
                    break;
                };
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "authorization" => login = Some(value.to_owned()),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let path = first.split(' ').nth(1).unwrap().to_owned();
            let call = path.trim_start_matches("/api/2.0/mlflow/").to_owned();
            let (mut status, answer) = answer(&call);
            if call == "runs/log-batch" && refuses > 0 {
                (status, refuses) = (500, refuses - 1);
            }
            let body = serde_json::from_slice(&body).unwrap_or_default();
            known.lock().unwrap().push((call, login, body));
            let answer = answer.to_string();
            let length = answer.len();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            )
            .unwrap();
        }
    });
    (url, calls)
}

fn answer(call: &str) -> (u16, Value) {
    match call {
        "experiments/create" => (400, json!({ "error_code": "RESOURCE_ALREADY_EXISTS" })),
        "experiments/get-by-name?experiment_name=critics" => {
            (200, json!({ "experiment": { "experiment_id": "7" } }))
        }
        "runs/create" => (200, json!({ "run": { "info": { "run_id": "r1" } } })),
        "runs/log-batch" | "runs/update" => (200, json!({})),
        _ => (404, json!({})),
    }
}

/// Name, step and value of every metric that a server was told.
fn metrics(calls: &[Call]) -> Vec<(String, u64, f64)> {
    let batches = calls
        .iter()
        .filter_map(|(_, _, body)| body["metrics"].as_array());
    let of = |it: &Value| {
        let name = it["key"].as_str().unwrap().to_owned();
        (
            name,
            it["step"].as_u64().unwrap(),
            it["value"].as_f64().unwrap(),
        )
    };
    batches.flatten().map(of).collect()
}

#[test]
fn a_run_and_its_going_on_are_one_run_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let dir = run(root);
    let (url, calls) = server(0);
    let login = || Login::Token("s3cret".into());
    let track = || MLflow::new(&url, login(), "critics", root).unwrap();
    add(root, &(step(1) + &step(2)));
    let mut follower = Follower::new(dir.clone(), track(), 1).unwrap();
    follower.poll().unwrap();
    drop(follower);
    add(root, &step(3));
    evaluate(root);
    let mut follower = Follower::new(dir, track(), 1).unwrap();
    follower.end(true).unwrap();

    let calls = calls.lock().unwrap();
    assert!(
        calls
            .iter()
            .all(|it| it.1.as_deref() == Some("Bearer s3cret"))
    );
    let made = calls.iter().filter(|it| it.0 == "runs/create").count();
    assert_eq!(made, 1);
    assert!(
        calls
            .iter()
            .any(|it| it.2["params"].to_string().contains("stages.teacher.lr"))
    );
    let losses: Vec<_> = metrics(&calls)
        .into_iter()
        .filter(|it| it.0 == "train/loss")
        .collect();
    let wanted = [(1, 0.5), (2, 1.0), (3, 1.5)];
    assert_eq!(
        losses,
        wanted.map(|(step, value)| ("train/loss".to_owned(), step, value))
    );
    let refined = ("eval/acc_refined".to_owned(), 3, 0.5);
    assert!(metrics(&calls).contains(&refined), "{:?}", metrics(&calls));
    let last = calls.last().unwrap();
    assert_eq!(
        (last.0.as_str(), &last.2["status"]),
        ("runs/update", &json!("FINISHED"))
    );
    // The token is nowhere in the run.
    let kept = std::fs::read_to_string(root.join("mlflow.json")).unwrap();
    assert!(kept.contains("r1") && !kept.contains("s3cret"), "{kept}");
}

#[test]
fn a_server_that_repeats_who_logs_in_tells_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let dir = run(root);
    for login in [
        Login::Token("s3cret".into()),
        Login::Password("anna".into(), "s3cret".into()),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // It answers with all that it was told.
        let echo = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut told = [0; 4096];
            let length = stream.read(&mut told).unwrap();
            let told = String::from_utf8_lossy(&told[..length]).into_owned() + " s3cret";
            let length = told.len();
            write!(
                stream,
                "HTTP/1.1 401 X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{told}"
            )
            .unwrap();
        });
        let server = MLflow::new(&url, login, "critics", root).unwrap();
        let mut follower = Follower::new(dir.clone(), server, 1).unwrap();
        let error = follower.poll().unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("401"), "{text}");
        // As it is, and as a login by name and password sends it.
        let encoded = "YW5uYTpzM2NyZXQ=";
        assert!(
            !text.contains("s3cret") && !text.contains(encoded),
            "{text}"
        );
        echo.join().unwrap();
    }
}

#[test]
fn settings_that_were_refused_are_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let dir = run(folder.path());
    let (url, calls) = server(1);
    let track = MLflow::new(&url, Login::None, "critics", folder.path()).unwrap();
    let mut follower = Follower::new(dir, track, 1).unwrap();
    let error = follower.poll().unwrap_err().to_string();
    assert!(error.contains("(status 500)"), "{error}");
    follower.poll().unwrap();
    follower.poll().unwrap();
    let calls = calls.lock().unwrap();
    let with_settings = calls.iter().filter(|it| it.2["params"].is_array());
    assert_eq!(with_settings.count(), 2);
    assert_eq!(calls.iter().filter(|it| it.0 == "runs/create").count(), 1);
}

#[test]
fn what_a_server_misses_while_it_is_down_it_is_told_later() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let dir = run(root);
    add(root, &step(1));
    // A port that nobody listens on any more.
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{gone}");
    let down = MLflow::new(&url, Login::None, "critics", root).unwrap();
    let mut follower = Follower::new(dir.clone(), down, 1).unwrap();
    let error = follower.poll().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{url}: experiments/create: ")),
        "{error}"
    );
    assert!(
        error.contains("expected the address of an MLflow server"),
        "{error}"
    );
    let (url, calls) = server(0);
    let up = MLflow::new(&url, Login::None, "critics", root).unwrap();
    Follower::new(dir, up, 1).unwrap().end(false).unwrap();
    let calls = calls.lock().unwrap();
    assert_eq!(
        metrics(&calls)
            .iter()
            .filter(|it| it.0 == "train/loss")
            .count(),
        1
    );
    assert_eq!(calls.last().unwrap().2["status"], "KILLED");
}
