//! The part of a response in which an answer counts.

use std::ops::Range;

use super::Found;
use crate::budget::MAX_TEXT_BYTES;
use crate::rule::Clue;

/// Where to look, in bytes of the text.
pub(super) struct Region {
    pub(super) range: Range<usize>,
}

/// Marks a chat model puts after its turn, or at the next one.
const STOPS: [&str; 9] = [
    "<|im_end|>",
    "<|im_start|>",
    "</s>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end|>",
    "<|end_of_text|>",
    "<eos>",
    "<|user|>",
];

/// Lines that open the next example of a few-shot prompt.
const NEXT_PROBLEM: [&str; 8] = [
    "\nProblem:",
    "\nQuestion:",
    "\n\nQ:",
    "\nHuman:",
    "\nUser:",
    "\n### Instruction",
    "\n## Problem",
    "\nProblem\n",
];

impl Region {
    /// After the reasoning, up to the end of the turn.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut start = text.len().saturating_sub(MAX_TEXT_BYTES);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        let mut end = text.len();
        let mut closed = false;
        for close in [
            "</think>",
            "</thinking>",
            "<|end_of_thought|>",
            "</reasoning>",
            "[/THINK]",
        ] {
            if let Some(at) = text[start..end].rfind(close) {
                start += at + close.len();
                closed = true;
            }
        }
        if !closed {
            for open in ["<think>", "<thinking>", "<|begin_of_thought|>"] {
                if let Some(at) = text[start..end].find(open)
                    && !text[start + at..end].contains("<answer>")
                {
                    // Thought that never ends holds no answer.
                    end = start + at;
                }
            }
        }
        for stop in STOPS {
            if let Some(at) = text[start..end].find(stop) {
                if text[start..start + at].trim().is_empty() {
                    start += at + stop.len();
                } else {
                    end = start + at;
                }
            }
        }
        for next in NEXT_PROBLEM {
            if let Some(at) = text[start..end].find(next)
                && !text[start..start + at].trim().is_empty()
            {
                end = start + at;
            }
        }
        if text[start..end].trim().is_empty() {
            return None;
        }
        Some(Self { range: start..end })
    }

    pub(super) fn text<'a>(&self, text: &'a str) -> &'a str {
        &text[self.range.clone()]
    }

    /// What stands in the last `<answer>` tags.
    pub(super) fn tagged(&self, text: &str) -> Option<Found> {
        let region = self.text(text);
        let open = region.rfind("<answer>")? + "<answer>".len();
        let length = region[open..]
            .find("</answer>")
            .unwrap_or(region.len() - open);
        let span = self.range.start + open..self.range.start + open + length;
        let inner = Self {
            range: span.clone(),
        };
        if text[span.clone()].trim().is_empty() {
            return None;
        }
        let found = super::boxed::find(text, &inner).or_else(|| super::phrase::find(text, &inner));
        Some(match found {
            Some(found) => Found {
                clue: Clue::AnswerTag,
                ..found
            },
            None => Found::of(text, span, Clue::AnswerTag),
        })
    }
}
