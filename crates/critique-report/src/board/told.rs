//! A rollout as the page is told it.

use critique_core::{Judgment, Verdict};
use critique_rollout::RolloutRecord;
use serde::Serialize;

use crate::rollouts::LONGEST;

/// A rollout, with its texts where it is looked at.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    run: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    id: String,
    stage: String,
    step: u64,
    problem: String,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    texts: Option<Texts>,
    verdict: Verdict,
    score: f32,
    judgment: Judgment,
    judged_rightly: bool,
    refinements: Vec<Refinement>,
    reward: f32,
    rewards: Vec<(String, f32)>,
    advantage: f32,
    tokens: (usize, usize, Vec<usize>),
    log_probs: (Option<f64>, Option<f64>),
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct Texts {
    question: Text,
    gold: Text,
    response: Text,
    critique: Text,
}

#[derive(Debug, Serialize)]
struct Refinement {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text>,
    verdict: Verdict,
    score: f32,
}

/// A text, or its start and how many letters it has.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Text {
    Whole(String),
    Start { start: String, letters: usize },
}

impl Told {
    /// Its problem's id.
    pub(super) fn problem(&self) -> &str {
        &self.problem
    }

    /// For a list: without texts.
    pub(super) fn brief(run: usize, row: Option<&str>, record: RolloutRecord) -> Self {
        Self::new(run, row, record, false)
    }

    /// To be read.
    pub(super) fn whole(run: usize, row: Option<&str>, record: RolloutRecord) -> Self {
        Self::new(run, row, record, true)
    }

    fn new(run: usize, row: Option<&str>, record: RolloutRecord, whole: bool) -> Self {
        let sums = record.log_prob_sums.unwrap_or_default();
        let refinement = |it: critique_rollout::record::RefinementRecord| Refinement {
            text: whole.then(|| Text::of(it.text)),
            verdict: it.verdict,
            score: it.score,
        };
        Self {
            run,
            row: row.map(str::to_owned),
            id: record.id,
            stage: record.stage,
            step: record.step,
            problem: record.problem,
            texts: whole.then(|| Texts {
                question: Text::of(record.question),
                gold: Text::of(record.gold),
                response: Text::of(record.response),
                critique: Text::of(record.critique),
            }),
            verdict: record.verdict,
            score: record.score,
            judgment: record.judgment,
            judged_rightly: record.judged_rightly,
            refinements: record.refinements.into_iter().map(refinement).collect(),
            reward: record.reward,
            rewards: record.rewards,
            advantage: record.advantage,
            tokens: (
                record.tokens.response,
                record.tokens.critique,
                record.tokens.refinements,
            ),
            log_probs: (sums.response, sums.critique),
            truncated: record.truncated,
        }
    }
}

impl Text {
    fn of(text: String) -> Self {
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => Self::Start {
                start: text[..end].to_owned(),
                letters: text.chars().count(),
            },
            None => Self::Whole(text),
        }
    }
}
