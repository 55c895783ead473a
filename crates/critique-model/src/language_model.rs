//! A decoder with its tokenizer and chat template: what `critique-core` calls [`Generate`].

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use critique_core::{Completion, Generate, GenerateError, Prompt, Request};
use critique_text::TextCodec;

use crate::adapter::{Adapter, load_adapter, save_adapter};
use crate::burn_engine::BurnEngine;
use crate::config::ModelConfig;
use crate::cpu::CpuEngine;
use crate::device::DeviceSpec;
use crate::engine::{Ends, Engine, Held, NamedTensors, Training};
use crate::error::ModelError;
use crate::files::copy_model_files;
use crate::weights::{Listed, SaveDtype, WeightFiles, Weights};
use critique_core::Dtype;
use critique_core::LoraConfig;

/// Largest weight file; larger models are cut into shards.
const SHARD_BYTES: u64 = 5_000_000_000;

/// Where and how models run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// The device.
    pub device: DeviceSpec,
    /// Threads of the CPU engine; 0 takes as many as the machine has.
    pub threads: usize,
    /// Whether the CPU engine computes activations again in the backward pass instead of keeping
    /// them. No result depends on it.
    pub recompute: bool,
    /// The type of frozen weights on the CPU; other devices know [`Dtype::F32`] alone.
    pub dtype: Dtype,
    /// Draws fresh adapters.
    pub seed: u64,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            device: DeviceSpec::Cpu,
            threads: 0,
            recompute: false,
            dtype: Dtype::F32,
            seed: 0,
        }
    }
}

/// A language model in this process.
pub struct LanguageModel {
    config: ModelConfig,
    codec: Arc<TextCodec>,
    runtime: Runtime,
    engine: Box<dyn Engine>,
    /// The adapter's settings, where there is one.
    lora: Option<LoraConfig>,
    /// The folder that the model came from, whose files are copied on export.
    source: Option<PathBuf>,
}

impl LanguageModel {
    /// Reads a model folder in Hugging Face layout. Nothing is trained yet. A PEFT folder (one
    /// with `adapter_config.json`) is read with the base model that it names.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged, or the device cannot be opened.
    pub fn load(dir: &Path, runtime: &Runtime) -> Result<Self, ModelError> {
        if dir.join("adapter_config.json").is_file() && !dir.join("config.json").is_file() {
            let base = crate::adapter::base_model(dir)?;
            return Self::load_with_adapter(&base, dir, runtime);
        }
        Self::load_parts(dir, None, runtime)
    }

    /// Reads a model folder and an adapter on it.
    ///
    /// # Errors
    ///
    /// As [`LanguageModel::load`], and when the adapter does not fit the model.
    pub fn load_with_adapter(
        dir: &Path,
        adapter: &Path,
        runtime: &Runtime,
    ) -> Result<Self, ModelError> {
        Self::load_parts(dir, Some(adapter), runtime)
    }

    /// Reads the tokenizer while the weights are read.
    fn load_parts(
        dir: &Path,
        adapter: Option<&Path>,
        runtime: &Runtime,
    ) -> Result<Self, ModelError> {
        let engine = || {
            let (config, weights) = read_model(dir)?;
            let adapter = adapter.map(|it| load_adapter(it, &config)).transpose()?;
            let lora = adapter.as_ref().map(|it| it.config.clone());
            let adapter = adapter.map(|it| (it.config, it.tensors));
            let engine = open(&config, weights.into(), adapter, false, runtime)?;
            Ok::<_, ModelError>((config, lora, engine))
        };
        let (codec, engine) = std::thread::scope(|scope| {
            let engine = scope.spawn(engine);
            let codec = TextCodec::load(dir);
            (codec, engine.join().unwrap_or_else(|it| resume_unwind(it)))
        });
        let codec = codec?;
        let (config, lora, engine) = engine?;
        Ok(Self {
            config,
            codec: Arc::new(codec),
            runtime: *runtime,
            engine,
            lora,
            source: Some(dir.to_owned()),
        })
    }

    /// A model made in memory.
    ///
    /// # Errors
    ///
    /// When a weight is missing or misshapen, or the device cannot be opened.
    pub fn from_parts(
        config: ModelConfig,
        codec: TextCodec,
        weights: NamedTensors,
        runtime: &Runtime,
    ) -> Result<Self, ModelError> {
        let engine = open(&config, weights.into(), None, false, runtime)?;
        Ok(Self {
            config,
            codec: Arc::new(codec),
            runtime: *runtime,
            engine,
            lora: None,
            source: None,
        })
    }

    /// A model that an engine outside this process runs, with its shape and tokenizer. Its folder,
    /// where it has one, is copied from on export; no weights are read from it.
    pub fn with_engine(
        config: ModelConfig,
        codec: Arc<TextCodec>,
        engine: Box<dyn Engine>,
        source: Option<PathBuf>,
    ) -> Self {
        Self {
            config,
            codec,
            runtime: Runtime::default(),
            engine,
            lora: None,
            source,
        }
    }

