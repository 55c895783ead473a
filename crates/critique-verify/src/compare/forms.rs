//! Forms that say one thing: an interval and a chain of inequalities, one function
//! in two letters, residues, a list with and without what its letters count.

use super::Verdict;
use super::relation::mentions;
use super::shapes::Comparer;
use crate::algebra::pool::Symbol;
use crate::algebra::{Node, Pool};
use crate::parse::value::{Bracket, Rel, Separator, Value};

/// `-a < x < a` against `(-a, a)`: the ends are no numbers.
pub(super) fn symbolic_interval(
    comparer: &mut Comparer<'_>,
    gold: &Value,
    prediction: &Value,
) -> Option<Verdict> {
    let interval = |pool: &Pool, value: &Value| {
        let Value::Relation { first, rest } = value else {
            return None;
        };
        let [(p, middle), (q, last)] = rest.as_slice() else {
            return None;
        };
        middle.as_symbol(pool)?;
        let closed = |rel: Rel| matches!(rel, Rel::LessEqual | Rel::GreaterEqual);
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
        let bracket = |rel| {
            if closed(rel) {
                Bracket::Square
            } else {
                Bracket::Round
            }
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
    };
    let bracketed = |value: &Value| matches!(value, Value::Seq { open: Bracket::Round | Bracket::Square, items, .. } if items.len() == 2);
    if bracketed(prediction)
        && let Some(found) = interval(comparer.pool, gold)
    {
        return Some(comparer.compare(&found, prediction));
    }
    if bracketed(gold)
        && let Some(found) = interval(comparer.pool, prediction)
    {
        return Some(comparer.compare(gold, &found));
    }
    None
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
pub(super) fn congruent(pool: &Pool, a: &Value, b: &Value) -> Option<bool> {
    let parts = |value: &Value| {
        let Node::Apply(name, args) = pool.node(value.as_scalar()?) else {
            return None;
        };
        match args.as_slice() {
            [residue, modulus] if pool.symbol_name(*name) == "pmod" => {
                Some((pool.as_int(*residue)?, pool.as_int(*modulus)?))
            }
            _ => None,
        }
    };
    let ((x, m), (y, n)) = (parts(a)?, parts(b)?);
    Some(m == n && m != 0 && x.checked_sub(y)?.checked_rem(m)? == 0)
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
    let is_domain = |value: &Value| match value {
        Value::Relation { rest, .. } => {
            matches!(rest.as_slice(), [(Rel::In, Value::Domain(_))])
        }
        _ => false,
    };
    let strip = |value: &Value| {
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
    };
    match (strip(gold), strip(prediction)) {
        (Some(gold), None) => Some((gold, prediction.clone())),
        (None, Some(prediction)) => Some((gold.clone(), prediction)),
        _ => None,
    }
}
