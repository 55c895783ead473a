//! One step of reinforcement learning: rollouts, rewards, advantages, policy updates
//! (docs/method.md, "Stages" to "Loss").

use std::sync::Mutex;
use std::time::Instant;

use critique_core::{FinishReason, Problem, Rng, derive_seed};
use critique_model::{Group, LanguageModel, PerToken, TokenRun};
use critique_rewards::{
    BaselineState, BatchCounts, GroupStats, LossStats, PolicyLoss, RewardBreakdown, Sequence,
    TokenInput, TokenStats,
};
use critique_rollout::{
    FixedResponses, RolloutGroup, RolloutRecord, Scored, Seeds, balanced, cases, critique,
    drop_unrefined, refine, respond,
};
use critique_tasks::Task;
use serde_json::json;

use crate::config::{RlStage, RolloutConfig};
use crate::error::TrainError;
use crate::memory;
use crate::observer::Metrics;

/// What the steps of a stage share.
pub(crate) struct RlContext<'a> {
    pub(crate) stage: &'a RlStage,
    pub(crate) rollout: &'a RolloutConfig,
    pub(crate) task: &'a dyn Task,
    pub(crate) problems: &'a [Problem],
    pub(crate) fixed: Option<&'a FixedResponses>,
    pub(crate) actor: &'a LanguageModel,
    pub(crate) reference: Option<&'a LanguageModel>,
    pub(crate) seed: u64,
}

/// What came of a step.
pub(crate) struct RlOutcome {
    pub(crate) metrics: Metrics,
    pub(crate) records: Vec<RolloutRecord>,
    /// The first loss or gradient norm that was not finite.
    pub(crate) not_finite: Option<(&'static str, f32)>,
}

/// Rollouts of a step with everything that an update needs, in the shape groups, members,
/// tokens.
struct Batch {
    groups: Vec<RolloutGroup>,
    rewards: Vec<Vec<RewardBreakdown>>,
    advantages: Vec<Vec<f32>>,
    stats: GroupStats,
    /// Log-probs of the policy that sampled.
    old: PerToken,
    /// Log-probs of the reference policy; empty without one.
    reference: PerToken,
    token_advantages: PerToken,
    token_stats: TokenStats,
    dropped: usize,
    rollout_secs: f64,
    score_secs: f64,
    /// Most bytes resident in these phases.
    rollout_peak: usize,
    score_peak: usize,
}

impl RlContext<'_> {
    /// One step, counted from 0: the critic is updated in place.
    pub(crate) fn step(
        &self,
        step: usize,
        critic: &mut LanguageModel,
        baseline: &mut BaselineState,
    ) -> Result<RlOutcome, TrainError> {
        let begin = Instant::now();
        memory::forget_peak();
        let seeds = Seeds {
            run: self.seed,
            stage: &self.stage.name,
            step: step as u64,
        };
        let batch = self.batch(step, &seeds, critic, baseline)?;
        let train = Instant::now();
        memory::forget_peak();
        let update = self.update(step, critic, &batch)?;
        let train_secs = train.elapsed().as_secs_f64();
        let mut metrics = self.metrics(&batch, &update);
        metrics.insert("time/rollout".into(), json!(batch.rollout_secs));
        metrics.insert("time/score".into(), json!(batch.score_secs));
        metrics.insert("time/train".into(), json!(train_secs));
        metrics.insert("time/step".into(), json!(begin.elapsed().as_secs_f64()));
        for (phase, bytes) in [
            ("rollout", batch.rollout_peak),
            ("score", batch.score_peak),
            ("train", memory::peak()),
        ] {
            metrics.insert(format!("memory/{phase}_mb"), json!(bytes >> 20));
        }
        let records = records(&seeds, &batch);
        Ok(RlOutcome {
            metrics,
            records,
            not_finite: update.not_finite,
        })
    }

    /// The problems of a step: an endless walk through them, in a new order every time round.
    fn problems(&self, step: usize) -> Vec<Problem> {
        let len = self.problems.len();
        let mut chosen = Vec::with_capacity(self.rollout.problems);
        let mut order: Option<(usize, Vec<usize>)> = None;
        for n in step * self.rollout.problems..(step + 1) * self.rollout.problems {
            let (round, at) = (n / len, n % len);
            if order.as_ref().is_none_or(|(of, _)| *of != round) {
                let mut fresh: Vec<usize> = (0..len).collect();
                Rng::new(derive_seed(
                    self.seed,
                    &["problems", &self.stage.name, &round.to_string()],
                ))
                .shuffle(&mut fresh);
                order = Some((round, fresh));
            }
            if let Some((_, order)) = &order {
                chosen.push(self.problems[order[at]].clone());
            }
        }
        chosen
    }

