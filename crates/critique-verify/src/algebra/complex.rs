//! Complex floating-point numbers that carry a bound on their own error.
//!
//! The bound is a power of two and follows first-order rules; it is not a
//! rigorous enclosure, so a decision leaves slack and is repeated at a second
//! precision.

use dashu::base::{Abs, BitTest, Sign};
use dashu::float::round::mode::HalfEven;
use dashu::float::{ConstCache, Context, FBig};
use dashu::integer::IBig;
use dashu::rational::RBig;

use crate::budget::Fail;

/// A real number in binary.
pub(crate) type Real = FBig<HalfEven, 2>;

/// Stands for the magnitude of zero: below every power of two that occurs.
const TINY: i64 = -(1 << 40);
/// Largest magnitude, as a power of two, that is computed with.
const HUGE: i64 = 1 << 24;

/// A complex number and the exponent of its error bound.
#[derive(Debug, Clone)]
pub(crate) struct Complex {
    pub(crate) re: Real,
    pub(crate) im: Real,
    /// The absolute error is at most about `2^error`.
    pub(crate) error: i64,
}

impl Complex {
    /// An exponent `m` with `|z| <= 2^m`.
    pub(crate) fn magnitude(&self) -> i64 {
        magnitude(&self.re).max(magnitude(&self.im)) + i64::from(!self.is_real())
    }

    /// The error after `count` steps, each with about the same one.
    pub(crate) fn spread(self, count: usize) -> Self {
        let steps = i64::from(usize::BITS - count.leading_zeros()) + 1;
        Self {
            error: self.error + steps,
            ..self
        }
    }

    pub(crate) fn is_real(&self) -> bool {
        self.im.repr().significand().is_zero()
    }

    /// Whether the error bound leaves nothing of the value.
    pub(crate) fn is_lost(&self) -> bool {
        self.magnitude() <= self.error + 4
    }
}

/// An exponent `m` with `|x| <= 2^m`, and `|x| >= 2^(m-1)` unless it is zero.
pub(crate) fn magnitude(x: &Real) -> i64 {
    let repr = x.repr();
    if repr.significand().is_zero() {
        TINY
    } else {
        repr.exponent() as i64 + repr.significand().clone().abs().bit_len() as i64
    }
}

/// Arithmetic at one precision.
pub(crate) struct Arithmetic {
    pub(crate) precision: i64,
    context: Context<HalfEven>,
    cache: ConstCache,
}

type Step = Result<Complex, Fail>;

impl Arithmetic {
    pub(crate) fn new(precision: usize) -> Self {
        Self {
            precision: precision as i64,
            context: Context::new(precision),
            cache: ConstCache::default(),
        }
    }

    pub(crate) fn zero(&self) -> Real {
        Real::ZERO.with_precision(self.precision as usize).value()
    }

    pub(crate) fn real_int(&self, value: i64) -> Real {
        self.context.convert_int(IBig::from(value)).value()
    }

    fn seal(&self, re: Real, im: Real, error: i64) -> Step {
        let value = Complex { re, im, error };
        let size = value.magnitude();
        if size > HUGE {
            return Err(Fail::Unknown);
        }
        let rounding = size.max(-HUGE * 2) - self.precision;
        Ok(Complex {
            error: error.max(rounding) + 1,
            ..value
        })
    }

    fn real(&self, re: Real, error: i64) -> Step {
        self.seal(re, self.zero(), error)
    }

    pub(crate) fn rational(&self, value: &RBig) -> Step {
        if value.is_zero() {
            return Ok(Complex {
                re: self.zero(),
                im: self.zero(),
                error: TINY,
            });
        }
        let re = value
            .to_float::<HalfEven, 2>(self.precision as usize)
            .value();
        self.real(re, TINY)
    }

    pub(crate) fn int(&self, value: i64) -> Step {
        self.rational(&RBig::from(value))
    }

    pub(crate) fn i(&self) -> Complex {
        Complex {
            re: self.zero(),
            im: self.real_int(1),
            error: TINY,
        }
    }

    pub(crate) fn pi(&mut self) -> Complex {
        let re = self.context.pi::<2>(Some(&mut self.cache)).value();
        Complex {
            re,
            im: self.zero(),
            error: 2 - self.precision,
        }
    }

