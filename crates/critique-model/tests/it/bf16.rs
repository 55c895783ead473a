//! Weights in bf16: against transformers with the same roundings, against weights in f32, and
//! against themselves bit for bit.

use critique_core::{Request, Rng, Sampling, derive_seed};
use critique_model::{
    Architecture, CpuEngine, Dtype, Engine, Group, LoraConfig, ModelConfig, NamedTensors, TokenRun,
    load_weights,
};

use crate::cpu_engine::{ENDS, golden, groups, json, rows, sequences, tokens, uneven};

fn engine(config: &ModelConfig, weights: NamedTensors) -> CpuEngine {
    CpuEngine::with_dtype(config, weights, 1, Dtype::Bf16).unwrap()
}

/// An engine of uneven sizes with weights in bf16, one of them of odd length.
fn odd() -> (ModelConfig, CpuEngine) {
    let (config, _) = uneven(Architecture::Qwen3);
    let config = ModelConfig { d_ff: 51, ..config };
    let weights = CpuEngine::random_weights(&config, 1.5, 3);
    let engine = engine(&config, weights);
    (config, engine)
}

#[test]
fn log_probs_equal_transformers_with_the_same_roundings() {
    for model in ["qwen2-tied", "qwen3-tied", "llama-untied"] {
        let dir = golden(&format!("models/{model}"));
        let config = ModelConfig::load(&dir).unwrap();
        let engine = engine(&config, load_weights(&dir, &config).unwrap());
        let log_probs = |file: &str| {
            let expected = json(&format!("models/{model}/{file}"));
            let floats = rows(&expected["logprobs"], |v| v.as_f64().unwrap());
            (sequences(&expected["ids"]), floats.concat())
        };
        let (groups, want) = log_probs("expected_bf16.json");
        let (_, exact) = log_probs("expected.json");
        let got = engine.score(&groups, 1.0).unwrap();
        let got: Vec<f64> = got
            .iter()
            .flatten()
            .flatten()
            .map(|&l| f64::from(l))
            .collect();
        let mean = |a: &[f64], b: &[f64]| {
            let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum();
            sum / a.len() as f64
        };
        // A sum in another order may round to the neighbour, so they are near but not equal.
        let (off, moved) = (mean(&got, &want), mean(&want, &exact));
        assert!(
            off < 1e-3 && off < moved / 5.0,
            "{model}: {off} from transformers; roundings move by {moved}"
        );
    }
}

#[test]
fn sampled_log_probs_equal_scored_ones_bit_for_bit() {
    let (_, mut engine) = odd();
    let mut rng = Rng::new(9);
    let requests: Vec<Request> = [(3, 4, 1.0), (70, 2, 0.7), (130, 1, 1.3), (1, 3, 0.0)]
        .map(|(n, samples, temperature)| Request {
            prompt: tokens(&mut rng, n),
            seeds: (0..samples).map(|s| derive_seed(s, &["sample"])).collect(),
            sampling: Sampling {
                temperature,
                max_new_tokens: 60,
                ..Sampling::default()
            },
        })
        .to_vec();
    let all = engine.generate(&requests, &ENDS).unwrap();
    let scored = |engine: &CpuEngine| {
        for (request, completions) in requests.iter().zip(&all) {
            let group = Group {
                prompt: request.prompt.clone(),
                completions: completions.iter().map(|c| c.tokens.clone()).collect(),
            };
            let temperature = request.sampling.log_prob_temperature();
            let scored = engine.score(&[group], temperature).unwrap();
            for (completion, scored) in completions.iter().zip(&scored[0]) {
                assert_eq!(&completion.log_probs, scored);
            }
        }
    };
    scored(&engine);
    engine.set_threads(3);
    assert_eq!(engine.generate(&requests, &ENDS).unwrap(), all);
    scored(&engine);
}

#[test]
fn weights_take_half_the_memory_and_are_f32_again_once_trained() {
    let (config, mut engine) = odd();
    let float = CpuEngine::new(&config, engine.weights(), 1).unwrap();
    let (half, whole) = (engine.weight_bytes(), float.weight_bytes());
    assert!(half * 100 < whole * 55, "{half} of {whole} bytes");

    // Rounded twice is rounded once, and training goes on from what is there.
    let rounded = engine.weights();
    let exact = CpuEngine::random_weights(&config, 1.5, 3);
    for (name, tensor) in &rounded {
        for (&got, &want) in tensor.data.iter().zip(&exact[name].data) {
            assert!(
                (got - want).abs() <= want.abs() / 256.0,
                "{name}: {got} of {want}"
            );
        }
    }
    engine.train_all();
    assert_eq!(engine.weights(), rounded);
    let groups = groups(1);
    assert_eq!(
        engine.score(&groups, 1.0).unwrap(),
        float.score(&groups, 1.0).unwrap()
    );
}

#[test]
fn an_adapter_on_bf16_learns_what_one_on_f32_learns() {
    let (config, half) = odd();
    let lora = LoraConfig::new(4, 8.0, LoraConfig::all_linear());
    let groups = groups(2);
    let loss = |_: TokenRun, log_probs: &[f32], grad: &mut [f32]| {
        grad.iter_mut()
            .zip(log_probs)
            .for_each(|(g, l)| *g = 0.1 * l);
    };
    let gradients = |mut engine: CpuEngine| {
        engine
            .add_adapter(&lora, NamedTensors::new(), true, 7)
            .unwrap();
        engine.accumulate(&groups, 1.0, &loss).unwrap();
        let gradients = engine.gradients();
        gradients
            .into_values()
            .flat_map(|tensor| tensor.data)
            .collect::<Vec<f32>>()
    };
    let float = CpuEngine::new(&config, half.weights(), 1).unwrap();
    let (half, float) = (gradients(half), gradients(float));
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum()
    };
    let cosine = dot(&half, &float) / (dot(&half, &half) * dot(&float, &float)).sqrt();
    let ratio = (dot(&half, &half) / dot(&float, &float)).sqrt();
    assert!(
        cosine > 0.999 && (ratio - 1.0).abs() < 0.02,
        "{cosine}, {ratio}"
    );
}