    fn batch(
        &self,
        step: usize,
        seeds: &Seeds<'_>,
        critic: &LanguageModel,
        baseline: &mut BaselineState,
    ) -> Result<Batch, TrainError> {
        let begin = Instant::now();
        let (rollout, task) = (self.rollout, self.task);
        let problems = self.problems(step);
        let (attempts, mut dropped) = if let Some(fixed) = self.fixed {
            (fixed.attempts(task, &problems)?, 0)
        } else {
            let (samples, sampling) = (rollout.responses, &rollout.response);
            let responses = respond(self.actor, task, &problems, samples, sampling, seeds)?;
            (responses.attempts, responses.dropped)
        };
        let mut cases = cases(&problems, attempts);
        if rollout.balanced {
            cases = balanced(
                cases,
                derive_seed(self.seed, &["balance", &self.stage.name, &step.to_string()]),
            );
        }
        let critiques = critique(
            critic,
            task,
            &cases,
            rollout.group_size,
            &rollout.critique,
            seeds,
        )?;
        dropped += critiques.dropped;
        let mut groups = critiques.groups;
        if self.stage.rewards.needs_refinement() {
            refine(
                self.actor,
                task,
                &mut groups,
                rollout.refinements,
                &rollout.refinement,
                seeds,
            )?;
            dropped += drop_unrefined(&mut groups);
        }
        let rollout_secs = begin.elapsed().as_secs_f64();
        let rollout_peak = memory::peak();
        memory::forget_peak();

        let rewards: Vec<Vec<RewardBreakdown>> = groups
            .iter()
            .map(|g| g.rollouts().map(|r| self.stage.rewards.score(r)).collect())
            .collect();
        let totals: Vec<Vec<f32>> = rewards
            .iter()
            .map(|g| g.iter().map(|r| r.total).collect())
            .collect();
        let advantages = self.stage.advantage.of_groups(&totals, baseline);

        let begin = Instant::now();
        let tokens = engine_groups(&groups);
        let temperature = rollout.critique.log_prob_temperature();
        let old = old_log_probs(&groups, &tokens, critic, temperature)?;
        let reference = match self.reference {
            Some(reference) => reference.engine().score(&tokens, temperature)?,
            None => Vec::new(),
        };
        let score_secs = begin.elapsed().as_secs_f64();
        let (token_advantages, token_stats) = self.credit(&old, &reference, &advantages.values);
        Ok(Batch {
            groups,
            rewards,
            advantages: advantages.values,
            stats: advantages.stats,
            old,
            reference,
            token_advantages,
            token_stats,
            dropped,
            rollout_secs,
            score_secs,
            rollout_peak,
            score_peak: memory::peak(),
        })
    }

    /// Spreads advantages and the KL in the reward over tokens.
    fn credit(
        &self,
        old: &PerToken,
        reference: &PerToken,
        advantages: &[Vec<f32>],
    ) -> (PerToken, TokenStats) {
        let credit = self.stage.token_credit();
        let mut sequences = Vec::new();
        for (g, old) in old.iter().enumerate() {
            for (m, log_probs) in old.iter().enumerate() {
                let ref_log_probs = reference.get(g).map_or(&[][..], |group| &group[m]);
                sequences.push(Sequence {
                    advantage: advantages[g][m],
                    log_probs,
                    ref_log_probs,
                });
            }
        }
        let spread = credit.advantages(&sequences);
        let mut values = spread.values.into_iter();
        let shaped = old
            .iter()
            .map(|group| values.by_ref().take(group.len()).collect())
            .collect();
        (shaped, spread.stats)
    }

