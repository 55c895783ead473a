//! Why a text earned nothing, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a critique gave no verdict, or a response no answer: what stood in its place.
///
/// A policy that learns a trick shows in a count of these long before it shows in a reward, since
/// none of them pays. The names are those of docs/verifiers.md, "What earns nothing".
///
/// ```
/// use critique_core::Refusal;
///
/// assert_eq!(Refusal::LookAlike.name(), "look_alike");
/// assert_eq!(Refusal::LookAlike.to_string(), "letters that look like others");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// Nothing but white space.
    Silent,
    /// Words, but nothing in the form of a verdict or an answer.
    NoClaim,
    /// Two verdicts or answers, of which none is taken; an opposite verdict behind a list mark, a
    /// quote mark or characters that nobody sees counts as one.
    Several,
    /// Both values at once, or one with a doubt: `Correct/Wrong`, `probably Wrong`.
    Hedged,
    /// A value that is denied, and no other: `not Correct`, `the answer is not 5`.
    Negated,
    /// A verdict in quote marks, as code, in a list, or in the middle of a sentence.
    Quoted,
    /// Letters of other alphabets in place of Latin ones.
    LookAlike,
    /// Characters that show nothing, such as U+200B, in or beside a value.
    Hidden,
    /// Marks of a chat template, such as `<|im_end|>`, in the value.
    ChatMark,
    /// Another word or form than the one asked for: `Incorrect`, `[[Correct]]`.
    Malformed,
    /// A box that is empty or never closed, a thought that never ends.
    Unfinished,
    /// An answer over the longest that is compared.
    TooLong,
}

impl Refusal {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Silent,
        Self::NoClaim,
        Self::Several,
        Self::Hedged,
        Self::Negated,
        Self::Quoted,
        Self::LookAlike,
        Self::Hidden,
        Self::ChatMark,
        Self::Malformed,
        Self::Unfinished,
        Self::TooLong,
    ];

    /// The name in metrics and records, the same as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::NoClaim => "no_claim",
            Self::Several => "several",
            Self::Hedged => "hedged",
            Self::Negated => "negated",
            Self::Quoted => "quoted",
            Self::LookAlike => "look_alike",
            Self::Hidden => "hidden",
            Self::ChatMark => "chat_mark",
            Self::Malformed => "malformed",
            Self::Unfinished => "unfinished",
            Self::TooLong => "too_long",
        }
    }
}

/// For a person.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "nothing is said",
            Self::NoClaim => "nothing in the form that was asked for",
            Self::Several => "several at once",
            Self::Hedged => "both values, or one in doubt",
            Self::Negated => "denied",
            Self::Quoted => "quoted, in a list or inside a sentence",
            Self::LookAlike => "letters that look like others",
            Self::Hidden => "characters that nobody sees",
            Self::ChatMark => "marks of a chat template",
            Self::Malformed => "another word or form",
            Self::Unfinished => "never finished",
            Self::TooLong => "too long to compare",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_name_everywhere() {
        for reason in Refusal::ALL {
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json, reason.name());
        }
    }
}
