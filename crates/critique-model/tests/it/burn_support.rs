//! What the tests of the burn engine share.
//!
//! They run on flex; `CRITIQUE_RL_TEST_DEVICE=vulkan`, `wgpu` or `cuda`, with the feature of
//! that name, runs the same tests there.

use std::path::PathBuf;

use critique_core::{Rng, Sampling};
use critique_model::{
    Architecture, BurnEngine, CpuEngine, DeviceSpec, Ends, Group, LoraConfig, ModelConfig,
    NamedTensors, Rope, TokenRun, load_weights,
};
use serde_json::Value;

pub(crate) const ENDS: Ends<'static> = Ends {
    eos: &[],
    decode: &|_| String::new(),
};

pub(crate) fn device() -> DeviceSpec {
    let name = std::env::var("CRITIQUE_RL_TEST_DEVICE");
    DeviceSpec::parse(name.as_deref().unwrap_or("flex")).unwrap()
}

/// How far results may be off.
pub(crate) struct Bounds {
    /// Log-probs, in nats.
    pub(crate) log_probs: f32,
    /// Log-probs of two engines that train side by side, in nats.
    pub(crate) drift: f32,
    /// Gradients, of the largest.
    pub(crate) gradients: f32,
    /// The norm of all gradients, of itself.
    pub(crate) norm: f32,
    /// Moments, of the largest.
    pub(crate) moments: f32,
    /// Old and new log-probs of one policy: the same operations on the same shapes.
    pub(crate) same: f32,
}

/// Whether products round what they multiply to TF32, 10 bits in place of 23.
pub(crate) fn tf32() -> bool {
    matches!(device(), DeviceSpec::Cuda(_))
}

pub(crate) fn bounds() -> Bounds {
    if tf32() {
        Bounds {
            log_probs: 0.1,
            drift: 0.3,
            gradients: 2e-2,
            norm: 2e-2,
            moments: 0.1,
            same: 1e-4,
        }
    } else {
        Bounds {
            log_probs: 1e-4,
            drift: 2e-3,
            gradients: 2e-5,
            norm: 1e-3,
            moments: 1e-3,
            same: 0.0,
        }
    }
}

pub(crate) fn golden(path: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("../../tests/golden").join(path)
}

pub(crate) fn json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(path)).unwrap()).unwrap()
}

pub(crate) fn engine(
    config: &ModelConfig,
    weights: NamedTensors,
    lora: Option<(LoraConfig, NamedTensors)>,
    trainable: bool,
) -> BurnEngine {
    let device = device().open().unwrap();
    BurnEngine::new(config, weights, lora, trainable, device, 7).unwrap()
}

/// A golden model's configuration and weights.
pub(crate) fn model(name: &str) -> (ModelConfig, NamedTensors) {
    let dir = golden(&format!("models/{name}"));
    let config = ModelConfig::load(&dir).unwrap();
    let weights = load_weights(&dir, &config).unwrap();
    (config, weights)
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|id| id.as_u64().unwrap() as u32).collect()
}

pub(crate) fn floats(value: &Value) -> Vec<f32> {
    let values = value.as_array().unwrap().iter();
    values.map(|it| it.as_f64().unwrap() as f32).collect()
}

/// Each golden sequence, predicted from its first token on.
pub(crate) fn sequences(value: &Value) -> Vec<Group> {
    let sequence = |value| {
        let ids = ids(value);
        Group {
            prompt: vec![ids[0]],
            completions: vec![ids[1..].to_vec()],
        }
    };
    value.as_array().unwrap().iter().map(sequence).collect()
}

/// `sum of weights * log_probs` as a loss on groups of one completion.
pub(crate) fn weighted(weights: &[Vec<f32>]) -> impl Fn(TokenRun, &[f32], &mut [f32]) + Sync {
    |run: TokenRun, log_probs: &[f32], gradient: &mut [f32]| {
        gradient.copy_from_slice(&weights[run.group][run.start..run.start + log_probs.len()]);
    }
}

/// The largest distance between values of equal places.
pub(crate) fn distance<'a>(
    found: impl IntoIterator<Item = &'a f32>,
    wanted: impl IntoIterator<Item = &'a f32>,
) -> f32 {
    let (found, wanted): (Vec<_>, Vec<_>) =
        (found.into_iter().collect(), wanted.into_iter().collect());
    assert_eq!(found.len(), wanted.len());
    let pairs = found.into_iter().zip(wanted);
    pairs.fold(0.0, |most, (a, b)| {
        assert!(a.is_finite());
        most.max((a - b).abs())
    })
}

pub(crate) fn flat(values: &[Vec<Vec<f32>>]) -> impl Iterator<Item = &f32> {
    values.iter().flatten().flatten()
}

/// The largest distance between tensors, and the largest value.
pub(crate) fn tensor_distance(found: &NamedTensors, wanted: &NamedTensors) -> (f32, f32) {
    let names = |it: &NamedTensors| it.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(wanted));
    let mut most = 0f32;
    let mut largest = 0f32;
    for (name, wanted) in wanted {
        assert_eq!(found[name].shape, wanted.shape, "{name}");
        most = most.max(distance(&found[name].data, &wanted.data));
        largest = wanted.data.iter().fold(largest, |a, b| a.max(b.abs()));
    }
    (most, largest)
}

/// A random model whose sizes are no round numbers.
pub(crate) fn uneven(architecture: Architecture) -> (ModelConfig, NamedTensors) {
    let config = ModelConfig {
        architecture,
        vocab: 61,
        d_model: 40,
        layers: 3,
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
        max_position_embeddings: 160,
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
    (config, weights)
}

pub(crate) fn tokens(rng: &mut Rng, count: usize) -> Vec<u32> {
    (0..count).map(|_| rng.below(61) as u32).collect()
}

/// Prompts and completions of many lengths.
pub(crate) fn groups(seed: u64) -> Vec<Group> {
    let mut rng = Rng::new(seed);
    let shapes = [
        (7, vec![5, 1, 20]),
        (60, vec![45, 3]),
        (1, vec![2]),
        (30, vec![24, 24, 24, 24]),
    ];
    let group = |(prompt, completions): (usize, Vec<usize>)| Group {
        prompt: tokens(&mut rng, prompt),
        completions: completions
            .into_iter()
            .map(|n| tokens(&mut rng, n))
            .collect(),
    };
    shapes.map(group).to_vec()
}

pub(crate) fn sampling(temperature: f32, max_new_tokens: usize) -> Sampling {
    Sampling {
        temperature,
        max_new_tokens,
        ignore_eos: true,
        ..Sampling::default()
    }
}

/// An adapter on some of the layers that is not zero.
pub(crate) fn adapter(config: &ModelConfig) -> (LoraConfig, NamedTensors) {
    let lora = LoraConfig::new(
        3,
        5.0,
        ["q_proj", "v_proj", "o_proj", "down_proj"]
            .map(Into::into)
            .to_vec(),
    );
    let mut rng = Rng::new(12);
    let tensors = critique_model::adapter_tensors(config, &lora).unwrap();
    let tensors = tensors.into_iter().map(|(name, shape)| {
        let data = (0..shape.iter().product())
            .map(|_| 0.2 * rng.normal())
            .collect();
        (name, critique_model::HostTensor { shape, data })
    });
    let tensors = tensors.collect();
    (lora, tensors)
}
