//! The client of Tinker's protocol, with faults at every place.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use critique_remote::RemoteError;
use critique_remote::tinker::{Adam, NewModel, RemoteModel, Row, Tinker, TinkerSettings};
use serde_json::{Value, json};

use crate::bigram::{Bigram, Habit};
use crate::patience;
use crate::server::{Reply, Seen, Server};

const ADAM: Adam = Adam {
    learning_rate: 0.1,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    weight_decay: 0.0,
    max_grad_norm: 1.0,
};
const ROWS: [Row<'static>; 2] = [
    Row {
        prompt: &[1, 2],
        completion: &[3, 4, 5],
    },
    Row {
        prompt: &[6],
        completion: &[7],
    },
];
const NEW: NewModel = NewModel {
    rank: 4,
    alpha: None,
    seed: 3,
    frozen: false,
};

fn settings(server: &Server) -> TinkerSettings {
    let mut settings = TinkerSettings::new(&server.url());
    settings.patience = patience();
    settings
}

fn model(server: &Server) -> RemoteModel {
    Tinker::connect(&settings(server))
        .unwrap()
        .create(&NEW)
        .unwrap()
}

fn lift(_: usize, _: &[f32], grad: &mut [f32]) {
    grad.fill(-1.0);
}

/// A fault at the `nth` request of a call (from 1), while all others are answered honestly.
fn at(
    call: &'static str,
    nth: usize,
    fault: Reply,
) -> impl Fn(&Seen, &Reply) -> Option<Reply> + Send + Sync {
    let count = AtomicUsize::new(0);
    move |seen, _| {
        let hit = seen.call() == call && count.fetch_add(1, Ordering::SeqCst) + 1 == nth;
        hit.then(|| fault.clone())
    }
}

