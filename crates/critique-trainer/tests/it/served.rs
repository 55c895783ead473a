//! Runs whose models are sampled on servers: they are the runs in process, and no fault of a
//! server becomes a reward.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use critique_core::{Generate, Request, Sampling, derive_seed};
use critique_model::{LanguageModel, Runtime};
use critique_rollout::record;
use critique_run::{MANIFEST, RunConfig, RunDir, StageConfig, read_metrics};
use critique_trainer::{DryRun, Silent, TrainError, replay};
use serde_json::Value;

use crate::model_server::{Served, Then};
use crate::server::Server;
use crate::toy::{SFT_STEPS, after_sft, files, finish, go, task};

/// Folders of an actor and a critic that can do something.
fn skills() -> &'static (PathBuf, PathBuf) {
    static MADE: OnceLock<(tempfile::TempDir, (PathBuf, PathBuf))> = OnceLock::new();
    let (_, folders) = MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        after_sft(dir.path());
        // The run was stopped behind the critic's last step.
        let critic = dir.path().join(format!("checkpoint-{SFT_STEPS}"));
        let folders = (dir.path().join("stages/actor"), critic);
        (dir, folders)
    });
    folders
}

const RUN: &str = r#"
seed = 3
out = "OUT"
task = { name = "arithmetic", operations = 1, train = 300, validation = 20, test = 20 }

[models]
actor = { path = "ACTOR"A_SERVERS }
critic = { path = "CRITIC", lora = { r = 4, alpha = 8 }C_SERVERS }

[rollout]
problems = 6
group_size = 3
response = { temperature = 0.0, max_new_tokens = 8 }
critique = { temperature = 0.8, max_new_tokens = 32 }
refinement = { temperature = 0.0, max_new_tokens = 8 }

[eval]
max_new_tokens = 32
problems = 10

[save]
every = 2

[[stages]]
kind = "rl"
name = "one"
steps = 3
rewards = { discriminability = 1.0 }
kl_coef = 0.01
lr = 1e-2
eval_as = "stage1"
gates = [{ measure = "discriminability", at_least = 0.0, problems = 5 }]

[[stages]]
kind = "rl"
name = "two"
steps = 2
rewards = { refinement = 1.0, discriminability = 0.2 }
kl_coef = 0.01
lr = 1e-2
eval_as = "stage2"
"#;

/// The run with these lines for servers.
fn config(out: &Path, actor: &str, critic: &str) -> RunConfig {
    let (actor_folder, critic_folder) = skills();
    let text = RUN
        .replace("OUT", &out.display().to_string())
        .replace("ACTOR", &actor_folder.display().to_string())
        .replace("CRITIC", &critic_folder.display().to_string())
        .replace("A_SERVERS", actor)
        .replace("C_SERVERS", critic);
    toml::from_str(&text).unwrap()
}

/// The keys of servers at these addresses.
fn on(engine: &str, servers: &[&Server]) -> String {
    let urls: Vec<String> = servers.iter().map(|it| it.url()).collect();
    format!(
        ", engine = \"{engine}\", urls = {urls:?}, model = \"served\", parallel = 2, give_up_secs = 1"
    )
}

fn actor() -> Served {
    Served::of(&skills().0, "served")
}

/// The run in process.
fn in_process() -> &'static std::collections::BTreeMap<String, Vec<u8>> {
    static MADE: OnceLock<std::collections::BTreeMap<String, Vec<u8>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        finish(&config(dir.path(), "", ""));
        left(dir.path())
    })
}

/// What a run left, but for what says where it came from: it has settings and an actor of its own.
fn left(out: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = files(out);
    found.retain(|name, _| !name.ends_with(MANIFEST));
    found
}

/// That a run left what the one in process leaves.
fn assert_same(out: &Path) {
    let (found, wanted) = (left(out), in_process());
    let names = |files: &std::collections::BTreeMap<String, Vec<u8>>| -> Vec<String> {
        files.keys().cloned().collect()
    };
    assert_eq!(names(&found), names(wanted));
    for (name, bytes) in wanted {
        assert!(found[name] == *bytes, "{name} differs");
    }
}

