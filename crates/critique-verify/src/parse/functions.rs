//! Functions, fractions, sums, integrals, limits and environments.

use dashu::rational::RBig;

use super::lexer::Tok;
use super::names::{self, Name, Special};
use super::value::{Bracket, Separator, Value};
use super::{NoParse, Parsed, Parser, matrix};
use crate::algebra::{Fun, Id, Meaning, Node};

impl Parser<'_> {
    /// `f(x)`, `f x`, `f^2 x`, `f^{-1} x`.
    pub(super) fn function(&mut self, fun: Fun) -> Parsed<Value> {
        if matches!(
            fun,
            Fun::Gcd | Fun::Lcm | Fun::Max | Fun::Min | Fun::Binomial
        ) {
            let args = self.call_args()?;
            let ids = args
                .iter()
                .map(Self::scalar_of)
                .collect::<Parsed<Vec<_>>>()?;
            if fun == Fun::Binomial && ids.len() != 2 {
                return Err(NoParse);
            }
            return Ok(Value::scalar(self.pool.call(fun, &ids)));
        }
        let exponent = self.function_power()?;
        let argument = self.function_argument(fun.is_trigonometric())?;
        if fun == Fun::Abs {
            let value = self.absolute(&argument)?;
            return self.powered(value, exponent);
        }
        let id = Self::scalar_of(&argument)?;
        if let Some(power) = exponent
            && self.pool.as_int(power) == Some(-1)
            && let Some(inverse) = inverse_of(fun)
        {
            return Ok(Value::scalar(self.pool.call(inverse, &[id])));
        }
        let id = if fun.is_trigonometric() {
            self.in_radians(id)
        } else {
            id
        };
        let value = Value::scalar(self.pool.call(fun, &[id]));
        self.powered(value, exponent)
    }

    /// Degrees count as an angle once a trigonometric function takes them.
    pub(super) fn in_radians(&mut self, id: Id) -> Id {
        let Some(degree) = self.pool.known(&Meaning::Degree) else {
            return id;
        };
        let pi = self.pool.insert(Node::Pi);
        let part = self.pool.number(RBig::from_parts(1.into(), 180u8.into()));
        let unit = self.pool.mul(&[pi, part]);
        self.pool.substitute(id, degree, unit)
    }

    pub(super) fn function_power(&mut self) -> Parsed<Option<Id>> {
        if !self.take_sign('^') {
            return Ok(None);
        }
        let value = self.argument()?;
        Self::scalar_of(&value).map(Some)
    }

    pub(super) fn powered(&mut self, value: Value, exponent: Option<Id>) -> Parsed<Value> {
        match exponent {
            Some(power) => {
                let id = Self::scalar_of(&value)?;
                Ok(Value::scalar(self.pool.pow(id, power)))
            }
            None => Ok(value),
        }
    }

    /// `\Gamma(x)` as a factorial; at halves it is a rational times the root of pi.
    pub(super) fn gamma(&mut self) -> Parsed<Value> {
        let start = self.at;
        let argument = Self::scalar_of(&self.primary()?)?;
        let one = self.pool.int(1);
        if let Some(value) = self.pool.as_number(argument).cloned()
            && !value.is_int()
        {
            let double = value * RBig::from(2);
            let halves = i64::try_from(double.numerator()).unwrap_or(0);
            if !double.is_int() || !(1..=400).contains(&halves) {
                self.at = start;
                return self.application("Gamma");
            }
            // Γ(n + 1/2) = (1/2)(3/2)..(n - 1/2) √π
            let product = (1..halves).step_by(2).fold(RBig::ONE, |total, odd| {
                total * RBig::from_parts(odd.into(), 2u8.into())
            });
            let pi = self.pool.insert(Node::Pi);
            let (factor, root) = (self.pool.number(product), self.pool.sqrt(pi));
            return Ok(Value::scalar(self.pool.mul(&[factor, root])));
        }
        let below = self.pool.sub(argument, one);
        Ok(Value::scalar(self.pool.call(Fun::Factorial, &[below])))
    }

    /// The arguments in brackets or braces.
    pub(super) fn call_args(&mut self) -> Parsed<Vec<Value>> {
        let value = self.primary()?;
        Ok(match value {
            Value::Seq { items, .. } => items,
            other => vec![other],
        })
    }

    /// A bracket, or the run of factors that follows.
    pub(super) fn function_argument(&mut self, trigonometric: bool) -> Parsed<Value> {
        if self.is_sign('(') || self.is_sign('[') || self.is_sign('{') {
            return self.primary();
        }
        if self.peek() == Some(&Tok::SetOpen) {
            // `\exp\{x\}`: braces as brackets.
            return Ok(match self.primary()? {
                Value::Seq { mut items, .. } if items.len() == 1 => items.remove(0),
                other => other,
            });
        }
        self.nested(|parser| {
            let negative = parser.take_sign('-');
            let mut value = parser.power()?;
            while parser.continues_argument() {
                let next = parser.power()?;
                value = parser.mul_values(&value, &next)?;
            }
            if trigonometric && parser.is_sign('/') && parser.angle_over_number(&value) {
                parser.at += 1;
                let bottom = parser.primary()?;
                value = parser.divide(&value, &bottom)?;
            }
            if negative {
                parser.scale_value(&value, -1)
            } else {
                Ok(value)
            }
        })
    }

    pub(super) fn continues_argument(&self) -> bool {
        match self.peek() {
            Some(Tok::Number(_) | Tok::Letter(_) | Tok::Name(Name::Pi | Name::Symbol(_))) => {
                self.integrand.last() != Some(&None) || self.peek() != Some(&Tok::Letter('d'))
            }
            Some(Tok::Name(Name::Special(Special::Sqrt))) => true,
            Some(Tok::Word(word)) => {
                word.len() <= 3
                    && !names::is_connective(word)
                    && !names::is_unit(word)
                    && (self.integrand.is_empty() || !word.starts_with('d'))
            }
            Some(Tok::Command(name)) => {
                matches!(name.as_str(), "frac" | "hat" | "vec" | "overline")
            }
            _ => false,
        }
    }

    /// `\sin \pi/3` means the sine of a third; `\sin x/x` does not.
    pub(super) fn angle_over_number(&self, value: &Value) -> bool {
        let number = matches!(self.peek_at(1), Some(Tok::Number(_)));
        let angle = value.as_scalar().is_some_and(|id| {
            self.pool.any(id, |node| {
                *node == Node::Pi
                    || matches!(node, Node::Symbol(symbol) if self.pool.written(*symbol).is_some_and(|name| name.chars().count() > 1))
            })
        });
        number && angle
    }

    pub(super) fn special(&mut self, special: Special) -> Parsed<Value> {
        match special {
            Special::Log | Special::Ln | Special::Lg => self.logarithm(special),
            Special::Exp => self.exponential(),
            Special::Sqrt => self.square_root(),
            Special::Cbrt => {
                let argument = self.argument()?;
                let (id, three) = (Self::scalar_of(&argument)?, self.pool.int(3));
                Ok(Value::scalar(self.pool.call(Fun::Root, &[id, three])))
            }
            // `\root 3 \of 5`
            Special::Root if !self.is_sign('(') => {
                let degree = self.argument()?;
                if !self.take_command("of") {
                    return Err(NoParse);
                }
                let argument = self.argument()?;
                let args = [Self::scalar_of(&argument)?, Self::scalar_of(&degree)?];
                Ok(Value::scalar(self.pool.call(Fun::Root, &args)))
            }
            Special::Root => {
                let [x, degree] = self.two_args()?;
                Ok(Value::scalar(self.pool.call(Fun::Root, &[x, degree])))
            }
            Special::Frac => {
                let [top, bottom] = self.two_args()?;
                Ok(Value::scalar(self.pool.div(top, bottom)))
            }
            Special::Cis => self.cis(),
            Special::Det | Special::Trace | Special::Transpose | Special::Rank => {
                self.of_matrix(special)
            }
        }
    }

    /// `\exp x`, `\exp^2 x`.
    fn exponential(&mut self) -> Parsed<Value> {
        let exponent = self.function_power()?;
        let argument = self.function_argument(false)?;
        let e = self.pool.insert(Node::E);
        let id = Self::scalar_of(&argument)?;
        let value = Value::scalar(self.pool.pow(e, id));
        self.powered(value, exponent)
    }

    /// `\sqrt2`, `\sqrt[3]{2}`.
    fn square_root(&mut self) -> Parsed<Value> {
        let degree = if self.is_sign('[') {
            let value = self.primary()?;
            Some(Self::scalar_of(&value)?)
        } else {
            None
        };
        let argument = self.argument()?;
        let id = Self::scalar_of(&argument)?;
        let value = match degree {
            Some(degree) => self.pool.call(Fun::Root, &[id, degree]),
            None => self.pool.sqrt(id),
        };
        Ok(Value::scalar(value))
    }

    /// `\operatorname{cis} t` is cos t + i sin t.
    fn cis(&mut self) -> Parsed<Value> {
        let argument = self.function_argument(true)?;
        let angle = Self::scalar_of(&argument)?;
        let angle = self.in_radians(angle);
        let cos = self.pool.call(Fun::Cos, &[angle]);
        let sin = self.pool.call(Fun::Sin, &[angle]);
        let unit = self.pool.insert(Node::I);
        let turned = self.pool.mul(&[unit, sin]);
        Ok(Value::scalar(self.pool.add(&[cos, turned])))
    }

    /// `\det A` and its kin, of a matrix that is written out.
    fn of_matrix(&mut self, special: Special) -> Parsed<Value> {
        let Value::Matrix(rows) = self.function_argument(false)? else {
            return Err(NoParse);
        };
        match special {
            Special::Det => matrix::det(self.pool, &rows).map(Value::scalar),
            Special::Rank => matrix::rank(self.pool, &rows).map(Value::scalar),
            Special::Trace => matrix::trace(self.pool, &rows).map(Value::scalar),
            _ => Ok(Value::Matrix(matrix::transpose(&rows))),
        }
    }

    pub(super) fn two_args(&mut self) -> Parsed<[Id; 2]> {
        match self.call_args()?.as_slice() {
            [a, b] => Ok([Self::scalar_of(a)?, Self::scalar_of(b)?]),
            _ => Err(NoParse),
        }
    }

    /// `\log_2 8`, `\log_28`, `log(8, 2)`; without a base it is ten or e, by
    /// the reading.
    pub(super) fn logarithm(&mut self, special: Special) -> Parsed<Value> {
        let mut base = None;
        let mut exponent = None;
        loop {
            if self.take_sign('_') {
                let value = match (self.peek(), self.peek_at(1)) {
                    // `\log_10 2` against `\log_28`.
                    (
                        Some(Tok::Number(_)),
                        Some(Tok::Number(_) | Tok::Letter(_) | Tok::Sign('(' | '{')),
                    ) => self.primary()?,
                    _ => self.digit_argument()?,
                };
                base = Some(Self::scalar_of(&value)?);
            } else if let Some(power) = self.function_power()? {
                exponent = Some(power);
            } else {
                break;
            }
        }
        let argument = self.function_argument(false)?;
        let (id, base) = match (&argument, base) {
            (Value::Seq { items, .. }, None) if items.len() == 2 => (
                Self::scalar_of(&items[0])?,
                Some(Self::scalar_of(&items[1])?),
            ),
            _ => (Self::scalar_of(&argument)?, base),
        };
        let value = match (base, special) {
            (Some(base), _) if *self.pool.node(base) == Node::E => self.pool.call(Fun::Ln, &[id]),
            (Some(base), _) => self.pool.call(Fun::Log, &[id, base]),
            (None, Special::Ln) => self.pool.call(Fun::Ln, &[id]),
            (None, Special::Lg) => {
                let ten = self.pool.int(10);
                self.pool.call(Fun::Log, &[id, ten])
            }
            (None, _) => {
                let base = self.pool.term(Meaning::LogBase);
                self.pool.call(Fun::Log, &[id, base])
            }
        };
        self.powered(Value::scalar(value), exponent)
    }

    pub(super) fn command(&mut self, name: &str) -> Parsed<Value> {
        match name {
            "frac" => self.fraction(),
            "binom" => self.binomial(),
            "sum" => self.sum(false),
            "prod" => self.sum(true),
            "int" => self.integral(),
            "lim" => self.limit(),
            "lfloor" => self.enclosed("rfloor", Fun::Floor),
            "lceil" => self.enclosed("rceil", Fun::Ceil),
            "|" => self.double_bars(),
            "langle" => self.angle_list(),
            "mathbb" => self.blackboard(),
            "R" | "Z" | "N" | "Q" | "C" => Ok(self.domain(name.chars().next().unwrap_or('R'))),
            "emptyset" => Ok(Value::Empty),
            "overline" | "bar" => self.bar(),
            // `\vec{AB}` points the other way than `\vec{BA}`.
            "vec" if self.corners().is_some() => {
                let corners = self.take_corners()?;
                Ok(Value::scalar(self.pool.term(Meaning::Vector(corners))))
            }
            "hat" | "vec" | "dot" | "ddot" | "tilde" | "widetilde" => self.decorated(name),
            "angle" | "triangle" | "sphericalangle" if self.corners().is_some() => {
                self.figure(name)
            }
            "mid" if !self.builder => self.relation_bars(),
            "angle" | "triangle" | "sphericalangle" | "odot" | "square" => {
                let inner = self.argument()?;
                let inner = Self::scalar_of(&inner)?;
                Ok(self.marked(name, inner, String::new()))
            }
            "ldots" => Ok(Value::scalar(self.pool.term(Meaning::Ellipsis))),
            "partial" | "nabla" | "hbar" | "star" | "aleph" | "dagger" | "complement" => {
                Ok(Value::scalar(self.pool.name(name)))
            }
            _ => Err(NoParse),
        }
    }

    fn binomial(&mut self) -> Parsed<Value> {
        let top = self.digit_argument()?;
        let bottom = self.digit_argument()?;
        let args = [Self::scalar_of(&top)?, Self::scalar_of(&bottom)?];
        Ok(Value::scalar(self.pool.call(Fun::Binomial, &args)))
    }

    /// `\| v \|`.
    fn double_bars(&mut self) -> Parsed<Value> {
        let outer = std::mem::replace(&mut self.in_norm, true);
        let inner = self.additive();
        self.in_norm = outer;
        let inner = inner?;
        if !self.take_command("|") {
            return Err(NoParse);
        }
        self.absolute(&inner)
    }

    /// `\langle 1, 2 \rangle`.
    fn angle_list(&mut self) -> Parsed<Value> {
        let inner = self.list(Bracket::Angle)?;
        if !self.take_command("rangle") {
            return Err(NoParse);
        }
        match inner {
            Value::Seq { items, .. } => Ok(Value::Seq {
                items,
                open: Bracket::Angle,
                close: Bracket::Angle,
                separator: Separator::Comma,
            }),
            other => Ok(other),
        }
    }

    /// `\mathbb{R}`.
    fn blackboard(&mut self) -> Parsed<Value> {
        let value = self.argument()?;
        let symbol = value.as_symbol(self.pool).ok_or(NoParse)?;
        let letter = self
            .pool
            .written(symbol)
            .and_then(|name| name.chars().next())
            .ok_or(NoParse)?;
        Ok(self.domain(letter))
    }

    /// The corners that stand next, braces and all.
    fn take_corners(&mut self) -> Parsed<String> {
        let corners = self.corners().unwrap_or_default();
        let braced = self.take_sign('{');
        self.at += 1;
        if braced {
            self.expect_sign('}')?;
        }
        Ok(corners)
    }

    /// `\angle ABC`, `\triangle ABC`: the corners of a triangle have no order, those of an angle may
    /// be read from either end.
    fn figure(&mut self, name: &str) -> Parsed<Value> {
        let mut corners: Vec<char> = self.take_corners()?.chars().collect();
        if name == "triangle" {
            corners.sort_unstable();
        } else if corners.first() > corners.last() {
            corners.reverse();
        }
        let (figure, corners) = (name.to_owned(), corners.into_iter().collect());
        Ok(Value::scalar(
            self.pool.term(Meaning::Figure { figure, corners }),
        ))
    }

    /// Bars set as relation signs: `\mid x \mid`.
    fn relation_bars(&mut self) -> Parsed<Value> {
        let close = (self.at..self.tokens.len())
            .find(|&at| self.tokens[at].tok == Tok::Command("mid".to_owned()))
            .ok_or(NoParse)?;
        self.tokens[close].tok = Tok::Sign('|');
        self.at -= 1;
        self.bars()
    }

    /// The corners in `\angle ABC`, `\triangle{ABC}`.
    fn corners(&self) -> Option<String> {
        let ahead = usize::from(self.is_sign('{'));
        let Some(Tok::Word(word)) = self.peek_at(ahead) else {
            return None;
        };
        let fits = word.len() <= 4 && word.bytes().all(|c| c.is_ascii_uppercase());
        let closed = ahead == 0 || self.peek_at(2) == Some(&Tok::Sign('}'));
        (fits && closed).then(|| word.clone())
    }

    pub(super) fn domain(&mut self, letter: char) -> Value {
        let positive = match (self.peek(), self.peek_at(1), self.peek_at(2)) {
            (Some(Tok::Sign('^' | '_')), Some(Tok::Sign('+')), _) => 2,
            (Some(Tok::Sign('^' | '_')), Some(Tok::Sign('{')), Some(Tok::Sign('+'))) => 4,
            (Some(Tok::Sign('^' | '_')), Some(Tok::Sign('*')), _) => {
                self.at += 2;
                0
            }
            _ => 0,
        };
        if positive == 0 {
            return Value::Domain(letter);
        }
        self.at += positive;
        if letter == 'R' {
            let (zero, infinity) = (self.pool.int(0), self.pool.insert(Node::Infinity));
            let items = vec![Value::scalar(zero), Value::scalar(infinity)];
            return Value::Seq {
                items,
                open: Bracket::Round,
                close: Bracket::Round,
                separator: Separator::Comma,
            };
        }
        Value::Domain(if letter == 'Z' { 'N' } else { letter })
    }

    /// A bar over complex numbers conjugates; over letters it makes a name.
    pub(super) fn bar(&mut self) -> Parsed<Value> {
        let inner = self.argument()?;
        let id = Self::scalar_of(&inner)?;
        if self.is_segment(id) {
            // A segment and its length have one name.
            return Ok(inner);
        }
        if self.pool.any(id, |node| *node == Node::I) {
            return Ok(Value::scalar(self.pool.call(Fun::Conj, &[id])));
        }
        let index = self.index()?;
        Ok(self.marked("bar", id, index))
    }

    pub(super) fn decorated(&mut self, mark: &str) -> Parsed<Value> {
        let inner = self.argument()?;
        let id = Self::scalar_of(&inner)?;
        // An arrow or a hat says what bold type says elsewhere.
        let says_nothing = matches!(mark, "vec" | "hat");
        let written = match self.pool.node(id) {
            Node::I if says_nothing => return Ok(inner),
            Node::Symbol(symbol) if says_nothing => self.pool.written(*symbol).map(str::to_owned),
            _ => None,
        };
        let index = self.index()?;
        match written {
            Some(name) => Ok(Value::scalar(self.pool.name(&format!("{name}{index}")))),
            None => Ok(self.marked(mark, id, index)),
        }
    }

    /// The index behind a mark, with its underscore; empty where there is none.
    fn index(&mut self) -> Parsed<String> {
        if self.take_sign('_') {
            return self.subscript().map(|index| format!("_{index}"));
        }
        Ok(String::new())
    }

    fn marked(&mut self, mark: &str, inner: Id, index: String) -> Value {
        let mark = mark.to_owned();
        Value::scalar(self.pool.term(Meaning::Marked { mark, inner, index }))
    }

    pub(super) fn enclosed(&mut self, close: &str, fun: Fun) -> Parsed<Value> {
        let inner = self.additive()?;
        if !self.take_command(close) {
            return Err(NoParse);
        }
        let id = Self::scalar_of(&inner)?;
        Ok(Value::scalar(self.pool.call(fun, &[id])))
    }
}

fn inverse_of(fun: Fun) -> Option<Fun> {
    Some(match fun {
        Fun::Sin => Fun::Asin,
        Fun::Cos => Fun::Acos,
        Fun::Tan => Fun::Atan,
        Fun::Cot => Fun::Acot,
        Fun::Sec => Fun::Asec,
        Fun::Csc => Fun::Acsc,
        Fun::Sinh => Fun::Asinh,
        Fun::Cosh => Fun::Acosh,
        Fun::Tanh => Fun::Atanh,
        _ => return None,
    })
}
