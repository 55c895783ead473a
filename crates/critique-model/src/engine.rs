//! What runs a decoder: the interface of the CPU engine and of the burn engine.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use critique_core::{AdamW, Completion, LoraConfig, Request};

use crate::error::ModelError;
use crate::weights::{Listed, SaveDtype};

/// A tensor in host memory, row-major, `f32`.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Its dimensions; the product is the length of `data`.
    pub shape: Vec<usize>,
    /// Its values.
    pub data: Vec<f32>,
}

/// Tensors by their Hugging Face names, such as `model.layers.0.self_attn.q_proj.weight`
/// (`[out, in]`), or by PEFT names for adapters.
pub type NamedTensors = BTreeMap<String, HostTensor>;

/// Completions of one prompt whose log-probs are wanted. The prompt is computed once for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// Token ids that are read only; at least one.
    pub prompt: Vec<u32>,
    /// Token ids of each completion; at least one token each.
    pub completions: Vec<Vec<u32>>,
}

impl Group {
    /// Tokens of the prompt and of all completions.
    pub fn tokens(&self) -> usize {
        self.prompt.len() + self.completions.iter().map(Vec::len).sum::<usize>()
    }
}

/// Per-token values laid out as groups, completions, tokens.
pub type PerToken = Vec<Vec<Vec<f32>>>;

/// That log-probs of a completion are numbers. NaN weights would else sample token 0 for ever, and
/// nobody would notice.
pub(crate) fn check_finite<'a>(
    completions: impl Iterator<Item = &'a Vec<f32>>,
) -> Result<(), ModelError> {
    for log_probs in completions {
        if let Some(token) = log_probs.iter().position(|value| !value.is_finite()) {
            let value = log_probs[token];
            return Err(ModelError::NotFinite { token, value });
        }
    }
    Ok(())
}

/// Where a run of completion tokens stands in the groups that were handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRun {
    /// Index of the group.
    pub group: usize,
    /// Index of the completion in its group.
    pub completion: usize,
    /// Index of the run's first token in its completion.
    pub start: usize,
}

/// The derivative of a loss by each log-prob.
///
/// `log_probs` are those of a run of completion tokens under the current policy, in nats;
/// `grad` receives d loss / d log-prob of each. Runs are as long as an engine likes, and come
/// in any order and from several threads, so the derivative of one token may depend on its own
/// log-prob only (which is all that the losses of docs/method.md, "Loss" need).
pub trait TokenLoss: Sync {
    /// Fills `grad`.
    fn gradient(&self, run: TokenRun, log_probs: &[f32], grad: &mut [f32]);

    /// Whether the loss depends on the log-prob of the token at `at`. What does not matter need
    /// not be computed: an engine may give 0 for it.
    fn reads(&self, _at: TokenRun) -> bool {
        true
    }
}

impl<F: Fn(TokenRun, &[f32], &mut [f32]) + Sync> TokenLoss for F {
    fn gradient(&self, run: TokenRun, log_probs: &[f32], grad: &mut [f32]) {
        self(run, log_probs, grad);
    }
}

/// Kinds of tensors that an engine holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Weights by Hugging Face name; with an adapter, those of the base under it.
    Weights,
    /// The adapter's tensors by PEFT name.
    Adapter,
    /// The optimizer's moments, as `m.NAME` and `v.NAME` of each trained parameter.
    Moments,
}

/// What of a model is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Training {
    /// Nothing.
    Frozen,
    /// Every weight.
    Full,
    /// An adapter: the one the model has, a fresh one if it has none.
    Lora(LoraConfig),
}

/// A decoder on a device, with the gradients and optimizer state of what it trains.
pub trait Engine: Send + Sync {
    /// Log-prob in nats of each completion token at `temperature`, given the tokens before it.
    /// The only scoring path: old, reference and new log-probs all come from here.
    ///
    /// # Errors
    ///
    /// When a token id is outside the vocabulary or a sequence does not fit the context.
    fn score(&self, groups: &[Group], temperature: f32) -> Result<PerToken, ModelError>;

    /// Runs the groups forward and backward and adds to the gradients of the trained
    /// parameters. Gives the log-probs it saw. The sum does not depend on how tokens are
    /// batched or on the number of threads.
    ///
    /// # Errors
    ///
    /// As [`Engine::score`].
    fn accumulate(
        &mut self,
        groups: &[Group],
        temperature: f32,
        loss: &dyn TokenLoss,
    ) -> Result<PerToken, ModelError>;

    /// Clips the accumulated gradients by their global norm, takes one optimizer step and
    /// drops them. Gives the norm before clipping; with a norm that is not finite it takes no step
    /// and drops them all the same.
    ///
    /// # Errors
    ///
    /// When an engine outside this process cannot be asked, or its answer is lost. Whether it took
    /// the step is then not known, and it must not be asked for it again.
    fn update(&mut self, lr: f32, optimizer: &AdamW) -> Result<f32, ModelError>;

