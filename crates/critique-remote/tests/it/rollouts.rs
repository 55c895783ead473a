//! Rollouts over several servers, with faults at every place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use critique_core::{Completion, Generate, GenerateError, Request, Sampling};
use critique_remote::rollout::{EngineKind, Remote};
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::vllm::{Letters, Shared, Vllm, completion, requests, settings, trained};

fn connect(servers: &[&Server]) -> Remote<Letters> {
    let urls: Vec<String> = servers.iter().map(|it| it.url()).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    Remote::connect(settings(&urls), Arc::new(Letters)).unwrap()
}

fn cause(error: &GenerateError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// What one server alone gives.
fn alone(requests: &[Request]) -> Vec<Vec<Completion>> {
    let server = Vllm::start(&Vllm::shared());
    connect(&[&server]).generate(requests).unwrap()
}

#[test]
fn samples_do_not_depend_on_how_many_servers_share_the_work() {
    let requests = requests(40);
    let states: Vec<Shared> = (0..3).map(|_| Vllm::shared()).collect();
    let servers: Vec<Server> = states.iter().map(Vllm::start).collect();
    let remote = connect(&servers.iter().collect::<Vec<_>>());
    assert_eq!(remote.generate(&requests).unwrap(), alone(&requests));
    let counts: Vec<usize> = states.iter().map(|it| it.lock().unwrap().sampled).collect();
    assert_eq!(counts.iter().sum::<usize>(), 80);
    assert!(counts.iter().all(|it| *it > 5), "{counts:?}");
}

#[test]
fn faults_that_pass_change_no_sample() {
    let requests = requests(20);
    let state = Vllm::shared();
    let server = Vllm::start(&state);
    let other = Vllm::start(&Vllm::shared());
    let remote = connect(&[&server, &other]);
    let whole = completion(
        &json!({ "model": "actor", "prompt": [[1]], "seed": 1, "max_tokens": 8, "temperature": 1.0 }),
        "",
        false,
    );
    for fault in [
        Reply::Close,
        Reply::Half(whole),
        Reply::Json(
            500,
            json!({ "error": { "message": "EngineCore encountered an issue" } }),
        ),
        Reply::Json(502, json!({})),
        Reply::Json(429, json!({})),
        Reply::Text(503, "busy".to_owned()),
        Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".to_vec()),
    ] {
        state.lock().unwrap().faults.push_back(fault.clone());
        assert_eq!(
            remote.generate(&requests).unwrap(),
            alone(&requests),
            "{fault:?}"
        );
    }
}

#[test]
fn a_server_that_hangs_is_left_for_another() {
    let state = Vllm::shared();
    let (server, other) = (Vllm::start(&state), Vllm::start(&Vllm::shared()));
    let (one, two) = (server.url(), other.url());
    let mut settings = settings(&[&one, &two]);
    settings.patience.request = Duration::from_millis(300);
    let remote = Remote::connect(settings, Arc::new(Letters)).unwrap();
    let hang = Reply::Hang(Duration::from_secs(3));
    state.lock().unwrap().faults.extend([hang.clone(), hang]);
    let requests = requests(10);
    assert_eq!(remote.generate(&requests).unwrap(), alone(&requests));
}

#[test]
fn a_server_that_is_killed_is_taken_out_and_brought_back() {
    let states = [Vllm::shared(), Vllm::shared()];
    let (first, second) = (Vllm::start(&states[0]), Vllm::start(&states[1]));
    let remote = connect(&[&first, &second]);
    let address = second.address();
    drop(second);
    assert_eq!(
        remote.generate(&requests(20)).unwrap(),
        alone(&requests(20))
    );
    assert_eq!(states[1].lock().unwrap().sampled, 0);
    let _second = Vllm::start_at(&states[1], address);
    // Longer than the wait after a first failure.
    std::thread::sleep(Duration::from_millis(400));
    remote.generate(&requests(40)).unwrap();
    assert!(states[1].lock().unwrap().sampled > 5);
}

#[test]
fn all_servers_away_are_waited_for_and_then_named() {
    let state = Vllm::shared();
    let server = Vllm::start(&state);
    let (address, url) = (server.address(), server.url());
    let mut settings = settings(&[&url]);
    settings.give_up = Duration::from_millis(300);
    let remote = Remote::connect(settings.clone(), Arc::new(Letters)).unwrap();
    drop(server);
    let begin = Instant::now();
    let error = cause(&remote.generate(&requests(3)).unwrap_err());
    assert!(
        error.contains("no server is left after 0 s")
            && error.contains(&format!("cannot reach `{url}`")),
        "{error}"
    );
    assert!(begin.elapsed() >= Duration::from_millis(300));
    settings.give_up = Duration::from_secs(20);
    let server = Vllm::start_at(&state, address);
    let remote = Remote::connect(settings, Arc::new(Letters)).unwrap();
    drop(server);
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        Vllm::start_at(&state, address)
    });
    assert_eq!(remote.generate(&requests(3)).unwrap(), alone(&requests(3)));
    drop(late.join().unwrap());
}

