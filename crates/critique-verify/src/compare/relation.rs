//! Equations, inequalities, memberships and lists of assignments.

use super::forms;
use super::realset::{self, RealSet};
use super::shapes::Comparer;
use super::solve;
use crate::algebra::identity;
use crate::algebra::pool::Symbol;
use crate::algebra::{Fun, Id, Meaning, Node, Pool};
use crate::parse::value::{Bracket, Rel, Value};
use crate::rule::Rule;
use crate::verdict::Verdict;

/// A relation and what it relates, from left to right.
pub(super) type Chain<'a> = (&'a Value, &'a [(Rel, Value)]);

/// Compares a relation, whole and in parts, with another one or with something else.
pub(super) fn compare(
    comparer: &mut Comparer<'_>,
    a: &Value,
    (first, rest): Chain<'_>,
    b: &Value,
) -> Verdict {
    let verdict = match b {
        Value::Relation {
            first: other,
            rest: others,
        } => both(comparer, (first, rest), (other, others)),
        other => assigned_value(comparer, (first, rest), other),
    };
    verdict.or_else(|| by_sets(comparer, a, b))
}

/// Whether two conditions are about one variable, as far as both name one.
pub(crate) fn same_variable(pool: &Pool, a: &Value, b: &Value) -> bool {
    match (realset::variable(pool, a), realset::variable(pool, b)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// Relations as the sets of reals that they hold on.
fn by_sets(comparer: &mut Comparer<'_>, a: &Value, b: &Value) -> Verdict {
    let variable = |comparer: &Comparer<'_>, value: &Value| match value {
        Value::Relation { .. } => realset::variable(comparer.pool, value),
        _ => None,
    };
    if let (Some(x), Some(y)) = (variable(comparer, a), variable(comparer, b))
        && x != y
    {
        return Verdict::Different(Rule::Variable);
    }
    if let Some(interval) = forms::symbolic_interval(comparer.pool, a, b) {
        return comparer.compare(&interval, b);
    }
    let set = |comparer: &mut Comparer<'_>, value: &Value| match value {
        Value::Scalar(..) => None,
        other => RealSet::of(comparer.pool, other),
    };
    match (set(comparer, a), set(comparer, b)) {
        (Some(x), Some(y)) => x.same(comparer, &y),
        (None, Some(set)) => solve::satisfies(comparer, a, &set),
        (Some(set), None) => solve::satisfies(comparer, b, &set),
        _ => Verdict::Different(Rule::Relation),
    }
}

/// Whether a value names something: a symbol, `f(x)`, a length, a tuple of symbols.
pub(crate) fn is_name(pool: &Pool, value: &Value) -> bool {
    match value {
        Value::Scalar(id, _) => names(pool, *id),
        Value::Seq { items, .. } => items.iter().all(|item| is_name(pool, item)),
        Value::Matrix(rows) => rows.iter().flatten().all(|id| names(pool, *id)),
        Value::Ratio(parts) => parts.iter().all(|id| names(pool, *id)),
        _ => false,
    }
}

fn names(pool: &Pool, id: Id) -> bool {
    let capital = |id: Id| match pool.node(id) {
        Node::Symbol(symbol) => pool.is_capital(*symbol),
        _ => false,
    };
    match pool.node(id) {
        Node::Symbol(_) | Node::Apply(..) | Node::E | Node::I => true,
        // AB, a side.
        Node::Mul(items) => items.iter().all(|item| capital(*item)),
        Node::Call(Fun::Abs, args) => names(pool, args[0]),
        Node::Call(Fun::Max | Fun::Min, args) => args.iter().all(|arg| names(pool, *arg)),
        _ => false,
    }
}

/// Whether this is a matrix by name to a power, its inverse or its transpose: a matrix that it is
/// set equal to is its value, as `A^{-1}` against a number would not be.
fn names_power(pool: &Pool, id: Id) -> bool {
    match pool.node(id) {
        Node::Pow(base, _) => names(pool, *base),
        _ => false,
    }
}

