//! What must hold between settings of a stage of RL, and between stages that name each other.

use critique_rewards::{FlatGroups, KlEstimator, KlIn, Whiten};

use super::{RlStage, RunConfig, StageConfig};
use crate::error::TrainError;

/// The stage that a name means, and whether it means that stage's best step.
pub(crate) fn stage_and_best(name: &str) -> (&str, bool) {
    match name.strip_suffix("-best") {
        Some(stage) => (stage, true),
        None => (name, false),
    }
}

fn wrong(stage: &str, what: &str) -> TrainError {
    TrainError::Config {
        message: format!("stage `{stage}`: {what}"),
    }
}

impl RunConfig {
    /// Settings that undo one another.
    pub(super) fn check_recipe(&self, stage: &RlStage) -> Result<(), TrainError> {
        let recipe = stage.recipe(&self.rollout);
        let name = stage.advantage.name();
        let wrong = |what: String| Err(wrong(&stage.name, &what));
        if stage.whiten.is_some_and(|whiten| whiten != recipe.whiten) {
            return wrong(format!(
                "`whiten` is false, and `{name}` is whitened by definition; expected true or \"std\""
            ));
        }
        let in_loss = recipe.kl_in == KlIn::Loss && stage.kl_coef != 0.0;
        if in_loss && recipe.kl_estimator == KlEstimator::K1 && !stage.kl_importance_weighted {
            return wrong(
                "`kl_estimator` is `k1` with the KL in the loss, where its gradient is 0 in \
                 expectation; expected `k2` or `k3`, `kl_in = \"reward\"`, or \
                 `kl_importance_weighted = true`"
                    .into(),
            );
        }
        if stage.kl_importance_weighted && recipe.kl_in == KlIn::Reward {
            return wrong(
                "`kl_importance_weighted` is true with the KL in the reward; expected \
                 `kl_in = \"loss\"`"
                    .into(),
            );
        }
        if stage.flat_groups != FlatGroups::Keep && !stage.advantage.compares_siblings() {
            return wrong(format!(
                "`flat_groups` is not `keep`, and `{name}` learns from groups of equal rewards, too; \
                 expected `keep`"
            ));
        }
        if stage.flat_groups == FlatGroups::Apart && recipe.whiten == Whiten::No {
            return wrong(
                "`flat_groups` is `apart` without whitening, which it is about; expected `keep` or \
                 `drop`"
                    .into(),
            );
        }
        Ok(())
    }

    /// The reference policy must be there once the stage begins.
    pub(super) fn check_reference(&self, index: usize, stage: &RlStage) -> Result<(), TrainError> {
        if ["start", "none"].contains(&stage.reference.as_str()) {
            return Ok(());
        }
        let of = (stage.name.as_str(), stage.model.as_str());
        let named = ("reference", stage.reference.as_str());
        self.check_earlier(index, of, named, "`start`, `none`, or ")
    }

    /// So must what a stage begins as.
    pub(super) fn check_start(&self, index: usize, stage: &StageConfig) -> Result<(), TrainError> {
        let of = (stage.name(), stage.model());
        match stage.start() {
            Some(start) => self.check_earlier(index, of, ("start", start), ""),
            None => Ok(()),
        }
    }

    /// That `key` of a stage (its name and model) names one before it that trains the same model
    /// and, if asked for its best step, keeps one.
    fn check_earlier(
        &self,
        index: usize,
        (stage, model): (&str, &str),
        (key, named): (&str, &str),
        others: &str,
    ) -> Result<(), TrainError> {
        let (name, best) = stage_and_best(named);
        let earlier = self.stages[..index]
            .iter()
            .find(|earlier| earlier.name() == name && earlier.model() == model);
        let Some(earlier) = earlier else {
            let what =
                format!("`{key}` is `{named}`; expected {others}an earlier stage of `{model}`");
            return Err(wrong(stage, &what));
        };
        let validates = match earlier {
            StageConfig::Rl(earlier) => (1..=earlier.steps).contains(&earlier.validate_every),
            StageConfig::Sft(_) => false,
        };
        if best && !validates {
            let what = format!(
                "`{key}` is `{named}`, and stage `{name}` keeps no best step; expected `{name}`, or \
                 a stage of RL whose `validate_every` is from 1 to its `steps`"
            );
            return Err(wrong(stage, &what));
        }
        Ok(())
    }
}
