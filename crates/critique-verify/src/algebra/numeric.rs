//! Values of expressions at a point, to a chosen precision.

use std::collections::HashMap;

use dashu::base::{Sign, Signed};
use dashu::rational::RBig;

use super::complex::{Arithmetic, Complex, magnitude};
use super::identity::infinite;
use super::pool::{Fun, Id, Node, Pool, Symbol};
use super::{quadrature, series};
use crate::budget::Fail;

/// Most terms of a sum or product that are added up.
const MAX_TERMS: i64 = 1_000;

/// Evaluates expressions of one pool; remembers shared parts.
pub(crate) struct Evaluator<'a> {
    pub(super) pool: &'a Pool,
    pub(crate) math: Arithmetic,
    pub(super) values: HashMap<Symbol, Complex>,
    known: HashMap<Id, Complex>,
    /// Steps per transcendental function, which grows with the precision.
    price: u64,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(pool: &'a Pool, precision: usize) -> Self {
        let price = 8 + (precision * precision / 8_192) as u64;
        Self {
            pool,
            math: Arithmetic::new(precision),
            values: HashMap::new(),
            known: HashMap::new(),
            price,
        }
    }

    /// Gives a symbol its value and forgets what depended on it.
    pub(crate) fn set(&mut self, symbol: Symbol, value: &RBig) -> Result<(), Fail> {
        // The point is the rounded number itself, so it has no error.
        let value = Complex {
            error: -(1 << 40),
            ..self.math.rational(value)?
        };
        self.values.insert(symbol, value);
        self.known.clear();
        Ok(())
    }

    pub(crate) fn eval(&mut self, id: Id) -> Result<Complex, Fail> {
        for id in self.order(id) {
            let value = self.node(id)?;
            self.known.insert(id, value);
        }
        self.known.get(&id).cloned().ok_or(Fail::Unknown)
    }

    /// What has to be known first, children before parents. The body of a sum
    /// depends on its bound variable and is left to the sum.
    fn order(&self, id: Id) -> Vec<Id> {
        let mut seen = std::collections::HashSet::new();
        let mut stack = vec![id];
        while let Some(next) = stack.pop() {
            if self.known.contains_key(&next) || !seen.insert(next) {
                continue;
            }
            match self.pool.node(next) {
                Node::Sum { low, .. } => stack.push(*low),
                Node::Integral { bounds, .. } => {
                    let ends = bounds.iter().flat_map(|(low, high)| [*low, *high]);
                    stack.extend(ends.filter(|end| !infinite(self.pool, *end)));
                }
                Node::Limit { .. } | Node::Derivative { .. } => {}
                _ => stack.extend(self.pool.children(next)),
            }
        }
        let mut order: Vec<Id> = seen
            .into_iter()
            .filter(|id| !matches!(self.pool.node(*id), Node::Infinity))
            .collect();
        order.sort_unstable();
        order
    }

    fn get(&self, id: Id) -> Result<&Complex, Fail> {
        self.known.get(&id).ok_or(Fail::Unknown)
    }

    fn node(&mut self, id: Id) -> Result<Complex, Fail> {
        let pool = self.pool;
        pool.budget.spend(1)?;
        match pool.node(id) {
            Node::Number(value) => self.math.rational(value),
            Node::Symbol(symbol) => self.values.get(symbol).cloned().ok_or(Fail::Unknown),
            Node::Pi => Ok(self.math.pi()),
            Node::E => {
                let one = self.math.int(1)?;
                self.math.exp(&one)
            }
            Node::I => Ok(self.math.i()),
            Node::Undefined => Err(Fail::Undefined),
            Node::Add(items) => Ok(self
                .fold(items, Arithmetic::accumulate)?
                .spread(items.len())),
            Node::Mul(items) => self.fold(items, Arithmetic::mul),
            Node::Pow(base, exponent) => self.power(*base, *exponent),
            Node::Call(fun, args) => {
                pool.budget
                    .spend(if fun.is_discrete() { 4 } else { self.price })?;
                let args = args
                    .iter()
                    .map(|arg| self.get(*arg).cloned())
                    .collect::<Result<Vec<_>, _>>()?;
                self.call(*fun, &args)
            }
            Node::Apply(name, args) => self.apply(*name, args),
            // Not symbol 0, which a call may have for its name.
            Node::Residue { value, modulus } => self.apply(Symbol::MAX / 2, &[*value, *modulus]),
            Node::Sum {
                product,
                var,
                low,
                high,
                body,
            } => self.sum(*product, *var, *low, *high, *body),
            Node::Integral {
                var,
                bounds: Some((low, high)),
                body,
            } => self.integral(*var, *low, *high, *body),
            Node::Limit {
                var,
                to,
                side,
                body,
            } => self.limit(*var, *to, *side, *body),
            Node::Infinity | Node::Integral { bounds: None, .. } | Node::Derivative { .. } => {
                Err(Fail::Unknown)
            }
        }
    }

    fn fold(
        &self,
        items: &[Id],
        step: impl Fn(&Arithmetic, &Complex, &Complex) -> Result<Complex, Fail>,
    ) -> Result<Complex, Fail> {
        self.pool.budget.spend(items.len() as u64 / 2)?;
        let (first, rest) = items.split_first().ok_or(Fail::Unknown)?;
        let mut total = self.get(*first)?.clone();
        for item in rest {
            total = step(&self.math, &total, self.get(*item)?)?;
        }
        Ok(total)
    }

    fn power(&mut self, base: Id, exponent: Id) -> Result<Complex, Fail> {
        let exponent_number = self.pool.as_number(exponent).cloned();
        let base_value = self.get(base)?.clone();
        if let Some(number) = exponent_number {
            if number.is_int() {
                return self.math.pow_int(&base_value, number.numerator());
            }
            self.pool.budget.spend(self.price)?;
            if u8::try_from(number.denominator()) == Ok(2) {
                let root = self.math.sqrt(&base_value)?;
                return self.math.pow_int(&root, number.numerator());
            }
        }
        let exponent = self.get(exponent)?.clone();
        if let Ok(whole) = integer(&exponent)
            && whole.unsigned_abs() < 1 << 14
        {
            return self.math.pow_int(&base_value, &whole.into());
        }
        self.pool.budget.spend(3 * self.price)?;
        if *self.pool.node(base) == Node::E {
            return self.math.exp(&exponent);
        }
        self.math.pow(&base_value, &exponent)
    }

    /// An unknown function: a number drawn from its name and arguments, so
    /// that equal arguments give equal values and others do not.
    fn apply(&mut self, name: Symbol, args: &[Id]) -> Result<Complex, Fail> {
        self.pool.budget.spend(self.price)?;
        let mut total = self.math.int(i64::from(name) + 2)?;
        let mut weight = 3;
        for arg in args {
            let value = self.get(*arg)?.clone();
            let factor = self
                .math
                .rational(&RBig::from_parts((weight * 7 + 5).into(), 11u8.into()))?;
            let scaled = self.math.mul(&value, &factor)?;
            let square = self.math.mul(&value, &value)?;
            total = self.math.add(&total, &self.math.add(&scaled, &square)?)?;
            total = self.math.mul(&total, &factor)?;
            weight += 2;
        }
        let (sin, _) = self.math.sin_cos(&total)?;
        self.math.add(&total, &sin)
    }

    fn call(&mut self, fun: Fun, args: &[Complex]) -> Result<Complex, Fail> {
        let math = &mut self.math;
        let [x, rest @ ..] = args else {
            return Err(Fail::Unknown);
        };
        match fun {
            Fun::Sin | Fun::Cos | Fun::Tan | Fun::Cot | Fun::Sec | Fun::Csc => {
                circular(math, fun, x)
            }
            Fun::Asin | Fun::Acos | Fun::Atan | Fun::Acot | Fun::Asec | Fun::Acsc => {
                inverse_circular(math, fun, x)
            }
            Fun::Sinh | Fun::Cosh | Fun::Tanh | Fun::Coth | Fun::Sech | Fun::Csch => {
                hyperbolic(math, fun, x)
            }
            Fun::Asinh | Fun::Acosh | Fun::Atanh | Fun::Acoth | Fun::Asech | Fun::Acsch => {
                inverse_hyperbolic(math, fun, x)
            }
            Fun::Re | Fun::Im | Fun::Arg | Fun::Conj => part(math, fun, x),
            Fun::Ln => math.ln(x),
            Fun::Log => {
                let top = math.ln(x)?;
                let bottom = math.ln(rest.first().ok_or(Fail::Unknown)?)?;
                math.div(&top, &bottom)
            }
            Fun::Root => root(math, x, rest.first().ok_or(Fail::Unknown)?),
            Fun::Abs => math.abs(x),
            Fun::Sign => {
                let size = math.abs(x)?;
                math.div(x, &size)
            }
            Fun::Floor => Ok(math.floor_ceil(x)?.0),
            Fun::Ceil => Ok(math.floor_ceil(x)?.1),
            Fun::Max | Fun::Min => extreme(math, fun == Fun::Max, args),
            Fun::Mod => modulo(math, x, rest.first().ok_or(Fail::Unknown)?),
            Fun::Factorial | Fun::DoubleFactorial | Fun::Binomial | Fun::Gcd | Fun::Lcm => {
                let value = discrete(math, fun, args)?;
                self.pool
                    .budget
                    .spend(2 + value.magnitude().max(0) as u64 / 64)?;
                Ok(value)
            }
        }
    }

    /// A body's value with its bound variable set.
    pub(super) fn body_at(
        &mut self,
        var: Symbol,
        value: Complex,
        body: Id,
    ) -> Result<Complex, Fail> {
        let known = std::mem::take(&mut self.known);
        let before = self.values.insert(var, value);
        let result = self.eval(body);
        match before {
            Some(before) => self.values.insert(var, before),
            None => self.values.remove(&var),
        };
        self.known = known;
        result
    }

    fn sum(
        &mut self,
        product: bool,
        var: Symbol,
        low: Id,
        high: Id,
        body: Id,
    ) -> Result<Complex, Fail> {
        let first = integer(self.get(low)?)?;
        let endless = *self.pool.node(high) == Node::Infinity;
        let last = if endless {
            first + MAX_TERMS
        } else {
            let high = self.eval(high)?;
            integer(&high)?
        };
        if last - first >= MAX_TERMS && !endless {
            self.pool.budget.exhaust();
            return Err(Fail::Budget);
        }
        let mut total = self.math.int(i64::from(product))?;
        let mut small = 0;
        let mut partial = Vec::new();
        for step in first..=last {
            let at = self.math.int(step)?;
            let term = self.body_at(var, at, body)?;
            total = if product {
                self.math.mul(&total, &term)?
            } else {
                self.math.accumulate(&total, &term)?
            };
            if !endless {
                continue;
            }
            let rest = if product {
                self.math.sub(&term, &self.math.int(1)?)?
            } else {
                term
            };
            small = if rest.magnitude() < total.magnitude() - self.math.precision - 8 {
                small + 1
            } else {
                0
            };
            if small >= 3 {
                // The tail of a series that falls this fast is about its last term.
                total.error = total.error.max(total.magnitude() - self.math.precision + 6);
                return Ok(total.spread((step - first) as usize));
            }
            partial.push(total.clone());
            // A slowly falling series is extrapolated from its first terms.
            if partial.len() == series::TERMS && rest.magnitude() > -40 {
                if !product && let Some(total) = series::alternating(&mut self.math, &partial) {
                    return total;
                }
                return series::richardson(&self.math, &partial, first);
            }
        }
        if endless {
            Err(Fail::Unknown)
        } else {
            Ok(total.spread((last - first).max(0) as usize))
        }
    }

    fn integral(&mut self, var: Symbol, low: Id, high: Id, body: Id) -> Result<Complex, Fail> {
        let end = |id: Id| -> Result<Option<Complex>, Fail> {
            if infinite(self.pool, id) {
                return Ok(None);
            }
            let value = self.get(id)?.clone();
            if value.is_real() {
                Ok(Some(value))
            } else {
                Err(Fail::Unknown)
            }
        };
        let (from, to) = (end(low)?, end(high)?);
        let backwards = from.is_none() && *self.pool.node(low) == Node::Infinity
            || to.is_none() && *self.pool.node(high) != Node::Infinity;
        if backwards {
            return Err(Fail::Unknown);
        }
        let nodes = quadrature::nodes(from.as_ref(), to.as_ref(), &mut self.math)?;
        let mut values = Vec::with_capacity(nodes.len());
        for node in &nodes {
            self.pool.budget.spend(8)?;
            let value = match self.body_at(var, node.at.clone(), body) {
                // At a pole in an end, rounding may hit the end itself.
                Err(Fail::Undefined) if node.outer => None,
                value => Some(value?),
            };
            values.push(value);
        }
        quadrature::total(&self.math, &nodes, &values)
    }
}

