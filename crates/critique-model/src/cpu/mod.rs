//! The CPU engine: hand-written passes over packed rows of tokens.
//!
//! Rows are tokens of many sequences without padding; a prompt stands once before all its
//! completions (`layout`). Forward and backward passes (`pass`, `head`) are written out, so that
//! memory is reused and nothing frozen costs a gradient. Every number of a row comes from chains
//! whose order no other row changes (`gemm`, `attention`), so batching, caching, sharing
//! prefixes and threads never change a bit. Threads share one pass (`team`), so there is one set
//! of activations and gradients, however many they are.
//!
//! Frozen weights may be kept in bf16 ([`Dtype`]); whatever is trained is in f32.

mod adamw;
mod attention;
mod backward;
mod cache;
mod crew;
pub(crate) mod gemm;
mod generate;
pub(crate) mod head;
mod layout;
pub(crate) mod memory;
mod ops;
mod params;
mod pass;
mod prefixes;
mod read;
mod region;
pub(crate) mod simd;
mod sums;
mod team;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use critique_core::{Completion, Request, Rng, derive_seed};

use self::head::HeadScratch;
use self::layout::{Batch, batches};
use self::ops::Rotary;
use self::params::{Decoder, Param};
use self::pass::{Grads, Keep, Net, Workspace};
use self::team::{Team, each};
use crate::adapter::adapter_tensors;
use crate::config::ModelConfig;
use crate::engine::{
    Ends, Engine, Group, Held, HostTensor, NamedTensors, PerToken, TokenLoss, Training,
    check_finite,
};
use crate::error::ModelError;
use crate::weights::Weights;
use critique_core::Dtype;
use critique_core::{AdamW, LoraConfig};

/// Rows that one pass handles, about. No result depends on it but where it cuts the completions
/// of one prompt apart.
const BATCH_ROWS: usize = 512;

/// A decoder on the CPU.
#[derive(Debug)]
pub struct CpuEngine {
    config: Arc<ModelConfig>,
    rotary: Arc<Rotary>,
    decoder: Decoder,
    team: Team,
    /// Whether the backward pass computes activations again.
    recompute: bool,
    /// Bytes that keys and values may take while sampling.
    kv_bytes: usize,
    computed: AtomicU64,
    grads: Grads,
    moments: Vec<Moments>,
    steps: u64,
    pool: Arc<Pool>,
    stop: Option<Arc<AtomicBool>>,
}

/// Memory that passes work in.
#[derive(Debug, Default)]
struct State {
    work: Workspace,
    head: HeadScratch,
    logits: Vec<f32>,
}

/// Memory kept from one call to the next, so that it need not be asked of the system again.
/// Engines share it: those of a run work in turn.
#[derive(Debug, Default)]
struct Pool(Mutex<Vec<State>>);

impl Pool {
    /// The pool of this process, which lasts as long as an engine does.
    fn shared() -> Arc<Self> {
        static POOL: Mutex<Weak<Pool>> = Mutex::new(Weak::new());
        let mut pool = POOL.lock().expect("no thread panics while it holds this");
        pool.upgrade().unwrap_or_else(|| {
            let fresh = Arc::default();
            *pool = Arc::downgrade(&fresh);
            fresh
        })
    }

    /// What a training pass worked in, if there is such: others must not grow to its size.
    fn take(&self) -> State {
        let mut states = self
            .0
            .lock()
            .expect("no thread panics while it holds the pool");
        let size = |&at: &usize| states[at].work.back.dx.capacity();
        match (0..states.len()).max_by_key(size) {
            Some(largest) => states.swap_remove(largest),
            None => State::default(),
        }
    }

    fn give(&self, state: State) {
        self.0
            .lock()
            .expect("no thread panics while it holds the pool")
            .push(state);
    }
}

/// First and second moment of one parameter.
#[derive(Debug, Clone, Default)]
struct Moments {
    m: Vec<f32>,
    v: Vec<f32>,
}

