//! Forms that say one thing: an interval and a chain of inequalities, one function
//! in two letters, residues, a list with and without what its letters count.

use super::relation::mentions;
use crate::algebra::pool::Symbol;
use crate::algebra::{Id, Node, Pool};
use crate::parse::value::{Bracket, Rel, Separator, Value};
use crate::rule::Rule;
use crate::verdict::Verdict;

/// `-a < x < a` as `(-a, a)`, where it stands against an interval: the ends are no numbers.
pub(super) fn symbolic_interval(pool: &Pool, condition: &Value, other: &Value) -> Option<Value> {
    if !matches!(other, Value::Seq { open: Bracket::Round | Bracket::Square, items, .. } if items.len() == 2)
    {
        return None;
    }
    let Value::Relation { first, rest } = condition else {
        return None;
    };
    let [(p, middle), (q, last)] = rest.as_slice() else {
        return None;
    };
    middle.as_symbol(pool)?;
    let upward = |rel: Rel| matches!(rel, Rel::Less | Rel::LessEqual);
    if !p.is_order() || !q.is_order() || upward(*p) != upward(*q) {
        return None;
    }
    let ends = [first.as_ref(), last];
    let constant = ends.iter().all(|end| {
        end.as_scalar()
            .is_some_and(|id| pool.symbols(id).is_empty())
    });
    if constant || ends.iter().any(|end| mentions(pool, end, middle)) {
        return None;
    }
    let bracket = |rel| match rel {
        Rel::LessEqual | Rel::GreaterEqual => Bracket::Square,
        _ => Bracket::Round,
    };
    let (low, high, open, close) = if upward(*p) {
        (ends[0], ends[1], bracket(*p), bracket(*q))
    } else {
        (ends[1], ends[0], bracket(*q), bracket(*p))
    };
    Some(Value::Seq {
        items: vec![low.clone(), high.clone()],
        open,
        close,
        separator: Separator::Comma,
    })
}

/// The right side of `f(t) = ..` in the letter of `f(x) = ..`.
pub(super) fn renamed_argument(
    pool: &mut Pool,
    (a, b): (&Value, &Value),
    right: &Value,
) -> Option<Value> {
    let argument = |value: &Value| {
        let Node::Apply(name, args) = pool.node(value.as_scalar()?) else {
            return None;
        };
        match args.as_slice() {
            [arg] => match pool.node(*arg) {
                Node::Symbol(symbol) => Some((*name, *symbol)),
                _ => None,
            },
            _ => None,
        }
    };
    let ((name, x), (other, y)) = (argument(a)?, argument(b)?);
    if name != other || x == y || right.ids().iter().any(|id| pool.contains_symbol(*id, x)) {
        return None;
    }
    let with = pool.insert(Node::Symbol(x));
    Some(right.map(&mut |id| pool.substitute(id, y, with)))
}

/// Two residues with their modulus, all of them numbers.
pub(super) fn congruent(pool: &Pool, a: Id, b: Id) -> Option<bool> {
    let parts = |id: Id| match pool.node(id) {
        Node::Residue { value, modulus } => Some((pool.as_int(*value)?, pool.as_int(*modulus)?)),
        _ => None,
    };
    let ((x, m), (y, n)) = (parts(a)?, parts(b)?);
    Some(m == n && m != 0 && x.checked_sub(y)?.checked_rem(m)? == 0)
}

/// Numerals with a base: the same digits, or the same value.
pub(super) fn numerals((digits, base): (&str, u32), (other, other_base): (&str, u32)) -> Verdict {
    if base == other_base {
        let plain = |digits: &str| digits.trim_start_matches('0').to_owned();
        return Verdict::of(plain(digits) == plain(other), Rule::Base);
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
        (Some(a), Some(b)) => Verdict::of(a == b, Rule::Base),
        _ => Verdict::Different(Rule::Base),
    }
}

/// The one letter that a condition such as `k \in \mathbb{Z}` makes an integer.
pub(super) fn counted(pool: &Pool, value: &Value) -> Option<Symbol> {
    let Value::Seq { items, .. } = value else {
        return None;
    };
    let mut letters = items.iter().filter_map(|item| match item {
        Value::Relation { first, rest } => match rest.as_slice() {
            [(Rel::In, Value::Domain('Z' | 'N'))] => first.as_symbol(pool),
            _ => None,
        },
        _ => None,
    });
    let only = letters.next()?;
    letters.next().is_none().then_some(only)
}

/// Both values without conditions such as `k \in \mathbb{Z}`, where only one
/// side has any: what a letter counts is often left unsaid.
pub(crate) fn without_domains(gold: &Value, prediction: &Value) -> Option<(Value, Value)> {
    match (without_domain(gold), without_domain(prediction)) {
        (Some(gold), None) => Some((gold, prediction.clone())),
        (None, Some(prediction)) => Some((gold.clone(), prediction)),
        _ => None,
    }
}

/// A list without its members that only name a domain; `None` where there is none, or nothing else.
fn without_domain(value: &Value) -> Option<Value> {
    let Value::Seq {
        items,
        open: Bracket::None,
        close,
        separator,
    } = value
    else {
        return None;
    };
    let kept: Vec<Value> = items
        .iter()
        .filter(|item| !is_domain(item))
        .cloned()
        .collect();
    if kept.is_empty() || kept.len() == items.len() {
        return None;
    }
    if kept.len() == 1 {
        return kept.into_iter().next();
    }
    Some(Value::Seq {
        items: kept,
        open: Bracket::None,
        close: *close,
        separator: *separator,
    })
}

/// `n \in \mathbb{Z}`.
fn is_domain(value: &Value) -> bool {
    match value {
        Value::Relation { rest, .. } => {
            matches!(rest.as_slice(), [(Rel::In, Value::Domain(_))])
        }
        _ => false,
    }
}
