//! From one advantage a rollout to one a token, with the KL penalty in the reward
//! (docs/method.md, "From rollouts to tokens").
//!
//! Left out: discounting and value functions (γ = 1, no value model in the method).

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::SettingError;

/// An estimate, from one sampled token, of how far the policy is from its reference.
///
/// With `d = log π − log π_ref` on samples of π (Schulman, "Approximating KL Divergence"):
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// `d`: unbiased, of either sign; the released code's choice.
    #[default]
    K1,
    /// `d² / 2`: biased, never negative.
    K2,
    /// `exp(−d) + d − 1`: unbiased, never negative.
    K3,
}

impl KlEstimator {
    /// The estimate in nats.
    pub fn value(self, log_prob: f32, ref_log_prob: f32) -> f32 {
        let d = f64::from(log_prob) - f64::from(ref_log_prob);
        let value = match self {
            Self::K1 => d,
            Self::K2 => 0.5 * d * d,
            Self::K3 => (-d).exp_m1() + d,
        };
        value as f32
    }

    /// The derivative of the value by `log_prob`: 1, `d` and `1 − exp(−d)`.
    ///
    /// In expectation over samples of the policy, k2's is the gradient of the KL; k1's is 0,
    /// and k3's is the gradient of the KL the other way round.
    pub fn derivative(self, log_prob: f32, ref_log_prob: f32) -> f32 {
        let d = f64::from(log_prob) - f64::from(ref_log_prob);
        let derivative = match self {
            Self::K1 => 1.0,
            Self::K2 => d,
            Self::K3 => -(-d).exp_m1(),
        };
        derivative as f32
    }
}

/// Where the KL penalty acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KlIn {
    /// In each token's reward, as the released code has it.
    #[default]
    Reward,
    /// In the loss, as GRPO has it: see [`KlPenalty`](crate::KlPenalty).
    Loss,
}

/// What is done to advantages by their mean and standard deviation over all tokens of a batch:
/// `false`, `true` or `"std"` in a run file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Whiten {
    /// Nothing.
    No,
    /// The mean is taken off, and the rest divided by the standard deviation (the released code).
    #[default]
    Yes,
    /// They are divided by the standard deviation about the mean, which stays: what was 0 is 0.
    Std,
}

impl Serialize for Whiten {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::No => serializer.serialize_bool(false),
            Self::Yes => serializer.serialize_bool(true),
            Self::Std => serializer.serialize_str("std"),
        }
    }
}

impl JsonSchema for Whiten {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Whiten".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "oneOf": [{ "type": "boolean" }, { "enum": ["std"] }] })
    }
}

impl<'de> Deserialize<'de> for Whiten {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WhitenVisitor)
    }
}

struct WhitenVisitor;

impl Visitor<'_> for WhitenVisitor {
    type Value = Whiten;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`true`, `false` or `\"std\"`")
    }

    fn visit_bool<E: Error>(self, whiten: bool) -> Result<Whiten, E> {
        Ok(if whiten { Whiten::Yes } else { Whiten::No })
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Whiten, E> {
        match word {
            "std" => Ok(Whiten::Std),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
        }
    }
}

/// What becomes of groups that teach a group's baseline nothing: those whose rewards are all
/// equal, and groups of one. Their advantages are exactly 0 before the KL and whitening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlatGroups {
    /// They are treated as all others: whitening takes the batch's mean off their 0, too.
    #[default]
    Keep,
    /// Whitening leaves them out of its mean and deviation and takes no mean off them, so that
    /// they hold the KL alone: see [`Part::Apart`].
    Apart,
    /// They take no part in the update (as with DAPO's dynamic sampling, Yu et al. 2025, but
    /// nothing is sampled in their place).
    Drop,
}

/// The part that a critique has in the advantages of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// The whole one.
    #[default]
    Whole,
    /// Its tokens count in neither mean nor deviation; they are divided by the deviation of the
    /// others, and no mean is taken off. Where a batch has no others, they stay as they are.
    Apart,
    /// None: the advantages of its tokens are 0.
    Out,
}

/// How advantages of rollouts are spread over tokens.
///
/// ```
/// use critique_rewards::{KlEstimator, Sequence, TokenCredit, Whiten};
///
/// let credit = TokenCredit { kl_coef: 0.5, estimator: KlEstimator::K1, whiten: Whiten::No };
/// let rollout = Sequence { advantage: 1.0, log_probs: &[-1.0, -2.0], ref_log_probs: &[-1.5, -1.8] };
/// // k1 is 0.5 and -0.2, so the token rewards are -0.25 and 0.1 + 1.
/// let got = credit.advantages(&[rollout]);
/// assert!((got.values[0][0] - 0.85).abs() < 1e-6);
/// assert!((got.values[0][1] - 1.10).abs() < 1e-6);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenCredit {
    /// Weight β of the KL in the reward, per nat; 0 where the KL is in the loss or absent.
    pub kl_coef: f32,
    /// The estimator of the KL.
    pub estimator: KlEstimator,
    /// Whether advantages are whitened over all tokens of the batch.
    pub whiten: Whiten,
}

/// One critique: its advantage and the log-probs of its tokens, ending token included.
#[derive(Debug, Clone, Copy)]
pub struct Sequence<'a> {
    /// Advantage of the rollout.
    pub advantage: f32,
    /// Under the policy that is being updated, before the update; nats per token.
    pub log_probs: &'a [f32],
    /// Under the reference policy; nats per token. Empty where there is no reference.
    pub ref_log_probs: &'a [f32],
}

