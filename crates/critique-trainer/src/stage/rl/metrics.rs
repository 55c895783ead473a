//! The figures of a step.

use std::collections::BTreeMap;

use critique_core::{Attempt, Judgment, Rollout};
use critique_rewards::RewardPart;
use critique_rollout::RolloutGroup;
use critique_run::Metrics;
use critique_tasks::CritiqueForm;
use serde_json::json;

use super::update::Update;
use super::{Batch, RlContext, is_cut_off};

impl RlContext<'_> {
    pub(super) fn metrics(&self, batch: &Batch, update: &Update) -> Metrics {
        let groups = batch.groups.iter();
        let mut figures = Figures {
            batch,
            update,
            rollouts: groups.flat_map(RolloutGroup::rollouts).collect(),
            metrics: Metrics::new(),
        };
        let refines = self.stage.rewards.needs_refinement();
        figures.update();
        figures.policy();
        figures.lengths();
        let said = figures.share(|r| r.critique.judgment == Judgment::Correct);
        figures.put("said_correct", said);
        if self.stage.dual_clip.is_some() {
            figures.put("clip_ratio/dual_mean", update.stats.clip_dual());
        }
        figures.verdicts(refines);
        figures.rewards();
        figures.put("logprob_diff_max", f64::from(update.log_prob_diff));
        figures.elsewhere();
        figures.put("rollouts", figures.rollouts.len() as f64);
        figures.put("dropped", batch.dropped as f64);
        if batch.unscored > 0 {
            figures.put("unscored", batch.unscored as f64);
        }
        figures.by_class(refines);
        figures.unparsed(CritiqueForm::of(self.task));
        figures.metrics
    }
}

/// Figures of one step in the making; the order of keys is that of `metrics.jsonl`.
struct Figures<'a> {
    batch: &'a Batch,
    update: &'a Update,
    rollouts: Vec<&'a Rollout>,
    metrics: Metrics,
}

