//! The clipped policy loss of one token, its derivative, and its weight in the batch
//! (docs/method.md, "Loss").
//!
//! An engine that holds the weights calls [`PolicyLoss::value_and_gradient`] for each token
//! and passes the derivative on to the log-probs. A token's weight depends on the counts of
//! the whole update, so cutting it into micro-batches changes nothing.
//!
//! Left out: entropy bonus, value loss, ratios of whole sequences (GSPO).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SettingError;
use crate::token::KlEstimator;

/// The loss of one update.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossSettings {
    /// The ratio of new to old probability earns nothing below 1 less this.
    pub clip_low: f32,
    /// The ratio of new to old probability earns nothing above 1 plus this.
    pub clip_high: f32,
    /// Caps the loss of tokens with negative advantage at this times the advantage
    /// (dual clip, Ye et al. 2020; TRL's `delta`); above `1 + clip_high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dual_clip: Option<f32>,
    /// How tokens are averaged.
    pub aggregation: Aggregation,
    /// The KL penalty where it is in the loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl: Option<KlPenalty>,
}

impl Default for LossSettings {
    fn default() -> Self {
        Self {
            clip_low: 0.2,
            clip_high: 0.2,
            dual_clip: None,
            aggregation: Aggregation::PerSequenceMean,
            kl: None,
        }
    }
}

/// How the losses of tokens are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// The mean over tokens of each sequence, then over sequences (the released code; GRPO).
    PerSequenceMean,
    /// The mean over all tokens (DAPO).
    TokenMean,
    /// The sum over tokens by this many tokens, then the mean over sequences (Dr.GRPO, whose
    /// constant is the longest completion allowed).
    ConstantLength(u32),
}

/// A KL penalty in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KlPenalty {
    /// Weight per nat.
    pub coef: f32,
    /// The estimator, of the new policy against the reference.
    pub estimator: KlEstimator,
    /// Whether each token counts by its ratio of new to old probability, which keeps the
    /// estimate unbiased when the policy has moved since sampling.
    #[serde(default)]
    pub importance_weighted: bool,
}

/// What one update holds, over all its micro-batches and devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchCounts {
    /// Sequences, those without a token included.
    pub sequences: usize,
    /// Tokens that count in the loss.
    pub tokens: usize,
}

impl BatchCounts {
    /// Counts sequences of these lengths, in tokens that count in the loss.
    pub fn of(lengths: &[usize]) -> Self {
        Self {
            sequences: lengths.len(),
            tokens: lengths.iter().sum(),
        }
    }
}

/// The loss of one update, ready to be asked token by token.
///
/// ```
/// use critique_rewards::{BatchCounts, LossSettings, PolicyLoss, TokenInput};
///
/// let loss = PolicyLoss::new(LossSettings::default(), BatchCounts::of(&[2, 4]));
/// assert_eq!(loss.weight(2), 0.25);
/// let token = TokenInput { log_prob: -1.0, old_log_prob: -1.0, advantage: 2.0, ref_log_prob: None };
/// let got = loss.value_and_gradient(&token, loss.weight(2));
/// assert_eq!((got.loss, got.gradient), (-0.5, -0.5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolicyLoss {
    settings: LossSettings,
    counts: BatchCounts,
}

/// One token of a critique.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenInput {
    /// Log-prob under the policy as it is now, in nats.
    pub log_prob: f32,
    /// Log-prob under the policy that sampled, in nats.
    pub old_log_prob: f32,
    /// The token's advantage.
    pub advantage: f32,
    /// Log-prob under the reference policy, in nats; needed by a KL penalty in the loss.
    pub ref_log_prob: Option<f32>,
}

/// What one token adds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLoss {
    /// Its share of the loss.
    pub loss: f32,
    /// The derivative of that by the token's log-prob.
    pub gradient: f32,
    /// Which clip holds the token, if any.
    pub clip: Clip,
    /// KL of the sampling policy to this one, `r − 1 − log r`, in nats (k3 on its samples).
    pub approx_kl: f32,
    /// The KL penalty before its coefficient, in nats; 0 without one.
    pub kl: f32,
}

/// Which clip holds a token, so that its policy gradient is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clip {
    /// None does.
    None,
    /// The ratio is below `1 − clip_low` and the advantage negative.
    Low,
    /// The ratio is above `1 + clip_high` and the advantage positive.
    High,
    /// The ratio is above `dual_clip` and the advantage negative.
    Dual,
}

impl LossSettings {
    /// Checks that the numbers make sense.
    ///
    /// # Errors
    ///
    /// When `clip_low` is not in 0..1, `clip_high` is negative, `dual_clip` is not above
    /// `1 + clip_high`, a constant length is 0, or a KL coefficient is negative.
    pub fn check(&self) -> Result<(), SettingError> {
        let range = |field, value, fits: bool, wanted| {
            if fits {
                Ok(())
            } else {
                Err(SettingError::Range {
                    field,
                    value,
                    wanted,
                })
            }
        };
        let (low, high) = (self.clip_low, self.clip_high);
        range(
            "clip_low",
            low,
            (0.0..1.0).contains(&low),
            "at least 0 and below 1",
        )?;
        range("clip_high", high, high >= 0.0, "0 or more")?;
        if let Some(dual) = self.dual_clip {
            range("dual_clip", dual, dual > 1.0 + high, "above 1 + clip_high")?;
        }
        if let Some(kl) = self.kl {
            range(
                "kl.coef",
                kl.coef,
                kl.coef.is_finite() && kl.coef >= 0.0,
                "0 or more",
            )?;
        }
        let empty = self.aggregation == Aggregation::ConstantLength(0);
        range("aggregation.constant_length", 0.0, !empty, "above 0")
    }
}

