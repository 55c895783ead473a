//! Integrals over a kink or a jump, as a sum over the smooth pieces: absolute values, signs, the
//! larger or smaller of two, roundings.
//!
//! Found are the kinks at zeros of linear and quadratic expressions, of sines and cosines of linear
//! ones, and of products of these. Others are left alone, and the integral with them.

use dashu::base::{Abs, Signed};
use dashu::rational::RBig;

use super::calculus::{derivative, integral};
use super::numeric::Evaluator;
use super::pool::{Fun, Id, Node, Pool, Symbol};

/// Most kinks inside the bounds.
const MAX_KINKS: usize = 32;

/// The integral of `body` from `low` to `high`, piece by piece; `None` where it has no kink, or one
/// whose place is not known.
pub(super) fn integral_by_pieces(
    pool: &mut Pool,
    body: Id,
    var: Symbol,
    (low, high): (Id, Id),
) -> Option<Id> {
    let kinked: Vec<Id> = pool
        .reach(body)
        .into_iter()
        .filter(|&id| is_kinked(pool.node(id)) && pool.contains_symbol(id, var))
        .collect();
    if kinked.is_empty() {
        return None;
    }
    let ends = (value(pool, low)?, value(pool, high)?);
    if ends.0 >= ends.1 {
        return None;
    }
    let mut places = vec![(ends.0.clone(), low), (ends.1.clone(), high)];
    for id in &kinked {
        for place in kinks(pool, *id, var, &ends)? {
            let at = value(pool, place)?;
            let known = places.iter().any(|(other, _)| close(other, &at));
            if !known && at > ends.0 && at < ends.1 {
                places.push((at, place));
            }
            if places.len() > MAX_KINKS {
                return None;
            }
        }
    }
    places.sort_by(|a, b| a.0.cmp(&b.0));
    let mut parts = Vec::new();
    for pair in places.windows(2) {
        let middle = (&pair[0].0 + &pair[1].0) / RBig::from(2);
        let smooth = smoothed(pool, body, var, &middle)?;
        parts.push(integral(pool, smooth, var, Some((pair[0].1, pair[1].1))));
    }
    Some(pool.add(&parts))
}

fn is_kinked(node: &Node) -> bool {
    matches!(
        node,
        Node::Call(
            Fun::Abs | Fun::Sign | Fun::Max | Fun::Min | Fun::Floor | Fun::Ceil,
            _
        )
    )
}

fn close(a: &RBig, b: &RBig) -> bool {
    let gap = (a - b).abs();
    gap * RBig::from(dashu::integer::IBig::ONE << 60) < RBig::ONE
}

/// A real constant, to far more digits than it takes to sort kinks.
fn value(pool: &Pool, id: Id) -> Option<RBig> {
    if let Some(value) = pool.as_number(id) {
        return Some(value.clone());
    }
    if !pool.symbols(id).is_empty() {
        return None;
    }
    let value = Evaluator::new(pool, 128).eval(id).ok()?;
    let known = value.error <= value.magnitude().max(0) - 80;
    (known && value.is_real())
        .then(|| RBig::try_from(value.re).ok())
        .flatten()
}

/// Where a call has kinks, at least all of those between the ends.
fn kinks(pool: &mut Pool, id: Id, var: Symbol, ends: &(RBig, RBig)) -> Option<Vec<Id>> {
    let Node::Call(fun, args) = pool.node(id).clone() else {
        return None;
    };
    let mut out = Vec::new();
    match (fun, args.as_slice()) {
        (Fun::Abs | Fun::Sign, [x]) => out = zeros(pool, *x, var, ends)?,
        (Fun::Max | Fun::Min, args) if args.len() <= 4 => {
            for (at, a) in args.iter().enumerate() {
                for b in &args[at + 1..] {
                    let gap = pool.sub(*a, *b);
                    out.extend(zeros(pool, gap, var, ends)?);
                }
            }
        }
        (Fun::Floor | Fun::Ceil, [x]) => {
            let one = pool.int(1);
            out = multiples(pool, *x, var, one, ends)?;
        }
        _ => return None,
    }
    Some(out)
}

