//! How far the log-probs of two engines are apart.

/// Differences of the log-probs of the same tokens, of the engine that sampled them and of the
/// one that trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mismatch {
    /// Tokens compared.
    pub tokens: usize,
    /// Mean of the absolute differences, in nats.
    pub mean: f32,
    /// The largest, in nats.
    pub max: f32,
    /// Share of tokens that differ by more than the bound.
    pub share: f32,
    /// KL of the sampling policy from the trained one, in nats a token: the mean of
    /// `log p_sampling - log p_trained` over sampled tokens (estimator k1).
    pub kl: f32,
}

impl Mismatch {
    /// Compares token by token.
    ///
    /// # Panics
    ///
    /// When the two have different lengths.
    pub fn between(sampled: &[f32], trained: &[f32], bound: f32) -> Self {
        assert_eq!(sampled.len(), trained.len(), "log-probs of the same tokens");
        let count = sampled.len().max(1) as f32;
        let gaps = || sampled.iter().zip(trained).map(|(a, b)| a - b);
        Self {
            tokens: sampled.len(),
            mean: gaps().map(f32::abs).sum::<f32>() / count,
            // NaN must not pass for a small difference.
            max: gaps()
                .map(f32::abs)
                .fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a }),
            share: gaps().filter(|it| it.abs() > bound || it.is_nan()).count() as f32 / count,
            kl: gaps().sum::<f32>() / count,
        }
    }

    /// The likely cause where the two are too far apart for one policy.
    ///
    /// # Errors
    ///
    /// When the mean is beyond `bound`, in nats, with what to look at.
    pub fn check(&self, bound: f32) -> Result<(), String> {
        if self.mean <= bound {
            return Ok(());
        }
        let cause = if self.mean > 1.0 {
            "another model or adapter is served, or the chat templates differ"
        } else if self.mean > 0.1 {
            "log-probs are taken at another temperature (vLLM: `--logprobs-mode processed_logprobs`), or an older \
             adapter is served"
        } else {
            "the engines compute in different types (`--dtype`), or weights were quantized"
        };
        Err(format!(
            "log-probs of sampling and of training differ by {:.4} nats in the mean and {:.4} at most, over {} \
             tokens; at most {bound} is allowed: {cause}",
            self.mean, self.max, self.tokens
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_hand() {
        let found = Mismatch::between(&[-1.0, -2.0, -3.0, -4.0], &[-1.5, -2.0, -2.5, -5.0], 0.6);
        assert_eq!(
            (found.mean, found.max, found.share, found.kl),
            (0.5, 1.0, 0.25, 0.25)
        );
        let odd = Mismatch::between(&[-1.0, -1.0], &[f32::NAN, -1.0], 0.6);
        assert!(odd.max.is_nan() && odd.check(1.0).is_err());
        assert_eq!(Mismatch::between(&[], &[], 0.1).mean, 0.0);
    }

    #[test]
    fn the_likely_cause_is_named() {
        let cause = |gap: f32| {
            Mismatch::between(&[-1.0], &[-1.0 - gap], 0.1)
                .check(0.01)
                .unwrap_err()
        };
        assert!(cause(3.0).contains("another model"));
        assert!(cause(0.3).contains("processed_logprobs"));
        assert!(cause(0.05).contains("--dtype"));
    }
}