impl CpuEngine {
    /// A frozen decoder. Threads: 0 takes as many as the machine has.
    ///
    /// # Errors
    ///
    /// When a weight is missing or misshapen, or its file cannot be read.
    pub fn new(
        config: &ModelConfig,
        weights: impl Into<Weights>,
        threads: usize,
    ) -> Result<Self, ModelError> {
        Self::with_dtype(config, weights, threads, Dtype::F32)
    }

    /// As [`CpuEngine::new`], with the weights of products in `dtype`. Weights that are trained
    /// later become f32 again, with the values that they have in `dtype`.
    ///
    /// # Errors
    ///
    /// As [`CpuEngine::new`].
    pub fn with_dtype(
        config: &ModelConfig,
        weights: impl Into<Weights>,
        threads: usize,
        dtype: Dtype,
    ) -> Result<Self, ModelError> {
        let team = Team::new(threads);
        let rotary = Rotary::new(&config.rope_inv_freq(), config.max_position_embeddings);
        Ok(Self {
            config: Arc::new(config.clone()),
            rotary: Arc::new(rotary),
            decoder: Decoder::new(config, &weights.into(), &team, dtype)?,
            team,
            recompute: false,
            kv_bytes: 4 << 30,
            computed: AtomicU64::new(0),
            grads: Vec::new(),
            moments: Vec::new(),
            steps: 0,
            pool: Pool::shared(),
            stop: None,
        })
    }

    /// Random weights: matrices normal with deviation `gain / sqrt(d_in)`, embedding normal with
    /// deviation 0.02, norms 1, biases 0.
    pub fn random_weights(config: &ModelConfig, gain: f32, seed: u64) -> NamedTensors {
        let fill = |(name, shape): (String, Vec<usize>)| {
            let len = shape.iter().product();
            let mut rng = Rng::new(derive_seed(seed, &["weights", &name]));
            let data = if name.ends_with("norm.weight") {
                vec![1.0; len]
            } else if name.rsplit('.').next() == Some("bias") {
                vec![0.0; len]
            } else {
                let embedding = name.contains("embed_tokens") || name.contains("lm_head");
                let deviation = if embedding {
                    0.02
                } else {
                    gain / (shape[1] as f32).sqrt()
                };
                (0..len).map(|_| deviation * rng.normal()).collect()
            };
            (name, HostTensor { shape, data })
        };
        config.expected_tensors().into_iter().map(fill).collect()
    }

    /// Trains every parameter from here on.
    pub fn train_all(&mut self) {
        self.decoder.train_all();
        self.forget_training();
    }

    /// Puts an adapter on the decoder; the base stays frozen. An empty `tensors` makes a fresh
    /// one: A uniform as PEFT draws it, B zero, so that it changes nothing yet.
    ///
    /// # Errors
    ///
    /// When a tensor is missing, misshapen, or fits no adapted layer.
    pub fn add_adapter(
        &mut self,
        lora: &LoraConfig,
        tensors: NamedTensors,
        train: bool,
        seed: u64,
    ) -> Result<(), ModelError> {
        let tensors = if tensors.is_empty() {
            fresh_adapter(&self.config, lora, seed)?
        } else {
            tensors
        };
        self.decoder.add_adapter(lora, tensors, train)?;
        self.forget_training();
        Ok(())
    }

    /// The decoder's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Whether there is an adapter.
    pub fn has_adapter(&self) -> bool {
        self.decoder.has_adapter()
    }

    /// Trains the adapter that is there from here on.
    pub fn train_adapter(&mut self) {
        self.decoder.train_adapter();
        self.forget_training();
    }

    /// Trains nothing from here on, and drops what only training needs.
    pub(crate) fn settle(&mut self) {
        self.decoder.settle();
        self.forget_training();
    }

    fn forget_training(&mut self) {
        self.grads = Vec::new();
        self.moments = vec![Moments::default(); self.decoder.trained.len()];
        self.steps = 0;
    }

    /// A frozen engine that shares this one's weights until one of them changes.
    pub fn frozen(&self) -> Self {
        let mut decoder = self.decoder.clone();
        decoder.trained.clear();
        decoder.params.iter_mut().for_each(|p| p.slot = None);
        Self {
            config: Arc::clone(&self.config),
            rotary: Arc::clone(&self.rotary),
            decoder,
            team: self.team.clone(),
            recompute: self.recompute,
            kv_bytes: self.kv_bytes,
            computed: AtomicU64::new(0),
            grads: Vec::new(),
            moments: Vec::new(),
            steps: 0,
            pool: Arc::clone(&self.pool),
            stop: self.stop.clone(),
        }
    }

