//! The burn engine: a decoder on burn's tensors, for GPUs and, through flex, as the reference
//! that the CPU engine is compared with.
//!
//! Rows are padded on the right and every completion carries its prompt; sampling pads on the
//! left and keeps keys and values. One way of scoring gives every log-prob.
//!
//! Unlike the CPU engine's, its sums depend in their last bits on what shares a batch, so a
//! sample can differ between batches where two tokens are nearly as likely.
//!
//! Left out: sharing prompts between the completions of a group while scoring, 16-bit
//! arithmetic, several devices.

mod batch;
mod decoder;
mod generate;
mod load;
mod lora;
mod names;
mod optimizer;
mod rope;
mod score;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Device;
use critique_core::{Completion, Request};

use self::batch::{Batch, batches};
use self::decoder::Decoder;
use self::names::{Flat, Trained, to_device, to_host};
use self::optimizer::{Moments, Step, global_norm};
use self::score::Way;
use crate::adapter::adapter_tensors;
use crate::config::ModelConfig;
use crate::cpu::fresh_adapter;
use crate::engine::{
    Ends, Engine, Group, Held, HostTensor, NamedTensors, PerToken, TokenLoss, Training,
    check_finite,
};
use crate::error::ModelError;
use critique_core::{AdamW, LoraConfig};

/// A decoder on a burn device.
#[derive(Debug)]
pub struct BurnEngine {
    config: ModelConfig,
    inv_freq: Vec<f32>,
    decoder: Decoder,
    lora: Option<LoraConfig>,
    device: Device,
    limits: BurnLimits,
    trained: Trained,
    /// Sums since the last update.
    gradients: Flat,
    moments: BTreeMap<String, Moments>,
    steps: u64,
}

/// How much memory a pass may take beside weights and optimizer state. No result depends on it
/// by more than rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BurnLimits {
    /// Padded tokens that one pass reads.
    pub batch_tokens: usize,
    /// Bytes that activations kept for the backward pass may take. Where those of all layers
    /// take more, layers are run a second time on the way back.
    pub tape_bytes: usize,
    /// Bytes that logits and their gradients may take.
    pub logits_bytes: usize,
    /// Bytes that keys and values may take while sampling.
    pub cache_bytes: usize,
    /// Completions that are sampled together.
    pub sampled_rows: usize,
}

impl Default for BurnLimits {
    fn default() -> Self {
        Self {
            batch_tokens: 16_384,
            tape_bytes: 4 << 30,
            logits_bytes: 512 << 20,
            cache_bytes: 4 << 30,
            sampled_rows: 256,
        }
    }
}

impl BurnEngine {
    /// A decoder on `device`. With `trainable` it trains its adapter, or every parameter where
    /// it has none. An adapter without tensors starts afresh from `seed`: A as PEFT draws it,
    /// B zero, so that it changes nothing yet.
    ///
    /// # Errors
    ///
    /// When tensors of the base or of the adapter are missing, unused or misshapen.
    pub fn new(
        config: &ModelConfig,
        weights: NamedTensors,
        lora: Option<(LoraConfig, NamedTensors)>,
        trainable: bool,
        device: Device,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let device = device.without_autodiff();
        let decoder = load::decoder(config, weights, &device)?;
        let mut engine = Self {
            config: config.clone(),
            inv_freq: config.rope_inv_freq(),
            decoder,
            lora: None,
            device,
            limits: BurnLimits::default(),
            trained: Trained::Nothing,
            gradients: Flat::new(),
            moments: BTreeMap::new(),
            steps: 0,
        };
        if let Some((lora, tensors)) = lora {
            engine.add_adapter(lora, tensors, seed)?;
        }
        if trainable {
            engine.train();
        }
        Ok(engine)
    }

    fn add_adapter(
        &mut self,
        lora: LoraConfig,
        tensors: NamedTensors,
        seed: u64,
    ) -> Result<(), ModelError> {
        let tensors = if tensors.is_empty() {
            fresh_adapter(&self.config, &lora, seed)?
        } else {
            tensors
        };
        load::add_adapter(
            &mut self.decoder,
            &self.config,
            &lora,
            tensors,
            &self.device,
        )?;
        self.lora = Some(lora);
        Ok(())
    }

