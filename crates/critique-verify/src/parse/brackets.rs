//! Brackets of all kinds: tuples, intervals, sets, absolute values.

use super::lexer::Tok;
use super::value::{Bracket, Separator, Value};
use super::{NoParse, Parsed, Parser, matrix};
use crate::algebra::{Fun, Id, Node};

impl Parser<'_> {
    /// `( .. )`, `[ .. ]` and the mixed forms of half-open intervals.
    pub(super) fn bracket(&mut self, open: Bracket) -> Parsed<Value> {
        self.at += 1;
        let bars = std::mem::take(&mut self.bars);
        let builder = std::mem::replace(&mut self.builder, false);
        let ended = self.take_sign(']') || self.take_sign(')');
        if ended {
            return if open == Bracket::Square {
                Ok(Value::Empty)
            } else {
                Err(NoParse)
            };
        }
        let integrand = if self.integrand.is_empty() {
            None
        } else {
            self.integrand.pop()
        };
        let inner = self.list(Bracket::Round);
        self.integrand.extend(integrand);
        self.bars = bars;
        self.builder = builder;
        let inner = inner?;
        let close = if self.take_sign(')') {
            Bracket::Round
        } else if self.take_sign(']') {
            Bracket::Square
        } else {
            return Err(NoParse);
        };
        match inner {
            Value::Seq {
                items,
                open: Bracket::None,
                separator,
                ..
            } if open == close || items.len() == 2 => Ok(Value::Seq {
                items,
                open,
                close,
                separator,
            }),
            // Brackets that do not match make an interval or nothing.
            Value::Seq { .. } if open != close => Err(NoParse),
            other if open == close => {
                if self.is_sign('_') {
                    return self.bracketed_numeral();
                }
                Ok(other)
            }
            _ => Err(NoParse),
        }
    }

    /// `(1021)_3`
    pub(super) fn bracketed_numeral(&mut self) -> Parsed<Value> {
        match self
            .at
            .checked_sub(2)
            .and_then(|at| self.tokens.get(at))
            .map(|token| token.tok.clone())
        {
            Some(Tok::Number(literal)) if literal.is_integer_text() => {
                self.base_numeral(&literal.digits)
            }
            _ => Err(NoParse),
        }
    }

    /// A set, a set builder, or a plain TeX group.
    pub(super) fn braces(&mut self, set: bool) -> Parsed<Value> {
        self.at += 1;
        let close = if set { Tok::SetClose } else { Tok::Sign('}') };
        if self.peek() == Some(&close) {
            self.at += 1;
            return Ok(Value::Empty);
        }
        let bars = std::mem::take(&mut self.bars);
        // `{x | x > 2}`: a builder whose braces lost their backslash.
        let plain_builder = matches!(self.peek(), Some(Tok::Letter(_)))
            && match self.peek_at(1) {
                Some(Tok::Sign('|' | ':')) => true,
                Some(Tok::Command(name)) => name == "mid" || name == "in",
                _ => false,
            };
        let opens = set || plain_builder;
        let builder = std::mem::replace(&mut self.builder, opens);
        let inner = self.list(Bracket::Brace);
        let is_builder =
            opens && (self.is_sign('|') || self.is_sign(':') || self.is_command("mid"));
        let value = match inner {
            Ok(element) if is_builder => {
                self.at += 1;
                self.builder = false;
                self.list(Bracket::Brace).map(|condition| Value::Builder {
                    element: Box::new(element),
                    condition: Box::new(condition),
                })
            }
            other => other,
        };
        self.bars = bars;
        self.builder = builder;
        let value = value?;
        if self.peek() != Some(&close) {
            // `\left\{ \begin{array} .. \end{array} \right.` never closes.
            let array = set
                && matches!(self.tokens.get(self.at - 1), Some(token) if matches!(token.tok, Tok::End(_)));
            return if array { Ok(value) } else { Err(NoParse) };
        }
        self.at += 1;
        match value {
            Value::Seq {
                items,
                open: Bracket::None,
                separator,
                ..
            } => Ok(Value::Seq {
                items,
                open: Bracket::Brace,
                close: Bracket::Brace,
                separator,
            }),
            builder @ Value::Builder { .. } => Ok(builder),
            only if set => Ok(Value::Seq {
                items: vec![only],
                open: Bracket::Brace,
                close: Bracket::Brace,
                separator: Separator::Comma,
            }),
            other => Ok(other),
        }
    }

    /// `| .. |`
    pub(super) fn bars(&mut self) -> Parsed<Value> {
        self.at += 1;
        let outer = std::mem::replace(&mut self.bars, 1);
        let inner = self.additive();
        self.bars = outer;
        let inner = inner?;
        self.expect_sign('|')?;
        self.absolute(&inner)
    }

    pub(super) fn absolute(&mut self, inner: &Value) -> Parsed<Value> {
        match inner {
            // A length has no sign: `|AB|` is AB.
            Value::Scalar(id, _) if self.is_segment(*id) => Ok(inner.clone()),
            Value::Scalar(id, _) => Ok(Value::scalar(self.pool.call(Fun::Abs, &[*id]))),
            Value::Matrix(rows) if rows.iter().all(|row| row.len() == rows.len()) => {
                matrix::det(self.pool, rows).map(Value::scalar)
            }
            Value::Matrix(rows) => {
                let entries: Vec<Id> = rows.iter().flatten().copied().collect();
                Ok(Value::scalar(self.norm(&entries)))
            }
            Value::Seq { items, .. } => {
                let entries = items
                    .iter()
                    .map(Self::scalar_of)
                    .collect::<Parsed<Vec<_>>>()?;
                Ok(Value::scalar(self.norm(&entries)))
            }
            _ => Err(NoParse),
        }
    }

    /// Two capitals, the ends of a segment.
    pub(super) fn is_segment(&self, id: Id) -> bool {
        let capital = |id: Id| {
            matches!(self.pool.node(id), Node::Symbol(symbol)
                if self.pool.is_capital(*symbol))
        };
        matches!(self.pool.node(id), Node::Mul(items)
            if items.len() == 2 && items.iter().all(|item| capital(*item)))
    }

    pub(super) fn norm(&mut self, entries: &[Id]) -> Id {
        let two = self.pool.int(2);
        let squares: Vec<Id> = entries
            .iter()
            .map(|entry| self.pool.pow(*entry, two))
            .collect();
        let sum = self.pool.add(&squares);
        self.pool.sqrt(sum)
    }
}