#[test]
fn steps_raise_what_is_praised_whatever_the_chunks() {
    let mut ends = Vec::new();
    for request_tokens in [1, 65_536] {
        let (server, _) = Bigram::new(Habit::None, true).serve();
        let mut settings = settings(&server);
        settings.request_tokens = request_tokens;
        let mut model = Tinker::connect(&settings).unwrap().create(&NEW).unwrap();
        let before = model.score(&ROWS, 0.7).unwrap();
        assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
        for _ in 0..5 {
            assert_eq!(model.accumulate(&ROWS, 0.7, lift).unwrap().len(), 2);
            assert!(model.step(&ADAM).unwrap().taken);
        }
        let after = model.score(&ROWS, 0.7).unwrap();
        assert!(
            after
                .concat()
                .iter()
                .zip(before.concat())
                .all(|(a, b)| *a > b)
        );
        assert_eq!(model.steps(), 5);
        assert_eq!(
            server.count("forward_backward"),
            if request_tokens == 1 { 10 } else { 5 }
        );
        ends.push(after);
    }
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn a_step_whose_answer_is_lost_is_never_sent_again() {
    for fault in [
        Reply::Close,
        Reply::Half(json!({ "request_id": "0000000000" })),
        Reply::Json(502, json!({ "detail": "bad gateway" })),
        Reply::Text(200, "<html>".to_owned()),
    ] {
        // The honest reply was made: the step was taken, though nobody hears of it.
        let (server, state) =
            Bigram::new(Habit::None, true).serve_with(at("optim_step", 1, fault.clone()));
        let mut model = model(&server);
        let first = model.save("first").unwrap();
        let start = model.score(&ROWS, 1.0).unwrap();
        model.accumulate(&ROWS, 1.0, lift).unwrap();
        let error = model.step(&ADAM).unwrap_err();
        assert!(
            matches!(error, RemoteError::StateUnknown { .. }),
            "{fault:?}: {error}"
        );
        assert!(error.to_string().contains("load the last state"), "{error}");
        assert_eq!(server.count("optim_step"), 1);
        assert_eq!(state.lock().unwrap().models[model.id()].steps, 1);
        for error in [
            model.step(&ADAM).unwrap_err(),
            model.accumulate(&ROWS, 1.0, lift).unwrap_err(),
            model.save("second").unwrap_err(),
            model.export("second").unwrap_err(),
        ] {
            assert!(matches!(error, RemoteError::MustLoad { .. }), "{error}");
        }
        model.load(&first).unwrap();
        assert_eq!(
            (model.score(&ROWS, 1.0).unwrap(), model.steps()),
            (start, 0)
        );
        model.accumulate(&ROWS, 1.0, lift).unwrap();
        model.step(&ADAM).unwrap();
        assert_eq!(state.lock().unwrap().models[model.id()].steps, 1);
    }
}

#[test]
fn a_result_is_asked_for_until_it_comes() {
    let pending = AtomicUsize::new(0);
    let (server, state) = Bigram::new(Habit::None, true).serve_with(move |seen, _| {
        let time =
            (seen.call() == "retrieve_future").then(|| pending.fetch_add(1, Ordering::SeqCst))?;
        match time % 5 {
            0 => Some(Reply::Json(408, json!({ "detail": "not yet" }))),
            1 => Some(Reply::ok(
                json!({ "type": "try_again", "queue_state": "active" }),
            )),
            2 => Some(Reply::Close),
            3 => Some(Reply::Json(503, json!({}))),
            _ => None,
        }
    });
    let mut model = model(&server);
    model.accumulate(&ROWS, 1.0, lift).unwrap();
    model.step(&ADAM).unwrap();
    assert_eq!(
        (
            server.count("optim_step"),
            state.lock().unwrap().models[model.id()].steps
        ),
        (1, 1)
    );
}

#[test]
fn an_operation_that_never_ends_is_given_up() {
    let (server, _) = Bigram::new(Habit::None, true).serve_with(|seen, reply| {
        let slow = seen.call() == "retrieve_future" && !format!("{reply:?}").contains("model_id");
        slow.then(|| Reply::Json(408, json!({})))
    });
    let mut settings = settings(&server);
    settings.longest = Duration::from_millis(200);
    let mut model = Tinker::connect(&settings).unwrap().create(&NEW).unwrap();
    let error = model.score(&ROWS, 1.0).unwrap_err();
    assert!(
        error.chain().contains("not done after 0 s"),
        "{}",
        error.chain()
    );
    assert!(matches!(
        model.step(&ADAM).unwrap_err(),
        RemoteError::StateUnknown { .. }
    ));
}

#[test]
fn a_backward_pass_is_sent_again_only_where_the_server_knows_repeats() {
    let (server, state) =
        Bigram::new(Habit::None, true).serve_with(at("forward_backward", 1, Reply::Close));
    let (plain, honest) = Bigram::new(Habit::None, true).serve();
    let (mut faulty, mut sound) = (model(&server), model(&plain));
    for model in [&mut faulty, &mut sound] {
        model.accumulate(&ROWS, 1.0, lift).unwrap();
        model.step(&ADAM).unwrap();
    }
    assert_eq!(server.count("forward_backward"), 2);
    assert_eq!(
        state.lock().unwrap().models[faulty.id()].logits,
        honest.lock().unwrap().models[sound.id()].logits
    );
    let (server, _) =
        Bigram::new(Habit::None, false).serve_with(at("forward_backward", 1, Reply::Close));
    let mut model = model(&server);
    let error = model.accumulate(&ROWS, 1.0, lift).unwrap_err();
    assert!(matches!(error, RemoteError::StateUnknown { .. }), "{error}");
    assert_eq!(server.count("forward_backward"), 1);
}

#[test]
fn a_server_that_ends_says_why_and_is_believed_at_once() {
    let said = "process 1 failed in forward: RuntimeError: out of memory; the worker ends: start it again and load the last state";
    let fatal = Reply::Json(500, json!({ "detail": said, "fatal": true }));
    let (server, _) = Bigram::new(Habit::None, true).serve_with(at("retrieve_future", 2, fatal));
    let model = model(&server);
    let before = server.count("retrieve_future");
    let error = model.score(&ROWS, 1.0).unwrap_err();
    assert!(error.to_string().contains("out of memory"), "{error}");
    assert_eq!(server.count("retrieve_future"), before + 1);
}

#[test]
fn answers_that_are_none_are_named() {
    let outputs = |rows: Value| json!({ "loss_fn_outputs": rows });
    let lps = |data: Value| json!({ "logprobs": { "data": data } });
    let huge = format!("[{}1]", "1,".repeat(200_000));
    let cases: Vec<(Reply, &str)> = vec![
        (
            Reply::ok(outputs(json!([lps(json!([-1, -1, -1, -1]))]))),
            "has 1 outputs for 2 sequences",
        ),
        (
            Reply::ok(outputs(json!([lps(json!([-1, -1])), lps(json!([-1]))]))),
            "has 2 log-probs for 4 tokens",
        ),
        (
            Reply::ok(outputs(json!([
                lps(json!([-1, -1, 0.5, -1])),
                lps(json!([-1]))
            ]))),
            "has the log-prob 0.5 for token 2",
        ),
        (
            Reply::ok(outputs(json!([
                lps(json!([-1, -1, null, -1])),
                lps(json!([-1]))
            ]))),
            "cannot be read",
        ),
        (
            Reply::ok(outputs(json!([
                lps(json!([-1, -1, -1e300, -1])),
                lps(json!([-1]))
            ]))),
            "has the log-prob -inf",
        ),
        (
            Reply::Text(200, "{\"loss_fn_outputs\": NaN}".to_owned()),
            "cannot be read",
        ),
        (
            Reply::Text(200, "<html>welcome \u{1b}[31m</html>".to_owned()),
            "found `<html>welcome  [31m</html>`",
        ),
        (Reply::Text(200, huge), "is longer than"),
        (
            Reply::ok(json!({ "error": "bad datum", "category": "user" })),
            "status 400: bad datum",
        ),
        (
            Reply::Json(404, json!({ "detail": "Future not found" })),
            "status 404: Future not found",
        ),
        (
            Reply::Raw(
                b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
                    .to_vec(),
            ),
            "status 302",
        ),
        (
            Reply::Raw(b"\x00\x01\x02 not http\r\n\r\n".to_vec()),
            "no answer to",
        ),
    ];
    for (fault, want) in cases {
        let (server, _) = Bigram::new(Habit::None, true).serve_with(move |seen, reply| {
            let forward = seen.call() == "retrieve_future"
                && format!("{reply:?}").contains("loss_fn_outputs");
            forward.then(|| fault.clone())
        });
        let error = model(&server).score(&ROWS, 1.0).unwrap_err().chain();
        assert!(error.contains(want), "wanted `{want}`, found: {error}");
    }
}

#[test]
fn a_server_of_another_model_is_refused() {
    let (server, _) = Bigram::new(Habit::None, true).serve();
    let mut settings = settings(&server);
    settings.base_model = Some("trigram".to_owned());
    let error = Tinker::connect(&settings).unwrap_err().to_string();
    assert!(
        error.contains("does not serve `trigram`, it serves `bigram`"),
        "{error}"
    );
}

#[test]
fn the_token_is_sent_and_a_wrong_one_is_told() {
    let (server, _) = Bigram::new(Habit::None, true).serve_with(|seen, _| {
        let known = seen
            .head
            .to_ascii_lowercase()
            .contains("authorization: bearer secret");
        (!known).then(|| Reply::Json(401, json!({ "detail": "the token is missing or wrong" })))
    });
    let mut settings = settings(&server);
    let error = Tinker::connect(&settings).unwrap_err().to_string();
    assert!(
        error.contains("status 401: the token is missing"),
        "{error}"
    );
    settings.token = Some(critique_core::Secret::new("secret"));
    Tinker::connect(&settings).unwrap();
}

#[test]
fn a_server_that_starts_late_is_waited_for() {
    let address = Server::start(|_| Reply::Close).address();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        let state = std::sync::Mutex::new(Bigram::new(Habit::None, true));
        Server::start_at(address, move |seen| state.lock().unwrap().answer(seen))
    });
    let mut settings = TinkerSettings::new(&format!("http://{address}"));
    settings.patience = patience();
    settings.patience.attempts = 8;
    let tinker = Tinker::connect(&settings).unwrap();
    assert_eq!(tinker.base_model(), "bigram");
    drop(late.join().unwrap());
}

