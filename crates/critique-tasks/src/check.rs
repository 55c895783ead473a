//! Is every row of a task sound? For `critique-rl tasks check NAME`.

use std::collections::HashMap;
use std::fmt;

use critique_core::{Problem, Split, Verdict};
use serde::Serialize;

use crate::data::SPLITS;
use crate::error::{TaskError, split_name};
use crate::task::Task;

/// What a row is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// The id is there and stands once.
    Id,
    /// Question and gold answer are not blank.
    Texts,
    /// The gold answer is the letter of an option, where the problem has options.
    GoldOption,
    /// An answer is found in the gold response.
    GoldParses,
    /// The verifier accepts the gold response.
    GoldAccepted,
    /// The verifier accepts the worked solution, where that states its answer.
    Solution,
}

impl Check {
    /// Every check, in the order of the report.
    pub const ALL: [Self; 6] = [
        Self::Id,
        Self::Texts,
        Self::GoldOption,
        Self::GoldParses,
        Self::GoldAccepted,
        Self::Solution,
    ];

    /// What it asks, for a person.
    pub fn title(self) -> &'static str {
        match self {
            Self::Id => "id is there and unique",
            Self::Texts => "question and gold answer are not blank",
            Self::GoldOption => "gold answer names one of the options",
            Self::GoldParses => "gold answer parses",
            Self::GoldAccepted => "gold answer is accepted by its own verifier",
            Self::Solution => "answer stated in the solution equals the gold answer",
        }
    }
}

/// A row that does not pass a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// The row.
    pub id: String,
    /// The split it is in.
    pub split: Split,
    /// The check it does not pass; of several, the first.
    pub check: Check,
    /// What was found.
    pub reason: String,
}

/// Rows and failures of one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitReport {
    /// The split.
    pub split: Split,
    /// Its rows.
    pub rows: usize,
    /// Rows whose solution states an answer, which was checked.
    pub solutions: usize,
    /// Rows that do not pass.
    pub failures: usize,
}

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The task's name.
    pub task: String,
    /// The splits that have rows.
    pub splits: Vec<SplitReport>,
    /// What the task says of its data ([`Task::notes`]).
    pub notes: Vec<String>,
    /// Every row that does not pass, in order.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Rows of all splits.
    pub fn rows(&self) -> usize {
        self.splits.iter().map(|split| split.rows).sum()
    }

    /// Whether every row passes.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// Failures as a share of the rows; 0 for no rows.
    pub fn failure_share(&self) -> f64 {
        self.failures.len() as f64 / self.rows().max(1) as f64
    }
}

/// Checks every row of a task.
///
/// # Errors
///
/// When the data cannot be loaded, or a scorer gives no score; a row that can be loaded but is not
/// sound is a [`Failure`].
pub fn check(name: &str, task: &dyn Task) -> Result<Report, TaskError> {
    let mut report = Report {
        task: name.to_owned(),
        splits: Vec::new(),
        notes: task.notes()?,
        failures: Vec::new(),
    };
    let mut seen = HashMap::new();
    for split in SPLITS {
        let problems = task.problems(split)?;
        if problems.is_empty() {
            continue;
        }
        let before = report.failures.len();
        let mut solutions = 0;
        for problem in &problems {
            let stated = task.stated_solution(problem);
            solutions += usize::from(stated.is_some());
            let twin = seen.insert(problem.id.clone(), split);
            let fault = id_fault(problem, twin)
                .or_else(|| text_fault(problem))
                .or_else(|| option_fault(problem));
            let fault = match fault {
                None => answer_fault(task, problem, stated.as_deref())?,
                found => found,
            };
            if let Some((check, reason)) = fault {
                report.failures.push(Failure {
                    id: problem.id.clone(),
                    split,
                    check,
                    reason,
                });
            }
        }
        report.splits.push(SplitReport {
            split,
            rows: problems.len(),
            solutions,
            failures: report.failures.len() - before,
        });
    }
    Ok(report)
}