    /// The same model run by another engine, made of its own.
    pub fn map_engine(mut self, make: impl FnOnce(Box<dyn Engine>) -> Box<dyn Engine>) -> Self {
        self.engine = make(self.engine);
        self
    }

    /// A model with the same weights of which `training` is trained, with no optimizer state.
    /// The two share memory until one changes.
    ///
    /// # Errors
    ///
    /// When `training` asks for an adapter with other settings than the one that is there.
    pub fn fork(&self, training: &Training) -> Result<Self, ModelError> {
        let lora = match (training, &self.lora) {
            (Training::Full, Some(_)) => {
                let message =
                    "full training of a model with an adapter; merge the adapter first".to_owned();
                return Err(ModelError::Other { message });
            }
            (Training::Lora(wanted), Some(lora)) if wanted != lora => {
                let message =
                    format!("the model has an adapter with {lora:?}; the run asks for {wanted:?}");
                return Err(ModelError::Other { message });
            }
            (Training::Lora(wanted), None) => Some(wanted.clone()),
            (_, lora) => lora.clone(),
        };
        let engine = self.engine.fork(training, self.runtime.seed)?;
        Ok(Self {
            config: self.config.clone(),
            codec: Arc::clone(&self.codec),
            runtime: self.runtime,
            engine,
            lora,
            source: self.source.clone(),
        })
    }

    /// What [`LanguageModel::fork`] was asked to train, were this a fork for training.
    pub fn training(&self) -> Training {
        self.lora.clone().map_or(Training::Full, Training::Lora)
    }