/// The zeros of an expression between the ends, and perhaps some beyond.
fn zeros(pool: &mut Pool, id: Id, var: Symbol, ends: &(RBig, RBig)) -> Option<Vec<Id>> {
    if !pool.contains_symbol(id, var) {
        return Some(Vec::new());
    }
    match pool.node(id).clone() {
        Node::Mul(items) => {
            let mut out = Vec::new();
            for item in items {
                out.extend(zeros(pool, item, var, ends)?);
            }
            return Some(out);
        }
        Node::Pow(base, power) if pool.as_int(power).is_some_and(|power| power > 0) => {
            return zeros(pool, base, var, ends);
        }
        Node::Call(fun @ (Fun::Sin | Fun::Cos), args) => {
            let pi = pool.insert(Node::Pi);
            let mut angle = args[0];
            if fun == Fun::Cos {
                let two = pool.int(2);
                let quarter = pool.div(pi, two);
                angle = pool.add(&[angle, quarter]);
            }
            return multiples(pool, angle, var, pi, ends);
        }
        _ => {}
    }
    let zero = pool.int(0);
    let slope = derivative(pool, id, var)?;
    let curve = derivative(pool, slope, var)?;
    let constant = pool.substitute(id, var, zero);
    if pool.contains_symbol(curve, var) {
        return None;
    }
    let slope = pool.substitute(slope, var, zero);
    if value(pool, curve)?.is_zero() {
        let minus = pool.neg(constant);
        return Some(vec![pool.div(minus, slope)]);
    }
    // (-b -+ sqrt(b^2 - 2 (2a) c)) / 2a
    let two = pool.int(2);
    let square = pool.pow(slope, two);
    let product = pool.mul(&[two, curve, constant]);
    let inside = pool.sub(square, product);
    if value(pool, inside)?.is_negative() {
        return Some(Vec::new());
    }
    let root = pool.sqrt(inside);
    let minus = pool.neg(slope);
    let (low, high) = (pool.sub(minus, root), pool.add(&[minus, root]));
    Some(vec![pool.div(low, curve), pool.div(high, curve)])
}

/// Where a linear expression is a whole number of steps.
fn multiples(
    pool: &mut Pool,
    id: Id,
    var: Symbol,
    step: Id,
    ends: &(RBig, RBig),
) -> Option<Vec<Id>> {
    let zero = pool.int(0);
    let slope = derivative(pool, id, var)?;
    if pool.contains_symbol(slope, var) {
        return None;
    }
    let constant = pool.substitute(id, var, zero);
    let (rise, start, unit) = (
        value(pool, slope)?,
        value(pool, constant)?,
        value(pool, step)?,
    );
    let at = |x: &RBig| (&rise * x + &start) / &unit;
    let (mut first, mut last) = (at(&ends.0), at(&ends.1));
    if first > last {
        std::mem::swap(&mut first, &mut last);
    }
    let (first, last) = (first.ceil(), last.floor());
    let first = i64::try_from(first).ok()?;
    let last = i64::try_from(last).ok()?;
    if last.checked_sub(first)? > MAX_KINKS as i64 {
        return None;
    }
    let mut out = Vec::new();
    for count in first..=last {
        let count = pool.int(count);
        let reached = pool.mul(&[count, step]);
        let gap = pool.sub(reached, constant);
        out.push(pool.div(gap, slope));
    }
    Some(out)
}

/// The body without the kinks, as it is around a place.
fn smoothed(pool: &mut Pool, body: Id, var: Symbol, middle: &RBig) -> Option<Id> {
    let mut body = body;
    let at = pool.number(middle.clone());
    // Inner ones first: replacing them makes new outer ones.
    for _ in 0..MAX_KINKS {
        let mut kinked: Vec<Id> = pool
            .reach(body)
            .into_iter()
            .filter(|&id| is_kinked(pool.node(id)) && pool.contains_symbol(id, var))
            .collect();
        kinked.sort_unstable();
        let Some(&inner) = kinked.first() else {
            return Some(body);
        };
        let node = pool.node(inner).clone();
        let Node::Call(fun, args) = &node else {
            return None;
        };
        let values = args
            .iter()
            .map(|arg| {
                let here = pool.substitute(*arg, var, at);
                value(pool, here)
            })
            .collect::<Option<Vec<_>>>()?;
        let with = match fun {
            Fun::Abs if values[0].is_negative() => pool.neg(args[0]),
            Fun::Abs => args[0],
            Fun::Sign => pool.int(if values[0].is_negative() { -1 } else { 1 }),
            Fun::Floor => pool.number(RBig::from(values[0].clone().floor())),
            Fun::Ceil => pool.number(RBig::from(values[0].clone().ceil())),
            Fun::Max => args[(0..args.len()).max_by_key(|&at| &values[at])?],
            _ => args[(0..args.len()).min_by_key(|&at| &values[at])?],
        };
        body = pool.replace(body, &node, with);
    }
    None
}