type Found = Option<(Check, String)>;

fn id_fault(problem: &Problem, twin: Option<Split>) -> Found {
    if problem.id.trim().is_empty() {
        return Some((Check::Id, "the id is blank".into()));
    }
    twin.map(|split| {
        let reason = format!("the id also stands in the {} split", split_name(split));
        (Check::Id, reason)
    })
}

fn text_fault(problem: &Problem) -> Found {
    let blank = |name: &str| Some((Check::Texts, format!("the {name} is blank")));
    if problem.question.trim().is_empty() {
        return blank("question");
    }
    if problem.answer.trim().is_empty() {
        return blank("gold answer");
    }
    None
}

fn option_fault(problem: &Problem) -> Found {
    let letters = || problem.lettered_choices().map(|(letter, _)| letter);
    let (first, last) = (letters().next()?, letters().last()?);
    let named = |c: char| c.is_whitespace() || "()[].:*$".contains(c);
    let gold = problem.answer.trim_matches(named);
    let is_there = letters().any(|letter| {
        let mut bytes = [0; 4];
        gold.eq_ignore_ascii_case(letter.encode_utf8(&mut bytes))
    });
    (!is_there).then(|| {
        let reason = format!(
            "gold `{}` names none of the options `{first}` to `{last}`",
            problem.answer
        );
        (Check::GoldOption, reason)
    })
}

fn answer_fault(
    task: &dyn Task,
    problem: &Problem,
    stated: Option<&str>,
) -> Result<Found, TaskError> {
    match (gold_fault(task, problem)?, stated) {
        (None, Some(stated)) => solution_fault(task, problem, stated),
        (found, _) => Ok(found),
    }
}

fn gold_fault(task: &dyn Task, problem: &Problem) -> Result<Found, TaskError> {
    let gold = task.gold_response(problem);
    let judged = task.judge_one(problem, &gold)?;
    Ok(match judged.verdict {
        Verdict::Correct => None,
        Verdict::Unparsed => {
            let reason = format!("no answer is found in `{}`", tail(&gold));
            Some((Check::GoldParses, reason))
        }
        Verdict::Wrong => {
            let reason = format!(
                "gold `{}` against `{}` read from `{}`",
                problem.answer,
                judged.answer.unwrap_or_default(),
                tail(&gold)
            );
            Some((Check::GoldAccepted, reason))
        }
    })
}

fn solution_fault(task: &dyn Task, problem: &Problem, stated: &str) -> Result<Found, TaskError> {
    let judged = task.judge_one(problem, stated)?;
    let reason = match judged.verdict {
        Verdict::Correct => return Ok(None),
        Verdict::Unparsed => format!("no answer is found in `{}`", tail(stated)),
        Verdict::Wrong => format!(
            "gold `{}`, but the solution states `{}`: `{}`",
            problem.answer,
            judged.answer.unwrap_or_default(),
            tail(stated)
        ),
    };
    Ok(Some((Check::Solution, reason)))
}

/// The end of a text, on one line.
fn tail(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = line.chars().count().saturating_sub(100);
    if skipped == 0 {
        return line;
    }
    let end: String = line.chars().skip(skipped).collect();
    format!("...{end}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "task {}", self.task)?;
        for split in &self.splits {
            writeln!(
                f,
                "  {:<10} {:>6} rows, {:>6} with an answer stated in the solution, {} failures",
                split_name(split.split),
                split.rows,
                split.solutions,
                split.failures
            )?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        for check in Check::ALL {
            let failures: Vec<_> = self
                .failures
                .iter()
                .filter(|failure| failure.check == check)
                .collect();
            if failures.is_empty() {
                continue;
            }
            writeln!(f, "  not so: {}", check.title())?;
            for failure in failures {
                writeln!(f, "    {}: {}", failure.id, failure.reason)?;
            }
        }
        write!(
            f,
            "  {} of {} rows fail ({:.2} %)",
            self.failures.len(),
            self.rows(),
            100.0 * self.failure_share()
        )
    }
}
