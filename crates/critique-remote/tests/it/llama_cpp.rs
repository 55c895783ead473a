//! Rollouts on the real server of llama.cpp, which `workers/llama_cpp/serve.py` starts with the
//! model `tests/golden/models/llama-untied`. Left out where `CRITIQUE_RL_LLAMA_URL` names none.

use std::sync::Arc;

use critique_core::{FinishReason, Generate, GenerateError, Prompt, Request, Sampling};
use critique_remote::rollout::{EngineKind, LogProbs, Remote, RolloutSettings, Text};
use serde_json::Value;

/// Ids as the words that the server was given.
struct Words;

impl Text for Words {
    fn encode(&self, _: &Prompt) -> Result<Vec<u32>, GenerateError> {
        Ok(vec![60, 49, 26, 12, 35])
    }

    fn decode(&self, tokens: &[u32]) -> String {
        let words: Vec<String> = tokens.iter().map(|it| format!("w{it}")).collect();
        words.concat()
    }

    fn ends(&self) -> &[u32] {
        &[2]
    }

    fn vocab(&self) -> usize {
        64
    }
}

fn golden() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/models/llama-untied/expected.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn settings() -> Option<RolloutSettings> {
    let url = std::env::var("CRITIQUE_RL_LLAMA_URL").ok()?;
    let models: Value = ureq::get(format!("{url}/v1/models"))
        .call()
        .unwrap()
        .body_mut()
        .read_json()
        .unwrap();
    let name = models["data"][0]["id"].as_str().unwrap();
    Some(RolloutSettings::new(
        EngineKind::LlamaCpp,
        &[&url],
        name,
        64,
    ))
}

fn request(golden: &Value, sampling: Sampling, seeds: &[u64]) -> Request {
    Request {
        prompt: serde_json::from_value(golden["greedy"]["prompt"].clone()).unwrap(),
        seeds: seeds.to_vec(),
        sampling,
    }
}

#[test]
fn greedy_tokens_are_those_of_transformers() {
    let Some(settings) = settings() else { return };
    let (golden, remote) = (
        golden(),
        Remote::connect(settings, Arc::new(Words)).unwrap(),
    );
    let greedy = Sampling {
        temperature: 0.0,
        max_new_tokens: 16,
        ..Sampling::default()
    };
    let found = remote
        .generate(&[request(&golden, greedy.clone(), &[1, 2])])
        .unwrap();
    for completion in &found[0] {
        assert_eq!(
            serde_json::to_value(&completion.tokens).unwrap(),
            golden["greedy"]["tokens"]
        );
        assert_eq!(completion.finish_reason, FinishReason::Length);
    }
    // The fourth token completes it; `w5` alone, of `w54`, does not.
    let stop = Sampling {
        stop: vec!["w15".to_owned()],
        ..greedy
    };
    let found = remote
        .generate(&[request(&golden, stop, &[1])])
        .unwrap()
        .remove(0)
        .remove(0);
    assert_eq!(
        (found.tokens.as_slice(), found.text.as_str()),
        (&[54, 54, 54, 15][..], "w54w54w54")
    );
    assert_eq!(
        (found.log_probs.len(), found.finish_reason),
        (4, FinishReason::Stop)
    );
}

#[test]
fn samples_repeat_by_seed_whatever_runs_beside_them() {
    let Some(settings) = settings() else { return };
    let (golden, remote) = (
        golden(),
        Remote::connect(settings, Arc::new(Words)).unwrap(),
    );
    let hot = Sampling {
        temperature: 1.0,
        max_new_tokens: 12,
        ..Sampling::default()
    };
    let seeds: Vec<u64> = (0..12).map(|it| u64::MAX - it).collect();
    let together = remote
        .generate(&[request(&golden, hot.clone(), &seeds)])
        .unwrap()
        .remove(0);
    let alone: Vec<_> = seeds
        .iter()
        .map(|it| {
            remote
                .generate(&[request(&golden, hot.clone(), &[*it])])
                .unwrap()
                .remove(0)
                .remove(0)
        })
        .collect();
    let tokens = |found: &[critique_core::Completion]| {
        found.iter().map(|it| it.tokens.clone()).collect::<Vec<_>>()
    };
    assert_eq!(tokens(&together), tokens(&alone));
    let mut distinct = tokens(&together);
    distinct.sort();
    distinct.dedup();
    assert!(distinct.len() > 6, "{distinct:?}");
}

#[test]
fn log_probs_are_found_to_be_at_temperature_1() {
    let Some(mut settings) = settings() else {
        return;
    };
    settings.log_probs = LogProbs::Trained;
    Remote::connect(settings.clone(), Arc::new(Words)).unwrap();
    settings.temperature = 0.7;
    let error = Remote::connect(settings.clone(), Arc::new(Words))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("llama.cpp gives them at temperature 1"),
        "{error}"
    );
    settings.context_tokens = 4096;
    let error = Remote::connect(settings, Arc::new(Words))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("holds") && error.contains("the run asks for 4096"),
        "{error}"
    );
}
