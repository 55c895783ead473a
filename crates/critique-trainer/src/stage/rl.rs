//! One step of reinforcement learning: rollouts, rewards, advantages, policy updates
//! (docs/method.md, "Stages" to "Loss").

mod elsewhere;
mod metrics;
mod sample;
mod step;
mod update;
mod work;

use std::time::Instant;

use critique_core::{
    Attempt, Completion, FinishReason, Generate, Problem, Prompt, Rng, Rollout, derive_seed,
};
use critique_model::{Group, LanguageModel, PerToken};
use critique_rewards::{
    BaselineState, FlatGroups, GroupStats, Part, RewardBreakdown, Rewards, Sequence, TokenStats,
};
use critique_rollout::{
    Case, FixedResponses, RolloutGroup, RolloutId, RolloutRecord, Scored, Seeds, balanced, cases,
    critique, drop_unrefined, drop_unscored, refine, respond,
};
use critique_run::{Metrics, Misfit, RlStage, RolloutConfig, StagePlace};
use critique_tasks::Task;
use serde_json::json;

pub use self::sample::{SampleGroup, TrainingSample, add_gradients};
use self::step::RlStep;
pub(crate) use self::update::Keep;
use self::work::notes;

use super::Setting;
use crate::error::TrainError;
use crate::memory;
use crate::minibatch::NotFinite;
use crate::plan::{Models, PromptLengths, prompts_fit};

/// What the steps of a stage share.
pub(crate) struct RlContext<'a> {
    pub(crate) stage: &'a RlStage,
    pub(crate) rollout: &'a RolloutConfig,
    pub(crate) task: &'a dyn Task,
    pub(crate) rewards: Rewards,
    lengths: Vec<PromptLengths>,
    problems: Vec<Problem>,
    fixed: Option<FixedResponses>,
    pub(crate) actor: &'a LanguageModel,
    /// The policy as it was when the stage began.
    start: &'a LanguageModel,
    /// The reference, where it is what an earlier stage left.
    named: Option<LanguageModel>,
    pub(crate) seed: u64,
}

/// A step as the run keeps it.
pub(crate) struct RlOutcome {
    pub(crate) metrics: Metrics,
    pub(crate) records: Vec<RolloutRecord>,
    /// The first loss or gradient norm that was not finite.
    pub(crate) not_finite: Option<NotFinite>,
    /// Most bytes resident in the step.
    pub(crate) peak: usize,
}

/// Rollouts of a step, and what an update learns from them: all lists are by group, then by
/// member.
struct Batch {
    groups: Vec<RolloutGroup>,
    rewards: Vec<Vec<RewardBreakdown>>,
    advantages: Vec<Vec<f32>>,
    samples: Vec<SampleGroup>,
    stats: GroupStats,
    token_stats: TokenStats,
    /// Whether a group is left out of the update as a whole.
    left_out: Vec<bool>,
    dropped: usize,
    /// Responses and rollouts with a text that cannot be scored.
    unscored: usize,
    /// Version of the critic that sampled, where other processes do.
    version: Option<u64>,
    rollout_secs: f64,
    score_secs: f64,
    /// Most bytes resident in these phases.
    rollout_peak: usize,
    score_peak: usize,
}

impl<'a> RlContext<'a> {
    /// Finds problems, responses of a file, actor and reference of a stage that begins, or of one
    /// that is looked at again.
    pub(crate) fn open(
        stage: &'a RlStage,
        setting: &Setting<'a>,
        models: &'a mut Models,
    ) -> Result<Self, TrainError> {
        let rollout = &setting.config.rollout;
        let fixed = fixed_responses(rollout)?;
        let problems = problems_of(&stage.name, fixed.as_ref(), setting.train)?;
        let rewards = stage.rewards.open().map_err(|why| {
            let message = format!("stage `{}`: {why}", stage.name);
            Misfit::new("stages", message)
        })?;
        let other = models.plan().stage(&stage.name).other_reference().cloned();
        let named = match other {
            Some(other) => Some(models.left(&other, "reference", &stage.name, setting.dir)?),
            None => None,
        };
        // The model among `models` stays as it was when the stage began.
        let (actor, start) = models.pair("actor", &stage.model)?;
        let mut measure = |name: &str, prompt: &Prompt| -> Result<_, TrainError> {
            let model = if name == "actor" { actor } else { start };
            let tokens = model.codec().encode_prompt(prompt)?.len();
            Ok((tokens, model.context_tokens()))
        };
        let asked = (setting.task, problems.as_slice());
        let place = StagePlace::of(setting.config, setting.index_of(&stage.name));
        let lengths = prompts_fit(place, stage, rollout, asked, &mut measure)?;
        Ok(Self {
            stage,
            rollout,
            task: setting.task,
            rewards,
            lengths,
            problems,
            fixed,
            actor,
            start,
            named,
            seed: setting.seed(&stage.name),
        })
    }

