//! What every engine must hold, as tests that a crate with an engine of its own runs.
//!
//! ```
//! use critique_model::testing::{Tolerance, assert_engine_contract};
//! use critique_model::{CpuEngine, Engine};
//!
//! assert_engine_contract(Tolerance::EXACT, |config, weights| {
//!     Box::new(CpuEngine::new(config, weights, 1).unwrap()) as Box<dyn Engine>
//! });
//! ```
use critique_core::{AdamW, LoraConfig, Request, Sampling};

use crate::config::{Architecture, ModelConfig, Rope};
use crate::cpu::CpuEngine;
use crate::engine::{Ends, Engine, Group, NamedTensors, PerToken, TokenRun, Training};
use crate::error::ModelError;

/// How far an engine's numbers may be off.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Between two passes over the same tokens with the same weights, in nats.
    pub log_probs: f32,
    /// Between a derivative and finite differences, of the derivative.
    pub gradients: f32,
}

impl Tolerance {
    /// For engines whose [`Engine::is_exact`] is true.
    pub const EXACT: Self = Self {
        log_probs: 0.0,
        gradients: 2e-2,
    };
    /// For engines in 32 bits whose sums depend on how tokens are batched.
    pub const CLOSE: Self = Self {
        log_probs: 1e-4,
        gradients: 2e-2,
    };
}

/// Makes a frozen engine of a shape and its weights.
type Make<'a> = &'a dyn Fn(&ModelConfig, NamedTensors) -> Box<dyn Engine>;

/// Asserts all that the loop around an engine relies on: scores, gradients, updates, forks,
/// optimizer state, adapters, sampling and errors. It takes well under a second on a CPU.
///
/// # Panics
///
/// When the engine does not hold the contract.
pub fn assert_engine_contract(
    tolerance: Tolerance,
    make: impl Fn(&ModelConfig, NamedTensors) -> Box<dyn Engine>,
) {
    let config = shape();
    let weights = CpuEngine::random_weights(&config, 1.0, 3);
    let contract = Contract {
        make: &make,
        config,
        weights,
        tolerance,
    };
    contract.scores_are_log_probs();
    contract.bad_input_is_an_error();
    contract.samples_say_what_scoring_says();
    contract.gradients_are_those_of_the_loss();
    contract.a_fork_is_its_own();
    contract.optimizer_state_comes_back();
    contract.an_adapter_leaves_its_base_alone();
    contract.numbers_that_are_not_finite_change_nothing();
}

/// Small, with grouped heads and an output layer of its own.
fn shape() -> ModelConfig {
    ModelConfig {
        architecture: Architecture::Llama,
        vocab: 19,
        d_model: 16,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 4,
        d_ff: 24,
        rms_norm_eps: 1e-6,
        rope: Rope {
            theta: 10_000.0,
            scaling: None,
        },
        tie_word_embeddings: false,
        attention_bias: false,
        attention_out_bias: false,
        qk_norm: false,
        max_position_embeddings: 24,
        bos_token_id: None,
        eos_token_ids: vec![18],
        pad_token_id: None,
    }
}

/// Two prompts, three completions, none as long as another.
fn groups() -> Vec<Group> {
    vec![
        Group {
            prompt: vec![1, 2, 3],
            completions: vec![vec![4, 5], vec![6, 7, 8, 9]],
        },
        Group {
            prompt: vec![10],
            completions: vec![vec![11, 12, 13]],
        },
    ]
}

/// The loss: the sum of squares of log-probs, halved.
fn square(_: TokenRun, log_probs: &[f32], gradient: &mut [f32]) {
    gradient.copy_from_slice(log_probs);
}

fn value(log_probs: &PerToken) -> f64 {
    let all = log_probs.iter().flatten().flatten();
    all.map(|&l| f64::from(l) * f64::from(l) / 2.0).sum()
}

fn lora() -> LoraConfig {
    LoraConfig::new(2, 4.0, vec!["q_proj".into(), "down_proj".into()])
}

struct Contract<'a> {
    make: Make<'a>,
    config: ModelConfig,
    weights: NamedTensors,
    tolerance: Tolerance,
}

