//! A trained adapter on its way to vLLM and `SGLang`.

use std::path::Path;
use std::sync::Arc;

use critique_remote::rollout::{EngineKind, Remote, Sampled};
use serde_json::json;

use crate::server::{Reply, Server};
use crate::vllm::{Letters, Vllm, requests, trained};

fn connect(servers: &[&Server]) -> Remote<Letters> {
    let urls: Vec<String> = servers.iter().map(|it| it.url()).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    Remote::connect(trained(&urls), Arc::new(Letters)).unwrap()
}

fn versions(found: &[Vec<Sampled>]) -> Vec<Option<u64>> {
    let mut versions: Vec<_> = found.iter().flatten().map(|it| it.version).collect();
    versions.dedup();
    versions
}

#[test]
fn every_completion_carries_the_version_that_wrote_it() {
    let states = [Vllm::shared(), Vllm::shared()];
    let servers = states.each_ref().map(Vllm::start);
    let remote = connect(&[&servers[0], &servers[1]]);
    let base = remote.generate_versioned(&requests(10)).unwrap();
    assert_eq!(versions(&base), [None]);
    for version in [1, 2] {
        let folder = format!("/shared/critic/{version}");
        remote.push_adapter(Path::new(&folder), version).unwrap();
        assert_eq!(remote.version(), Some(version));
        let found = remote.generate_versioned(&requests(10)).unwrap();
        assert_eq!(versions(&found), [Some(version)]);
        assert_ne!(found[0][0].completion, base[0][0].completion);
        for state in &states {
            let adapters = &state.lock().unwrap().adapters;
            let served: Vec<_> = adapters.iter().collect();
            assert_eq!(
                served,
                [(&format!("critic-v{version}"), &folder)],
                "the one before is unloaded"
            );
        }
    }
}

#[test]
fn a_folder_or_version_is_never_pushed_again() {
    let server = Vllm::start(&Vllm::shared());
    let remote = connect(&[&server]);
    remote
        .push_adapter(Path::new("/shared/critic/5"), 5)
        .unwrap();
    let error = remote
        .push_adapter(Path::new("/shared/critic/5"), 6)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("was given `/shared/critic/5` before"),
        "{error}"
    );
    let error = remote
        .push_adapter(Path::new("/shared/critic/4"), 4)
        .unwrap_err()
        .to_string();
    assert!(error.contains("samples version 5 already"), "{error}");
}

#[test]
fn a_server_that_was_started_anew_gets_its_adapter_back() {
    let states = [Vllm::shared(), Vllm::shared()];
    let [first, second] = states.each_ref().map(Vllm::start);
    let remote = connect(&[&first, &second]);
    remote
        .push_adapter(Path::new("/shared/critic/1"), 1)
        .unwrap();
    let want = remote.generate_versioned(&requests(20)).unwrap();
    // Started anew so fast that no request failed to connect.
    states[1].lock().unwrap().adapters.clear();
    let found = remote.generate_versioned(&requests(20)).unwrap();
    let plain = |found: &[Vec<Sampled>]| -> Vec<_> {
        found
            .iter()
            .flatten()
            .map(|it| it.completion.clone())
            .collect()
    };
    assert_eq!(plain(&found), plain(&want));
    // Away while a version was pushed.
    let address = second.address();
    drop(second);
    states[1].lock().unwrap().adapters.clear();
    remote
        .push_adapter(Path::new("/shared/critic/2"), 2)
        .unwrap();
    let _second = Vllm::start_at(&states[1], address);
    std::thread::sleep(std::time::Duration::from_millis(200));
    let found = remote.generate_versioned(&requests(40)).unwrap();
    assert_eq!(versions(&found), [Some(2)]);
    assert!(found.iter().flatten().any(|it| it.server == 1));
}

