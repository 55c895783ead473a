//! Putting expressions together, with numbers folded and like terms collected.

use std::collections::HashMap;

use dashu::base::{BitTest, Signed, UnsignedAbs};
use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use super::pool::{Fun, Id, Node, Pool};
use crate::budget::MAX_BITS;

/// Bases with the exponents that they have in a product.
type Powers = Vec<(Id, Vec<Id>)>;

impl Pool {
    /// The sum, with numbers folded and like terms collected.
    pub(crate) fn add(&mut self, terms: &[Id]) -> Id {
        let mut constant = RBig::ZERO;
        let mut parts: Vec<(Id, RBig)> = Vec::new();
        let mut seen: HashMap<Id, usize> = HashMap::new();
        let mut flat = Vec::new();
        for &term in terms {
            match self.node(term) {
                Node::Undefined => return term,
                Node::Add(inner) => flat.extend_from_slice(inner),
                _ => flat.push(term),
            }
        }
        for term in flat {
            if let Some(value) = self.as_number(term) {
                constant += value;
                continue;
            }
            let (factor, rest) = self.split_factor(term);
            if let Some(&at) = seen.get(&rest) {
                parts[at].1 += factor;
            } else {
                seen.insert(rest, parts.len());
                parts.push((rest, factor));
            }
        }
        let mut ids = Vec::with_capacity(parts.len() + 1);
        for (rest, factor) in parts {
            // An infinity does not cancel.
            if factor.is_zero() && matches!(self.node(rest), Node::Infinity) {
                return self.undefined();
            }
            if !factor.is_zero() {
                ids.push(self.scale(rest, &factor));
            }
        }
        ids.sort_unstable();
        if !constant.is_zero() || ids.is_empty() {
            ids.insert(0, self.number(constant));
        }
        if ids.len() == 1 {
            ids[0]
        } else {
            self.insert(Node::Add(ids))
        }
    }

    pub(crate) fn sub(&mut self, left: Id, right: Id) -> Id {
        let right = self.neg(right);
        self.add(&[left, right])
    }

    pub(crate) fn neg(&mut self, id: Id) -> Id {
        let minus = self.int(-1);
        self.mul(&[minus, id])
    }

    /// Splits `3xy` into 3 and `xy`.
    pub(crate) fn split_factor(&mut self, id: Id) -> (RBig, Id) {
        if let Node::Mul(factors) = self.node(id)
            && let Some(value) = self.as_number(factors[0]).cloned()
        {
            let rest = factors[1..].to_vec();
            let rest = if rest.len() == 1 {
                rest[0]
            } else {
                self.insert(Node::Mul(rest))
            };
            return (value, rest);
        }
        (RBig::ONE, id)
    }

    pub(super) fn scale(&mut self, rest: Id, factor: &RBig) -> Id {
        if factor.is_one() {
            return rest;
        }
        let number = self.number(factor.clone());
        let mut factors = vec![number];
        match self.node(rest) {
            Node::Mul(inner) => factors.extend_from_slice(inner),
            _ => factors.push(rest),
        }
        self.insert(Node::Mul(factors))
    }

    /// The product, with numbers folded and powers of one base collected.
    pub(crate) fn mul(&mut self, factors: &[Id]) -> Id {
        let mut flat = Vec::new();
        for &factor in factors {
            match self.node(factor) {
                Node::Undefined => return factor,
                Node::Mul(inner) => flat.extend_from_slice(inner),
                _ => flat.push(factor),
            }
        }
        let Some((constant, parts)) = self.by_base(flat) else {
            self.budget.exhaust();
            return self.undefined();
        };
        let mut ids = Vec::with_capacity(parts.len() + 1);
        let mut again = false;
        for (base, exponents) in parts {
            if let [exponent] = exponents.as_slice() {
                let one = self.as_int(*exponent) == Some(1);
                ids.push(if one {
                    base
                } else {
                    self.insert(Node::Pow(base, *exponent))
                });
                continue;
            }
            let exponent = self.add(&exponents);
            let power = self.pow(base, exponent);
            again |= matches!(self.node(power), Node::Number(_) | Node::Mul(_));
            ids.push(power);
        }
        if again {
            ids.push(self.number(constant));
            return self.mul(&ids);
        }
        self.product(constant, ids)
    }