    /// The policy that KL is measured against.
    fn reference(&self) -> Option<&LanguageModel> {
        match self.stage.reference.as_str() {
            "none" => None,
            _ => Some(self.named.as_ref().unwrap_or(self.start)),
        }
    }

    /// What a person should know of the stage.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut all = notes(
            self.rollout,
            self.stage,
            self.fixed.as_ref(),
            &self.problems,
        );
        let lengths = self.lengths.iter();
        all.extend(lengths.filter_map(|lengths| lengths.note(&self.stage.name)));
        all
    }

    /// One step, counted from 0: the critic is updated in place. `keep` takes the first minibatch
    /// that is not finite.
    pub(crate) fn step(
        &self,
        step: usize,
        critic: &mut LanguageModel,
        baseline: &mut BaselineState,
        keep: Keep<'_>,
    ) -> Result<RlOutcome, TrainError> {
        let begin = Instant::now();
        memory::forget_peak();
        let seeds = Seeds {
            run: self.seed,
            stage: &self.stage.name,
            step: step as u64,
        };
        let sampled = self.batch(step, &seeds, critic, baseline);
        let batch = sampled.map_err(|error| {
            if error.is_stop() {
                return TrainError::StoppedBeforeStep;
            }
            error
        })?;
        let train = Instant::now();
        memory::forget_peak();
        let update = self.update(step, critic, &batch, keep)?;
        let train_secs = train.elapsed().as_secs_f64();
        let mut metrics = self.metrics(&batch, &update);
        metrics.insert("time/rollout".into(), json!(batch.rollout_secs));
        metrics.insert("time/score".into(), json!(batch.score_secs));
        metrics.insert("time/train".into(), json!(train_secs));
        metrics.insert("time/step".into(), json!(begin.elapsed().as_secs_f64()));
        let peaks = [
            ("rollout", batch.rollout_peak),
            ("score", batch.score_peak),
            ("train", memory::peak()),
        ];
        for (phase, bytes) in peaks {
            metrics.insert(format!("memory/{phase}_mb"), json!(bytes >> 20));
        }
        let records = records(&seeds, &batch);
        Ok(RlOutcome {
            metrics,
            records,
            not_finite: update.not_finite,
            peak: peaks.into_iter().map(|(_, bytes)| bytes).max().unwrap_or(0),
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
        let Cases {
            scored: cases,
            mut dropped,
            mut unscored,
        } = self.cases(step, seeds)?;
        let critiques = critique(
            critic,
            task,
            &cases,
            rollout.group_size,
            &rollout.critique,
            seeds,
        )?;
        dropped += critiques.dropped;
        let version = critic.engine().sampled_version();
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
            unscored += drop_unscored(&mut groups);
            dropped += drop_unrefined(&mut groups);
        }
        let rollout_secs = begin.elapsed().as_secs_f64();
        let rollout_peak = memory::peak();
        memory::forget_peak();

        let rewards: Vec<Vec<RewardBreakdown>> = groups
            .iter()
            .map(|g| g.rollouts().map(|r| self.rewards.score(r)).collect())
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
        let reference = match self.reference() {
            Some(reference) => reference.engine().score(&tokens, temperature)?,
            None => Vec::new(),
        };
        let score_secs = begin.elapsed().as_secs_f64();
        let (parts, left_out) = self.parts(&groups, &totals);
        let (mut samples, token_stats) =
            self.samples(tokens, old, reference, &advantages.values, &parts);
        if let Some(cap) = self.stage.importance_cap {
            elsewhere::weigh(&mut samples, &groups, cap);
        }
        Ok(Batch {
            groups,
            rewards,
            advantages: advantages.values,
            samples,
            stats: advantages.stats,
            token_stats,
            left_out,
            dropped,
            unscored,
            version,
            rollout_secs,
            score_secs,
            rollout_peak,
            score_peak: memory::peak(),
        })
    }

    /// The responses of a step.
    fn cases(&self, step: usize, seeds: &Seeds<'_>) -> Result<Cases, TrainError> {
        let (rollout, task) = (self.rollout, self.task);
        let problems = self.problems(step);
        let samples = rollout.responses;
        let mut found = if let Some(fixed) = &self.fixed {
            let mut cases = fixed.cases(task, &problems, samples, seeds)?;
            let all = cases.len();
            cases.retain(|case| case.response.is_scored());
            Cases {
                unscored: all - cases.len(),
                scored: cases,
                dropped: 0,
            }
        } else {
            let sampling = &rollout.response;
            let responses = respond(self.actor, task, &problems, samples, sampling, seeds)?;
            let all: usize = responses.attempts.iter().map(Vec::len).sum();
            let cases = cases(&problems, responses.attempts);
            Cases {
                unscored: all - cases.len(),
                scored: cases,
                dropped: responses.dropped,
            }
        };
        if rollout.balanced {
            let names = ["balance", &self.stage.name, &step.to_string()];
            let seed = derive_seed(self.seed, &names);
            found.scored = balanced(found.scored, self.samples_a_time(), seed);
        }
        Ok(found)
    }

    /// How far the samples of a problem are counted on where it stands in a step again.
    pub(crate) fn samples_a_time(&self) -> usize {
        self.fixed
            .as_ref()
            .map_or(self.rollout.responses, FixedResponses::stride)
    }

    /// Whether responses are read from a file.
    pub(crate) fn has_fixed(&self) -> bool {
        self.fixed.is_some()
    }

    /// A response from the file, where the step has it.
    pub(crate) fn fixed_response(
        &self,
        id: &RolloutId,
        seeds: &Seeds<'_>,
    ) -> Result<Option<Attempt>, TrainError> {
        let Some(fixed) = &self.fixed else {
            return Ok(None);
        };
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

    /// Samples to learn from: advantages and the KL in the reward spread over tokens, and the
    /// log-probs that the loss reads.
    fn samples(
        &self,
        tokens: Vec<Group>,
        old: PerToken,
        reference: PerToken,
        advantages: &[Vec<f32>],
        parts: &[Vec<Part>],
    ) -> (Vec<SampleGroup>, TokenStats) {
        let mut of_reference = reference.iter().flatten();
        let sequences: Vec<Sequence<'_>> = (old.iter().flatten())
            .zip(advantages.iter().flatten())
            .map(|(log_probs, &advantage)| Sequence {
                advantage,
                log_probs,
                ref_log_probs: of_reference.next().map_or(&[], Vec::as_slice),
            })
            .collect();
        let parts = parts.concat();
        let credit = self.stage.token_credit(self.rollout);
        let spread = credit.advantages_of(&sequences, &parts);
        let mut groups = SampleGroup::of(tokens, old, reference, spread.values);
        let samples = groups.iter_mut().flat_map(|group| &mut group.samples);
        for (sample, part) in samples.zip(parts) {
            sample.masked = part == Part::Out;
        }
        (groups, spread.stats)
    }
}

/// The responses of a step.
struct Cases {
    scored: Vec<Case>,
    /// Problems without one, because their prompt did not fit.
    dropped: usize,
    /// Responses that cannot be scored.
    unscored: usize,
}

/// Whether a text ended at the longest length.
fn is_cut_off(completion: &Completion) -> bool {
    completion.finish_reason == FinishReason::Length
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

fn records(seeds: &Seeds<'_>, batch: &Batch) -> Vec<RolloutRecord> {
    let mut records = Vec::new();
    for (g, group) in batch.groups.iter().enumerate() {
        for (m, member) in group.members.iter().enumerate() {
            let scored = scored(&batch.rewards[g][m], batch.advantages[g][m]);
            records.push(RolloutRecord {
                critic_version: batch.version,
                ..RolloutRecord::new(seeds, group, member, scored)
            });
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
fn fixed_responses(rollout: &RolloutConfig) -> Result<Option<FixedResponses>, TrainError> {
    let path = rollout.responses_file.as_deref();
    Ok(path.map(FixedResponses::read).transpose()?)
}

/// The training problems that a stage walks through: those with a response where they are read.
fn problems_of(
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
        return Err(Misfit::new("stages", message).into());
    }
    Ok(problems)
}
