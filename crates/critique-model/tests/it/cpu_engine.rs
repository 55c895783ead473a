//! The CPU engine against transformers, PEFT and PyTorch (see `tests/golden/README.md`), and
//! against itself: caching, batching, threads and prefix sharing must not change a bit.

use std::path::PathBuf;

use critique_core::{Request, Rng, Sampling, derive_seed};
use critique_model::{
    AdamW, Architecture, CpuEngine, Ends, Engine, Group, LoraConfig, ModelConfig, Rope, TokenLoss,
    TokenRun, Training, load_adapter, load_tensors, load_weights,
};
use serde_json::Value;

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

pub(crate) fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(path)
}

pub(crate) fn json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(path)).unwrap()).unwrap()
}

fn engine(model: &str) -> CpuEngine {
    let dir = golden(&format!("models/{model}"));
    let config = ModelConfig::load(&dir).unwrap();
    CpuEngine::new(&config, load_weights(&dir, &config).unwrap(), 1).unwrap()
}

fn with_adapter(model: &str, train: bool) -> CpuEngine {
    let dir = golden(&format!("models/{model}"));
    let config = ModelConfig::load(&dir).unwrap();
    let mut engine = engine(model);
    let adapter = load_adapter(&dir.join("adapter"), &config).unwrap();
    engine
        .add_adapter(&adapter.config, adapter.tensors, train, 0)
        .unwrap();
    engine
}

pub(crate) fn rows<T>(value: &Value, get: impl Fn(&Value) -> T) -> Vec<Vec<T>> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(&get).collect())
        .collect()
}

fn id(value: &Value) -> u32 {
    value.as_u64().unwrap() as u32
}

pub(crate) fn sequences(value: &Value) -> Vec<Group> {
    let ids = rows(value, id);
    ids.into_iter()
        .map(|ids| Group {
            prompt: vec![ids[0]],
            completions: vec![ids[1..].to_vec()],
        })
        .collect()
}

fn check_log_probs(engine: &CpuEngine, expected: &Value) {
    let groups = sequences(&expected["ids"]);
    for (field, temperature) in [("logprobs", 1.0), ("logprobs_at_0_7", 0.7)] {
        let Some(want) = expected.get(field) else {
            continue;
        };
        let want = rows(want, |v| v.as_f64().unwrap());
        let got = engine.score(&groups, temperature).unwrap();
        for (got, want) in got.iter().zip(&want) {
            assert_eq!(got[0].len(), want.len());
            for (got, want) in got[0].iter().zip(want) {
                assert!(
                    (f64::from(*got) - want).abs() < 1e-4,
                    "{field}: {got} is not {want}"
                );
            }
        }
    }
}

fn greedy(max_new_tokens: usize) -> Sampling {
    Sampling {
        temperature: 0.0,
        max_new_tokens,
        ignore_eos: true,
        ..Sampling::default()
    }
}

fn decode(_: &[u32]) -> String {
    String::new()
}

pub(crate) const ENDS: Ends<'static> = Ends {
    eos: &[],
    decode: &decode,
};

#[test]
fn log_probs_and_greedy_tokens_equal_transformers() {
    for model in MODELS {
        let expected = json(&format!("models/{model}/expected.json"));
        let engine = engine(model);
        check_log_probs(&engine, &expected);
        let want = &expected["greedy"];
        let prompt: Vec<u32> = want["prompt"].as_array().unwrap().iter().map(id).collect();
        let tokens: Vec<u32> = want["tokens"].as_array().unwrap().iter().map(id).collect();
        let request = Request {
            prompt,
            seeds: vec![1],
            sampling: greedy(tokens.len()),
        };
        assert_eq!(
            engine.generate(&[request], &ENDS).unwrap()[0][0].tokens,
            tokens,
            "{model}"
        );
    }
}

#[test]
fn log_probs_with_an_adapter_equal_peft() {
    for model in ["qwen2-tied", "llama-untied"] {
        check_log_probs(
            &with_adapter(model, false),
            &json(&format!("models/{model}/expected_adapter.json")),
        );
    }
}

