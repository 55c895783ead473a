//! The shapes an answer can have.

use crate::algebra::pool::Symbol;
use crate::algebra::{Id, Pool};

/// How a number was rounded when it was written as a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    /// The last digit counts units of `10^place`.
    pub(crate) place: i64,
    /// Significant digits.
    pub(crate) digits: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bracket {
    None,
    Round,
    Square,
    Brace,
    Angle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    Comma,
    And,
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rel {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
    Approx,
    Congruent,
    Subset,
    To,
    Implies,
    Divides,
    Parallel,
    Perpendicular,
}

impl Rel {
    /// The same relation read from right to left.
    pub(crate) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            other => other,
        }
    }

    pub(crate) fn is_order(self) -> bool {
        matches!(
            self,
            Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual
        )
    }
}

/// One reading of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(Id, Option<Decimal>),
    /// Items in brackets, or bare.
    Seq {
        items: Vec<Value>,
        open: Bracket,
        close: Bracket,
        separator: Separator,
    },
    Matrix(Vec<Vec<Id>>),
    Relation {
        first: Box<Value>,
        rest: Vec<(Rel, Value)>,
    },
    Union(Vec<Value>),
    Intersection(Vec<Value>),
    Difference(Box<Value>, Box<Value>),
    /// The reals and so on, by letter.
    Domain(char),
    Empty,
    /// `{x : condition}`
    Builder {
        element: Box<Value>,
        condition: Box<Value>,
    },
    Ratio(Vec<Id>),
    Base {
        digits: String,
        base: u32,
    },
}

impl Value {
    pub(crate) fn scalar(id: Id) -> Self {
        Self::Scalar(id, None)
    }

    pub(crate) fn as_scalar(&self) -> Option<Id> {
        match self {
            Self::Scalar(id, _) => Some(*id),
            _ => None,
        }
    }

    /// Whether this value is a set by its form.
    pub(crate) fn is_set(&self) -> bool {
        match self {
            Self::Union(_)
            | Self::Intersection(_)
            | Self::Difference(..)
            | Self::Domain(_)
            | Self::Empty
            | Self::Builder { .. } => true,
            Self::Seq { open, close, .. } => {
                *open != Bracket::None && (open != close || *open != Bracket::Angle)
            }
            _ => false,
        }
    }

    /// A lone symbol.
    pub(crate) fn as_symbol(&self, pool: &Pool) -> Option<Symbol> {
        match self {
            Self::Scalar(id, _) => match pool.node(*id) {
                crate::algebra::Node::Symbol(symbol) => Some(*symbol),
                _ => None,
            },
            _ => None,
        }
    }

    /// Applies `f` to every expression inside.
    pub(crate) fn map(&self, f: &mut dyn FnMut(Id) -> Id) -> Self {
        match self {
            Self::Scalar(id, decimal) => {
                let new = f(*id);
                Self::Scalar(new, *decimal)
            }
            Self::Seq {
                items,
                open,
                close,
                separator,
            } => Self::Seq {
                items: items.iter().map(|item| item.map(f)).collect(),
                open: *open,
                close: *close,
                separator: *separator,
            },
            Self::Matrix(rows) => Self::Matrix(
                rows.iter()
                    .map(|row| row.iter().map(|id| f(*id)).collect())
                    .collect(),
            ),
            Self::Relation { first, rest } => Self::Relation {
                first: Box::new(first.map(f)),
                rest: rest
                    .iter()
                    .map(|(rel, value)| (*rel, value.map(f)))
                    .collect(),
            },
            Self::Union(items) => Self::Union(items.iter().map(|item| item.map(f)).collect()),
            Self::Intersection(items) => {
                Self::Intersection(items.iter().map(|item| item.map(f)).collect())
            }
            Self::Difference(a, b) => Self::Difference(Box::new(a.map(f)), Box::new(b.map(f))),
            Self::Builder { element, condition } => Self::Builder {
                element: Box::new(element.map(f)),
                condition: Box::new(condition.map(f)),
            },
            Self::Ratio(parts) => Self::Ratio(parts.iter().map(|id| f(*id)).collect()),
            Self::Domain(_) | Self::Empty | Self::Base { .. } => self.clone(),
        }
    }

    /// Decimals with the percent sign, their digits moved two places.
    pub(crate) fn per_hundred(&self, pool: &Pool, percent: Symbol) -> Self {
        match self {
            Self::Scalar(id, Some(decimal)) if pool.contains_symbol(*id, percent) => Self::Scalar(
                *id,
                Some(Decimal {
                    place: decimal.place - 2,
                    ..*decimal
                }),
            ),
            Self::Seq {
                items,
                open,
                close,
                separator,
            } => Self::Seq {
                items: items
                    .iter()
                    .map(|item| item.per_hundred(pool, percent))
                    .collect(),
                open: *open,
                close: *close,
                separator: *separator,
            },
            Self::Relation { first, rest } => Self::Relation {
                first: Box::new(first.per_hundred(pool, percent)),
                rest: rest
                    .iter()
                    .map(|(rel, value)| (*rel, value.per_hundred(pool, percent)))
                    .collect(),
            },
            other => other.clone(),
        }
    }

    /// All expressions inside.
    pub(crate) fn ids(&self) -> Vec<Id> {
        let mut out = Vec::new();
        let _ = self.map(&mut |id| {
            out.push(id);
            id
        });
        out
    }
}