    /// One of many steps of a sum: the error grows at its end, once, by
    /// [`Complex::spread`].
    pub(crate) fn accumulate(&self, total: &Complex, term: &Complex) -> Step {
        let error = total.error.max(term.error);
        let sum = self.add(total, term)?;
        let rounding = sum.magnitude().max(-HUGE * 2) - self.precision;
        Ok(Complex {
            error: error.max(rounding),
            ..sum
        })
    }

    pub(crate) fn add(&self, a: &Complex, b: &Complex) -> Step {
        let re = self
            .context
            .add(a.re.repr(), b.re.repr())
            .map_err(fail)?
            .value();
        let im = self
            .context
            .add(a.im.repr(), b.im.repr())
            .map_err(fail)?
            .value();
        self.seal(re, im, a.error.max(b.error) + 1)
    }

    #[expect(clippy::unused_self, reason = "reads as the other operations do")]
    pub(crate) fn neg(&self, a: &Complex) -> Complex {
        Complex {
            re: -a.re.clone(),
            im: -a.im.clone(),
            error: a.error,
        }
    }

    pub(crate) fn sub(&self, a: &Complex, b: &Complex) -> Step {
        self.add(a, &self.neg(b))
    }

    fn times(&self, a: &Real, b: &Real) -> Result<Real, Fail> {
        Ok(self.context.mul(a.repr(), b.repr()).map_err(fail)?.value())
    }

    pub(crate) fn mul(&self, a: &Complex, b: &Complex) -> Step {
        let error = (a.magnitude() + b.error)
            .max(b.magnitude() + a.error)
            .max(TINY)
            + 1;
        if a.is_real() && b.is_real() {
            return self.real(self.times(&a.re, &b.re)?, error);
        }
        let re = self
            .context
            .sub(
                self.times(&a.re, &b.re)?.repr(),
                self.times(&a.im, &b.im)?.repr(),
            )
            .map_err(fail)?
            .value();
        let im = self
            .context
            .add(
                self.times(&a.re, &b.im)?.repr(),
                self.times(&a.im, &b.re)?.repr(),
            )
            .map_err(fail)?
            .value();
        let rounding = a.magnitude() + b.magnitude() - self.precision + 1;
        self.seal(re, im, error.max(rounding))
    }

    pub(crate) fn inv(&self, a: &Complex) -> Step {
        if a.is_lost() {
            return Err(Fail::Undefined);
        }
        let error = a.error - 2 * (a.magnitude() - 2);
        let one = self.real_int(1);
        if a.is_real() {
            let re = self
                .context
                .div(one.repr(), a.re.repr())
                .map_err(fail)?
                .value();
            return self.real(re, error);
        }
        let norm = self
            .context
            .add(
                self.times(&a.re, &a.re)?.repr(),
                self.times(&a.im, &a.im)?.repr(),
            )
            .map_err(fail)?
            .value();
        let re = self
            .context
            .div(a.re.repr(), norm.repr())
            .map_err(fail)?
            .value();
        let im = self
            .context
            .div((-a.im.clone()).repr(), norm.repr())
            .map_err(fail)?
            .value();
        self.seal(re, im, error)
    }

    pub(crate) fn div(&self, a: &Complex, b: &Complex) -> Step {
        self.mul(a, &self.inv(b)?)
    }

    fn real_exp(&mut self, x: &Real) -> Result<Real, Fail> {
        if magnitude(x) > 22 {
            // What underflows is zero for every purpose here.
            return if x.sign() == Sign::Negative {
                Ok(self.zero())
            } else {
                Err(Fail::Unknown)
            };
        }
        Ok(self
            .context
            .exp(x.repr(), Some(&mut self.cache))
            .map_err(fail)?
            .value())
    }

    fn real_sin_cos(&mut self, x: &Real) -> Result<(Real, Real), Fail> {
        if magnitude(x) > 4096 {
            return Err(Fail::Unknown);
        }
        let (sin, cos) = self.context.sin_cos(x.repr(), Some(&mut self.cache));
        Ok((sin.map_err(fail)?.value(), cos.map_err(fail)?.value()))
    }

    pub(crate) fn exp(&mut self, a: &Complex) -> Step {
        // Far down the exponential vanishes, however rough the exponent is.
        if a.re.sign() == Sign::Negative && magnitude(&a.re) > a.error.max(12) + 2 && a.error > -8 {
            return self.real(self.zero(), -(1 << 12));
        }
        if a.error > 0 {
            return Err(Fail::Unknown);
        }
        let size = self.real_exp(&a.re)?;
        let error = magnitude(&size) + a.error + 1;
        if a.is_real() {
            return self.real(size, error);
        }
        let (sin, cos) = self.real_sin_cos(&a.im)?;
        self.seal(self.times(&size, &cos)?, self.times(&size, &sin)?, error)
    }

