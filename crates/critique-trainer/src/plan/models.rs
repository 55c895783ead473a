//! The models of a run, loaded, made or copied when the plan first needs them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use critique_core::derive_seed;
use critique_model::{
    Architecture, CpuEngine, DeviceSpec, Dtype, LanguageModel, LoraConfig, ModelConfig, Rope,
    Runtime, Training,
};
use critique_run::rows::best_of;
use critique_run::{
    Misfit, NewModel, RunConfig, RunDir, RunError, StageConfig, check_files, check_folder,
};
use critique_tasks::{Task, Vocabulary};
use critique_text::{SpecialTokens, TextCodec, phrase_tokenizer};

use super::model_plan::{ModelPlan, PlannedModel, Root, State, Version};
use super::sampler::Sampler;
use crate::error::TrainError;

/// Models by name.
pub struct Models {
    runtime: Runtime,
    plan: Arc<ModelPlan>,
    /// Adapters that are trained.
    lora: BTreeMap<String, LoraConfig>,
    loaded: BTreeMap<String, LanguageModel>,
    /// Servers that sample for models that are trained.
    samplers: BTreeMap<String, Sampler>,
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
        let lora = config.models.iter();
        let lora = lora.filter_map(|(name, source)| Some((name.clone(), source.lora.clone()?)));
        let lora = lora.collect();
        Ok(Self {
            runtime,
            plan: Arc::new(ModelPlan::of(config)),
            lora,
            loaded: BTreeMap::new(),
            samplers: Sampler::all(config),
            vocabulary: task.vocabulary(),
            stop: None,
            time: None,
        })
    }

    /// Which model comes from where.
    pub fn plan(&self) -> &ModelPlan {
        &self.plan
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
        let training = match self.lora.get(name) {
            Some(lora) => Training::Lora(lora.clone()),
            None => Training::Full,
        };
        let model = self.get(name)?.fork(&training)?;
        let model = match self.samplers.get_mut(name) {
            Some(sampler) => sampler.on_trained(model)?,
            None => model,
        };
        Ok(self.prepared(model))
    }

    /// Asks the servers of all models of this run whether they are up and what they serve, so that
    /// a wrong address shows before anything is trained.
    ///
    /// # Errors
    ///
    /// When one cannot be reached, or serves another model.
    pub fn ask_servers(&mut self) -> Result<(), TrainError> {
        let plan = Arc::clone(&self.plan);
        let on_servers = |model: &PlannedModel| matches!(model.root, Root::Servers { .. });
        let models = plan.models.iter().filter(|(_, model)| on_servers(model));
        let mut names = models.filter(|(_, model)| model.copy_of.is_none());
        names.try_for_each(|(name, _)| self.ensure(name))
    }

    /// Puts a model in place of the one of this name.
    pub fn put(&mut self, name: &str, model: LanguageModel) {
        let model = self.prepared(model);
        self.loaded.insert(name.to_owned(), model);
    }

    /// Has everything there that a stage needs to begin, its model as what it begins as. For a
    /// stage that has ended it is the same as for one that begins now.
    ///
    /// # Errors
    ///
    /// When a stage that it names left no such model, or a model cannot be loaded.
    pub(crate) fn begin(&mut self, stage: &StageConfig, dir: &RunDir) -> Result<(), TrainError> {
        let plan = Arc::clone(&self.plan);
        let planned = plan.stage(stage.name());
        self.ensure(planned.trains())?;
        if stage.start().is_some() {
            let model = self.left(&planned.start, "start", stage.name(), dir)?;
            self.put(planned.trains(), model);
        }
        match &planned.actor {
            Some(actor) => self.ensure(&actor.model),
            None => Ok(()),
        }
    }

    /// The model that an earlier stage left, or its best step, which `key` of a stage names.
    ///
    /// # Errors
    ///
    /// When that stage left no such model, or it cannot be loaded.
    pub(crate) fn left(
        &mut self,
        version: &Version,
        key: &str,
        stage: &str,
        dir: &RunDir,
    ) -> Result<LanguageModel, TrainError> {
        let (folder, earlier, why) = match &version.state {
            State::AsGiven => return Ok(self.get(&version.model)?.fork(&Training::Frozen)?),
            State::LeftBy(of) => (dir.stage(of), of.clone(), String::new()),
            State::BestOf(of) => {
                let why = format!("; stage `{of}` may have ended before its first validation");
                (dir.best(of), best_of(of), why)
            }
        };
        if !folder.is_dir() {
            let message = format!(
                "stage `{stage}`: `{key}` is `{earlier}`, and `{}` is not there{why}",
                folder.display()
            );
            return Err(RunError::Folder { message }.into());
        }
        self.read_of_run(&version.model, dir, &folder)
    }

    /// Takes up what a finished stage left in its folder.
    ///
    /// # Errors
    ///
    /// When the model cannot be loaded.
    pub(crate) fn take_up(&mut self, stage: &StageConfig, dir: &RunDir) -> Result<(), TrainError> {
        let model = self.read_of_run(stage.model(), dir, &dir.stage(stage.name()))?;
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
        let plan = Arc::clone(&self.plan);
        for name in &plan.stage(stage.name()).after {
            self.ensure(name)?;
        }
        Ok(())
    }

    /// Reads the model of this name from a folder that the run wrote, once it is seen to hold what
    /// was written.
    ///
    /// # Errors
    ///
    /// When it does not, or cannot be loaded.
    pub(crate) fn read_of_run(
        &mut self,
        name: &str,
        dir: &RunDir,
        folder: &Path,
    ) -> Result<LanguageModel, TrainError> {
        let below = folder.strip_prefix(dir.root()).unwrap_or(folder);
        check_folder(dir, &below.to_string_lossy())?;
        self.read(name, folder)
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
            model.set_source(match self.planned(name)?.root {
                Root::Folder { path, .. } | Root::Servers { path, .. } => Some(path),
                Root::New(_) | Root::Nothing => None,
            });
            return Ok(self.prepared(model));
        }
        let Root::Folder { path, dtype, .. } = self.planned(name)?.root else {
            let message = format!("`models.{name}.lora` needs a model with a folder");
            return Err(Misfit::new("models", message).into());
        };
        let runtime = self.runtime_with(dtype);
        let model = LanguageModel::load_with_adapter(&path, dir, &runtime)?;
        let model = match self.samplers.get_mut(name) {
            Some(sampler) => sampler.on(model)?,
            None => model,
        };
        Ok(self.prepared(model))
    }

    fn planned(&self, name: &str) -> Result<PlannedModel, TrainError> {
        self.plan.models.get(name).cloned().ok_or_else(|| {
            let known: Vec<_> = self.plan.models.keys().map(String::as_str).collect();
            let known = known.join(", ");
            let message = format!("`{name}` is no model of this run; models: {known}");
            Misfit::new("models", message).into()
        })
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
        let PlannedModel { root, copy_of, .. } = self.planned(name)?;
        if let Some(copied) = copy_of {
            self.ensure(&copied.model)?;
            let copy = self.loaded[&copied.model].fork(&Training::Frozen)?;
            self.put(name, copy);
            return Ok(());
        }
        let model = match root {
            Root::Folder {
                path,
                adapter: Some(adapter),
                dtype,
            } => {
                check_files(&path)?;
                check_files(&adapter)?;
                LanguageModel::load_with_adapter(&path, &adapter, &self.runtime_with(dtype))?
            }
            Root::Folder { path, dtype, .. } => self.load_for_all(name, &path, dtype)?,
            Root::Servers { path, servers } => critique_served::open(&path, &servers)?,
            Root::New(new) => self.make(name, &new)?,
            Root::Nothing => {
                let message = format!("`models.{name}` has no source");
                return Err(Misfit::new("models", message).into());
            }
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
        check_files(path)?;
        let model = LanguageModel::load(path, &self.runtime_with(dtype))?;
        let plan = Arc::clone(&self.plan);
        for other in plan.sharing(name) {
            if other != name && !self.loaded.contains_key(other) {
                let fork = model.fork(&Training::Frozen)?;
                let fork = self.prepared(fork);
                self.loaded.insert(other.to_owned(), fork);
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
        critic.engine_mut().update(0.1, &AdamW::default()).unwrap();
        models.put("critic", critic.into_frozen());
        let (actor, critic) = models.pair("actor", "critic").unwrap();
        let untouched = LanguageModel::load(dir.path(), &Runtime::default()).unwrap();
        let score = |model: &LanguageModel| model.engine().score(&groups, 1.0).unwrap();
        assert_eq!(score(actor), score(&untouched));
        assert_ne!(score(critic), score(&untouched));
    }
}