fn check_gradients(engine: &mut CpuEngine, model: &str, file: &str) {
    let about = json(&format!("models/{model}/{file}.json"));
    let groups = sequences(&about["ids"]);
    let weights = rows(&about["weights"], |v| v.as_f64().unwrap() as f32);
    let loss = |run: TokenRun, log_probs: &[f32], grad: &mut [f32]| {
        let weights = &weights[run.group][run.start..run.start + log_probs.len()];
        grad.copy_from_slice(weights);
    };
    engine.accumulate(&groups, 1.0, &loss).unwrap();
    let got = engine.gradients();
    let want = load_tensors(&golden(&format!("models/{model}/{file}.safetensors"))).unwrap();
    assert_eq!(
        got.keys().collect::<Vec<_>>(),
        want.keys().collect::<Vec<_>>()
    );
    let largest = want
        .values()
        .flat_map(|t| &t.data)
        .fold(0f32, |a, b| a.max(b.abs()));
    for (name, want) in want {
        let worst = got[&name]
            .data
            .iter()
            .zip(&want.data)
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, f32::max);
        assert!(
            worst < 2e-5 * largest,
            "{model} {name}: off by {worst} where the largest gradient is {largest}"
        );
    }
}

#[test]
fn gradients_equal_pytorch() {
    for model in ["qwen2-tied", "llama-untied"] {
        let mut full = engine(model);
        full.train_all();
        check_gradients(&mut full, model, "gradients");
        check_gradients(&mut with_adapter(model, true), model, "gradients_adapter");
    }
}

/// A model of random weights with uneven sizes: widths that fill no panel, grouped heads.
pub(crate) fn uneven(architecture: Architecture) -> (ModelConfig, CpuEngine) {
    let config = ModelConfig {
        architecture,
        vocab: 61,
        d_model: 40,
        layers: 2,
        heads: 6,
        kv_heads: 2,
        head_dim: 12,
        d_ff: 50,
        rms_norm_eps: 1e-6,
        rope: Rope {
            theta: 1e4,
            scaling: None,
        },
        tie_word_embeddings: architecture != Architecture::Llama,
        attention_bias: architecture == Architecture::Qwen2,
        attention_out_bias: false,
        qk_norm: architecture == Architecture::Qwen3,
        max_position_embeddings: 300,
        bos_token_id: None,
        eos_token_ids: vec![],
        pad_token_id: None,
    };
    let mut weights = CpuEngine::random_weights(&config, 1.5, 3);
    let mut rng = Rng::new(4);
    for (name, tensor) in &mut weights {
        if name.contains("norm") || name.ends_with("bias") || name.contains("embed") {
            tensor
                .data
                .iter_mut()
                .for_each(|x| *x += 0.5 * rng.normal());
        }
    }
    let engine = CpuEngine::new(&config, weights, 1).unwrap();
    (config, engine)
}

pub(crate) fn tokens(rng: &mut Rng, n: usize) -> Vec<u32> {
    (0..n).map(|_| rng.below(61) as u32).collect()
}

pub(crate) fn groups(seed: u64) -> Vec<Group> {
    let mut rng = Rng::new(seed);
    [
        (7, vec![5, 1, 20]),
        (90, vec![70, 3]),
        (1, vec![2]),
        (33, vec![40, 40, 40, 40]),
    ]
    .into_iter()
    .map(|(prompt, completions)| Group {
        prompt: tokens(&mut rng, prompt),
        completions: completions
            .into_iter()
            .map(|n| tokens(&mut rng, n))
            .collect(),
    })
    .collect()
}

#[test]
fn sharing_a_prompt_changes_no_bit() {
    for architecture in [
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::Llama,
    ] {
        let (_, engine) = uneven(architecture);
        let shared = groups(1);
        let together = engine.score(&shared, 0.7).unwrap();
        for (group, values) in shared.iter().zip(together) {
            for (completion, values) in group.completions.iter().zip(values) {
                let alone = Group {
                    prompt: group.prompt.clone(),
                    completions: vec![completion.clone()],
                };
                assert_eq!(engine.score(&[alone], 0.7).unwrap()[0][0], values);
            }
        }
    }
}

