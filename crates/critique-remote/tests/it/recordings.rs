//! Recorded answers of each kind of server: what is asked, and what is read out of the answer.

use std::sync::Arc;

use critique_core::{FinishReason, Generate, Request, Sampling};
use critique_remote::rollout::{EngineKind, Remote};
use serde_json::Value;

use crate::server::{Reply, Server};
use crate::vllm::{Letters, settings};

fn recorded(name: &str) -> Value {
    let path = format!(
        "{}/tests/it/recorded/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn replay(answer: &'static str) -> Server {
    Server::start(move |seen| {
        Reply::ok(recorded(if seen.path == "/v1/models" {
            "vllm_models"
        } else {
            answer
        }))
    })
}

const KINDS: [(EngineKind, &str, &str); 4] = [
    (EngineKind::Vllm, "vllm_completion", "/v1/completions"),
    (EngineKind::Sglang, "sglang_generate", "/generate"),
    (EngineKind::LlamaCpp, "llama_cpp_completion", "/completion"),
    (EngineKind::Openai, "openai_completion", "/v1/completions"),
];

fn request() -> Request {
    Request {
        prompt: vec![1, 5, 9],
        seeds: vec![u64::MAX, 3],
        sampling: Sampling {
            temperature: 0.7,
            max_new_tokens: 8,
            ..Sampling::default()
        },
    }
}

#[test]
fn every_kind_gives_ids_log_probs_text_and_end() {
    for (engine, answer, path) in KINDS {
        let server = replay(answer);
        let mut settings = settings(&[&server.url()]);
        settings.engine = engine;
        let remote = Remote::connect(settings, Arc::new(Letters)).unwrap();
        let found = remote.generate(&[request()]).unwrap();
        assert_eq!(found[0].len(), 2);
        let completion = &found[0][0];
        assert_eq!(completion.tokens, [12, 7, 2], "{engine:?}");
        assert_eq!(
            completion.log_probs,
            [-0.25, -1.5, -0.0078125],
            "{engine:?}"
        );
        assert_eq!(
            (completion.text.as_str(), completion.finish_reason),
            ("mh", FinishReason::Stop)
        );
        let asked: Vec<_> = server
            .seen()
            .into_iter()
            .filter(|it| it.path == path)
            .collect();
        assert_eq!(asked.len(), 2, "one request a seed");
        assert_eq!(asked[0].method, "POST");
    }
}

#[test]
fn requests_hold_ids_one_sample_and_a_seed_that_fits() {
    let places = [
        ("/prompt/0", "/n", "/seed", "/max_tokens", i64::MAX as u64),
        (
            "/input_ids",
            "/sampling_params/n",
            "/sampling_params/sampling_seed",
            "/sampling_params/max_new_tokens",
            i64::MAX as u64,
        ),
        (
            "/prompt",
            "/none",
            "/seed",
            "/n_predict",
            u64::from(u32::MAX) - 1,
        ),
        ("/prompt/0", "/n", "/seed", "/max_tokens", i64::MAX as u64),
    ];
    for ((engine, answer, path), (prompt, n, seed, most, largest)) in KINDS.into_iter().zip(places)
    {
        let server = replay(answer);
        let mut settings = settings(&[&server.url()]);
        settings.engine = engine;
        let remote = Remote::connect(settings, Arc::new(Letters)).unwrap();
        remote.generate(&[request()]).unwrap();
        for seen in server.seen().iter().filter(|it| it.path == path) {
            assert_eq!(
                seen.body.pointer(prompt).unwrap(),
                &serde_json::json!([1, 5, 9])
            );
            assert_eq!(seen.body.pointer(most).unwrap(), 8);
            assert!(seen.body.pointer(n).is_none_or(|it| it == 1));
            assert!(
                seen.body.pointer(seed).unwrap().as_u64().unwrap() <= largest,
                "{engine:?}"
            );
        }
    }
}

#[test]
fn all_settings_of_sampling_reach_the_server() {
    let server = replay("vllm_completion");
    let remote = Remote::connect(settings(&[&server.url()]), Arc::new(Letters)).unwrap();
    let mut request = request();
    request.sampling = Sampling {
        temperature: 0.5,
        top_p: 0.9,
        top_k: 5,
        min_p: 0.25,
        max_new_tokens: 100,
        stop: vec!["h".to_owned()],
        stop_token_ids: vec![9],
        ignore_eos: true,
    };
    request.seeds.truncate(1);
    let found = remote.generate(&[request]).unwrap();
    assert_eq!(found[0][0].text, "m", "cut at the stop text");
    assert_eq!(
        found[0][0].tokens,
        [12, 7],
        "the token that completes it is the last"
    );
    let body = server.seen().pop().unwrap().body;
    for (field, value) in [("temperature", 0.5), ("min_p", 0.25)] {
        assert_eq!(body[field].as_f64().unwrap(), value);
    }
    // A completion and its prompt take the context together.
    for (field, value) in [
        ("top_k", "5"),
        ("max_tokens", "61"),
        ("stop", "[\"h\"]"),
        ("stop_token_ids", "[9]"),
        ("ignore_eos", "true"),
    ] {
        assert_eq!(body[field].to_string(), value, "{field}");
    }
}

#[test]
fn what_a_kind_cannot_do_is_an_error_before_it_is_asked() {
    let cases = [
        (
            EngineKind::Vllm,
            Sampling {
                temperature: 2.5,
                ..Sampling::default()
            },
            "temperatures up to 2",
        ),
        (
            EngineKind::LlamaCpp,
            Sampling {
                stop_token_ids: vec![1],
                ..Sampling::default()
            },
            "no `stop_token_ids`",
        ),
        (
            EngineKind::Openai,
            Sampling {
                top_k: 3,
                ..Sampling::default()
            },
            "no `top_k`",
        ),
    ];
    for (engine, sampling, want) in cases {
        let server = replay("vllm_completion");
        let mut settings = settings(&[&server.url()]);
        settings.engine = engine;
        let remote = Remote::connect(settings, Arc::new(Letters)).unwrap();
        let error = remote
            .generate(&[Request {
                sampling,
                ..request()
            }])
            .unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(want), "{cause}");
        assert_eq!(
            server.seen().len(),
            1,
            "only the list of models was asked for"
        );
    }
}
