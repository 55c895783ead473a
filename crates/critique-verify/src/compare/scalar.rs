//! Two scalars: exact, by identity, or by the digits of a decimal.

use std::cmp::Ordering;

use dashu::base::{Abs, Signed};
use dashu::integer::UBig;
use dashu::rational::RBig;

use crate::algebra::identity;
use crate::algebra::numeric::Evaluator;
use crate::algebra::{Id, Node, Pool};
use crate::options::Options;
use crate::parse::value::Decimal;
use crate::rule::Rule;
use crate::verdict::Verdict;

/// Fewest digits of a decimal that stands for something else by rounding.
const ENOUGH_DIGITS: usize = 3;

pub(crate) fn compare(
    pool: &mut Pool,
    (gold, gold_decimal): (Id, Option<Decimal>),
    (prediction, prediction_decimal): (Id, Option<Decimal>),
    options: &Options,
) -> Verdict {
    let exact = match identity::same(pool, gold, prediction) {
        Verdict::Equal(rule) => return Verdict::Equal(rule),
        Verdict::Different(rule) => Verdict::Different(rule),
        Verdict::Undecided => Verdict::Undecided,
    };
    if calculus(pool, gold, prediction) {
        return Verdict::Equal(Rule::Antiderivative);
    }
    if !pool.symbols(gold).is_empty() || !pool.symbols(prediction).is_empty() {
        return exact;
    }
    let rounded = match (gold_decimal, prediction_decimal) {
        // A decimal gold answer was rounded on purpose; a prediction has to show
        // that it knows the value.
        (Some(decimal), None) => rounds_to(pool, prediction, gold, decimal, ENOUGH_DIGITS - 1),
        (None, Some(decimal)) => rounds_to(pool, gold, prediction, decimal, ENOUGH_DIGITS),
        _ => false,
    };
    if rounded {
        return Verdict::Equal(Rule::Rounding);
    }
    if options.relative_tolerance > 0.0 && within(pool, gold, prediction, options) {
        return Verdict::Equal(Rule::Tolerance);
    }
    exact
}

/// Two indefinite integrals, or one and its result: compared by derivative.
fn calculus(pool: &mut Pool, gold: Id, prediction: Id) -> bool {
    use crate::algebra::calculus;
    let Some(var) = pool.antiderivative_in else {
        return false;
    };
    let (Some(a), Some(b)) = (
        calculus::derivative(pool, gold, var),
        calculus::derivative(pool, prediction, var),
    ) else {
        return false;
    };
    matches!(identity::same(pool, a, b), Verdict::Equal(_))
}

/// Whether `value` rounds (or, with a digit to spare, cuts) to the decimal.
///
/// A value that is itself a short decimal has to be equal to be equal.
fn rounds_to(pool: &Pool, value: Id, decimal: Id, written: Decimal, fewest: usize) -> bool {
    let exact = pool.as_number(value).cloned();
    let mut needed = ENOUGH_DIGITS;
    match &exact {
        Some(value) if value.is_int() => return false,
        Some(value) => {
            if let Some(digits) = terminating_digits(value) {
                if digits <= 6 {
                    return false;
                }
            } else {
                needed = fewest;
            }
        }
        None => {}
    }
    if written.digits < needed || (written.digits < ENOUGH_DIGITS && written.place > -2) {
        return false;
    }
    let Some(target) = pool.as_number(decimal).cloned() else {
        return false;
    };
    let Some(value) = exact.or_else(|| approximate(pool, value)) else {
        return false;
    };
    // An integer in other words, such as a limit, is exact as well.
    let gap = (&value - RBig::from(value.round())).abs();
    if !value.is_int() && gap < power_of_ten(-12) && written.digits < 15 {
        return false;
    }
    if value.is_negative() != target.is_negative() {
        return false;
    }
    let (value, target) = (value.abs(), target.abs());
    let unit = power_of_ten(written.place);
    let half = &unit / RBig::from(2);
    let gap = (&value - &target).abs();
    // A double prints 16 digits or 17, of which the last are not its own.
    let double =
        written.digits >= 15 && &gap * RBig::from(dashu::integer::IBig::ONE << 52) <= value.clone();
    if gap <= half || double {
        return true;
    }
    written.digits > ENOUGH_DIGITS && value > target && &value - &target < unit
}

/// Significant digits of a decimal expansion that ends, if it does.
fn terminating_digits(value: &RBig) -> Option<usize> {
    let mut rest = value.denominator().clone();
    let mut count = 0_usize;
    let ten = UBig::from(10u8);
    let mut scaled = value.clone().abs();
    while !rest.is_one() {
        count += 1;
        if count > 60 {
            return None;
        }
        scaled *= RBig::from(ten.clone());
        rest.clone_from(scaled.denominator());
    }
    Some(scaled.numerator().to_string().len())
}

/// A real constant to about 100 digits.
pub(crate) fn approximate(pool: &Pool, id: Id) -> Option<RBig> {
    if let Some(value) = pool.as_number(id) {
        return Some(value.clone());
    }
    // More bits would not make quadrature better.
    let integrals = pool.any(id, |node| matches!(node, Node::Integral { .. }));
    let mut evaluator = Evaluator::new(pool, if integrals { 96 } else { 192 });
    let value = evaluator.eval(id).ok()?;
    let imaginary = crate::algebra::complex::magnitude(&value.im);
    if value.error > -40 + value.magnitude().max(0) || imaginary > value.error + 8 {
        return None;
    }
    RBig::try_from(value.re.clone()).ok()
}

/// Which of two real constants is larger.
pub(crate) fn order(pool: &Pool, a: Id, b: Id) -> Option<Ordering> {
    if a == b {
        return Some(Ordering::Equal);
    }
    if let (Some(x), Some(y)) = (pool.as_number(a), pool.as_number(b)) {
        return Some(x.cmp(y));
    }
    let (x, y) = (approximate(pool, a)?, approximate(pool, b)?);
    let gap = (&x - &y).abs();
    let size = x.clone().abs().max(y.clone().abs()).max(RBig::ONE);
    if gap * power_of_ten(25) < size {
        return matches!(identity::same(pool, a, b), Verdict::Equal(_)).then_some(Ordering::Equal);
    }
    Some(x.cmp(&y))
}

fn within(pool: &Pool, gold: Id, prediction: Id, options: &Options) -> bool {
    let (Some(gold), Some(prediction)) = (approximate(pool, gold), approximate(pool, prediction))
    else {
        return false;
    };
    if gold.is_int() && !options.tolerance_on_integers {
        return false;
    }
    let Some(tolerance) = RBig::simplest_from_f64(options.relative_tolerance) else {
        return false;
    };
    let gap = (&gold - &prediction).abs();
    gap <= gold.abs() * tolerance
}

pub(crate) fn power_of_ten(place: i64) -> RBig {
    let size = UBig::from(10u8).pow(place.unsigned_abs().min(6_000) as usize);
    if place >= 0 {
        RBig::from(size)
    } else {
        RBig::from_parts(1.into(), size)
    }
}
