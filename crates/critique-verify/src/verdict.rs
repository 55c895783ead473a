//! What a comparison of two answers, or of parts of them, found.

use crate::rule::Rule;

/// What a comparison found, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Equal(Rule),
    Different(Rule),
    /// No verdict: a budget ran out, or no method at hand knows these values.
    Undecided,
}

impl Verdict {
    pub(crate) fn of(equal: bool, rule: Rule) -> Self {
        if equal {
            Self::Equal(rule)
        } else {
            Self::Different(rule)
        }
    }

    pub(crate) fn is_equal(self) -> bool {
        matches!(self, Self::Equal(_))
    }

    /// The first that accepts; else doubt before difference.
    pub(crate) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Equal(_) => self,
            Self::Different(_) => match other() {
                Self::Different(_) => self,
                better => better,
            },
            Self::Undecided => match other() {
                equal @ Self::Equal(_) => equal,
                _ => self,
            },
        }
    }

    /// All parts are equal; else the first that differs has the say, and then doubt.
    pub(crate) fn all(rule: Rule, parts: impl IntoIterator<Item = Self>) -> Self {
        let mut verdict = Self::Equal(rule);
        for part in parts {
            match part {
                Self::Equal(_) => {}
                Self::Different(_) => return Self::Different(rule),
                Self::Undecided => verdict = Self::Undecided,
            }
        }
        verdict
    }
}