#[test]
fn a_server_that_comes_back_as_another_is_an_error() {
    let state = Vllm::shared();
    let server = Vllm::start(&state);
    let address = server.address();
    let remote = connect(&[&server]);
    drop(server);
    state.lock().unwrap().model = "other".to_owned();
    let _server = Vllm::start_at(&state, address);
    // Its connection is fine, so the first sample finds that the model is unknown.
    let error = cause(&remote.generate(&requests(1)).unwrap_err());
    assert!(
        error.contains("does not serve `actor`, it serves `other`"),
        "{error}"
    );
}

#[test]
fn a_request_that_takes_every_server_down_is_given_up() {
    let state = Vllm::shared();
    let server = Vllm::start(&state);
    let remote = connect(&[&server]);
    state.lock().unwrap().faults.extend(std::iter::repeat_n(
        Reply::Json(500, json!({ "detail": "boom" })),
        50,
    ));
    let error = cause(&remote.generate(&requests(1)).unwrap_err());
    assert!(error.contains("status 500: boom"), "{error}");
    assert!(state.lock().unwrap().faults.len() > 35);
}

#[test]
fn answers_that_are_none_are_errors_and_never_samples() {
    let body = json!({ "model": "actor", "prompt": [[1, 5, 0]], "seed": 1, "max_tokens": 8, "temperature": 1.0 });
    let honest = completion(&body, "", false);
    let spoilt = |place: &str, value: Value| {
        let mut answer = honest.clone();
        *answer.pointer_mut(place).unwrap() = value;
        Reply::ok(answer)
    };
    let nine: Vec<u32> = vec![3; 9];
    let mut twice = honest.clone();
    twice["choices"] = json!([honest["choices"][0], honest["choices"][0]]);
    let mut anonymous = honest.clone();
    anonymous["choices"][0]["token_ids"] = Value::Null;
    anonymous["choices"][0]["logprobs"]["tokens"] = json!([" the", " answer"]);
    let cases = [
        (
            spoilt("/choices", json!([])),
            "has 0 samples; 1 was asked for",
        ),
        (Reply::ok(twice), "has 2 samples; 1 was asked for"),
        (spoilt("/choices", json!("none")), "has no `choices`"),
        (
            spoilt("/model", json!("gpt-5")),
            "is of model `gpt-5`; `actor` was asked for",
        ),
        (
            spoilt("/choices/0/token_ids", json!([])),
            "has 0 tokens; 1 to 8",
        ),
        (
            spoilt("/choices/0/token_ids", json!(nine)),
            "has 9 tokens; 1 to 8",
        ),
        (
            spoilt("/choices/0/token_ids", json!([16])),
            "has the token id 16, outside the vocabulary of 16",
        ),
        (
            spoilt("/choices/0/token_ids", json!([-1])),
            "has `-1` in `choices[0].token_ids`",
        ),
        (
            spoilt("/choices/0/token_ids", json!([3])),
            "log-probs for 1 tokens",
        ),
        (
            spoilt("/choices/0/logprobs/token_logprobs/0", json!(0.5)),
            "has the log-prob 0.5",
        ),
        (
            spoilt("/choices/0/logprobs/token_logprobs/0", json!(null)),
            "has `null` in",
        ),
        (
            spoilt("/choices/0/logprobs/token_logprobs/0", json!("-inf")),
            "has `\"-inf\"` in",
        ),
        (
            spoilt("/choices/0/finish_reason", json!("abort")),
            "ended by `abort`",
        ),
        (
            spoilt("/choices/0/prompt_token_ids", json!([5, 0])),
            "was computed for another prompt, of 2 tokens; 3 were sent",
        ),
        (Reply::ok(anonymous), "has no token ids"),
        (Reply::Text(200, "not json".to_owned()), "cannot be read"),
        (Reply::Text(200, "[".repeat(100_000)), "cannot be read"),
        (Reply::Text(200, " ".repeat(2_000_000)), "is longer than"),
        (
            Reply::Json(
                400,
                json!({ "error": { "message": "max_tokens is too large" } }),
            ),
            "status 400: max_tokens is too large",
        ),
    ];
    for (fault, want) in cases {
        let state = Vllm::shared();
        let server = Vllm::start(&state);
        let remote = connect(&[&server]);
        state.lock().unwrap().faults.push_back(fault);
        let error = cause(&remote.generate(&requests(1)[..1]).unwrap_err());
        assert!(error.contains(want), "wanted `{want}`, found: {error}");
    }
}