/// Sine and its kin.
fn circular(math: &mut Arithmetic, fun: Fun, x: &Complex) -> Result<Complex, Fail> {
    match fun {
        Fun::Sin => Ok(math.sin_cos(x)?.0),
        Fun::Cos => Ok(math.sin_cos(x)?.1),
        Fun::Tan => {
            let (sin, cos) = math.sin_cos(x)?;
            math.div(&sin, &cos)
        }
        Fun::Cot => {
            let (sin, cos) = math.sin_cos(x)?;
            math.div(&cos, &sin)
        }
        Fun::Sec => {
            let cos = math.sin_cos(x)?.1;
            math.inv(&cos)
        }
        Fun::Csc => {
            let sin = math.sin_cos(x)?.0;
            math.inv(&sin)
        }
        _ => Err(Fail::Unknown),
    }
}

/// Arcsine and its kin.
fn inverse_circular(math: &mut Arithmetic, fun: Fun, x: &Complex) -> Result<Complex, Fail> {
    match fun {
        Fun::Asin => math.asin(x),
        Fun::Acos => complement(math, x, Arithmetic::asin),
        Fun::Atan => math.atan(x),
        Fun::Acot => complement(math, x, Arithmetic::atan),
        Fun::Asec => {
            let x = math.inv(x)?;
            complement(math, &x, Arithmetic::asin)
        }
        Fun::Acsc => {
            let x = math.inv(x)?;
            math.asin(&x)
        }
        _ => Err(Fail::Unknown),
    }
}

