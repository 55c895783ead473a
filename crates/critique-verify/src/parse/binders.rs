//! Fractions, derivatives, and what binds a variable: sums, integrals, limits.

use super::lexer::Tok;
use super::names::Name;
use super::value::Value;
use super::{NoParse, Parsed, Parser};
use crate::algebra::pool::Symbol;
use crate::algebra::{Id, Meaning, Node, calculus};

impl Parser<'_> {
    pub(super) fn fraction(&mut self) -> Parsed<Value> {
        if let Some(value) = self.derivative()? {
            return Ok(value);
        }
        let top = self.digit_argument()?;
        // `\frac{dx}{1 + x}`: the differential above ends the integrand only
        // after the whole fraction.
        let integrand = std::mem::take(&mut self.integrand);
        let bottom = self.digit_argument();
        self.integrand = integrand;
        self.divide(&top, &bottom?)
    }

    /// `\frac{d}{dx} f`, `\frac{df(x)}{dx}`, `\frac{d^2}{dx^2} f`, `\frac{dy}{dx}`.
    pub(super) fn derivative(&mut self) -> Parsed<Option<Value>> {
        let start = self.at;
        let Some((order, mut body)) = self.numerator() else {
            self.at = start;
            return Ok(None);
        };
        let Some(vars) = self.denominator(order) else {
            self.at = start;
            return Ok(None);
        };
        let var = vars[0];
        if body.is_none() {
            let operand = self.nested(Self::power)?;
            body = Some(Self::scalar_of(&operand)?);
        } else if let Some(id) = body
            && let Node::Symbol(function) = *self.pool.node(id)
        {
            let derivative = Meaning::Derivative {
                order,
                function,
                by: var,
            };
            return Ok(Some(Value::scalar(self.pool.term(derivative))));
        }
        let mut id = body.ok_or(NoParse)?;
        for var in vars.into_iter().rev() {
            id = match calculus::derivative(self.pool, id, var) {
                Some(found) => found,
                None => self.pool.insert(Node::Derivative { var, body: id }),
            };
        }
        Ok(Some(Value::scalar(id)))
    }

    /// The order, and what is differentiated if it stands in the numerator.
    pub(super) fn numerator(&mut self) -> Option<(i64, Option<Id>)> {
        if !self.take_sign('{') {
            return None;
        }
        let mut rest = None;
        match self.peek().cloned()? {
            Tok::Letter('d') => self.at += 1,
            Tok::Command(name) if name == "partial" => self.at += 1,
            Tok::Word(word) if word.len() == 2 && word.starts_with('d') => {
                self.at += 1;
                rest = word.chars().nth(1);
            }
            _ => return None,
        }
        let mut order = 1;
        if self.is_sign('^') {
            self.at += 1;
            let value = self.argument().ok()?;
            order = self
                .pool
                .as_int(value.as_scalar()?)
                .filter(|order| (1..=4).contains(order))?;
        }
        let body = if let Some(letter) = rest {
            let value = self.symbol(letter.to_string()).ok()?;
            Some(value.as_scalar()?)
        } else if self.is_sign('}') {
            None
        } else {
            let value = self.additive().ok()?;
            Some(value.as_scalar()?)
        };
        self.take_sign('}').then_some((order, body))
    }

    /// The variables in the denominator, each as often as it stands there.
    pub(super) fn denominator(&mut self, order: i64) -> Option<Vec<Symbol>> {
        if !self.take_sign('{') {
            return None;
        }
        let mut vars = Vec::new();
        while !self.take_sign('}') {
            let name = match self.peek().cloned()? {
                Tok::Word(word) if word.len() == 2 && word.starts_with('d') => {
                    self.at += 1;
                    word.chars().nth(1)?.to_string()
                }
                Tok::Letter('d') | Tok::Command(_) => {
                    if let Tok::Command(name) = self.peek()?
                        && name != "partial"
                    {
                        return None;
                    }
                    self.at += 1;
                    let name = match self.peek()? {
                        Tok::Letter(letter) => letter.to_string(),
                        Tok::Name(Name::Symbol(name)) => (*name).to_owned(),
                        _ => return None,
                    };
                    self.at += 1;
                    name
                }
                _ => return None,
            };
            let mut times = 1;
            if self.take_sign('^') {
                let value = self.argument().ok()?;
                times = self.pool.as_int(value.as_scalar()?)?;
            }
            let var = self.pool.symbol(&name);
            for _ in 0..times.clamp(0, 5) {
                vars.push(var);
            }
        }
        (vars.len() as i64 == order).then_some(vars)
    }

    /// `\sum_{k=1}^{n}` and `\prod`; the body is a product.
    pub(super) fn sum(&mut self, product: bool) -> Parsed<Value> {
        let depth = self.bound.len();
        let mut start = None;
        let mut high = None;
        loop {
            if self.take_sign('_') {
                self.expect_sign('{')?;
                let name = match self.peek() {
                    Some(Tok::Letter(letter)) => letter.to_string(),
                    Some(Tok::Name(Name::Symbol(name))) => (*name).to_owned(),
                    _ => return Err(NoParse),
                };
                self.at += 1;
                self.expect_sign('=')?;
                let low = self.additive()?;
                self.expect_sign('}')?;
                start = Some((name, Self::scalar_of(&low)?));
            } else if self.take_sign('^') {
                let value = self.script()?;
                high = Some(Self::scalar_of(&value)?);
            } else {
                break;
            }
        }
        let ((name, low), high) = (start.ok_or(NoParse)?, high.ok_or(NoParse)?);
        self.bound.push(name.clone());
        let body = self.nested(Self::product);
        self.bound.truncate(depth);
        let body = Self::scalar_of(&body?)?;
        let var = self.pool.symbol(&name);
        if !product && let Some(total) = calculus::polynomial_sum(self.pool, body, var, low, high) {
            return Ok(Value::scalar(total));
        }
        let (var, body) = self.pool.bind(var, body);
        Ok(Value::scalar(self.pool.insert(Node::Sum {
            product,
            var,
            low,
            high,
            body,
        })))
    }

    pub(super) fn integral(&mut self) -> Parsed<Value> {
        let (mut low, mut high) = (None, None);
        loop {
            if self.take_sign('_') {
                let value = self.script()?;
                low = Some(Self::scalar_of(&value)?);
            } else if self.take_sign('^') {
                let value = self.script()?;
                high = Some(Self::scalar_of(&value)?);
            } else {
                break;
            }
        }
        self.integrand.push(None);
        let body = self.nested(Self::additive);
        let var = self.integrand.pop().flatten();
        let body = Self::scalar_of(&body?)?;
        let var = var.ok_or(NoParse)?;
        let bounds = match (low, high) {
            (Some(low), Some(high)) => Some((low, high)),
            (None, None) => None,
            _ => return Err(NoParse),
        };
        Ok(Value::scalar(calculus::integral(
            self.pool, body, var, bounds,
        )))
    }

    /// `\lim_{x \to a^+} f`
    pub(super) fn limit(&mut self) -> Parsed<Value> {
        self.expect_sign('_')?;
        self.expect_sign('{')?;
        let var = self.primary()?.as_symbol(self.pool).ok_or(NoParse)?;
        if !self.take_command("to") {
            return Err(NoParse);
        }
        self.approach = 0;
        let to = self.additive()?;
        let side = std::mem::take(&mut self.approach);
        self.expect_sign('}')?;
        let to = Self::scalar_of(&to)?;
        let body = self.nested(Self::product)?;
        let body = Self::scalar_of(&body)?;
        if !self.pool.contains_symbol(body, var) {
            return Ok(Value::scalar(body));
        }
        let (var, body) = self.pool.bind(var, body);
        Ok(Value::scalar(self.pool.insert(Node::Limit {
            var,
            to,
            side,
            body,
        })))
    }
}