#[test]
fn sampled_log_probs_equal_scored_ones_bit_for_bit() {
    for architecture in [
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::Llama,
    ] {
        let (_, mut engine) = uneven(architecture);
        let mut rng = Rng::new(9);
        let request = |n: usize, samples: u64, temperature| Request {
            prompt: tokens(&mut rng, n),
            seeds: (0..samples).map(|s| derive_seed(s, &["sample"])).collect(),
            sampling: Sampling {
                temperature,
                max_new_tokens: 90,
                stop_token_ids: vec![5],
                ..Sampling::default()
            },
        };
        let requests: Vec<Request> = [(3, 4, 1.0), (70, 2, 0.7), (130, 1, 1.3), (1, 3, 0.0)]
            .map({
                let mut request = request;
                move |(n, s, t)| request(n, s, t)
            })
            .to_vec();
        let all = engine.generate(&requests, &ENDS).unwrap();
        for (request, completions) in requests.iter().zip(&all) {
            let group = Group {
                prompt: request.prompt.clone(),
                completions: completions.iter().map(|c| c.tokens.clone()).collect(),
            };
            let scored = engine
                .score(&[group], request.sampling.log_prob_temperature())
                .unwrap();
            for (completion, scored) in completions.iter().zip(&scored[0]) {
                assert_eq!(&completion.log_probs, scored);
            }
        }
        // One by one, and on more threads: the same tokens.
        engine.set_threads(3);
        assert_eq!(engine.generate(&requests, &ENDS).unwrap(), all);
        for (request, completions) in requests.iter().zip(&all) {
            for (&seed, completion) in request.seeds.iter().zip(completions) {
                let alone = Request {
                    seeds: vec![seed],
                    ..request.clone()
                };
                assert_eq!(&engine.generate(&[alone], &ENDS).unwrap()[0][0], completion);
            }
        }
    }
}

/// Refinements of two responses by three critiques each, as prompts, and one that shares nothing.
fn refinements(rng: &mut Rng) -> Vec<Request> {
    let header = tokens(rng, 30);
    let mut requests = Vec::new();
    for _ in 0..2 {
        let response = tokens(rng, 50);
        for _ in 0..3 {
            let critique = tokens(rng, 12);
            requests.push([&header[..], &response, &critique].concat());
        }
    }
    requests.push(tokens(rng, 40));
    requests
        .into_iter()
        .map(|prompt| Request {
            prompt,
            seeds: vec![1, 2],
            sampling: Sampling {
                max_new_tokens: 9,
                ignore_eos: true,
                ..Sampling::default()
            },
        })
        .collect()
}

#[test]
fn what_prompts_share_is_read_once_and_changes_no_bit() {
    let (_, mut engine) = uneven(Architecture::Qwen3);
    engine.set_threads(1);
    let requests = refinements(&mut Rng::new(3));
    let together = engine.generate(&requests, &ENDS).unwrap();
    // A header, two responses, six critiques, one prompt of its own; and of each of 14 samples
    // all new tokens but the last.
    let prompts = 30 + 2 * 50 + 6 * 12 + 40;
    assert_eq!(engine.computed_tokens(), prompts + 14 * 8);
    for (request, completions) in requests.iter().zip(&together) {
        let alone = engine.generate(std::slice::from_ref(request), &ENDS);
        assert_eq!(&alone.unwrap()[0], completions);
    }
    for threads in [2, 5] {
        engine.set_threads(threads);
        assert_eq!(engine.generate(&requests, &ENDS).unwrap(), together);
    }
    // So little memory that sequences wait for each other.
    engine.set_kv_bytes(1);
    assert_eq!(engine.generate(&requests, &ENDS).unwrap(), together);
}

#[test]
fn more_siblings_than_attention_takes_at_once_change_no_bit() {
    let (_, mut engine) = uneven(Architecture::Qwen3);
    engine.set_threads(1);
    let mut request = refinements(&mut Rng::new(3)).remove(0);
    request.seeds = (0..60).collect();
    let together = engine.generate(std::slice::from_ref(&request), &ENDS);
    for (&seed, completion) in request.seeds.iter().zip(&together.unwrap()[0]) {
        let alone = Request {
            seeds: vec![seed],
            ..request.clone()
        };
        assert_eq!(&engine.generate(&[alone], &ENDS).unwrap()[0][0], completion);
    }
}