    /// The number among factors, and the exponents of every other base in the order of the
    /// factors; `None` where the number is too large.
    fn by_base(&mut self, factors: Vec<Id>) -> Option<(RBig, Powers)> {
        let mut constant = RBig::ONE;
        let mut parts: Powers = Vec::new();
        let mut seen: HashMap<Id, usize> = HashMap::new();
        for factor in factors {
            if let Some(value) = self.as_number(factor) {
                if bits(&constant) + bits(value) > MAX_BITS {
                    return None;
                }
                constant *= value;
                continue;
            }
            let (base, exponent) = match self.node(factor) {
                Node::Pow(base, exponent) => (*base, *exponent),
                _ => (factor, self.int(1)),
            };
            if let Some(&at) = seen.get(&base) {
                parts[at].1.push(exponent);
            } else {
                seen.insert(base, parts.len());
                parts.push((base, vec![exponent]));
            }
        }
        Some((constant, parts))
    }

    /// A number times powers of different bases.
    fn product(&mut self, mut constant: RBig, mut ids: Vec<Id>) -> Id {
        let is = |pool: &Self, id: Id, wanted: &Node| pool.node(id) == wanted;
        if ids.iter().any(|&id| is(self, id, &Node::Undefined)) {
            return self.undefined();
        }
        if constant.is_zero() {
            let infinite = ids.iter().any(|&id| is(self, id, &Node::Infinity));
            return if infinite {
                self.undefined()
            } else {
                self.int(0)
            };
        }
        ids.sort_unstable();
        if let Some(at) = ids.iter().position(|&id| is(self, id, &Node::Infinity)) {
            // A positive factor is lost in an infinity.
            let sign = if constant.is_positive() { 1 } else { -1 };
            constant = RBig::from(sign);
            ids.swap(0, at);
            ids[1..].sort_unstable();
        }
        if !constant.is_one() || ids.is_empty() {
            ids.insert(0, self.number(constant));
        }
        if ids.len() == 1 {
            ids[0]
        } else {
            self.insert(Node::Mul(ids))
        }
    }

    pub(crate) fn div(&mut self, left: Id, right: Id) -> Id {
        let minus = self.int(-1);
        let inverse = self.pow(right, minus);
        self.mul(&[left, inverse])
    }

    /// The power, exact where that stays small.
    pub(crate) fn pow(&mut self, base: Id, exponent: Id) -> Id {
        if matches!(self.node(base), Node::Undefined)
            || matches!(self.node(exponent), Node::Undefined)
        {
            return self.undefined();
        }
        if let Some(exponent_value) = self.as_number(exponent).cloned() {
            if exponent_value.is_one() {
                return base;
            }
            if let Some(value) = self.as_number(base).cloned() {
                return self.rational_power(base, exponent, &value, &exponent_value);
            }
            if exponent_value.is_zero() {
                return match self.node(base) {
                    Node::Infinity => self.undefined(),
                    _ => self.int(1),
                };
            }
            if exponent_value.is_int() {
                return self.integer_power(base, exponent, &exponent_value);
            }
        }
        if let Some(value) = self.as_number(base)
            && value.is_one()
            && !matches!(self.node(exponent), Node::Infinity)
        {
            return base;
        }
        self.insert(Node::Pow(base, exponent))
    }

    pub(super) fn integer_power(&mut self, base: Id, exponent: Id, value: &RBig) -> Id {
        match self.node(base).clone() {
            Node::I => {
                let turns = (value.numerator() % IBig::from(4)).unsigned_abs();
                let turns = u64::try_from(turns).unwrap_or(0);
                let turns = if value.is_negative() {
                    (4 - turns) % 4
                } else {
                    turns
                };
                match turns {
                    0 => self.int(1),
                    1 => base,
                    2 => self.int(-1),
                    _ => self.neg(base),
                }
            }
            Node::Pow(inner, inner_exponent) => {
                let product = self.mul(&[inner_exponent, exponent]);
                self.pow(inner, product)
            }
            Node::Mul(factors) => {
                let powers: Vec<Id> = factors
                    .iter()
                    .map(|&factor| self.pow(factor, exponent))
                    .collect();
                self.mul(&powers)
            }
            Node::Infinity => {
                if value.is_negative() {
                    self.int(0)
                } else {
                    base
                }
            }
            _ => self.insert(Node::Pow(base, exponent)),
        }
    }