    /// All optimizer steps on a batch.
    fn update(
        &self,
        step: usize,
        critic: &mut LanguageModel,
        batch: &Batch,
    ) -> Result<Update, TrainError> {
        let mut update = Update::default();
        let all = engine_groups(&batch.groups);
        let parts = self.minibatches(step, batch);
        let steps = self.stage.steps * parts.len();
        for (number, part) in parts.iter().enumerate() {
            let groups: Vec<Group> = part.iter().map(|&g| all[g].clone()).collect();
            let (log_probs, stats) = self.accumulate(critic, batch, part, &groups)?;
            if number == 0 {
                update.log_prob_diff = largest_difference(&log_probs, part, &batch.groups);
            }
            update.stats.merge(&stats);
            let share = self.stage.schedule.at(step * parts.len() + number, steps);
            update.lr = self.stage.lr * share;
            let loss = stats.loss() as f32;
            update.losses.push(loss);
            let norm = if loss.is_finite() {
                critic.engine_mut().update(update.lr, &self.stage.optimizer)
            } else {
                0.0
            };
            update.norms.push(norm);
            for (what, value) in [("loss", loss), ("gradient norm", norm)] {
                if !value.is_finite() {
                    update.not_finite = Some((what, value));
                    return Ok(update);
                }
            }
        }
        Ok(update)
    }

    /// Places of groups, cut into minibatches, once for each inner epoch.
    fn minibatches(&self, step: usize, batch: &Batch) -> Vec<Vec<usize>> {
        let most = if self.stage.minibatch == 0 {
            usize::MAX
        } else {
            self.stage.minibatch
        };
        let mut parts = Vec::new();
        for epoch in 0..self.stage.inner_epochs {
            let mut order: Vec<usize> = (0..batch.groups.len()).collect();
            let names = [
                "minibatches",
                &self.stage.name,
                &step.to_string(),
                &epoch.to_string(),
            ];
            Rng::new(derive_seed(self.seed, &names)).shuffle(&mut order);
            let (mut part, mut members) = (Vec::new(), 0);
            for group in order {
                let size = batch.groups[group].members.len();
                if members > 0 && members + size > most {
                    parts.push(std::mem::take(&mut part));
                    members = 0;
                }
                part.push(group);
                members += size;
            }
            if !part.is_empty() {
                parts.push(part);
            }
        }
        parts
    }

    /// Adds the gradients of one minibatch: groups `part` of the batch.
    fn accumulate(
        &self,
        critic: &mut LanguageModel,
        batch: &Batch,
        part: &[usize],
        groups: &[Group],
    ) -> Result<(PerToken, LossStats), TrainError> {
        let lengths: Vec<usize> = groups
            .iter()
            .flat_map(|g| g.completions.iter().map(Vec::len))
            .collect();
        let policy = PolicyLoss::new(self.stage.loss_settings(), BatchCounts::of(&lengths));
        let stats = Mutex::new(vec![LossStats::default(); groups.len()]);
        let loss = |run: TokenRun, log_probs: &[f32], grad: &mut [f32]| {
            let (g, m) = (part[run.group], run.completion);
            let weight = policy.weight(groups[run.group].completions[m].len());
            let mut seen = LossStats::default();
            for (i, (&log_prob, grad)) in log_probs.iter().zip(grad).enumerate() {
                let t = run.start + i;
                let token = TokenInput {
                    log_prob,
                    old_log_prob: batch.old[g][m][t],
                    advantage: batch.token_advantages[g][m][t],
                    ref_log_prob: batch.reference.get(g).map(|group| group[m][t]),
                };
                let value = policy.value_and_gradient(&token, weight);
                *grad = value.gradient;
                seen.add(&value);
            }
            stats.lock().expect("no thread panics while it counts")[run.group].merge(&seen);
        };
        let temperature = self.rollout.critique.log_prob_temperature();
        let log_probs = critic.engine_mut().accumulate(groups, temperature, &loss)?;
        let mut total = LossStats::default();
        stats
            .into_inner()
            .expect("no thread panicked")
            .iter()
            .for_each(|s| total.merge(s));
        Ok((log_probs, total))
    }

