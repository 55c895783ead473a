//! Atoms: numbers, symbols, groups, and what follows them as a mark.

use std::fmt::Write as _;

use dashu::base::Abs;
use dashu::rational::RBig;

use super::lexer::{Literal, Tok};
use super::names::Name;
use super::value::{Bracket, Decimal, Value};
use super::{NoParse, Parsed, Parser};
use crate::algebra::{Fun, Id, Meaning, Node};

/// Commands an atom can start with.
pub(super) fn starts_primary(name: &str) -> bool {
    matches!(
        name,
        "frac"
            | "binom"
            | "sum"
            | "prod"
            | "int"
            | "lim"
            | "lfloor"
            | "lceil"
            | "langle"
            | "overline"
            | "bar"
            | "hat"
            | "vec"
            | "dot"
            | "ddot"
            | "tilde"
            | "mathbb"
            | "angle"
            | "triangle"
            | "partial"
            | "nabla"
            | "emptyset"
            | "hbar"
            | "R"
            | "Z"
            | "N"
            | "Q"
            | "C"
            | "odot"
            | "ldots"
            | "|"
            | "square"
            | "star"
            | "sphericalangle"
            | "widetilde"
            | "aleph"
            | "dagger"
            | "complement"
    )
}

impl Parser<'_> {
    /// What a command or a script sign applies to: a group or one atom.
    pub(super) fn argument(&mut self) -> Parsed<Value> {
        if self.take_sign('-') {
            let value = self.argument()?;
            return self.scale_value(&value, -1);
        }
        if self.is_sign('+') {
            self.at += 1;
        }
        self.first_letter_only();
        self.primary()
    }

    /// Like [`Self::argument`], but of `12` only the `1`, as TeX reads it.
    pub(super) fn digit_argument(&mut self) -> Parsed<Value> {
        if let Some(Tok::Number(literal)) = self.peek()
            && literal.is_integer_text()
            && literal.digits.len() > 1
        {
            let (first, rest) = literal.digits.split_at(1);
            let literal = |digits: &str| Literal {
                digits: digits.to_owned(),
                repeating: 0,
                exponent: 0,
                commas: false,
            };
            let (first, rest) = (literal(first), literal(rest));
            self.tokens[self.at].tok = Tok::Number(rest);
            return self.number(&first);
        }
        self.argument()
    }

    /// A bound of a sum or integral: what follows `b` in `^b_a` is the other bound.
    pub(super) fn script(&mut self) -> Parsed<Value> {
        self.first_letter_only();
        match self.peek().cloned() {
            Some(Tok::Letter(letter)) => {
                self.at += 1;
                let node = match letter {
                    'e' => self.pool.insert(Node::E),
                    other => self.pool.name(&other.to_string()),
                };
                Ok(Value::scalar(node))
            }
            Some(Tok::Number(literal)) if literal.is_integer_text() => {
                self.at += 1;
                self.number(&literal)
            }
            _ => self.digit_argument(),
        }
    }

    /// `^ab` raises to a.
    pub(super) fn first_letter_only(&mut self) {
        let Some(Tok::Word(word)) = self.peek() else {
            return;
        };
        let mut letters = word.chars();
        let Some(first) = letters.next().filter(char::is_ascii_alphabetic) else {
            return;
        };
        let rest: String = letters.collect();
        if rest.is_empty() {
            return;
        }
        let rest = if rest.len() == 1 {
            Tok::Letter(rest.chars().next().unwrap_or('x'))
        } else {
            Tok::Word(rest)
        };
        let spaced = self.tokens[self.at].spaced;
        self.tokens[self.at].tok = rest;
        self.tokens.insert(
            self.at,
            super::lexer::Token {
                tok: Tok::Letter(first),
                spaced,
            },
        );
    }

    pub(super) fn number(&mut self, literal: &Literal) -> Parsed<Value> {
        let Some(value) = literal.value() else {
            self.pool.budget.exhaust();
            return Err(NoParse);
        };
        let decimal = decimal_of(literal, &value);
        Ok(Value::Scalar(self.pool.number(value), decimal))
    }

    pub(super) fn primary(&mut self) -> Parsed<Value> {
        self.nested(Self::atom)
    }

    pub(super) fn atom(&mut self) -> Parsed<Value> {
        let tok = self.peek().cloned().ok_or(NoParse)?;
        match tok {
            Tok::Number(literal) => self.numeral(&literal),
            Tok::Letter(letter) => {
                self.at += 1;
                self.symbol(letter.to_string())
            }
            // `mod(17, 5)`
            Tok::Word(word) | Tok::Command(word)
                if matches!(word.as_str(), "mod" | "bmod")
                    && self.peek_at(1) == Some(&Tok::Sign('(')) =>
            {
                self.at += 1;
                let args = self.two_args()?;
                Ok(Value::scalar(self.pool.call(Fun::Mod, &args)))
            }
            Tok::Word(word) => {
                self.at += 1;
                self.word(&word)
            }
            Tok::Text(text) => {
                self.at += 1;
                if text.len() == 1 {
                    return self.symbol(text);
                }
                Ok(self.words(&text))
            }
            Tok::Name(name) => {
                self.at += 1;
                self.named(&name)
            }
            Tok::Sign('^' | '_') => self.prefixed_choice(),
            Tok::Sign('{')
                if self.peek_at(1) == Some(&Tok::Sign('}'))
                    && matches!(self.peek_at(2), Some(Tok::Sign('^' | '_'))) =>
            {
                self.at += 2;
                self.prefixed_choice()
            }
            Tok::SetOpen => self.braces(true),
            Tok::Sign('{') => self.braces(false),
            Tok::Sign('(') => self.bracket(Bracket::Round),
            Tok::Sign('[') => self.bracket(Bracket::Square),
            Tok::Sign('|') => self.bars(),
            Tok::Begin(name) => {
                self.at += 1;
                self.environment(&name)
            }
            Tok::Command(name) => {
                self.at += 1;
                self.command(&name)
            }
            _ => Err(NoParse),
        }
    }

    /// A number, or a numeral of another base.
    fn numeral(&mut self, literal: &Literal) -> Parsed<Value> {
        if let Some(numeral) = self.lettered_numeral() {
            return self.base_numeral(&numeral);
        }
        self.at += 1;
        if self.is_sign('_') {
            return self.base_numeral(&literal.digits);
        }
        self.number(literal)
    }

    /// What a name of the tables stands for.
    fn named(&mut self, name: &Name) -> Parsed<Value> {
        match *name {
            Name::Pi => {
                let pi = self.pool.insert(Node::Pi);
                Ok(Value::scalar(pi))
            }
            Name::Infinity => {
                let infinity = self.pool.insert(Node::Infinity);
                Ok(Value::scalar(infinity))
            }
            Name::Symbol("Gamma") if self.is_sign('(') => self.gamma(),
            Name::Symbol(name) => self.symbol(name.to_owned()),
            // `max = 7` names what was found.
            Name::Fun(fun @ (Fun::Max | Fun::Min)) if self.is_sign('=') => {
                Ok(Value::scalar(self.pool.name(&format!("{fun:?}"))))
            }
            Name::Fun(fun) => self.function(fun),
            Name::Special(special) => self.special(special),
        }
    }

    /// A symbol by name, with its subscript; `e` and `i` are constants.
    pub(super) fn symbol(&mut self, mut name: String) -> Parsed<Value> {
        if name == "d"
            && self.integrand.last() == Some(&None)
            && let Some(value) = self.differential()
        {
            return Ok(value);
        }
        self.subscript_first();
        if let Some(count) = self.chosen(&name) {
            return Ok(Value::scalar(count));
        }
        if self.is_sign('_') {
            self.at += 1;
            name.push('_');
            name.push_str(&self.subscript()?);
        }
        if self.bound.contains(&name) {
            return Ok(Value::scalar(self.pool.name(&name)));
        }
        let constant = match name.as_str() {
            "e" => Some(Node::E),
            "i" => Some(Node::I),
            _ => None,
        };
        if let Some(node) = constant {
            return Ok(Value::scalar(self.pool.insert(node)));
        }
        if let Some((count, length)) = self.primes(0) {
            self.at += length;
            name.extend(std::iter::repeat_n('\'', count));
        }
        let inverse = [Tok::Sign('^'), Tok::Sign('{'), Tok::Sign('-')];
        if matches!(name.as_str(), "f" | "g" | "h")
            && inverse
                .iter()
                .enumerate()
                .all(|(at, tok)| self.peek_at(at) == Some(tok))
            && matches!(self.peek_at(3), Some(Tok::Number(one)) if one.digits == "1")
            && self.peek_at(4) == Some(&Tok::Sign('}'))
            && self.peek_at(5) == Some(&Tok::Sign('('))
        {
            self.at += 5;
            name.push_str("^-1");
            return self.application(&name);
        }
        if self.calls(&name) {
            return self.application(&name);
        }
        Ok(Value::scalar(self.pool.name(&name)))
    }

    /// Whether brackets after this letter hold an argument.
    pub(super) fn calls(&self, name: &str) -> bool {
        if !self.is_sign('(') || self.spaced() && name.len() > 1 {
            return false;
        }
        let first = name.chars().next().unwrap_or('x');
        if matches!(first, 'f' | 'g' | 'h' | 'F' | 'G') {
            return true;
        }
        // `V(0)`: a value, and no product, which would be zero.
        if let (Some(Tok::Number(literal)), Some(Tok::Sign(')'))) =
            (self.peek_at(1), self.peek_at(2))
            && (first.is_ascii_uppercase() || literal.digits == "0")
        {
            return true;
        }
        // `y(t) =`: a function being defined.
        let mut at = self.at + 1;
        loop {
            if !matches!(
                self.tokens.get(at).map(|token| &token.tok),
                Some(Tok::Letter(_) | Tok::Name(Name::Symbol(_)))
            ) {
                return false;
            }
            match (
                self.tokens.get(at + 1).map(|token| &token.tok),
                self.tokens.get(at + 2).map(|token| &token.tok),
            ) {
                (Some(Tok::Sign(',')), _) => at += 2,
                (Some(Tok::Sign(')')), Some(Tok::Sign('='))) => return true,
                _ => return false,
            }
        }
    }

    pub(super) fn application(&mut self, name: &str) -> Parsed<Value> {
        let args = self.call_args()?;
        let args = args
            .iter()
            .map(Self::scalar_of)
            .collect::<Parsed<Vec<Id>>>()?;
        let symbol = self.pool.symbol(name);
        Ok(Value::scalar(self.pool.insert(Node::Apply(symbol, args))))
    }

    /// The text of a subscript, without blanks and braces.
    pub(super) fn subscript(&mut self) -> Parsed<String> {
        let mut out = String::new();
        if !self.take_sign('{') {
            let tok = self.peek().cloned().ok_or(NoParse)?;
            self.at += 1;
            push_token(&tok, &mut out);
            return Ok(out);
        }
        let mut depth = 1;
        while let Some(tok) = self.peek().cloned() {
            self.at += 1;
            match tok {
                Tok::Sign('{') => depth += 1,
                Tok::Sign('}') => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(out);
                    }
                }
                other => push_token(&other, &mut out),
            }
            if out.len() > 64 {
                return Err(NoParse);
            }
        }
        Err(NoParse)
    }

    /// A run of letters: a product, a differential, or a name before `=`.
    pub(super) fn word(&mut self, word: &str) -> Parsed<Value> {
        if self.integrand.last() == Some(&None) {
            let letters: Vec<char> = word.chars().collect();
            if let [head @ .., 'd', var] = letters.as_slice() {
                let var = self.pool.symbol(&var.to_string());
                if let Some(last) = self.integrand.last_mut() {
                    *last = Some(var);
                }
                let parts: Vec<Id> = head
                    .iter()
                    .map(|letter| self.pool.name(&letter.to_string()))
                    .collect();
                return Ok(Value::scalar(self.pool.mul(&parts)));
            }
        }
        if let Some(value) = self.constructor(word)? {
            return Ok(value);
        }
        if self.is_sign('=') && word.len() >= 4 {
            return Ok(self.words(word));
        }
        if word.len() > 4 || !word.bytes().all(|c| c.is_ascii_alphabetic()) {
            return Err(NoParse);
        }
        let letters: Vec<char> = word.chars().collect();
        let mut value: Option<Value> = None;
        let Some((last, head)) = letters.split_last() else {
            return Err(NoParse);
        };
        for letter in head {
            // Not through `symbol`: only the last letter can hold a subscript.
            let next = match letter {
                'e' => self.pool.insert(Node::E),
                'i' if !self.bound.iter().any(|bound| bound == "i") => self.pool.insert(Node::I),
                other => self.pool.name(&other.to_string()),
            };
            value = Some(match value {
                Some(before) => self.mul_values(&before, &Value::scalar(next))?,
                None => Value::scalar(next),
            });
        }
        let last = self.symbol(last.to_string())?;
        // A power after the run belongs to its last letter.
        let last = self.marks(last)?;
        match value {
            Some(before) => self.mul_values(&before, &last),
            None => Ok(last),
        }
    }

    /// Words set into a formula, as a name of something.
    fn words(&mut self, words: &str) -> Value {
        let words = crate::compare::words::normal(words);
        Value::scalar(self.pool.term(Meaning::Words(words)))
    }

    /// The symbol after the `d` of an integral.
    pub(super) fn differential(&mut self) -> Option<Value> {
        let name = match self.peek()? {
            Tok::Letter(letter) => letter.to_string(),
            Tok::Name(Name::Symbol(name)) => (*name).to_owned(),
            Tok::Text(text) if text.len() == 1 => text.clone(),
            _ => return None,
        };
        self.at += 1;
        let symbol = self.pool.symbol(&name);
        *self.integrand.last_mut()? = Some(symbol);
        Some(Value::scalar(self.pool.int(1)))
    }
}

/// How the literal was rounded, if it is a decimal.
pub(super) fn decimal_of(literal: &Literal, value: &RBig) -> Option<Decimal> {
    let decimals = literal.decimals()?;
    if literal.repeating > 0 {
        return None;
    }
    let digits = literal.digits.trim_start_matches(['0', '.']);
    let digits = digits.bytes().filter(u8::is_ascii_digit).count();
    let _ = value.clone().abs();
    Some(Decimal {
        place: literal.exponent - decimals as i64,
        digits,
    })
}

fn push_token(tok: &Tok, out: &mut String) {
    match tok {
        Tok::Number(literal) => out.push_str(&literal.digits),
        Tok::Letter(letter) => out.push(*letter),
        Tok::Word(word) | Tok::Text(word) | Tok::Command(word) => out.push_str(word),
        Tok::Name(Name::Symbol(name)) => out.push_str(name),
        Tok::Name(name) => {
            let _ = write!(out, "{name:?}");
        }
        Tok::Sign(sign) => out.push(*sign),
        _ => {}
    }
}