/// A relation against something else: what an assignment assigns counts.
fn assigned_value(comparer: &mut Comparer<'_>, (first, rest): Chain<'_>, other: &Value) -> Verdict {
    let Some((_, last)) = rest.last() else {
        return Verdict::Different(Rule::Relation);
    };
    if let [(Rel::Approx, _)] = rest
        && !is_name(comparer.pool, first)
    {
        // `2/3 ~ 0.67`: either side may be met.
        return comparer
            .values(first, other)
            .or_else(|| comparer.values(last, other));
    }
    if let Some((_, value)) = worked_out(comparer.pool, rest) {
        return comparer.values(value, other);
    }
    let all = |wanted: Rel| rest.iter().all(|(rel, _)| *rel == wanted);
    if all(Rel::Equal) || all(Rel::Approx) {
        return match stated(comparer.pool, first, rest, last) {
            Some(value) => comparer.values(value, other),
            None => concluded(comparer, (first, rest), other),
        };
    }
    let gives = match rest {
        [(Rel::In | Rel::To, _)] => true,
        // `x \equiv 3 \pmod 7` gives the residue `3 \pmod 7`.
        [(Rel::Congruent, Value::Scalar(id, _))] => comparer.pool.is_residue(*id),
        _ => false,
    };
    if gives && is_name(comparer.pool, first) {
        return comparer.values(last, other);
    }
    Verdict::Different(Rule::Relation)
}

/// A prediction that is an equation, against a gold answer that is none: its last side where it
/// says what something comes to. A gold equation never is its right side.
fn concluded(comparer: &mut Comparer<'_>, chain: Chain<'_>, other: &Value) -> Verdict {
    let different = Verdict::Different(Rule::Equation);
    let (_, rest) = chain;
    let Some((_, last)) = rest.last().filter(|_| !comparer.gold_is_left()) else {
        return different;
    };
    if !comes_to(comparer, chain) {
        return different;
    }
    match comparer.values(last, other) {
        Verdict::Different(_) => different,
        verdict => verdict,
    }
}

/// Whether the last side of a chain is what its other sides come to: `a + b = 115`,
/// `2y + 7y = (2 + 7)y = 9y`, `15x = 37x - 22x = 251`; not `2x = 6`, which is still to be solved.
fn comes_to(comparer: &mut Comparer<'_>, (first, rest): Chain<'_>) -> bool {
    let Some(((rel, last), before)) = rest.split_last() else {
        return false;
    };
    if *rel != Rel::Equal || before.iter().any(|(rel, _)| *rel != Rel::Equal) {
        return false;
    }
    let constant =
        |pool: &Pool, value: &Value| value.as_scalar().filter(|id| pool.symbols(*id).is_empty());
    let previous = before.last().map_or(first, |(_, value)| value);
    if comparer.values(previous, last).is_equal() {
        return true;
    }
    let Some(end) = constant(comparer.pool, last) else {
        return false;
    };
    // Constants that differ contradict each other.
    let sides = std::iter::once(first).chain(before.iter().map(|(_, value)| value));
    let constants: Vec<Id> = sides
        .filter_map(|side| constant(comparer.pool, side))
        .collect();
    let agree = constants
        .into_iter()
        .all(|id| identity::same(comparer.pool, id, end).is_equal());
    let combines = first
        .as_scalar()
        .is_some_and(|id| combines_names(comparer.pool, id));
    agree && (combines || !before.is_empty())
}

/// Whether this is a sum, a difference or a product of names alone: `a + b`, `f(3) - f(2)`, `mM`.
fn combines_names(pool: &Pool, id: Id) -> bool {
    let name = |id: Id| matches!(pool.node(id), Node::Symbol(_) | Node::Apply(..));
    let signed = |id: Id| match pool.node(id) {
        Node::Mul(items) => matches!(items.as_slice(), [sign, other]
            if pool.as_int(*sign) == Some((-1).into()) && name(*other)),
        _ => name(id),
    };
    match pool.node(id) {
        Node::Add(items) => items.iter().all(|item| signed(*item)),
        Node::Mul(items) => items.iter().all(|item| name(*item)),
        _ => false,
    }
}