#[test]
fn few_sequences_of_a_large_model_share_its_threads() {
    let (config, _) = uneven(Architecture::Qwen2);
    let config = ModelConfig {
        vocab: 200,
        d_model: 512,
        heads: 8,
        kv_heads: 4,
        head_dim: 64,
        d_ff: 1400,
        max_position_embeddings: 1200,
        ..config
    };
    // From 4M parameters on, threads split the columns of products.
    assert!(config.parameters() > 4 << 20);
    let weights = CpuEngine::random_weights(&config, 1.0, 3);
    let mut engine = CpuEngine::new(&config, weights, 1).unwrap();
    let mut rng = Rng::new(5);
    // The longest is read in two passes; no prompt ends in the first.
    let requests: Vec<Request> = [10, 1100, 20]
        .map(|n| Request {
            prompt: tokens(&mut rng, n),
            seeds: vec![1],
            sampling: Sampling {
                max_new_tokens: 4,
                ignore_eos: true,
                ..Sampling::default()
            },
        })
        .to_vec();
    let expected = engine.generate(&requests, &ENDS).unwrap();
    engine.set_threads(2);
    assert_eq!(engine.generate(&requests, &ENDS).unwrap(), expected);
}

#[test]
fn scoring_and_training_compute_a_prompt_once_for_its_completions() {
    let (_, mut engine) = uneven(Architecture::Llama);
    engine.train_all();
    let mut rng = Rng::new(4);
    let group = Group {
        prompt: tokens(&mut rng, 50),
        completions: (0..4).map(|_| tokens(&mut rng, 11)).collect(),
    };
    // The last token of a completion is only predicted.
    engine.score(std::slice::from_ref(&group), 1.0).unwrap();
    assert_eq!(engine.computed_tokens(), 50 + 4 * 10);
    engine.accumulate(&[group], 1.0, &square).unwrap();
    assert_eq!(engine.computed_tokens(), 2 * (50 + 4 * 10));
}

#[test]
fn computing_activations_again_changes_no_bit() {
    for architecture in [Architecture::Qwen2, Architecture::Qwen3] {
        let (_, mut engine) = uneven(architecture);
        engine.train_all();
        let kept = engine.accumulate(&groups(2), 0.7, &square).unwrap();
        let gradients = engine.gradients();
        engine.train_all();
        engine.set_recompute(true);
        assert!(engine.accumulate(&groups(2), 0.7, &square).unwrap() == kept);
        assert!(engine.gradients() == gradients);
    }
}

fn square(_: TokenRun, log_probs: &[f32], grad: &mut [f32]) {
    grad.iter_mut()
        .zip(log_probs)
        .for_each(|(g, l)| *g = 0.1 * l);
}

#[test]
fn gradients_do_not_depend_on_threads() {
    let (_, mut engine) = uneven(Architecture::Qwen3);
    engine.train_all();
    let many: Vec<Group> = (0..12).flat_map(groups).collect();
    engine.accumulate(&many, 1.0, &square).unwrap();
    let one = engine.gradients();
    engine.train_all();
    engine.set_threads(4);
    engine.accumulate(&many, 1.0, &square).unwrap();
    assert!(one == engine.gradients());
}

/// [`square`] of every third token; the others are read or not.
struct EveryThird {
    names_what_it_reads: bool,
}

impl TokenLoss for EveryThird {
    fn gradient(&self, run: TokenRun, log_probs: &[f32], grad: &mut [f32]) {
        for (i, (g, l)) in grad.iter_mut().zip(log_probs).enumerate() {
            let reads = (run.start + i) % 3 == 1;
            *g = if reads { 0.1 * l } else { 0.0 };
        }
    }

    fn reads(&self, at: TokenRun) -> bool {
        !self.names_what_it_reads || at.start % 3 == 1
    }
}