#[test]
fn servers_are_checked_before_they_are_used() {
    let refuse = |change: &dyn Fn(&mut Vllm), want: &str| {
        let state = Vllm::shared();
        change(&mut state.lock().unwrap());
        let server = Vllm::start(&state);
        let error = Remote::connect(trained(&[&server.url()]), Arc::new(Letters))
            .unwrap_err()
            .to_string();
        assert!(error.contains(want), "{error}");
    };
    refuse(
        &|it| it.model = "other".to_owned(),
        "does not serve `actor`, it serves `other`",
    );
    refuse(
        &|it| it.context = 32,
        "holds 32 tokens, the run asks for 64",
    );
    refuse(
        &|it| it.raw = true,
        "start vLLM with `--logprobs-mode processed_logprobs`",
    );
    let server = Vllm::start(&Vllm::shared());
    Remote::connect(trained(&[&server.url()]), Arc::new(Letters)).unwrap();
    let none = settings(&[]);
    assert!(
        Remote::connect(none, Arc::new(Letters))
            .unwrap_err()
            .to_string()
            .contains("no address is given")
    );
}

#[test]
fn what_training_cannot_use_is_refused() {
    let server = Vllm::start(&Vllm::shared());
    let remote = Remote::connect(trained(&[&server.url()]), Arc::new(Letters)).unwrap();
    let ask = |sampling: Sampling| {
        let request = Request {
            sampling,
            ..requests(1)[0].clone()
        };
        remote.generate(&[request])
    };
    let base = Sampling {
        temperature: 0.7,
        max_new_tokens: 8,
        ..Sampling::default()
    };
    ask(base.clone()).unwrap();
    let error = cause(
        &ask(Sampling {
            top_p: 0.9,
            ..base.clone()
        })
        .unwrap_err(),
    );
    assert!(
        error.contains("top_p = 0.9, top_k = 0, min_p = 0: servers give log-probs after"),
        "{error}"
    );
    let error = cause(
        &ask(Sampling {
            temperature: 0.9,
            ..base
        })
        .unwrap_err(),
    );
    assert!(
        error.contains("temperature 0.9 is sampled, log-probs were checked at 0.7"),
        "{error}"
    );
}

#[test]
fn prompts_that_cannot_be_served_are_told_apart() {
    let server = Vllm::start(&Vllm::shared());
    let remote = connect(&[&server]);
    let ask = |prompt: Vec<u32>| {
        remote
            .generate(&[Request {
                prompt,
                ..requests(1)[0].clone()
            }])
            .unwrap_err()
    };
    assert!(matches!(ask(vec![]), GenerateError::EmptyPrompt));
    assert!(matches!(
        ask(vec![1; 64]),
        GenerateError::PromptTooLong {
            prompt: 64,
            context: 64
        }
    ));
    assert!(matches!(
        ask(vec![1, 16]),
        GenerateError::UnknownToken { id: 16, vocab: 16 }
    ));
    assert!(remote.generate(&[]).unwrap().is_empty());
    assert_eq!(remote.context_tokens(), 64);
}

#[test]
fn llama_cpp_is_refused_for_training_at_other_temperatures_than_1() {
    let server = Server::start(|seen| {
        if seen.path == "/v1/models" {
            return Reply::ok(json!({ "data": [{ "id": "actor", "meta": { "n_vocab": 16 } }] }));
        }
        let top = json!([{ "id": 4, "logprob": -0.2 }, { "id": 5, "logprob": -1.7 }]);
        Reply::ok(json!({
            "stop_type": "limit", "truncated": false, "tokens_evaluated": seen.body["prompt"].as_array().unwrap().len(),
            "completion_probabilities": [{ "id": 4, "logprob": -0.2, "top_logprobs": top }],
        }))
    });
    let url = server.url();
    let mut settings = trained(&[&url]);
    settings.engine = EngineKind::LlamaCpp;
    let error = Remote::connect(settings.clone(), Arc::new(Letters))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("llama.cpp gives them at temperature 1"),
        "{error}"
    );
    settings.temperature = 1.0;
    Remote::connect(settings, Arc::new(Letters)).unwrap();
}
