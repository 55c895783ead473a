//! What a task crate implements.

use critique_core::{Message, Problem, Prompt, Role, Split};

use crate::error::TaskError;
use crate::judged::Judged;
use crate::prompts::PromptStyle;

/// A data set, or a generator of problems, with its verifier and prompts.
pub trait Task: Send + Sync {
    /// The problems of one split, in a stable order. An empty list means the task has no
    /// such split.
    ///
    /// # Errors
    ///
    /// When a data file is missing or a row of it is not what it should be.
    fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError>;

    /// Judges one response or refinement: by its final answer, or by a score where the task has no
    /// single right answer.
    ///
    /// # Errors
    ///
    /// When a scorer outside this program gives no score. Text is never the reason: odd text is
    /// [`Verdict::Unparsed`](critique_core::Verdict::Unparsed).
    fn judge_one(&self, problem: &Problem, text: &str) -> Result<Judged, TaskError>;

    /// A text that [`Task::judge`] accepts for this problem.
    fn gold_response(&self, problem: &Problem) -> String;

    /// [`Task::judge_one`] of many texts, in their order: one judgment a text. Whatever judges
    /// rollouts asks for a batch at once, which is what a scorer behind HTTP wants.
    ///
    /// # Errors
    ///
    /// As [`Task::judge_one`]; then no text of the batch has a judgment.
    fn judge(&self, items: &[(&Problem, &str)]) -> Result<Vec<Judged>, TaskError> {
        items
            .iter()
            .map(|(problem, text)| self.judge_one(problem, text))
            .collect()
    }

    /// The worked solution of a problem, where it states its answer in a form that
    /// [`Task::judge`] reads, such as a box; `None` where it does not. Only
    /// [`check`](crate::check::check) asks.
    fn stated_solution(&self, problem: &Problem) -> Option<String> {
        let _ = problem;
        None
    }

    /// Whether critiques end in a score, not in a verdict, and [`Judged::score`] is continuous.
    fn is_open_ended(&self) -> bool {
        false
    }

    /// What a perfect critic would write about a response; `None` where the task cannot say.
    /// A control: how well the actor refines when the critique is beyond doubt.
    fn oracle_critique(&self, problem: &Problem, response: &str) -> Option<String> {
        let _ = (problem, response);
        None
    }

    /// A critique whose verdict is `Correct` or not as asked, and whose steps all say the
    /// opposite; `None` where the task cannot write one. It tells whether an actor obeys verdicts.
    fn contradicting_critique(
        &self,
        problem: &Problem,
        response: &str,
        correct: bool,
    ) -> Option<String> {
        let _ = (problem, response, correct);
        None
    }

    /// Critiques that say `Wrong` and help in a different way each, of a problem that the actor is
    /// made to get wrong whatever help it is given; empty for all other problems. The same kinds
    /// of help in the same order for each such problem. They tell whether help mends it after all.
    fn futile_critiques(&self, problem: &Problem, response: &str) -> Vec<String> {
        let _ = (problem, response);
        Vec::new()
    }

    /// The three prompts (docs/method.md, "Prompts").
    fn prompts(&self) -> PromptStyle {
        PromptStyle::default()
    }

    /// The tokens of models that are made from nothing for this task; `None` where only
    /// pre-trained models make sense.
    fn vocabulary(&self) -> Option<Vocabulary> {
        None
    }

    /// What a person should know about the data as it was loaded, such as rows that were left
    /// out; a line each.
    ///
    /// # Errors
    ///
    /// When the data cannot be loaded.
    fn notes(&self) -> Result<Vec<String>, TaskError> {
        Ok(Vec::new())
    }

    /// Names of the demonstrations this task can make, for [`Task::demonstrations`].
    fn demonstration_kinds(&self) -> &'static [&'static str] {
        &[]
    }

    /// Makes `count` supervised examples of one kind; the same seed makes the same ones.
    ///
    /// # Errors
    ///
    /// When the task makes none of this kind.
    fn demonstrations(
        &self,
        kind: &str,
        count: usize,
        seed: u64,
    ) -> Result<Vec<Demonstration>, TaskError> {
        let _ = (count, seed);
        Err(TaskError::NoDemonstrations {
            kind: kind.to_owned(),
            known: self.demonstration_kinds(),
        })
    }
}

/// The tokens of a model that speaks one task's language only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vocabulary {
    /// Tokens of text; the longest that fits is taken.
    pub phrases: &'static [&'static str],
    /// Tokens that no text contains.
    pub special: &'static [&'static str],
    /// Jinja template of a chat.
    pub chat_template: &'static str,
    /// The special token that ends a model's turn.
    pub end_of_turn: &'static str,
}

/// A prompt with the model's turn that answers it, to be learnt by SFT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demonstration {
    /// What the model is asked.
    pub prompt: Prompt,
    /// Its turn, in pieces that are learnt or only read.
    pub turn: Vec<Span>,
}

/// A piece of a model's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The words.
    pub text: String,
    /// Whether the loss counts them.
    pub learn: bool,
}

impl Demonstration {
    /// A turn that is learnt from its first word to its last.
    pub fn new(prompt: Prompt, turn: impl Into<String>) -> Self {
        Self {
            prompt,
            turn: vec![Span {
                text: turn.into(),
                learn: true,
            }],
        }
    }

    /// The whole chat with the turn at its end.
    pub fn messages(&self) -> Vec<Message> {
        let content: String = std::iter::once(self.prompt.prefill.as_str())
            .chain(self.turn.iter().map(|span| span.text.as_str()))
            .collect();
        let mut messages = self.prompt.messages.clone();
        messages.push(Message {
            role: Role::Assistant,
            content,
        });
        messages
    }
}
