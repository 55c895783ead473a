//! The figures of a step.

use critique_core::{Attempt, Judgment, Rollout};
use critique_rollout::RolloutGroup;
use serde_json::json;

use super::update::Update;
use super::{Batch, RlContext, is_cut_off};
use critique_run::Metrics;

impl RlContext<'_> {
    #[expect(clippy::too_many_lines, reason = "a list of figures")]
    pub(super) fn metrics(&self, batch: &Batch, update: &Update) -> Metrics {
        let rollouts: Vec<_> = batch
            .groups
            .iter()
            .flat_map(RolloutGroup::rollouts)
            .collect();
        let count = rollouts.len().max(1) as f64;
        let share = |n: usize| n as f64 / count;
        let lengths: Vec<usize> = rollouts
            .iter()
            .map(|r| r.critique.completion.tokens.len())
            .collect();
        let clipped = rollouts
            .iter()
            .filter(|r| is_cut_off(&r.critique.completion))
            .count();
        let parsed = rollouts
            .iter()
            .filter(|r| r.critique.judgment.is_parsed())
            .count();
        let right = rollouts.iter().filter(|r| r.judged_rightly()).count();
        let (correct, wrong): (Vec<&Rollout>, Vec<&Rollout>) = rollouts
            .iter()
            .copied()
            .partition(|r| r.response.verdict.is_correct());
        let of = |rollouts: &[&Rollout]| {
            let right = rollouts.iter().filter(|r| r.judged_rightly()).count();
            (!rollouts.is_empty()).then(|| right as f64 / rollouts.len() as f64)
        };
        let samples = batch.samples.iter().flat_map(|group| &group.samples);
        let log_probs = samples.flat_map(|sample| &sample.old);
        let log_probs: f64 = log_probs.map(|&l| f64::from(l)).sum();
        let mean = |values: &[f32]| {
            values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len().max(1) as f64
        };
        let mut metrics = Metrics::new();
        let mut put = |name: &str, value: f64| {
            metrics.insert(name.to_owned(), json!(value));
        };
        put("loss", mean(&update.losses));
        put("grad_norm", mean(&update.norms));
        put("learning_rate", f64::from(update.lr));
        put("reward", batch.stats.reward_mean);
        put("reward_std", batch.stats.reward_std);
        put(
            "frac_reward_zero_std",
            batch.stats.zero_variance as f64 / batch.stats.groups.max(1) as f64,
        );
        put("kl", batch.token_stats.kl);
        put("kl_sequence", batch.token_stats.kl_sequence);
        put(
            "entropy_sampled",
            -log_probs / lengths.iter().sum::<usize>().max(1) as f64,
        );
        put("approx_kl", update.stats.approx_kl());
        put("clip_ratio/low_mean", update.stats.clip_low());
        put("clip_ratio/high_mean", update.stats.clip_high());
        put(
            "completions/mean_length",
            lengths.iter().sum::<usize>() as f64 / count,
        );
        put(
            "completions/min_length",
            lengths.iter().min().copied().unwrap_or(0) as f64,
        );
        put(
            "completions/max_length",
            lengths.iter().max().copied().unwrap_or(0) as f64,
        );
        put("completions/clipped_ratio", share(clipped));
        put("said_correct", share(said_correct(&rollouts)));
        if self.stage.dual_clip.is_some() {
            put("clip_ratio/dual_mean", update.stats.clip_dual());
        }
        put("parse_rate", share(parsed));
        put("acc_initial", share(correct.len()));
        put("acc_dis", share(right));
        if self.stage.rewards.needs_refinement() {
            let refined: f64 = rollouts
                .iter()
                .map(|r| {
                    let right = r
                        .refinements
                        .iter()
                        .filter(|a| a.verdict.is_correct())
                        .count();
                    right as f64 / r.refinements.len().max(1) as f64
                })
                .sum();
            put("acc_refined", refined / count);
        }
        for (index, part) in batch
            .rewards
            .iter()
            .flatten()
            .next()
            .map_or(&[][..], |r| &r.parts)
            .iter()
            .enumerate()
        {
            let raw: Vec<f32> = batch
                .rewards
                .iter()
                .flatten()
                .map(|r| r.parts[index].raw)
                .collect();
            put(&format!("rewards/{}/mean", part.name), mean(&raw));
        }
        put("logprob_diff_max", f64::from(update.log_prob_diff));
        put("rollouts", rollouts.len() as f64);
        put("dropped", batch.dropped as f64);
        metrics.insert("acc_dis_correct".into(), json!(of(&correct)));
        metrics.insert("acc_dis_incorrect".into(), json!(of(&wrong)));
        let responses = batch.groups.iter().map(|group| &group.case.response);
        let cut = cut_off_share(responses);
        metrics.insert("responses/clipped_ratio".into(), json!(cut));
        if self.stage.rewards.needs_refinement() {
            let refinements = rollouts.iter().flat_map(|r| &r.refinements);
            let cut = cut_off_share(refinements);
            metrics.insert("refinements/clipped_ratio".into(), json!(cut));
            transitions(&correct, &wrong, &mut metrics);
        }
        metrics
    }
}

/// Share of sampled texts that were cut off at the longest length; nothing where none was sampled.
fn cut_off_share<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> Option<f64> {
    let cut: Vec<bool> = attempts
        .filter_map(|attempt| attempt.completion.as_ref())
        .map(is_cut_off)
        .collect();
    let many = cut.iter().filter(|cut| **cut).count();
    (!cut.is_empty()).then(|| many as f64 / cut.len() as f64)
}

fn said_correct(rollouts: &[&Rollout]) -> usize {
    let said = rollouts.iter().map(|r| r.critique.judgment);
    said.filter(|judgment| *judgment == Judgment::Correct)
        .count()
}

/// Right responses made wrong and wrong ones made right: as shares of all rollouts, and of those
/// whose response is right, or is not. Several refinements of a rollout are averaged.
fn transitions(correct: &[&Rollout], wrong: &[&Rollout], metrics: &mut Metrics) {
    let refined = |rollout: &&Rollout| {
        let right = rollout.refinements.iter();
        let right = right.filter(|a| a.verdict.is_correct()).count();
        right as f64 / rollout.refinements.len().max(1) as f64
    };
    let lost: f64 = correct.iter().map(|r| 1.0 - refined(r)).sum();
    let won: f64 = wrong.iter().map(refined).sum();
    let all = (correct.len() + wrong.len()).max(1) as f64;
    let of = |sum: f64, rollouts: &[&Rollout]| {
        (!rollouts.is_empty()).then(|| sum / rollouts.len() as f64)
    };
    for (name, value) in [
        ("delta_c2i", Some(lost / all)),
        ("delta_i2c", Some(won / all)),
        ("c2i_of_correct", of(lost, correct)),
        ("i2c_of_incorrect", of(won, wrong)),
    ] {
        metrics.insert(name.into(), json!(value));
    }
}