fn causes(error: &TrainError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

fn fails(config: &RunConfig) -> String {
    causes(&go(config, &mut Silent, &Arc::default()).unwrap_err())
}

#[test]
fn an_actor_behind_http_gives_the_run_in_process() {
    for engine in ["vllm", "llama_cpp"] {
        let (server, served) = actor().start();
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &on(engine, &[&server]), "");
        finish(&config);
        assert_same(dir.path());
        assert!(served.sampled.load(Ordering::Relaxed) > 50);
        let records = record::read(&record::step_path(dir.path(), "two", 1)).unwrap();
        let id = records[2].id.parse().unwrap();
        let again = replay(dir.path(), &config, &*task(&config), &id, &mut Silent).unwrap();
        assert_eq!(again.differences(), []);
        assert!(!again.token_texts.refinements[0].is_empty());
    }
}

#[test]
fn a_sample_is_that_of_the_model_behind_the_server() {
    let (server, _) = actor().start();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &on("vllm", &[&server]), "");
    let servers = config.models["actor"].servers().unwrap();
    let there = critique_served::open(&skills().0, &servers).unwrap();
    let here = LanguageModel::load(&skills().0, &Runtime::default()).unwrap();
    let request = |seed: u64| Request {
        prompt: vec![1, 2, 3],
        // Servers take seeds of 63 bits.
        seeds: (0..4)
            .map(|n| derive_seed(seed, &[&n.to_string()]) >> 1)
            .collect(),
        sampling: Sampling {
            temperature: 1.0,
            max_new_tokens: 12,
            ..Sampling::default()
        },
    };
    let doubled = |request: &Request| Request {
        seeds: request.seeds.iter().map(|seed| seed << 1).collect(),
        ..request.clone()
    };
    let requests: Vec<Request> = (0..5).map(request).collect();
    let asked: Vec<Request> = requests.iter().map(doubled).collect();
    assert_eq!(
        there.generate(&asked).unwrap(),
        here.generate(&requests).unwrap()
    );
}

#[test]
fn another_server_takes_over_and_nothing_changes() {
    let (first, dying) = actor().after(20, Then::Gone).start();
    let (second, _) = actor().start();
    let dir = tempfile::tempdir().unwrap();
    finish(&config(dir.path(), &on("vllm", &[&first, &second]), ""));
    assert_same(dir.path());
    assert_eq!(dying.sampled.load(Ordering::Relaxed), 20);
}

#[test]
fn without_a_server_the_run_ends_at_a_checkpoint_and_goes_on_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut steps = 0;
    // Ends in a step: behind its gates and evaluations a run has nothing to save.
    for samples in [9, 27] {
        let (server, _) = actor().after(samples, Then::Gone).start();
        let why = fails(&config(dir.path(), &on("vllm", &[&server]), ""));
        assert!(why.contains("no server is left after"), "{why}");
        let run = RunDir::existing(dir.path()).unwrap();
        let lines = read_metrics(&run.metrics()).unwrap().len();
        assert!(lines >= steps, "{lines} after {steps}");
        steps = lines;
    }
    let (server, _) = actor().start();
    finish(&config(dir.path(), &on("vllm", &[&server]), ""));
    assert_same(dir.path());
}

#[test]
fn what_is_wrong_with_a_server_shows_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let (server, _) = actor().start();
    let other = on("vllm", &[&server]).replace("\"served\"", "\"another\"");
    let why = fails(&config(&out, &other, ""));
    assert!(
        why.contains("does not serve `another`, it serves `served`"),
        "{why}"
    );
    let lines = on("vllm", &[&server]);
    drop(server);
    let why = fails(&config(&out, &lines, ""));
    assert!(why.contains("cannot reach `http://127.0.0.1:"), "{why}");
    let token = format!("{lines}, token_env = \"CRITIQUE_RL_NO_SUCH_TOKEN\"");
    let why = fails(&config(&out, &token, ""));
    assert!(
        why.contains("`CRITIQUE_RL_NO_SUCH_TOKEN` of the environment is not set"),
        "{why}"
    );
    assert!(!out.join("metrics.jsonl").exists() && !out.join("stages/one").exists());
}

#[test]
fn a_malformed_answer_is_an_error_and_no_reward() {
    let (server, _) = actor().after(3, Then::Malformed).start();
    let dir = tempfile::tempdir().unwrap();
    let why = fails(&config(dir.path(), &on("vllm", &[&server]), ""));
    assert!(why.contains("a token id was expected"), "{why}");
    assert!(!dir.path().join("rollouts").exists());
}

