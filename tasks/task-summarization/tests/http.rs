//! Scores over HTTP, from a server of three lines on this machine.
#![cfg(feature = "http")]
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use critique_tasks::{Split, Task};
use task_summarization::Summarization;

/// Answers each request with the next of `answers`, and gives the requests' bodies.
fn serve(answers: Vec<(u16, &'static str)>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/score", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for (status, answer) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            sender.send(String::from_utf8(body).unwrap()).unwrap();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{answer}",
                answer.len()
            );
            reader.get_mut().write_all(head.as_bytes()).unwrap();
        }
    });
    (url, receiver)
}

fn task(url: &str, more: &str) -> Summarization {
    let options = format!(
        "sample = true\n[scorer]\nurl = \"{url}\"\nscale = {{ min = -10.0, max = 10.0 }}\n{more}"
    );
    Summarization::from_options(toml::from_str(&options).unwrap()).unwrap()
}

#[test]
fn raw_values_become_scores_and_are_asked_for_once() {
    let (url, bodies) = serve(vec![(200, r#"{"rewards": [10.0, -30.0]}"#)]);
    let task = task(&url, "");
    let problems = task.problems(Split::Test).unwrap();
    let items = [(&problems[0], "good"), (&problems[1], "bad")];
    let judged = task.judge(&items).unwrap();
    assert_eq!([judged[0].score, judged[1].score], [10.0, 1.0]);
    assert_eq!(task.judge_one(&problems[0], "good").unwrap(), judged[0]);
    let body = bodies.recv().unwrap();
    assert!(
        body.contains(r#""labels""#) && body.contains("good"),
        "{body}"
    );
}

#[test]
fn a_text_that_the_server_has_no_number_for_is_unscored_and_no_bad_one() {
    let (url, _bodies) = serve(vec![(200, r#"{"rewards": [null, 0.0]}"#)]);
    let task = task(&url, "");
    let problems = task.problems(Split::Test).unwrap();
    let items = [(&problems[0], "odd"), (&problems[1], "plain")];
    let judged = task.judge(&items).unwrap();
    assert!(
        judged[0].score.is_nan() && judged[1].score == 5.5,
        "{judged:?}"
    );
}

#[test]
fn vllm_is_asked_with_a_chat() {
    let (url, bodies) = serve(vec![(200, r#"{"data": [{"data": [0.0]}]}"#)]);
    let task = task(&url, "protocol = \"vllm\"\nmodel = \"rm\"");
    let problem = &task.problems(Split::Test).unwrap()[0];
    assert_eq!(task.judge_one(problem, "so-so").unwrap().score, 5.5);
    let body: serde_json::Value = serde_json::from_str(&bodies.recv().unwrap()).unwrap();
    assert_eq!(body["messages"][1]["content"], "so-so");
}

#[test]
fn a_server_that_fails_is_named() {
    let (url, _bodies) = serve(vec![(500, "{}"), (200, r#"{"reward": 1}"#), (500, "{}")]);
    let task = task(&url, "");
    let problem = &task.problems(Split::Test).unwrap()[0];
    let message = || task.judge(&[(problem, "x")]).unwrap_err().to_string();
    assert!(message().starts_with(&format!("scorer `{url}`: ")));
    let odd = message();
    assert!(
        odd.contains(r#"answered `{"reward":1}`, expected `{"rewards": [..]}`"#),
        "{odd}"
    );
    task.judge_one(problem, "x").unwrap_err();
}