    #[expect(clippy::too_many_lines, reason = "a list of figures")]
    fn metrics(&self, batch: &Batch, update: &Update) -> Metrics {
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
            .filter(|r| r.critique.completion.finish_reason == FinishReason::Length)
            .count();
        let parsed = rollouts
            .iter()
            .filter(|r| r.critique.judgment.is_parsed())
            .count();
        let right = rollouts.iter().filter(|r| r.judged_rightly()).count();
        let (correct, wrong): (Vec<_>, Vec<_>) = rollouts
            .iter()
            .partition(|r| r.response.verdict.is_correct());
        let of = |rollouts: &[&&critique_core::Rollout]| {
            let right = rollouts.iter().filter(|r| r.judged_rightly()).count();
            (!rollouts.is_empty()).then(|| right as f64 / rollouts.len() as f64)
        };
        let log_probs: f64 = batch
            .old
            .iter()
            .flatten()
            .flatten()
            .map(|&l| f64::from(l))
            .sum();
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
        metrics
    }
}

/// What the optimizer steps of a batch came to.
#[derive(Default)]
struct Update {
    losses: Vec<f32>,
    norms: Vec<f32>,
    stats: LossStats,
    lr: f32,
    log_prob_diff: f32,
    not_finite: Option<(&'static str, f32)>,
}

fn engine_groups(groups: &[RolloutGroup]) -> Vec<Group> {
    let group = |g: &RolloutGroup| Group {
        prompt: g
            .members
            .first()
            .map(|m| m.rollout.critique.prompt.clone())
            .unwrap_or_default(),
        completions: g
            .rollouts()
            .map(|r| r.critique.completion.tokens.clone())
            .collect(),
    };
    groups.iter().map(group).collect()
}

/// Log-probs of the policy that sampled. On the CPU those recorded while sampling are, bit for
/// bit, what scoring would give; elsewhere they are scored.
fn old_log_probs(
    groups: &[RolloutGroup],
    tokens: &[Group],
    critic: &LanguageModel,
    temperature: f32,
) -> Result<PerToken, TrainError> {
    if critic.samples_exactly() {
        let recorded = |g: &RolloutGroup| {
            let values = g
                .rollouts()
                .map(|r| r.critique.completion.log_probs.clone());
            values.collect()
        };
        return Ok(groups.iter().map(recorded).collect());
    }
    Ok(critic.engine().score(tokens, temperature)?)
}

/// Largest difference between the log-probs recorded while sampling and those of the first
/// update, whose policy is still the one that sampled: 0 on the CPU.
fn largest_difference(log_probs: &PerToken, part: &[usize], groups: &[RolloutGroup]) -> f32 {
    let mut largest = 0f32;
    for (values, &g) in log_probs.iter().zip(part) {
        for (values, rollout) in values.iter().zip(groups[g].rollouts()) {
            let recorded = &rollout.critique.completion.log_probs;
            largest = values
                .iter()
                .zip(recorded)
                .fold(largest, |worst, (a, b)| worst.max((a - b).abs()));
        }
    }
    largest
}

fn records(seeds: &Seeds<'_>, batch: &Batch) -> Vec<RolloutRecord> {
    let mut records = Vec::new();
    for (g, group) in batch.groups.iter().enumerate() {
        for (m, member) in group.members.iter().enumerate() {
            let scored = scored(&batch.rewards[g][m], batch.advantages[g][m]);
            records.push(RolloutRecord::new(seeds, group, member, scored));
        }
    }
    records
}

/// What a record says of a reward.
pub(crate) fn scored(reward: &RewardBreakdown, advantage: f32) -> Scored {
    let parts = reward.parts.iter();
    Scored {
        reward: reward.total,
        rewards: parts.map(|p| (p.name.to_owned(), p.weighted)).collect(),
        advantage,
    }
}

/// The actor's responses, where they are read from a file.
pub(crate) fn fixed_responses(
    rollout: &RolloutConfig,
) -> Result<Option<FixedResponses>, TrainError> {
    let path = rollout.responses_file.as_deref();
    Ok(path.map(FixedResponses::read).transpose()?)
}

/// The training problems that a stage walks through: those with a response where they are read.
pub(crate) fn problems_of(
    stage: &str,
    fixed: Option<&FixedResponses>,
    train: &[Problem],
) -> Result<Vec<Problem>, TrainError> {
    let problems: Vec<Problem> = match fixed {
        Some(fixed) => train.iter().filter(|p| fixed.has(p)).cloned().collect(),
        None => train.to_vec(),
    };
    if problems.is_empty() {
        let message = format!("stage `{stage}`: no problem to train on");
        return Err(TrainError::Config { message });
    }
    Ok(problems)
}
