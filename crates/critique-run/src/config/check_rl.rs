//! What must hold between settings of a stage of RL, and between stages that name each other.

use critique_rewards::{FlatGroups, KlEstimator, KlIn, Whiten};

use super::{RlStage, RunConfig, StageConfig, StagePlace};
use crate::error::Misfit;
use crate::rows::stage_and_best;

impl RunConfig {
    /// Settings that undo one another.
    pub(super) fn check_recipe(
        &self,
        place: StagePlace<'_>,
        stage: &RlStage,
    ) -> Result<(), Misfit> {
        let recipe = stage.recipe(&self.rollout);
        let name = stage.advantage.name();
        let wrong = |key: &str, what: String| Err(place.wrong(key, what));
        if stage.whiten.is_some_and(|whiten| whiten != recipe.whiten) {
            return wrong(
                "whiten",
                format!(
                    "`whiten` is false, and `{name}` is whitened by definition; expected true or \"std\""
                ),
            );
        }
        let in_loss = recipe.kl_in == KlIn::Loss && stage.kl_coef != 0.0;
        if in_loss && recipe.kl_estimator == KlEstimator::K1 && !stage.kl_importance_weighted {
            return wrong(
                "kl_estimator",
                "`kl_estimator` is `k1` with the KL in the loss, where its gradient is 0 in \
                 expectation; expected `k2` or `k3`, `kl_in = \"reward\"`, or \
                 `kl_importance_weighted = true`"
                    .into(),
            );
        }
        if stage.kl_importance_weighted && recipe.kl_in == KlIn::Reward {
            return wrong(
                "kl_importance_weighted",
                "`kl_importance_weighted` is true with the KL in the reward; expected \
                 `kl_in = \"loss\"`"
                    .into(),
            );
        }
        if let Some(cap) = stage.importance_cap {
            let ok = cap.is_finite() && cap >= 1.0;
            place.number("importance_cap", cap, ok, "at least 1")?;
        }
        if stage.flat_groups != FlatGroups::Keep && !stage.advantage.compares_siblings() {
            return wrong(
                "flat_groups",
                format!(
                    "`flat_groups` is not `keep`, and `{name}` learns from groups of equal rewards, too; \
                 expected `keep`"
                ),
            );
        }
        if stage.flat_groups == FlatGroups::Apart && recipe.whiten == Whiten::No {
            return wrong("flat_groups",
                "`flat_groups` is `apart` without whitening, which it is about; expected `keep` or \
                 `drop`"
                    .into(),
            );
        }
        Ok(())
    }

    /// The reference policy must be there once the stage begins.
    pub(super) fn check_reference(&self, index: usize, stage: &RlStage) -> Result<(), Misfit> {
        if ["start", "none"].contains(&stage.reference.as_str()) {
            return Ok(());
        }
        let named = ("reference", stage.reference.as_str());
        self.check_earlier(index, named, "`start`, `none`, or ")
    }

    /// So must what a stage begins as.
    pub(super) fn check_start(&self, index: usize, stage: &StageConfig) -> Result<(), Misfit> {
        match stage.start() {
            Some(start) => self.check_earlier(index, ("start", start), ""),
            None => Ok(()),
        }
    }

    /// That `key` of a stage names one before it that trains the same model
    /// and, if asked for its best step, keeps one.
    fn check_earlier(
        &self,
        index: usize,
        (key, named): (&str, &str),
        others: &str,
    ) -> Result<(), Misfit> {
        let place = StagePlace::of(self, index);
        let model = self.stages[index].model();
        let (name, best) = stage_and_best(named);
        let earlier = self.stages[..index]
            .iter()
            .find(|earlier| earlier.name() == name && earlier.model() == model);
        let Some(earlier) = earlier else {
            let what =
                format!("`{key}` is `{named}`; expected {others}an earlier stage of `{model}`");
            return Err(place.wrong(key, what));
        };
        if best && !earlier.settings().keeps_best() {
            let what = format!(
                "`{key}` is `{named}`, and stage `{name}` keeps no best step; expected `{name}`, or \
                 a stage of RL whose `validate_every` is from 1 to its `steps`"
            );
            return Err(place.wrong(key, what));
        }
        Ok(())
    }
}