    /// The principal logarithm.
    pub(crate) fn ln(&mut self, a: &Complex) -> Step {
        if a.is_lost() {
            return Err(Fail::Undefined);
        }
        let error = a.error - (a.magnitude() - 2);
        if a.is_real() && a.re.sign() == Sign::Positive {
            let re = self
                .context
                .ln(a.re.repr(), Some(&mut self.cache))
                .map_err(fail)?
                .value();
            return self.real(re, error);
        }
        let size = self.size(a)?;
        let re = self
            .context
            .ln(size.repr(), Some(&mut self.cache))
            .map_err(fail)?
            .value();
        let im = self
            .context
            .atan2(a.im.repr(), a.re.repr(), Some(&mut self.cache))
            .map_err(fail)?
            .value();
        self.seal(re, im, error)
    }

    fn size(&self, a: &Complex) -> Result<Real, Fail> {
        Ok(self
            .context
            .hypot(a.re.repr(), a.im.repr())
            .map_err(fail)?
            .value())
    }

    pub(crate) fn abs(&self, a: &Complex) -> Step {
        let re = if a.is_real() {
            a.re.clone().abs()
        } else {
            self.size(a)?
        };
        self.real(re, a.error)
    }

    pub(crate) fn arg(&mut self, a: &Complex) -> Step {
        let log = self.ln(a)?;
        self.real(log.im.clone(), log.error)
    }

    /// The principal square root.
    pub(crate) fn sqrt(&mut self, a: &Complex) -> Step {
        if a.is_lost() {
            // Zero within its error: so is the root, but less sharply.
            if magnitude(&a.re) == TINY && a.is_real() {
                return self.real(self.zero(), a.error.max(TINY) / 2);
            }
            return self.seal(self.zero(), self.zero(), a.error / 2 + 4);
        }
        let error = a.error - a.magnitude().div_euclid(2) + 1;
        if a.is_real() {
            let root = self
                .context
                .sqrt(a.re.clone().abs().repr())
                .map_err(fail)?
                .value();
            return if a.re.sign() == Sign::Positive {
                self.real(root, error)
            } else {
                self.seal(self.zero(), root, error)
            };
        }
        // The half with no cancellation first, the other from the product.
        let two = self.real_int(2);
        let sum = self
            .context
            .add(self.size(a)?.repr(), a.re.clone().abs().repr())
            .map_err(fail)?
            .value();
        let half = self
            .context
            .div(sum.repr(), two.repr())
            .map_err(fail)?
            .value();
        let main = self.context.sqrt(half.repr()).map_err(fail)?.value();
        let double = self.times(&main, &two)?;
        let other = self
            .context
            .div(a.im.repr(), double.repr())
            .map_err(fail)?
            .value();
        if a.re.sign() == Sign::Positive {
            self.seal(main, other, error)
        } else {
            let sign = a.im.sign();
            self.seal(other.abs(), main * sign, error)
        }
    }

    pub(crate) fn pow_int(&mut self, a: &Complex, exponent: &IBig) -> Step {
        let Ok(small) = i64::try_from(exponent) else {
            return Err(Fail::Unknown);
        };
        if small.unsigned_abs() > 1 << 16 {
            if a.is_lost() {
                return Err(Fail::Unknown);
            }
            let log = self.ln(a)?;
            let product = self.mul(&log, &self.rational(&RBig::from(exponent.clone()))?)?;
            return self.exp(&product);
        }
        let mut left = small.unsigned_abs();
        let mut base = a.clone();
        let mut result = self.int(1)?;
        while left > 0 {
            if left & 1 == 1 {
                result = self.mul(&result, &base)?;
            }
            left >>= 1;
            if left > 0 {
                base = self.mul(&base, &base)?;
            }
        }
        if small < 0 {
            self.inv(&result)
        } else {
            Ok(result)
        }
    }

    /// The principal power.
    pub(crate) fn pow(&mut self, base: &Complex, exponent: &Complex) -> Step {
        if base.is_lost() {
            if exponent.is_real() && exponent.re.sign() == Sign::Positive && !exponent.is_lost() {
                return self.seal(self.zero(), self.zero(), base.error / 64 + 4);
            }
            return Err(Fail::Undefined);
        }
        let log = self.ln(base)?;
        let product = self.mul(&log, exponent)?;
        self.exp(&product)
    }