#[test]
fn a_dry_run_asks_no_server_and_counts_nothing_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = ", engine = \"vllm\", urls = [\"http://127.0.0.1:9\"], context = 80";
    let with = config(dir.path(), nobody, "");
    let without = config(dir.path(), "", "");
    let of = |config: &RunConfig| DryRun::of(config, "arithmetic", &*task(config)).unwrap();
    let (with, without) = (of(&with), of(&without));
    let actor = &with.models["actor"];
    assert_eq!(
        (actor.on_servers, actor.context, actor.servers.len()),
        (true, 80, 1)
    );
    assert!(without.models["actor"].servers.is_empty());
    assert!(with.memory.weights < without.memory.weights);
}

/// Both models on servers.
fn both(out: &Path, actor: &Server, critic: &Server) -> RunConfig {
    config(out, &on("vllm", &[actor]), &on("vllm", &[critic]))
}

#[test]
fn servers_sample_each_version_of_a_critic_that_is_trained() {
    let (actor_server, _) = actor().start();
    let (server, _) = Served::of(&skills().1, "served").start();
    let dir = tempfile::tempdir().unwrap();
    let config = both(dir.path(), &actor_server, &server);
    finish(&config);
    let run = RunDir::existing(dir.path()).unwrap();
    let metrics = read_metrics(&run.metrics()).unwrap();
    let text = std::fs::read_to_string(run.metrics()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    assert_eq!((metrics.len(), lines.len()), (5, 5));
    let versions: Vec<u64> = lines
        .iter()
        .map(|it| it["critic_version"].as_u64().unwrap())
        .collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    for line in &lines {
        // The server's engine is this one: an older version would differ.
        for name in ["logprob_diff_max", "logprob_diff_mean", "sampling_kl"] {
            assert_eq!(line[name], 0.0, "{name} in {line}");
        }
    }
    for (step, version) in versions.iter().take(3).enumerate() {
        let records = record::read(&record::step_path(dir.path(), "one", step as u64)).unwrap();
        assert!(records.iter().all(|it| it.critic_version == Some(*version)));
    }
    // Old versions are gone, and a run that goes on begins behind the newest.
    let kept = std::fs::read_dir(config.adapters_of("critic"))
        .unwrap()
        .count();
    assert_eq!(kept, 2);
    assert!(
        dir.path()
            .join("stages/two/adapter_model.safetensors")
            .is_file()
    );
}

#[test]
fn log_probs_that_are_not_those_of_training_end_the_run() {
    let (actor_server, _) = actor().start();
    let (server, _) = Served::of(&skills().1, "served").off_by(-0.3).start();
    let dir = tempfile::tempdir().unwrap();
    let why = fails(&both(dir.path(), &actor_server, &server));
    assert!(
        why.contains("log-probs of sampling and of training differ by 0.3"),
        "{why}"
    );
    assert!(!dir.path().join("rollouts").exists());
}

/// The critic that stage `one` leaves where sampling gives log-probs lower by 0.05 nats.
fn left_by_one(cap: Option<f32>) -> Vec<u8> {
    let (actor_server, _) = actor().start();
    let (server, _) = Served::of(&skills().1, "served").off_by(-0.05).start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = both(dir.path(), &actor_server, &server);
    config.stages.truncate(1);
    let StageConfig::Rl(stage) = &mut config.stages[0] else {
        panic!("the first stage is RL")
    };
    stage.importance_cap = cap;
    let critic = config.models.get_mut("critic").unwrap();
    critic.log_prob_bound = Some(0.2);
    finish(&config);
    let metrics = read_metrics(&dir.path().join("metrics.jsonl")).unwrap();
    let gap = metrics[0].get("logprob_diff_mean").unwrap();
    assert!((gap - 0.05).abs() < 1e-3, "{gap}");
    std::fs::read(dir.path().join("stages/one/adapter_model.safetensors")).unwrap()
}

#[test]
fn importance_weights_are_cut_at_their_cap() {
    let unweighed = left_by_one(None);
    // Tokens are likelier here than where they were sampled, e^0.05 = 1.051 times.
    assert!(
        left_by_one(Some(1.0)) == unweighed,
        "at most 1 is no weight"
    );
    let (cut, whole) = (left_by_one(Some(1.02)), left_by_one(Some(2.0)));
    assert!(cut != unweighed && whole != unweighed && cut != whole);
}
