//! From tokens to values: one Pratt parser for scalars, shapes and relations.

pub(crate) mod binders;
pub(crate) mod brackets;
pub(crate) mod constructors;
pub(crate) mod ellipsis;
pub(crate) mod environments;
pub(crate) mod functions;
pub(crate) mod lexer;
pub(crate) mod marks;
pub(crate) mod matrix;
pub(crate) mod names;
pub(crate) mod numerals;
pub(crate) mod primary;
pub(crate) mod ranges;
pub(crate) mod scripts;
pub(crate) mod terms;
pub(crate) mod type_commands;
pub(crate) mod unicode;
pub(crate) mod units;
pub(crate) mod value;

use crate::algebra::{Id, Meaning, Pool};
use crate::budget::MAX_DEPTH;
use lexer::{Tok, Token};
use value::{Bracket, Rel, Separator, Value};

/// The text is no formula this parser knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoParse;

pub(crate) type Parsed<T> = Result<T, NoParse>;

/// Reads a whole answer; every token has to be used.
pub(crate) fn parse(pool: &mut Pool, tokens: Vec<Token>) -> Parsed<Value> {
    let tokens = ranges::as_conditions(unaligned(&french_intervals(tokens)));
    let mut parser = Parser::new(pool, tokens);
    parser.skip_noise();
    let value = parser.list(Bracket::None)?;
    if parser.at < parser.tokens.len() || pool.budget.exhausted() {
        return Err(NoParse);
    }
    Ok(value)
}

/// `]a, b[` as `(a, b)`.
fn french_intervals(mut tokens: Vec<Token>) -> Vec<Token> {
    let depth_ends = |tokens: &[Token]| {
        let opens = tokens
            .iter()
            .filter(|token| token.tok == Tok::Sign('['))
            .count();
        let closes = tokens
            .iter()
            .filter(|token| token.tok == Tok::Sign(']'))
            .count();
        opens + closes == 2
    };
    if tokens.len() >= 5 && depth_ends(&tokens) {
        if let Some(first) = tokens.first_mut()
            && first.tok == Tok::Sign(']')
        {
            first.tok = Tok::Sign('(');
        }
        if let Some(last) = tokens.last_mut()
            && last.tok == Tok::Sign('[')
        {
            last.tok = Tok::Sign(')');
        }
    }
    tokens
}

/// Drops the `&` of `x &= 1`.
fn unaligned(tokens: &[Token]) -> Vec<Token> {
    let relation = |token: Option<&Token>| match token.map(|token| &token.tok) {
        Some(Tok::Sign('=' | '<' | '>')) => true,
        Some(Tok::Command(name)) => {
            matches!(name.as_str(), "le" | "ge" | "ne" | "approx" | "equiv")
        }
        _ => false,
    };
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let beside = relation(tokens.get(at + 1)) || relation(out.last());
        if token.tok != Tok::Sign('&') || !beside {
            out.push(token.clone());
        }
    }
    out
}

pub(crate) struct Parser<'a> {
    pool: &'a mut Pool,
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
    /// Open `|`.
    bars: u32,
    /// Variables of sums being read, so that `i` may be one.
    bound: Vec<String>,
    /// The side from which a limit is approached, as a raised sign said last: 1 from above, -1
    /// from below, 0 from both.
    approach: i8,
    /// Set while an integrand is read; the symbol after `d` ends it.
    integrand: Vec<Option<crate::algebra::pool::Symbol>>,
    /// Whether a `\|` closes the norm being read.
    in_norm: bool,
    /// Whether a bar ends the expression, as in a set builder.
    builder: bool,
    /// Whether a right side is read of which `\mod 7` gives the modulus.
    congruence: bool,
}

impl<'a> Parser<'a> {
    fn new(pool: &'a mut Pool, tokens: Vec<Token>) -> Self {
        Self {
            pool,
            tokens,
            at: 0,
            depth: 0,
            bars: 0,
            bound: Vec::new(),
            approach: 0,
            integrand: Vec::new(),
            builder: false,
            congruence: false,
            in_norm: false,
        }
    }

    fn peek(&self) -> Option<&Tok> {
        self.tokens.get(self.at).map(|token| &token.tok)
    }

    fn peek_at(&self, ahead: usize) -> Option<&Tok> {
        self.tokens.get(self.at + ahead).map(|token| &token.tok)
    }

