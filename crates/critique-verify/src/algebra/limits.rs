//! Limits, from values close to the point.

use dashu::base::Sign;
use dashu::rational::RBig;

use super::complex::{Arithmetic, Complex};
use super::numeric::Evaluator;
use super::pool::{Id, Node, Pool, Symbol};
use crate::budget::Fail;

impl Evaluator<'_> {
    /// The value close to the point, with an error read off two distances.
    pub(super) fn limit(
        &mut self,
        var: Symbol,
        to: Id,
        side: i8,
        body: Id,
    ) -> Result<Complex, Fail> {
        let deep = (self.math.precision * 3) as usize;
        let mut fine = Evaluator::new(self.pool, deep);
        for (symbol, value) in &self.values {
            fine.values.insert(*symbol, value.clone());
        }
        let precision = self.math.precision;
        if let Some(direction) = endless(self.pool, to) {
            let way = Way {
                centre: fine.math.int(0)?,
                sign: direction,
                outward: true,
            };
            return fine.approached(var, body, &way, precision);
        }
        let sides: &[i64] = match side {
            0 => &[1, -1],
            1 => &[1],
            _ => &[-1],
        };
        let centre = fine.eval(to)?;
        let mut found: Option<Complex> = None;
        for &sign in sides {
            let way = Way {
                centre: centre.clone(),
                sign,
                outward: false,
            };
            let value = fine.approached(var, body, &way, precision)?;
            if let Some(other) = &found
                && fine.math.sub(other, &value)?.magnitude() > -20
            {
                return Err(Fail::Undefined);
            }
            found = Some(value);
        }
        found.ok_or(Fail::Unknown)
    }

    /// The value that a body comes to along a way, as exact as `precision` asks.
    fn approached(
        &mut self,
        var: Symbol,
        body: Id,
        way: &Way,
        precision: i64,
    ) -> Result<Complex, Fail> {
        let gap = precision * 3 / 4;
        let far = self.on_the_way(var, body, way, gap / 2)?;
        let near = self.on_the_way(var, body, way, gap)?;
        let moved = self.math.sub(&far, &near)?;
        // What changed between the two distances bounds what is left, squared.
        let left = moved.magnitude().max(moved.error);
        let error = near
            .error
            .max(left - gap / 4)
            .max(near.magnitude() - precision);
        if left > near.magnitude().max(0) - 16 {
            return Err(Fail::Unknown);
        }
        Ok(Complex { error, ..near })
    }

    /// The body's value at the distance `2^-exponent` from the centre, or `2^exponent` outward.
    fn on_the_way(
        &mut self,
        var: Symbol,
        body: Id,
        way: &Way,
        exponent: i64,
    ) -> Result<Complex, Fail> {
        let power = if way.outward { exponent } else { -exponent };
        let step = self
            .math
            .rational(&(two_to(power) * RBig::from(way.sign)))?;
        let at = self.math.add(&way.centre, &step)?;
        let exact = Complex {
            error: -(1 << 40),
            ..at
        };
        self.body_at(var, exact, body)
    }
}

/// How a limit's point is come to: from one side of a centre, or outward without end.
struct Way {
    centre: Complex,
    sign: i64,
    outward: bool,
}

/// The direction of an infinite point; `None` for a finite one.
fn endless(pool: &Pool, to: Id) -> Option<i64> {
    let infinite = |id: &Id| *pool.node(*id) == Node::Infinity;
    match pool.node(to) {
        Node::Infinity => Some(1),
        Node::Mul(items) if items.iter().any(infinite) => Some(-1),
        _ => None,
    }
}

fn two_to(power: i64) -> RBig {
    use dashu::integer::{IBig, UBig};
    let size = UBig::ONE << power.unsigned_abs() as usize;
    if power >= 0 {
        RBig::from(size)
    } else {
        RBig::from_parts(IBig::ONE, size)
    }
}

/// The sign of the infinity a limit goes to: what three ever closer values
/// show, whose gaps have to grow.
pub(crate) fn diverges(pool: &Pool, id: Id) -> Option<i64> {
    let Node::Limit {
        var,
        to,
        side,
        body,
    } = *pool.node(id)
    else {
        return None;
    };
    if !pool.symbols(id).is_empty() {
        return None;
    }
    let towards = match pool.node(to) {
        Node::Infinity => Some(1),
        Node::Mul(_) if super::identity::infinite(pool, to) => Some(-1),
        _ => None,
    };
    let sides: &[i64] = match (towards, side) {
        (None, 0) => &[1, -1],
        (None, -1) => &[-1],
        _ => &[1],
    };
    let mut signs = sides.iter().map(|&from| {
        let values = [5, 10, 20].map(|bits| {
            let mut evaluator = Evaluator::new(pool, 128);
            let at = if let Some(direction) = towards {
                let far = two_to(bits) * RBig::from(direction);
                evaluator.math.rational(&far)
            } else {
                let step = two_to(-bits) * RBig::from(from);
                let step = evaluator.math.rational(&step).ok()?;
                let centre = evaluator.eval(to).ok()?;
                evaluator.math.add(&centre, &step)
            };
            let value = at.and_then(|at| evaluator.body_at(var, at, body)).ok()?;
            value.is_real().then_some(value)
        });
        let [Some(first), Some(second), Some(third)] = values else {
            return None;
        };
        let math = Arithmetic::new(128);
        let (early, late) = (
            math.sub(&second, &first).ok()?,
            math.sub(&third, &second).ok()?,
        );
        let factor = math
            .rational(&RBig::from_parts(5.into(), 4u8.into()))
            .ok()?;
        let least = math.mul(&early, &factor).ok()?;
        let faster = math.sub(&late, &least).ok()?;
        let sign = sign_of(&third)?;
        [early, late, faster]
            .iter()
            .all(|value| sign_of(value) == Some(sign))
            .then_some(sign)
    });
    let first = signs.next()??;
    signs.all(|sign| sign == Some(first)).then_some(first)
}

/// The sign of a real number that is surely not zero.
fn sign_of(value: &Complex) -> Option<i64> {
    if value.is_lost() {
        return None;
    }
    Some(match value.re.sign() {
        Sign::Positive => 1,
        Sign::Negative => -1,
    })
}
