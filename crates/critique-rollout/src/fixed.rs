//! Responses from a file instead of from the actor.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use critique_core::files::FileError;
use critique_core::{Attempt, Problem, Rng};
use critique_tasks::Task;
use critique_tasks::data::read_json_lines;
use serde::Deserialize;

use crate::attempts::attempts;
use crate::error::RolloutError;
use crate::group::Case;
use crate::phases::times_before;
use crate::seeds::{Phase, Seeds};

/// Responses from a file of JSON lines, by problem.
///
/// A line is `{"id": …, "responses": [{"text": …}, …]}`, or a record of the released code
/// (docs/method.md, "Stages") of which `question` and `origin_response` are read. Their texts are
/// whole responses, the actor's prefill included; they are verified anew. Records are told apart by
/// id, or by question where they have none of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedResponses {
    path: PathBuf,
    by_id: HashMap<String, Vec<String>>,
    by_question: HashMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    Ours {
        id: String,
        responses: Vec<Text>,
    },
    Released {
        question: String,
        origin_response: String,
    },
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

impl FixedResponses {
    /// Reads a file; lines of white space are skipped.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or a line is neither kind of record.
    pub fn read(path: &Path) -> Result<Self, RolloutError> {
        let mut fixed = Self {
            path: path.to_owned(),
            by_id: HashMap::new(),
            by_question: HashMap::new(),
        };
        for record in read_json_lines(path)? {
            let line = record.line();
            let row = Row::deserialize(record.into_value()).map_err(|_| {
                let wanted = "expected `id` and `responses: [{text}]`, or `question` and \
                              `origin_response`";
                FileError::line(path, line, wanted)
            })?;
            fixed.add(row);
        }
        Ok(fixed)
    }

    /// Verified responses, one list a problem, in the order of the file.
    ///
    /// # Errors
    ///
    /// When the file has no response to one of the problems, or the task cannot judge them.
    pub fn attempts(
        &self,
        task: &dyn Task,
        problems: &[Problem],
    ) -> Result<Vec<Vec<Attempt>>, RolloutError> {
        let mut texts = Vec::new();
        let mut counts = Vec::new();
        for problem in problems {
            let of_problem = self.required(problem)?;
            counts.push(of_problem.len());
            texts.extend(of_problem.iter().map(|text| (problem, text.clone())));
        }
        let mut attempts = judged(task, texts)?.into_iter();
        let lists = counts.into_iter();
        Ok(lists
            .map(|count| attempts.by_ref().take(count).collect())
            .collect())
    }

    /// Up to `count` verified responses to each problem, in the order of the file: where it has
    /// more, the seed draws them anew for every step. The index of a response in the file is its
    /// sample, counted on by [`stride`](FixedResponses::stride) each time that its problem stands
    /// in the batch again.
    ///
    /// # Errors
    ///
    /// When the file has no response to one of the problems, or the task cannot judge them.
    pub fn cases(
        &self,
        task: &dyn Task,
        problems: &[Problem],
        count: usize,
        seeds: &Seeds<'_>,
    ) -> Result<Vec<Case>, RolloutError> {
        let mut texts = Vec::new();
        let mut samples = Vec::new();
        for (problem, time) in problems.iter().zip(times_before(problems)) {
            let of_problem = self.required(problem)?;
            for index in drawn(of_problem.len(), count, seeds.draw(&problem.id, time)) {
                texts.push((problem, of_problem[index].clone()));
                samples.push((problem, time * self.stride() + index));
            }
        }
        let case = |((problem, sample), response): ((&Problem, usize), Attempt)| Case {
            problem: problem.clone(),
            response,
            sample,
        };
        let attempts = judged(task, texts)?;
        Ok(samples.into_iter().zip(attempts).map(case).collect())
    }

    /// Responses to the problem that has most of them.
    pub fn stride(&self) -> usize {
        let all = self.by_id.values().chain(self.by_question.values());
        all.map(Vec::len).max().unwrap_or(0)
    }

    /// How many responses to the problem the file has.
    pub fn count(&self, problem: &Problem) -> usize {
        self.texts(problem).map_or(0, <[String]>::len)
    }

    /// Whether the file has a response to the problem.
    pub fn has(&self, problem: &Problem) -> bool {
        self.texts(problem).is_some()
    }

    fn required(&self, problem: &Problem) -> Result<&[String], RolloutError> {
        self.texts(problem).ok_or_else(|| RolloutError::NoResponse {
            path: self.path.clone(),
            problem: problem.id.clone(),
        })
    }

    fn texts(&self, problem: &Problem) -> Option<&[String]> {
        let by_id = self.by_id.get(&problem.id);
        by_id
            .or_else(|| self.by_question.get(problem.question.trim()))
            .map(Vec::as_slice)
            .filter(|texts| !texts.is_empty())
    }

    fn add(&mut self, row: Row) {
        match row {
            Row::Ours { id, responses } => self
                .by_id
                .entry(id)
                .or_default()
                .extend(responses.into_iter().map(|response| response.text)),
            Row::Released {
                question,
                origin_response,
            } => self
                .by_question
                .entry(question.trim().to_owned())
                .or_default()
                .push(origin_response),
        }
    }
}

fn judged(task: &dyn Task, texts: Vec<(&Problem, String)>) -> Result<Vec<Attempt>, RolloutError> {
    let phase = Phase::Response;
    attempts(task, texts).map_err(|source| RolloutError::Judge { phase, source })
}

/// `count` of so many indices in rising order; all of them where there are no more.
fn drawn(of: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..of).collect();
    if of > count {
        Rng::new(seed).shuffle(&mut indices);
        indices.truncate(count);
        indices.sort_unstable();
    }
    indices
}
