//! Sums with terms left out: `1 + 2 + \cdots + 10`, `1 + 3 + \cdots + (2n - 1)`.
//!
//! The terms that are written have to fix the rest: a last term in a letter that gives the first
//! ones, too, an arithmetic or geometric progression, or powers and reciprocals of whole numbers.
//! Left out are products and lists with terms left out; anything else stays as it is written, with
//! the ellipsis for a symbol.

use dashu::base::Abs;
use dashu::rational::RBig;

use super::Parser;
use crate::algebra::pool::Symbol;
use crate::algebra::{Id, Meaning, Node, calculus};

/// Most terms of a sum that are added up one by one.
const MAX_TERMS: i64 = 1_000;

impl Parser<'_> {
    /// The sum that terms around one ellipsis stand for. `powers` says that a power was written
    /// in them: `1^2 + 2^2 + \cdots + 10^2` is no arithmetic progression, though 1, 4, 100 is.
    pub(super) fn elided(&mut self, terms: &[Id], powers: bool) -> Option<Id> {
        let dots = self.pool.known(&Meaning::Ellipsis)?;
        let at = terms
            .iter()
            .position(|&id| self.pool.contains_symbol(id, dots))?;
        let (head, tail) = (&terms[..at], &terms[at + 1..]);
        let more = tail.iter().any(|&id| self.pool.contains_symbol(id, dots));
        if head.len() < 2 || more {
            return None;
        }
        let Some(&last) = tail.last() else {
            return self.endless(head);
        };
        let mut symbols = self.pool.symbols(last);
        if !symbols.is_empty() {
            // In `1 + x + \\cdots + x^n` the letter that counts is not in the first terms.
            symbols.retain(|&symbol| !head.iter().any(|&id| self.pool.contains_symbol(id, symbol)));
            let [var] = symbols.as_slice() else {
                return None;
            };
            return self.up_to_letter(head, tail, *var);
        }
        let numbers = |ids: &[Id]| {
            ids.iter()
                .map(|&id| self.pool.as_number(id).cloned())
                .collect::<Option<Vec<_>>>()
        };
        let (head, tail) = (numbers(head)?, numbers(tail)?);
        let total = if powers {
            None
        } else {
            arithmetic(&head, &tail)
        };
        let total = total
            .or_else(|| geometric(&head, &tail))
            .or_else(|| well_known(&head, &tail))?;
        Some(self.pool.number(total))
    }

    /// A geometric series without end.
    fn endless(&mut self, head: &[Id]) -> Option<Id> {
        if head.len() < 3 {
            return None;
        }
        let ratio = self.pool.div(head[1], head[0]);
        for pair in head[1..].windows(2) {
            if self.pool.div(pair[1], pair[0]) != ratio {
                return None;
            }
        }
        if let Some(ratio) = self.pool.as_number(ratio)
            && ratio.clone().abs() >= RBig::ONE
        {
            return None;
        }
        let one = self.pool.int(1);
        let rest = self.pool.sub(one, ratio);
        Some(self.pool.div(head[0], rest))
    }

    /// The last term as a function of its letter, which has to give the first ones.
    fn up_to_letter(&mut self, head: &[Id], tail: &[Id], var: Symbol) -> Option<Id> {
        let last = *tail.last()?;
        let letter = self.pool.insert(Node::Symbol(var));
        for (back, &term) in tail.iter().rev().enumerate() {
            let shift = self.pool.int(-(back as i64));
            let place = self.pool.add(&[letter, shift]);
            let expected = self.pool.substitute(last, var, place);
            let gap = self.pool.sub(expected, term);
            if back > 0 && self.pool.as_int(gap) != Some(0) {
                return None;
            }
        }
        let first = (0..=2).find(|first| {
            head.iter().enumerate().all(|(step, &term)| {
                let place = self.pool.int(first + step as i64);
                self.pool.substitute(last, var, place) == term
            })
        })?;
        let low = self.pool.int(first);
        if let Some(total) = calculus::polynomial_sum(self.pool, last, var, low, letter) {
            return Some(total);
        }
        let (var, body) = self.pool.bind(var, last);
        Some(self.pool.insert(Node::Sum {
            product: false,
            var,
            low,
            high: letter,
            body,
        }))
    }
}

fn arithmetic(head: &[RBig], tail: &[RBig]) -> Option<RBig> {
    let step = &head[1] - &head[0];
    let even = |terms: &[RBig]| terms.windows(2).all(|pair| &pair[1] - &pair[0] == step);
    let last = tail.last()?;
    if step.is_zero() || !even(head) || !even(tail) {
        return None;
    }
    let count = (last - &head[0]) / &step + RBig::ONE;
    let enough = count >= RBig::from(head.len() + tail.len());
    (count.is_int() && enough).then(|| (&head[0] + last) * count / RBig::from(2))
}

fn geometric(head: &[RBig], tail: &[RBig]) -> Option<RBig> {
    if head.len() < 3 || head.iter().any(RBig::is_zero) {
        return None;
    }
    let ratio = &head[1] / &head[0];
    let even = |terms: &[RBig]| terms.windows(2).all(|pair| &pair[0] * &ratio == pair[1]);
    if !even(head) || !even(tail) {
        return None;
    }
    through(tail.last()?, head.len(), |k| {
        let power = i32::try_from(k - 1).ok().filter(|power| *power <= 256)?;
        Some(&head[0] * power_of(&ratio, power))
    })
}

fn power_of(base: &RBig, power: i32) -> RBig {
    (0..power).fold(RBig::ONE, |value, _| value * base)
}

/// Squares, cubes, products of neighbours, and the reciprocals of these.
fn well_known(head: &[RBig], tail: &[RBig]) -> Option<RBig> {
    let whole: [fn(i64) -> i64; 4] = [|k| k, |k| k * k, |k| k * k * k, |k| k * (k + 1)];
    let fits = |term: &dyn Fn(i64) -> RBig| {
        head.iter()
            .enumerate()
            .all(|(at, value)| *value == term(at as i64 + 1))
    };
    for form in whole {
        let plain = |k: i64| RBig::from(form(k));
        let inverse = |k: i64| RBig::ONE / RBig::from(form(k));
        let terms: [&dyn Fn(i64) -> RBig; 2] = [&plain, &inverse];
        for term in terms {
            if fits(term) && tail.len() == 1 {
                return through(&tail[0], head.len(), |k| Some(term(k)));
            }
        }
    }
    None
}

/// The sum of the terms up to the one that is the last.
fn through(last: &RBig, written: usize, term: impl Fn(i64) -> Option<RBig>) -> Option<RBig> {
    let mut total = RBig::ZERO;
    for k in 1..=MAX_TERMS {
        let next = term(k)?;
        let found = next == *last && k > written as i64;
        total += next;
        if found {
            return Some(total);
        }
    }
    None
}