/// Hyperbolic sine and its kin.
fn hyperbolic(math: &mut Arithmetic, fun: Fun, x: &Complex) -> Result<Complex, Fail> {
    match fun {
        Fun::Sinh => Ok(math.sinh_cosh(x)?.0),
        Fun::Cosh => Ok(math.sinh_cosh(x)?.1),
        Fun::Tanh => {
            let (sinh, cosh) = math.sinh_cosh(x)?;
            math.div(&sinh, &cosh)
        }
        Fun::Coth => {
            let (sinh, cosh) = math.sinh_cosh(x)?;
            math.div(&cosh, &sinh)
        }
        Fun::Sech => {
            let cosh = math.sinh_cosh(x)?.1;
            math.inv(&cosh)
        }
        Fun::Csch => {
            let sinh = math.sinh_cosh(x)?.0;
            math.inv(&sinh)
        }
        _ => Err(Fail::Unknown),
    }
}

/// Inverse hyperbolic sine and its kin.
fn inverse_hyperbolic(math: &mut Arithmetic, fun: Fun, x: &Complex) -> Result<Complex, Fail> {
    match fun {
        Fun::Asinh => inverse_sinh(math, x),
        Fun::Acosh => inverse_cosh(math, x),
        Fun::Atanh => inverse_tanh(math, x),
        Fun::Acoth => {
            let x = math.inv(x)?;
            inverse_tanh(math, &x)
        }
        Fun::Asech => {
            let x = math.inv(x)?;
            inverse_cosh(math, &x)
        }
        Fun::Acsch => {
            let x = math.inv(x)?;
            inverse_sinh(math, &x)
        }
        _ => Err(Fail::Unknown),
    }
}

