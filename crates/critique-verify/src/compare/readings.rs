//! Signs that can be read in more than one way, and letters that one side writes otherwise.

use dashu::rational::RBig;

use super::forms;
use super::shapes::Comparer;
use crate::algebra::pool::Symbol;
use crate::algebra::{Fun, Id, Meaning, Node, Pool, calculus};
use crate::options::Options;
use crate::parse::value::Value;
use crate::rule::Rule;
use crate::verdict::Verdict;

/// Compares under every reading of percent, degree and logarithm signs.
pub(super) fn compare(
    pool: &mut Pool,
    gold: &Value,
    prediction: &Value,
    options: &Options,
) -> Verdict {
    if is_undefined(pool, gold) || is_undefined(pool, prediction) {
        return Verdict::Different(Rule::Undefined);
    }
    let signs = open_signs(pool, gold, prediction);
    let (gold, prediction) = (without_units(pool, gold), without_units(pool, prediction));
    let (gold, prediction) = (
        constants(pool, &gold, &prediction),
        constants(pool, &prediction, &gold),
    );
    let recounted = recounted(pool, &gold, &prediction);
    let prediction = recounted.unwrap_or(prediction);
    let total: usize = signs.iter().map(|sign| sign.values.len()).product();
    let mut verdict = Verdict::Different(Rule::Shape);
    for pick in 0..total {
        let (a, b) = (
            read(pool, &gold, &signs, pick),
            read(pool, &prediction, &signs, pick),
        );
        let next = Comparer::new(pool, options).values(&a, &b);
        verdict = if pick == 0 {
            next
        } else {
            verdict.or_else(|| next)
        };
        if verdict.is_equal() {
            break;
        }
    }
    verdict
}

/// A sign and the values that it may have.
struct OpenSign {
    symbol: Symbol,
    is_percent: bool,
    values: Vec<Id>,
}

/// The signs of a pair that are open, each with its readings in the order of trial.
fn open_signs(pool: &mut Pool, gold: &Value, prediction: &Value) -> Vec<OpenSign> {
    let number = |pool: &mut Pool, top: i64, bottom: u64| {
        pool.number(RBig::from_parts(top.into(), bottom.into()))
    };
    let mut signs = Vec::new();
    let mut open = |symbol, is_percent, values| {
        signs.push(OpenSign {
            symbol,
            is_percent,
            values,
        });
    };
    let one = number(pool, 1, 1);
    if let Some(symbol) = pool.known(&Meaning::Percent) {
        open(symbol, true, vec![number(pool, 1, 100), one]);
    }
    if let Some(symbol) = pool.known(&Meaning::Degree) {
        let part = number(pool, 1, 180);
        let pi = pool.insert(Node::Pi);
        let radians = pool.mul(&[pi, part]);
        let values = if in_radians(pool, symbol, gold, prediction) {
            vec![one, radians]
        } else {
            vec![one]
        };
        open(symbol, false, values);
    }
    if let Some(symbol) = pool.known(&Meaning::LogBase) {
        let e = pool.insert(Node::E);
        open(symbol, false, vec![number(pool, 10, 1), e]);
    }
    signs
}

/// Degrees turn into radians only against an answer in radians: one side has the degree sign, and
/// a side has π or an arc function.
fn in_radians(pool: &Pool, degree: Symbol, gold: &Value, prediction: &Value) -> bool {
    let has = |value: &Value, test: &dyn Fn(&Node) -> bool| {
        value.ids().into_iter().any(|id| pool.any(id, test))
    };
    let degree = |node: &Node| *node == Node::Symbol(degree);
    let radians = |node: &Node| {
        matches!(
            node,
            Node::Pi | Node::Call(Fun::Asin | Fun::Acos | Fun::Atan | Fun::Acot, _)
        )
    };
    has(gold, &degree) != has(prediction, &degree)
        && (has(gold, &radians) || has(prediction, &radians))
}

/// A value with its signs read in the way that `pick` numbers.
fn read(pool: &mut Pool, value: &Value, signs: &[OpenSign], pick: usize) -> Value {
    let mut rest = pick;
    let mut value = value.clone();
    for sign in signs {
        let with = sign.values[rest % sign.values.len()];
        rest /= sign.values.len();
        // The last digit of `12.5%` counts tenths of a percent.
        if sign.is_percent && pool.as_int(with).is_none() {
            value = value.per_hundred(pool, sign.symbol);
        }
        value = value.map(&mut |id| pool.substitute(id, sign.symbol, with));
    }
    value
}

