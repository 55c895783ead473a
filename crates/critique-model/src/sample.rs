//! Choosing the next token, and knowing when a completion ends: the same for every engine.

use std::cell::RefCell;

use critique_core::{Completion, FinishReason, Rng, Sampling};

use crate::cpu::head::Normaliser;
use crate::cpu::simd;
use crate::engine::Ends;

/// Tokens whose probabilities are summed before the walk looks inside.
const BLOCK: usize = 256;

/// Draws tokens of one sample: its seed and its settings decide everything.
#[derive(Debug)]
pub(crate) struct Sampler {
    rng: Rng,
    sampling: Sampling,
}

/// What a draw works in. A thread keeps it: samples of a large vocabulary would take much.
#[derive(Debug, Default)]
struct Draw {
    weights: Vec<f32>,
    order: Vec<u32>,
}

thread_local! {
    static DRAW: RefCell<Draw> = RefCell::default();
}

impl Sampler {
    pub(crate) fn new(seed: u64, sampling: &Sampling) -> Self {
        Self {
            rng: Rng::new(seed),
            sampling: sampling.clone(),
        }
    }

    /// The next token and its log-prob. `logits` must already be divided by
    /// [`Sampling::log_prob_temperature`].
    pub(crate) fn next(&mut self, logits: &[f32]) -> (u32, f32) {
        let norm = Normaliser::of(logits);
        let token = if self.sampling.temperature > 0.0 {
            self.draw(logits, norm)
        } else {
            greedy(logits, norm.shift)
        };
        (token, norm.log_prob(logits[token as usize]))
    }

    fn draw(&mut self, logits: &[f32], norm: Normaliser) -> u32 {
        let uniform = self.rng.uniform_f64();
        DRAW.with_borrow_mut(|draw| {
            draw.weights.clear();
            draw.weights.extend_from_slice(logits);
            simd::exp_sum(&mut draw.weights, norm.shift);
            draw.cut(&self.sampling);
            pick(&draw.weights, uniform)
        })
    }
}

impl Draw {
    /// Sets the weights of tokens that min-p, top-k and top-p leave out to 0. The most likely
    /// token has weight 1.
    fn cut(&mut self, sampling: &Sampling) {
        let Sampling {
            top_k,
            top_p,
            min_p,
            ..
        } = *sampling;
        if min_p > 0.0 {
            self.weights
                .iter_mut()
                .filter(|w| **w < min_p)
                .for_each(|w| *w = 0.0);
        }
        let vocab = self.weights.len();
        if (top_k == 0 || top_k >= vocab) && top_p >= 1.0 {
            return;
        }
        let weights = &self.weights;
        let likelier = |a: &u32, b: &u32| {
            weights[*b as usize]
                .total_cmp(&weights[*a as usize])
                .then(a.cmp(b))
        };
        self.order.clear();
        self.order.extend(0..vocab as u32);
        let mut kept = if top_k > 0 { top_k.min(vocab) } else { vocab };
        if kept < vocab {
            self.order.select_nth_unstable_by(kept, likelier);
        }
        if top_p < 1.0 {
            let mass: f64 = self.order[..kept]
                .iter()
                .map(|&t| f64::from(weights[t as usize]))
                .sum();
            kept = nucleus(
                &mut self.order[..kept],
                weights,
                f64::from(top_p) * mass,
                likelier,
            );
        }
        let dropped = &self.order[kept..];
        for &token in dropped {
            self.weights[token as usize] = 0.0;
        }
    }
}

/// Orders the tokens as far as needed and gives how many make up `mass`; at least one.
fn nucleus(
    order: &mut [u32],
    weights: &[f32],
    mass: f64,
    likelier: impl Fn(&u32, &u32) -> std::cmp::Ordering,
) -> usize {
    let (mut sorted, mut sum) = (0, 0.0);
    while sorted < order.len() {
        let width = (2 * sorted).max(64).min(order.len() - sorted);
        let rest = &mut order[sorted..];
        if width < rest.len() {
            rest.select_nth_unstable_by(width, &likelier);
        }
        rest[..width].sort_unstable_by(&likelier);
        for &token in &order[sorted..sorted + width] {
            sum += f64::from(weights[token as usize]);
            sorted += 1;
            if sum >= mass {
                return sorted;
            }
        }
    }
    sorted
}

/// The first token with the largest logit.
fn greedy(logits: &[f32], top: f32) -> u32 {
    logits.iter().position(|&l| l == top).unwrap_or(0) as u32
}

/// The token at which the running sum of weights passes `uniform` of their total.
fn pick(weights: &[f32], uniform: f64) -> u32 {
    let sums: Vec<f64> = weights
        .chunks(BLOCK)
        .map(|w| f64::from(simd::sum(w)))
        .collect();
    let mut rest = uniform * sums.iter().sum::<f64>();
    let mut last = 0;
    for (block, &sum) in sums.iter().enumerate() {
        if rest >= sum && block + 1 < sums.len() {
            rest -= sum;
            continue;
        }
        for (i, &weight) in weights[block * BLOCK..].iter().enumerate() {
            if weight > 0.0 {
                last = block * BLOCK + i;
                if rest < f64::from(weight) {
                    return last as u32;
                }
                rest -= f64::from(weight);
            }
        }
    }
    if weights[last] > 0.0 {
        last as u32
    } else {
        weights.iter().rposition(|&w| w > 0.0).unwrap_or(0) as u32
    }
}

