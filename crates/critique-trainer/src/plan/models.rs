//! The models of a run, loaded, made or copied when they are first needed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use critique_core::derive_seed;
use critique_model::{
    Architecture, CpuEngine, DeviceSpec, Dtype, LanguageModel, ModelConfig, Rope, Runtime, Training,
};
use critique_run::rows::stage_and_best;
use critique_run::{
    Gate, Misfit, ModelSource, NewModel, RunConfig, RunDir, RunError, StageConfig, origin,
};
use critique_tasks::{Task, Vocabulary};
use critique_text::{SpecialTokens, TextCodec, phrase_tokenizer};

use crate::error::TrainError;

/// Models by name.
pub struct Models {
    runtime: Runtime,
    sources: BTreeMap<String, ModelSource>,
    loaded: BTreeMap<String, LanguageModel>,
    vocabulary: Option<Vocabulary>,
    /// Ends sampling when it is set.
    stop: Option<Arc<AtomicBool>>,
    /// The time that chat templates are told, in seconds since 1970.
    time: Option<u64>,
}

impl Models {
    /// Names only; nothing is loaded yet.
    ///
    /// # Errors
    ///
    /// When the run names an unknown device.
    pub fn new(config: &RunConfig, task: &dyn Task) -> Result<Self, TrainError> {
        let runtime = Runtime {
            device: DeviceSpec::parse(&config.device)?,
            threads: config.threads,
            recompute: config.recompute,
            dtype: Dtype::F32,
            seed: config.seed,
        };
        Ok(Self {
            runtime,
            sources: config.models.clone(),
            loaded: BTreeMap::new(),
            vocabulary: task.vocabulary(),
            stop: None,
            time: None,
        })
    }

    /// Sampling with models that are loaded from here on ends with an error once this is set.
    pub fn stop_when(&mut self, stop: &Arc<AtomicBool>) {
        self.stop = Some(Arc::clone(stop));
    }

    /// The time that chat templates of models that are loaded from here on are told, in seconds
    /// since 1970 (UTC): when the run began ([`RunDir::started`]).
    pub fn set_time(&mut self, unix_seconds: u64) {
        self.time = Some(unix_seconds);
    }

    /// A model that was loaded, with what holds for all models of the run.
    fn prepared(&self, mut model: LanguageModel) -> LanguageModel {
        if let Some(time) = self.time {
            model.codec().set_template_time(time);
        }
        if let Some(stop) = &self.stop {
            model.stop_when(stop);
        }
        model
    }

    /// The model of this name, frozen.
    ///
    /// # Errors
    ///
    /// When it cannot be loaded.
    pub fn get(&mut self, name: &str) -> Result<&LanguageModel, TrainError> {
        self.ensure(name)?;
        Ok(&self.loaded[name])
    }

    /// Two models at once.
    ///
    /// # Errors
    ///
    /// When one cannot be loaded.
    pub fn pair(
        &mut self,
        first: &str,
        second: &str,
    ) -> Result<(&LanguageModel, &LanguageModel), TrainError> {
        self.ensure(first)?;
        self.ensure(second)?;
        Ok((&self.loaded[first], &self.loaded[second]))
    }

    /// A copy of the model to be trained as the run file says.
    ///
    /// # Errors
    ///
    /// When it cannot be loaded, or has an adapter of another kind.
    pub fn trainable(&mut self, name: &str) -> Result<LanguageModel, TrainError> {
        let training = match &self.sources[name].lora {
            Some(lora) => Training::Lora(lora.clone()),
            None => Training::Full,
        };
        Ok(self.get(name)?.fork(&training)?)
    }

    /// Puts a model in place of the one of this name.
    pub fn put(&mut self, name: &str, model: LanguageModel) {
        let model = self.prepared(model);
        self.loaded.insert(name.to_owned(), model);
    }

    /// Puts in place what a stage begins as, where it names an earlier stage.
    ///
    /// # Errors
    ///
    /// When that stage left no such model, or it cannot be loaded.
    pub(crate) fn begin(&mut self, stage: &StageConfig, dir: &RunDir) -> Result<(), TrainError> {
        let Some(start) = stage.start() else {
            return Ok(());
        };
        let of = (stage.name(), stage.model());
        let model = self.left_by(start, "start", of, dir)?;
        self.put(stage.model(), model);
        Ok(())
    }

    /// The model that an earlier stage left, or its best step, which `key` of a stage names;
    /// the stage goes by its name and its model.
    ///
    /// # Errors
    ///
    /// When that stage left no such model, or it cannot be loaded.
    pub(crate) fn left_by(
        &mut self,
        earlier: &str,
        key: &str,
        (stage, model): (&str, &str),
        dir: &RunDir,
    ) -> Result<LanguageModel, TrainError> {
        let folder = dir.stage(earlier);
        if !folder.is_dir() {
            let why = match stage_and_best(earlier) {
                (of, true) => format!("; stage `{of}` may have ended before its first validation"),
                _ => String::new(),
            };
            let message = format!(
                "stage `{stage}`: `{key}` is `{earlier}`, and `{}` is not there{why}",
                folder.display()
            );
            return Err(RunError::Folder { message }.into());
        }
        // Models that share its folder must be loaded before it is anything else.
        self.ensure(model)?;
        self.read(model, &folder)
    }