/// `12 m` where `m` was a unit on the other side.
fn without_units(pool: &mut Pool, value: &Value) -> Value {
    let id = match value {
        Value::Scalar(id, _) => *id,
        // `F = 20 N`
        Value::Relation { first, rest } if rest.len() == 1 && first.as_scalar().is_some() => {
            let (rel, right) = &rest[0];
            return Value::Relation {
                first: first.clone(),
                rest: vec![(*rel, without_units(pool, right))],
            };
        }
        _ => return value.clone(),
    };
    let symbols = pool.symbols(id);
    let [only] = symbols.as_slice() else {
        return value.clone();
    };
    if !pool
        .dropped_units
        .iter()
        .any(|unit| pool.written(*only) == Some(unit))
    {
        return value.clone();
    }
    let one = pool.int(1);
    value.map(&mut |id| pool.substitute(id, *only, one))
}

/// `I` or `j` for the imaginary unit, `E` for e, and a derivative's fraction for its prime, where
/// the other side has the one and not the other.
fn constants(pool: &mut Pool, value: &Value, other: &Value) -> Value {
    let value = constant(pool, value, other, &Node::I, &["I", "j"]);
    let value = constant(pool, &value, other, &Node::E, &["E"]);
    primed(pool, &value, other)
}

/// `\frac{dy}{dx}` as `y'` where the other side has that.
fn primed(pool: &mut Pool, value: &Value, other: &Value) -> Value {
    let symbols = |pool: &Pool, value: &Value| -> Vec<Symbol> {
        let ids = value.ids().into_iter();
        ids.flat_map(|id| pool.symbols(id)).collect()
    };
    let theirs = symbols(pool, other);
    for symbol in symbols(pool, value) {
        let prime = match pool.meaning(symbol) {
            Meaning::Derivative {
                order: 1, function, ..
            } => pool
                .written(*function)
                .and_then(|name| pool.known_symbol(&format!("{name}'"))),
            _ => None,
        };
        if let Some(prime) = prime.filter(|prime| theirs.contains(prime))
            && !theirs.contains(&symbol)
        {
            let with = pool.insert(Node::Symbol(prime));
            return value.map(&mut |id| pool.substitute(id, symbol, with));
        }
    }
    value.clone()
}

fn constant(pool: &mut Pool, value: &Value, other: &Value, unit: &Node, letters: &[&str]) -> Value {
    let has = |pool: &Pool, value: &Value, node: &Node| {
        value
            .ids()
            .into_iter()
            .any(|id| pool.any(id, |found| found == node))
    };
    if has(pool, value, unit) || !has(pool, other, unit) {
        return value.clone();
    }
    for name in letters {
        let Some(symbol) = pool.known_symbol(name) else {
            continue;
        };
        if has(pool, value, &Node::Symbol(symbol)) && !has(pool, other, &Node::Symbol(symbol)) {
            let unit = pool.insert(unit.clone());
            return value.map(&mut |id| pool.substitute(id, symbol, unit));
        }
    }
    value.clone()
}

/// Letters that count through the integers where nobody says so.
const COUNTERS: [&str; 5] = ["k", "n", "m", "l", "ell"];

/// The letter that counts in `\frac{\pi}{4} + k\pi`: one that is said to be an integer, or one of
/// the usual letters in a term with π or a degree sign, of which it is the factor.
fn counter(pool: &mut Pool, value: &Value) -> Option<Symbol> {
    if let Some(said) = forms::counted(pool, value) {
        return Some(said);
    }
    let degree = pool.known(&Meaning::Degree).map(Node::Symbol);
    let turns = |node: &Node| *node == Node::Pi || degree.as_ref() == Some(node);
    let ids = value.ids();
    let mut found = None;
    for id in ids {
        for symbol in pool.symbols(id) {
            if !pool
                .written(symbol)
                .is_some_and(|name| COUNTERS.contains(&name))
            {
                continue;
            }
            let factor = calculus::derivative(pool, id, symbol)?;
            let linear = !pool.contains_symbol(factor, symbol) && pool.any(factor, turns);
            if !linear || found.is_some_and(|found| found != symbol) {
                return None;
            }
            found = Some(symbol);
        }
    }
    found
}

/// The prediction with the gold answer's letter for "any integer".
fn recounted(pool: &mut Pool, gold: &Value, prediction: &Value) -> Option<Value> {
    let (wanted, given) = (counter(pool, gold)?, counter(pool, prediction)?);
    let taken = prediction
        .ids()
        .into_iter()
        .any(|id| pool.contains_symbol(id, wanted));
    if wanted == given || taken {
        return None;
    }
    let with = pool.insert(Node::Symbol(wanted));
    Some(prediction.map(&mut |id| pool.substitute(id, given, with)))
}

pub(super) fn is_undefined(pool: &Pool, value: &Value) -> bool {
    value
        .ids()
        .into_iter()
        .any(|id| pool.any(id, |node| *node == Node::Undefined))
}