#[test]
fn signs_of_life_are_sent_while_nothing_else_is_and_then_end() {
    let (server, _) = Bigram::new(Habit::None, true).serve();
    let mut settings = settings(&server);
    settings.heartbeat = Duration::from_millis(20);
    let tinker = Tinker::connect(&settings).unwrap();
    let wait = |more: usize| {
        for _ in 0..500 {
            if server.count("session_heartbeat") >= more {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} signs of life", server.count("session_heartbeat"));
    };
    wait(3);
    drop(tinker);
    std::thread::sleep(Duration::from_millis(100));
    let count = server.count("session_heartbeat");
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(server.count("session_heartbeat"), count);
}

#[test]
fn requests_are_numbered_by_model() {
    let (server, _) = Bigram::new(Habit::None, true).serve();
    let tinker = Tinker::connect(&settings(&server)).unwrap();
    for _ in 0..2 {
        let mut model = tinker.create(&NEW).unwrap();
        model.accumulate(&ROWS, 1.0, lift).unwrap();
        model.step(&ADAM).unwrap();
        let numbers: Vec<u64> = server
            .seen()
            .iter()
            .filter(|it| it.body["model_id"] == model.id())
            .map(|it| it.body["seq_id"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, [1, 2, 3]);
    }
    let made: Vec<Value> = server
        .seen()
        .iter()
        .filter(|it| it.call() == "create_model")
        .map(|it| it.body["model_seq_id"].clone())
        .collect();
    assert_eq!(made, [1, 2]);
}
