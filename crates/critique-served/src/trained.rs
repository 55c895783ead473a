//! A model whose adapter is trained in this process while servers sample for it.
//!
//! Before weights sample that the servers do not have, their adapter is written into a folder of
//! its own and pushed; what is sampled must carry that version. Left out: full weights, which
//! servers take from their own disks or over NCCL.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use critique_core::files::{make_folder, remove_folder, write_folder};
use critique_core::{AdamW, Completion, LoraConfig, Request, Servers};
use critique_model::{
    Adapter, Ends, Engine, Group, Held, LanguageModel, ModelError, NamedTensors, PerToken,
    SaveDtype, TokenLoss, Training, save_adapter,
};
use critique_remote::rollout::{LogProbs, Mismatch, Sampled};

use crate::connect::{self, Client, outside};

/// Requests whose samples the log-probs of servers are first compared on.
const COMPARED: usize = 32;
/// Versions of an adapter that stay on disk: a server that comes back asks for the newest.
const KEPT: u64 = 2;

/// How servers sample for a model that is trained.
#[derive(Debug, Clone, Copy)]
pub struct SampleSettings<'a> {
    /// The servers.
    pub servers: &'a Servers,
    /// Where versions of the adapter are written; the servers see it under the same path.
    pub adapters: &'a Path,
    /// The temperature of what is trained on.
    pub temperature: f32,
    /// Largest mean difference, in nats, between the log-probs of the servers and those of this
    /// process.
    pub bound: f32,
}

/// Servers that sample for versions of one model: for as many engines as there are, one after the
/// other.
#[derive(Clone)]
pub struct SampledModels {
    shared: Arc<Shared>,
    context: Option<usize>,
}

impl SampledModels {
    /// Asks the servers what they serve, and whether their log-probs are those of sampling.
    ///
    /// # Errors
    ///
    /// As [`open`](crate::open).
    pub fn open(model: &LanguageModel, settings: &SampleSettings<'_>) -> Result<Self, ModelError> {
        let client = connect::trained(
            settings.servers,
            model.config(),
            &model.shared_codec(),
            settings.temperature,
        )?;
        let version = newest(settings.adapters)?;
        let shared = Shared {
            client,
            adapters: settings.adapters.to_owned(),
            base: model.source().map(|it| it.display().to_string()),
            bound: settings.bound,
            temperature: settings.temperature,
            state: Mutex::new(State {
                version,
                ..State::default()
            }),
        };
        Ok(Self {
            shared: Arc::new(shared),
            context: settings.servers.context,
        })
    }

    /// The frozen model with these servers to sample for it, and for forks of it.
    ///
    /// # Errors
    ///
    /// When the model has no adapter.
    pub fn sample(&self, model: LanguageModel) -> Result<LanguageModel, ModelError> {
        self.with(model, false)
    }

    /// The same for a model that is trained on what they sample: log-probs must be those of
    /// sampling.
    ///
    /// # Errors
    ///
    /// When the model has no adapter.
    pub fn sample_to_train(&self, model: LanguageModel) -> Result<LanguageModel, ModelError> {
        self.with(model, true)
    }

    fn with(&self, mut model: LanguageModel, trains: bool) -> Result<LanguageModel, ModelError> {
        let Some(lora) = model.lora().cloned() else {
            let message = "servers can sample for a model that is trained by `lora` alone";
            return Err(ModelError::Other {
                message: message.to_owned(),
            });
        };
        if let Some(context) = self.context {
            model.limit_context(context);
        }
        let shared = Arc::clone(&self.shared);
        Ok(model.map_engine(|inner| SampledOn::boxed(inner, shared, lora, trains)))
    }
}

/// The newest version in a folder: names of adapters on servers must not come twice.
fn newest(adapters: &Path) -> Result<u64, ModelError> {
    critique_core::files::make_folder(adapters)?;
    let entries = std::fs::read_dir(adapters).map_err(|source| ModelError::Outside {
        context: format!("cannot read `{}`", adapters.display()),
        source: Box::new(source),
    })?;
    let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix('v')?.parse().ok();
    let numbers = entries.flatten().filter_map(|it| number(it.file_name()));
    Ok(numbers.max().unwrap_or(0))
}

/// What all engines share that the same servers sample for.
struct Shared {
    client: Client,
    adapters: PathBuf,
    base: Option<String>,
    temperature: f32,
    bound: f32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The newest version that was written.
    version: u64,
    /// Whose weights the servers have, as of how many of its steps.
    current: Option<(u64, u64)>,
    engines: u64,
    /// Whether log-probs were found to agree.
    agrees: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An engine that servers sample for.
struct SampledOn {
    inner: Box<dyn Engine>,
    shared: Arc<Shared>,
    lora: LoraConfig,
    /// Tells its weights from those of other engines.
    id: u64,
    trains: bool,
}

impl SampledOn {
    fn boxed(
        inner: Box<dyn Engine>,
        shared: Arc<Shared>,
        lora: LoraConfig,
        trains: bool,
    ) -> Box<dyn Engine> {
        let id = {
            let mut state = shared.state();
            state.engines += 1;
            state.engines
        };
        Box::new(Self {
            inner,
            shared,
            lora,
            id,
            trains,
        })
    }

