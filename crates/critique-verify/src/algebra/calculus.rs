//! Derivatives of everything, antiderivatives of a short table.
//!
//! Left out: integration by parts, partial fractions, substitution other than
//! a linear one. What is not in the table stays an integral, which the numeric
//! test evaluates when it has bounds.

use std::collections::HashMap;

use dashu::rational::RBig;

use super::pool::{Fun, Id, Node, Pool, Symbol};

/// The derivative of `id` in `var`; `None` where there is no closed form.
pub(crate) fn derivative(pool: &mut Pool, id: Id, var: Symbol) -> Option<Id> {
    let mut order = pool.reach(id);
    order.sort_unstable();
    let mut known: HashMap<Id, Option<Id>> = HashMap::new();
    for next in order {
        pool.budget.spend(2).ok()?;
        let value = rule(pool, next, var, &known);
        known.insert(next, value);
    }
    known.get(&id).copied().flatten()
}

fn rule(pool: &mut Pool, id: Id, var: Symbol, known: &HashMap<Id, Option<Id>>) -> Option<Id> {
    let of = |id: Id| known.get(&id).copied().flatten();
    let zero = pool.int(0);
    match pool.node(id).clone() {
        Node::Symbol(symbol) => Some(if symbol == var { pool.int(1) } else { zero }),
        Node::Number(_) | Node::Pi | Node::E | Node::I | Node::Infinity => Some(zero),
        Node::Add(items) => {
            let parts = items
                .iter()
                .map(|item| of(*item))
                .collect::<Option<Vec<_>>>()?;
            Some(pool.add(&parts))
        }
        Node::Mul(items) => {
            let slopes = items
                .iter()
                .map(|item| of(*item))
                .collect::<Option<Vec<_>>>()?;
            Some(product_rule(pool, &items, &slopes))
        }
        Node::Pow(base, exponent) => {
            let slopes = (of(base)?, of(exponent)?);
            Some(power_rule(pool, id, (base, exponent), slopes))
        }
        Node::Call(fun, args) => call_rule(pool, id, fun, &args, known),
        Node::Integral {
            var: inner,
            bounds: Some((low, high)),
            body,
        } => {
            if pool.contains_symbol(body, var) && inner != var {
                return None;
            }
            let (low_slope, high_slope) = (of(low)?, of(high)?);
            let mut end = |at: Id, slope: Id| {
                let value = pool.substitute(body, inner, at);
                pool.mul(&[value, slope])
            };
            let (gained, lost) = (end(high, high_slope), end(low, low_slope));
            Some(pool.sub(gained, lost))
        }
        Node::Integral {
            var: inner,
            bounds: None,
            body,
        } => (inner == var).then_some(body),
        _ => {
            let moves = pool.contains_symbol(id, var);
            (!moves).then_some(zero)
        }
    }
}

/// Each factor's slope times the other factors.
fn product_rule(pool: &mut Pool, items: &[Id], slopes: &[Id]) -> Id {
    let zero = pool.int(0);
    let mut parts = Vec::new();
    for (at, slope) in slopes
        .iter()
        .enumerate()
        .filter(|(_, slope)| **slope != zero)
    {
        let mut factors = items.to_vec();
        factors[at] = *slope;
        parts.push(pool.mul(&factors));
    }
    pool.add(&parts)
}

/// `b^e` changes by its base, `e b^{e-1} b'`, and by its exponent, `b^e ln(b) e'`.
fn power_rule(
    pool: &mut Pool,
    power: Id,
    (base, exponent): (Id, Id),
    (inner, outer): (Id, Id),
) -> Id {
    let zero = pool.int(0);
    let mut parts = Vec::new();
    if inner != zero {
        let one = pool.int(1);
        let lower = pool.sub(exponent, one);
        let lowered = pool.pow(base, lower);
        parts.push(pool.mul(&[exponent, lowered, inner]));
    }
    if outer != zero {
        let log = if *pool.node(base) == Node::E {
            pool.int(1)
        } else {
            pool.call(Fun::Ln, &[base])
        };
        parts.push(pool.mul(&[power, log, outer]));
    }
    pool.add(&parts)
}

