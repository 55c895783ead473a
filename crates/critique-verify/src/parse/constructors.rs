//! Values as computer algebra systems print them: `Matrix([[1, 2]])`,
//! `Interval.open(0, 1)`, `FiniteSet(1, 2)`, `Union(..)`.

use super::lexer::Tok;
use super::value::{Bracket, Separator, Value};
use super::{NoParse, Parsed, Parser};

impl Parser<'_> {
    /// The value of a constructor whose name was just read, if it is one.
    pub(super) fn constructor(&mut self, name: &str) -> Parsed<Option<Value>> {
        if name == "EmptySet" {
            return Ok(Some(Value::Empty));
        }
        if !matches!(
            name,
            "Matrix"
                | "ImmutableMatrix"
                | "ImmutableDenseMatrix"
                | "MutableDenseMatrix"
                | "Interval"
                | "FiniteSet"
                | "Union"
                | "Intersection"
                | "Tuple"
                | "Point"
        ) {
            return Ok(None);
        }
        let (open, close) = self.interval_kind(name);
        if !self.is_sign('(') {
            return Err(NoParse);
        }
        let items = match self.primary()? {
            Value::Seq { items, .. } => items,
            other => vec![other],
        };
        let seq = |items, open, close| Value::Seq {
            items,
            open,
            close,
            separator: Separator::Comma,
        };
        let value = match name {
            "Interval" if items.len() == 2 => seq(items, open, close),
            "Interval" => return Err(NoParse),
            "FiniteSet" => seq(items, Bracket::Brace, Bracket::Brace),
            "Tuple" | "Point" => seq(items, Bracket::Round, Bracket::Round),
            "Union" => Value::Union(items),
            "Intersection" => Value::Intersection(items),
            _ => return matrix(items).map(Some),
        };
        Ok(Some(value))
    }

    /// Brackets of `Interval`, `Interval.open`, `Interval.Lopen`, `Interval.Ropen`.
    fn interval_kind(&mut self, name: &str) -> (Bracket, Bracket) {
        use Bracket::{Round, Square};
        if name != "Interval" || !self.is_sign('.') {
            return (Square, Square);
        }
        let kind = match self.peek_at(1) {
            Some(Tok::Word(word)) => word.as_str(),
            _ => return (Square, Square),
        };
        let brackets = match kind {
            "open" => (Round, Round),
            "Lopen" => (Round, Square),
            "Ropen" => (Square, Round),
            _ => return (Square, Square),
        };
        self.at += 2;
        brackets
    }
}

/// `[[1, 2], [3, 4]]` as rows; `[1, 2]` as a column.
fn matrix(items: Vec<Value>) -> Parsed<Value> {
    let rows = items
        .into_iter()
        .map(|item| match item {
            Value::Seq { items, .. } => items.iter().map(Value::as_scalar).collect(),
            other => other.as_scalar().map(|id| vec![id]),
        })
        .collect::<Option<Vec<Vec<_>>>>()
        .ok_or(NoParse)?;
    let width = rows.first().map_or(0, Vec::len);
    if width == 0 || rows.iter().any(|row| row.len() != width) {
        return Err(NoParse);
    }
    Ok(Value::Matrix(rows))
}