#[test]
fn adapters_that_do_not_arrive_are_errors_that_say_what_to_do() {
    let push = |change: &dyn Fn(&mut Vllm), want: &str| {
        let state = Vllm::shared();
        let server = Vllm::start(&state);
        let remote = connect(&[&server]);
        change(&mut state.lock().unwrap());
        let error = remote
            .push_adapter(Path::new("/shared/critic/1"), 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains(want), "{error}");
        assert_eq!(remote.version(), None);
    };
    let fault = |reply: Reply| move |it: &mut Vllm| it.load_faults.push_back(reply.clone());
    push(
        &fault(Reply::Json(404, json!({ "detail": "Not Found" }))),
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1",
    );
    push(
        &fault(Reply::Json(
            400,
            json!({ "error": { "message": "rank 64 exceeds max_lora_rank 16" } }),
        )),
        "rank 64 exceeds max_lora_rank 16",
    );
    push(
        &fault(Reply::Text(200, "Success".to_owned())),
        "said that it loaded the adapter `critic-v1`, but does not serve it",
    );
    let stale = |it: &mut Vllm| {
        it.adapters
            .insert("critic-v1".to_owned(), "/other/run/1".to_owned());
    };
    push(
        &stale,
        "has an adapter `critic-v1` from `/other/run/1`, not from `/shared/critic/1`",
    );
    push(&fault(Reply::Close), "no server is left");
}

#[test]
fn a_load_whose_answer_was_lost_is_found_to_have_worked() {
    let state = Vllm::shared();
    let server = Vllm::start(&state);
    let remote = connect(&[&server]);
    state.lock().unwrap().load_faults.push_back(Reply::Close);
    remote
        .push_adapter(Path::new("/shared/critic/1"), 1)
        .unwrap_err();
    state
        .lock()
        .unwrap()
        .adapters
        .insert("critic-v1".to_owned(), "/shared/critic/1".to_owned());
    remote
        .push_adapter(Path::new("/shared/critic/1"), 1)
        .unwrap();
    assert_eq!(
        versions(&remote.generate_versioned(&requests(3)).unwrap()),
        [Some(1)]
    );
}

#[test]
fn sglang_is_told_the_adapter_and_reads_it_back() {
    let said = std::sync::Mutex::new(vec![
        json!({ "success": true, "loaded_adapters": { "critic-v3": "/old" } }),
        json!({ "success": false, "error_message": "rank too high" }),
        json!({ "success": true, "loaded_adapters": { "critic-v1": "/shared/1" } }),
    ]);
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/v1/models" => Reply::ok(json!({ "data": [{ "id": "actor", "max_model_len": 64 }] })),
        "/load_lora_adapter" => Reply::ok(said.lock().unwrap().pop().unwrap()),
        _ => Reply::ok(json!({
            "output_ids": [4, 2],
            "meta_info": { "finish_reason": { "type": "stop" }, "prompt_tokens": 3,
                           "output_token_logprobs": [[-0.5, 4, null], [-0.25, 2, null]] },
        })),
    });
    let url = server.url();
    let mut settings = trained(&[&url]);
    (settings.engine, settings.temperature) = (EngineKind::Sglang, 1.0);
    let remote = Remote::connect(settings, Arc::new(Letters)).unwrap();
    remote.push_adapter(Path::new("/shared/1"), 1).unwrap();
    let mut ask = requests(1);
    ask[0].sampling.temperature = 1.0;
    assert_eq!(
        versions(&remote.generate_versioned(&ask).unwrap()),
        [Some(1)]
    );
    let sampled: Vec<_> = server
        .seen()
        .into_iter()
        .filter(|it| it.path == "/generate")
        .collect();
    assert!(sampled.iter().all(|it| it.body["lora_path"] == "critic-v1"));
    let error = remote
        .push_adapter(Path::new("/shared/2"), 2)
        .unwrap_err()
        .to_string();
    assert!(error.contains("rank too high"), "{error}");
    let error = remote
        .push_adapter(Path::new("/shared/3"), 3)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("from `/old`, not from `/shared/3`"),
        "{error}"
    );
    assert_eq!(remote.version(), Some(1));
}