    /// This model, trained no further: gradients and optimizer state are dropped.
    pub fn into_frozen(mut self) -> Self {
        self.engine = self.engine.into_frozen();
        self
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Tokenizer and chat template.
    pub fn codec(&self) -> &TextCodec {
        &self.codec
    }

    /// The tokenizer and chat template, to keep.
    pub fn shared_codec(&self) -> Arc<TextCodec> {
        Arc::clone(&self.codec)
    }

    /// Settings of the adapter, where there is one.
    pub fn lora(&self) -> Option<&LoraConfig> {
        self.lora.as_ref()
    }

    /// The folder that the model came from.
    pub fn source(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// Whether log-probs recorded while sampling are, bit for bit, those that scoring gives.
    pub fn samples_exactly(&self) -> bool {
        self.engine.is_exact()
    }

    /// Sampling ends with an error once this is set, that of forks made later, too.
    pub fn stop_when(&mut self, stop: &Arc<AtomicBool>) {
        self.engine.stop_when(stop);
    }

    /// Takes the model for one of a shorter context, such as that of the servers that sample for it.
    pub fn limit_context(&mut self, tokens: usize) {
        self.config.max_position_embeddings = self.config.max_position_embeddings.min(tokens);
    }

    /// Names the folder whose files are copied on export; `None` writes them from memory.
    pub fn set_source(&mut self, source: Option<PathBuf>) {
        self.source = source;
    }

    /// The engine that runs it.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The engine that runs it, to be trained.
    pub fn engine_mut(&mut self) -> &mut dyn Engine {
        &mut *self.engine
    }

    /// Writes what was trained into a folder: a PEFT adapter where there is one, else a model in
    /// Hugging Face layout. Tokenizer files of a loaded model are copied byte for byte.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        create_dir(dir)?;
        let Some(lora) = &self.lora else {
            self.save_rest(dir)?;
            return self.engine.save(dir, SaveDtype::F32, SHARD_BYTES);
        };
        let base_model = self.source.as_ref().map(|dir| dir.display().to_string());
        save_adapter(
            dir,
            &Adapter {
                config: lora.clone(),
                base_model,
                tensors: self.engine().adapter(),
            },
        )
    }

    /// Writes a model in Hugging Face layout, an adapter merged into it, with weights in `dtype`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written, or a finite weight would become infinite in `dtype`.
    pub fn save_merged(&self, dir: &Path, dtype: SaveDtype) -> Result<(), ModelError> {
        create_dir(dir)?;
        self.save_rest(dir)?;
        let Some(lora) = &self.lora else {
            return self.engine.save(dir, dtype, SHARD_BYTES);
        };
        let values = |name: &str| {
            let mut weight = self.engine.values(Held::Weights, name);
            self.add_adapter(lora, name, &mut weight);
            weight
        };
        let shapes = self.engine.shapes(Held::Weights);
        Listed::new(shapes, &values).save(dir, dtype, SHARD_BYTES)
    }

    /// Adds to a weight what the adapter adds to its layer, where it adapts that.
    fn add_adapter(&self, lora: &LoraConfig, name: &str, weight: &mut Cow<'_, [f32]>) {
        let Some(layer) = name.strip_suffix(".weight") else {
            return;
        };
        if !lora.adapts(layer) {
            return;
        }
        let part = |part| format!("base_model.model.{layer}.lora_{part}.weight");
        let a = self.engine.values(Held::Adapter, &part("A"));
        let b = self.engine.values(Held::Adapter, &part("B"));
        let (rank, scale) = (lora.rank_of(layer), lora.scale_of(layer));
        add_product(weight.to_mut(), &b, &a, rank, scale);
    }

    /// Configuration and tokenizer.
    fn save_rest(&self, dir: &Path) -> Result<(), ModelError> {
        if let Some(source) = &self.source {
            copy_model_files(source, dir)?;
            return Ok(());
        }
        self.config.save(dir)?;
        Ok(self.codec.save(dir)?)
    }
}

/// Reads the configuration of a folder and opens its weights, without a tokenizer.
///
/// # Errors
///
/// When a file is missing or damaged.
pub fn read_model(dir: &Path) -> Result<(ModelConfig, WeightFiles), ModelError> {
    let config = ModelConfig::load(dir)?;
    let weights = WeightFiles::open(dir, &config)?;
    Ok((config, weights))
}

/// An engine for weights and, where given, an adapter on them. Where there is an adapter, that is
/// what is trained; [`Training::Lora`] starts one where there is none.
///
/// # Errors
///
/// When a tensor is missing or misshapen, or the device cannot be opened.
pub fn open_engine(
    config: &ModelConfig,
    weights: impl Into<Weights>,
    adapter: Option<Adapter>,
    training: &Training,
    runtime: &Runtime,
) -> Result<Box<dyn Engine>, ModelError> {
    let train = *training != Training::Frozen;
    let adapter = match (adapter, training) {
        (None, Training::Lora(lora)) => Some((lora.clone(), NamedTensors::new())),
        (adapter, _) => adapter.map(|a| (a.config, a.tensors)),
    };
    open(config, weights.into(), adapter, train, runtime)
}

fn create_dir(dir: &Path) -> Result<(), ModelError> {
    Ok(critique_core::files::make_folder(dir)?)
}

/// `weight += scale * b a`, with `weight` `[out, in]`, `b` `[out, r]`, `a` `[r, in]`.
fn add_product(weight: &mut [f32], b: &[f32], a: &[f32], r: usize, scale: f32) {
    let d_in = a.len() / r;
    for (row, b) in weight.chunks_exact_mut(d_in).zip(b.chunks_exact(r)) {
        for (&b, a) in b.iter().zip(a.chunks_exact(d_in)) {
            row.iter_mut().zip(a).for_each(|(w, a)| *w += scale * b * a);
        }
    }
}

/// The engine of a device.
fn open(
    config: &ModelConfig,
    weights: Weights,
    adapter: Option<(LoraConfig, NamedTensors)>,
    train: bool,
    runtime: &Runtime,
) -> Result<Box<dyn Engine>, ModelError> {
    if runtime.device == DeviceSpec::Cpu {
        let mut engine = CpuEngine::with_dtype(config, weights, runtime.threads, runtime.dtype)?;
        engine.set_recompute(runtime.recompute);
        match adapter {
            Some((lora, tensors)) => engine.add_adapter(&lora, tensors, train, runtime.seed)?,
            None if train => engine.train_all(),
            None => {}
        }
        return Ok(Box::new(engine));
    }
    if runtime.dtype != Dtype::F32 {
        let message = format!(
            "bf16 weights on `{}`; expected `f32`, or the device `cpu`",
            runtime.device
        );
        return Err(ModelError::Other { message });
    }
    let (device, weights) = (runtime.device.open()?, weights.into_tensors()?);
    let engine = BurnEngine::new(config, weights, adapter, train, device, runtime.seed)?;
    Ok(Box::new(engine))
}

impl Generate for LanguageModel {
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        self.codec
            .encode_prompt(prompt)
            .map_err(|e| failed("rendering a prompt", e))
    }

    fn generate(&self, requests: &[Request]) -> Result<Vec<Vec<Completion>>, GenerateError> {
        let decode = |tokens: &[u32]| self.codec.decode(tokens, true);
        let mut eos = self.codec.eos_ids().to_vec();
        eos.extend(&self.config.eos_token_ids);
        let ends = Ends {
            eos: &eos,
            decode: &decode,
        };
        self.engine()
            .generate(requests, &ends)
            .map_err(|e| failed("sampling", e))
    }

    fn context_tokens(&self) -> usize {
        self.config.max_position_embeddings
    }
}

fn failed(context: &str, error: impl Into<ModelError>) -> GenerateError {
    match error.into() {
        ModelError::Stopped => GenerateError::Stopped,
        ModelError::UnknownToken { id, vocab } => GenerateError::UnknownToken { id, vocab },
        ModelError::TooLong { tokens, context } => GenerateError::PromptTooLong {
            prompt: tokens,
            context,
        },
        ModelError::Empty { .. } => GenerateError::EmptyPrompt,
        error => GenerateError::Engine {
            context: context.to_owned(),
            source: Box::new(error),
        },
    }
}
