//! Task and models as a run left them.

use std::path::{Path, PathBuf};

use critique_model::{Dtype, LanguageModel, Runtime, Training};
use critique_tasks::{Task, build_from_table};
use critique_trainer::{ModelSource, RunConfig, RunDir, StageConfig, models_after, read_config};

use crate::failure::Failure;
use crate::input::model::{FrozenArgs, load};
use crate::output::out;

/// The model that a run trains to criticise.
const CRITIC: &str = "critic";

/// A run with the stage whose critic is asked.
pub(crate) struct OfRun {
    pub(crate) config: RunConfig,
    pub(crate) task: Box<dyn Task>,
    dir: RunDir,
    /// Stages up to the one that left the critic.
    stages: usize,
    folder: PathBuf,
    runtime: Runtime,
}

impl OfRun {
    /// Reads the settings of a run; `stage` is a stage's name, also with `-best`.
    pub(crate) fn open(
        root: &Path,
        stage: Option<&str>,
        seed: u64,
        runtime: &FrozenArgs,
    ) -> Result<Self, Failure> {
        let dir = RunDir::existing(root)?;
        let mut config = read_config(&dir)?;
        config.check()?;
        let runtime = runtime.runtime(seed)?;
        config.device = runtime.device.to_string();
        config.threads = runtime.threads;
        let (_, task) = build_from_table(config.task.clone())?;
        let (stages, folder) = match stage {
            Some(name) => named(&dir, &config, name)?,
            None => last(&dir, &config)?,
        };
        Ok(Self {
            config,
            task,
            dir,
            stages,
            folder,
            runtime,
        })
    }

    /// The critic as the stage left it.
    pub(crate) fn critic(&self) -> Result<LanguageModel, Failure> {
        // What was trained in full is in f32, as it was trained.
        let runtime = if self.folder.join("config.json").is_file() {
            self.runtime
        } else {
            self.runtime_of(self.config.stages[self.stages - 1].model())
        };
        load(&self.folder, None, &runtime)
    }

    /// The actor that the critic was trained with.
    pub(crate) fn actor(&self) -> Result<LanguageModel, Failure> {
        let before = &self.config.stages[..self.stages];
        if let Some(stage) = before.iter().rev().find(|stage| stage.model() == "actor") {
            return load(&self.dir.stage(stage.name()), None, &self.runtime);
        }
        if let Some(ModelSource {
            path: Some(path),
            adapter,
            engine: None,
            ..
        }) = self.config.models.get("actor")
        {
            return load(path, adapter.as_deref(), &self.runtime_of("actor"));
        }
        // One that comes from another model is as that one was when it was first needed.
        let mut models = models_after(&self.dir, &self.config, &*self.task, self.stages)?;
        Ok(models.get("actor")?.fork(&Training::Frozen)?)
    }

    /// Weights have the type that the run gives them, where the command line names none.
    fn runtime_of(&self, model: &str) -> Runtime {
        let mut source = self.config.models.get(model);
        while let Some(from) = source.and_then(|source| source.from.as_ref()) {
            source = self.config.models.get(from);
        }
        match source {
            Some(source) if self.runtime.dtype == Dtype::F32 => Runtime {
                dtype: source.dtype,
                ..self.runtime
            },
            _ => self.runtime,
        }
    }
}

/// The stages that train a critic, each with its place: those of the critic, and those of others
/// that learn to criticise beside it.
fn critics(config: &RunConfig) -> impl DoubleEndedIterator<Item = (usize, &StageConfig)> {
    let stages = config.stages.iter().enumerate();
    stages.filter(|(_, stage)| stage.makes_rollouts() || stage.model() == CRITIC)
}

fn named(dir: &RunDir, config: &RunConfig, name: &str) -> Result<(usize, PathBuf), Failure> {
    let found = critics(config).find_map(|(index, stage)| {
        let rest = name.strip_prefix(stage.name())?;
        match rest {
            "" => Some((index + 1, dir.stage(stage.name()))),
            "-best" => Some((index + 1, dir.best(stage.name()))),
            _ => None,
        }
    });
    let Some((stages, folder)) = found else {
        let known: Vec<&str> = critics(config).map(|(_, stage)| stage.name()).collect();
        return Err(Failure::usage(format!(
            "`{name}` is no stage that trains a critic; stages that do: {}",
            known.join(", ")
        )));
    };
    if folder.is_dir() {
        return Ok((stages, folder));
    }
    Err(Failure::failed(format!(
        "`{}` is not there: the stage is not done, or keeps no such model",
        folder.display()
    )))
}

/// The last stage of the critic whose model is there.
fn last(dir: &RunDir, config: &RunConfig) -> Result<(usize, PathBuf), Failure> {
    let done = critics(config)
        .rev()
        .filter(|(_, stage)| stage.model() == CRITIC)
        .map(|(index, stage)| (index + 1, dir.stage(stage.name())))
        .find(|(_, folder)| folder.is_dir());
    let found = done.ok_or_else(|| {
        let root = dir.root().display();
        Failure::failed(format!("`{root}`: no stage has left a critic yet"))
    })?;
    out::tell(format!("critic: `{}`", found.1.display()));
    Ok(found)
}
