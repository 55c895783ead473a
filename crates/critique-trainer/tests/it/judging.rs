//! The toy's task with other judgments, and without perfect critiques, as most tasks are.

use critique_core::{Problem, Split};
use critique_tasks::{Demonstration, Judged, PromptStyle, Task, TaskError, Vocabulary};

/// A task whose texts are judged by a function, which is given the task that it wraps.
pub(crate) struct Judging<F> {
    task: Box<dyn Task>,
    judge: F,
}

impl<F> Judging<F>
where
    F: Fn(&dyn Task, &[(&Problem, &str)]) -> Result<Vec<Judged>, TaskError> + Send + Sync,
{
    pub(crate) fn new(task: Box<dyn Task>, judge: F) -> Self {
        Self { task, judge }
    }
}

impl<F> Task for Judging<F>
where
    F: Fn(&dyn Task, &[(&Problem, &str)]) -> Result<Vec<Judged>, TaskError> + Send + Sync,
{
    fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError> {
        self.task.problems(split)
    }

    fn judge_one(&self, problem: &Problem, text: &str) -> Result<Judged, TaskError> {
        self.task.judge_one(problem, text)
    }

    fn judge(&self, items: &[(&Problem, &str)]) -> Result<Vec<Judged>, TaskError> {
        (self.judge)(&*self.task, items)
    }

    fn gold_response(&self, problem: &Problem) -> String {
        self.task.gold_response(problem)
    }

    fn prompts(&self) -> PromptStyle {
        self.task.prompts()
    }

    fn vocabulary(&self) -> Option<Vocabulary> {
        self.task.vocabulary()
    }

    fn demonstration_kinds(&self) -> &'static [&'static str] {
        self.task.demonstration_kinds()
    }

    fn demonstrations(
        &self,
        kind: &str,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Demonstration>, TaskError> {
        self.task.demonstrations(kind, count, seed)
    }
}