    /// Trains the adapter from here on, or everything where there is none.
    fn train(&mut self) {
        self.trained = match self.lora {
            None => Trained::Everything,
            Some(_) => Trained::Adapter,
        };
    }

    /// A frozen engine that shares this one's weights on the device until one of them changes.
    pub fn frozen(&self) -> Self {
        Self {
            config: self.config.clone(),
            inv_freq: self.inv_freq.clone(),
            decoder: self.decoder.clone(),
            lora: self.lora.clone(),
            device: self.device.clone(),
            limits: self.limits,
            trained: Trained::Nothing,
            gradients: Flat::new(),
            moments: BTreeMap::new(),
            steps: 0,
        }
    }

    /// As [`BurnEngine::frozen`], trained from here on: with `lora` by an adapter, the one that
    /// is there or else a fresh one drawn from `seed`.
    ///
    /// # Errors
    ///
    /// When the adapter's settings do not fit the model.
    pub fn trainable(&self, lora: Option<&LoraConfig>, seed: u64) -> Result<Self, ModelError> {
        let mut engine = self.frozen();
        if let (Some(lora), None) = (lora, &self.lora) {
            engine.add_adapter(lora.clone(), NamedTensors::new(), seed)?;
        }
        engine.train();
        Ok(engine)
    }

    /// The engine with other bounds on memory.
    pub fn with_limits(mut self, limits: BurnLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Name and shape of every trained parameter.
    fn trained_shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match (self.trained, &self.lora) {
            (Trained::Everything, _) => self.config.expected_tensors().into_iter().collect(),
            (Trained::Adapter, Some(lora)) => adapter_tensors(&self.config, lora)
                .map(|tensors| tensors.into_iter().collect())
                .unwrap_or_default(),
            _ => BTreeMap::new(),
        }
    }

    /// Bytes that one layer keeps for the way back, a row of `seq` tokens: a count of what burn
    /// saves, good to a factor of two.
    fn tape_bytes(&self, seq: usize) -> usize {
        let config = &self.config;
        let queries = config.heads * config.head_dim;
        let wide = 12 * config.d_model + 8 * queries + 6 * config.d_ff + 4 * config.heads * seq;
        4 * seq * wide
    }

    fn batches(&self, groups: &[Group]) -> Vec<Batch> {
        let limits = &self.limits;
        batches(groups, |seq| {
            (limits.batch_tokens / seq).min(limits.tape_bytes / self.tape_bytes(seq))
        })
    }

    /// The layers that share a tape.
    fn segments(&self, batch: &Batch) -> Vec<Range<usize>> {
        let layers = self.config.layers;
        let fit = self.limits.tape_bytes / (batch.rows * self.tape_bytes(batch.seq));
        let fit = fit.clamp(1, layers);
        let starts = (0..layers).step_by(fit);
        starts.map(|first| first..layers.min(first + fit)).collect()
    }
}

/// Puts a batch's log-probs where they belong.
fn put(values: &mut PerToken, batch: &Batch, log_probs: &[f32]) {
    for (target, &log_prob) in batch.targets.iter().zip(log_probs) {
        values[target.at.group][target.at.completion][target.at.start] = log_prob;
    }
}

impl Engine for BurnEngine {
    fn score(&self, groups: &[Group], temperature: f32) -> Result<PerToken, ModelError> {
        batch::check(&self.config, groups)?;
        let mut values = batch::zeros(groups);
        for batch in self.batches(groups) {
            put(&mut values, &batch, &self.score_batch(&batch, temperature));
        }
        check_finite(values.iter().flatten())?;
        Ok(values)
    }