/// The end of a chain that works a number out: in `p + q = 144 + 55 = 199` all sides but the first
/// are one number. Where they differ, the chain contradicts itself and states none of them.
fn worked_out<'v>(pool: &Pool, rest: &'v [(Rel, Value)]) -> Option<&'v (Rel, Value)> {
    let (last, before) = rest.split_last()?;
    let end = last.1.as_scalar()?;
    let constant = |(rel, value): &(Rel, Value)| {
        let id = value.as_scalar()?;
        (*rel == Rel::Equal && pool.symbols(id).is_empty()).then_some(id)
    };
    constant(last)?;
    let same = |side: &(Rel, Value)| {
        constant(side).is_some_and(|id| identity::same(pool, id, end).is_equal())
    };
    (!before.is_empty() && before.iter().all(same)).then_some(last)
}

/// The value that a chain of equals signs states, if it states one.
fn stated<'v>(
    pool: &Pool,
    first: &'v Value,
    rest: &'v [(Rel, Value)],
    last: &'v Value,
) -> Option<&'v Value> {
    let constant = |value: &Value| match value {
        Value::Scalar(id, _) => pool.symbols(*id).is_empty(),
        _ => false,
    };
    if is_name(pool, first) && !mentions(pool, last, first) {
        return Some(last);
    }
    if matches!(last, Value::Matrix(_)) && first.as_scalar().is_some_and(|id| names_power(pool, id))
    {
        return Some(last);
    }
    // `5 = x`
    if rest.len() == 1 && is_name(pool, last) && constant(first) {
        return Some(first);
    }
    // `2 + 3 = 5`
    (constant(first) && constant(last)).then_some(last)
}

pub(super) fn mentions(pool: &Pool, value: &Value, name: &Value) -> bool {
    let names: Vec<Symbol> = name
        .ids()
        .into_iter()
        .filter_map(|id| match pool.node(id) {
            Node::Symbol(symbol) => Some(*symbol),
            _ => None,
        })
        .collect();
    value
        .ids()
        .into_iter()
        .any(|id| names.iter().any(|symbol| pool.contains_symbol(id, *symbol)))
}

fn both(comparer: &mut Comparer<'_>, (a, x): Chain<'_>, (b, y): Chain<'_>) -> Verdict {
    let equations = |rest: &[(Rel, Value)]| {
        rest.iter()
            .all(|(rel, _)| matches!(rel, Rel::Equal | Rel::Approx))
    };
    // What was on the way to the number says no more than the number.
    let (x, y) = (
        worked_out(comparer.pool, x).map_or(x, std::slice::from_ref),
        worked_out(comparer.pool, y).map_or(y, std::slice::from_ref),
    );
    if equations(x) && equations(y) {
        let names = is_name(comparer.pool, a) && is_name(comparer.pool, b);
        if names && x.len() + y.len() > 2 {
            // A chain that assigns: its last side counts.
            let (Some((_, p)), Some((_, q))) = (x.last(), y.last()) else {
                return Verdict::Different(Rule::Equation);
            };
            let same_name = comparer.values(a, b);
            if same_name.is_equal() {
                return comparer.values(p, q);
            }
        }
        if x.len() == 1 && y.len() == 1 {
            return equation(comparer, a, &x[0].1, b, &y[0].1);
        }
    }
    if let ([(p, right)], [(q, other)]) = (x, y) {
        return single(comparer, (a, *p, right), (b, *q, other));
    }
    chains(comparer, (a, x), (b, y))
}

/// Chains side by side, in either direction.
fn chains(comparer: &mut Comparer<'_>, (a, x): Chain<'_>, (b, y): Chain<'_>) -> Verdict {
    if x.len() != y.len() {
        return Verdict::Different(Rule::Relation);
    }
    let forward: Vec<(Rel, &Value)> = y.iter().map(|(rel, value)| (*rel, value)).collect();
    let straight = chain_equal(comparer, a, x, b, &forward);
    if straight.is_equal() {
        return straight;
    }
    let mut backward: Vec<(Rel, &Value)> = Vec::new();
    let mut sides: Vec<&Value> = std::iter::once(b)
        .chain(y.iter().map(|(_, value)| value))
        .collect();
    sides.reverse();
    for (at, (rel, _)) in y.iter().rev().enumerate() {
        backward.push((rel.flipped(), sides[at + 1]));
    }
    straight.or_else(|| chain_equal(comparer, a, x, sides[0], &backward))
}

