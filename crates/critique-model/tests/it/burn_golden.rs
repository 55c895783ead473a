//! The burn engine against transformers, PEFT and PyTorch (see `tests/golden/README.md`).

use critique_core::Request;
use critique_model::{BurnLimits, Engine, load_adapter, load_tensors};

use crate::burn_support::{
    ENDS, bounds, distance, engine, flat, floats, golden, ids, json, model, sampling, sequences,
    tensor_distance, weighted,
};

const MODELS: [&str; 9] = [
    "qwen2-tied",
    "qwen2-untied",
    "qwen3-tied",
    "qwen3-sharded",
    "llama-untied",
    "llama3-rope",
    "llama-tied",
    "qwen2-bf16",
    "llama-f16",
];

fn assert_log_probs(engine: &dyn Engine, expected: &serde_json::Value, what: &str) {
    let groups = sequences(&expected["ids"]);
    for (field, temperature) in [("logprobs", 1.0), ("logprobs_at_0_7", 0.7)] {
        let Some(wanted) = expected[field].as_array() else {
            continue;
        };
        let wanted: Vec<f32> = wanted.iter().flat_map(floats).collect();
        let found = engine.score(&groups, temperature).unwrap();
        let most = distance(flat(&found), &wanted);
        assert!(most < bounds().log_probs, "{what} {field}: off by {most}");
    }
}

#[test]
fn log_probs_and_greedy_tokens_equal_transformers() {
    for name in MODELS {
        let expected = json(&format!("models/{name}/expected.json"));
        let (config, weights) = model(name);
        let engine = engine(&config, weights, None, false);
        assert_log_probs(&engine, &expected, name);
        let greedy = &expected["greedy"];
        let tokens = ids(&greedy["tokens"]);
        let request = Request {
            prompt: ids(&greedy["prompt"]),
            seeds: vec![1],
            sampling: sampling(0.0, tokens.len()),
        };
        let found = engine.generate(&[request], &ENDS).unwrap();
        assert_eq!(found[0][0].tokens, tokens, "{name}");
    }
}

#[test]
fn log_probs_with_an_adapter_equal_peft() {
    for name in ["qwen2-tied", "llama-untied"] {
        let (config, weights) = model(name);
        let dir = golden(&format!("models/{name}/adapter"));
        let adapter = load_adapter(&dir, &config).unwrap();
        let lora = Some((adapter.config, adapter.tensors));
        let engine = engine(&config, weights, lora, false);
        let expected = json(&format!("models/{name}/expected_adapter.json"));
        assert_log_probs(&engine, &expected, &format!("{name} with an adapter"));
    }
}

#[test]
fn gradients_equal_pytorch() {
    for (name, with_adapter) in [
        ("qwen2-tied", false),
        ("llama-untied", false),
        ("qwen2-tied", true),
        ("llama-untied", true),
    ] {
        let file = if with_adapter {
            "gradients_adapter"
        } else {
            "gradients"
        };
        let about = json(&format!("models/{name}/{file}.json"));
        let groups = sequences(&about["ids"]);
        let weights = about["weights"].as_array().unwrap();
        let weights: Vec<_> = weights.iter().map(floats).collect();
        let wanted = load_tensors(&golden(&format!("models/{name}/{file}.safetensors"))).unwrap();
        // Everything at once, then a row, a layer and a few tokens at a time.
        let small = BurnLimits {
            batch_tokens: 1,
            tape_bytes: 1,
            logits_bytes: 16 * 64 * 3,
            ..BurnLimits::default()
        };
        for limits in [BurnLimits::default(), small] {
            let (config, base) = model(name);
            let dir = golden(&format!("models/{name}/adapter"));
            let lora = with_adapter.then(|| {
                let adapter = load_adapter(&dir, &config).unwrap();
                (adapter.config, adapter.tensors)
            });
            let mut engine = engine(&config, base, lora, true).with_limits(limits);
            engine
                .accumulate(&groups, 1.0, &weighted(&weights))
                .unwrap();
            let (most, largest) = tensor_distance(&engine.gradients(), &wanted);
            println!("{name} {file}: off by {:e} of the largest", most / largest);
            assert!(
                most < bounds().gradients * largest,
                "{name} {file}: {most} of {largest}"
            );
        }
    }
}
