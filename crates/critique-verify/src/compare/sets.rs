//! Sets that are no unions of intervals: by their letter, by their parts, by their condition.

use super::realset::{self, RealSet};
use super::shapes::Comparer;
use super::solve;
use crate::algebra::{Id, Node, Pool};
use crate::parse::value::Value;
use crate::rule::Rule;
use crate::verdict::Verdict;

impl Comparer<'_> {
    /// A builder by the condition in it, where that could not be solved.
    pub(super) fn set_condition(&mut self, a: &Value, b: &Value) -> Verdict {
        let ((Value::Builder { element, condition }, other)
        | (other, Value::Builder { element, condition })) = (a, b)
        else {
            return Verdict::Different(Rule::NoSet);
        };
        if realset::element_variable(self.pool, element).is_none() {
            return Verdict::Different(Rule::NoSet);
        }
        match RealSet::of(self.pool, other) {
            Some(set) => solve::satisfies(self, condition, &set),
            None => Verdict::Different(Rule::NoSet),
        }
    }

    /// Unions, intersections, differences and builders, part by part.
    pub(super) fn set_parts(&mut self, a: &Value, b: &Value) -> Verdict {
        match (a, b) {
            (Value::Union(a), Value::Union(b))
            | (Value::Intersection(a), Value::Intersection(b)) => {
                self.multiset(&a.clone(), &b.clone())
            }
            (Value::Difference(a, b), Value::Difference(c, d)) => self.two_parts((a, b), (c, d)),
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
                    return self.two_parts((a, b), (c, d));
                };
                let with = self.pool.insert(Node::Symbol(x));
                let c = c.map(&mut |id| self.pool.substitute(id, y, with));
                let d = d.map(&mut |id| self.pool.substitute(id, y, with));
                self.two_parts((a, b), (&c, &d))
            }
            _ => Verdict::Different(Rule::NoSet),
        }
    }

    fn two_parts(&mut self, (a, b): (&Value, &Value), (c, d): (&Value, &Value)) -> Verdict {
        let first = self.compare(a, c);
        if first.is_equal() {
            self.compare(b, d)
        } else {
            first
        }
    }
}

/// The set that a plain letter stands for where a set is asked for.
pub(super) fn domain_letter(pool: &Pool, id: Id) -> Option<char> {
    ["R", "Z", "N", "Q"]
        .into_iter()
        .find(|letter| pool.is_named(id, letter))
        .and_then(|letter| letter.chars().next())
}

/// Whether a letter is the phi that is taken for the sign of the empty set.
pub(super) fn is_phi(pool: &Pool, id: Id) -> bool {
    pool.is_named(id, "phi")
}
