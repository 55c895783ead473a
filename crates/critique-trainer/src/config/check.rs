//! What must hold in a run file beyond its types.

use std::collections::BTreeMap;

use critique_core::Sampling;
use critique_model::Dtype;

use super::{Gate, ModelSource, RlStage, RunConfig, SftStage, StageConfig};
use crate::error::TrainError;

/// The model that gives another its weights, once names are checked.
pub(crate) fn origin<'a>(
    models: &'a BTreeMap<String, ModelSource>,
    source: &'a ModelSource,
) -> &'a ModelSource {
    let from = |source: &&'a ModelSource| source.from.as_ref().map(|from| &models[from]);
    std::iter::successors(Some(source), from)
        .last()
        .unwrap_or(source)
}

impl RunConfig {
    /// Checks what the types cannot: names that must exist, numbers that must not be 0.
    ///
    /// # Errors
    ///
    /// Names the field, what was found, and what would do.
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong = |message: String| Err(TrainError::Config { message });
        if self.out.as_os_str().is_empty() {
            return wrong("`out` is empty; expected a folder, such as `runs/first`".into());
        }
        let rollout = &self.rollout;
        for (name, sampling) in [
            ("response", &rollout.response),
            ("critique", &rollout.critique),
            ("refinement", &rollout.refinement),
        ] {
            check_sampling(&format!("rollout.{name}"), sampling)?;
        }
        for &temperature in &self.eval.temperatures {
            if !(temperature.is_finite() && temperature >= 0.0) {
                return wrong(format!(
                    "`eval.temperatures` has {temperature}; expected 0 (greedy) or more"
                ));
            }
        }
        if let Some(key) = self.eval.max_new_tokens.empty() {
            return wrong(format!("`{key}` is 0; expected at least 1"));
        }
        for (name, source) in &self.models {
            let given = [
                source.path.is_some(),
                source.from.is_some(),
                source.new.is_some(),
            ];
            if given.iter().filter(|&&g| g).count() != 1 {
                return wrong(format!(
                    "`models.{name}` needs exactly one of `path`, `from` and `new`"
                ));
            }
            if source.adapter.is_some() && source.path.is_none() {
                return wrong(format!(
                    "`models.{name}.adapter` needs `models.{name}.path`"
                ));
            }
            self.check_origin(name, source)?;
            self.check_dtype(name, source)?;
        }
        for (index, stage) in self.stages.iter().enumerate() {
            self.check_stage(index, stage)?;
        }
        let evaluates = self
            .stages
            .iter()
            .any(|s| s.eval_as().is_some() || matches!(s, StageConfig::Rl(_)));
        if evaluates && !self.models.contains_key("actor") {
            return wrong("`models.actor` is missing: rollouts and evaluation need it".into());
        }
        if self.eval.temperatures.is_empty() {
            return wrong("`eval.temperatures` is empty; expected at least one, such as 0".into());
        }
        Ok(())
    }

    /// Follows `from` to its end.
    fn check_origin(&self, name: &str, source: &ModelSource) -> Result<(), TrainError> {
        let mut source = source;
        for _ in 0..=self.models.len() {
            let Some(from) = &source.from else {
                return Ok(());
            };
            let Some(next) = self.models.get(from) else {
                let message = format!(
                    "`models.{name}` comes from `{from}`, which is no model of this run; models: {}",
                    self.model_names()
                );
                return Err(TrainError::Config { message });
            };
            source = next;
        }
        Err(TrainError::Config {
            message: format!("`models.{name}` comes from itself"),
        })
    }

    /// Weights in bf16 stay as they are.
    fn check_dtype(&self, name: &str, source: &ModelSource) -> Result<(), TrainError> {
        let wrong = |message: String| Err(TrainError::Config { message });
        if source.dtype != Dtype::F32 && source.path.is_none() {
            return wrong(format!(
                "`models.{name}.dtype` is `bf16` without `path`; expected it at the model that \
                 has the `path`"
            ));
        }
        if self.origin(source).dtype == Dtype::F32 {
            return Ok(());
        }
        if self.device != "cpu" {
            return wrong(format!(
                "`models.{name}` has weights in bf16, and `device` is `{}`; expected `f32`, or \
                 the device `cpu`",
                self.device
            ));
        }
        let trained = |stage: &&StageConfig| stage.model() == name && source.lora.is_none();
        match self.stages.iter().find(trained) {
            Some(stage) => wrong(format!(
                "`models.{name}` has weights in bf16, and stage `{}` trains them; expected `f32`, \
                 or `lora`",
                stage.name()
            )),
            None => Ok(()),
        }
    }

    /// The model that gives another its weights, through any number of `from`.
    pub fn origin<'a>(&'a self, source: &'a ModelSource) -> &'a ModelSource {
        origin(&self.models, source)
    }

    fn check_stage(&self, index: usize, stage: &StageConfig) -> Result<(), TrainError> {
        let name = stage.name();
        let wrong = |message: String| {
            Err(TrainError::Config {
                message: format!("stage `{name}`: {message}"),
            })
        };
        if name.ends_with("-best") {
            return wrong("names that end in `-best` are kept for the best step of a stage".into());
        }
        let plain = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !plain {
            return wrong("the name must be made of letters, digits, `-` and `_`".into());
        }
        if self.stages[..index].iter().any(|s| s.name() == name) {
            return wrong("two stages have this name".into());
        }
        let other = |gate: &&Gate| gate.model.as_ref().is_some_and(|m| m != stage.model());
        if stage.gates_every() > 0
            && let Some(gate) = stage.gates().iter().find(other)
        {
            return wrong(format!(
                "`gates_every` measures the stage's own model, `{}`; a gate names `{}`",
                stage.model(),
                gate.model.as_deref().unwrap_or_default()
            ));
        }
        if !self.models.contains_key(stage.model()) {
            return wrong(format!(
                "`model` is `{}`, which is no model of this run; models: {}",
                stage.model(),
                self.model_names()
            ));
        }
        if stage.steps() == 0 {
            return wrong("`steps` is 0; expected at least 1".into());
        }
        let (StageConfig::Sft(SftStage { lr, .. }) | StageConfig::Rl(RlStage { lr, .. })) = stage;
        if !(lr.is_finite() && *lr >= 0.0) {
            return wrong(format!("`lr` is {lr}; expected 0 or more"));
        }
        match stage {
            StageConfig::Sft(stage) => {
                if stage.data.iter().all(|d| d.rows == 0) {
                    return wrong("`data` has no rows".into());
                }
                for data in &stage.data {
                    let given = [
                        data.kind.is_some(),
                        data.critiques.is_some(),
                        data.messages.is_some(),
                    ];
                    if given.iter().filter(|&&g| g).count() != 1 || data.every == 0 {
                        return wrong("each `data` needs exactly one of `kind`, `critiques` and `messages`, and `every` above 0".into());
                    }
                }
            }
            StageConfig::Rl(stage) => {
                if stage.model == "actor" {
                    return wrong("`model` is `actor`, which is frozen; RL trains a critic".into());
                }
                let rollout = &self.rollout;
                let counts = [
                    rollout.problems,
                    rollout.responses,
                    rollout.group_size,
                    rollout.refinements,
                    stage.inner_epochs,
                ];
                if counts.contains(&0) {
                    return wrong("`rollout.problems`, `responses`, `group_size`, `refinements` and `inner_epochs` must be above 0".into());
                }
                if rollout.group_size == 1 && stage.advantage.compares_siblings() {
                    return wrong("`rollout.group_size` is 1, but its advantage compares siblings; expected at least 2".into());
                }
                self.check_reference(index, stage)?;
                if stage.reference == "none" && stage.kl_coef != 0.0 {
                    return wrong(format!(
                        "`kl_coef` is {} without a reference; expected 0",
                        stage.kl_coef
                    ));
                }
                self.check_recipe(stage)?;
            }
        }
        self.check_start(index, stage)
    }

    fn model_names(&self) -> String {
        self.models
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Numbers of a table of sampling, named as `table`.
fn check_sampling(table: &str, sampling: &Sampling) -> Result<(), TrainError> {
    let Sampling {
        temperature,
        top_p,
        min_p,
        max_new_tokens,
        ..
    } = *sampling;
    let share = |value: f32| (0.0..=1.0).contains(&value);
    for (field, value, fits, wanted) in [
        (
            "temperature",
            temperature,
            temperature.is_finite() && temperature >= 0.0,
            "0 (greedy) or more",
        ),
        (
            "top_p",
            top_p,
            share(top_p) && top_p > 0.0,
            "above 0, at most 1",
        ),
        ("min_p", min_p, share(min_p), "between 0 and 1"),
        (
            "max_new_tokens",
            max_new_tokens as f32,
            max_new_tokens > 0,
            "at least 1",
        ),
    ] {
        if !fits {
            let message = format!("`{table}.{field}` is {value}; expected {wanted}");
            return Err(TrainError::Config { message });
        }
    }
    Ok(())
}