#[test]
fn tokens_that_the_loss_does_not_read_change_no_bit_of_gradients() {
    for recompute in [false, true] {
        let (_, mut engine) = uneven(Architecture::Qwen3);
        engine.train_all();
        engine.set_recompute(recompute);
        let groups = groups(3);
        let mut pass = |names_what_it_reads| {
            let loss = EveryThird {
                names_what_it_reads,
            };
            engine.train_all();
            let log_probs = engine.accumulate(&groups, 1.0, &loss).unwrap();
            (log_probs, engine.gradients())
        };
        let ((all, expected), (read, gradients)) = (pass(false), pass(true));
        assert!(gradients == expected);
        for (all, read) in all.iter().flatten().zip(read.iter().flatten()) {
            for (at, (&all, &read)) in all.iter().zip(read).enumerate() {
                assert_eq!(read, if at % 3 == 1 { all } else { 0.0 });
            }
        }
    }
}

/// The loss whose gradient [`square`] gives.
fn square_loss(engine: &CpuEngine, groups: &[Group]) -> f64 {
    let scores = engine.score(groups, 1.0).unwrap();
    scores
        .iter()
        .flatten()
        .flatten()
        .map(|&l| 0.05 * f64::from(l).powi(2))
        .sum()
}

#[test]
fn gradients_equal_finite_differences() {
    for architecture in [
        Architecture::Qwen2,
        Architecture::Qwen3,
        Architecture::Llama,
    ] {
        let (config, mut engine) = uneven(architecture);
        engine.train_all();
        let groups = &groups(2)[..3];
        engine.accumulate(groups, 1.0, &square).unwrap();
        let gradients = engine.gradients();
        let weights = engine.weights();
        let mut rng = Rng::new(5);
        for (name, gradient) in &gradients {
            // Along a random direction, so that every element counts.
            let direction: Vec<f32> = gradient.data.iter().map(|_| rng.normal()).collect();
            let slope: f64 = gradient
                .data
                .iter()
                .zip(&direction)
                .map(|(g, d)| f64::from(*g) * f64::from(*d))
                .sum();
            let norm: f64 = gradient
                .data
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>()
                .sqrt();
            let step = 2e-3 / (gradient.data.len() as f32).sqrt();
            let moved = |sign: f32| {
                let mut weights = weights.clone();
                let tensor = weights.get_mut(name).unwrap();
                tensor
                    .data
                    .iter_mut()
                    .zip(&direction)
                    .for_each(|(w, d)| *w += sign * step * d);
                square_loss(&CpuEngine::new(&config, weights, 1).unwrap(), groups)
            };
            let numeric = (moved(1.0) - moved(-1.0)) / f64::from(2.0 * step);
            assert!(
                (numeric - slope).abs() < 0.03 * norm + 0.02,
                "{architecture:?} {name}: {slope} but {numeric} by differences (norm {norm})"
            );
        }
    }
}

#[test]
fn a_fresh_adapter_changes_nothing_and_a_merged_one_equals_it() {
    let (config, engine) = uneven(Architecture::Qwen2);
    let lora = LoraConfig::new(3, 6.0, LoraConfig::all_linear());
    let mut adapted = engine.frozen();
    adapted
        .add_adapter(&lora, critique_model::NamedTensors::new(), true, 1)
        .unwrap();
    let groups = groups(3);
    assert_eq!(
        adapted.score(&groups, 1.0).unwrap(),
        engine.score(&groups, 1.0).unwrap()
    );

    for _ in 0..3 {
        adapted.accumulate(&groups, 1.0, &square).unwrap();
        adapted.update(1e-2, &AdamW::default()).unwrap();
    }
    let mut merged = engine.weights();
    for (name, a) in adapted
        .adapter()
        .iter()
        .filter(|(name, _)| name.contains("lora_A"))
    {
        let b = &adapted.adapter()[&name.replace("lora_A", "lora_B")];
        let weight = name
            .trim_start_matches("base_model.model.")
            .replace("lora_A.", "");
        let weight = merged.get_mut(&weight).unwrap();
        let (out, input) = (weight.shape[0], weight.shape[1]);
        for o in 0..out {
            for i in 0..input {
                weight.data[o * input + i] += 2.0
                    * (0..3)
                        .map(|r| b.data[o * 3 + r] * a.data[r * input + i])
                        .sum::<f32>();
            }
        }
    }
    let merged = CpuEngine::new(&config, merged, 1)
        .unwrap()
        .score(&groups, 1.0)
        .unwrap();
    let scores = adapted.score(&groups, 1.0).unwrap();
    assert_ne!(scores, engine.score(&groups, 1.0).unwrap());
    for (a, b) in scores
        .iter()
        .flatten()
        .flatten()
        .zip(merged.iter().flatten().flatten())
    {
        assert!((a - b).abs() < 1e-4, "{a} with the adapter, {b} merged");
    }
    assert_eq!(
        adapted.weights(),
        engine.weights(),
        "the base stays as it was"
    );
}

