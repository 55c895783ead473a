//! A board on a socket, asked as a browser asks it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;

use critique_core::{Judgment, Verdict};
use critique_report::{Address, Board, serve};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Folder, data, evaluated, list, rollout};

/// A board of this folder; its thread ends with the test's process.
fn served(folder: &TempDir) -> SocketAddr {
    let board = Board::new(folder.path()).unwrap();
    let address = Address {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        name: None,
    };
    let (say, heard) = channel();
    std::thread::spawn(move || serve(board, &address, |bound| say.send(bound).unwrap()).unwrap());
    heard.recv_timeout(Duration::from_secs(10)).unwrap()
}

fn asked(board: SocketAddr, host: &str, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(board).unwrap();
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn json(board: SocketAddr, path: &str) -> Value {
    let (status, body) = asked(board, "localhost", path);
    assert_eq!(status, 200, "{path}: {body}");
    // Answers of this size come in one piece or in chunks; the object is between the braces.
    let (from, to) = (body.find('{').unwrap(), body.rfind('}').unwrap());
    serde_json::from_str(&body[from..=to]).unwrap()
}

/// Two runs; the first has two steps of four rollouts and an evaluation.
fn runs() -> (TempDir, Folder) {
    let folder = tempfile::tempdir().unwrap();
    let run = Folder::new(&folder, "a/one", 1);
    Folder::new(&folder, "two", 2);
    for step in 0..2 {
        let mut records: Vec<_> = (0..4)
            .map(|at| rollout(step, ["p", "q"][at / 2], at % 2))
            .collect();
        records[3].verdict = Verdict::Correct;
        records[3].judgment = Judgment::Correct;
        records[3].reward = -1.0;
        records[3].critique = "Größe \"quoted\"".into();
        run.step(step, &records);
    }
    run.evaluation("stage1", &[evaluated("p")]);
    (folder, run)
}

#[test]
fn pages_and_numbers_of_chosen_runs_are_given() {
    let (folder, _) = runs();
    let board = served(&folder);
    let (_, list_of_runs) = asked(board, "localhost", "/");
    assert!(
        list_of_runs.contains("href=\"/view?run=a%2Fone\"")
            && list_of_runs.contains("value=\"two\"")
    );
    let (status, page) = asked(board, "localhost", "/view?run=two&run=a%2Fone");
    assert_eq!(status, 200);
    let data = data(&page);
    let labels: Vec<&Value> = list(&data["runs"])
        .iter()
        .map(|run| &run["label"])
        .collect();
    assert_eq!(labels, ["two", "a/one"]);
    assert_eq!(data["live"]["runs"], serde_json::json!(["two", "a/one"]));
    let update = json(board, "/data?run=two");
    assert!(update["parts"]["cards"].as_str().unwrap().contains("two"));
}

#[test]
fn filters_find_what_they_ask_for() {
    let (folder, _) = runs();
    let board = served(&folder);
    let found = |filters: &str| {
        let answer = json(board, &format!("/rollouts?run=a%2Fone&{filters}"));
        assert_eq!(answer["total"], 9);
        answer["found"].as_u64().unwrap()
    };
    for (filters, count) in [
        ("", 9),
        ("place=stage1", 8),
        ("place=evaluation%3A+stage1", 1),
        ("stepFrom=2", 4),
        ("rewardTo=0", 2),
        ("problem=p", 5),
        ("problem=none", 0),
        ("response=not", 7),
        ("judgment=correct", 2),
        ("judged=wrongly", 0),
        ("transition=wrong+%E2%86%92+right", 7),
        ("transition=none", 0),
        ("text=GR%C3%96%C3%9FE", 2),
        ("text=%22quoted%22", 2),
        ("text=critique+of+STAGE1%2F1", 3),
        ("text=nowhere", 0),
        ("text=it+is+4&stepFrom=2&problem=q", 2),
    ] {
        assert_eq!(found(filters), count, "{filters}");
    }
    let lowest = json(board, "/rollouts?run=a%2Fone&sort=up&count=1");
    assert_eq!(lowest["list"][0]["id"], "stage1/0/q/0.1");
    assert_eq!(list(&lowest["list"]).len(), 1);
    let part = json(board, "/rollouts?run=a%2Fone&from=8");
    assert_eq!(
        (list(&part["list"]).len(), &part["list"][0]["row"]),
        (1, &"stage1".into())
    );
}

#[test]
fn a_rollout_comes_with_its_siblings_and_other_moments() {
    let (folder, _) = runs();
    let board = served(&folder);
    let detail = json(board, "/rollout?run=a%2Fone&id=stage1/1/p/0.1");
    assert_eq!(detail["rollout"]["question"], "What is p?");
    assert_eq!(list(&detail["siblings"]).len(), 2);
    let moments: Vec<&Value> = list(&detail["moments"])
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(
        moments,
        ["stage1/0/p/0.0", "stage1/1/p/0.1", "eval/0/p/0.0"]
    );
    let (status, _) = asked(board, "localhost", "/rollout?run=a%2Fone&id=stage1/9/p/0.1");
    assert_eq!(status, 404);
}

#[test]
fn what_comes_later_is_found_and_what_was_damaged_is_told() {
    let (folder, run) = runs();
    let board = served(&folder);
    assert_eq!(json(board, "/choices?run=a%2Fone")["total"], 9);
    run.step(2, &[rollout(2, "new", 0)]);
    std::fs::write(
        run.root.join("rollouts/stage-stage1/step-000000.jsonl"),
        "{\"version\": 1}\n",
    )
    .unwrap();
    let choices = json(board, "/choices?run=a%2Fone");
    assert_eq!(choices["total"], 6);
    assert!(list(&choices["problems"]).contains(&"new".into()));
    let (_, page) = asked(board, "localhost", "/view?run=a%2Fone");
    assert!(
        page.contains("1 lines hold no rollout of version 1"),
        "the page tells of it"
    );
}

#[test]
fn a_stream_says_when_something_changed() {
    let (folder, run) = runs();
    let board = served(&folder);
    let mut socket = TcpStream::connect(board).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        socket,
        "GET /events?run=a%2Fone HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    .unwrap();
    let mut lines = BufReader::new(socket).lines();
    let mut next = || lines.find(|line| line.as_ref().is_ok_and(|line| line == "event: changed"));
    assert!(next().is_some(), "a page that opens is told at once");
    run.step(7, &[rollout(7, "p", 0)]);
    assert!(next().is_some(), "and when a step came");
}

#[test]
fn others_are_refused_and_paths_lead_nowhere() {
    let (folder, _) = runs();
    let board = served(&folder);
    assert_eq!(asked(board, "evil.example", "/").0, 403);
    assert_eq!(asked(board, "127.0.0.1:80", "/").0, 200);
    for path in [
        "/../../etc/passwd",
        "/view",
        "/view?run=..%2Ftwo",
        "/data?run=two&run=%2Fetc",
        "/a/one/metrics.jsonl",
    ] {
        assert_eq!(asked(board, "localhost", path).0, 404, "{path}");
    }
    assert_eq!(asked(board, "localhost", "/rollouts?run=two&sort=x").0, 400);
}