/// A completion that grows token by token.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
    finish: Option<FinishReason>,
    /// The last token ends the text and is no part of it.
    cut_last: bool,
    text: Option<String>,
}

impl Growing {
    /// Adds a token; true when the completion has ended.
    pub(crate) fn push(
        &mut self,
        token: u32,
        log_prob: f32,
        sampling: &Sampling,
        ends: &Ends<'_>,
    ) -> bool {
        self.tokens.push(token);
        self.log_probs.push(log_prob);
        let eos = !sampling.ignore_eos && ends.eos.contains(&token);
        if eos || sampling.stop_token_ids.contains(&token) {
            self.cut_last = true;
            self.finish = Some(FinishReason::Stop);
        } else if let Some(text) = self.stop_text(sampling, ends) {
            self.text = Some(text);
            self.finish = Some(FinishReason::Stop);
        } else if self.tokens.len() >= sampling.max_new_tokens {
            self.finish = Some(FinishReason::Length);
        }
        self.finish.is_some()
    }

    /// Ends the completion because the context is full.
    pub(crate) fn stop_at_context(&mut self) {
        self.finish = Some(FinishReason::Length);
    }

    pub(crate) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The text before a stop text, where the text so far has one.
    fn stop_text(&self, sampling: &Sampling, ends: &Ends<'_>) -> Option<String> {
        if sampling.stop.is_empty() {
            return None;
        }
        let longest = sampling.stop.iter().map(String::len).max().unwrap_or(0);
        // A token adds at least one byte of text or none, so a stop text that the last token
        // completes lies within the last `longest + 8` tokens.
        let tail = self.tokens.len().saturating_sub(longest + 8);
        let recent = (ends.decode)(&self.tokens[tail..]);
        if !sampling
            .stop
            .iter()
            .any(|stop| !stop.is_empty() && recent.contains(stop))
        {
            return None;
        }
        let text = (ends.decode)(&self.tokens);
        let cut = sampling
            .stop
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| text.find(stop))
            .min()?;
        Some(text[..cut].to_owned())
    }

    /// The completion, with its text.
    pub(crate) fn finish(self, ends: &Ends<'_>) -> Completion {
        let spoken = self.tokens.len() - usize::from(self.cut_last);
        let text = self
            .text
            .unwrap_or_else(|| (ends.decode)(&self.tokens[..spoken]));
        let finish_reason = self.finish.unwrap_or(FinishReason::Length);
        Completion {
            tokens: self.tokens,
            log_probs: self.log_probs,
            text,
            finish_reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sampling: &Sampling, logits: &[f32]) -> Vec<usize> {
        let mut counts = vec![0; logits.len()];
        for seed in 0..20_000 {
            counts[Sampler::new(critique_core::derive_seed(seed, &[]), sampling)
                .next(logits)
                .0 as usize] += 1;
        }
        counts
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits: Vec<f32> = [0.5f32, 0.25, 0.125, 0.125]
            .iter()
            .map(|p| p.ln())
            .collect();
        let counts = counts(&Sampling::default(), &logits);
        for (got, want) in counts.iter().zip([10_000, 5_000, 2_500, 2_500]) {
            assert!(got.abs_diff(want) < 300, "{counts:?}");
        }
    }

    #[test]
    fn cuts_keep_the_likeliest_tokens() {
        let logits: Vec<f32> = [0.1f32, 0.4, 0.3, 0.2].iter().map(|p| p.ln()).collect();
        let drawn = |sampling| {
            counts(&sampling, &logits)
                .iter()
                .map(|&n| n > 0)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            drawn(Sampling {
                top_k: 2,
                ..Default::default()
            }),
            [false, true, true, false]
        );
        assert_eq!(
            drawn(Sampling {
                top_p: 0.65,
                ..Default::default()
            }),
            [false, true, true, false]
        );
        assert_eq!(
            drawn(Sampling {
                top_p: 0.75,
                ..Default::default()
            }),
            [false, true, true, true]
        );
        assert_eq!(
            drawn(Sampling {
                min_p: 0.45,
                ..Default::default()
            }),
            [false, true, true, true]
        );
        assert_eq!(
            drawn(Sampling {
                temperature: 0.0,
                ..Default::default()
            }),
            [false, true, false, false]
        );
    }

    #[test]
    fn the_log_prob_is_that_of_the_whole_distribution() {
        let logits: Vec<f32> = [0.1f32, 0.4, 0.3, 0.2].iter().map(|p| p.ln()).collect();
        let sampling = Sampling {
            top_k: 1,
            ..Default::default()
        };
        let (token, log_prob) = Sampler::new(1, &sampling).next(&logits);
        assert_eq!(token, 1);
        assert!((log_prob - 0.4f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_stop_text_ends_the_text_but_keeps_the_tokens() {
        let decode = |tokens: &[u32]| {
            tokens
                .iter()
                .map(|&t| char::from(t as u8))
                .collect::<String>()
        };
        let ends = Ends {
            eos: &[0],
            decode: &decode,
        };
        let sampling = Sampling {
            stop: vec!["END".into()],
            ..Default::default()
        };
        let mut growing = Growing::default();
        let ended: Vec<bool> = "abENDx"
            .bytes()
            .map(|b| growing.push(u32::from(b), -1.0, &sampling, &ends))
            .take_while(|e| !e)
            .collect();
        assert_eq!(ended.len(), 4);
        let completion = growing.finish(&ends);
        assert_eq!(
            (completion.text.as_str(), completion.tokens.len()),
            ("ab", 5)
        );
    }
}
