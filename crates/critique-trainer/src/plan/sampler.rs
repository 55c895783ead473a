//! Servers that sample for models of a run that are trained here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use critique_core::Servers;
use critique_model::{LanguageModel, ModelError};
use critique_run::{ModelSource, RunConfig};
use critique_served::{SampleSettings, SampledModels};

/// The servers of one model, asked once it is first trained or read.
pub(super) struct Sampler {
    servers: Servers,
    adapters: PathBuf,
    temperature: f32,
    bound: f32,
    open: Option<SampledModels>,
}

impl Sampler {
    /// Those of all models of a run that are trained and have servers.
    pub(super) fn all(config: &RunConfig) -> BTreeMap<String, Self> {
        let trained = config.models.iter();
        let trained = trained.filter(|(_, source)| config.trains(source));
        let of = |(name, source): (&String, &ModelSource)| {
            let sampler = Self {
                servers: source.servers()?,
                adapters: config.adapters_of(name),
                temperature: config.rollout.critique.log_prob_temperature(),
                bound: source.log_prob_bound.unwrap_or(ModelSource::LOG_PROB_BOUND),
                open: None,
            };
            Some((name.clone(), sampler))
        };
        trained.filter_map(of).collect()
    }

    /// A frozen model with these servers to sample for it.
    pub(super) fn on(&mut self, model: LanguageModel) -> Result<LanguageModel, ModelError> {
        self.opened(&model)?.sample(model)
    }

    /// A model in training with these servers to sample for it; one that was forked from a model
    /// that has them is as it was.
    pub(super) fn on_trained(&mut self, model: LanguageModel) -> Result<LanguageModel, ModelError> {
        if model.engine().sampled_version().is_some() {
            return Ok(model);
        }
        self.opened(&model)?.sample_to_train(model)
    }

    fn opened(&mut self, model: &LanguageModel) -> Result<SampledModels, ModelError> {
        if let Some(open) = &self.open {
            return Ok(open.clone());
        }
        let settings = SampleSettings {
            servers: &self.servers,
            adapters: &self.adapters,
            temperature: self.temperature,
            bound: self.bound,
        };
        let open = SampledModels::open(model, &settings)?;
        Ok(self.open.insert(open).clone())
    }
}