    /// Sets the number of threads; no result depends on it.
    pub fn set_threads(&mut self, threads: usize) {
        self.team = Team::new(threads.max(1));
    }

    /// Keeps only the inputs of blocks for the backward pass, which computes the rest again: less
    /// memory for a third more work. No result depends on it.
    pub fn set_recompute(&mut self, recompute: bool) {
        self.recompute = recompute;
    }

    /// Bounds the memory of keys and values while sampling; no result depends on it.
    pub fn set_kv_bytes(&mut self, bytes: usize) {
        self.kv_bytes = bytes;
    }

    /// Tokens that passes of this engine have computed so far, in sampling, scoring and training.
    /// It counts work without a clock: tokens that prompts share count once.
    pub fn computed_tokens(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// Bytes of weights and their packed copies.
    pub fn weight_bytes(&self) -> usize {
        self.decoder.bytes()
    }

    /// Whether sampling was asked to stop.
    fn is_stopped(&self) -> bool {
        let stop = self.stop.as_ref();
        stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    fn net(&self) -> Net<'_> {
        Net {
            config: &self.config,
            decoder: &self.decoder,
            rotary: &self.rotary,
            team: &self.team,
            crew: None,
            computed: &self.computed,
        }
    }

    fn check(&self, groups: &[Group]) -> Result<(), ModelError> {
        for group in groups {
            check_tokens(&self.config, "prompt", &group.prompt)?;
            for completion in &group.completions {
                check_tokens(&self.config, "completion", completion)?;
                let (tokens, context) = (
                    group.prompt.len() + completion.len(),
                    self.config.max_position_embeddings,
                );
                if tokens > context {
                    return Err(ModelError::TooLong { tokens, context });
                }
            }
        }
        Ok(())
    }
}

fn check_tokens(
    config: &ModelConfig,
    what: &'static str,
    tokens: &[u32],
) -> Result<(), ModelError> {
    if tokens.is_empty() {
        return Err(ModelError::Empty { what });
    }
    match tokens.iter().find(|&&id| id as usize >= config.vocab) {
        Some(&id) => Err(ModelError::UnknownToken {
            id,
            vocab: config.vocab,
        }),
        None => Ok(()),
    }
}

/// A uniform in `±1 / sqrt(d_in)` (PEFT's Kaiming with `a = sqrt(5)`), B zero.
///
/// # Errors
///
/// When a target is no layer of the model.
pub(crate) fn fresh_adapter(
    config: &ModelConfig,
    lora: &LoraConfig,
    seed: u64,
) -> Result<NamedTensors, ModelError> {
    let draw = |(name, shape): (String, Vec<usize>)| {
        let layer = name.strip_prefix("base_model.model.");
        let layer = layer.and_then(|it| it.strip_suffix(".lora_A.weight"));
        let data = match layer {
            Some(layer) => {
                let mut rng = Rng::new(derive_seed(seed, &["adapter", layer]));
                let bound = 1.0 / (shape[1] as f32).sqrt();
                let draw = |_| bound * (2.0 * rng.uniform() - 1.0);
                (0..shape[0] * shape[1]).map(draw).collect()
            }
            None => vec![0.0; shape[0] * shape[1]],
        };
        (name, HostTensor { shape, data })
    };
    let tensors = adapter_tensors(config, lora)?.into_iter();
    Ok(tensors.map(draw).collect())
}

/// Per-token zeros in the shape of the groups.
fn per_token(groups: &[Group]) -> PerToken {
    groups
        .iter()
        .map(|g| g.completions.iter().map(|c| vec![0.0; c.len()]).collect())
        .collect()
}

fn put(values: &mut PerToken, batch: &Batch, log_probs: &[f32]) {
    for (target, &log_prob) in batch.targets.iter().zip(log_probs) {
        values[target.at.group][target.at.completion][target.at.start] = log_prob;
    }
}

impl Engine for CpuEngine {
    fn score(&self, groups: &[Group], temperature: f32) -> Result<PerToken, ModelError> {
        self.check(groups)?;
        let mut out = per_token(groups);
        let mut state = self.pool.take();
        let net = self.net();
        self.team.run(|| {
            let State { work, head, .. } = &mut state;
            for batch in batches(groups, BATCH_ROWS, &|_| true) {
                net.forward(&batch, work, Keep::Nothing);
                let log_probs = net.log_probs(&batch, temperature, work, head, None);
                put(&mut out, &batch, &log_probs);
            }
        });
        self.pool.give(state);
        check_finite(out.iter().flatten())?;
        Ok(out)
    }