fn call_rule(
    pool: &mut Pool,
    id: Id,
    fun: Fun,
    args: &[Id],
    known: &HashMap<Id, Option<Id>>,
) -> Option<Id> {
    let zero = pool.int(0);
    let slopes = args
        .iter()
        .map(|arg| known.get(arg).copied().flatten())
        .collect::<Option<Vec<_>>>()?;
    if slopes.iter().all(|slope| *slope == zero) {
        return Some(zero);
    }
    if let (Fun::Log, [x, base]) = (fun, args) {
        // log_b x = ln x / ln b, by the quotient rule on the two logarithms.
        if slopes[1] != zero {
            return None;
        }
        let log = pool.call(Fun::Ln, &[*base]);
        let bottom = pool.mul(&[*x, log]);
        return Some(pool.div(slopes[0], bottom));
    }
    if let (Fun::Root, [x, degree]) = (fun, args) {
        let bottom = pool.mul(&[*x, *degree]);
        let factor = pool.div(id, bottom);
        return Some(pool.mul(&[factor, slopes[0]]));
    }
    let &[x] = args else { return None };
    let outer = outer_slope(pool, id, fun, x)?;
    Some(pool.mul(&[outer, slopes[0]]))
}

/// `f'(x)` for a function of one argument; `id` is `f(x)`.
fn outer_slope(pool: &mut Pool, id: Id, fun: Fun, x: Id) -> Option<Id> {
    let one = pool.int(1);
    let two = pool.int(2);
    let minus = pool.int(-1);
    let square = pool.pow(x, two);
    let value_square = pool.pow(id, two);
    let out = match fun {
        Fun::Sin => pool.call(Fun::Cos, &[x]),
        Fun::Cos => {
            let sin = pool.call(Fun::Sin, &[x]);
            pool.neg(sin)
        }
        Fun::Tan => pool.add(&[one, value_square]),
        Fun::Cot => {
            let sum = pool.add(&[one, value_square]);
            pool.neg(sum)
        }
        Fun::Sec => {
            let tan = pool.call(Fun::Tan, &[x]);
            pool.mul(&[id, tan])
        }
        Fun::Csc => {
            let cot = pool.call(Fun::Cot, &[x]);
            pool.mul(&[minus, id, cot])
        }
        Fun::Sinh => pool.call(Fun::Cosh, &[x]),
        Fun::Cosh => pool.call(Fun::Sinh, &[x]),
        Fun::Tanh => pool.sub(one, value_square),
        Fun::Ln => pool.pow(x, minus),
        Fun::Asin | Fun::Acos => {
            let inside = pool.sub(one, square);
            let root = pool.sqrt(inside);
            let slope = pool.pow(root, minus);
            if fun == Fun::Asin {
                slope
            } else {
                pool.neg(slope)
            }
        }
        Fun::Atan | Fun::Acot => {
            let sum = pool.add(&[one, square]);
            let slope = pool.pow(sum, minus);
            if fun == Fun::Atan {
                slope
            } else {
                pool.neg(slope)
            }
        }
        Fun::Asinh => {
            let sum = pool.add(&[one, square]);
            let root = pool.sqrt(sum);
            pool.pow(root, minus)
        }
        Fun::Acosh => {
            let difference = pool.sub(square, one);
            let root = pool.sqrt(difference);
            pool.pow(root, minus)
        }
        Fun::Atanh => {
            let difference = pool.sub(one, square);
            pool.pow(difference, minus)
        }
        Fun::Abs => pool.call(Fun::Sign, &[x]),
        _ => return None,
    };
    Some(out)
}