    /// Takes up what a finished stage left in its folder. The models that the stage looked at
    /// while it ran are those from before it, as if it ran now.
    ///
    /// # Errors
    ///
    /// When a model cannot be loaded.
    pub(crate) fn take_up(&mut self, stage: &StageConfig, folder: &Path) -> Result<(), TrainError> {
        self.ensure(stage.model())?;
        // A critic in SFT is measured with the actor.
        let measured = stage.model() == "critic" && stage.gates_every() > 0;
        if matches!(stage, StageConfig::Rl(_)) || measured {
            self.ensure("actor")?;
        }
        let model = self.read(stage.model(), folder)?;
        self.put(stage.model(), model);
        Ok(())
    }

    /// Loads what the gates and the evaluation after a stage look at, whether or not they are
    /// made again: a model that comes from another one is as that one is now.
    ///
    /// # Errors
    ///
    /// When a model cannot be loaded.
    pub(crate) fn need_after(&mut self, stage: &StageConfig) -> Result<(), TrainError> {
        for gate in stage.gates() {
            let (actor, model) = self.of_gate(gate, stage);
            self.ensure(actor)?;
            self.ensure(model)?;
        }
        if stage.eval_as().is_some() {
            self.ensure("actor")?;
            self.ensure(stage.model())?;
        }
        Ok(())
    }

    /// Names of the actor and of the model that a gate measures.
    pub(crate) fn of_gate<'a>(&self, gate: &'a Gate, stage: &'a StageConfig) -> (&'a str, &'a str) {
        let model = gate.model.as_deref().unwrap_or(stage.model());
        let actor = if self.sources.contains_key("actor") {
            "actor"
        } else {
            model
        };
        (actor, model)
    }

    /// Reads the model of this name from a folder that [`LanguageModel::save`] wrote.
    ///
    /// # Errors
    ///
    /// When it cannot be loaded.
    pub fn read(&mut self, name: &str, dir: &Path) -> Result<LanguageModel, TrainError> {
        if dir.join("config.json").is_file() {
            let mut model = LanguageModel::load(dir, &self.runtime)?;
            // The folder may go, as those of checkpoints do.
            model.set_source(self.origin(name).and_then(|origin| origin.path.clone()));
            return Ok(self.prepared(model));
        }
        let source = self.sources[name].clone();
        let base = match (&source.path, &source.from) {
            (Some(path), _) => path.clone(),
            (None, Some(from)) => self
                .get(from)?
                .source()
                .map(Path::to_owned)
                .unwrap_or_default(),
            (None, None) => {
                let message = format!("`models.{name}.lora` needs a model with a folder");
                return Err(Misfit::new("models", message).into());
            }
        };
        let dtype = self.origin(name).map_or(Dtype::F32, |origin| origin.dtype);
        let runtime = self.runtime_with(dtype);
        let model = LanguageModel::load_with_adapter(&base, dir, &runtime)?;
        Ok(self.prepared(model))
    }

    /// What a model came from in the first place.
    fn origin(&self, name: &str) -> Option<&ModelSource> {
        Some(origin(&self.sources, self.sources.get(name)?))
    }

    fn runtime_with(&self, dtype: Dtype) -> Runtime {
        Runtime {
            dtype,
            ..self.runtime
        }
    }

    fn ensure(&mut self, name: &str) -> Result<(), TrainError> {
        if self.loaded.contains_key(name) {
            return Ok(());
        }
        let Some(source) = self.sources.get(name).cloned() else {
            let known = self
                .sources
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            let message = format!("`{name}` is no model of this run; models: {known}");
            return Err(Misfit::new("models", message).into());
        };
        let model = match source {
            ModelSource {
                path: Some(path),
                adapter: Some(adapter),
                dtype,
                ..
            } => LanguageModel::load_with_adapter(&path, &adapter, &self.runtime_with(dtype))?,
            ModelSource {
                path: Some(path),
                dtype,
                ..
            } => self.load_for_all(name, &path, dtype)?,
            ModelSource {
                from: Some(from), ..
            } => {
                self.ensure(&from)?;
                self.loaded[&from].fork(&Training::Frozen)?
            }
            ModelSource { new: Some(new), .. } => self.make(name, &new)?,
            _ => unreachable!("RunConfig::check asks for one source"),
        };
        self.put(name, model);
        Ok(())
    }

    /// Loads a folder once: other models from the same folder are there from now on and share
    /// its memory. Later would be too late, as this one may have been trained by then.
    fn load_for_all(
        &mut self,
        name: &str,
        path: &Path,
        dtype: Dtype,
    ) -> Result<LanguageModel, TrainError> {
        let model = LanguageModel::load(path, &self.runtime_with(dtype))?;
        let same = |(_, source): &(&String, &ModelSource)| {
            source.path.as_deref() == Some(path)
                && source.adapter.is_none()
                && source.dtype == dtype
        };
        for (other, _) in self.sources.iter().filter(same) {
            if other != name && !self.loaded.contains_key(other) {
                let fork = model.fork(&Training::Frozen)?;
                let fork = self.prepared(fork);
                self.loaded.insert(other.clone(), fork);
            }
        }
        Ok(model)
    }

    fn make(&self, name: &str, new: &NewModel) -> Result<LanguageModel, TrainError> {
        let Some(vocabulary) = self.vocabulary else {
            let message = format!(
                "`models.{name}.new` needs a task with a vocabulary of its own; this task has none"
            );
            return Err(Misfit::new("models", message).into());
        };
        new_model(
            new,
            vocabulary,
            &self.runtime,
            derive_seed(self.runtime.seed, &["model", name]),
        )
    }
}

