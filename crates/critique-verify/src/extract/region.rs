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

/// What closes a thought; the answer comes after it.
const THOUGHT_ENDS: [&str; 5] = [
    "</think>",
    "</thinking>",
    "<|end_of_thought|>",
    "</reasoning>",
    "[/THINK]",
];

/// What opens one.
const THOUGHT_STARTS: [&str; 3] = ["<think>", "<thinking>", "<|begin_of_thought|>"];

impl Region {
    /// After the reasoning, up to the end of the turn.
    pub(super) fn of(text: &str) -> Option<Self> {
        let start = text.ceil_char_boundary(text.len().saturating_sub(MAX_TEXT_BYTES));
        let range = without_thought(text, start..text.len());
        let range = one_problem(text, one_turn(text, range));
        (!text[range.clone()].trim().is_empty()).then_some(Self { range })
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

/// Without what was thought. A thought that never ends holds no answer, unless a tag says where it
/// is.
fn without_thought(text: &str, range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    let mut closed = false;
    for close in THOUGHT_ENDS {
        if let Some(at) = text[start..end].rfind(close) {
            start += at + close.len();
            closed = true;
        }
    }
    if closed {
        return start..end;
    }
    for open in THOUGHT_STARTS {
        if let Some(at) = text[start..end].find(open)
            && !text[start + at..end].contains("<answer>")
        {
            end = start + at;
        }
    }
    start..end
}

/// Up to the mark of a turn's end; marks that nothing stands before are skipped.
fn one_turn(text: &str, range: Range<usize>) -> Range<usize> {
    let Range { mut start, mut end } = range;
    for stop in STOPS {
        if let Some(at) = text[start..end].find(stop) {
            if text[start..start + at].trim().is_empty() {
                start += at + stop.len();
            } else {
                end = start + at;
            }
        }
    }
    start..end
}

/// Up to the next example of a few-shot prompt, which a model goes on with.
fn one_problem(text: &str, range: Range<usize>) -> Range<usize> {
    let Range { start, mut end } = range;
    for next in NEXT_PROBLEM {
        if let Some(at) = text[start..end].find(next)
            && !text[start..start + at].trim().is_empty()
        {
            end = start + at;
        }
    }
    start..end
}
