//! Commands whose models are sampled on servers.

use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::support::{run, run_file};

/// A folder with an untrained model that speaks the words of arithmetic.
fn model() -> (tempfile::TempDir, String) {
    let (folder, file) = run_file(
        r#"
        seed = 1
        out = "run"
        task = { name = "arithmetic", train = 8, validation = 2, test = 2 }
        models.base.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }
        [[stages]]
        kind = "sft"
        name = "made"
        model = "base"
        steps = 1
        data = [{ kind = "solutions", rows = 2 }]
        lr = 1e-3
        "#,
    );
    let out = format!("out={}", folder.path().join("run").display());
    run(&["train", file.to_str().unwrap(), &out]).ok();
    let model = folder.path().join("run/stages/made");
    (folder, model.to_str().unwrap().to_owned())
}

/// A server of vLLM's shape that gives this completion to every prompt.
fn serve(completion: &Value) -> Server {
    let (tokens, log_probs) = (completion["tokens"].clone(), completion["logprobs"].clone());
    let finish = completion["finish_reason"].clone();
    Server::start(move |seen| match seen.path.as_str() {
        "/v1/models" => Reply::ok(json!({ "data": [{ "id": "m", "max_model_len": 64 }] })),
        _ => Reply::ok(json!({
            "model": "m",
            "choices": [{
                "token_ids": tokens, "prompt_token_ids": seen.body["prompt"][0], "finish_reason": finish,
                "logprobs": { "token_logprobs": log_probs },
            }],
        })),
    })
}

#[test]
fn generate_prints_what_the_server_samples_and_reads_no_weights() {
    let (_folder, model) = model();
    let ask = [
        "generate",
        "--model",
        &model,
        "--prompt",
        "1 + 1",
        "--json",
        "--max-new-tokens",
        "6",
    ];
    let here = run(&ask).ok();
    std::fs::remove_file(format!("{model}/model.safetensors")).unwrap();
    let server = serve(&serde_json::from_str(&here).unwrap());
    let url = server.url();
    let there = [&ask[..], &["--url", &url, "--served-model", "m"]].concat();
    assert_eq!(run(&there).ok(), here);
    assert_eq!(server.count("v1/completions"), 1);
    let eval = [
        "eval",
        "--actor",
        &model,
        "--actor-url",
        &url,
        "--actor-model",
        "m",
        "--task",
        "arithmetic",
    ];
    let options = [
        "operations=1",
        "train=8",
        "validation=2",
        "test=3",
        "--max-new-tokens",
        "6",
        "--json",
    ];
    let found: Value = serde_json::from_str(&run(&[&eval[..], &options].concat()).ok()).unwrap();
    assert_eq!(found["rows"][0]["stage"], "no_critic");
    assert_eq!(server.count("v1/completions"), 4);
}

#[test]
fn what_is_wrong_with_servers_is_told() {
    let (_folder, model) = model();
    let ask = ["generate", "--model", &model, "--prompt", "1 + 1"];
    let dead = [&ask[..], &["--url", "http://127.0.0.1:9"]].concat();
    let told = run(&dead).fails(1);
    assert!(told.contains("cannot reach `http://127.0.0.1:9`"), "{told}");
    let kind = [&dead[..], &["--engine", "tgi"]].concat();
    let told = run(&kind).fails(2);
    assert!(told.contains("vllm, sglang, llama_cpp, openai"), "{told}");
    let server = serve(&json!({}));
    let url = server.url();
    let other = [&ask[..], &["--url", &url]].concat();
    let told = run(&other).fails(1);
    assert!(told.contains("does not serve `"), "{told}");
    let adapter = [&other[..], &["--adapter", &model]].concat();
    let told = run(&adapter).fails(2);
    assert!(told.contains("an adapter of a model on a server"), "{told}");
}
