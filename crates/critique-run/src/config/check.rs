//! What must hold in a run file beyond its types: names that must exist, and settings that need
//! one another.

use critique_core::Dtype;

use super::{Gate, ModelSource, RlStage, RunConfig, SftStage, StageConfig, StagePlace};
use crate::error::{KeyPath, Misfit};

/// The place of a model's key.
pub(super) fn of_model(name: &str, key: &str) -> KeyPath {
    KeyPath::from("models").key(name).join(key)
}

impl RunConfig {
    /// Checks what the types cannot: names that must exist, numbers that must lie in a range,
    /// settings that undo one another. Neither files nor the task are looked at.
    ///
    /// # Errors
    ///
    /// Names the place, what was found, and what would do.
    pub fn check(&self) -> Result<(), Misfit> {
        if self.out.as_os_str().is_empty() {
            let message = "`out` is empty; expected a folder, such as `runs/first`";
            return Err(Misfit::new("out", message));
        }
        self.check_numbers()?;
        for (name, source) in &self.models {
            self.check_model(name, source)?;
        }
        for (index, stage) in self.stages.iter().enumerate() {
            self.check_stage(index, stage)?;
        }
        let evaluates = self
            .stages
            .iter()
            .any(|s| s.eval_as().is_some() || s.makes_rollouts());
        if evaluates && !self.models.contains_key("actor") {
            let message = "`models.actor` is missing: rollouts and evaluation need it";
            return Err(Misfit::new("models.actor", message));
        }
        Ok(())
    }

    fn check_model(&self, name: &str, source: &ModelSource) -> Result<(), Misfit> {
        let given = [
            source.path.is_some(),
            source.from.is_some(),
            source.new.is_some(),
        ];
        if given.iter().filter(|&&g| g).count() != 1 {
            let message = format!("`models.{name}` needs exactly one of `path`, `from` and `new`");
            return Err(Misfit::new(of_model(name, ""), message));
        }
        if source.adapter.is_some() && source.path.is_none() {
            let message = format!("`models.{name}.adapter` needs `models.{name}.path`");
            return Err(Misfit::new(of_model(name, "adapter"), message));
        }
        self.check_origin(name, source)?;
        self.check_dtype(name, source)?;
        if let Some(new) = &source.new {
            new.check(name)?;
        }
        self.check_lora(name, source)?;
        self.check_servers(name, source)
    }

    /// Follows `from` to its end.
    fn check_origin(&self, name: &str, source: &ModelSource) -> Result<(), Misfit> {
        let wrong = |message: String| Err(Misfit::new(of_model(name, "from"), message));
        let mut source = source;
        for _ in 0..=self.models.len() {
            let Some(from) = &source.from else {
                return Ok(());
            };
            let Some(next) = self.models.get(from) else {
                return wrong(format!(
                    "`models.{name}` comes from `{from}`, which is no model of this run; models: {}",
                    self.model_names()
                ));
            };
            source = next;
        }
        wrong(format!("`models.{name}` comes from itself"))
    }