/// One advantage a token, in the shape of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenAdvantages {
    /// `[sequence][token]`.
    pub values: Vec<Vec<f32>>,
    /// Means over the batch.
    pub stats: TokenStats,
}

/// Means over the tokens of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TokenStats {
    /// Tokens in the batch.
    pub tokens: usize,
    /// Mean of the estimator over tokens, in nats per token; 0 without a reference.
    pub kl: f64,
    /// Mean over sequences of the sum of k1, in nats per sequence; 0 without a reference.
    pub kl_sequence: f64,
    /// Mean of the returns before whitening, over critiques with a whole part.
    pub return_mean: f64,
    /// Their standard deviation (n).
    pub return_std: f64,
}

impl TokenCredit {
    /// Checks that the coefficient is finite and not negative.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn check(&self) -> Result<(), SettingError> {
        if self.kl_coef.is_finite() && self.kl_coef >= 0.0 {
            return Ok(());
        }
        Err(SettingError::Range {
            field: "kl_coef",
            value: self.kl_coef,
            wanted: "0 or more",
        })
    }

    /// Advantages of all tokens of a batch: the returns of [`returns`], whitened over the
    /// batch if so set. Call it once for the whole batch, since whitening looks at all of it.
    ///
    /// # Panics
    ///
    /// When a sequence has reference log-probs, but not one a token.
    pub fn advantages(&self, batch: &[Sequence<'_>]) -> TokenAdvantages {
        self.advantages_of(batch, &vec![Part::Whole; batch.len()])
    }

    /// The same, where some critiques have less than a whole part: `parts` holds one a sequence.
    ///
    /// # Panics
    ///
    /// As [`TokenCredit::advantages`], and when there are not as many parts as sequences.
    pub fn advantages_of(&self, batch: &[Sequence<'_>], parts: &[Part]) -> TokenAdvantages {
        assert_eq!(batch.len(), parts.len(), "sequences and their parts");
        let mut values: Vec<Vec<f64>> = batch
            .iter()
            .map(|sequence| returns(sequence, self.kl_coef, self.estimator))
            .collect();
        let whole = || {
            let rows = values.iter().zip(parts);
            rows.filter(|(_, part)| **part == Part::Whole)
                .map(|(row, _)| row)
        };
        let (mean, variance) = moments(whole);
        let any = whole().any(|row| !row.is_empty());
        let (shift, scale) = match self.whiten {
            Whiten::Yes if any => (mean, deviation(variance).recip()),
            Whiten::Std if any => (0.0, deviation(variance).recip()),
            _ => (0.0, 1.0),
        };
        for (row, part) in values.iter_mut().zip(parts) {
            for value in row {
                *value = match part {
                    Part::Whole => (*value - shift) * scale,
                    Part::Apart => *value * scale,
                    Part::Out => 0.0,
                };
            }
        }
        TokenAdvantages {
            values: values
                .into_iter()
                .map(|row| row.into_iter().map(|v| v as f32).collect())
                .collect(),
            stats: self.stats(batch, mean, variance),
        }
    }

    fn stats(self, batch: &[Sequence<'_>], return_mean: f64, variance: f64) -> TokenStats {
        let tokens: usize = batch.iter().map(|sequence| sequence.log_probs.len()).sum();
        let total = |estimator: KlEstimator| -> f64 {
            let pairs = batch
                .iter()
                .flat_map(|s| s.log_probs.iter().zip(s.ref_log_probs));
            pairs.map(|(&p, &r)| f64::from(estimator.value(p, r))).sum()
        };
        TokenStats {
            tokens,
            kl: total(self.estimator) / tokens.max(1) as f64,
            kl_sequence: total(KlEstimator::K1) / batch.len().max(1) as f64,
            return_mean,
            return_std: variance.sqrt(),
        }
    }
}

/// Returns of each token of a critique, `G_t = Σ_{s≥t} ρ_s`, where the token rewards are
/// `ρ_t = −β·kl_t`, plus the rollout's advantage at the last token
/// (docs/method.md, "From rollouts to tokens").
///
/// # Panics
///
/// When there are reference log-probs, but not one a token.
pub fn returns(sequence: &Sequence<'_>, kl_coef: f32, estimator: KlEstimator) -> Vec<f64> {
    let tokens = sequence.log_probs.len();
    let references = sequence.ref_log_probs.len();
    assert!(
        references == tokens || references == 0,
        "{tokens} log-probs with {references} reference log-probs"
    );
    let mut sum = f64::from(sequence.advantage);
    let mut values = vec![sum; tokens];
    if references == 0 || kl_coef == 0.0 {
        return values;
    }
    for t in (0..tokens).rev() {
        let kl = estimator.value(sequence.log_probs[t], sequence.ref_log_probs[t]);
        sum -= f64::from(kl_coef) * f64::from(kl);
        values[t] = sum;
    }
    values
}

/// Mean and variance (n, not n − 1) over all numbers.
fn moments<'a, I: Iterator<Item = &'a Vec<f64>>>(rows: impl Fn() -> I) -> (f64, f64) {
    let count = rows().map(Vec::len).sum::<usize>().max(1) as f64;
    let mean = rows().flatten().sum::<f64>() / count;
    let variance = rows().flatten().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, variance)
}

/// What whitening divides by, the variance being at least 1e-8 (docs/method.md,
/// "From rollouts to tokens").
fn deviation(variance: f64) -> f64 {
    variance.max(1e-8).sqrt()
}
