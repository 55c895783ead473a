//! Sets of real numbers as unions of intervals.

use std::cmp::Ordering;

use dashu::base::Signed;
use dashu::rational::RBig;

use super::scalar::order;
use super::shapes::Comparer;
use super::solve::solve;
use crate::algebra::identity;
use crate::algebra::pool::Symbol;
use crate::algebra::{Id, Node, Pool};
use crate::parse::value::{Bracket, Rel, Separator, Value};
use crate::rule::Rule;
use crate::verdict::Verdict;

/// Most pieces a set may have.
const MAX_PIECES: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    MinusInfinity,
    At(Id),
    Infinity,
}

/// From `low` to `high`; a point has both ends at one place, closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) low: End,
    pub(super) low_closed: bool,
    pub(super) high: End,
    pub(super) high_closed: bool,
}

/// Disjoint pieces in ascending order.
#[derive(Debug, Clone)]
pub(crate) struct RealSet {
    pub(super) pieces: Vec<Piece>,
}

impl RealSet {
    /// The set a value stands for, if it is one of real numbers with constant ends.
    pub(crate) fn of(pool: &mut Pool, value: &Value) -> Option<Self> {
        match value {
            Value::Empty => Some(Self { pieces: Vec::new() }),
            Value::Domain('R') => Some(Self::line()),
            Value::Seq {
                items,
                open: open @ (Bracket::Round | Bracket::Square),
                close,
                ..
            } => match items.as_slice() {
                [low, high] => Self::of_interval(pool, (*open, low), (high, *close)),
                _ => None,
            },
            Value::Seq {
                items,
                open: Bracket::Brace,
                ..
            } => Self::of_points(pool, items),
            Value::Seq {
                items,
                open: Bracket::None,
                separator,
                ..
            } => Self::of_list(pool, items, *separator),
            Value::Union(items) => Self::of_union(pool, items),
            Value::Intersection(items) => Self::of_intersection(pool, items),
            Value::Difference(a, b) => {
                let (a, b) = (Self::of(pool, a)?, Self::of(pool, b)?);
                let rest = b.complement();
                a.intersection(pool, &rest)
            }
            Value::Builder { element, condition } => {
                element_variable(pool, element)?;
                Self::of(pool, condition)
            }
            Value::Relation { first, rest } => Self::of_relation(pool, first, rest),
            _ => None,
        }
    }

    /// `[0, 1)`, by its brackets and ends.
    fn of_interval(
        pool: &mut Pool,
        (open, low): (Bracket, &Value),
        (high, close): (&Value, Bracket),
    ) -> Option<Self> {
        let piece = Piece {
            low: Self::end(pool, low.as_scalar()?)?,
            low_closed: open == Bracket::Square,
            high: Self::end(pool, high.as_scalar()?)?,
            high_closed: close == Bracket::Square,
        };
        // `(3, 2)` is a point, and no way to write the empty set.
        Self::from_pieces(pool, vec![piece]).filter(|set| !set.pieces.is_empty())
    }

