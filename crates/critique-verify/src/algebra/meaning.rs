//! What the symbols of an expression stand for.

use super::pool::{Id, Symbol};

/// What a symbol stands for; two symbols are one where this is equal.
///
/// To the identity test a symbol is an unknown of which only the name counts. What a comparison
/// has to know about it, such as that it is a derivative or a sign left open, is told here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Meaning {
    /// A name as it is written, with its index and its primes: `x`, `a_1`, `y'`.
    Name(String),
    /// The degree sign, until a comparison gives it a value.
    Degree,
    /// The percent sign, until a comparison gives it a value.
    Percent,
    /// The sign that `\pm` leaves open.
    PlusMinus,
    /// The dots in `1 + 2 + \cdots + n`.
    Ellipsis,
    /// The base of a bare `\log`.
    LogBase,
    /// The variable of a sum, an integral or a limit, by how deep binders nest below it.
    Bound(u32),
    /// `\overrightarrow{AB}`, which points the other way than `\overrightarrow{BA}`.
    Vector(String),
    /// `\angle ABC`, `\triangle ABC`: the figure, and its corners in an order of their own.
    Figure { figure: String, corners: String },
    /// `\frac{d^2y}{dx^2}`.
    Derivative {
        order: i64,
        function: Symbol,
        by: Symbol,
    },
    /// Words set into a formula, without case and articles.
    Words(String),
    /// A mark on an expression, and the index behind it: `\dot{x}`, `\overline{z}_1`, `\angle{a}`.
    Marked {
        mark: String,
        inner: Id,
        index: String,
    },
    /// `\mathbb{R}^2`
    Space { letter: char, power: Id },
    /// `P(X = 2)` before an equals sign: a name, whatever is in its brackets.
    Described(String),
}

impl Meaning {
    pub(crate) fn name(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}