fn chain_equal(
    comparer: &mut Comparer<'_>,
    a: &Value,
    x: &[(Rel, Value)],
    b: &Value,
    y: &[(Rel, &Value)],
) -> Verdict {
    let mut verdict = comparer.values(a, b);
    for ((rel, value), (other_rel, other)) in x.iter().zip(y) {
        if !verdict.is_equal() {
            return verdict;
        }
        if rel != other_rel {
            return Verdict::Different(Rule::Relation);
        }
        verdict = comparer.values(value, other);
    }
    if verdict.is_equal() {
        Verdict::Equal(Rule::Relation)
    } else {
        verdict
    }
}

fn single(
    comparer: &mut Comparer<'_>,
    (a, p, right): (&Value, Rel, &Value),
    (b, q, other): (&Value, Rel, &Value),
) -> Verdict {
    if p.is_order() && q.is_order() {
        return inequality(comparer, (a, p, right), (b, q, other));
    }
    if p != q {
        return Verdict::Different(Rule::Relation);
    }
    if p == Rel::NotEqual {
        return equation(comparer, a, right, b, other);
    }
    let sides = comparer.values(a, b);
    if !sides.is_equal() {
        return sides;
    }
    if p == Rel::Congruent
        && let (Some(x), Some(y)) = (right.as_scalar(), other.as_scalar())
        && let Some(same) = forms::congruent(comparer.pool, x, y)
    {
        return Verdict::of(same, Rule::Congruence);
    }
    comparer.values(right, other)
}

/// Two equations: the same left and right, or differences in a fixed ratio.
fn equation(
    comparer: &mut Comparer<'_>,
    a: &Value,
    right: &Value,
    b: &Value,
    other: &Value,
) -> Verdict {
    let straight = comparer.values(a, b);
    let assigns = is_name(comparer.pool, a) && is_name(comparer.pool, b);
    // `f(x) = ..` and `y = ..` define one function.
    let defines = assigns && is_application(comparer.pool, a) != is_application(comparer.pool, b);
    if let Some(renamed) = forms::renamed_argument(comparer.pool, (a, b), other) {
        return comparer.values(right, &renamed);
    }
    if straight.is_equal() || defines {
        let rest = comparer.values(right, other);
        if rest.is_equal()
            || assigns && !mentions(comparer.pool, right, a) && !mentions(comparer.pool, other, b)
        {
            return rest;
        }
    }
    if let (Some(a), Some(r), Some(b), Some(o)) = (
        a.as_scalar(),
        right.as_scalar(),
        b.as_scalar(),
        other.as_scalar(),
    ) {
        let left = comparer.pool.sub(a, r);
        let right = comparer.pool.sub(b, o);
        return if proportional(comparer.pool, left, right).is_some() {
            Verdict::Equal(Rule::Equation)
        } else {
            let (p, q) = (cleared(comparer.pool, left), cleared(comparer.pool, right));
            if (p, q) == (left, right) {
                return Verdict::Different(Rule::Equation);
            }
            Verdict::of(proportional(comparer.pool, p, q).is_some(), Rule::Equation)
        };
    }
    // `(x, y) = (1, 2)` was compared; try the sides exchanged.
    if comparer.values(a, other).is_equal() && comparer.values(right, b).is_equal() {
        return Verdict::Equal(Rule::Equation);
    }
    Verdict::Different(Rule::Equation)
}

fn is_application(pool: &Pool, value: &Value) -> bool {
    value
        .as_scalar()
        .is_some_and(|id| matches!(pool.node(id), Node::Apply(..)))
}