/// Real and imaginary part, argument, conjugate.
fn part(math: &mut Arithmetic, fun: Fun, x: &Complex) -> Result<Complex, Fail> {
    match fun {
        Fun::Re => Ok(Complex {
            im: math.zero(),
            ..x.clone()
        }),
        Fun::Im => Ok(Complex {
            re: x.im.clone(),
            im: math.zero(),
            error: x.error,
        }),
        Fun::Arg => math.arg(x),
        Fun::Conj => Ok(Complex {
            im: -x.im.clone(),
            ..x.clone()
        }),
        _ => Err(Fail::Unknown),
    }
}

/// `x - b floor(x / b)`.
fn modulo(math: &mut Arithmetic, x: &Complex, b: &Complex) -> Result<Complex, Fail> {
    let quotient = math.div(x, b)?;
    let whole = math.floor_ceil(&quotient)?.0;
    let product = math.mul(&whole, b)?;
    math.sub(x, &product)
}

/// pi/2 less a function's value.
fn complement(
    math: &mut Arithmetic,
    x: &Complex,
    fun: impl Fn(&mut Arithmetic, &Complex) -> Result<Complex, Fail>,
) -> Result<Complex, Fail> {
    let value = fun(math, x)?;
    let half = math.rational(&RBig::from_parts(1.into(), 2u8.into()))?;
    let pi = math.pi();
    let quarter = math.mul(&pi, &half)?;
    math.sub(&quarter, &value)
}

