//! Sums, products, signs and units.

use dashu::base::Signed;
use dashu::rational::RBig;

use super::lexer::Tok;
use super::names;
use super::value::{Bracket, Decimal, Separator, Value};
use super::{NoParse, Parsed, Parser, matrix};
use crate::algebra::{Id, Meaning, Node};

impl Parser<'_> {
    /// A sum. `\pm` leaves a sign symbol that a comparison resolves.
    pub(super) fn additive(&mut self) -> Parsed<Value> {
        let start = self.at;
        let mut left = self.product()?;
        let mut terms: Vec<Id> = left.as_scalar().into_iter().collect();
        loop {
            if self.integrand.last().is_some_and(Option::is_some) {
                return Ok(left);
            }
            if self.is_sign('+') && !self.dangling_sign() {
                self.at += 1;
                let right = self.product()?;
                terms.extend(right.as_scalar());
                left = self.add_values(left, right)?;
            } else if self.take_sign('-') {
                let right = self.product()?;
                if left.is_set() && right.is_set() && !is_vector(&left) {
                    left = Value::Difference(Box::new(left), Box::new(right));
                    continue;
                }
                let right = self.scale_value(&right, -1)?;
                terms.extend(right.as_scalar());
                left = self.add_values(left, right)?;
            } else if self.is_command("pm") || self.is_command("mp") {
                let sign = if self.is_command("pm") { 1 } else { -1 };
                self.at += 1;
                let right = self.product()?;
                let right = self.signed(&right, sign)?;
                left = self.add_values(left, right)?;
            } else {
                let powers = self.tokens[start..self.at]
                    .iter()
                    .any(|token| token.tok == Tok::Sign('^'));
                let whole = self.elided(&terms, powers);
                return Ok(whole.map_or(left, Value::scalar));
            }
        }
    }

    /// `3^{+}` and the like: a sign with nothing behind.
    fn dangling_sign(&self) -> bool {
        matches!(self.peek_at(1), None | Some(Tok::Sign('}' | ')')))
    }

    /// `\pm x` as a symbol times x.
    fn signed(&mut self, value: &Value, sign: i64) -> Parsed<Value> {
        let id = Self::scalar_of(value)?;
        let open = self.pool.term(Meaning::PlusMinus);
        let sign = self.pool.int(sign);
        Ok(Value::scalar(self.pool.mul(&[sign, open, id])))
    }

    pub(super) fn add_values(&mut self, left: Value, right: Value) -> Parsed<Value> {
        match (left, right) {
            (Value::Scalar(a, _), Value::Scalar(b, _)) => Ok(Value::scalar(self.pool.add(&[a, b]))),
            (Value::Matrix(a), Value::Matrix(b)) => {
                matrix::add(self.pool, &a, &b).map(Value::Matrix)
            }
            (
                Value::Seq {
                    items: a,
                    open,
                    close,
                    ..
                },
                Value::Seq {
                    items: b,
                    open: other,
                    ..
                },
            ) if a.len() == b.len() && open != Bracket::None && open == other => {
                let items = a
                    .into_iter()
                    .zip(b)
                    .map(|(a, b)| self.add_values(a, b))
                    .collect::<Parsed<Vec<_>>>()?;
                Ok(Value::Seq {
                    items,
                    open,
                    close,
                    separator: Separator::Comma,
                })
            }
            _ => Err(NoParse),
        }
    }

    pub(super) fn scale_value(&mut self, value: &Value, factor: i64) -> Parsed<Value> {
        let factor = self.pool.int(factor);
        match value {
            Value::Scalar(id, decimal) => {
                Ok(Value::Scalar(self.pool.mul(&[factor, *id]), *decimal))
            }
            Value::Matrix(_) | Value::Seq { .. } => self.mul_values(&Value::scalar(factor), value),
            Value::Base { digits, base } if self.pool.as_int(factor) == Some(-1) => {
                Ok(Value::Base {
                    digits: format!("-{digits}"),
                    base: *base,
                })
            }
            _ => Err(NoParse),
        }
    }

    pub(super) fn mul_values(&mut self, left: &Value, right: &Value) -> Parsed<Value> {
        match (left, right) {
            (Value::Scalar(a, _), Value::Scalar(b, _)) => {
                let id = self.pool.mul(&[*a, *b]);
                Ok(Value::Scalar(id, self.scientific(left, right)))
            }
            (Value::Scalar(a, _), Value::Matrix(rows))
            | (Value::Matrix(rows), Value::Scalar(a, _)) => {
                Ok(Value::Matrix(matrix::scale(self.pool, *a, rows)))
            }
            (Value::Matrix(a), Value::Matrix(b)) => matrix::mul(self.pool, a, b).map(Value::Matrix),
            // `A(1, 2)`: a point with its name.
            (
                Value::Scalar(..),
                Value::Seq {
                    open: Bracket::Round,
                    ..
                },
            ) if left
                .as_symbol(self.pool)
                .is_some_and(|symbol| self.pool.is_capital(symbol)) =>
            {
                Ok(right.clone())
            }
            (
                Value::Scalar(_, _),
                Value::Seq {
                    items,
                    open,
                    close,
                    separator,
                },
            ) if is_vector(right) => {
                let items = items
                    .iter()
                    .map(|item| self.mul_values(left, item))
                    .collect::<Parsed<Vec<_>>>()?;
                Ok(Value::Seq {
                    items,
                    open: *open,
                    close: *close,
                    separator: *separator,
                })
            }
            _ => Err(NoParse),
        }
    }

    /// A decimal times a power of ten keeps its digits.
    fn scientific(&self, left: &Value, right: &Value) -> Option<Decimal> {
        let (Value::Scalar(_, Some(decimal)), Value::Scalar(power, _)) = (left, right) else {
            return None;
        };
        let value = self.pool.as_number(*power)?;
        let places = power_of_ten(value)?;
        Some(Decimal {
            place: decimal.place + places,
            digits: decimal.digits,
        })
    }

    /// A product, with or without signs between its factors.
    pub(super) fn product(&mut self) -> Parsed<Value> {
        let mut left = self.unary()?;
        loop {
            if self.integrand.last().is_some_and(Option::is_some) {
                return Ok(left);
            }
            if self.is_sign('*') || self.is_command("cdot") || self.is_command("times") {
                let cross = self.is_command("times");
                self.at += 1;
                let right = self.unary()?;
                left = match self.vector_product(&left, &right, cross)? {
                    Some(product) => product,
                    None => self.mul_values(&left, &right)?,
                };
            } else if self.is_sign('/') || self.is_command("div") {
                self.at += 1;
                let right = self.unary()?;
                left = self.divide(&left, &right)?;
            } else if self.at_mod(0) && !self.congruence {
                self.at += 1;
                let right = self.unary()?;
                let (a, b) = (Self::scalar_of(&left)?, Self::scalar_of(&right)?);
                left = Value::scalar(self.pool.call(crate::algebra::Fun::Mod, &[a, b]));
            } else if left.is_set() && matches!(self.peek(), Some(Tok::Letter('U'))) {
                // `[0, 1] U [2, 3]`
                return Ok(left);
            } else if let Some(value) = self.mixed(&left)? {
                left = value;
            } else if self.unit_follows(&left) {
                left = self.units(left)?;
                // `2 hours 30 minutes` is no product.
                if matches!(self.peek(), Some(Tok::Number(_))) {
                    return Err(NoParse);
                }
            } else if let Some(modulus) = self.modulus()? {
                let (value, modulus) = (Self::scalar_of(&left)?, Self::scalar_of(&modulus)?);
                left = Value::scalar(self.pool.insert(Node::Residue { value, modulus }));
            } else if self.starts_factor() {
                let right = self.power()?;
                left = self.mul_values(&left, &right)?;
            } else {
                return Ok(left);
            }
        }
    }

    pub(super) fn divide(&mut self, left: &Value, right: &Value) -> Parsed<Value> {
        let bottom = Self::scalar_of(right)?;
        match left {
            Value::Scalar(top, _) => Ok(Value::scalar(self.pool.div(*top, bottom))),
            Value::Matrix(_) | Value::Seq { .. } => {
                let minus = self.pool.int(-1);
                let inverse = self.pool.pow(bottom, minus);
                self.mul_values(&Value::scalar(inverse), left)
            }
            _ => Err(NoParse),
        }
    }

    fn at_mod(&self, ahead: usize) -> bool {
        match self.peek_at(ahead) {
            Some(Tok::Command(name)) => name == "mod" || name == "bmod",
            Some(Tok::Word(word)) => word == "mod",
            _ => false,
        }
    }

    /// `\pmod 7`, `(mod 7)`, and `\mod 7` in a congruence.
    fn modulus(&mut self) -> Parsed<Option<Value>> {
        if self.take_command("pmod") {
            return self.argument().map(Some);
        }
        if self.is_sign('(') && self.at_mod(1) {
            self.at += 2;
            let value = self.unary()?;
            self.expect_sign(')')?;
            return Ok(Some(value));
        }
        if self.congruence && self.at_mod(0) {
            self.at += 1;
            return self.unary().map(Some);
        }
        Ok(None)
    }

    /// The inner product, or with `\times` the cross product, of two vectors.
    fn vector_product(
        &mut self,
        left: &Value,
        right: &Value,
        cross: bool,
    ) -> Parsed<Option<Value>> {
        let column = |rows: &Vec<Vec<_>>| rows.len() > 1 && rows.iter().all(|row| row.len() == 1);
        let entries = |value: &Value| match value {
            Value::Seq { items, .. } => items.iter().map(Value::as_scalar).collect(),
            Value::Matrix(rows) => Some(rows.iter().flatten().copied().collect::<Vec<_>>()),
            _ => None,
        };
        match (left, right) {
            (Value::Domain(_), Value::Domain(_)) => return Err(NoParse),
            (Value::Seq { .. }, Value::Seq { .. }) => {
                if !is_vector(left) || !is_vector(right) {
                    return Err(NoParse);
                }
            }
            (Value::Matrix(a), Value::Matrix(b)) if column(a) && column(b) => {}
            _ => return Ok(None),
        }
        let (Some(a), Some(b)) = (entries(left), entries(right)) else {
            return Err(NoParse);
        };
        if cross {
            let rows = matrix::cross(self.pool, &a, &b)?;
            return Ok(Some(Value::Matrix(
                rows.into_iter().map(|entry| vec![entry]).collect(),
            )));
        }
        matrix::dot(self.pool, &a, &b).map(|id| Some(Value::scalar(id)))
    }

    /// `7\frac34` and `7 3/4`: a whole number before a fraction adds.
    fn mixed(&mut self, left: &Value) -> Parsed<Option<Value>> {
        let Some(whole) = self.whole_before(left) else {
            return Ok(None);
        };
        let start = self.at;
        let Some(fraction) = self.fraction_here()? else {
            return Ok(None);
        };
        let part = fraction
            .as_scalar()
            .and_then(|id| self.pool.as_number(id))
            .cloned();
        // `2\frac{3}{2}`: an improper fraction is a factor in some hands, a sum in
        // most; the sum is what peers read.
        match part {
            Some(part)
                if !part.is_negative()
                    && !part.is_int()
                    && (!self.is_sign('^') || self.degree_follows()) =>
            {
                let sum = self.pool.number(part);
                let total = self.pool.add(&[whole, sum]);
                self.marks(Value::scalar(total)).map(Some)
            }
            _ => {
                self.at = start;
                Ok(None)
            }
        }
    }

    /// A whole number that was just read and is all of the left side, so that
    /// `2\cdot 3\frac12` is left alone.
    fn whole_before(&self, left: &Value) -> Option<Id> {
        let before = |back: usize| {
            let at = self.at.checked_sub(back)?;
            self.tokens.get(at).map(|token| &token.tok)
        };
        let Some(Tok::Number(number)) = before(1) else {
            return None;
        };
        let joined = match before(2) {
            Some(Tok::Sign('*' | '/' | '^' | '_') | Tok::Number(_)) => true,
            Some(Tok::Command(name)) => name == "cdot" || name == "times",
            _ => false,
        };
        left.as_scalar().filter(|id| {
            let whole = self.pool.as_number(*id).is_some_and(RBig::is_int);
            whole && number.is_integer_text() && !joined
        })
    }

    /// `3/4` or `\frac34`, if that is what follows.
    fn fraction_here(&mut self) -> Parsed<Option<Value>> {
        let plain = matches!(
            (self.peek(), self.peek_at(1), self.peek_at(2)),
            (
                Some(Tok::Number(_)),
                Some(Tok::Sign('/')),
                Some(Tok::Number(_))
            )
        );
        if plain {
            let top = self.primary()?;
            self.at += 1;
            let bottom = self.primary()?;
            return self.divide(&top, &bottom).map(Some);
        }
        if self.is_command("frac") {
            return self.primary().map(Some);
        }
        Ok(None)
    }

    fn degree_follows(&self) -> bool {
        self.circle_at(1) || self.circle_at(2)
    }

    /// Whether the next token can begin a factor without a sign before it.
    fn starts_factor(&self) -> bool {
        match self.peek() {
            Some(
                Tok::Number(_)
                | Tok::Letter(_)
                | Tok::Name(_)
                | Tok::SetOpen
                | Tok::Sign('(' | '[' | '{')
                | Tok::Begin(_),
            ) => true,
            Some(Tok::Word(word)) => word.len() <= 4 && !names::is_connective(word),
            Some(Tok::Text(text)) => text.len() == 1,
            Some(Tok::Sign('|')) => self.bars == 0 && !self.builder,
            Some(Tok::Command(name)) => {
                super::primary::starts_primary(name) && !(self.in_norm && name == "|")
            }
            _ => false,
        }
    }

    /// Signs before a factor; they bind looser than powers.
    pub(super) fn unary(&mut self) -> Parsed<Value> {
        let mut negative = false;
        loop {
            if self.take_sign('-') {
                negative = !negative;
            } else if self.is_sign('+') {
                self.at += 1;
            } else {
                break;
            }
        }
        if self.is_command("pm") || self.is_command("mp") {
            let sign = if self.is_command("pm") == negative {
                -1
            } else {
                1
            };
            self.at += 1;
            let value = self.nested(Self::product)?;
            return self.signed(&value, sign);
        }
        let value = self.power()?;
        if !negative {
            return Ok(value);
        }
        // A minus covers both parts of a mixed number.
        let value = match self.mixed(&value)? {
            Some(mixed) => mixed,
            None => value,
        };
        self.scale_value(&value, -1)
    }
}

/// A bracketed list of scalars, which can be added and scaled.
pub(crate) fn is_vector(value: &Value) -> bool {
    match value {
        Value::Seq {
            items,
            open: Bracket::Round | Bracket::Square | Bracket::Angle,
            close,
            ..
        } => {
            *close != Bracket::None
                && items.len() >= 2
                && items.iter().all(|item| matches!(item, Value::Scalar(..)))
        }
        _ => false,
    }
}

fn power_of_ten(value: &RBig) -> Option<i64> {
    let of = |digits: String| {
        let zeros = digits.strip_prefix('1')?;
        zeros
            .bytes()
            .all(|c| c == b'0')
            .then_some(zeros.len() as i64)
    };
    if value.is_int() {
        of(value.numerator().to_string())
    } else if value.numerator().is_one() {
        of(value.denominator().to_string()).map(|places| -places)
    } else {
        None
    }
}
