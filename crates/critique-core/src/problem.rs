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
