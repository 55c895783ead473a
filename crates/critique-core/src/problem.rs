//! Questions and the prompts made of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One question with its gold answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable and unique within its task, such as `gsm8k/test/17`.
    pub id: String,
    /// What the actor is asked.
    pub question: String,
    /// The gold answer that the task's verifier compares with.
    pub answer: String,
    /// A worked solution, empty where the data set has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub solution: String,
    /// The options of a multiple-choice question in the order of their letters, the first of which
    /// is `A`; empty for a question whose answer is no letter. A model sees those that stand in
    /// `question`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

impl Problem {
    /// A question with its gold answer, without a worked solution and without options.
    pub fn new(
        id: impl Into<String>,
        question: impl Into<String>,
        answer: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            question: question.into(),
            answer: answer.into(),
            solution: String::new(),
            choices: Vec::new(),
        }
    }

    /// The options with their letters.
    ///
    /// ```
    /// use critique_core::Problem;
    ///
    /// let problem = Problem {
    ///     choices: vec!["3".into(), "4".into()],
    ///     ..Problem::new("sums/1", "2 + 2?\nAnswer Choices: (A) 3 (B) 4", "B")
    /// };
    /// assert_eq!(problem.lettered_choices().last(), Some(('B', "4")));
    /// ```
    pub fn lettered_choices(&self) -> impl Iterator<Item = (char, &str)> {
        ('A'..='Z').zip(self.choices.iter().map(String::as_str))
    }
}

/// Which part of a data set; the parts share no problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Split {
    /// For training.
    Train,
    /// For choosing settings and checkpoints.
    Validation,
    /// For the figures that are reported.
    Test,
}

/// Who speaks in a chat message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions that hold for the whole chat.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// One turn of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A user's turn.
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: content.into(),
        }
    }

    /// A model's turn.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: content.into(),
        }
    }

    /// The instructions of the chat.
    pub fn system(content: impl Into<String>) -> Self {
        Self {
            role: Role::System,
            content: content.into(),
        }
    }
}

/// A chat that a model is to continue, and the words its answer must start with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Prompt {
    /// The turns so far; the model's turn comes next.
    pub messages: Vec<Message>,
    /// The beginning of the model's turn, already written for it; may be empty.
    #[serde(default)]
    pub prefill: String,
}

impl Prompt {
    /// A chat of one user turn.
    pub fn from_user(content: impl Into<String>) -> Self {
        Self {
            messages: vec![Message::user(content)],
            prefill: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_without_options_is_written_as_ever() {
        let plain = Problem::new("p/1", "1 + 1?", "2");
        let text = serde_json::to_string(&plain).unwrap();
        assert_eq!(text, r#"{"id":"p/1","question":"1 + 1?","answer":"2"}"#);
        let with_choices = Problem {
            choices: vec!["2".into(), "3".into()],
            ..plain.clone()
        };
        for problem in [plain, with_choices] {
            let text = serde_json::to_string(&problem).unwrap();
            assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        }
    }
}