impl Contract<'_> {
    fn frozen(&self) -> Box<dyn Engine> {
        (self.make)(&self.config, self.weights.clone())
    }

    fn trainable(&self) -> Box<dyn Engine> {
        fork(&*self.frozen(), &Training::Full)
    }

    fn assert_close(&self, what: &str, left: &PerToken, right: &PerToken) {
        let shape = |it: &PerToken| -> Vec<Vec<usize>> {
            let lengths = |g: &Vec<Vec<f32>>| g.iter().map(Vec::len).collect();
            it.iter().map(lengths).collect()
        };
        assert_eq!(shape(left), shape(right), "{what}: shapes");
        for (l, r) in left
            .iter()
            .flatten()
            .flatten()
            .zip(right.iter().flatten().flatten())
        {
            let fits = (l - r).abs() <= self.tolerance.log_probs;
            assert!(fits, "{what}: log-probs {l} and {r}");
        }
    }

    fn scores_are_log_probs(&self) {
        let engine = self.frozen();
        let groups = groups();
        for temperature in [1.0, 0.7] {
            let scores = engine.score(&groups, temperature).expect("scores");
            for (group, scores) in groups.iter().zip(&scores) {
                let lengths = group.completions.iter().map(Vec::len);
                assert!(scores.iter().map(Vec::len).eq(lengths), "one a token");
            }
            let all = scores.iter().flatten().flatten();
            assert!(all.copied().all(|l| l.is_finite() && l < 0.0), "{scores:?}");
        }
        // The probabilities of all tokens that may come next sum to 1.
        let next = Group {
            prompt: vec![1, 2],
            completions: (0..self.config.vocab as u32).map(|id| vec![id]).collect(),
        };
        let scores = engine.score(&[next], 0.7).expect("scores");
        let sum: f32 = scores[0].iter().map(|l| l[0].exp()).sum();
        assert!((sum - 1.0).abs() < 1e-4, "probabilities sum to {sum}");
    }

    fn bad_input_is_an_error(&self) {
        let engine = self.frozen();
        let score = |prompt: Vec<u32>, completion: Vec<u32>| {
            let completions = vec![completion];
            engine.score(
                &[Group {
                    prompt,
                    completions,
                }],
                1.0,
            )
        };
        let unknown = score(vec![1], vec![99]).expect_err("an unknown token");
        assert!(matches!(unknown, ModelError::UnknownToken { id: 99, .. }));
        let long = score(vec![1], vec![1; 24]).expect_err("too long");
        assert!(
            matches!(long, ModelError::TooLong { tokens: 25, .. }),
            "{long}"
        );
        let empty = score(Vec::new(), vec![1]).expect_err("an empty prompt");
        assert!(matches!(empty, ModelError::Empty { .. }), "{empty}");
    }

    fn samples_say_what_scoring_says(&self) {
        let engine = self.frozen();
        let sampling = Sampling {
            temperature: 0.9,
            max_new_tokens: 6,
            ..Sampling::default()
        };
        let request = |prompt: &[u32], seeds: &[u64]| Request {
            prompt: prompt.to_vec(),
            seeds: seeds.to_vec(),
            sampling: sampling.clone(),
        };
        let ends = Ends {
            eos: &self.config.eos_token_ids,
            decode: &|_| String::new(),
        };
        let asked = [request(&[1, 2, 3], &[5, 6]), request(&[4], &[7])];
        let sampled = engine.generate(&asked, &ends).expect("completions");
        let recorded: PerToken = sampled
            .iter()
            .map(|all| all.iter().map(|c| c.log_probs.clone()).collect())
            .collect();
        let groups: Vec<Group> = asked
            .iter()
            .zip(&sampled)
            .map(|(request, all)| Group {
                prompt: request.prompt.clone(),
                completions: all.iter().map(|c| c.tokens.clone()).collect(),
            })
            .collect();
        let scored = engine.score(&groups, 0.9).expect("scores");
        self.assert_close("sampled and scored", &recorded, &scored);
        // A sample depends on its prompt and seed alone.
        let alone = engine.generate(&asked[1..], &ends).expect("completions");
        assert_eq!(
            alone[0][0].tokens, sampled[1][0].tokens,
            "alone and in a batch"
        );
    }

    fn gradients_are_those_of_the_loss(&self) {
        let groups = groups();
        let mut engine = self.trainable();
        let before = engine.score(&groups, 0.7).expect("scores");
        let seen = engine.accumulate(&groups, 0.7, &square).expect("a pass");
        self.assert_close("accumulate and score", &seen, &before);
        let gradients = engine.gradients();
        for name in [
            "model.embed_tokens.weight",
            "model.layers.0.self_attn.k_proj.weight",
            "model.layers.1.mlp.down_proj.weight",
            "model.layers.1.input_layernorm.weight",
            "lm_head.weight",
        ] {
            let gradient = &gradients[name].data;
            let largest = |(at, value): (usize, &f32)| (value.abs().to_bits(), at);
            let (_, at) = gradient
                .iter()
                .enumerate()
                .map(largest)
                .max()
                .expect("values");
            let expected = self.finite_difference(name, at, &groups);
            let off = (f64::from(gradient[at]) - expected).abs();
            let most = f64::from(self.tolerance.gradients) * expected.abs();
            assert!(off <= most, "{name}[{at}]: {} for {expected}", gradient[at]);
        }
    }

    fn finite_difference(&self, name: &str, at: usize, groups: &[Group]) -> f64 {
        let step = 2e-3;
        let loss = |change: f32| {
            let mut weights = self.weights.clone();
            weights.get_mut(name).expect("a weight").data[at] += change;
            let engine = (self.make)(&self.config, weights);
            value(&engine.score(groups, 0.7).expect("scores"))
        };
        (loss(step) - loss(-step)) / f64::from(2.0 * step)
    }

    fn a_fork_is_its_own(&self) {
        let groups = groups();
        let frozen = self.frozen();
        let before = frozen.score(&groups, 1.0).expect("scores");
        let mut trained = fork(&*frozen, &Training::Full);
        self.assert_close(
            "fork",
            &before,
            &trained.score(&groups, 1.0).expect("scores"),
        );
        let norm = step(&mut *trained, &groups);
        assert!(norm > 0.0 && norm.is_finite(), "gradient norm {norm}");
        let after = trained.score(&groups, 1.0).expect("scores");
        assert!(value(&after) < value(&before), "a step lowers the loss");
        self.assert_close(
            "origin",
            &before,
            &frozen.score(&groups, 1.0).expect("scores"),
        );
        let settled = trained.into_frozen();
        self.assert_close(
            "settled",
            &after,
            &settled.score(&groups, 1.0).expect("scores"),
        );
        assert_eq!(settled.is_exact(), frozen.is_exact());
    }

    fn optimizer_state_comes_back(&self) {
        let groups = groups();
        let mut engine = self.trainable();
        step(&mut *engine, &groups);
        step(&mut *engine, &groups);
        let (steps, moments) = engine.optimizer_state();
        assert_eq!((steps, engine.optimizer_steps()), (2, 2));
        let copy = (self.make)(&self.config, engine.weights());
        let mut resumed = fork(&*copy, &Training::Full);
        let mut missing = moments.clone();
        missing.pop_first();
        let refused = resumed.load_optimizer_state(steps, missing);
        assert!(refused.is_err(), "a moment that is missing is refused");
        let loaded = resumed.load_optimizer_state(steps, moments);
        loaded.expect("the state of an equal engine");
        step(&mut *engine, &groups);
        step(&mut *resumed, &groups);
        let score = |engine: &dyn Engine| engine.score(&groups, 1.0).expect("scores");
        self.assert_close("resumed", &score(&*engine), &score(&*resumed));
    }

    fn an_adapter_leaves_its_base_alone(&self) {
        let groups = groups();
        let frozen = self.frozen();
        let before = frozen.score(&groups, 1.0).expect("scores");
        let training = Training::Lora(lora());
        let mut adapted = fork(&*frozen, &training);
        let fresh = adapted.score(&groups, 1.0).expect("scores");
        self.assert_close("a fresh adapter", &before, &fresh);
        step(&mut *adapted, &groups);
        let trained = adapted.score(&groups, 1.0).expect("scores");
        assert!(value(&trained) < value(&before), "a step lowers the loss");
        assert!(adapted.weights() == frozen.weights(), "the base stays");
        let names: Vec<String> = adapted.adapter().into_keys().collect();
        assert_eq!(
            names.len(),
            2 * 2 * self.config.layers,
            "A and B: {names:?}"
        );
        let wanted = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
        assert!(names.iter().any(|name| name == wanted), "{names:?}");
        let again = fork(&*adapted, &training);
        self.assert_close(
            "its fork",
            &trained,
            &again.score(&groups, 1.0).expect("scores"),
        );
    }

    fn numbers_that_are_not_finite_change_nothing(&self) {
        let groups = groups();
        let mut engine = self.trainable();
        let before = engine.score(&groups, 1.0).expect("scores");
        let spoilt = |_: TokenRun, _: &[f32], gradient: &mut [f32]| gradient.fill(f32::NAN);
        engine.accumulate(&groups, 1.0, &spoilt).expect("a pass");
        let norm = engine.update(0.1, &AdamW::default()).expect("an update");
        assert!(!norm.is_finite(), "gradient norm {norm}");
        let after = engine.score(&groups, 1.0).expect("scores");
        self.assert_close("after a spoilt step", &before, &after);
        assert_eq!(engine.optimizer_steps(), 0);
        // Nothing of it is left for the next step.
        let norm_of = |engine: &mut dyn Engine| {
            engine.accumulate(&groups, 1.0, &square).expect("a pass");
            engine.update(0.0, &AdamW::default()).expect("an update")
        };
        let norm = norm_of(&mut *engine);
        assert!(norm.is_finite(), "gradient norm {norm} after a spoilt step");
        engine.accumulate(&groups, 1.0, &square).expect("a pass");
        engine.drop_gradients();
        let again = norm_of(&mut *engine);
        assert!((again - norm).abs() <= 1e-4 * norm, "{again} and {norm}");
    }
}

fn fork(engine: &dyn Engine, training: &Training) -> Box<dyn Engine> {
    engine.fork(training, 7).expect("a fork")
}

fn step(engine: &mut dyn Engine, groups: &[Group]) -> f32 {
    engine.accumulate(groups, 1.0, &square).expect("a pass");
    engine.update(1e-2, &AdamW::default()).expect("a step")
}
