//! What a stage of RL is made of once its advantage has said what it stands for.

use critique_rewards::{KlIn, KlPenalty, LossSettings, Recipe, TokenCredit};

use super::{RlStage, RolloutConfig, RunConfig};

impl RlStage {
    /// What belongs to the stage's advantage, but for what the run file says itself.
    pub fn recipe(&self, rollout: &RolloutConfig) -> Recipe {
        let longest = u32::try_from(rollout.critique.max_new_tokens).unwrap_or(u32::MAX);
        let named = self.advantage.recipe(longest);
        Recipe {
            whiten: self.advantage.whitens(self.whiten.unwrap_or(named.whiten)),
            kl_in: self.kl_in.unwrap_or(named.kl_in),
            kl_estimator: self.kl_estimator.unwrap_or(named.kl_estimator),
            aggregation: self.aggregation.unwrap_or(named.aggregation),
        }
    }

    /// The loss of an optimizer step.
    pub fn loss_settings(&self, rollout: &RolloutConfig) -> LossSettings {
        let recipe = self.recipe(rollout);
        let kl = (recipe.kl_in == KlIn::Loss && self.kl_coef != 0.0).then_some(KlPenalty {
            coef: self.kl_coef,
            estimator: recipe.kl_estimator,
            importance_weighted: self.kl_importance_weighted,
        });
        LossSettings {
            clip_low: self.clip_low,
            clip_high: self.clip_high,
            dual_clip: self.dual_clip,
            aggregation: recipe.aggregation,
            kl,
        }
    }

    /// How advantages are spread over tokens.
    pub fn token_credit(&self, rollout: &RolloutConfig) -> TokenCredit {
        let recipe = self.recipe(rollout);
        TokenCredit {
            kl_coef: if recipe.kl_in == KlIn::Reward {
                self.kl_coef
            } else {
                0.0
            },
            estimator: recipe.kl_estimator,
            whiten: recipe.whiten,
        }
    }

    /// Writes out what the advantage stands for.
    pub(super) fn write_recipe(&mut self, rollout: &RolloutConfig) {
        let recipe = self.recipe(rollout);
        self.whiten.get_or_insert(recipe.whiten);
        self.kl_in.get_or_insert(recipe.kl_in);
        self.kl_estimator.get_or_insert(recipe.kl_estimator);
        self.aggregation.get_or_insert(recipe.aggregation);
    }
}

impl RunConfig {
    /// Writes out what settings take from others: what advantages stand for, and the lengths of
    /// evaluations. Reading a run file does it; the settings mean the same before and after.
    pub fn resolve(&mut self) {
        self.eval.max_new_tokens = self.eval_lengths().into();
        for stage in &mut self.stages {
            stage.settings_mut().resolve(&self.rollout);
        }
    }
}
