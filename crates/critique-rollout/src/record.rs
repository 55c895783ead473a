//! Rollouts on disk: JSON lines, one file a step, whole or absent.
//!
//! `rollouts/stage-NAME/step-000010.jsonl` under the run folder. A line is a
//! [`RolloutRecord`]; its fields are meant for people, pandas and jq, so texts are whole and
//! tokens are counted, not listed. Seeds are hexadecimal texts, since many JSON readers round
//! numbers of 64 bits.

use std::borrow::Borrow;
use std::io::Write;
use std::path::{Path, PathBuf};

use critique_core::files::sum::FileSum;
use critique_core::files::{FileError, read_text, write_with};
use critique_core::{Attempt, Completion, Judgment, Verdict};
use serde::{Deserialize, Serialize};

use crate::error::RolloutError;
use crate::group::{Member, RolloutGroup};
use crate::id::RolloutId;
use crate::seeds::{Phase, Seeds};

/// The layout this code writes and reads.
pub const VERSION: u32 = 1;

/// One rollout as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// [`VERSION`].
    pub version: u32,
    /// `STAGE/STEP/PROBLEM/RESPONSE.CRITIQUE`, unique within a run.
    pub id: String,
    /// Name of the stage.
    pub stage: String,
    /// Step within the stage.
    pub step: u64,
    /// Id of the problem.
    pub problem: String,
    /// The question.
    pub question: String,
    /// The gold answer.
    pub gold: String,
    /// The actor's first answer, prefill included.
    pub response: String,
    /// What the verifier finds about it.
    pub verdict: Verdict,
    /// The oracle's score of it.
    pub score: f32,
    /// The critic's text.
    pub critique: String,
    /// What the critique claims.
    pub judgment: Judgment,
    /// Whether the claim is right.
    pub judged_rightly: bool,
    /// The actor's second answers.
    pub refinements: Vec<RefinementRecord>,
    /// The reward.
    pub reward: f32,
    /// What the reward is made of, by name, in the order of the mix.
    #[serde(with = "named_numbers")]
    pub rewards: Vec<(String, f32)>,
    /// The rollout's advantage.
    pub advantage: f32,
    /// How long the texts are.
    pub tokens: TokenCounts,
    /// How likely they were; absent in records of builds that did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_prob_sums: Option<LogProbSums>,
    /// Whether the critique was cut off at the longest length.
    pub truncated: bool,
    /// Version of the critic's adapter that the critique was sampled with; absent where the process
    /// that trains it samples, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critic_version: Option<u64>,
    /// The seeds that made the texts.
    pub seeds: SeedRecord,
}

/// A second answer as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefinementRecord {
    /// The text, prefill included.
    pub text: String,
    /// What the verifier finds about it.
    pub verdict: Verdict,
    /// The oracle's score of it.
    pub score: f32,
}

/// Lengths in tokens; 0 for texts that were not sampled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenCounts {
    /// Of the response.
    pub response: usize,
    /// Of the critic's prompt.
    pub critique_prompt: usize,
    /// Of the critique.
    pub critique: usize,
    /// Of each refinement.
    pub refinements: Vec<usize>,
}

/// Sums of log-probs over the sampled tokens of a text, in nats at the temperature of sampling
/// (1 for greedy decoding); nothing for texts that were not sampled. They are taken in `f64`, so
/// that a last bit of one log-prob shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LogProbSums {
    /// Of the response.
    pub response: Option<f64>,
    /// Of the critique.
    pub critique: Option<f64>,
    /// Of each refinement.
    pub refinements: Vec<Option<f64>>,
}

/// Seeds, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeedRecord {
    /// Of the response.
    pub response: String,
    /// Of the critique.
    pub critique: String,
    /// Of each refinement.
    pub refinements: Vec<String>,
}

/// What training made of a rollout.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scored {
    /// The reward.
    pub reward: f32,
    /// Its parts by name.
    pub rewards: Vec<(String, f32)>,
    /// The advantage.
    pub advantage: f32,
}