    fn accumulate(
        &mut self,
        groups: &[Group],
        temperature: f32,
        loss: &dyn TokenLoss,
    ) -> Result<PerToken, ModelError> {
        self.check(groups)?;
        let mut grads = std::mem::take(&mut self.grads);
        if grads.is_empty() {
            let size = |&p: &usize| self.decoder.params[p].len();
            grads = (self.decoder.trained.iter().map(size))
                .map(|n| vec![0.0; n])
                .collect();
        }
        let mut out = per_token(groups);
        let mut state = self.pool.take();
        let keep = if self.recompute {
            Keep::Inputs
        } else {
            Keep::Everything
        };
        let net = self.net();
        self.team.run(|| {
            let State { work, head, .. } = &mut state;
            for batch in batches(groups, BATCH_ROWS, &|at| loss.reads(at)) {
                net.forward(&batch, work, keep);
                let back = Some((loss, &mut grads));
                let log_probs = net.log_probs(&batch, temperature, work, head, back);
                net.backward(&batch, work, &mut grads);
                put(&mut out, &batch, &log_probs);
            }
        });
        self.pool.give(state);
        self.grads = grads;
        Ok(out)
    }

    fn update(&mut self, lr: f32, optimizer: &AdamW) -> Result<f32, ModelError> {
        let grads = &self.grads;
        let mut squares = vec![0.0; grads.len()];
        self.team.run(|| {
            let parts = squares.iter_mut().zip(grads).collect();
            each(parts, |(sum, grad): (&mut f64, _)| {
                *sum = simd::sum_squares(grad);
            });
        });
        let norm = squares.iter().sum::<f64>().sqrt() as f32;
        if self.grads.is_empty() || !norm.is_finite() {
            self.drop_gradients();
            return Ok(norm);
        }
        let clip = if optimizer.max_grad_norm > 0.0 {
            (optimizer.max_grad_norm / (norm + 1e-6)).min(1.0)
        } else {
            1.0
        };
        self.steps += 1;
        let step = adamw::Step::new(self.steps, lr, optimizer, clip);
        // Slots follow the order of parameters.
        let trained = self.decoder.params.iter_mut().filter(|p| p.slot.is_some());
        let parts = trained.zip(self.grads.iter_mut().zip(&mut self.moments));
        let parts = parts.collect();
        self.team.run(|| {
            each(
                parts,
                |(param, (grad, moments)): (&mut Param, (&mut Vec<f32>, &mut Moments))| {
                    let step = adamw::Step {
                        decay: if param.shape.len() > 1 {
                            step.decay
                        } else {
                            0.0
                        },
                        ..step
                    };
                    moments.m.resize(grad.len(), 0.0);
                    moments.v.resize(grad.len(), 0.0);
                    param.change(|w| adamw::update(w, grad, &mut moments.m, &mut moments.v, &step));
                },
            );
        });
        Ok(norm)
    }

    fn drop_gradients(&mut self) {
        for grad in &mut self.grads {
            grad.fill(0.0);
        }
    }

    fn gradients(&self) -> NamedTensors {
        let named = |(&param, grad): (&usize, &Vec<f32>)| {
            let param = &self.decoder.params[param];
            (
                param.name.clone(),
                HostTensor {
                    shape: param.shape.clone(),
                    data: grad.clone(),
                },
            )
        };
        self.decoder
            .trained
            .iter()
            .zip(&self.grads)
            .map(named)
            .collect()
    }

