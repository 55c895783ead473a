//! The client against the real worker, which `workers/torch/check.sh` starts on two processes.
//!
//! Left out where `CRITIQUE_RL_WORKER_URL` names none. The worker trains adapters of rank 4 on a
//! model with a vocabulary of 97 tokens, and its token is in `CRITIQUE_RL_WORKER_TOKEN`.

use std::env;

use critique_core::Rng;
use critique_remote::tinker::{Adam, NewModel, RemoteModel, Row, Tinker, TinkerSettings};

const ADAM: Adam = Adam {
    learning_rate: 1e-3,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    weight_decay: 0.01,
    max_grad_norm: 1.0,
};

fn connect() -> Option<Tinker> {
    let mut settings = TinkerSettings::new(&env::var("CRITIQUE_RL_WORKER_URL").ok()?);
    settings.token = env::var("CRITIQUE_RL_WORKER_TOKEN")
        .ok()
        .map(critique_core::Secret::new);
    // Several requests a batch.
    settings.request_tokens = 40;
    Some(Tinker::connect(&settings).unwrap())
}

fn row(tokens: &[u32]) -> Row<'_> {
    let (prompt, completion) = tokens.split_at(5);
    Row { prompt, completion }
}

fn step(model: &mut RemoteModel, rows: &[Row<'_>]) -> (Vec<Vec<f32>>, f64) {
    let gradient = |index: usize, _: &[f32], grad: &mut [f32]| {
        grad.iter_mut().enumerate().for_each(|(t, it)| {
            *it = if (index + t).is_multiple_of(2) {
                -1.0
            } else {
                0.5
            }
        });
    };
    let seen = model.accumulate(rows, 0.7, gradient).unwrap();
    (seen, model.step(&ADAM).unwrap().grad_norm.unwrap())
}

#[test]
fn the_real_worker_calibrates_trains_and_replays() {
    let Some(tinker) = connect() else { return };
    let worker = tinker.capabilities().worker.clone().unwrap();
    let measured = tinker.calibrate(4, worker.vocab, 0.7).unwrap();
    assert!(
        (measured.tokens - 1.0).abs() < 1e-3 && (measured.sequences - 1.0).abs() < 1e-3,
        "{measured:?}"
    );
    let mut rng = Rng::new(3);
    let tokens: Vec<Vec<u32>> = (0..7)
        .map(|n| (0..8 + 3 * n).map(|_| rng.below(97) as u32).collect())
        .collect();
    let rows: Vec<Row<'_>> = tokens.iter().map(|it| row(it)).collect();
    let new = NewModel {
        rank: 4,
        alpha: None,
        seed: 11,
        frozen: false,
    };
    let mut model = tinker.create(&new).unwrap();
    let first = step(&mut model, &rows);
    let state = model.save("after-one").unwrap();
    let rest = [step(&mut model, &rows), step(&mut model, &rows)];
    assert_ne!(first.0, rest[1].0);
    model.load(&state).unwrap();
    assert_eq!(model.steps(), 1);
    assert_eq!(
        [step(&mut model, &rows), step(&mut model, &rows)],
        rest,
        "a loaded state replays to the last bit"
    );
    let mut reference = tinker
        .create(&NewModel {
            frozen: true,
            ..new
        })
        .unwrap();
    assert_eq!(
        reference.score(&rows, 0.7).unwrap(),
        first.0,
        "a fresh adapter is the base model"
    );
    reference.load_weights(&state).unwrap();
    assert_eq!(reference.score(&rows, 0.7).unwrap(), rest[0].0);
    let export = model.export("for-vllm").unwrap();
    assert!(
        export
            .folder
            .as_ref()
            .unwrap()
            .join("adapter_model.safetensors")
            .is_file()
    );
    let fetched = tempfile::tempdir().unwrap();
    model.download(&export, fetched.path()).unwrap();
    let same = |name: &str| {
        let there = std::fs::read(export.folder.as_ref().unwrap().join(name)).unwrap();
        assert_eq!(std::fs::read(fetched.path().join(name)).unwrap(), there);
    };
    same("adapter_config.json");
    same("adapter_model.safetensors");
    for model in [model, reference] {
        model.unload().unwrap();
    }
}

#[test]
fn the_real_worker_refuses_what_is_wrong_by_name() {
    let Some(tinker) = connect() else { return };
    let wrong_rank = NewModel {
        rank: 8,
        alpha: None,
        seed: 1,
        frozen: false,
    };
    let error = tinker.create(&wrong_rank).unwrap_err().to_string();
    assert!(
        error.contains("lora_config.rank is 8; this worker was started for 4"),
        "{error}"
    );
    let mut model = tinker
        .create(&NewModel {
            rank: 4,
            ..wrong_rank
        })
        .unwrap();
    let row = Row {
        prompt: &[1],
        completion: &[97],
    };
    let error = model.score(&[row], 1.0).unwrap_err().to_string();
    assert!(
        error.contains("found 97; a token id below 97 is wanted"),
        "{error}"
    );
    let missing = critique_remote::tinker::State {
        path: format!("tinker://{}/weights/none", model.id()),
        steps: 0,
    };
    let error = model.load(&missing).unwrap_err().to_string();
    assert!(error.contains("no state at"), "{error}");
    model.unload().unwrap();
}