impl RolloutRecord {
    /// The record of one member of a group.
    pub fn new(seeds: &Seeds<'_>, group: &RolloutGroup, member: &Member, scored: Scored) -> Self {
        let (sample, sibling) = (group.case.sample, member.sibling);
        let rollout = &member.rollout;
        let problem = &rollout.problem;
        let completion = &rollout.critique.completion;
        let id = RolloutId {
            stage: seeds.stage.to_owned(),
            step: seeds.step,
            problem: problem.id.clone(),
            sample,
            sibling,
        };
        let refinements = 0..rollout.refinements.len();
        let seed =
            |phase, siblings: &[usize]| format!("{:016x}", seeds.of(&problem.id, phase, siblings));
        Self {
            version: VERSION,
            id: id.to_string(),
            stage: seeds.stage.to_owned(),
            step: seeds.step,
            problem: problem.id.clone(),
            question: problem.question.clone(),
            gold: problem.answer.clone(),
            response: rollout.response.text.clone(),
            verdict: rollout.response.verdict,
            score: rollout.response.score,
            critique: completion.text.clone(),
            judgment: rollout.critique.judgment,
            judged_rightly: rollout.judged_rightly(),
            refinements: rollout
                .refinements
                .iter()
                .map(RefinementRecord::of)
                .collect(),
            reward: scored.reward,
            rewards: scored.rewards,
            advantage: scored.advantage,
            tokens: TokenCounts {
                response: tokens(&rollout.response),
                critique_prompt: rollout.critique.prompt.len(),
                critique: completion.tokens.len(),
                refinements: rollout.refinements.iter().map(tokens).collect(),
            },
            log_prob_sums: Some(LogProbSums {
                response: log_prob_sum(rollout.response.completion.as_ref()),
                critique: log_prob_sum(Some(completion)),
                refinements: rollout
                    .refinements
                    .iter()
                    .map(|attempt| log_prob_sum(attempt.completion.as_ref()))
                    .collect(),
            }),
            truncated: completion.finish_reason == critique_core::FinishReason::Length,
            critic_version: None,
            seeds: SeedRecord {
                response: seed(Phase::Response, &[sample]),
                critique: seed(Phase::Critique, &[sample, sibling]),
                refinements: refinements
                    .map(|r| seed(Phase::Refinement, &[sample, sibling, r]))
                    .collect(),
            },
        }
    }
}

impl RefinementRecord {
    fn of(attempt: &Attempt) -> Self {
        Self {
            text: attempt.text.clone(),
            verdict: attempt.verdict,
            score: attempt.score,
        }
    }
}

fn tokens(attempt: &Attempt) -> usize {
    let completion = attempt.completion.as_ref();
    completion.map_or(0, |completion| completion.tokens.len())
}

/// Nothing where no log-probs are known, as of texts that a control wrote.
fn log_prob_sum(completion: Option<&Completion>) -> Option<f64> {
    let log_probs = &completion?.log_probs;
    (!log_probs.is_empty()).then(|| log_probs.iter().map(|&l| f64::from(l)).sum())
}

/// Where the rollouts of a step lie under a run folder.
pub fn step_path(run_dir: &Path, stage: &str, step: u64) -> PathBuf {
    run_dir
        .join("rollouts")
        .join(format!("stage-{stage}"))
        .join(format!("step-{step:06}.jsonl"))
}

/// Writes the rollouts of one step, in place of any that are there. The file appears whole
/// or not at all: it is written under another name, flushed to disk, and renamed.
///
/// # Errors
///
/// When the folder or file cannot be written.
pub fn write_step(
    run_dir: &Path,
    stage: &str,
    step: u64,
    records: impl IntoIterator<Item = impl Borrow<RolloutRecord>>,
) -> Result<FileSum, RolloutError> {
    write(&step_path(run_dir, stage, step), records)
}

/// Writes records to a file of any name, as [`write_step`] does, and gives its sum. They are written one by one, so
/// that those of an iterator need never be in memory together.
///
/// # Errors
///
/// When the folder or file cannot be written.
pub fn write(
    path: &Path,
    records: impl IntoIterator<Item = impl Borrow<RolloutRecord>>,
) -> Result<FileSum, RolloutError> {
    write_with(path, |file| {
        for record in records {
            serde_json::to_writer(&mut *file, record.borrow())?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(FileSum::of(path)?)
}

/// Reads a file of rollouts.
///
/// # Errors
///
/// When the file cannot be read, or a line is no record of this version; the error names
/// the line and the field.
pub fn read(path: &Path) -> Result<Vec<RolloutRecord>, RolloutError> {
    let text = read_text(path)?;
    let row = |(index, line): (usize, &str)| {
        parse(line).map_err(|message| FileError::line(path, index + 1, message).into())
    };
    text.lines().enumerate().map(row).collect()
}

fn parse(line: &str) -> Result<RolloutRecord, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!(
            "version {version} of rollouts; this build reads version {VERSION}"
        ));
    }
    serde_json::from_str(line).map_err(|error| error.to_string())
}

/// Named numbers as a JSON object that keeps their order.
mod named_numbers {
    use std::fmt;

    use serde::de::{Deserializer, MapAccess, Visitor};
    use serde::ser::{SerializeMap, Serializer};

    pub(super) fn serialize<S: Serializer>(
        numbers: &[(String, f32)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(numbers.len()))?;
        for (name, number) in numbers {
            map.serialize_entry(name, number)?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, f32)>, D::Error> {
        deserializer.deserialize_map(Numbers)
    }

    struct Numbers;

    impl<'de> Visitor<'de> for Numbers {
        type Value = Vec<(String, f32)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of numbers")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut numbers = Vec::new();
            while let Some(entry) = map.next_entry()? {
                numbers.push(entry);
            }
            Ok(numbers)
        }
    }
}
