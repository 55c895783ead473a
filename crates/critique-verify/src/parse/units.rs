//! Units after a number, and words that multiply it.

use dashu::rational::RBig;

use super::lexer::Tok;
use super::names;
use super::value::{Decimal, Value};
use super::{NoParse, Parsed, Parser};
use crate::algebra::{Id, Meaning};

impl Parser<'_> {
    /// Whether what follows is a unit of the number before.
    pub(super) fn unit_follows(&self, left: &Value) -> bool {
        let constant = match left {
            // Degrees and percents are numbers still.
            Value::Scalar(id, _) => self.pool.symbols(*id).iter().all(|symbol| {
                matches!(
                    self.pool.meaning(*symbol),
                    Meaning::Degree | Meaning::Percent
                )
            }),
            Value::Base { .. } => true,
            _ => false,
        };
        match self.peek() {
            Some(Tok::Text(text)) => {
                if text.len() == 1 {
                    constant && names::is_letter_unit(text)
                } else {
                    // `y\text{-axis}` names something.
                    !names::is_connective(first_word(text))
                        && !text.starts_with(['-', '('])
                        && (constant || !names::is_property(text))
                }
            }
            Some(Tok::Word(word)) => constant && self.is_plain_unit(word),
            // `12 m/s`, `12 m s^{-1}`; a bare letter is a variable.
            Some(Tok::Letter(letter)) => {
                constant
                    && self.spaced()
                    && names::is_letter_unit(&letter.to_string())
                    && match self.peek_at(1) {
                        Some(Tok::Sign('/')) => self.unit_at(2),
                        Some(Tok::Letter(_)) => self.unit_at(1) && self.inverse_at(2),
                        _ => false,
                    }
            }
            // `\frac{\text{m}}{\text{s}}`
            Some(Tok::Command(name)) if name == "frac" => {
                constant
                    && self.peek_at(1) == Some(&Tok::Sign('{'))
                    && match self.peek_at(2) {
                        Some(Tok::Text(text)) => {
                            text.len() > 1 && !names::is_connective(first_word(text))
                                || names::is_letter_unit(text)
                        }
                        // `\frac{km}{h}`
                        Some(Tok::Word(word)) => {
                            names::is_unit(word) && self.peek_at(3) == Some(&Tok::Sign('}'))
                        }
                        _ => false,
                    }
            }
            Some(Tok::Name(names::Name::Symbol("Omega"))) => {
                constant && matches!(self.peek_at(1), None | Some(Tok::Sign(',' | ')' | '.')))
            }
            Some(Tok::Name(names::Name::Fun(
                crate::algebra::Fun::Min | crate::algebra::Fun::Sec,
            ))) => {
                // "5 min", "5 sec" with nothing they could apply to.
                constant && matches!(self.peek_at(1), None | Some(Tok::Sign(',' | ')' | '.')))
            }
            _ => false,
        }
    }

    /// `^{-1}` and the like.
    fn inverse_at(&self, ahead: usize) -> bool {
        self.peek_at(ahead) == Some(&Tok::Sign('^'))
            && (self.peek_at(ahead + 1) == Some(&Tok::Sign('-'))
                || self.peek_at(ahead + 1) == Some(&Tok::Sign('{'))
                    && self.peek_at(ahead + 2) == Some(&Tok::Sign('-')))
    }

    fn is_plain_unit(&self, word: &str) -> bool {
        if word.starts_with(names::is_han) {
            return names::is_han_unit(word);
        }
        if names::is_unit(word) {
            return true;
        }
        !names::is_connective(word)
            && word.len() >= 3
            && self.spaced()
            && (word.len() > 3
                || word
                    .bytes()
                    .any(|c| b"aeiou".contains(&c.to_ascii_lowercase())))
            && names::multiplier(word).is_none()
    }

    /// Skips a unit and what belongs to it: powers, "per", a second unit.
    pub(super) fn units(&mut self, left: Value) -> Parsed<Value> {
        let mut seen = 0;
        loop {
            match self.peek() {
                Some(Tok::Text(text))
                    if seen > 0 || text.len() > 1 || names::is_letter_unit(text) =>
                {
                    if names::is_connective(first_word(text)) {
                        return Ok(left);
                    }
                    let unit = if text.len() == 1 {
                        Some(text.as_str())
                    } else {
                        names::unit_letter(text)
                    };
                    if let Some(unit) = unit {
                        self.pool.dropped_units.push(unit.to_owned());
                    }
                    self.at += 1;
                }
                // What follows a Chinese unit may qualify it: "12 个以上" is no twelve.
                Some(Tok::Word(word)) if word.starts_with(names::is_han) => {
                    if !names::is_han_unit(word) {
                        return Err(NoParse);
                    }
                    self.at += 1;
                }
                Some(Tok::Word(word)) if names::is_unit(word) || !names::is_connective(word) => {
                    if let Some(unit) = names::unit_letter(word) {
                        self.pool.dropped_units.push(unit.to_owned());
                    }
                    self.at += 1;
                }
                Some(Tok::Name(names::Name::Fun(
                    crate::algebra::Fun::Min | crate::algebra::Fun::Sec,
                ))) => self.at += 1,
                Some(Tok::Letter(_) | Tok::Name(names::Name::Symbol(_))) if seen == 0 => {
                    self.at += 1;
                }
                Some(Tok::Letter(letter)) if seen > 0 && self.after_join() => {
                    if !names::is_letter_unit(&letter.to_string()) {
                        return Err(NoParse);
                    }
                    self.at += 1;
                }
                Some(Tok::Letter(_)) if self.unit_at(0) && self.inverse_at(1) => self.at += 1,
                Some(Tok::Command(name)) if name == "frac" && seen == 0 => {
                    self.at += 1;
                    let _ = (self.argument()?, self.argument()?);
                }
                Some(Tok::Sign('/')) if seen > 0 && self.unit_at(1) => self.at += 1,
                Some(Tok::Command(name)) if name == "cdot" && seen > 0 && self.unit_at(1) => {
                    self.at += 1;
                }
                Some(Tok::Sign('^')) if seen > 0 => {
                    self.at += 1;
                    let _ = self.argument()?;
                }
                Some(Tok::Sign('.')) if seen > 0 => self.at += 1,
                _ => return Ok(left),
            }
            seen += 1;
        }
    }

    /// Whether a slash or a dot joins what follows to the unit before.
    fn after_join(&self) -> bool {
        match self.at.checked_sub(1).map(|at| &self.tokens[at].tok) {
            Some(Tok::Sign('/')) => true,
            Some(Tok::Command(name)) => name == "cdot",
            _ => false,
        }
    }

    fn unit_at(&self, ahead: usize) -> bool {
        match self.peek_at(ahead) {
            Some(
                Tok::Text(_)
                | Tok::Name(names::Name::Fun(crate::algebra::Fun::Min | crate::algebra::Fun::Sec)),
            ) => true,
            Some(Tok::Word(word)) => names::is_unit(word) || word.len() > 2,
            Some(Tok::Letter(letter)) => names::is_letter_unit(&letter.to_string()),
            _ => false,
        }
    }

    /// Multiplies by what a word like "million" stands for.
    pub(super) fn multiplier(&mut self, value: Value) -> Value {
        let Some(Tok::Word(word) | Tok::Text(word)) = self.peek() else {
            return value;
        };
        // `\text{million dollars}`: the rest is a unit.
        let word = word.to_ascii_lowercase();
        let Some(places) = word.split(' ').next().and_then(names::multiplier) else {
            return value;
        };
        let Value::Scalar(id, decimal) = value else {
            return value;
        };
        self.at += 1;
        let mut power = RBig::ONE;
        for _ in 0..places {
            power *= RBig::from(10);
        }
        let factor = self.pool.number(power);
        let id: Id = self.pool.mul(&[factor, id]);
        let decimal = decimal.map(|decimal| Decimal {
            place: decimal.place + i64::from(places),
            ..decimal
        });
        Value::Scalar(id, decimal)
    }
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphabetic())
        .find(|word| !word.is_empty())
        .unwrap_or("")
}