    pub(crate) fn sin_cos(&mut self, a: &Complex) -> Result<(Complex, Complex), Fail> {
        if a.error > 0 {
            return Err(Fail::Unknown);
        }
        let (sin, cos) = self.real_sin_cos(&a.re)?;
        if a.is_real() {
            return Ok((self.real(sin, a.error)?, self.real(cos, a.error)?));
        }
        let (sinh, cosh) = self.real_sinh_cosh(&a.im)?;
        let error = a.error + magnitude(&cosh) + 1;
        let first = self.seal(self.times(&sin, &cosh)?, self.times(&cos, &sinh)?, error)?;
        let second = self.seal(self.times(&cos, &cosh)?, -self.times(&sin, &sinh)?, error)?;
        Ok((first, second))
    }

    fn real_sinh_cosh(&mut self, x: &Real) -> Result<(Real, Real), Fail> {
        if magnitude(x) > 20 {
            return Err(Fail::Unknown);
        }
        let (sinh, cosh) = self.context.sinh_cosh(x.repr(), Some(&mut self.cache));
        Ok((sinh.map_err(fail)?.value(), cosh.map_err(fail)?.value()))
    }

    pub(crate) fn sinh_cosh(&mut self, a: &Complex) -> Result<(Complex, Complex), Fail> {
        let plus = self.exp(a)?;
        let minus = self.inv(&plus)?;
        let half = self.rational(&RBig::from_parts(1.into(), 2u8.into()))?;
        let sinh = self.mul(&self.sub(&plus, &minus)?, &half)?;
        let cosh = self.mul(&self.add(&plus, &minus)?, &half)?;
        Ok((sinh, cosh))
    }

    pub(crate) fn asin(&mut self, a: &Complex) -> Step {
        let one = self.int(1)?;
        let square = self.mul(a, a)?;
        let inside = self.sub(&one, &square)?;
        let root = self.sqrt(&inside)?;
        let turned = self.mul(&self.i(), a)?;
        let sum = self.add(&turned, &root)?;
        let log = self.ln(&sum)?;
        let value = self.mul(&self.neg(&self.i()), &log)?;
        Ok(self.realify(a, value))
    }

    /// Drops a spurious imaginary part where the function is real.
    fn realify(&self, a: &Complex, value: Complex) -> Complex {
        let inside = a.is_real() && a.magnitude() <= 1 && magnitude(&value.im) <= value.error + 4;
        if inside {
            Complex {
                im: self.zero(),
                ..value
            }
        } else {
            value
        }
    }

    pub(crate) fn atan(&mut self, a: &Complex) -> Step {
        if a.is_real() {
            let re = self
                .context
                .atan(a.re.repr(), Some(&mut self.cache))
                .map_err(fail)?
                .value();
            return self.real(re, a.error);
        }
        let one = self.int(1)?;
        let turned = self.mul(&self.i(), a)?;
        let upper = self.sub(&one, &turned)?;
        let upper = self.ln(&upper)?;
        let lower = self.add(&one, &turned)?;
        let lower = self.ln(&lower)?;
        let half = self.rational(&RBig::from_parts(1.into(), 2u8.into()))?;
        let factor = self.mul(&self.i(), &half)?;
        self.mul(&factor, &self.sub(&upper, &lower)?)
    }

    /// The nearest integers below and above a real value; fails when the error
    /// bound does not tell which.
    pub(crate) fn floor_ceil(&self, a: &Complex) -> Result<(Complex, Complex), Fail> {
        if magnitude(&a.im) > a.error + 4 || a.error > -8 || a.magnitude() > self.precision {
            return Err(Fail::Unknown);
        }
        let near = a.re.round();
        let distance = magnitude(&(a.re.clone() - near.clone()));
        let near = self.context.convert_int(near.to_int().value()).value();
        if distance <= a.error + 8 {
            let value = Complex {
                re: near,
                im: self.zero(),
                error: TINY,
            };
            return Ok((value.clone(), value));
        }
        let below = self
            .context
            .convert_int(a.re.floor().to_int().value())
            .value();
        let above = self
            .context
            .convert_int(a.re.ceil().to_int().value())
            .value();
        let exact = |re| Complex {
            re,
            im: self.zero(),
            error: TINY,
        };
        Ok((exact(below), exact(above)))
    }
}

fn fail(_: dashu::float::FpError) -> Fail {
    Fail::Undefined
}