    /// Has the servers sample with the weights as they are now; gives their version.
    fn push(&self) -> Result<u64, ModelError> {
        let mut state = self.shared.state();
        let weights = (self.id, self.inner.optimizer_steps());
        if state.current == Some(weights) {
            return Ok(state.version);
        }
        let version = state.version + 1;
        let folder = self.shared.adapters.join(format!("v{version}"));
        let adapter = Adapter {
            config: self.lora.clone(),
            base_model: self.shared.base.clone(),
            tensors: self.inner.adapter(),
        };
        make_folder(folder.parent().unwrap_or(&folder))?;
        write_folder(&folder, |folder| save_adapter(folder, &adapter))?;
        state.version = version;
        let pushed = self.shared.client.push_adapter(&folder, version);
        pushed.map_err(outside)?;
        state.current = Some(weights);
        let old = version.saturating_sub(KEPT);
        let old = self.shared.adapters.join(format!("v{old}"));
        if old.is_dir() {
            remove_folder(&old)?;
        }
        Ok(version)
    }

    /// That the servers' log-probs are those of this process, on the first samples of a run.
    fn compare(&self, requests: &[Request], found: &[Vec<Sampled>]) -> Result<(), ModelError> {
        if self.shared.state().agrees {
            return Ok(());
        }
        let temperature = self.shared.temperature;
        let pairs: Vec<(&Request, &Vec<Sampled>)> = (requests.iter().zip(found))
            .filter(|(request, _)| request.sampling.temperature == temperature)
            .take(COMPARED)
            .collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let groups: Vec<Group> = pairs.iter().map(|pair| group(pair.0, pair.1)).collect();
        let scored: Vec<f32> = (self.inner.score(&groups, temperature)?).concat().concat();
        let samples = pairs.iter().flat_map(|pair| pair.1);
        let sampled: Vec<f32> = samples
            .flat_map(|it| it.completion.log_probs.iter().copied())
            .collect();
        let mismatch = Mismatch::between(&sampled, &scored, self.shared.bound);
        if let Err(message) = mismatch.check(self.shared.bound) {
            return Err(ModelError::Other { message });
        }
        self.shared.state().agrees = true;
        Ok(())
    }
}

fn group(request: &Request, found: &[Sampled]) -> Group {
    Group {
        prompt: request.prompt.clone(),
        completions: found
            .iter()
            .map(|it| it.completion.tokens.clone())
            .collect(),
    }
}

/// The completions, once all are of the version that was asked.
fn of_version(found: Vec<Vec<Sampled>>, version: u64) -> Result<Vec<Vec<Completion>>, ModelError> {
    if let Some(other) = found
        .iter()
        .flatten()
        .find(|it| it.version != Some(version))
    {
        let message = format!(
            "server {} sampled with version {:?} of the adapter; version {version} was asked",
            other.server, other.version
        );
        return Err(ModelError::Other { message });
    }
    let plain = |samples: Vec<Sampled>| samples.into_iter().map(|it| it.completion).collect();
    Ok(found.into_iter().map(plain).collect())
}

impl Engine for SampledOn {
    fn score(&self, groups: &[Group], temperature: f32) -> Result<PerToken, ModelError> {
        self.inner.score(groups, temperature)
    }

    fn accumulate(
        &mut self,
        groups: &[Group],
        temperature: f32,
        loss: &dyn TokenLoss,
    ) -> Result<PerToken, ModelError> {
        self.inner.accumulate(groups, temperature, loss)
    }

    fn update(&mut self, lr: f32, optimizer: &AdamW) -> Result<f32, ModelError> {
        self.inner.update(lr, optimizer)
    }

    fn drop_gradients(&mut self) {
        self.inner.drop_gradients();
    }

    fn gradients(&self) -> NamedTensors {
        self.inner.gradients()
    }

    fn generate(
        &self,
        requests: &[Request],
        _: &Ends<'_>,
    ) -> Result<Vec<Vec<Completion>>, ModelError> {
        let version = self.push()?;
        let use_of = if self.trains {
            LogProbs::Trained
        } else {
            LogProbs::Unused
        };
        let found = self.shared.client.generate_for(requests, use_of);
        let found = found.map_err(connect::engine_error)?;
        if self.trains {
            self.compare(requests, &found)?;
        }
        of_version(found, version)
    }

    fn shapes(&self, kind: Held) -> Vec<(String, Vec<usize>)> {
        self.inner.shapes(kind)
    }

    fn values(&self, kind: Held, name: &str) -> Cow<'_, [f32]> {
        self.inner.values(kind, name)
    }

    fn save(&self, dir: &Path, dtype: SaveDtype, max_shard_bytes: u64) -> Result<(), ModelError> {
        self.inner.save(dir, dtype, max_shard_bytes)
    }

    fn save_in_one(&self, kind: Held, path: &Path) -> Result<(), ModelError> {
        self.inner.save_in_one(kind, path)
    }

    fn optimizer_steps(&self) -> u64 {
        self.inner.optimizer_steps()
    }

    fn load_optimizer_state(
        &mut self,
        steps: u64,
        moments: NamedTensors,
    ) -> Result<(), ModelError> {
        self.inner.load_optimizer_state(steps, moments)
    }

    fn fork(&self, training: &Training, seed: u64) -> Result<Box<dyn Engine>, ModelError> {
        let inner = self.inner.fork(training, seed)?;
        let trains = *training != Training::Frozen;
        let shared = Arc::clone(&self.shared);
        Ok(Self::boxed(inner, shared, self.lora.clone(), trains))
    }

    fn into_frozen(self: Box<Self>) -> Box<dyn Engine> {
        let Self {
            inner,
            shared,
            lora,
            ..
        } = *self;
        Self::boxed(inner.into_frozen(), shared, lora, false)
    }

    /// Samples of this process's own are never asked for, and scoring is short.
    fn stop_when(&mut self, stop: &Arc<AtomicBool>) {
        self.shared.client.stop_when(stop);
        self.inner.stop_when(stop);
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn sampled_version(&self) -> Option<u64> {
        Some(self.shared.state().version)
    }
}
