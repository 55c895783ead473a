//! What the name of an advantage stands for beside the advantage itself.

use crate::loss::Aggregation;
use crate::token::{KlEstimator, KlIn, Whiten};

/// The settings that belong to an estimator where it was published: what a run file has where
/// it says nothing else. The default is the released code of Critique-RL: KL in the reward by k1,
/// whitened, a mean over each critique.
///
/// ```
/// use critique_rewards::{Aggregation, DrGrpo, Estimator, KlIn, Whiten};
///
/// let recipe = DrGrpo.recipe(512);
/// assert_eq!((recipe.whiten, recipe.kl_in), (Whiten::No, KlIn::Loss));
/// assert_eq!(recipe.aggregation, Aggregation::ConstantLength(512));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Whether advantages are whitened over the tokens of a batch.
    pub whiten: Whiten,
    /// Where the KL to the reference acts.
    pub kl_in: KlIn,
    /// How it is estimated.
    pub kl_estimator: KlEstimator,
    /// How the losses of tokens are averaged.
    pub aggregation: Aggregation,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            whiten: Whiten::Yes,
            kl_in: KlIn::Reward,
            kl_estimator: KlEstimator::K1,
            aggregation: Aggregation::PerSequenceMean,
        }
    }
}

impl Recipe {
    /// No whitening, KL in the loss, a mean over each critique.
    pub fn kl_in_loss(kl_estimator: KlEstimator) -> Self {
        Self {
            whiten: Whiten::No,
            kl_in: KlIn::Loss,
            kl_estimator,
            aggregation: Aggregation::PerSequenceMean,
        }
    }
}
