//! A text as a live page is told it.

use serde::Serialize;

use crate::rollouts::LONGEST;

/// A text, or its start and how many letters it has.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Text {
    Whole(String),
    Start { start: String, letters: usize },
}

impl Text {
    pub(super) fn of(text: String) -> Self {
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => Self::Start {
                start: text[..end].to_owned(),
                letters: text.chars().count(),
            },
            None => Self::Whole(text),
        }
    }
}