    fn generate(
        &self,
        requests: &[Request],
        ends: &Ends<'_>,
    ) -> Result<Vec<Vec<Completion>>, ModelError> {
        let completions = generate::generate(self, requests, ends)?;
        check_finite(completions.iter().flatten().map(|c| &c.log_probs))?;
        Ok(completions)
    }

    fn shapes(&self, kind: Held) -> Vec<(String, Vec<usize>)> {
        let params = self.decoder.params.iter();
        let named = |param: &Param| (param.name.clone(), param.shape.clone());
        match kind {
            Held::Weights => params.filter(|it| !it.is_adapter()).map(named).collect(),
            Held::Adapter => params.filter(|it| it.is_adapter()).map(named).collect(),
            Held::Moments => {
                // Moments are there from the first step or from a checkpoint on.
                let trained = self.decoder.trained.iter().zip(&self.moments);
                let both = |(&param, _): (&usize, &Moments)| {
                    let param = &self.decoder.params[param];
                    ["m", "v"].map(|kind| (format!("{kind}.{}", param.name), param.shape.clone()))
                };
                trained.flat_map(both).collect()
            }
        }
    }

    fn values(&self, kind: Held, name: &str) -> Cow<'_, [f32]> {
        if kind != Held::Moments {
            let mut params = self.decoder.params.iter();
            let found = params.find(|param| param.name == name);
            return found.unwrap_or_else(|| panic!("no tensor `{name}`")).rows();
        }
        let trained = self.decoder.trained.iter().zip(&self.moments);
        let found = trained.into_iter().find_map(|(&param, state)| {
            let param = &self.decoder.params[param];
            let (kind, of) = name.split_once('.')?;
            let data = if kind == "m" { &state.m } else { &state.v };
            (of == param.name).then_some((data, param.len()))
        });
        let (data, len) = found.unwrap_or_else(|| panic!("no moment `{name}`"));
        if data.len() == len {
            return Cow::Borrowed(data);
        }
        // They are made when they are first written to.
        let mut data = data.clone();
        data.resize(len, 0.0);
        Cow::Owned(data)
    }

    fn optimizer_steps(&self) -> u64 {
        self.steps
    }

    fn load_optimizer_state(
        &mut self,
        steps: u64,
        mut moments: NamedTensors,
    ) -> Result<(), ModelError> {
        let mut loaded = Vec::new();
        for &param in &self.decoder.trained {
            let param = &self.decoder.params[param];
            let mut take = |kind: &str| {
                let name = format!("{kind}.{}", param.name);
                match moments.remove(&name) {
                    Some(tensor) if tensor.shape == param.shape => Ok(tensor.data),
                    Some(tensor) => Err(format!(
                        "optimizer moment `{name}` has shape {:?}; the parameter has {:?}",
                        tensor.shape, param.shape
                    )),
                    None => Err(format!("optimizer moment `{name}` is missing")),
                }
                .map_err(|message| ModelError::Other { message })
            };
            loaded.push(Moments {
                m: take("m")?,
                v: take("v")?,
            });
        }
        if let Some(name) = moments.keys().next() {
            return Err(ModelError::Other {
                message: format!("optimizer moment `{name}` belongs to no trained parameter"),
            });
        }
        self.moments = loaded;
        self.steps = steps;
        Ok(())
    }

    fn fork(&self, training: &Training, seed: u64) -> Result<Box<dyn Engine>, ModelError> {
        let mut engine = self.frozen();
        match training {
            Training::Frozen => {}
            Training::Full => engine.train_all(),
            Training::Lora(_) if engine.has_adapter() => engine.train_adapter(),
            Training::Lora(lora) => engine.add_adapter(lora, NamedTensors::new(), true, seed)?,
        }
        Ok(Box::new(engine))
    }

    fn into_frozen(mut self: Box<Self>) -> Box<dyn Engine> {
        self.settle();
        self
    }

    fn stop_when(&mut self, stop: &Arc<AtomicBool>) {
        self.stop = Some(Arc::clone(stop));
    }

    fn is_exact(&self) -> bool {
        true
    }
}