impl PolicyLoss {
    /// The loss of an update that holds this much in all.
    pub fn new(settings: LossSettings, counts: BatchCounts) -> Self {
        Self { settings, counts }
    }

    /// The weight of each token of a sequence with `length` tokens in the loss. The weights
    /// of [`Aggregation::PerSequenceMean`] and [`Aggregation::TokenMean`] sum to 1 over an
    /// update whose sequences all have tokens.
    pub fn weight(&self, length: usize) -> f32 {
        let sequences = self.counts.sequences.max(1) as f64;
        let weight = match self.settings.aggregation {
            Aggregation::PerSequenceMean => 1.0 / (sequences * length.max(1) as f64),
            Aggregation::TokenMean => 1.0 / self.counts.tokens.max(1) as f64,
            Aggregation::ConstantLength(constant) => 1.0 / (sequences * f64::from(constant)),
        };
        weight as f32
    }

    /// The loss of one token and its derivative by the token's log-prob.
    ///
    /// With `r = exp(log π − log π_old)`: `−min(r·A, clip(r, 1 − low, 1 + high)·A)` (PPO,
    /// Schulman et al. 2017), at most `−dual_clip·A` for a negative advantage, plus
    /// `coef · kl` where the KL is in the loss, all times the weight.
    ///
    /// # Panics
    ///
    /// When the settings have a KL penalty and the token no reference log-prob.
    pub fn value_and_gradient(&self, token: &TokenInput, weight: f32) -> TokenLoss {
        let log_ratio = f64::from(token.log_prob) - f64::from(token.old_log_prob);
        let ratio = log_ratio.exp();
        let (policy, policy_gradient, clip) = self.clipped(ratio, f64::from(token.advantage));
        let (kl, penalty, penalty_gradient) = self.penalty(token, ratio);
        let weight = f64::from(weight);
        TokenLoss {
            loss: (weight * (policy + penalty)) as f32,
            gradient: (weight * (policy_gradient + penalty_gradient)) as f32,
            clip,
            approx_kl: (log_ratio.exp_m1() - log_ratio) as f32,
            kl: kl as f32,
        }
    }

    /// The clipped surrogate, its derivative by the log-prob, and the clip that holds it.
    fn clipped(&self, ratio: f64, advantage: f64) -> (f64, f64, Clip) {
        let lowest = 1.0 - f64::from(self.settings.clip_low);
        let highest = 1.0 + f64::from(self.settings.clip_high);
        if advantage > 0.0 && ratio > highest {
            return (-highest * advantage, 0.0, Clip::High);
        }
        if advantage < 0.0 && ratio < lowest {
            return (-lowest * advantage, 0.0, Clip::Low);
        }
        if let Some(dual) = self.settings.dual_clip.map(f64::from)
            && advantage < 0.0
            && ratio > dual
        {
            return (-dual * advantage, 0.0, Clip::Dual);
        }
        let loss = -ratio * advantage;
        (loss, loss, Clip::None)
    }

    /// The estimate, its share of the loss, and the derivative of that by the log-prob.
    fn penalty(&self, token: &TokenInput, ratio: f64) -> (f64, f64, f64) {
        let Some(KlPenalty {
            coef,
            estimator,
            importance_weighted,
        }) = self.settings.kl
        else {
            return (0.0, 0.0, 0.0);
        };
        let reference = token
            .ref_log_prob
            .expect("a KL penalty in the loss needs the reference's log-prob of every token");
        let kl = f64::from(estimator.value(token.log_prob, reference));
        let slope = f64::from(estimator.derivative(token.log_prob, reference));
        let coef = f64::from(coef);
        if importance_weighted {
            // The product rule: d(r·kl) = r·kl + r·kl'.
            (kl, coef * ratio * kl, coef * ratio * (kl + slope))
        } else {
            (kl, coef * kl, coef * slope)
        }
    }
}

/// Sums over the tokens of an update, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LossStats {
    tokens: u64,
    loss: f64,
    low: u64,
    high: u64,
    dual: u64,
    approx_kl: f64,
    kl: f64,
}

impl LossStats {
    /// Counts a token.
    pub fn add(&mut self, token: &TokenLoss) {
        self.tokens += 1;
        self.loss += f64::from(token.loss);
        self.approx_kl += f64::from(token.approx_kl);
        self.kl += f64::from(token.kl);
        match token.clip {
            Clip::None => {}
            Clip::Low => self.low += 1,
            Clip::High => self.high += 1,
            Clip::Dual => self.dual += 1,
        }
    }

    /// Counts all that another one counted.
    pub fn merge(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.loss += other.loss;
        self.low += other.low;
        self.high += other.high;
        self.dual += other.dual;
        self.approx_kl += other.approx_kl;
        self.kl += other.kl;
    }

    /// Tokens counted.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Sum of the tokens' shares of the loss: the loss of one update.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Mean KL of the sampling policy to this one, in nats per token.
    pub fn approx_kl(&self) -> f64 {
        self.mean(self.approx_kl)
    }

    /// Mean KL penalty before its coefficient, in nats per token.
    pub fn kl(&self) -> f64 {
        self.mean(self.kl)
    }

    /// Share of tokens held by the lower clip.
    pub fn clip_low(&self) -> f64 {
        self.mean(self.low as f64)
    }

    /// Share of tokens held by the upper clip.
    pub fn clip_high(&self) -> f64 {
        self.mean(self.high as f64)
    }

    /// Share of tokens held by the dual clip.
    pub fn clip_dual(&self) -> f64 {
        self.mean(self.dual as f64)
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.tokens.max(1) as f64
    }
}