    /// Weights in bf16 stay as they are.
    fn check_dtype(&self, name: &str, source: &ModelSource) -> Result<(), Misfit> {
        let wrong = |message: String| Err(Misfit::new(of_model(name, "dtype"), message));
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

    fn check_lora(&self, name: &str, source: &ModelSource) -> Result<(), Misfit> {
        let Some(lora) = &source.lora else {
            return Ok(());
        };
        let wrong = |key: &str, what: String| {
            let message = format!("`models.{name}.lora{key}` {what}");
            Err(Misfit::new(of_model(name, &format!("lora{key}")), message))
        };
        if lora.r == 0 {
            return wrong(".r", "is 0; expected at least 1".to_owned());
        }
        if !lora.alpha.is_finite() {
            let what = format!("is {}; expected a finite number", lora.alpha);
            return wrong(".alpha", what);
        }
        // Saving refuses others; then all steps of the stage would be lost.
        if let Err(why) = lora.check_modules() {
            return wrong(".target_modules", why);
        }
        if self.origin(source).path.is_none() {
            let what = "needs a base model in a folder; this one is made by the run";
            return wrong("", what.to_owned());
        }
        Ok(())
    }

    /// The model that gives another its weights, through any number of `from`. A run file that
    /// was not checked may name models that are not there, or go round in a circle.
    pub fn origin<'a>(&'a self, source: &'a ModelSource) -> &'a ModelSource {
        let from = |source: &&'a ModelSource| self.models.get(source.from.as_ref()?);
        let chain = std::iter::successors(Some(source), from);
        chain.take(self.models.len() + 1).last().unwrap_or(source)
    }

    fn check_stage(&self, index: usize, stage: &StageConfig) -> Result<(), Misfit> {
        let place = StagePlace::of(self, index);
        self.check_name(index, place)?;
        self.check_gates(place, stage)?;
        if !self.models.contains_key(stage.model()) {
            let what = format!(
                "`model` is `{}`, which is no model of this run; models: {}",
                stage.model(),
                self.model_names()
            );
            return Err(place.wrong("model", what));
        }
        place.numbers(&stage.common())?;
        stage.settings().check(self, index)?;
        self.check_start(index, stage)
    }

    fn check_name(&self, index: usize, place: StagePlace<'_>) -> Result<(), Misfit> {
        let name = place.name();
        let wrong = |what: &str| Err(place.wrong("name", what));
        if name.ends_with("-best") {
            return wrong("names that end in `-best` are kept for the best step of a stage");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return wrong("the name must be made of letters, digits, `-` and `_`");
        }
        if self.stages[..index].iter().any(|s| s.name() == name) {
            return wrong("two stages have this name");
        }
        Ok(())
    }

    fn check_gates(&self, place: StagePlace<'_>, stage: &StageConfig) -> Result<(), Misfit> {
        let every = stage.gates_every();
        if stage.gates().is_empty() && every > 0 {
            let what = format!("`gates_every` is {every} without `gates`");
            return Err(place.wrong("gates_every", what));
        }
        for (at, Gate { model, .. }) in stage.gates().iter().enumerate() {
            let Some(model) = model.as_ref().filter(|model| *model != stage.model()) else {
                continue;
            };
            let key = format!("gates.{at}.model");
            if every > 0 {
                let what = format!(
                    "`gates_every` measures the stage's own model, `{}`; a gate names `{model}`",
                    stage.model()
                );
                return Err(place.wrong(&key, what));
            }
            if !self.models.contains_key(model) {
                let what = format!("`{key}` is `{model}`, which is no model of this run");
                return Err(place.wrong(&key, what));
            }
        }
        Ok(())
    }

    pub(super) fn check_sft(&self, place: StagePlace<'_>, stage: &SftStage) -> Result<(), Misfit> {
        if stage.data.iter().all(|d| d.rows == 0) {
            return Err(place.wrong("data", "`data` has no rows"));
        }
        for (at, data) in stage.data.iter().enumerate() {
            let given = [
                data.kind.is_some(),
                data.critiques.is_some(),
                data.messages.is_some(),
            ];
            if given.iter().filter(|&&g| g).count() != 1 || data.every == 0 {
                let what = "each `data` needs exactly one of `kind`, `critiques` and `messages`, and `every` above 0";
                return Err(place.wrong(&format!("data.{at}"), what));
            }
            let (key, weight) = (format!("data.{at}.weight"), data.weight);
            place.number(&key, weight, weight.is_finite() && weight > 0.0, "above 0")?;
        }
        if stage.model == "critic" && stage.gates_every > 0 && !self.models.contains_key("actor") {
            let what = "`gates_every` measures the critic with `models.actor`, which is missing";
            return Err(place.wrong("gates_every", what));
        }
        Ok(())
    }

    pub(super) fn check_rl(
        &self,
        index: usize,
        place: StagePlace<'_>,
        stage: &RlStage,
    ) -> Result<(), Misfit> {
        if stage.model == "actor" {
            let what = "`model` is `actor`, which is frozen; RL trains a critic";
            return Err(place.wrong("model", what));
        }
        self.check_counts(place, stage)?;
        self.check_reference(index, stage)?;
        if stage.reference == "none" && stage.kl_coef != 0.0 {
            let what = format!(
                "`kl_coef` is {} without a reference; expected 0",
                stage.kl_coef
            );
            return Err(place.wrong("kl_coef", what));
        }
        self.check_recipe(place, stage)
    }

    fn check_counts(&self, place: StagePlace<'_>, stage: &RlStage) -> Result<(), Misfit> {
        let rollout = &self.rollout;
        let counts = [
            ("rollout.problems", rollout.problems),
            ("rollout.responses", rollout.responses),
            ("rollout.group_size", rollout.group_size),
            ("rollout.refinements", rollout.refinements),
        ];
        for (key, count) in counts {
            if count == 0 {
                let what = format!("`{key}` is 0; expected at least 1");
                return Err(place.wrong_at(key, what));
            }
        }
        place.number("inner_epochs", 0, stage.inner_epochs > 0, "at least 1")?;
        if rollout.group_size == 1 && stage.advantage.compares_siblings() {
            let what = "`rollout.group_size` is 1, but its advantage compares siblings; expected at least 2";
            return Err(place.wrong_at("rollout.group_size", what));
        }
        if rollout.critique.temperature == 0.0 && stage.advantage.compares_siblings() {
            let key = "rollout.critique.temperature";
            let what = format!(
                "`{key}` is 0, so all critiques of a group are one text and teach `{}` nothing; \
                 expected above 0",
                stage.advantage.name()
            );
            return Err(place.wrong_at(key, what));
        }
        if rollout.balanced && rollout.responses < 2 {
            let what = "`rollout.balanced` wants a right and a wrong response; expected `rollout.responses` of at least 2";
            return Err(place.wrong_at("rollout.balanced", what));
        }
        Ok(())
    }

    fn model_names(&self) -> String {
        let names: Vec<&str> = self.models.keys().map(String::as_str).collect();
        names.join(", ")
    }
}
