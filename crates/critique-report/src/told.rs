//! A rollout as a page is told it.

use critique_core::{Judgment, Verdict};
use critique_rollout::RolloutRecord;
use critique_rollout::record::RefinementRecord;
use serde::Serialize;

/// A rollout. A text is `T`: the letters themselves, say, or the place where the page has them.
#[derive(Debug, Serialize)]
pub(crate) struct Told<T> {
    run: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<String>,
    id: String,
    stage: String,
    step: u64,
    problem: String,
    /// Nothing in a list, where no text is shown.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    texts: Option<Texts<T>>,
    verdict: Verdict,
    score: f32,
    judgment: Judgment,
    judged_rightly: bool,
    refinements: Vec<Refinement<T>>,
    reward: f32,
    rewards: Vec<(String, f32)>,
    advantage: f32,
    /// Of response, critique and refinements.
    tokens: (usize, usize, Vec<usize>),
    /// Sums over response and critique, in nats.
    log_probs: (Option<f64>, Option<f64>),
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct Texts<T> {
    question: T,
    gold: T,
    response: T,
    critique: T,
}

/// A second answer.
#[derive(Debug, Serialize)]
struct Refinement<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<T>,
    verdict: Verdict,
    score: f32,
}

impl<T> Told<T> {
    /// Its problem's id.
    pub(crate) fn problem(&self) -> &str {
        &self.problem
    }

    /// For a list: without texts.
    pub(crate) fn brief(run: usize, row: Option<&str>, record: RolloutRecord) -> Self {
        Self::new(run, row, record, None::<fn(String) -> T>)
    }

    /// To be read.
    pub(crate) fn whole(
        run: usize,
        row: Option<&str>,
        record: RolloutRecord,
        text: impl FnMut(String) -> T,
    ) -> Self {
        Self::new(run, row, record, Some(text))
    }

    fn new(
        run: usize,
        row: Option<&str>,
        record: RolloutRecord,
        mut text: Option<impl FnMut(String) -> T>,
    ) -> Self {
        let sums = record.log_prob_sums.unwrap_or_default();
        let texts = text.as_mut().map(|text| Texts {
            question: text(record.question),
            gold: text(record.gold),
            response: text(record.response),
            critique: text(record.critique),
        });
        let refinement = |it: RefinementRecord| Refinement {
            text: text.as_mut().map(|text| text(it.text)),
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
            texts,
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