/// An antiderivative of `id` in `var`, term by term.
pub(crate) fn antiderivative(pool: &mut Pool, id: Id, var: Symbol) -> Option<Id> {
    let id = expand(pool, id, var);
    let terms = match pool.node(id) {
        Node::Add(items) => items.clone(),
        _ => vec![id],
    };
    let parts = terms
        .into_iter()
        .map(|term| term_rule(pool, term, var))
        .collect::<Option<Vec<_>>>()?;
    Some(pool.add(&parts))
}

/// Multiplies out products and small powers of sums that hold `var`.
fn expand(pool: &mut Pool, id: Id, var: Symbol) -> Id {
    let factors: Vec<Id> = match pool.node(id).clone() {
        Node::Mul(items) => items,
        Node::Add(items) => {
            let parts: Vec<Id> = items
                .iter()
                .map(|item| expand_term(pool, *item, var))
                .collect();
            return pool.add(&parts);
        }
        Node::Pow(base, exponent) => match (pool.node(base), pool.as_int(exponent)) {
            (Node::Add(_), Some(times @ 2..=6)) => vec![base; times as usize],
            _ => return id,
        },
        _ => return id,
    };
    let mut terms = vec![pool.int(1)];
    for factor in factors {
        let factor = if matches!(pool.node(factor), Node::Pow(..)) {
            expand(pool, factor, var)
        } else {
            factor
        };
        let items = match pool.node(factor) {
            Node::Add(items) => items.clone(),
            _ => vec![factor],
        };
        if terms.len() * items.len() > 200 {
            return id;
        }
        let mut next = Vec::new();
        for term in &terms {
            for item in &items {
                next.push(pool.mul(&[*term, *item]));
            }
        }
        terms = next;
    }
    pool.add(&terms)
}

fn expand_term(pool: &mut Pool, id: Id, var: Symbol) -> Id {
    match pool.node(id) {
        Node::Mul(_) | Node::Pow(..) => expand(pool, id, var),
        _ => id,
    }
}

fn term_rule(pool: &mut Pool, term: Id, var: Symbol) -> Option<Id> {
    let factors = match pool.node(term) {
        Node::Mul(items) => items.clone(),
        _ => vec![term],
    };
    let (moving, fixed): (Vec<Id>, Vec<Id>) = factors
        .into_iter()
        .partition(|factor| pool.contains_symbol(*factor, var));
    let fixed = pool.mul(&fixed);
    let x = pool.insert(Node::Symbol(var));
    let found = match moving.as_slice() {
        [] => x,
        [single] => single_rule(pool, *single, var)?,
        _ => return None,
    };
    Some(pool.mul(&[fixed, found]))
}

/// `f(ax + b)` for the functions in the table.
fn single_rule(pool: &mut Pool, id: Id, var: Symbol) -> Option<Id> {
    let one = pool.int(1);
    let (inner, found) = match pool.node(id).clone() {
        Node::Symbol(_) => {
            let two = pool.int(2);
            let square = pool.pow(id, two);
            (id, pool.div(square, two))
        }
        Node::Pow(base, exponent) if !pool.contains_symbol(exponent, var) => {
            if pool.as_int(exponent) == Some(-1) {
                let size = pool.call(Fun::Abs, &[base]);
                (base, pool.call(Fun::Ln, &[size]))
            } else {
                let higher = pool.add(&[exponent, one]);
                let power = pool.pow(base, higher);
                (base, pool.div(power, higher))
            }
        }
        Node::Pow(base, exponent) if !pool.contains_symbol(base, var) => {
            let log = if *pool.node(base) == Node::E {
                one
            } else {
                pool.call(Fun::Ln, &[base])
            };
            (exponent, pool.div(id, log))
        }
        Node::Call(fun, args) => {
            let &[x] = args.as_slice() else { return None };
            (x, function_rule(pool, fun, x)?)
        }
        _ => return None,
    };
    let slope = derivative(pool, inner, var)?;
    if pool.contains_symbol(slope, var) {
        return None;
    }
    Some(pool.div(found, slope))
}

