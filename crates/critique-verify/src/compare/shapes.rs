//! Values of all shapes against each other.

use super::realset::{self, RealSet};
use super::relation;
use super::{Verdict, scalar};
use crate::algebra::{Id, Node, Pool};
use crate::options::Options;
use crate::parse::value::{Bracket, Value};

pub(crate) struct Comparer<'a> {
    pub(crate) pool: &'a mut Pool,
    pub(crate) options: &'a Options,
}

impl Comparer<'_> {
    /// Compares two values after bringing both into plain form.
    pub(crate) fn values(&mut self, gold: &Value, prediction: &Value) -> Verdict {
        let gold = self.plain(gold);
        let prediction = self.plain(prediction);
        self.compare(&gold, &prediction).or_else(|| {
            let each = |value| super::plain::by_component(self.pool, value);
            match (each(&gold), each(&prediction)) {
                (None, None) => Verdict::Different("shape"),
                (a, b) => self.compare(&a.unwrap_or(gold), &b.unwrap_or(prediction)),
            }
        })
    }

    #[expect(clippy::too_many_lines, reason = "a table: one arm a pair of shapes")]
    pub(super) fn compare(&mut self, gold: &Value, prediction: &Value) -> Verdict {
        use Value::{
            Base, Builder, Difference, Domain, Empty, Intersection, Matrix, Ratio, Relation,
            Scalar, Seq, Union,
        };
        if self.pool.budget.spend(1).is_err() {
            return Verdict::Undecided;
        }
        if gold == prediction {
            return Verdict::Equal("structure");
        }
        if !matches!((gold, prediction), (Seq { .. }, Seq { .. }))
            && let Some((gold, prediction)) = super::forms::without_domains(gold, prediction)
        {
            return self.values(&gold, &prediction);
        }
        if let (vector @ (Matrix(_) | Seq { .. }), Scalar(sum, _))
        | (Scalar(sum, _), vector @ (Matrix(_) | Seq { .. })) = (gold, prediction)
            && let Some(verdict) = self.in_basis(vector, *sum)
        {
            return verdict;
        }
        match (gold, prediction) {
            (Scalar(a, x), Scalar(b, y)) => {
                if let Some(equal) = super::forms::congruent(self.pool, gold, prediction) {
                    return decide(equal, "congruence");
                }
                scalar::compare(self.pool, (*a, *x), (*b, *y), self.options)
            }
            (
                Base { digits, base },
                Base {
                    digits: other,
                    base: other_base,
                },
            ) => numerals((digits, *base), (other, *other_base)),
            (Ratio(a), Ratio(b)) => self.ratios(a, b),
            // A ratio of two is also given as a fraction; a fraction is no ratio.
            (Ratio(parts), Scalar(..)) if parts.len() == 2 => {
                let fraction = self.pool.div(parts[0], parts[1]);
                self.compare(&Value::scalar(fraction), prediction)
            }
            (Relation { .. }, _) | (_, Relation { .. }) => {
                relation::compare(self, gold, prediction)
            }
            (Matrix(a), Matrix(b)) => self.matrices(a, b),
            (Matrix(rows), Seq { .. }) | (Seq { .. }, Matrix(rows)) => {
                let other = if matches!(gold, Matrix(_)) {
                    prediction
                } else {
                    gold
                };
                self.vector(rows, other)
            }
            (Matrix(rows), Scalar(..)) | (Scalar(..), Matrix(rows))
                if rows.len() == 1 && rows[0].len() == 1 =>
            {
                let inner = Value::scalar(rows[0][0]);
                let (a, b) = if matches!(gold, Matrix(_)) {
                    (inner, prediction.clone())
                } else {
                    (gold.clone(), inner)
                };
                self.compare(&a, &b)
            }
            (Seq { items, open, .. }, other) | (other, Seq { items, open, .. })
                if items.len() == 1
                    && matches!(open, Bracket::Brace | Bracket::None)
                    && !matches!(
                        other,
                        Seq { .. }
                            | Empty
                            | Union(_)
                            | Intersection(_)
                            | Difference(..)
                            | Builder { .. }
                    ) =>
            {
                let inner = items[0].clone();
                if matches!(gold, Seq { .. }) {
                    self.compare(&inner, other)
                } else {
                    self.compare(other, &inner)
                }
            }
            (Seq { items, open, .. }, Seq { items: others, .. })
                if items.len() == 1
                    && others.len() != 1
                    && matches!(open, Bracket::Brace | Bracket::None) =>
            {
                self.compare(&items[0], prediction)
            }
            (Seq { items: others, .. }, Seq { items, open, .. })
                if items.len() == 1
                    && others.len() != 1
                    && matches!(open, Bracket::Brace | Bracket::None) =>
            {
                self.compare(gold, &items[0])
            }
            (Seq { .. }, Seq { .. }) => self.sequences(gold, prediction),
            // A plain or bold R stands for the reals where a set is asked for.
            (Scalar(id, _), set) if set.is_set() && self.domain_letter(*id).is_some() => {
                let domain = Domain(self.domain_letter(*id).unwrap_or('R'));
                self.compare(&domain, prediction)
            }
            (set, Scalar(id, _)) if set.is_set() && self.domain_letter(*id).is_some() => {
                let domain = Domain(self.domain_letter(*id).unwrap_or('R'));
                self.compare(gold, &domain)
            }
            // So does a phi for the empty set.
            (Empty, Scalar(id, _)) | (Scalar(id, _), Empty) => {
                let phi = self.pool.known_symbol("phi");
                let equal = phi.is_some_and(|phi| *self.pool.node(*id) == Node::Symbol(phi));
                decide(equal, "set")
            }
            (Domain(a), Domain(b)) => decide(a == b, "set"),
            (Empty, Empty) => Verdict::Equal("set"),
            (
                Union(_)
                | Intersection(_)
                | Difference(..)
                | Domain(_)
                | Empty
                | Builder { .. }
                | Seq { .. },
                Union(_)
                | Intersection(_)
                | Difference(..)
                | Domain(_)
                | Empty
                | Builder { .. }
                | Seq { .. },
            ) => self.sets(gold, prediction),
            _ => Verdict::Different("shape"),
        }
    }

    fn domain_letter(&self, id: Id) -> Option<char> {
        let Node::Symbol(symbol) = self.pool.node(id) else {
            return None;
        };
        match self.pool.symbol_name(*symbol) {
            "R" => Some('R'),
            "Z" => Some('Z'),
            "N" => Some('N'),
            "Q" => Some('Q'),
            _ => None,
        }
    }

    fn sets(&mut self, gold: &Value, prediction: &Value) -> Verdict {
        let verdict = match (
            RealSet::of(self.pool, gold),
            RealSet::of(self.pool, prediction),
        ) {
            (Some(a), Some(b)) => a.same(self, &b),
            _ => Verdict::Different("set"),
        };
        verdict
            .or_else(|| self.set_structure(gold, prediction))
            .or_else(|| self.condition(gold, prediction))
    }

    /// A builder by the condition in it, where that could not be solved.
    fn condition(&mut self, gold: &Value, prediction: &Value) -> Verdict {
        let ((Value::Builder { element, condition }, other)
        | (other, Value::Builder { element, condition })) = (gold, prediction)
        else {
            return Verdict::Different("set");
        };
        if realset::element_variable(self.pool, element).is_none() {
            return Verdict::Different("set");
        }
        match RealSet::of(self.pool, other) {
            Some(set) => super::solve::satisfies(self, condition, &set),
            None => Verdict::Different("set"),
        }
    }

    fn set_structure(&mut self, gold: &Value, prediction: &Value) -> Verdict {
        match (gold, prediction) {
            (Value::Union(a), Value::Union(b))
            | (Value::Intersection(a), Value::Intersection(b)) => {
                self.multiset(&a.clone(), &b.clone())
            }
            (Value::Difference(a, b), Value::Difference(c, d)) => {
                let first = self.compare(a, c);
                if first.is_equal() {
                    self.compare(b, d)
                } else {
                    first
                }
            }
            (
                Value::Builder {
                    element: a,
                    condition: b,
                },
                Value::Builder {
                    element: c,
                    condition: d,
                },
            ) => {
                // A bound name says nothing.
                let (Some(x), Some(y)) = (
                    realset::variable(self.pool, a),
                    realset::variable(self.pool, c),
                ) else {
                    let first = self.compare(a, c);
                    return if first.is_equal() {
                        self.compare(b, d)
                    } else {
                        first
                    };
                };
                let with = self.pool.insert(Node::Symbol(x));
                let c = c.map(&mut |id| self.pool.substitute(id, y, with));
                let d = d.map(&mut |id| self.pool.substitute(id, y, with));
                let first = self.compare(a, &c);
                if first.is_equal() {
                    self.compare(b, &d)
                } else {
                    first
                }
            }
            _ => Verdict::Different("set"),
        }
    }

    fn ratios(&mut self, a: &[Id], b: &[Id]) -> Verdict {
        if a.len() != b.len() {
            return Verdict::Different("ratio");
        }
        let zero = self.pool.int(0);
        if a.contains(&zero) || b.contains(&zero) {
            return self.all(a.iter().zip(b), "ratio");
        }
        for at in 1..a.len() {
            let left = self.pool.mul(&[a[at], b[0]]);
            let right = self.pool.mul(&[b[at], a[0]]);
            let verdict = scalar::compare(self.pool, (left, None), (right, None), self.options);
            if !verdict.is_equal() {
                return verdict;
            }
        }
        Verdict::Equal("ratio")
    }

    pub(super) fn matrices(&mut self, a: &[Vec<Id>], b: &[Vec<Id>]) -> Verdict {
        if a.len() != b.len() || a.iter().zip(b).any(|(x, y)| x.len() != y.len()) {
            return Verdict::Different("matrix");
        }
        self.all(a.iter().flatten().zip(b.iter().flatten()), "matrix")
    }

    pub(super) fn all<'b>(
        &mut self,
        pairs: impl Iterator<Item = (&'b Id, &'b Id)>,
        rule: &'static str,
    ) -> Verdict {
        for (a, b) in pairs {
            match scalar::compare(self.pool, (*a, None), (*b, None), self.options) {
                Verdict::Equal(_) => {}
                Verdict::Different(_) => return Verdict::Different(rule),
                Verdict::Undecided => return Verdict::Undecided,
            }
        }
        Verdict::Equal(rule)
    }
}

/// Numerals with a base: the same digits, or the same value.
fn numerals((digits, base): (&str, u32), (other, other_base): (&str, u32)) -> Verdict {
    if base == other_base {
        return decide(
            digits.trim_start_matches('0') == other.trim_start_matches('0'),
            "base",
        );
    }
    let value = |digits: &str, base: u32| {
        digits
            .chars()
            .try_fold(dashu::integer::UBig::ZERO, |total, digit| {
                let digit = digit.to_digit(36).filter(|digit| *digit < base)?;
                Some(total * base + digit)
            })
    };
    match (value(digits, base), value(other, other_base)) {
        (Some(a), Some(b)) => decide(a == b, "base"),
        _ => Verdict::Different("base"),
    }
}

pub(crate) fn decide(equal: bool, rule: &'static str) -> Verdict {
    if equal {
        Verdict::Equal(rule)
    } else {
        Verdict::Different(rule)
    }
}