    fn spaced(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.spaced)
    }

    fn is_sign(&self, sign: char) -> bool {
        self.peek() == Some(&Tok::Sign(sign))
    }

    fn is_command(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Tok::Command(found)) if found == name)
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    fn take_command(&mut self, name: &str) -> bool {
        let found = self.is_command(name);
        self.at += usize::from(found);
        found
    }

    fn expect_sign(&mut self, sign: char) -> Parsed<()> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            Err(NoParse)
        }
    }

    /// Runs `f` one level deeper.
    fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            self.pool.budget.exhaust();
            return Err(NoParse);
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    /// Words and signs in front that say nothing: "therefore", "about", bullets.
    fn skip_noise(&mut self) {
        loop {
            let says_nothing = match self.peek() {
                Some(Tok::Command(name)) => matches!(
                    name.as_str(),
                    "therefore" | "because" | "displaystyle" | "item" | "approx"
                ),
                Some(Tok::Word(word) | Tok::Text(word)) => matches!(
                    word.to_ascii_lowercase().as_str(),
                    "about" | "approximately" | "approx" | "roughly" | "exactly"
                ),
                // `= 12`, of which the left side was left out.
                Some(Tok::Sign('=')) => self.at == 0,
                _ => false,
            };
            if !says_nothing {
                break;
            }
            self.at += 1;
        }
    }

    /// `item, item and item`, up to a closing bracket or the end.
    fn list(&mut self, bracket: Bracket) -> Parsed<Value> {
        let mut items = vec![self.statement()?];
        let mut separator = Separator::Comma;
        let mut separated = false;
        loop {
            let mut any = false;
            while let Some(found) = self.separator() {
                any = true;
                if found != Separator::Comma {
                    separator = found;
                }
            }
            if !any {
                break;
            }
            if self.at_list_end() {
                separated |= bracket == Bracket::None && items.len() > 1;
                break;
            }
            separated = true;
            items.push(self.statement()?);
        }
        match items.pop() {
            Some(only) if items.is_empty() && !separated => Ok(only),
            Some(last) => {
                items.push(last);
                Ok(Value::Seq {
                    items,
                    open: Bracket::None,
                    close: Bracket::None,
                    separator,
                })
            }
            None => Err(NoParse),
        }
    }

    fn at_list_end(&self) -> bool {
        matches!(
            self.peek(),
            None | Some(Tok::Sign(')' | ']' | '}') | Tok::SetClose | Tok::End(_))
        ) || self.is_command("rangle")
    }

    fn separator(&mut self) -> Option<Separator> {
        let found = match self.peek()? {
            Tok::Sign(',' | ';') => Separator::Comma,
            Tok::Command(name) if name == "land" => Separator::And,
            Tok::Command(name) if name == "lor" => Separator::Or,
            Tok::Sign('&') if self.depth == 0 => Separator::And,
            Tok::Row if self.depth == 0 => Separator::Comma,
            Tok::Word(word) | Tok::Text(word) => match word.to_ascii_lowercase().as_str() {
                "and" | "with" | "where" | "for" | "if" | "when" => Separator::And,
                "or" => Separator::Or,
                _ => return None,
            },
            _ => return None,
        };
        self.at += 1;
        Some(found)
    }

    /// One relation, with a condition after "if" or "for" kept as an item.
    fn statement(&mut self) -> Parsed<Value> {
        self.nested(Self::relation)
    }

    fn relation(&mut self) -> Parsed<Value> {
        let first = self.side()?;
        let mut rest = Vec::new();
        if self.take_command("supset") {
            let right = self.side()?;
            return Ok(Value::Relation {
                first: Box::new(right),
                rest: vec![(Rel::Subset, first)],
            });
        }
        while let Some(rel) = self.relation_sign() {
            let outer = std::mem::replace(&mut self.congruence, rel == Rel::Congruent);
            let right = self.side();
            self.congruence = outer;
            rest.push((rel, right?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Value::Relation {
            first: Box::new(first),
            rest,
        })
    }

    /// What stands on one side of a relation.
    fn side(&mut self) -> Parsed<Value> {
        if let Some(name) = self.described() {
            return Ok(Value::scalar(self.pool.term(Meaning::Described(name))));
        }
        let value = self.set_expression()?;
        let value = self.split(value)?;
        self.ratio(value)
    }

    /// `a \over b` and `n \choose k` part all that stands before from all after.
    fn split(&mut self, top: Value) -> Parsed<Value> {
        if self.take_command("over") {
            let bottom = self.additive()?;
            return self.divide(&top, &bottom);
        }
        if self.take_command("choose") {
            let bottom = self.additive()?;
            let args = [Self::scalar_of(&top)?, Self::scalar_of(&bottom)?];
            return Ok(Value::scalar(
                self.pool.call(crate::algebra::Fun::Binomial, &args),
            ));
        }
        Ok(top)
    }

    /// `:`, or "to" between the parts of a ratio.
    fn take_colon(&mut self) -> bool {
        let to = matches!(self.peek(), Some(Tok::Word(word) | Tok::Text(word)) if word == "to");
        self.at += usize::from(to);
        to || self.take_sign(':')
    }

    fn ratio(&mut self, first: Value) -> Parsed<Value> {
        let to = matches!(self.peek(), Some(Tok::Word(word) | Tok::Text(word)) if word == "to");
        if !self.is_sign(':') && !to || self.builder {
            return Ok(first);
        }
        let Some(id) = first.as_scalar() else {
            return Ok(first);
        };
        let mut parts = vec![id];
        while self.take_colon() {
            let next = self.additive()?;
            match next.as_scalar() {
                Some(id) => parts.push(id),
                // `f: x = 1`, a label.
                None => {
                    return if parts.len() == 1 {
                        Ok(next)
                    } else {
                        Err(NoParse)
                    };
                }
            }
        }
        Ok(Value::Ratio(parts))
    }

    fn relation_sign(&mut self) -> Option<Rel> {
        let rel = match self.peek()? {
            Tok::Sign('=') => Rel::Equal,
            Tok::Sign('<') => Rel::Less,
            Tok::Sign('>') => Rel::Greater,
            Tok::Command(name) => match name.as_str() {
                "le" => Rel::LessEqual,
                "ge" => Rel::GreaterEqual,
                "ne" => Rel::NotEqual,
                "in" => Rel::In,
                "notin" => Rel::NotIn,
                "approx" => Rel::Approx,
                "equiv" => Rel::Congruent,
                "subset" | "subseteq" => Rel::Subset,
                "to" => Rel::To,
                "Rightarrow" | "Leftrightarrow" | "iff" => Rel::Implies,
                "parallel" => Rel::Parallel,
                "perp" => Rel::Perpendicular,
                "not" => {
                    let rel = match self.peek_at(1) {
                        Some(Tok::Sign('=')) => Rel::NotEqual,
                        Some(Tok::Command(name)) if name == "in" => Rel::NotIn,
                        _ => return None,
                    };
                    self.at += 1;
                    rel
                }
                "mid" if !self.builder => Rel::Divides,
                _ => return None,
            },
            _ => return None,
        };
        self.at += 1;
        // `> =` as two signs, `:=`.
        if matches!(rel, Rel::Less | Rel::Greater) && self.is_sign('=') {
            self.at += 1;
            return Some(if rel == Rel::Less {
                Rel::LessEqual
            } else {
                Rel::GreaterEqual
            });
        }
        Some(rel)
    }

    /// Unions, intersections and differences.
    fn set_expression(&mut self) -> Parsed<Value> {
        let mut left = self.additive()?;
        loop {
            if self.take_command("cup") || self.take_word("U") && left.is_set() {
                let right = self.additive()?;
                left = match left {
                    Value::Union(mut items) => {
                        items.push(right);
                        Value::Union(items)
                    }
                    other => Value::Union(vec![other, right]),
                };
            } else if self.take_command("cap") {
                let right = self.additive()?;
                left = Value::Intersection(vec![left, right]);
            } else if self.take_command("setminus") {
                let right = self.additive()?;
                left = Value::Difference(Box::new(left), Box::new(right));
            } else {
                return Ok(left);
            }
        }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = match self.peek() {
            Some(Tok::Word(name)) => name == word,
            Some(Tok::Letter(letter)) => word.len() == 1 && word.starts_with(*letter),
            _ => false,
        };
        self.at += usize::from(found);
        found
    }

    fn scalar_of(value: &Value) -> Parsed<Id> {
        value.as_scalar().ok_or(NoParse)
    }
}