#[test]
fn training_lowers_the_loss_and_resumes_to_the_same_bits() {
    let (config, mut engine) = uneven(Architecture::Qwen2);
    engine.train_all();
    let groups = groups(6);
    let step = |engine: &mut CpuEngine| {
        engine.accumulate(&groups, 1.0, &square).unwrap();
        engine
            .update(
                3e-3,
                &AdamW {
                    weight_decay: 0.01,
                    ..AdamW::default()
                },
            )
            .unwrap()
    };
    let before = square_loss(&engine, &groups);
    let reference = engine.fork(&Training::Frozen, 0).unwrap();
    (0..3).for_each(|_| assert!(step(&mut engine) > 0.0));
    assert!(square_loss(&engine, &groups) < 0.9 * before);

    let (steps, moments) = engine.optimizer_state();
    let mut resumed = CpuEngine::new(&config, engine.weights(), 1).unwrap();
    resumed.train_all();
    resumed.load_optimizer_state(steps, moments).unwrap();
    assert_eq!(step(&mut engine).to_bits(), step(&mut resumed).to_bits());
    assert!(engine.weights() == resumed.weights());
    // The reference did not move with the policy.
    let old = reference.score(&groups, 1.0).unwrap();
    assert!(
        old.iter()
            .flatten()
            .flatten()
            .map(|&l| 0.05 * f64::from(l).powi(2))
            .sum::<f64>()
            == before
    );
}

#[test]
fn bad_tokens_are_named() {
    let (_, engine) = uneven(Architecture::Llama);
    let error = |prompt: Vec<u32>, completion: Vec<u32>| {
        engine
            .score(
                &[Group {
                    prompt,
                    completions: vec![completion],
                }],
                1.0,
            )
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(vec![61], vec![1]),
        "token id 61 is outside the vocabulary of 61 tokens"
    );
    assert_eq!(error(vec![], vec![1]), "prompt has no tokens");
    assert_eq!(
        error(vec![0; 299], vec![1, 2]),
        "sequence of 301 tokens does not fit the model's context of 300 tokens"
    );
}

#[test]
fn weights_that_are_no_numbers_answer_nothing_and_score_nothing() {
    let dir = golden("models/qwen2-tied");
    let config = ModelConfig::load(&dir).unwrap();
    for bad in [f32::NAN, f32::INFINITY] {
        let mut weights = load_weights(&dir, &config).unwrap();
        let mut tensors = weights.iter_mut();
        let (_, tensor) = tensors.find(|(name, _)| name.contains("norm")).unwrap();
        tensor.data[0] = bad;
        let engine = CpuEngine::new(&config, weights, 1).unwrap();
        let group = Group {
            prompt: vec![1, 2],
            completions: vec![vec![3, 4]],
        };
        let scored = engine.score(&[group], 1.0).unwrap_err().to_string();
        assert!(scored.contains("not finite"), "{scored}");
        for temperature in [0.0, 1.0] {
            let request = Request {
                prompt: vec![1, 2],
                seeds: vec![1],
                sampling: Sampling {
                    temperature,
                    max_new_tokens: 3,
                    ..Sampling::default()
                },
            };
            let ends = Ends {
                eos: &[],
                decode: &|_| String::new(),
            };
            let answered = engine.generate(&[request], &ends).unwrap_err().to_string();
            assert!(answered.contains("not finite"), "{answered}");
        }
    }
}
