//! `score`, `generate` and `export` against models whose numbers transformers gave.

use serde_json::{Value, json};

use crate::support::{golden, json_file, run, run_with};

/// A tolerance in nats for f32 on any device.
const NATS: f64 = 1e-3;

const MODELS: [&str; 9] = [
    "llama-f16",
    "llama-tied",
    "llama-untied",
    "llama3-rope",
    "qwen2-bf16",
    "qwen2-tied",
    "qwen2-untied",
    "qwen3-sharded",
    "qwen3-tied",
];

fn lines_of(expected: &Value) -> String {
    let lines = expected["ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ids| json!({ "ids": ids }).to_string() + "\n");
    lines.collect()
}

fn assert_scores(name: &str, stdout: &str, expected: &Value) {
    let difference = largest_difference(name, stdout, expected);
    assert!(difference < NATS, "{name}: {difference}");
}

fn largest_difference(name: &str, stdout: &str, expected: &Value) -> f64 {
    let mut largest: f64 = 0.0;
    let wanted = expected.as_array().unwrap();
    assert_eq!(stdout.lines().count(), wanted.len(), "{name}");
    for (line, wanted) in stdout.lines().zip(wanted) {
        let found: Value = serde_json::from_str(line).unwrap();
        let (found, wanted) = (
            found["logprobs"].as_array().unwrap(),
            wanted.as_array().unwrap(),
        );
        assert_eq!(found.len(), wanted.len(), "{name}");
        for (a, b) in found.iter().zip(wanted) {
            largest = largest.max((a.as_f64().unwrap() - b.as_f64().unwrap()).abs());
        }
    }
    largest
}

#[test]
fn scores_equal_those_of_transformers() {
    for name in MODELS {
        let dir = golden(&format!("models/{name}"));
        let expected = json_file(&dir.join("expected.json"));
        let input = lines_of(&expected);
        let stdout = run_with(&input, &["score", "--model", dir.to_str().unwrap()]).ok();
        assert_scores(name, &stdout, &expected["logprobs"]);
        let stdout = run_with(
            &input,
            &[
                "score",
                "--model",
                dir.to_str().unwrap(),
                "--temperature",
                "0.7",
            ],
        )
        .ok();
        assert_scores(name, &stdout, &expected["logprobs_at_0_7"]);
    }
}

#[test]
fn scores_of_weights_in_bf16_are_near_and_not_the_same() {
    let dir = golden("models/qwen2-tied");
    let expected = json_file(&dir.join("expected.json"));
    let dtype = ["--dtype", "bf16"];
    let args = [
        "score",
        "--model",
        dir.to_str().unwrap(),
        dtype[0],
        dtype[1],
    ];
    let stdout = run_with(&lines_of(&expected), &args).ok();
    let difference = largest_difference("qwen2-tied", &stdout, &expected["logprobs"]);
    assert!((NATS..0.3).contains(&difference), "{difference}");
}

#[test]
fn scores_with_an_adapter_equal_those_of_peft_merged_or_not() {
    for name in ["llama-untied", "qwen2-tied"] {
        let dir = golden(&format!("models/{name}"));
        let adapter = dir.join("adapter");
        let expected = json_file(&dir.join("expected_adapter.json"));
        let args = [
            "score",
            "--model",
            dir.to_str().unwrap(),
            "--adapter",
            adapter.to_str().unwrap(),
        ];
        let stdout = run_with(&lines_of(&expected), &args).ok();
        assert_scores(name, &stdout, &expected["logprobs"]);
    }
}

#[test]
fn greedy_tokens_equal_those_of_transformers() {
    for name in MODELS {
        let dir = golden(&format!("models/{name}"));
        let greedy = &json_file(&dir.join("expected.json"))["greedy"];
        let list = |value: &Value| {
            let ids: Vec<String> = value
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect();
            ids.join(",")
        };
        let (prompt, wanted) = (list(&greedy["prompt"]), list(&greedy["tokens"]));
        let most = greedy["tokens"].as_array().unwrap().len().to_string();
        let args = [
            "generate",
            "--model",
            dir.to_str().unwrap(),
            "--ids",
            &prompt,
            "--max-new-tokens",
            &most,
        ];
        // The golden tokens go on through the end-of-text token; the command stops after it.
        let end = json_file(&dir.join("config.json"))["eos_token_id"].to_string();
        let until_end = wanted.split(',').scan(false, |ended, id| {
            let before = std::mem::replace(ended, *ended || id == end);
            (!before).then_some(id)
        });
        let wanted = until_end.collect::<Vec<_>>().join(",");
        assert_eq!(run(&args).ok().trim(), wanted, "{name}");
    }
}

#[test]
fn a_bad_line_is_named_and_those_before_it_are_answered() {
    let dir = golden("models/qwen2-tied");
    let args = ["score", "--model", dir.to_str().unwrap()];
    let ran = run_with("{\"ids\":[1,2,3]}\n\n{\"ids\":[1,2}\n", &args);
    assert_eq!((ran.code, ran.stdout.lines().count()), (1, 1));
    assert!(
        ran.stderr.starts_with("error: standard input, line 3: "),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("expected an object such as {\"ids\":[1,2,3]}"),
        "{}",
        ran.stderr
    );

    let stderr = run_with("{\"ids\":[1,2]}\n{\"ids\":[1,99999]}\n", &args).fails(1);
    assert_eq!(
        stderr.trim(),
        "error: standard input, line 2: token id 99999 is outside the vocabulary of 64 tokens"
    );

    let stderr = run_with("{\"ids\":[]}\n", &args).fails(1);
    assert!(stderr.contains("line 1: `ids` is empty"), "{stderr}");

    assert_eq!(
        run_with("{\"ids\":[5]}\n", &args).ok(),
        "{\"logprobs\":[]}\n"
    );
}

#[test]
fn a_missing_model_is_named() {
    let stderr = run(&["score", "--model", "no such model"]).fails(1);
    assert_eq!(
        stderr.trim(),
        "error: `no such model` is not there; expected a model folder in Hugging Face layout"
    );
}

#[test]
fn benchmarks_run_on_both_engines() {
    let dir = golden("models/qwen2-tied");
    let lengths = ["--prompt-tokens", "4", "--new-tokens", "4"];
    let sequences = ["--batch", "2", "--tokens", "8"];
    let works = [
        [&["logprobs"][..], &sequences].concat(),
        [&["train"][..], &sequences].concat(),
        [&["train", "--lora", "2"][..], &sequences].concat(),
        [&["decode", "--batch", "2"][..], &lengths].concat(),
        [
            &["rloo-step", "--prompts", "2", "--group", "2"][..],
            &lengths,
        ]
        .concat(),
    ];
    for work in works {
        for device in ["cpu", "flex"] {
            let model = ["--model", dir.to_str().unwrap(), "--device", device];
            let args = [&["bench"], &*work, &model, &["--steps", "1", "--json"]].concat();
            let speed: Value = serde_json::from_str(&run(&args).ok()).unwrap();
            assert!(speed["step_s"].as_f64().unwrap() > 0.0, "{args:?}: {speed}");
            // Only the CPU engine's memory is predicted.
            assert_eq!(speed.get("predicted_mb").is_some(), device == "cpu");
        }
    }
}

#[test]
fn a_name_of_the_hub_gets_the_command_that_downloads_it() {
    let fetches =
        "`hf download Qwen/Qwen2.5-0.5B-Instruct --local-dir models/Qwen2.5-0.5B-Instruct`";
    let args = [
        "generate",
        "--prompt",
        "1",
        "--model",
        "Qwen/Qwen2.5-0.5B-Instruct",
    ];
    let stderr = run(&args).fails(1);
    assert!(
        stderr.contains("`Qwen/Qwen2.5-0.5B-Instruct` is not there"),
        "{stderr}"
    );
    assert!(stderr.contains(fetches), "{stderr}");

    // So does a model of a run file, beside the key that names it.
    let text = std::fs::read_to_string(
        crate::support::workspace().join("configs/gsm8k-smollm2-lora.toml"),
    );
    let (folder, path) = crate::support::run_file(&text.unwrap());
    let args = [
        "train",
        path.to_str().unwrap(),
        "task.sample=true",
        "--dry-run",
    ];
    let stderr = crate::support::run_in(folder.path(), &args).fails(1);
    assert!(stderr.contains("`models.actor.path` names it"), "{stderr}");
    let fetches = "`hf download HuggingFaceTB/SmolLM2-135M-Instruct --local-dir models/SmolLM2-135M-Instruct`";
    assert!(stderr.contains(fetches), "{stderr}");
}