fn function_rule(pool: &mut Pool, fun: Fun, x: Id) -> Option<Id> {
    Some(match fun {
        Fun::Sin => {
            let cos = pool.call(Fun::Cos, &[x]);
            pool.neg(cos)
        }
        Fun::Cos => pool.call(Fun::Sin, &[x]),
        Fun::Tan => {
            let cos = pool.call(Fun::Cos, &[x]);
            let size = pool.call(Fun::Abs, &[cos]);
            let log = pool.call(Fun::Ln, &[size]);
            pool.neg(log)
        }
        Fun::Sinh => pool.call(Fun::Cosh, &[x]),
        Fun::Cosh => pool.call(Fun::Sinh, &[x]),
        Fun::Ln => {
            let log = pool.call(Fun::Ln, &[x]);
            let product = pool.mul(&[x, log]);
            pool.sub(product, x)
        }
        _ => return None,
    })
}

/// Highest degree of a summand that is summed in closed form.
const MAX_SUM_DEGREE: usize = 8;

/// The sum of a polynomial over `low..=high`, by Newton's forward differences;
/// `None` where the body is no polynomial in `var`.
pub(crate) fn polynomial_sum(
    pool: &mut Pool,
    body: Id,
    var: Symbol,
    low: Id,
    high: Id,
) -> Option<Id> {
    use super::identity::infinite;
    let zero = pool.int(0);
    let one = pool.int(1);
    let mut slope = body;
    let mut degree = 0;
    while slope != zero {
        slope = derivative(pool, slope, var)?;
        degree += 1;
        if degree > MAX_SUM_DEGREE + 1 {
            return None;
        }
    }
    if infinite(pool, low) || infinite(pool, high) {
        return None;
    }
    let length = pool.sub(high, low);
    let count = pool.add(&[length, one]);
    if pool
        .as_number(count)
        .is_some_and(|count| *count < RBig::ZERO)
    {
        return None;
    }
    let mut values: Vec<Id> = (0..degree as i64)
        .map(|step| {
            let step = pool.int(step);
            let at = pool.add(&[low, step]);
            pool.substitute(body, var, at)
        })
        .collect();
    let mut parts = Vec::new();
    for order in 0..degree as i64 {
        let first = values[0];
        let times = pool.falling(count, order + 1);
        parts.push(pool.mul(&[first, times]));
        values = values
            .windows(2)
            .map(|pair| pool.sub(pair[1], pair[0]))
            .collect();
    }
    Some(pool.add(&parts))
}

/// The integral, done where the table allows.
pub(crate) fn integral(pool: &mut Pool, body: Id, var: Symbol, bounds: Option<(Id, Id)>) -> Id {
    if let Some(bounds) = bounds
        && let Some(total) = super::kinks::integral_by_pieces(pool, body, var, bounds)
    {
        return total;
    }
    let kept = if bounds.is_some() {
        let (var, body) = pool.bind(var, body);
        pool.insert(Node::Integral { var, bounds, body })
    } else {
        pool.antiderivative_in = Some(var);
        pool.insert(Node::Integral { var, bounds, body })
    };
    let Some(found) = antiderivative(pool, body, var) else {
        return kept;
    };
    let Some((low, high)) = bounds else {
        return found;
    };
    // A pole or a jump inside the interval would spoil the formula.
    let smooth = !pool.any(found, |node| {
        matches!(node, Node::Call(Fun::Abs | Fun::Sign, _))
    }) && !pool.any(body, |node| match node {
        Node::Pow(base, exponent) => {
            pool.contains_symbol(*base, var)
                && pool
                    .as_number(*exponent)
                    .is_none_or(|power| *power < RBig::ZERO)
        }
        _ => false,
    });
    if !smooth || super::identity::infinite(pool, low) || super::identity::infinite(pool, high) {
        return kept;
    }
    let at_high = pool.substitute(found, var, high);
    let at_low = pool.substitute(found, var, low);
    let value = pool.sub(at_high, at_low);
    // `x \ln x` at zero: the formula fails where the integral does not.
    if pool.any(value, |node| *node == Node::Undefined) {
        return kept;
    }
    value
}