impl Figures<'_> {
    fn put(&mut self, name: &str, value: f64) {
        self.metrics.insert(name.to_owned(), json!(value));
    }

    /// A share of all rollouts.
    fn share(&self, holds: impl Fn(&Rollout) -> bool) -> f64 {
        let many = self
            .rollouts
            .iter()
            .filter(|rollout| holds(rollout))
            .count();
        many as f64 / self.rollouts.len().max(1) as f64
    }

    /// The optimizer's steps, and the rewards that they followed.
    fn update(&mut self) {
        let (update, stats) = (self.update, &self.batch.stats);
        // What no minibatch was finite in is not 0.
        if update.skipped == 0 || !update.losses.is_empty() {
            self.put("loss", mean(&update.losses));
            self.put("grad_norm", mean(&update.norms));
        }
        if update.skipped > 0 {
            self.put("not_finite", update.skipped as f64);
        }
        self.put("learning_rate", f64::from(update.lr));
        self.put("reward", stats.reward_mean);
        self.put("reward_std", stats.reward_std);
        let flat = stats.zero_variance as f64 / stats.groups.max(1) as f64;
        self.put("frac_reward_zero_std", flat);
    }

    /// The policy beside its reference and beside the one that sampled.
    fn policy(&mut self) {
        let (update, batch) = (self.update, self.batch);
        self.put("kl", batch.token_stats.kl);
        self.put("kl_sequence", batch.token_stats.kl_sequence);
        let samples = batch.samples.iter().flat_map(|group| &group.samples);
        let log_probs = samples.flat_map(|sample| &sample.old);
        let sum: f64 = log_probs.map(|&l| f64::from(l)).sum();
        let tokens: usize = self.completion_lengths().iter().sum();
        self.put("entropy_sampled", -sum / tokens.max(1) as f64);
        if update.skipped == 0 || !update.losses.is_empty() {
            self.put("approx_kl", update.stats.approx_kl());
            self.put("clip_ratio/low_mean", update.stats.clip_low());
            self.put("clip_ratio/high_mean", update.stats.clip_high());
        }
    }

    /// How the processes that sampled differ from this one; nothing where this one samples.
    fn elsewhere(&mut self) {
        if let Some(version) = self.batch.version {
            self.metrics.insert("critic_version".into(), json!(version));
        }
        if let Some(mismatch) = &self.update.mismatch {
            self.put("logprob_diff_mean", mismatch.mean);
            self.put("logprob_diff_share", mismatch.share);
            self.put("sampling_kl", mismatch.kl);
        }
    }

    fn completion_lengths(&self) -> Vec<usize> {
        let rollouts = self.rollouts.iter();
        rollouts
            .map(|r| r.critique.completion.tokens.len())
            .collect()
    }

    fn lengths(&mut self) {
        let lengths = self.completion_lengths();
        let all = lengths.iter().sum::<usize>() as f64;
        let (shortest, longest) = (lengths.iter().min(), lengths.iter().max());
        let number = |length: Option<&usize>| length.copied().unwrap_or(0) as f64;
        let count = self.rollouts.len().max(1) as f64;
        self.put("completions/mean_length", all / count);
        self.put("completions/min_length", number(shortest));
        self.put("completions/max_length", number(longest));
        let cut = self.share(|r| is_cut_off(&r.critique.completion));
        self.put("completions/clipped_ratio", cut);
    }

    fn verdicts(&mut self, refines: bool) {
        let parsed = self.share(|r| r.critique.judgment.is_parsed());
        self.put("parse_rate", parsed);
        let correct = self.share(|r| r.response.verdict.is_correct());
        self.put("acc_initial", correct);
        let right = self.share(Rollout::judged_rightly);
        self.put("acc_dis", right);
        if refines {
            let refined: f64 = self.rollouts.iter().map(|r| refined(r)).sum();
            let count = self.rollouts.len().max(1) as f64;
            self.put("acc_refined", refined / count);
        }
    }

    /// The mean of each part of the reward, before its weight.
    fn rewards(&mut self) {
        let rewards: Vec<&[RewardPart]> = self
            .batch
            .rewards
            .iter()
            .flatten()
            .map(|reward| reward.parts.as_slice())
            .collect();
        let parts = rewards.first().copied().unwrap_or_default();
        for (index, part) in parts.iter().enumerate() {
            let raw: Vec<f32> = rewards.iter().map(|parts| parts[index].raw).collect();
            self.put(&format!("rewards/{}/mean", part.name), mean(&raw));
        }
    }

    /// Figures that may not be defined: of right and of wrong responses, and of sampled texts.
    fn by_class(&mut self, refines: bool) {
        let (correct, wrong): (Vec<&Rollout>, Vec<&Rollout>) = self
            .rollouts
            .iter()
            .copied()
            .partition(|r| r.response.verdict.is_correct());
        let judged = |rollouts: &[&Rollout]| {
            let right = rollouts.iter().filter(|r| r.judged_rightly()).count();
            (!rollouts.is_empty()).then(|| right as f64 / rollouts.len() as f64)
        };
        let metrics = &mut self.metrics;
        metrics.insert("acc_dis_correct".into(), json!(judged(&correct)));
        metrics.insert("acc_dis_incorrect".into(), json!(judged(&wrong)));
        let groups = self.batch.groups.iter();
        let cut = cut_off_share(groups.map(|group| &group.case.response));
        metrics.insert("responses/clipped_ratio".into(), json!(cut));
        if refines {
            let refinements = self.rollouts.iter().flat_map(|r| &r.refinements);
            let cut = cut_off_share(refinements);
            metrics.insert("refinements/clipped_ratio".into(), json!(cut));
            transitions(&correct, &wrong, metrics);
        }
    }

    /// Why critiques have no verdict, by name, as shares of all critiques: a policy that learns a
    /// trick shows here. Names that did not occur are left out.
    fn unparsed(&mut self, form: CritiqueForm) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for rollout in &self.rollouts {
            if let Err(why) = form.read(&rollout.critique.completion.text) {
                *counts.entry(why.name()).or_default() += 1;
            }
        }
        let all = self.rollouts.len().max(1) as f64;
        for (name, count) in counts {
            self.put(&format!("unparsed/{name}"), count as f64 / all);
        }
    }
}

fn mean(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    sum / values.len().max(1) as f64
}

/// The share of right refinements of one rollout.
fn refined(rollout: &Rollout) -> f64 {
    let right = rollout.refinements.iter();
    let right = right.filter(|a| a.verdict.is_correct()).count();
    right as f64 / rollout.refinements.len().max(1) as f64
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

/// Right responses made wrong and wrong ones made right: as shares of all rollouts, and of those
/// whose response is right, or is not. Several refinements of a rollout are averaged.
fn transitions(correct: &[&Rollout], wrong: &[&Rollout], metrics: &mut Metrics) {
    let lost: f64 = correct.iter().map(|r| 1.0 - refined(r)).sum();
    let won: f64 = wrong.iter().map(|r| refined(r)).sum();
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
