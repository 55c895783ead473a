//! One step of reinforcement learning: rollouts, rewards, advantages, policy updates
//! (docs/method.md, "Stages" to "Loss").

use std::sync::Mutex;
use std::time::Instant;

use critique_core::{
    Attempt, Completion, FinishReason, Judgment, Problem, Rng, Rollout, derive_seed,
};
use critique_model::{Group, LanguageModel, PerToken, TokenRun};
use critique_rewards::{
    BaselineState, BatchCounts, FlatGroups, GroupStats, LossStats, Part, PolicyLoss,
    RewardBreakdown, Sequence, TokenInput, TokenStats,
};
use critique_rollout::{
    Case, FixedResponses, RolloutGroup, RolloutId, RolloutRecord, Scored, Seeds, balanced, cases,
    critique, drop_unrefined, refine, respond,
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
    /// The part of each critique in the update.
    parts: Vec<Vec<Part>>,
    /// Whether a group is left out of the update as a whole.
    left_out: Vec<bool>,
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
    pub(crate) fn problems(&self, step: usize) -> Vec<Problem> {
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
        let (cases, mut dropped) = self.cases(step, seeds)?;
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
        let (parts, left_out) = self.parts(&groups, &totals);
        let (token_advantages, token_stats) =
            self.credit(&old, &reference, &advantages.values, &parts);
        Ok(Batch {
            groups,
            rewards,
            advantages: advantages.values,
            stats: advantages.stats,
            old,
            reference,
            token_advantages,
            token_stats,
            parts,
            left_out,
            dropped,
            rollout_secs,
            score_secs,
            rollout_peak,
            score_peak: memory::peak(),
        })
    }

    /// The responses of a step, and how many problems gave none because their prompt did not fit.
    fn cases(&self, step: usize, seeds: &Seeds<'_>) -> Result<(Vec<Case>, usize), TrainError> {
        let (rollout, task) = (self.rollout, self.task);
        let problems = self.problems(step);
        let samples = rollout.responses;
        let (cases, dropped) = if let Some(fixed) = self.fixed {
            (fixed.cases(task, &problems, samples, seeds)?, 0)
        } else {
            let sampling = &rollout.response;
            let responses = respond(self.actor, task, &problems, samples, sampling, seeds)?;
            (cases(&problems, responses.attempts), responses.dropped)
        };
        if !rollout.balanced {
            return Ok((cases, dropped));
        }
        let names = ["balance", &self.stage.name, &step.to_string()];
        let seed = derive_seed(self.seed, &names);
        Ok((balanced(cases, self.samples_a_time(), seed), dropped))
    }

    /// How far the samples of a problem are counted on where it stands in a step again.
    pub(crate) fn samples_a_time(&self) -> usize {
        self.fixed
            .map_or(self.rollout.responses, FixedResponses::stride)
    }

    /// A response from the file, where the step has it.
    pub(crate) fn fixed_response(
        &self,
        fixed: &FixedResponses,
        id: &RolloutId,
        seeds: &Seeds<'_>,
    ) -> Result<Option<Attempt>, TrainError> {
        let step = usize::try_from(id.step).unwrap_or(usize::MAX);
        let mut problems = self.problems(step);
        problems.retain(|problem| problem.id == id.problem);
        let cases = fixed.cases(self.task, &problems, self.rollout.responses, seeds)?;
        let found = cases.into_iter().find(|case| case.sample == id.sample);
        Ok(found.map(|case| case.response))
    }

    /// The part of each critique in the update, and the groups that have none.
    fn parts(&self, groups: &[RolloutGroup], rewards: &[Vec<f32>]) -> (Vec<Vec<Part>>, Vec<bool>) {
        let stage = self.stage;
        let of_group = |(group, rewards): (&RolloutGroup, &Vec<f32>)| -> Vec<Part> {
            let flat = stage.advantage.learns_nothing(rewards);
            let part = match stage.flat_groups {
                FlatGroups::Apart if flat => Part::Apart,
                FlatGroups::Drop if flat => Part::Out,
                _ => Part::Whole,
            };
            let masked = |r: &Rollout| stage.mask_truncated && is_cut_off(&r.critique.completion);
            let rollouts = group.rollouts();
            rollouts
                .map(|r| if masked(r) { Part::Out } else { part })
                .collect()
        };
        let parts = groups.iter().zip(rewards).map(of_group).collect();
        let drops = stage.flat_groups == FlatGroups::Drop;
        let left_out = |rewards: &Vec<f32>| drops && stage.advantage.learns_nothing(rewards);
        (parts, rewards.iter().map(left_out).collect())
    }

    /// Spreads advantages and the KL in the reward over tokens.
    fn credit(
        &self,
        old: &PerToken,
        reference: &PerToken,
        advantages: &[Vec<f32>],
        parts: &[Vec<Part>],
    ) -> (PerToken, TokenStats) {
        let credit = self.stage.token_credit(self.rollout);
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
        let spread = credit.advantages_of(&sequences, &parts.concat());
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
        update.lr = self.learning_rate(step, 0, 1);
        for (number, part) in parts.iter().enumerate() {
            let groups: Vec<Group> = part.iter().map(|&g| all[g].clone()).collect();
            let (log_probs, stats) = self.accumulate(critic, batch, part, &groups)?;
            if number == 0 {
                update.log_prob_diff = largest_difference(&log_probs, part, &batch.groups);
            }
            update.stats.merge(&stats);
            update.lr = self.learning_rate(step, number, parts.len());
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

    /// Learning rate of minibatch `number` of the `parts` of a step. The schedule is over the
    /// optimizer steps of a stage that loses no rollouts; a step with fewer or more minibatches
    /// takes as much of it as any other.
    fn learning_rate(&self, step: usize, number: usize, parts: usize) -> f32 {
        let usual = self.usual_minibatches();
        let place = (step * usual) as f64 + (number * usual) as f64 / parts as f64;
        let steps = self.stage.steps * usual;
        self.stage.lr * self.stage.schedule.at_place(place, steps)
    }

    /// Minibatches of a step that loses no rollouts.
    fn usual_minibatches(&self) -> usize {
        let (rollout, size) = (self.rollout, self.rollout.group_size);
        let responses = if rollout.balanced {
            2
        } else {
            rollout.responses
        };
        let groups = rollout.problems * responses;
        let a_part = match self.stage.minibatch {
            0 => groups,
            most => (most / size).clamp(1, groups),
        };
        groups.div_ceil(a_part) * self.stage.inner_epochs
    }

    /// Places of groups, cut into minibatches, once for each inner epoch. Groups that are left
    /// out of the update are in none, and a minibatch without a token that counts is none.
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
            for group in order.into_iter().filter(|&g| !batch.left_out[g]) {
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
        let counts = |g: &usize| batch.parts[*g].iter().any(|part| *part != Part::Out);
        parts.retain(|part| part.iter().any(counts));
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
        // Masked tokens count in no average, as TRL has it; their critiques still do.
        let lengths: Vec<usize> = part
            .iter()
            .zip(groups)
            .flat_map(|(&g, group)| batch.parts[g].iter().zip(&group.completions))
            .map(|(part, tokens)| if *part == Part::Out { 0 } else { tokens.len() })
            .collect();
        let settings = self.stage.loss_settings(self.rollout);
        let policy = PolicyLoss::new(settings, BatchCounts::of(&lengths));
        let stats = Mutex::new(vec![LossStats::default(); groups.len()]);
        let loss = |run: TokenRun, log_probs: &[f32], grad: &mut [f32]| {
            let (g, m) = (part[run.group], run.completion);
            if batch.parts[g][m] == Part::Out {
                grad.fill(0.0);
                return;
            }
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

fn is_cut_off(completion: &Completion) -> bool {
    completion.finish_reason == FinishReason::Length
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