    pub(super) fn rational_power(
        &mut self,
        base: Id,
        exponent: Id,
        value: &RBig,
        power: &RBig,
    ) -> Id {
        if power.is_zero() {
            return if value.is_zero() {
                self.undefined()
            } else {
                self.int(1)
            };
        }
        if value.is_zero() {
            return if power.is_negative() {
                self.undefined()
            } else {
                base
            };
        }
        if value.is_one() {
            return base;
        }
        if power.is_int() {
            return match rational_pow(value, power.numerator()) {
                Some(result) => self.number(result),
                None => self.insert(Node::Pow(base, exponent)),
            };
        }
        // A perfect power under a root comes out.
        if value.is_positive()
            && let Ok(degree) = usize::try_from(power.denominator())
            && degree <= 64
            && let Some(root) = exact_root(value, degree)
            && let Some(result) = rational_pow(&root, power.numerator())
        {
            return self.number(result);
        }
        self.insert(Node::Pow(base, exponent))
    }

    pub(crate) fn sqrt(&mut self, id: Id) -> Id {
        let half = self.number(RBig::from_parts(1.into(), 2u8.into()));
        self.pow(id, half)
    }

    pub(crate) fn call(&mut self, fun: Fun, args: &[Id]) -> Id {
        if let (Fun::Binomial, [n, k]) = (fun, args)
            && self.as_number(*n).is_none()
            && let Some(k @ 0..=12) = self.as_int(*k)
        {
            return self.falling(*n, k);
        }
        if args
            .iter()
            .any(|&arg| matches!(self.node(arg), Node::Undefined))
        {
            return self.undefined();
        }
        let values: Option<Vec<RBig>> = args
            .iter()
            .map(|&arg| self.as_number(arg).cloned())
            .collect();
        if let Some(values) = values
            && let Some(result) = super::discrete::value(fun, &values)
        {
            return match result {
                Ok(number) => self.number(number),
                Err(()) => self.undefined(),
            };
        }
        if fun == Fun::Root
            && let [radicand, degree] = args
            && self.as_int(*degree) == Some(2)
        {
            return self.sqrt(*radicand);
        }
        if matches!(fun, Fun::Gcd | Fun::Lcm | Fun::Max | Fun::Min) {
            let mut args = args.to_vec();
            args.sort_unstable();
            args.dedup();
            if args.len() == 1 {
                return args[0];
            }
            return self.insert(Node::Call(fun, args));
        }
        self.insert(Node::Call(fun, args.to_vec()))
    }

    /// `n (n-1) .. (n-k+1) / k!`
    pub(super) fn falling(&mut self, n: Id, k: i64) -> Id {
        let mut factors = Vec::new();
        for step in 0..k {
            let minus = self.int(-step);
            factors.push(self.add(&[n, minus]));
            factors.push(self.number(RBig::from_parts(1.into(), (step as u64 + 1).into())));
        }
        self.mul(&factors)
    }
}

/// Bits of numerator and denominator together.
pub(crate) fn bits(value: &RBig) -> usize {
    value.numerator().bit_len() + value.denominator().bit_len()
}

/// `value^exponent` when the result is narrow enough.
pub(crate) fn rational_pow(value: &RBig, exponent: &IBig) -> Option<RBig> {
    let size = usize::try_from(exponent.unsigned_abs()).ok()?;
    let trivial = value.denominator().is_one() && value.numerator().unsigned_abs().is_one();
    let size = if trivial { size % 2 } else { size };
    if !trivial && bits(value).checked_mul(size)? > MAX_BITS {
        return None;
    }
    let numerator = value.numerator().pow(size);
    let denominator = value.denominator().pow(size);
    if exponent.is_negative() {
        let sign = numerator.sign();
        Some(RBig::from_parts(
            IBig::from(denominator) * sign,
            numerator.unsigned_abs(),
        ))
    } else {
        Some(RBig::from_parts(numerator, denominator))
    }
}

/// The exact root of a positive rational.
fn exact_root(value: &RBig, degree: usize) -> Option<RBig> {
    let numerator = integer_root(&value.numerator().unsigned_abs(), degree)?;
    let denominator = integer_root(value.denominator(), degree)?;
    Some(RBig::from_parts(numerator.into(), denominator))
}

fn integer_root(value: &UBig, degree: usize) -> Option<UBig> {
    let root = value.nth_root(degree);
    (root.pow(degree) == *value).then_some(root)
}
