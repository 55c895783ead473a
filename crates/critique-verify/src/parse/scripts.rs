//! Indices with a meaning: bases of numerals, and counts such as `C_5^2`.

use super::lexer::Tok;
use super::names;
use super::value::Value;
use super::{NoParse, Parsed, Parser};
use crate::algebra::{Fun, Id, Node};

impl Parser<'_> {
    /// `P(X = 2)` and `\text{Var}(X)` before an equals sign: a name, whatever is
    /// in its brackets.
    pub(super) fn described(&mut self) -> Option<String> {
        let spelled = match self.peek()? {
            Tok::Text(text) => text.len() > 1,
            Tok::Letter(letter) if letter.is_ascii_uppercase() => false,
            _ => return None,
        };
        if self.peek_at(1) != Some(&Tok::Sign('(')) {
            return None;
        }
        let mut depth = 0_usize;
        let mut relation = false;
        for (at, token) in self.tokens.iter().enumerate().skip(self.at + 1) {
            match &token.tok {
                Tok::Sign('(') => depth += 1,
                Tok::Sign(')') => depth -= 1,
                Tok::Sign('=' | '<' | '>' | '|') => relation = true,
                Tok::Command(name) => {
                    relation |= matches!(name.as_str(), "le" | "ge" | "ne" | "mid" | "cap" | "cup");
                }
                _ => {}
            }
            if depth == 0 {
                let assigned =
                    self.tokens.get(at + 1).map(|token| &token.tok) == Some(&Tok::Sign('='));
                if !assigned || !(relation || spelled) {
                    return None;
                }
                let tokens: Vec<&Tok> = self.tokens[self.at..=at]
                    .iter()
                    .map(|token| &token.tok)
                    .collect();
                let name = format!("{tokens:?}");
                self.at = at + 1;
                return Some(name);
            }
        }
        None
    }

    /// The base after `1021`: `_3`, `_{3}`, `_{\text{eight}}`, `_{(3)}`.
    pub(super) fn base_numeral(&mut self, digits: &str) -> Parsed<Value> {
        self.at += 1;
        let braced = self.take_sign('{');
        let bracketed = braced && self.take_sign('(');
        let base = match self.peek() {
            Some(Tok::Number(base)) => base.digits.parse().ok(),
            Some(Tok::Word(word) | Tok::Text(word)) => names::base_word(word),
            _ => None,
        };
        self.at += 1;
        if bracketed {
            self.expect_sign(')')?;
        }
        if braced {
            self.expect_sign('}')?;
        }
        Ok(Value::Base {
            digits: digits.to_owned(),
            base: base.ok_or(NoParse)?,
        })
    }

    /// `2A` in `2A_{16}`: digits and letters in one run, with a base above ten
    /// behind. Stops before the `_`.
    pub(super) fn lettered_numeral(&mut self) -> Option<String> {
        let mut out = String::new();
        let mut at = self.at;
        let mut letters = false;
        loop {
            let token = self.tokens.get(at)?;
            if token.spaced && at > self.at {
                return None;
            }
            match &token.tok {
                Tok::Number(literal) if literal.is_integer_text() => out.push_str(&literal.digits),
                Tok::Letter(letter) => {
                    out.push(*letter);
                    letters = true;
                }
                Tok::Word(word) => {
                    out.push_str(word);
                    letters = true;
                }
                Tok::Sign('_') => break,
                _ => return None,
            }
            at += 1;
        }
        let ahead = at - self.at + 1;
        let base = match (self.peek_at(ahead), self.peek_at(ahead + 1)) {
            (Some(Tok::Sign('{')), Some(Tok::Number(base))) | (Some(Tok::Number(base)), _) => {
                base.digits.parse::<u32>().ok()?
            }
            (Some(Tok::Sign('{')), Some(Tok::Word(word) | Tok::Text(word))) => {
                names::base_word(word)?
            }
            _ => return None,
        };
        let upper = out.to_ascii_uppercase();
        let fits = upper
            .chars()
            .all(|c| c.to_digit(36).is_some_and(|digit| digit < base));
        if !letters || !fits || base > 36 {
            return None;
        }
        self.at = at;
        Some(upper)
    }

    /// `x^2_1` as `x_1^2`.
    pub(super) fn subscript_first(&mut self) {
        if !self.is_sign('^') {
            return;
        }
        let Some(middle) = self.script_end(self.at + 1) else {
            return;
        };
        if self.tokens.get(middle).map(|token| &token.tok) != Some(&Tok::Sign('_')) {
            return;
        }
        if let Some(end) = self.script_end(middle + 1) {
            self.tokens[self.at..end].rotate_left(middle - self.at);
        }
    }

    /// Where the script that starts at a token ends.
    fn script_end(&self, start: usize) -> Option<usize> {
        if self.tokens.get(start)?.tok != Tok::Sign('{') {
            return Some(start + 1);
        }
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate().skip(start) {
            match token.tok {
                Tok::Sign('{') => depth += 1,
                Tok::Sign('}') => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// `C_n^k`, the number of combinations, and `A_5^2`, of arrangements. Two
    /// numbers that make no such count leave the letter a variable.
    pub(super) fn chosen(&mut self, name: &str) -> Option<Id> {
        if !matches!(name, "C" | "A" | "P") || !self.is_sign('_') {
            return None;
        }
        let start = self.at;
        let count = self.chosen_from(name == "C");
        if count.is_none() {
            self.at = start;
        }
        count
    }

    fn chosen_from(&mut self, unordered: bool) -> Option<Id> {
        self.at += 1;
        let n = self.script().ok()?.as_scalar()?;
        if !self.take_sign('^') {
            return None;
        }
        let k = self.script().ok()?.as_scalar()?;
        self.count(n, k, unordered)
    }

    fn count(&mut self, n: Id, k: Id, unordered: bool) -> Option<Id> {
        let numbers = (self.pool.as_int(n), self.pool.as_int(k));
        match numbers {
            (Some(n), Some(k)) if k < 1 || n < k || n < 2 => return None,
            (Some(_), Some(_)) => {}
            // A letter's index and power say less.
            _ if !unordered
                || !matches!(
                    self.pool.node(n),
                    Node::Symbol(_) | Node::Add(_) | Node::Mul(_)
                ) =>
            {
                return None;
            }
            _ => {}
        }
        let combinations = self.pool.call(Fun::Binomial, &[n, k]);
        if unordered {
            return Some(combinations);
        }
        let orders = self.pool.call(Fun::Factorial, &[k]);
        Some(self.pool.mul(&[combinations, orders]))
    }

    /// `{}_5C_2`, `^5C_2`, `{}_5P_2`.
    pub(super) fn prefixed_choice(&mut self) -> Parsed<Value> {
        self.at += 1;
        let n = self.script()?;
        let unordered = match self.peek() {
            Some(Tok::Letter('C')) => true,
            Some(Tok::Letter('P')) => false,
            Some(Tok::Text(text)) if text == "C" || text == "P" => text == "C",
            _ => return Err(NoParse),
        };
        self.at += 1;
        if !self.take_sign('_') && !self.take_sign('^') {
            return Err(NoParse);
        }
        let k = self.script()?;
        let (n, k) = (Self::scalar_of(&n)?, Self::scalar_of(&k)?);
        self.count(n, k, unordered)
            .map(Value::scalar)
            .ok_or(NoParse)
    }
}
