//! What a run asks of a stage of SFT.

use critique_model::{Group, LanguageModel};
use critique_run::{RunConfig, SftData, SftStage};

use super::{SftStep, check_file, sft_examples};
use crate::error::TrainError;
use crate::observer::Observer;
use crate::plan::{ModelHeader, Models};
use crate::stage::{Planned, Setting, StageStep, StageWork};

impl StageWork for SftStage {
    fn check(&self, run: &Planned<'_>) -> Result<(), TrainError> {
        for (at, data) in self.data.iter().enumerate() {
            let known = run.task.demonstration_kinds();
            if let Some(kind) = data.kind.as_deref().filter(|kind| !known.contains(kind)) {
                let makes = match known {
                    [] => "none".to_owned(),
                    known => known.join(", "),
                };
                let key = format!("data.{at}.kind");
                let what =
                    format!("`{key}` is `{kind}`; demonstrations that the task makes: {makes}");
                return Err(run.place.wrong(&key, what).into());
            }
            check_file(data, run.task)?;
        }
        Ok(())
    }

    fn volume(&self, _: &RunConfig, context: usize) -> (usize, usize) {
        let rows = self.data.iter().map(|data| data.rows).sum();
        let all = |data: &SftData| data.rows * self.steps.div_ceil(data.every);
        let all: usize = self.data.iter().map(all).sum();
        (rows, all * context)
    }

    fn batch(&self, run: &Planned<'_>, model: &ModelHeader) -> Result<Vec<Group>, TrainError> {
        let RunConfig { seed, threads, .. } = *run.config;
        let context = model.context;
        sft_examples(self, run.task, model.codec(), context, seed, threads)
    }

    fn begin<'a>(
        &'a self,
        setting: &Setting<'a>,
        model: &LanguageModel,
        models: &'a mut Models,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn StageStep + 'a>, TrainError> {
        let step = SftStep::begin(self, setting, model, models, observer)?;
        Ok(Box::new(step))
    }
}
