//! Equations, inequalities, memberships and lists of assignments.

use super::Verdict;
use super::forms;
use super::realset::{self, RealSet};
use super::shapes::{Comparer, decide};
use super::solve;
use crate::algebra::identity::{self, Verdict as Same};
use crate::algebra::pool::Symbol;
use crate::algebra::{Fun, Id, Node, Pool};
use crate::parse::value::{Bracket, Rel, Value};

/// Compares two values of which at least one is a relation.
pub(crate) fn compare(comparer: &mut Comparer<'_>, gold: &Value, prediction: &Value) -> Verdict {
    match (gold, prediction) {
        (Value::Relation { first: a, rest: x }, Value::Relation { first: b, rest: y }) => {
            both(comparer, (a, x), (b, y)).or_else(|| by_sets(comparer, gold, prediction))
        }
        (Value::Relation { first, rest }, other) => {
            one(comparer, first, rest, other, true).or_else(|| by_sets(comparer, gold, prediction))
        }
        (other, Value::Relation { first, rest }) => {
            one(comparer, first, rest, other, false).or_else(|| by_sets(comparer, gold, prediction))
        }
        _ => Verdict::Different("relation"),
    }
}

/// Whether two conditions are about one variable, as far as both name one.
pub(crate) fn same_variable(pool: &Pool, a: &Value, b: &Value) -> bool {
    match (realset::variable(pool, a), realset::variable(pool, b)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

fn by_sets(comparer: &mut Comparer<'_>, gold: &Value, prediction: &Value) -> Verdict {
    let set = |comparer: &mut Comparer<'_>, value: &Value| match value {
        Value::Scalar(..) => None,
        other => RealSet::of(comparer.pool, other),
    };
    let (a, b) = (set(comparer, gold), set(comparer, prediction));
    let symbols = |comparer: &Comparer<'_>, value: &Value| match value {
        Value::Relation { .. } => realset::variable(comparer.pool, value),
        _ => None,
    };
    let (x, y) = (symbols(comparer, gold), symbols(comparer, prediction));
    if let (Some(x), Some(y)) = (x, y)
        && x != y
    {
        return Verdict::Different("variable");
    }
    if let Some(verdict) = forms::symbolic_interval(comparer, gold, prediction) {
        return verdict;
    }
    match (a, b) {
        (Some(a), Some(b)) => a.same(comparer, &b),
        (None, Some(set)) => solve::satisfies(comparer, gold, &set),
        (Some(set), None) => solve::satisfies(comparer, prediction, &set),
        _ => Verdict::Different("relation"),
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
        Node::Symbol(symbol) => pool
            .symbol_name(*symbol)
            .starts_with(|c: char| c.is_ascii_uppercase()),
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

/// A relation against something else: what an assignment assigns counts.
fn one(
    comparer: &mut Comparer<'_>,
    first: &Value,
    rest: &[(Rel, Value)],
    other: &Value,
    relation_is_gold: bool,
) -> Verdict {
    let run = |comparer: &mut Comparer<'_>, value: &Value| {
        if relation_is_gold {
            comparer.values(value, other)
        } else {
            comparer.values(other, value)
        }
    };
    let all = |wanted: Rel| rest.iter().all(|(rel, _)| *rel == wanted);
    let Some((_, last)) = rest.last() else {
        return Verdict::Different("relation");
    };
    if rest.len() == 1 && rest[0].0 == Rel::Approx && !is_name(comparer.pool, first) {
        // `2/3 ~ 0.67`: either side may be met.
        return run(comparer, first).or_else(|| run(comparer, last));
    }
    if all(Rel::Equal) || all(Rel::Approx) {
        let constant = |value: &Value| match value {
            Value::Scalar(id, _) => comparer.pool.symbols(*id).is_empty(),
            _ => false,
        };
        if is_name(comparer.pool, first) && !mentions(comparer.pool, last, first) {
            return run(comparer, last);
        }
        // `5 = x`, `2 + 3 = 5`.
        if rest.len() == 1 && is_name(comparer.pool, last) && constant(first) {
            return run(comparer, first);
        }
        if constant(first) && constant(last) {
            return run(comparer, last);
        }
        return Verdict::Different("equation");
    }
    // `x \equiv 3 \pmod 7` gives the residue `3 \pmod 7`.
    let residue = matches!(rest[0], (Rel::Congruent, Value::Scalar(id, _))
        if matches!(comparer.pool.node(id), Node::Apply(..)));
    if rest.len() == 1
        && (matches!(rest[0].0, Rel::In | Rel::To) || residue)
        && is_name(comparer.pool, first)
    {
        return run(comparer, last);
    }
    Verdict::Different("relation")
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

type Chain<'a> = (&'a Value, &'a [(Rel, Value)]);

fn both(
    comparer: &mut Comparer<'_>,
    (a, x): (&Value, &[(Rel, Value)]),
    (b, y): (&Value, &[(Rel, Value)]),
) -> Verdict {
    let equations = |rest: &[(Rel, Value)]| {
        rest.iter()
            .all(|(rel, _)| matches!(rel, Rel::Equal | Rel::Approx))
    };
    if equations(x) && equations(y) {
        let names = is_name(comparer.pool, a) && is_name(comparer.pool, b);
        if names && x.len() + y.len() > 2 {
            // A chain that assigns: its last side counts.
            let (Some((_, p)), Some((_, q))) = (x.last(), y.last()) else {
                return Verdict::Different("equation");
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
        return Verdict::Different("relation");
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
            return Verdict::Different("relation");
        }
        verdict = comparer.values(value, other);
    }
    if verdict.is_equal() {
        Verdict::Equal("relation")
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
        return Verdict::Different("relation");
    }
    if p == Rel::NotEqual {
        return equation(comparer, a, right, b, other);
    }
    let sides = comparer.values(a, b);
    if !sides.is_equal() {
        return sides;
    }
    if p == Rel::Congruent
        && let Some(same) = forms::congruent(comparer.pool, right, other)
    {
        return decide(same, "congruence");
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
            Verdict::Equal("equation")
        } else {
            let (p, q) = (cleared(comparer.pool, left), cleared(comparer.pool, right));
            if (p, q) == (left, right) {
                return Verdict::Different("equation");
            }
            decide(proportional(comparer.pool, p, q).is_some(), "equation")
        };
    }
    // `(x, y) = (1, 2)` was compared; try the sides exchanged.
    if comparer.values(a, other).is_equal() && comparer.values(right, b).is_equal() {
        return Verdict::Equal("equation");
    }
    Verdict::Different("equation")
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
        return Verdict::Different("inequality");
    };
    let left = comparer.pool.sub(a, r);
    let right = comparer.pool.sub(b, o);
    let strict = |rel: Rel| matches!(rel, Rel::Less | Rel::Greater);
    let upward = |rel: Rel| matches!(rel, Rel::Greater | Rel::GreaterEqual);
    if strict(p) != strict(q) {
        return Verdict::Different("inequality");
    }
    match proportional(comparer.pool, left, right) {
        Some(positive) => decide(positive == (upward(p) == upward(q)), "inequality"),
        None => Verdict::Different("inequality"),
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
                Same::Different("exact" | "identity test")
            )
        };
        if is_zero(pool, p) || is_zero(pool, q) {
            continue;
        }
        let left = pool.mul(&[a, q]);
        let right = pool.mul(&[b, p]);
        if !matches!(identity::same(pool, left, right), Same::Equal(_)) {
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
pub(crate) fn assignments(
    comparer: &mut Comparer<'_>,
    gold: &Value,
    prediction: &Value,
) -> Option<Verdict> {
    let a = assigned(comparer.pool, gold);
    let b = assigned(comparer.pool, prediction);
    match (a, b) {
        (None, None) => None,
        (Some(a), Some(b)) => {
            if a.len() != b.len() {
                return Some(Verdict::Different("assignments"));
            }
            let (one_name_a, one_name_b) = (
                single_name(comparer.pool, &a),
                single_name(comparer.pool, &b),
            );
            if one_name_a && one_name_b {
                if stem(comparer.pool, &a[0].0) != stem(comparer.pool, &b[0].0) {
                    return Some(Verdict::Different("variable"));
                }
                let (x, y) = (rights(&a), rights(&b));
                return Some(comparer.multiset(&x, &y));
            }
            let mut order = b;
            let mut verdict = Verdict::Equal("assignments");
            for (name, value) in &a {
                let at = order
                    .iter()
                    .position(|(other, _)| comparer.values(name, other).is_equal());
                let Some(at) = at else {
                    return Some(Verdict::Different("assignments"));
                };
                let (_, other) = order.remove(at);
                match comparer.values(value, &other) {
                    Verdict::Equal(_) => {}
                    Verdict::Different(_) => return Some(Verdict::Different("assignments")),
                    Verdict::Undecided => verdict = Verdict::Undecided,
                }
            }
            Some(verdict)
        }
        (Some(list), None) => values_only(comparer, &list, prediction, true),
        (None, Some(list)) => values_only(comparer, &list, gold, false),
    }
}

fn values_only(
    comparer: &mut Comparer<'_>,
    list: &[(Value, Value)],
    other: &Value,
    list_is_gold: bool,
) -> Option<Verdict> {
    let Value::Seq { items, open, .. } = other else {
        return Some(Verdict::Different("assignments"));
    };
    if items
        .iter()
        .any(|item| matches!(item, Value::Relation { .. }))
    {
        // Equations of another form: compared one by one.
        return None;
    }
    let values = rights(list);
    let (a, b) = if list_is_gold {
        (&values, items)
    } else {
        (items, &values)
    };
    if single_name(comparer.pool, list) && matches!(open, Bracket::None | Bracket::Brace) {
        return Some(comparer.multiset(a, b));
    }
    // `x = 1 or x = 2` is no point.
    let repeated = list.len() > 1 && list.iter().all(|(name, _)| *name == list[0].0);
    if a.len() != b.len() || *open == Bracket::Brace || repeated {
        return Some(Verdict::Different("assignments"));
    }
    for (x, y) in a.iter().zip(b) {
        let verdict = comparer.values(x, y);
        if !verdict.is_equal() {
            return Some(verdict);
        }
    }
    Some(Verdict::Equal("assignments"))
}

fn rights(list: &[(Value, Value)]) -> Vec<Value> {
    list.iter().map(|(_, value)| value.clone()).collect()
}

/// The items as name and value, if all are assignments.
fn assigned(pool: &Pool, value: &Value) -> Option<Vec<(Value, Value)>> {
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
fn single_name(pool: &Pool, list: &[(Value, Value)]) -> bool {
    let first = list.first().and_then(|(name, _)| stem(pool, name));
    first.is_some() && list.iter().all(|(name, _)| stem(pool, name) == first)
}

/// A name without its index.
fn stem(pool: &Pool, value: &Value) -> Option<String> {
    match value {
        Value::Scalar(id, _) => match pool.node(*id) {
            Node::Symbol(symbol) => {
                let name = pool.symbol_name(*symbol);
                Some(name.split('_').next().unwrap_or(name).to_owned())
            }
            Node::Apply(name, _) => Some(pool.symbol_name(*name).to_owned()),
            _ => None,
        },
        other => Some(format!("{other:?}")),
    }
}