    fn accumulate(
        &mut self,
        groups: &[Group],
        temperature: f32,
        loss: &dyn TokenLoss,
    ) -> Result<PerToken, ModelError> {
        batch::check(&self.config, groups)?;
        if self.trained == Trained::Nothing {
            return self.score(groups, temperature);
        }
        let mut values = batch::zeros(groups);
        let mut sums = std::mem::take(&mut self.gradients);
        let tracked = names::on_tape(&self.decoder, self.trained);
        let mut way = Way {
            tracked: &tracked,
            trained: self.trained,
            loss,
            sums: &mut sums,
        };
        for batch in self.batches(groups) {
            put(
                &mut values,
                &batch,
                &self.descend(&batch, temperature, &mut way),
            );
        }
        self.gradients = sums;
        Ok(values)
    }

    fn update(&mut self, lr: f32, optimizer: &AdamW) -> Result<f32, ModelError> {
        let gradients = std::mem::take(&mut self.gradients);
        let norm = global_norm(&gradients);
        if gradients.is_empty() || !norm.is_finite() {
            return Ok(norm);
        }
        self.steps += 1;
        let step = Step::new(self.steps, lr, optimizer, norm);
        names::update(&mut self.decoder, gradients, &mut self.moments, &step);
        Ok(norm)
    }

    fn drop_gradients(&mut self) {
        self.gradients.clear();
    }

    fn gradients(&self) -> NamedTensors {
        let shapes = self.trained_shapes();
        let named = |(name, shape): (String, Vec<usize>)| {
            let data = to_host(self.gradients.get(&name)?.clone());
            Some((name, HostTensor { shape, data }))
        };
        shapes.into_iter().filter_map(named).collect()
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
        let moments = |(name, shape): (String, Vec<usize>)| {
            ["m", "v"].map(|kind| (format!("{kind}.{name}"), shape.clone()))
        };
        match kind {
            Held::Weights => names::shapes(&self.decoder, false),
            Held::Adapter => names::shapes(&self.decoder, true),
            Held::Moments => self
                .trained_shapes()
                .into_iter()
                .flat_map(moments)
                .collect(),
        }
    }

    fn values(&self, kind: Held, name: &str) -> Cow<'_, [f32]> {
        if kind != Held::Moments {
            let found = names::read(&self.decoder, name);
            return found.unwrap_or_else(|| panic!("no tensor `{name}`")).into();
        }
        let (kind, of) = name.split_once('.').unwrap_or_default();
        let state = self.moments.get(of);
        let moment = state.map(|it| if kind == "m" { &it.m } else { &it.v });
        match (moment, self.trained_shapes().get(of)) {
            (Some(moment), _) => to_host(moment.clone()).into(),
            // There is none before the first step.
            (None, Some(shape)) => vec![0.0; shape.iter().product()].into(),
            (None, None) => panic!("no moment `{name}`"),
        }
    }

    fn optimizer_steps(&self) -> u64 {
        self.steps
    }

    fn load_optimizer_state(
        &mut self,
        steps: u64,
        mut moments: NamedTensors,
    ) -> Result<(), ModelError> {
        let shapes = self.trained_shapes();
        let both = |(name, shape): (&String, &Vec<usize>)| {
            [("m", name), ("v", name)].map(|(kind, name)| (format!("{kind}.{name}"), shape.clone()))
        };
        let wanted: Vec<_> = shapes.iter().flat_map(both).collect();
        load::check("optimizer state", &wanted, &moments)?;
        let mut take = |kind: &str, name: &str| {
            let tensor = moments.remove(&format!("{kind}.{name}"));
            let data = tensor.map(|it| it.data).unwrap_or_default();
            let len = data.len();
            to_device(data, [len], &self.device)
        };
        self.moments = shapes
            .into_keys()
            .map(|name| {
                let (m, v) = (take("m", &name), take("v", &name));
                (name, Moments { m, v })
            })
            .collect();
        self.steps = steps;
        Ok(())
    }

    fn fork(&self, training: &Training, seed: u64) -> Result<Box<dyn Engine>, ModelError> {
        Ok(Box::new(match training {
            Training::Frozen => self.frozen(),
            Training::Full => self.trainable(None, seed)?,
            Training::Lora(lora) => self.trainable(Some(lora), seed)?,
        }))
    }

    fn into_frozen(self: Box<Self>) -> Box<dyn Engine> {
        Box::new(self.frozen())
    }

    fn is_exact(&self) -> bool {
        false
    }
}
