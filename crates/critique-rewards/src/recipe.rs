//! What the names of advantages stand for beside the advantage itself.

use crate::advantage::Advantage;
use crate::loss::Aggregation;
use crate::token::{KlEstimator, KlIn, Whiten};

/// The settings that belong to an advantage where it was published: what a run file has where
/// it says nothing else.
///
/// ```
/// use critique_rewards::{Advantage, Aggregation, KlIn, Whiten};
///
/// let recipe = Advantage::DrGrpo.recipe(512);
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

impl Advantage {
    /// The recipe of this name; `longest` is the longest critique that may be sampled, in tokens.
    ///
    /// - RLOO is the released code of Critique-RL, REINFORCE this with another baseline: KL in
    ///   the reward by k1, whitened, a mean over each critique. As published (Ahmadian et al.
    ///   2024) and in TRL, RLOO is not whitened.
    /// - GRPO is that of Shao et al. 2024 (Eq 3 and 4): KL in the loss by k3, a mean over each
    ///   critique. TRL and verl average over all tokens unless told otherwise.
    /// - Dr.GRPO is that of Liu et al. 2025: a sum over each critique by a constant. It has no
    ///   KL; where a run file gives one a weight, it is that of GRPO.
    /// - REINFORCE++ is that of Hu et al. 2025: KL in the reward by k1, whitened. With a
    ///   baseline the KL is in the loss by k2, whose gradient is that of the KL.
    pub fn recipe(&self, longest: u32) -> Recipe {
        let in_loss = |kl_estimator, whiten, aggregation| Recipe {
            whiten,
            kl_in: KlIn::Loss,
            kl_estimator,
            aggregation,
        };
        let each = Aggregation::PerSequenceMean;
        match self {
            Self::Rloo | Self::ReinforcePlusPlus | Self::Reinforce { .. } => Recipe {
                whiten: Whiten::Yes,
                kl_in: KlIn::Reward,
                kl_estimator: KlEstimator::K1,
                aggregation: each,
            },
            Self::Grpo { .. } => in_loss(KlEstimator::K3, Whiten::No, each),
            Self::DrGrpo => {
                let constant = Aggregation::ConstantLength(longest);
                in_loss(KlEstimator::K3, Whiten::No, constant)
            }
            Self::ReinforcePlusPlusBaseline => in_loss(KlEstimator::K2, Whiten::Yes, each),
        }
    }
}