/// Two inequalities: differences in a fixed ratio whose sign fits.
fn inequality(
    comparer: &mut Comparer<'_>,
    (a, p, right): (&Value, Rel, &Value),
    (b, q, other): (&Value, Rel, &Value),
) -> Verdict {
    let (Some(a), Some(r), Some(b), Some(o)) = (
        a.as_scalar(),
        right.as_scalar(),
        b.as_scalar(),
        other.as_scalar(),
    ) else {
        return Verdict::Different(Rule::Inequality);
    };
    let left = comparer.pool.sub(a, r);
    let right = comparer.pool.sub(b, o);
    let strict = |rel: Rel| matches!(rel, Rel::Less | Rel::Greater);
    let upward = |rel: Rel| matches!(rel, Rel::Greater | Rel::GreaterEqual);
    if strict(p) != strict(q) {
        return Verdict::Different(Rule::Inequality);
    }
    match proportional(comparer.pool, left, right) {
        Some(positive) => Verdict::of(positive == (upward(p) == upward(q)), Rule::Inequality),
        None => Verdict::Different(Rule::Inequality),
    }
}

/// Whether one expression is a constant times the other, and whether that
/// constant is positive.
fn proportional(pool: &mut Pool, a: Id, b: Id) -> Option<bool> {
    let mut symbols = pool.symbols(a);
    symbols.extend(pool.symbols(b));
    symbols.sort_unstable();
    symbols.dedup();
    if symbols.is_empty() {
        return None;
    }
    for attempt in 0..3_i64 {
        let (mut p, mut q) = (a, b);
        for (at, symbol) in symbols.iter().enumerate() {
            let value = 7 + 13 * attempt + 11 * at as i64;
            let value = pool.number(dashu::rational::RBig::from_parts(value.into(), 5u8.into()));
            p = pool.substitute(p, *symbol, value);
            q = pool.substitute(q, *symbol, value);
        }
        let zero = pool.int(0);
        let is_zero = |pool: &Pool, id| {
            !matches!(
                identity::same(pool, id, zero),
                Verdict::Different(Rule::Exact | Rule::IdentityTest)
            )
        };
        if is_zero(pool, p) || is_zero(pool, q) {
            continue;
        }
        let left = pool.mul(&[a, q]);
        let right = pool.mul(&[b, p]);
        if !matches!(identity::same(pool, left, right), Verdict::Equal(_)) {
            return None;
        }
        let (x, y) = (
            super::scalar::approximate(pool, p)?,
            super::scalar::approximate(pool, q)?,
        );
        return Some((x * y) > dashu::rational::RBig::ZERO);
    }
    None
}

/// The expression times its denominators.
fn cleared(pool: &mut Pool, id: Id) -> Id {
    use dashu::base::Signed;
    let terms = match pool.node(id) {
        Node::Add(items) => items.clone(),
        _ => vec![id],
    };
    let mut bottoms: Vec<Id> = Vec::new();
    for term in &terms {
        let factors = match pool.node(*term) {
            Node::Mul(items) => items.clone(),
            _ => vec![*term],
        };
        for factor in factors {
            if let Node::Pow(base, exponent) = *pool.node(factor)
                && pool
                    .as_number(exponent)
                    .is_some_and(dashu::rational::RBig::is_negative)
            {
                let minus = pool.neg(exponent);
                let bottom = pool.pow(base, minus);
                if !bottoms.contains(&bottom) {
                    bottoms.push(bottom);
                }
            }
        }
    }
    if bottoms.is_empty() {
        return id;
    }
    let scaled: Vec<Id> = terms
        .iter()
        .map(|term| {
            let mut factors = bottoms.clone();
            factors.push(*term);
            pool.mul(&factors)
        })
        .collect();
    pool.add(&scaled)
}

/// Lists of assignments: `x=1, x=2` are the values 1 and 2; `x=1, y=2` is a
/// map, which a tuple or list in the same order also gives.
pub(super) fn assignments(comparer: &mut Comparer<'_>, a: &Value, b: &Value) -> Option<Verdict> {
    match (assigned(comparer.pool, a), assigned(comparer.pool, b)) {
        (None, None) => None,
        (Some(x), Some(y)) => Some(two_maps(comparer, &x, y)),
        (Some(list), None) => values_only(comparer, &list, b),
        (None, Some(list)) => comparer.exchanged(|comparer| values_only(comparer, &list, a)),
    }
}

