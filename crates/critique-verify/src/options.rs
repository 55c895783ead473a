//! What a caller chooses and what a caller gets back.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::rule::{Clue, Rule};

/// The kind of task a response answers; it selects the extraction rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Competition mathematics: a box, a stated answer, or the last formula.
    Math,
    /// A word problem with one number: `#### 12`, a box, or the last number.
    Gsm8k,
    /// One letter of five.
    Aqua,
    /// A number, a list, a truth value or an option.
    #[serde(rename = "theoremqa", alias = "theorem_qa")]
    TheoremQa,
    /// One letter of a list of options.
    MultipleChoice,
    /// Yes or no.
    YesNo,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Math,
        Self::Gsm8k,
        Self::Aqua,
        Self::TheoremQa,
        Self::MultipleChoice,
        Self::YesNo,
    ];

    /// The name used in run files and in the line protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Math => "math",
            Self::Gsm8k => "gsm8k",
            Self::Aqua => "aqua",
            Self::TheoremQa => "theoremqa",
            Self::MultipleChoice => "multiple_choice",
            Self::YesNo => "yes_no",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no [`Kind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown task kind `{name}`; known kinds: math, gsm8k, aqua, theoremqa, multiple_choice, yes_no"
)]
pub struct UnknownKind {
    /// The name that was given.
    pub name: String,
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        match name {
            // Word problems of the same form as GSM8K share its rules.
            "svamp" | "asdiv" | "mawps" => return Ok(Self::Gsm8k),
            "theorem_qa" => return Ok(Self::TheoremQa),
            _ => {}
        }
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownKind {
                name: name.to_owned(),
            })
    }
}

/// An answer found in a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Extracted {
    /// The answer, cleaned for its kind.
    pub answer: String,
    /// Where it was found, in bytes of the text.
    pub span: Range<usize>,
    /// The clue that gave it away.
    pub clue: Clue,
}

/// How strictly two answers are compared.
///
/// The default holds the rules that `docs/verifiers.md` lists: an integer is
/// exact, a decimal stands for what rounds to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Relative tolerance between a decimal and a number, as a fraction of the
    /// gold answer; 0 leaves only rounding to the decimals given.
    pub relative_tolerance: f64,
    /// Whether the tolerance also covers a gold answer that is an integer.
    pub tolerance_on_integers: bool,
    /// Whether lists keep their order, as `TheoremQA` has it.
    pub ordered_lists: bool,
    /// Most steps of work for one pair; over it the outcome is undecided.
    pub max_steps: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            relative_tolerance: 0.0,
            tolerance_on_integers: false,
            ordered_lists: false,
            max_steps: 15_000,
        }
    }
}

impl Options {
    /// The rules of `TheoremQA`: 4 % on numbers that are no integers, lists in order.
    #[must_use]
    pub fn theoremqa() -> Self {
        Self {
            relative_tolerance: 0.04,
            ordered_lists: true,
            ..Self::default()
        }
    }

    /// The options a task kind is scored with.
    #[must_use]
    pub fn for_kind(kind: Kind) -> Self {
        match kind {
            Kind::TheoremQa => Self::theoremqa(),
            _ => Self::default(),
        }
    }
}

/// Whether two answers are equal, and which rule said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The verdict; `false` when undecided.
    pub equal: bool,
    /// The rule that decided.
    pub rule: Rule,
    /// Whether a budget ran out before a decision.
    pub undecided: bool,
    /// Steps of work spent, the same on every machine.
    pub steps: u64,
}

impl Outcome {
    pub(crate) fn refused(rule: Rule) -> Self {
        Self {
            equal: false,
            rule,
            undecided: false,
            steps: 0,
        }
    }
}

/// What [`check`](crate::check) found in a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The answer in the text, if there is one.
    pub answer: Option<Extracted>,
    /// How it compares with the gold answer.
    pub outcome: Outcome,
}
