//! `\begin{..}`: matrices, and equations set one below the other.

use super::lexer::Tok;
use super::value::{Bracket, Separator, Value};
use super::{NoParse, Parsed, Parser, matrix};

impl Parser<'_> {
    /// Matrices, and lists of equations set as an array.
    pub(super) fn environment(&mut self, name: &str) -> Parsed<Value> {
        if name == "array" && self.is_sign('{') {
            // The column layout.
            while !self.take_sign('}') {
                self.at += 1;
                if self.peek().is_none() {
                    return Err(NoParse);
                }
            }
        }
        let mut rows: Vec<Vec<Value>> = Vec::new();
        let mut row = Vec::new();
        let integrand = std::mem::take(&mut self.integrand);
        loop {
            match self.peek() {
                Some(Tok::End(_)) => {
                    self.at += 1;
                    break;
                }
                Some(Tok::Row) => {
                    self.at += 1;
                    rows.push(std::mem::take(&mut row));
                }
                Some(Tok::Sign('&' | ',')) => self.at += 1,
                Some(_) => row.push(self.statement()?),
                None => return Err(NoParse),
            }
        }
        self.integrand = integrand;
        if !row.is_empty() {
            rows.push(row);
        }
        rows.retain(|row| !row.is_empty());
        let matrix = rows
            .iter()
            .map(|row| row.iter().map(Value::as_scalar).collect::<Option<Vec<_>>>())
            .collect::<Option<Vec<_>>>();
        let listed = matches!(
            name,
            "cases" | "aligned" | "align" | "align*" | "gathered" | "split" | "gather" | "rcases"
        );
        match matrix {
            Some(matrix) if !listed && !matrix.is_empty() => {
                if matrix.iter().any(|row| row.len() != matrix[0].len()) {
                    return Err(NoParse);
                }
                if name == "vmatrix" || name == "Vmatrix" {
                    return matrix::det(self.pool, &matrix).map(Value::scalar);
                }
                Ok(Value::Matrix(matrix))
            }
            _ => {
                let items: Vec<Value> = rows.into_iter().map(joined).collect::<Parsed<_>>()?;
                if items.is_empty() {
                    return Err(NoParse);
                }
                Ok(Value::Seq {
                    items,
                    open: Bracket::None,
                    close: Bracket::None,
                    separator: Separator::And,
                })
            }
        }
    }
}

/// The cells of one row: a value, or a value with its condition. The `&` of
/// `x &= 1` was dropped before.
fn joined(row: Vec<Value>) -> Parsed<Value> {
    let mut cells = row;
    match cells.len() {
        0 => Err(NoParse),
        1 => Ok(cells.remove(0)),
        _ => Ok(Value::Seq {
            items: cells,
            open: Bracket::Round,
            close: Bracket::Round,
            separator: Separator::Comma,
        }),
    }
}
