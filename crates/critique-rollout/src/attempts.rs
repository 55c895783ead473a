//! From texts to attempts: what the task finds in them.

use critique_core::{Attempt, Problem};
use critique_tasks::{Task, TaskError};

/// Texts with what the task finds in them, in their order; the task is asked once for all. They
/// have no completions: texts that were sampled get theirs from the phase that sampled them.
///
/// # Errors
///
/// When the task cannot judge them, as where its scorer is down.
///
/// # Panics
///
/// When the task gives more or fewer judgments than there are texts.
pub fn attempts(
    task: &dyn Task,
    texts: Vec<(&Problem, String)>,
) -> Result<Vec<Attempt>, TaskError> {
    let items: Vec<(&Problem, &str)> = texts
        .iter()
        .map(|(problem, text)| (*problem, text.as_str()))
        .collect();
    let judged = task.judge(&items)?;
    // Going on would pair texts with the judgments of others.
    assert_eq!(
        texts.len(),
        judged.len(),
        "texts, and judgments of the task"
    );
    let attempt = |((_, text), judged): ((_, String), critique_tasks::Judged)| Attempt {
        text,
        completion: None,
        verdict: judged.verdict,
        score: judged.score,
        answer: judged.answer,
    };
    Ok(texts.into_iter().zip(judged).map(attempt).collect())
}