    /// Drops the accumulated gradients.
    fn drop_gradients(&mut self);

    /// The accumulated gradients by parameter name.
    fn gradients(&self) -> NamedTensors;

    /// Samples completions, in the order of requests and of their seeds.
    ///
    /// # Errors
    ///
    /// When a prompt is empty, too long, or holds an unknown id.
    fn generate(
        &self,
        requests: &[Request],
        ends: &Ends<'_>,
    ) -> Result<Vec<Vec<Completion>>, ModelError>;

    /// Names and shapes of the tensors of a kind, in any order; none where the engine holds none.
    fn shapes(&self, kind: Held) -> Vec<(String, Vec<usize>)>;

    /// The values of one of them, row-major: a copy where they do not lie in host memory so.
    ///
    /// # Panics
    ///
    /// When there is no such tensor.
    fn values(&self, kind: Held, name: &str) -> Cow<'_, [f32]>;

    /// All tensors of a kind, copied into host memory. [`Engine::save`] needs less.
    fn tensors(&self, kind: Held) -> NamedTensors {
        let copy = |(name, shape): (String, Vec<usize>)| {
            let data = self.values(kind, &name).into_owned();
            (name, HostTensor { shape, data })
        };
        self.shapes(kind).into_iter().map(copy).collect()
    }

    /// Weights by Hugging Face name; with an adapter, those of the base under it.
    fn weights(&self) -> NamedTensors {
        self.tensors(Held::Weights)
    }

    /// The adapter's tensors by PEFT name; empty without one.
    fn adapter(&self) -> NamedTensors {
        self.tensors(Held::Adapter)
    }

    /// Writes the weights into a folder as [`save_weights`](crate::save_weights) does, one tensor
    /// after the other, so that no more than one of them is copied at a time.
    ///
    /// # Errors
    ///
    /// As [`save_weights`](crate::save_weights).
    fn save(&self, dir: &Path, dtype: SaveDtype, max_shard_bytes: u64) -> Result<(), ModelError> {
        let values = |name: &str| self.values(Held::Weights, name);
        Listed::new(self.shapes(Held::Weights), &values).save(dir, dtype, max_shard_bytes)
    }

    /// Writes the tensors of a kind into one safetensors file, in `f32`, one after the other.
    ///
    /// # Errors
    ///
    /// As [`save_tensors`](crate::save_tensors).
    fn save_in_one(&self, kind: Held, path: &Path) -> Result<(), ModelError> {
        let values = |name: &str| self.values(kind, name);
        Listed::new(self.shapes(kind), &values).save_in_one(path)
    }

    /// Optimizer steps taken.
    fn optimizer_steps(&self) -> u64;

    /// Optimizer state: steps taken, and the moments as `m.NAME` and `v.NAME`.
    fn optimizer_state(&self) -> (u64, NamedTensors) {
        (self.optimizer_steps(), self.tensors(Held::Moments))
    }

    /// Puts back what [`Engine::optimizer_state`] gave.
    ///
    /// # Errors
    ///
    /// When a moment is missing, unknown, or misshapen.
    fn load_optimizer_state(&mut self, steps: u64, moments: NamedTensors)
    -> Result<(), ModelError>;

    /// An engine with this one's weights, of which `training` is trained, without gradients and
    /// optimizer state. The two share memory until one of them changes. A fresh adapter is drawn
    /// from `seed`.
    ///
    /// # Errors
    ///
    /// When the adapter's settings do not fit the model.
    fn fork(&self, training: &Training, seed: u64) -> Result<Box<dyn Engine>, ModelError>;

    /// This engine, trained no further: what only training needs is dropped.
    fn into_frozen(self: Box<Self>) -> Box<dyn Engine>;

    /// Sampling ends with [`ModelError::Stopped`] once this is set; forks made later stop with it.
    /// Engines that cannot stop in the middle go on to the end.
    fn stop_when(&mut self, _stop: &Arc<AtomicBool>) {}

    /// Whether log-probs recorded while sampling are, bit for bit, those that scoring gives.
    fn is_exact(&self) -> bool;

    /// Version of the weights that sampled last, where other processes sample and are given each
    /// version: 0 before the first, larger for each that follows. `None` where this engine samples
    /// itself.
    fn sampled_version(&self) -> Option<u64> {
        None
    }
}

/// What ends a completion, and how its text is read while it grows.
pub struct Ends<'a> {
    /// The model's end-of-text tokens.
    pub eos: &'a [u32],
    /// Text of a completion so far, for stop texts.
    pub decode: &'a (dyn Fn(&[u32]) -> String + Sync),
}
