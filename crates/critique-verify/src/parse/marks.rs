//! What follows an atom: powers, factorials, primes, percent and degree signs.

use dashu::rational::RBig;

use super::lexer::Tok;
use super::terms::is_vector;
use super::value::Value;
use super::{NoParse, Parsed, Parser, matrix};
use crate::algebra::{Fun, Id, Meaning};

impl Parser<'_> {
    /// An atom with its powers, factorials, percent and degree signs.
    pub(super) fn power(&mut self) -> Parsed<Value> {
        self.nested(|parser| {
            let base = parser.primary()?;
            parser.marks(base)
        })
    }

    pub(super) fn marks(&mut self, mut base: Value) -> Parsed<Value> {
        let mut count = 0;
        loop {
            count += 1;
            if count > 16 {
                self.pool.budget.exhaust();
                return Err(NoParse);
            }
            // `25\,{}^\circ`
            if self.is_sign('{')
                && self.peek_at(1) == Some(&Tok::Sign('}'))
                && self.peek_at(2) == Some(&Tok::Sign('^'))
                && (self.circle_at(3) || self.circle_at(4))
            {
                self.at += 2;
            }
            if self.is_sign('!') {
                base = self.factorial(&base)?;
            } else if self.take_sign('%') || self.take_percent_word() {
                let Value::Scalar(id, decimal) = base else {
                    return Err(NoParse);
                };
                let percent = self.pool.term(Meaning::Percent);
                base = Value::Scalar(self.pool.mul(&[id, percent]), decimal);
            } else if self.is_sign('\'') {
                base = self.prime(base);
            } else if self.is_sign('^') {
                self.at += 1;
                base = self.raised(base)?;
            } else if self.is_sign('_') && matches!(base, Value::Scalar(..)) {
                // A subscript on a bracket or a number in brackets: `(1021)_3`.
                return Err(NoParse);
            } else {
                return Ok(self.multiplier(base));
            }
        }
    }

    pub(super) fn circle_at(&self, ahead: usize) -> bool {
        matches!(self.peek_at(ahead), Some(Tok::Command(name)) if name == "circ")
    }

    pub(super) fn take_percent_word(&mut self) -> bool {
        let found = matches!(
            self.peek(),
            Some(Tok::Word(word) | Tok::Text(word))
                if matches!(word.to_ascii_lowercase().as_str(), "percent" | "pct" | "percentage")
        );
        self.at += usize::from(found);
        found
    }

    pub(super) fn factorial(&mut self, base: &Value) -> Parsed<Value> {
        let id = Self::scalar_of(base)?;
        let mut marks = 0;
        while self.take_sign('!') {
            marks += 1;
        }
        if marks > 8 {
            return Err(NoParse);
        }
        if marks == 2 {
            return Ok(Value::scalar(self.pool.call(Fun::DoubleFactorial, &[id])));
        }
        let mut value = id;
        for _ in 0..marks {
            value = self.pool.call(Fun::Factorial, &[value]);
        }
        Ok(Value::scalar(value))
    }

    /// `y'` is a symbol of its own; on a number the mark is an arc minute.
    pub(super) fn prime(&mut self, base: Value) -> Value {
        self.at += 1;
        if let Value::Matrix(rows) = &base {
            return Value::Matrix(matrix::transpose(rows));
        }
        match base.as_symbol(self.pool) {
            Some(symbol) => {
                let primed = match (self.pool.written(symbol), base.as_scalar()) {
                    (Some(name), _) => Meaning::Name(format!("{name}'")),
                    (None, Some(inner)) => Meaning::Marked {
                        mark: "'".to_owned(),
                        inner,
                        index: String::new(),
                    },
                    (None, None) => return base,
                };
                Value::scalar(self.pool.term(primed))
            }
            None => base,
        }
    }

    /// The primes at a place, as `''`, `^{\prime\prime}` or `^\prime`, and
    /// how many tokens they take.
    pub(super) fn primes(&self, ahead: usize) -> Option<(usize, usize)> {
        let run = |from: usize| {
            (from..self.tokens.len())
                .take_while(|&at| self.peek_at(at) == Some(&Tok::Sign('\'')))
                .count()
        };
        let plain = run(ahead);
        if plain > 0 {
            return Some((plain, plain));
        }
        if self.peek_at(ahead) != Some(&Tok::Sign('^')) {
            return None;
        }
        if self.peek_at(ahead + 1) != Some(&Tok::Sign('{')) {
            let count = run(ahead + 1);
            return (count > 0).then_some((count, count + 1));
        }
        let count = run(ahead + 2);
        (count > 0 && self.peek_at(ahead + 2 + count) == Some(&Tok::Sign('}')))
            .then_some((count, count + 3))
    }

    /// Minutes and seconds of arc after degrees: `30^\circ 15' 20''`.
    fn arc_minutes(&mut self, mut angle: Id) -> Parsed<Id> {
        while let Some(Tok::Number(literal)) = self.peek().cloned()
            && let Some((marks @ 1..=2, length)) = self.primes(1)
        {
            self.at += 1 + length;
            let part = Self::scalar_of(&self.number(&literal)?)?;
            let scale = if marks == 1 { 60_u32 } else { 3_600 };
            let scale = self.pool.number(RBig::from_parts(1.into(), scale.into()));
            let degree = self.pool.term(Meaning::Degree);
            let part = self.pool.mul(&[part, scale, degree]);
            angle = self.pool.add(&[angle, part]);
        }
        Ok(angle)
    }

    pub(super) fn raised(&mut self, base: Value) -> Parsed<Value> {
        if let Some(mark) = self.raised_mark() {
            return match mark.as_str() {
                "circ" => {
                    let Value::Scalar(id, decimal) = base else {
                        return Err(NoParse);
                    };
                    let degree = self.pool.term(Meaning::Degree);
                    let angle = self.pool.mul(&[id, degree]);
                    let whole = self.arc_minutes(angle)?;
                    // `100^\circ C`, a temperature.
                    if matches!(self.peek(), Some(Tok::Letter('C' | 'F')))
                        && self.peek_at(1).is_none()
                    {
                        self.at += 1;
                    }
                    let decimal = if whole == angle { decimal } else { None };
                    Ok(Value::Scalar(whole, decimal))
                }
                "'" => Ok(self.prime_mark(base)),
                "T" => match base {
                    Value::Matrix(rows) => Ok(Value::Matrix(matrix::transpose(&rows))),
                    // A vector on its side.
                    vector if is_vector(&vector) => Ok(vector),
                    other => self.plain_power(other, "T"),
                },
                _ => Ok(base),
            };
        }
        let exponent = self.exponent()?;
        self.raise(base, &exponent)
    }

    pub(super) fn prime_mark(&mut self, base: Value) -> Value {
        self.at -= 1;
        self.prime(base)
    }

    pub(super) fn plain_power(&mut self, base: Value, name: &str) -> Parsed<Value> {
        let exponent = self.pool.name(name);
        self.raise(base, &Value::scalar(exponent))
    }

    pub(super) fn raise(&mut self, base: Value, exponent: &Value) -> Parsed<Value> {
        let power = Self::scalar_of(exponent)?;
        match base {
            Value::Scalar(id, _) => Ok(Value::scalar(self.pool.pow(id, power))),
            Value::Matrix(rows) => {
                let power = self.pool.as_int(power).ok_or(NoParse)?;
                matrix::power(self.pool, &rows, power).map(Value::Matrix)
            }
            // `\mathbb{R}^2` is another set than the reals.
            Value::Domain(letter) => Ok(Value::scalar(
                self.pool.term(Meaning::Space { letter, power }),
            )),
            _ => Err(NoParse),
        }
    }

    /// A raised sign that is no exponent: degree, prime, transpose, a side, an
    /// ordinal's ending. Consumes it.
    pub(super) fn raised_mark(&mut self) -> Option<String> {
        let braced = self.is_sign('{');
        let ahead = usize::from(braced);
        let mark = match self.peek_at(ahead)? {
            Tok::Command(name) if name == "circ" => "circ",
            Tok::Command(name) if name == "top" || name == "intercal" => "T",
            Tok::Sign('\'') => "'",
            // `45^o`
            Tok::Letter('o') if self.after_number() => "circ",
            Tok::Letter('T') if braced || !matches!(self.peek_at(1), Some(Tok::Sign('_'))) => "T",
            Tok::Text(text) | Tok::Word(text)
                if matches!(text.as_str(), "th" | "st" | "nd" | "rd" | "o" | "T") =>
            {
                match text.as_str() {
                    "T" => "T",
                    "o" => "circ",
                    _ => "ordinal",
                }
            }
            Tok::Sign('+' | '-' | '*')
                if matches!(
                    self.peek_at(ahead + 1),
                    None | Some(Tok::Sign('}' | ')' | ']' | ','))
                ) =>
            {
                "side"
            }
            _ => return None,
        };
        if braced && self.peek_at(2) != Some(&Tok::Sign('}')) {
            return None;
        }
        if mark == "side" {
            let above = self.peek_at(ahead) == Some(&Tok::Sign('+'));
            self.approach = if above { 1 } else { -1 };
        }
        self.at += if braced { 3 } else { 1 };
        Some(mark.to_owned())
    }

    /// Whether a number stands before the `^` that was just taken.
    fn after_number(&self) -> bool {
        let before = self.at.checked_sub(2).and_then(|at| self.tokens.get(at));
        matches!(before.map(|token| &token.tok), Some(Tok::Number(_)))
    }

    pub(super) fn exponent(&mut self) -> Parsed<Value> {
        self.nested(|parser| {
            let value = parser.argument()?;
            if parser.take_sign('^') {
                let higher = parser.exponent()?;
                return parser.raise(value, &higher);
            }
            Ok(value)
        })
    }
}
