//! Conditions in one variable: solved where they are of degree one or two, and
//! tried at many points where they are not.

use std::cmp::Ordering;

use dashu::rational::RBig;

use super::realset::{End, Piece, RealSet, variable};
use super::scalar;
use super::shapes::Comparer;
use crate::algebra::calculus;
use crate::algebra::identity;
use crate::algebra::pool::Symbol;
use crate::algebra::{Id, Node, Pool};
use crate::parse::value::{Rel, Value};
use crate::rule::Rule;
use crate::verdict::Verdict;

/// `p(x) rel 0` for a polynomial of degree one or two.
pub(super) fn solve(pool: &mut Pool, difference: Id, var: Symbol, rel: Rel) -> Option<RealSet> {
    let zero = pool.int(0);
    let slope = calculus::derivative(pool, difference, var)?;
    let curve = calculus::derivative(pool, slope, var)?;
    let bend = calculus::derivative(pool, curve, var)?;
    let vanishes = |pool: &Pool, id: Id| {
        id == zero || matches!(identity::same(pool, id, zero), Verdict::Equal(_))
    };
    let constant = pool.substitute(difference, var, zero);
    let linear = pool.substitute(slope, var, zero);
    if pool.symbols(constant).len() + pool.symbols(linear).len() > 0 {
        return None;
    }
    if vanishes(pool, curve) {
        if vanishes(pool, linear) {
            return None;
        }
        let minus = pool.neg(constant);
        let root = pool.div(minus, linear);
        let rising = scalar::order(pool, linear, zero)? == Ordering::Greater;
        return from_roots(pool, &[root], rising, rel);
    }
    if !vanishes(pool, bend) {
        return None;
    }
    let second = pool.substitute(curve, var, zero);
    // a = second / 2; roots are (-b -+ sqrt(b^2 - 2 second c)) / second.
    let two = pool.int(2);
    let square = pool.pow(linear, two);
    let product = pool.mul(&[two, second, constant]);
    let inside = pool.sub(square, product);
    let positive = scalar::order(pool, second, zero)? == Ordering::Greater;
    let roots = match scalar::order(pool, inside, zero)? {
        Ordering::Less => Vec::new(),
        Ordering::Equal => {
            let minus = pool.neg(linear);
            let root = pool.div(minus, second);
            vec![root, root]
        }
        Ordering::Greater => {
            let spread = pool.sqrt(inside);
            let minus = pool.neg(linear);
            let (low, high) = (pool.sub(minus, spread), pool.add(&[minus, spread]));
            let (low, high) = (pool.div(low, second), pool.div(high, second));
            if positive {
                vec![low, high]
            } else {
                vec![high, low]
            }
        }
    };
    from_roots(pool, &roots, positive, rel)
}

/// Where a polynomial with these roots, of this sign at the right, satisfies `rel 0`.
fn from_roots(pool: &Pool, roots: &[Id], positive: bool, rel: Rel) -> Option<RealSet> {
    let closed = matches!(rel, Rel::LessEqual | Rel::GreaterEqual);
    if matches!(rel, Rel::Equal | Rel::NotEqual) {
        let points = roots
            .iter()
            .map(|root| Piece {
                low: End::At(*root),
                low_closed: true,
                high: End::At(*root),
                high_closed: true,
            })
            .collect();
        let set = RealSet::from_pieces(pool, points)?;
        return Some(if rel == Rel::Equal {
            set
        } else {
            set.complement()
        });
    }
    if !rel.is_order() {
        return None;
    }
    let wants_positive = matches!(rel, Rel::Greater | Rel::GreaterEqual);
    let mut pieces = Vec::new();
    let mut high = End::Infinity;
    let mut sign = positive;
    for at in (0..=roots.len()).rev() {
        let low = if at == 0 {
            End::MinusInfinity
        } else {
            End::At(roots[at - 1])
        };
        if sign == wants_positive {
            pieces.push(Piece {
                low,
                low_closed: closed && matches!(low, End::At(_)),
                high,
                high_closed: closed && matches!(high, End::At(_)),
            });
        }
        high = low;
        sign = !sign;
    }
    if closed {
        for root in roots {
            let end = End::At(*root);
            pieces.push(Piece {
                low: end,
                low_closed: true,
                high: end,
                high_closed: true,
            });
        }
    }
    RealSet::from_pieces(pool, pieces)
}

/// Whether a condition that could not be solved holds on a set and nowhere
/// else, tried at its ends, near them and at many points between.
pub(crate) fn satisfies(comparer: &mut Comparer<'_>, condition: &Value, set: &RealSet) -> Verdict {
    let Some(var) = variable(comparer.pool, condition) else {
        return Verdict::Different(Rule::SampledSet);
    };
    let Value::Relation { first, rest } = condition else {
        return Verdict::Different(Rule::SampledSet);
    };
    if !rest.iter().all(|(rel, _)| rel.is_order()) {
        return Verdict::Different(Rule::SampledSet);
    }
    let pool = &mut *comparer.pool;
    let mut places: Vec<RBig> = (-40..=40)
        .map(|k: i64| RBig::from_parts((k * 7).into(), 3u8.into()))
        .collect();
    let mut exact = Vec::new();
    for piece in &set.pieces {
        for end in [piece.low, piece.high] {
            let End::At(id) = end else { continue };
            exact.push(id);
            let Some(value) = scalar::approximate(pool, id) else {
                return Verdict::Undecided;
            };
            for step in [1, 4, 9, 97, 100_003] {
                let gap = RBig::from_parts(1.into(), (step as u64).into());
                places.push(&value + &gap);
                places.push(&value - &gap);
            }
        }
    }
    let mut points = exact;
    points.extend(places.into_iter().map(|place| pool.number(place)));
    for point in points {
        let Some(inside) = set.contains(pool, point) else {
            return Verdict::Undecided;
        };
        let Some(holds) = holds_at(pool, first, rest, var, point) else {
            return Verdict::Undecided;
        };
        if inside != holds {
            return Verdict::Different(Rule::SampledSet);
        }
    }
    Verdict::of(!set.pieces.is_empty(), Rule::SampledSet)
}

fn holds_at(
    pool: &mut Pool,
    first: &Value,
    rest: &[(Rel, Value)],
    var: Symbol,
    point: Id,
) -> Option<bool> {
    let mut left = first.as_scalar()?;
    for (rel, right) in rest {
        let right = right.as_scalar()?;
        let (a, b) = (
            pool.substitute(left, var, point),
            pool.substitute(right, var, point),
        );
        if pool.any(a, |node| *node == Node::Undefined)
            || pool.any(b, |node| *node == Node::Undefined)
        {
            return Some(false);
        }
        let found = scalar::order(pool, a, b)?;
        let fits = match rel {
            Rel::Less => found == Ordering::Less,
            Rel::LessEqual => found != Ordering::Greater,
            Rel::Greater => found == Ordering::Greater,
            Rel::GreaterEqual => found != Ordering::Less,
            _ => return None,
        };
        if !fits {
            return Some(false);
        }
        left = right;
    }
    Some(true)
}