/// A model of random weights that speaks a task's vocabulary.
fn new_model(
    new: &NewModel,
    vocabulary: Vocabulary,
    runtime: &Runtime,
    seed: u64,
) -> Result<LanguageModel, TrainError> {
    let end = vocabulary.end_of_turn.to_owned();
    let special = SpecialTokens {
        eos: Some(end.clone()),
        pad: Some(end),
        ..SpecialTokens::default()
    };
    let tokenizer = phrase_tokenizer(vocabulary.phrases, vocabulary.special);
    let codec = TextCodec::from_parts(&tokenizer, vocabulary.chat_template, special)?;
    let config = ModelConfig {
        // transformers reads a tokenizer of one's own with this family; it overrules that of others.
        architecture: Architecture::Llama,
        vocab: codec.vocab(),
        d_model: new.d_model,
        layers: new.layers,
        heads: new.heads,
        kv_heads: new.heads,
        head_dim: new.d_model / new.heads,
        d_ff: new.d_ff,
        rms_norm_eps: 1e-6,
        rope: Rope {
            theta: 10_000.0,
            scaling: None,
        },
        tie_word_embeddings: true,
        attention_bias: false,
        attention_out_bias: false,
        qk_norm: false,
        max_position_embeddings: new.context,
        bos_token_id: None,
        eos_token_ids: codec.end_of_turn_id().into_iter().collect(),
        pad_token_id: codec.pad_id(),
    };
    let weights = CpuEngine::random_weights(&config, new.gain, seed);
    Ok(LanguageModel::from_parts(config, codec, weights, runtime)?)
}

#[cfg(test)]
mod tests {
    use critique_model::{AdamW, Group, TokenRun};
    use task_arithmetic as _;

    use super::*;

    /// A run whose actor and critic come from the same folder.
    fn from_one_folder(dir: &Path) -> (RunConfig, Box<dyn Task>) {
        let text = |models: &str| {
            format!(
                r#"
                seed = 1
                out = "unused"
                task = {{ name = "arithmetic", train = 8, validation = 2, test = 2 }}
                stages = []
                {models}
                "#
            )
        };
        let made =
            "models.base.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }";
        let config: RunConfig = toml::from_str(&text(made)).unwrap();
        let (_, task) = critique_tasks::build_from_table(config.task.clone()).unwrap();
        let mut models = Models::new(&config, &*task).unwrap();
        models.get("base").unwrap().save(dir).unwrap();
        let path = dir.display();
        let both = format!("models.actor.path = \"{path}\"\nmodels.critic.path = \"{path}\"");
        (toml::from_str(&text(&both)).unwrap(), task)
    }

    #[test]
    fn the_actor_is_what_its_folder_holds_though_the_critic_was_trained_before() {
        let dir = tempfile::tempdir().unwrap();
        let (config, task) = from_one_folder(dir.path());
        let mut models = Models::new(&config, &*task).unwrap();
        let mut critic = models.trainable("critic").unwrap();
        let groups = [Group {
            prompt: vec![1, 2],
            completions: vec![vec![3, 4, 5]],
        }];
        let loss = |_: TokenRun, _: &[f32], grad: &mut [f32]| grad.fill(-1.0);
        critic.engine_mut().accumulate(&groups, 1.0, &loss).unwrap();
        critic.engine_mut().update(0.1, &AdamW::default());
        models.put("critic", critic.into_frozen());
        let (actor, critic) = models.pair("actor", "critic").unwrap();
        let untouched = LanguageModel::load(dir.path(), &Runtime::default()).unwrap();
        let score = |model: &LanguageModel| model.engine().score(&groups, 1.0).unwrap();
        assert_eq!(score(actor), score(&untouched));
        assert_ne!(score(critic), score(&untouched));
    }
}
