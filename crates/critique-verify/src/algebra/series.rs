//! Limits of sequences of partial sums.

use dashu::base::Sign;
use dashu::rational::RBig;

use super::complex::{Arithmetic, Complex};
use crate::budget::Fail;

/// Partial sums that are looked at before a limit is sought.
pub(crate) const TERMS: usize = 65;

/// The limit of partial sums whose terms change sign each time, by the first
/// algorithm of Cohen, Rodriguez Villegas and Zagier (2000); `None` where the
/// signs do something else.
pub(crate) fn alternating(
    math: &mut Arithmetic,
    partial: &[Complex],
) -> Option<Result<Complex, Fail>> {
    let mut terms = vec![partial.first()?.clone()];
    for pair in partial.windows(2) {
        terms.push(math.sub(&pair[1], &pair[0]).ok()?);
    }
    let sign = |term: &Complex| {
        (term.is_real() && !term.is_lost()).then(|| term.re.sign() == Sign::Negative)
    };
    let signs = terms.iter().map(sign).collect::<Option<Vec<_>>>()?;
    let alternate = signs.windows(2).all(|pair| pair[0] != pair[1]);
    alternate.then(|| accelerated(math, &terms))
}

fn accelerated(math: &mut Arithmetic, terms: &[Complex]) -> Result<Complex, Fail> {
    let count = terms.len() as i64;
    let size = math.sqrt(&math.int(8)?)?;
    let grown = math.pow_int(&math.add(&math.int(3)?, &size)?, &count.into())?;
    let half = math.rational(&RBig::from_parts(1.into(), 2u8.into()))?;
    let scale = math.mul(&math.add(&grown, &math.inv(&grown)?)?, &half)?;
    let mut weight = math.int(-1)?;
    let mut rest = math.neg(&scale);
    let mut total = math.int(0)?;
    for (k, term) in terms.iter().enumerate() {
        let k = k as i64;
        rest = math.sub(&weight, &rest)?;
        // The signs are in the weights.
        let size = if k % 2 == 0 {
            term.clone()
        } else {
            math.neg(term)
        };
        total = math.accumulate(&total, &math.mul(&rest, &size)?)?;
        let top = RBig::from(2 * (k + count) * (k - count));
        let factor = top / RBig::from((2 * k + 1) * (k + 1));
        weight = math.mul(&weight, &math.rational(&factor)?)?;
        // Rounding of a few products, not the doubling the bound assumes.
        weight.error = weight.error.min(weight.magnitude() - math.precision + 12);
        rest.error = rest.error.min(scale.magnitude() - math.precision + 14);
    }
    let value = math.div(&total, &scale)?;
    // The method gains 2.5 bits a term.
    let error = value.error.max(value.magnitude() - math.precision / 2);
    Ok(Complex { error, ..value })
}

/// The limit of partial sums whose terms fall like a power of the index:
/// Richardson extrapolation on sums of 1, 2, 4, ... terms is not exact enough,
/// so the classical formula on consecutive sums is used, at two orders.
pub(crate) fn richardson(
    math: &Arithmetic,
    partial: &[Complex],
    first: i64,
) -> Result<Complex, Fail> {
    let high = extrapolate(math, partial, first, 14)?;
    let low = extrapolate(math, partial, first, 12)?;
    let moved = math.sub(&high, &low)?;
    let error = moved.magnitude().max(moved.error) + 4;
    if error > high.magnitude() - 20 {
        return Err(Fail::Unknown);
    }
    Ok(Complex { error, ..high })
}

/// `sum over j of (-1)^(order+j) (n+j)^order / (j! (order-j)!) S(n+j)`.
fn extrapolate(
    math: &Arithmetic,
    partial: &[Complex],
    first: i64,
    order: usize,
) -> Result<Complex, Fail> {
    let start = partial.len() - 1 - order;
    let mut total = math.int(0)?;
    for step in 0..=order {
        let index = RBig::from(start as i64 + step as i64 + first.max(1) - first + 1);
        let power =
            super::build::rational_pow(&index, &(order as i64).into()).ok_or(Fail::Unknown)?;
        let mut weight = power;
        for factor in (2..=step).chain(2..=order - step) {
            weight /= RBig::from(factor as i64);
        }
        if (order + step) % 2 == 1 {
            weight = -weight;
        }
        let part = math.mul(&partial[start + step], &math.rational(&weight)?)?;
        total = math.accumulate(&total, &part)?;
    }
    Ok(total.spread(order))
}