    /// `{1, 2}`: each number is an interval of its own.
    fn of_points(pool: &mut Pool, items: &[Value]) -> Option<Self> {
        let points = items
            .iter()
            .map(|item| {
                let end = Self::end(pool, item.as_scalar()?)?;
                matches!(end, End::At(_)).then_some(Piece {
                    low: end,
                    low_closed: true,
                    high: end,
                    high_closed: true,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        Self::from_pieces(pool, points)
    }

    fn of_union(pool: &mut Pool, items: &[Value]) -> Option<Self> {
        let mut pieces = Vec::new();
        for item in items {
            pieces.extend(Self::of(pool, item)?.pieces);
        }
        Self::from_pieces(pool, pieces)
    }

    fn of_intersection(pool: &mut Pool, items: &[Value]) -> Option<Self> {
        let (first, others) = items.split_first()?;
        let mut set = Self::of(pool, first)?;
        for other in others {
            let other = Self::of(pool, other)?;
            set = set.intersection(pool, &other)?;
        }
        Some(set)
    }

    /// Conditions joined: "or" unites; "and" and a comma intersect unless all
    /// items are sets.
    fn of_list(pool: &mut Pool, items: &[Value], separator: Separator) -> Option<Self> {
        let relations = items
            .iter()
            .all(|item| matches!(item, Value::Relation { .. }));
        if !relations {
            // `x > 0, x \in \mathbb{R}` and lists of intervals.
            if items
                .iter()
                .any(|item| matches!(item, Value::Relation { .. } | Value::Scalar(..)))
            {
                return None;
            }
            let mut pieces = Vec::new();
            for item in items {
                pieces.extend(Self::of(pool, item)?.pieces);
            }
            return Self::from_pieces(pool, pieces);
        }
        let sets = items
            .iter()
            .map(|item| Self::of(pool, item))
            .collect::<Option<Vec<_>>>()?;
        let names: Vec<_> = items.iter().map(|item| variable(pool, item)).collect();
        if names.iter().any(|name| name.is_none() || *name != names[0]) {
            return None;
        }
        let unite = |pool: &Pool, sets: &[Self]| {
            Self::from_pieces(
                pool,
                sets.iter()
                    .flat_map(|set| set.pieces.iter().copied())
                    .collect(),
            )
        };
        if separator == Separator::Or {
            return unite(pool, &sets);
        }
        let mut all = sets.first()?.clone();
        for set in &sets[1..] {
            all = all.intersection(pool, set)?;
        }
        // `x < 1, x > 3` with a comma can only mean "or".
        if all.pieces.is_empty() && separator == Separator::Comma {
            unite(pool, &sets)
        } else {
            Some(all)
        }
    }

    fn of_relation(pool: &mut Pool, first: &Value, rest: &[(Rel, Value)]) -> Option<Self> {
        let mut set: Option<Self> = None;
        let mut left = first;
        for (rel, right) in rest {
            let next = Self::of_pair(pool, left, *rel, right)?;
            set = Some(match set {
                Some(before) => before.intersection(pool, &next)?,
                None => next,
            });
            left = right;
        }
        set
    }

    fn of_pair(pool: &mut Pool, left: &Value, rel: Rel, right: &Value) -> Option<Self> {
        if rel == Rel::In {
            element_variable(pool, left)?;
            return match right {
                // `x \in R`
                Value::Scalar(id, _) => pool.is_named(*id, "R").then(Self::line),
                set => Self::of(pool, set),
            };
        }
        if rel == Rel::NotIn {
            element_variable(pool, left)?;
            return Some(Self::of(pool, right)?.complement());
        }
        let (a, b) = (left.as_scalar()?, right.as_scalar()?);
        // An end at infinity says nothing.
        for (side, other, rel) in [(a, b, rel), (b, a, rel.flipped())] {
            if identity::infinite(pool, side) {
                let _ = (other, rel);
                return Some(Self::line());
            }
        }
        let difference = pool.sub(a, b);
        let symbols = pool.symbols(difference);
        let [var] = symbols.as_slice() else {
            return None;
        };
        solve(pool, difference, *var, rel)
    }

    fn line() -> Self {
        let piece = Piece {
            low: End::MinusInfinity,
            low_closed: false,
            high: End::Infinity,
            high_closed: false,
        };
        Self {
            pieces: vec![piece],
        }
    }

    fn end(pool: &Pool, id: Id) -> Option<End> {
        match pool.node(id) {
            Node::Infinity => return Some(End::Infinity),
            Node::Mul(items) if items.iter().any(|item| *pool.node(*item) == Node::Infinity) => {
                let negative = items
                    .iter()
                    .any(|item| pool.as_number(*item).is_some_and(RBig::is_negative));
                return (items.len() == 2 && negative).then_some(End::MinusInfinity);
            }
            _ => {}
        }
        // Symbols have no order.
        pool.symbols(id).is_empty().then_some(End::At(id))
    }

    /// Sorts and merges.
    pub(super) fn from_pieces(pool: &Pool, mut pieces: Vec<Piece>) -> Option<Self> {
        if pieces.len() > MAX_PIECES {
            return None;
        }
        let mut kept = Vec::new();
        for piece in pieces.drain(..) {
            match compare_ends(pool, piece.low, piece.high)? {
                Ordering::Less => kept.push(piece),
                Ordering::Equal if piece.low_closed && piece.high_closed => kept.push(piece),
                Ordering::Equal | Ordering::Greater => {}
            }
        }
        // Insertion sort: comparing may fail, which a sort function cannot say.
        let mut sorted: Vec<Piece> = Vec::new();
        for piece in kept {
            let mut at = sorted.len();
            while at > 0 {
                let before = sorted[at - 1];
                let order = compare_ends(pool, before.low, piece.low)?;
                let later = order == Ordering::Greater
                    || order == Ordering::Equal && piece.low_closed && !before.low_closed;
                if !later {
                    break;
                }
                at -= 1;
            }
            sorted.insert(at, piece);
        }
        let mut merged: Vec<Piece> = Vec::new();
        for piece in sorted {
            if let Some(last) = merged.last_mut() {
                let touch = compare_ends(pool, piece.low, last.high)?;
                let joined = touch == Ordering::Less
                    || touch == Ordering::Equal && (piece.low_closed || last.high_closed);
                if joined {
                    match compare_ends(pool, last.high, piece.high)? {
                        Ordering::Less => {
                            last.high = piece.high;
                            last.high_closed = piece.high_closed;
                        }
                        Ordering::Equal => last.high_closed |= piece.high_closed,
                        Ordering::Greater => {}
                    }
                    continue;
                }
            }
            merged.push(piece);
        }
        Some(Self { pieces: merged })
    }

    pub(super) fn complement(&self) -> Self {
        let mut pieces = Vec::new();
        let mut low = End::MinusInfinity;
        let mut low_closed = false;
        for piece in &self.pieces {
            if piece.low != End::MinusInfinity {
                pieces.push(Piece {
                    low,
                    low_closed,
                    high: piece.low,
                    high_closed: !piece.low_closed,
                });
            }
            low = piece.high;
            low_closed = !piece.high_closed;
        }
        if low != End::Infinity {
            pieces.push(Piece {
                low,
                low_closed,
                high: End::Infinity,
                high_closed: false,
            });
        }
        Self { pieces }
    }

    fn intersection(&self, pool: &Pool, other: &Self) -> Option<Self> {
        let (a, b) = (self.complement(), other.complement());
        let pieces = a.pieces.into_iter().chain(b.pieces).collect();
        let union = Self::from_pieces(pool, pieces)?;
        let inner = union.complement();
        Self::from_pieces(pool, inner.pieces)
    }

    pub(crate) fn same(&self, comparer: &mut Comparer<'_>, other: &Self) -> Verdict {
        if self.pieces.len() != other.pieces.len() {
            return Verdict::Different(Rule::RealSet);
        }
        for (a, b) in self.pieces.iter().zip(&other.pieces) {
            if a.low_closed != b.low_closed || a.high_closed != b.high_closed {
                return Verdict::Different(Rule::RealSet);
            }
            for (x, y) in [(a.low, b.low), (a.high, b.high)] {
                match (x, y) {
                    (End::At(x), End::At(y)) => match comparer.scalars((x, None), (y, None)) {
                        Verdict::Equal(_) => {}
                        Verdict::Different(_) => return Verdict::Different(Rule::RealSet),
                        Verdict::Undecided => return Verdict::Undecided,
                    },
                    (x, y) if x == y => {}
                    _ => return Verdict::Different(Rule::RealSet),
                }
            }
        }
        Verdict::Equal(Rule::RealSet)
    }

    pub(super) fn contains(&self, pool: &Pool, point: Id) -> Option<bool> {
        for piece in &self.pieces {
            let low = compare_ends(pool, piece.low, End::At(point))?;
            let high = compare_ends(pool, End::At(point), piece.high)?;
            let above = low == Ordering::Less || low == Ordering::Equal && piece.low_closed;
            let below = high == Ordering::Less || high == Ordering::Equal && piece.high_closed;
            if above && below {
                return Some(true);
            }
        }
        Some(false)
    }
}

fn compare_ends(pool: &Pool, a: End, b: End) -> Option<Ordering> {
    Some(match (a, b) {
        (End::MinusInfinity, End::MinusInfinity) | (End::Infinity, End::Infinity) => {
            Ordering::Equal
        }
        (End::MinusInfinity, _) | (_, End::Infinity) => Ordering::Less,
        (End::Infinity, _) | (_, End::MinusInfinity) => Ordering::Greater,
        (End::At(a), End::At(b)) => order(pool, a, b)?,
    })
}

/// The variable of a builder's element: `x`, or `x \in \mathbb{R}`.
pub(super) fn element_variable(pool: &Pool, element: &Value) -> Option<Symbol> {
    match element {
        Value::Relation { first, rest }
            if rest.len() == 1 && rest[0].0 == Rel::In && rest[0].1 == Value::Domain('R') =>
        {
            first.as_symbol(pool)
        }
        other => other.as_symbol(pool),
    }
}

/// The one free symbol of a relation.
pub(crate) fn variable(pool: &Pool, value: &Value) -> Option<Symbol> {
    let mut symbols: Vec<Symbol> = value
        .ids()
        .into_iter()
        .flat_map(|id| pool.symbols(id))
        .collect();
    symbols.sort_unstable();
    symbols.dedup();
    match symbols.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}
