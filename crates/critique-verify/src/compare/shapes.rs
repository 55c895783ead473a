//! Values of all shapes against each other.
//!
//! Both sides are brought into plain form, and then into one order by shape, so that each pair of
//! shapes is decided in one place. Which side is the gold answer counts for five rules only; they
//! ask [`Comparer::gold_is_left`].

use super::realset::RealSet;
use super::{forms, plain, relation, scalar, sets};
use crate::algebra::{Id, Pool};
use crate::options::Options;
use crate::parse::value::{Bracket, Decimal, Value};
use crate::rule::Rule;
use crate::verdict::Verdict;

/// Compares the values of one pair of answers.
pub(crate) struct Comparer<'a> {
    pub(crate) pool: &'a mut Pool,
    pub(crate) options: &'a Options,
    mirrored: bool,
}

/// A scalar with the digits it was written with.
type Written = (Id, Option<Decimal>);

impl<'a> Comparer<'a> {
    /// A comparison whose left side is the gold answer.
    pub(crate) fn new(pool: &'a mut Pool, options: &'a Options) -> Self {
        Self {
            pool,
            options,
            mirrored: false,
        }
    }

    /// Runs a comparison whose sides were exchanged.
    pub(super) fn exchanged<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        self.mirrored = !self.mirrored;
        let result = run(self);
        self.mirrored = !self.mirrored;
        result
    }

    /// Whether the left side is the gold answer: it alone may be rounded to two digits, be a
    /// ratio that a fraction gives, or a set that a tuple gives; the other alone may be an equation
    /// that says what something comes to. (The fifth such rule is about option letters and looks
    /// at texts.)
    pub(super) fn gold_is_left(&self) -> bool {
        !self.mirrored
    }

    /// Compares two values after bringing both into plain form.
    pub(crate) fn values(&mut self, a: &Value, b: &Value) -> Verdict {
        let (a, b) = (self.plain(a), self.plain(b));
        self.compare(&a, &b).or_else(|| {
            let each = |value| plain::by_component(self.pool, value);
            match (each(&a), each(&b)) {
                (None, None) => Verdict::Different(Rule::Shape),
                (x, y) => self.compare(&x.unwrap_or(a), &y.unwrap_or(b)),
            }
        })
    }

    /// Compares two values in plain form.
    pub(super) fn compare(&mut self, a: &Value, b: &Value) -> Verdict {
        if self.pool.budget.spend(1).is_err() {
            return Verdict::Undecided;
        }
        if a == b {
            return Verdict::Equal(Rule::Structure);
        }
        if let Some((a, b)) = forms::without_domains(a, b) {
            return self.values(&a, &b);
        }
        if Shape::of(a) <= Shape::of(b) {
            self.in_order(a, b)
        } else {
            self.exchanged(|comparer| comparer.in_order(b, a))
        }
    }

    /// The table: one arm a pair of shapes, the earlier shape on the left.
    fn in_order(&mut self, a: &Value, b: &Value) -> Verdict {
        use Value::{Base, Empty, Matrix, Ratio, Relation, Scalar, Seq};
        match (a, b) {
            (Relation { first, rest }, _) => relation::compare(self, a, (first, rest), b),
            (Matrix(_) | Seq { .. }, Scalar(sum, _)) => match self.in_basis(a, *sum) {
                Some(verdict) => verdict,
                None => self.held(a, b),
            },
            (Matrix(rows), Matrix(others)) => self.matrices(rows, others),
            (Matrix(rows), Seq { .. }) => self.vector(rows, b),
            (Seq { .. }, _) => self.held(a, b),
            (Ratio(parts), Ratio(others)) => self.ratios(parts, others),
            // A gold ratio of two is also given as a fraction; a fraction is no ratio.
            (Ratio(parts), Scalar(..)) if parts.len() == 2 && self.gold_is_left() => {
                let fraction = self.pool.div(parts[0], parts[1]);
                self.compare(&Value::scalar(fraction), b)
            }
            (Empty, Scalar(id, _)) => Verdict::of(sets::is_phi(self.pool, *id), Rule::EmptySet),
            (set, Scalar(id, _)) if set.is_set() => self.against_letter(set, *id),
            (x, y) if x.is_set() && y.is_set() => self.sets(x, y),
            (Scalar(x, dx), Scalar(y, dy)) => match forms::congruent(self.pool, *x, *y) {
                Some(equal) => Verdict::of(equal, Rule::Congruence),
                None => self.scalars((*x, *dx), (*y, *dy)),
            },
            (
                Base { digits, base },
                Base {
                    digits: other,
                    base: other_base,
                },
            ) => forms::numerals((digits, *base), (other, *other_base)),
            _ => Verdict::Different(Rule::Shape),
        }
    }

    /// A list, or a matrix of one entry, against a value of a later shape or another list: one
    /// that holds a single thing is that thing, unless a set is asked for.
    fn held(&mut self, a: &Value, b: &Value) -> Verdict {
        if let Value::Matrix(rows) = a {
            return match rows.as_slice() {
                [row] if row.len() == 1 => self.compare(&Value::scalar(row[0]), b),
                _ => Verdict::Different(Rule::Shape),
            };
        }
        if let Some(inner) = only_member(a, b) {
            return self.compare(inner, b);
        }
        if let Some(inner) = only_member(b, a) {
            return self.compare(a, inner);
        }
        match b {
            Value::Seq { .. } => self.sequences(a, b),
            Value::Scalar(id, _) if a.is_set() => self.against_letter(a, *id),
            set if set.is_set() => self.sets(a, set),
            _ => Verdict::Different(Rule::Shape),
        }
    }

    /// A set against a plain or bold letter that stands for the reals and so on.
    fn against_letter(&mut self, set: &Value, letter: Id) -> Verdict {
        match sets::domain_letter(self.pool, letter) {
            Some(letter) => self.compare(set, &Value::Domain(letter)),
            None => Verdict::Different(Rule::Shape),
        }
    }

    /// Two scalars, the gold answer first.
    pub(super) fn scalars(&mut self, a: Written, b: Written) -> Verdict {
        let (gold, prediction) = if self.gold_is_left() { (a, b) } else { (b, a) };
        scalar::compare(self.pool, gold, prediction, self.options)
    }

    fn sets(&mut self, a: &Value, b: &Value) -> Verdict {
        if let (Value::Domain(a), Value::Domain(b)) = (a, b) {
            return Verdict::of(a == b, Rule::NumberSet);
        }
        let verdict = match (RealSet::of(self.pool, a), RealSet::of(self.pool, b)) {
            (Some(x), Some(y)) => x.same(self, &y),
            _ => Verdict::Different(Rule::NoSet),
        };
        verdict
            .or_else(|| self.set_parts(a, b))
            .or_else(|| self.set_condition(a, b))
    }

    fn ratios(&mut self, a: &[Id], b: &[Id]) -> Verdict {
        if a.len() != b.len() {
            return Verdict::Different(Rule::Ratio);
        }
        let zero = self.pool.int(0);
        if a.contains(&zero) || b.contains(&zero) {
            return self.all(a.iter().zip(b), Rule::Ratio);
        }
        for at in 1..a.len() {
            let left = self.pool.mul(&[a[at], b[0]]);
            let right = self.pool.mul(&[b[at], a[0]]);
            let verdict = self.scalars((left, None), (right, None));
            if !verdict.is_equal() {
                return verdict;
            }
        }
        Verdict::Equal(Rule::Ratio)
    }

    pub(super) fn matrices(&mut self, a: &[Vec<Id>], b: &[Vec<Id>]) -> Verdict {
        if a.len() != b.len() || a.iter().zip(b).any(|(x, y)| x.len() != y.len()) {
            return Verdict::Different(Rule::Matrix);
        }
        self.all(a.iter().flatten().zip(b.iter().flatten()), Rule::Matrix)
    }

    pub(super) fn all<'b>(
        &mut self,
        pairs: impl Iterator<Item = (&'b Id, &'b Id)>,
        rule: Rule,
    ) -> Verdict {
        Verdict::all(
            rule,
            pairs.map(|(a, b)| self.scalars((*a, None), (*b, None))),
        )
    }
}

