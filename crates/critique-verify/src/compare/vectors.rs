//! Vectors in their notations: columns, lists, and sums of basis vectors.

use super::shapes::Comparer;
use crate::algebra::identity;
use crate::algebra::{Id, Node, Pool};
use crate::parse::value::{Bracket, Value};
use crate::rule::Rule;
use crate::verdict::Verdict;

impl Comparer<'_> {
    /// A matrix against a list: a vector, or a list of rows.
    pub(super) fn vector(&mut self, rows: &[Vec<Id>], list: &Value) -> Verdict {
        let Value::Seq { items, open, .. } = list else {
            return Verdict::Different(Rule::Shape);
        };
        if *open == Bracket::Brace {
            return Verdict::Different(Rule::Shape);
        }
        let scalars = |items: &[Value]| {
            items
                .iter()
                .map(Value::as_scalar)
                .collect::<Option<Vec<_>>>()
        };
        if (rows.len() == 1 || rows.iter().all(|row| row.len() == 1))
            && let Some(entries) = scalars(items)
        {
            let flat: Vec<Id> = rows.iter().flatten().copied().collect();
            if flat.len() != entries.len() {
                return Verdict::Different(Rule::Vector);
            }
            return self.all(flat.iter().zip(&entries), Rule::Vector);
        }
        let nested: Option<Vec<Vec<Id>>> = items
            .iter()
            .map(|item| match item {
                Value::Seq { items, .. } => scalars(items),
                Value::Scalar(id, _) => Some(vec![*id]),
                _ => None,
            })
            .collect();
        match nested {
            Some(nested) => self.matrices(rows, &nested),
            None => Verdict::Different(Rule::Shape),
        }
    }

    /// A vector against `a i + b j + c k`; `None` where the scalar is no such sum.
    pub(super) fn in_basis(&mut self, vector: &Value, sum: Id) -> Option<Verdict> {
        let entries: Vec<Id> = match vector {
            Value::Matrix(rows) if rows.len() == 1 || rows.iter().all(|row| row.len() == 1) => {
                rows.iter().flatten().copied().collect()
            }
            Value::Seq {
                items,
                open: Bracket::Round | Bracket::Square | Bracket::Angle,
                ..
            } => items
                .iter()
                .map(Value::as_scalar)
                .collect::<Option<Vec<_>>>()?,
            _ => return None,
        };
        let parts = components(self.pool, sum)?;
        if entries.len() < 2 || entries.len() > 3 {
            return None;
        }
        if entries.len() == 2 && parts[2] != self.pool.int(0) {
            return Some(Verdict::Different(Rule::Vector));
        }
        Some(self.all(entries.iter().zip(&parts), Rule::Vector))
    }
}

/// The factors of i, j and k in a sum of basis vectors. `i` may have been read
/// as the imaginary unit.
fn components(pool: &mut Pool, sum: Id) -> Option<[Id; 3]> {
    let names = ["i", "j", "k"].map(|name| pool.symbol(name));
    let first = pool.insert(Node::Symbol(names[0]));
    let sum = pool.replace(sum, &Node::I, first);
    if !names[1..]
        .iter()
        .any(|name| pool.contains_symbol(sum, *name))
    {
        return None;
    }
    let (zero, one) = (pool.int(0), pool.int(1));
    let at = |pool: &mut Pool, chosen: Option<usize>| {
        names.iter().enumerate().fold(sum, |id, (place, name)| {
            let with = if chosen == Some(place) { one } else { zero };
            pool.substitute(id, *name, with)
        })
    };
    if at(pool, None) != zero {
        return None;
    }
    let parts = [at(pool, Some(0)), at(pool, Some(1)), at(pool, Some(2))];
    let terms: Vec<Id> = parts
        .iter()
        .zip(names)
        .map(|(part, name)| {
            let basis = pool.insert(Node::Symbol(name));
            pool.mul(&[*part, basis])
        })
        .collect();
    let linear = pool.add(&terms);
    matches!(identity::same(pool, linear, sum), Verdict::Equal(_)).then_some(parts)
}