/// Names with their values on both sides, in any order.
fn two_maps(comparer: &mut Comparer<'_>, a: &[Assigned], b: Vec<Assigned>) -> Verdict {
    if a.len() != b.len() {
        return Verdict::Different(Rule::Assignments);
    }
    if single_name(comparer.pool, a) && single_name(comparer.pool, &b) {
        if stem(comparer.pool, &a[0].0) != stem(comparer.pool, &b[0].0) {
            return Verdict::Different(Rule::Variable);
        }
        return comparer.multiset(&rights(a), &rights(&b));
    }
    let mut left_over = b;
    let parts = a.iter().map(|(name, value)| {
        let at = left_over
            .iter()
            .position(|(other, _)| comparer.values(name, other).is_equal());
        match at {
            Some(at) => {
                let (_, other) = left_over.remove(at);
                comparer.values(value, &other)
            }
            None => Verdict::Different(Rule::Assignments),
        }
    });
    Verdict::all(Rule::Assignments, parts)
}

/// Names with their values on the left, values alone on the right.
fn values_only(comparer: &mut Comparer<'_>, list: &[Assigned], other: &Value) -> Option<Verdict> {
    let Value::Seq { items, open, .. } = other else {
        return Some(Verdict::Different(Rule::Assignments));
    };
    // Equations of another form are compared one by one.
    if items
        .iter()
        .any(|item| matches!(item, Value::Relation { .. }))
    {
        return None;
    }
    let values = rights(list);
    if single_name(comparer.pool, list) && matches!(open, Bracket::None | Bracket::Brace) {
        return Some(comparer.multiset(&values, items));
    }
    // `x = 1 or x = 2` is no point.
    let repeated = list.len() > 1 && list.iter().all(|(name, _)| *name == list[0].0);
    if values.len() != items.len() || *open == Bracket::Brace || repeated {
        return Some(Verdict::Different(Rule::Assignments));
    }
    for (x, y) in values.iter().zip(items) {
        let verdict = comparer.values(x, y);
        if !verdict.is_equal() {
            return Some(verdict);
        }
    }
    Some(Verdict::Equal(Rule::Assignments))
}

/// A name and the value it is given.
type Assigned = (Value, Value);

fn rights(list: &[Assigned]) -> Vec<Value> {
    list.iter().map(|(_, value)| value.clone()).collect()
}

/// The items as name and value, if all are assignments.
fn assigned(pool: &Pool, value: &Value) -> Option<Vec<Assigned>> {
    let Value::Seq { items, .. } = value else {
        return None;
    };
    items
        .iter()
        .map(|item| match item {
            Value::Relation { first, rest } if rest.len() == 1 && rest[0].0 == Rel::Equal => {
                (is_name(pool, first) && !mentions(pool, &rest[0].1, first))
                    .then(|| ((**first).clone(), rest[0].1.clone()))
            }
            _ => None,
        })
        .collect()
}

/// Whether all names are one, but for an index: `x_1`, `x_2`.
fn single_name(pool: &Pool, list: &[Assigned]) -> bool {
    let first = list.first().and_then(|(name, _)| stem(pool, name));
    first.is_some() && list.iter().all(|(name, _)| stem(pool, name) == first)
}

/// A name without its index.
#[derive(PartialEq)]
enum Stem<'a> {
    Name(&'a str),
    Mark(&'a str, Id),
    Other(&'a Value),
}

fn stem<'a>(pool: &'a Pool, value: &'a Value) -> Option<Stem<'a>> {
    let Value::Scalar(id, _) = value else {
        return Some(Stem::Other(value));
    };
    let symbol = match pool.node(*id) {
        Node::Symbol(symbol) => symbol,
        Node::Apply(name, _) => return pool.written(*name).map(Stem::Name),
        _ => return None,
    };
    Some(match pool.meaning(*symbol) {
        Meaning::Name(name) => Stem::Name(name.split('_').next().unwrap_or(name)),
        Meaning::Marked { mark, inner, .. } => Stem::Mark(mark, *inner),
        _ => Stem::Other(value),
    })
}