/// Shapes in the order in which [`Comparer::in_order`] wants them.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Relation,
    Matrix,
    Seq,
    Ratio,
    Set,
    Scalar,
    Base,
}

impl Shape {
    fn of(value: &Value) -> Self {
        match value {
            Value::Relation { .. } => Self::Relation,
            Value::Matrix(_) => Self::Matrix,
            Value::Seq { .. } => Self::Seq,
            Value::Ratio(_) => Self::Ratio,
            Value::Union(_)
            | Value::Intersection(_)
            | Value::Difference(..)
            | Value::Domain(_)
            | Value::Empty
            | Value::Builder { .. } => Self::Set,
            Value::Scalar(..) => Self::Scalar,
            Value::Base { .. } => Self::Base,
        }
    }
}

/// What a list of one or a set of one holds, where the other side is neither a set nor such a
/// list.
fn only_member<'v>(list: &'v Value, other: &Value) -> Option<&'v Value> {
    let Value::Seq {
        items,
        open: Bracket::Brace | Bracket::None,
        ..
    } = list
    else {
        return None;
    };
    let single = match other {
        Value::Seq { items, .. } => items.len() != 1,
        Value::Domain(_) => true,
        other => Shape::of(other) != Shape::Set,
    };
    match items.as_slice() {
        [only] if single => Some(only),
        _ => None,
    }
}