fn inverse_sinh(math: &mut Arithmetic, x: &Complex) -> Result<Complex, Fail> {
    let square = math.mul(x, x)?;
    let inside = math.add(&square, &math.int(1)?)?;
    let root = math.sqrt(&inside)?;
    let sum = math.add(x, &root)?;
    math.ln(&sum)
}

fn inverse_cosh(math: &mut Arithmetic, x: &Complex) -> Result<Complex, Fail> {
    let one = math.int(1)?;
    let below = math.sub(x, &one)?;
    let above = math.add(x, &one)?;
    let first = math.sqrt(&below)?;
    let second = math.sqrt(&above)?;
    let product = math.mul(&first, &second)?;
    let sum = math.add(x, &product)?;
    math.ln(&sum)
}

fn inverse_tanh(math: &mut Arithmetic, x: &Complex) -> Result<Complex, Fail> {
    let one = math.int(1)?;
    let above = math.add(&one, x)?;
    let above = math.ln(&above)?;
    let below = math.sub(&one, x)?;
    let below = math.ln(&below)?;
    let half = math.rational(&RBig::from_parts(1.into(), 2u8.into()))?;
    math.mul(&math.sub(&above, &below)?, &half)
}

/// The real root of a negative number where the degree is odd.
fn root(math: &mut Arithmetic, x: &Complex, degree: &Complex) -> Result<Complex, Fail> {
    let inverse = math.inv(degree)?;
    let odd = integer(degree).is_ok_and(|degree| degree % 2 != 0);
    if odd && x.is_real() && x.re.sign() == Sign::Negative && !x.is_lost() {
        let value = math.pow(&math.neg(x), &inverse)?;
        return Ok(math.neg(&value));
    }
    math.pow(x, &inverse)
}

fn extreme(math: &Arithmetic, largest: bool, args: &[Complex]) -> Result<Complex, Fail> {
    let mut best = args.first().ok_or(Fail::Unknown)?.clone();
    for arg in &args[1..] {
        if !arg.is_real() || !best.is_real() {
            return Err(Fail::Unknown);
        }
        let difference = math.sub(arg, &best)?;
        if !difference.is_lost() && difference.re.is_positive() == largest {
            best = arg.clone();
        }
    }
    Ok(best)
}

/// Functions of integers, at points that happen to be integers.
fn discrete(math: &Arithmetic, fun: Fun, args: &[Complex]) -> Result<Complex, Fail> {
    let values: Vec<RBig> = args
        .iter()
        .map(|arg| integer(arg).map(RBig::from))
        .collect::<Result<Vec<_>, Fail>>()?;
    match super::discrete::value(fun, &values) {
        Some(Ok(value)) => math.rational(&value),
        Some(Err(())) => Err(Fail::Undefined),
        None => Err(Fail::Unknown),
    }
}

/// The integer a value stands for.
fn integer(value: &Complex) -> Result<i64, Fail> {
    if magnitude(&value.im) > value.error + 4 || value.magnitude() > 40 {
        return Err(Fail::Unknown);
    }
    let near = value.re.round();
    if magnitude(&(value.re.clone() - near.clone())) > value.error + 8 {
        return Err(Fail::Unknown);
    }
    i64::try_from(near.to_int().value()).map_err(|_| Fail::Unknown)
}
