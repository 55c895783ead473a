//! Values in plain form: signs opened, conclusions taken, lists flattened.

use super::relation;
use super::shapes::Comparer;
use crate::algebra::pool::Symbol;
use crate::algebra::{Meaning, Pool};
use crate::parse::value::{Bracket, Rel, Separator, Value};

impl Comparer<'_> {
    /// Opens `\pm`, drops what follows `\approx`, flattens lists.
    pub(super) fn plain(&mut self, value: &Value) -> Value {
        let value = self.open_signs(value);
        self.simplify(value)
    }

    fn open_signs(&mut self, value: &Value) -> Value {
        let Some(sign) = self.pool.known(&Meaning::PlusMinus) else {
            return value.clone();
        };
        if !holds(self.pool, value, sign) {
            return value.clone();
        }
        match value {
            Value::Seq {
                items,
                open: open @ (Bracket::None | Bracket::Brace),
                close,
                separator,
            } => Value::Seq {
                items: self.open_items(items, sign),
                open: *open,
                close: *close,
                separator: *separator,
            },
            Value::Builder { element, condition } if !holds(self.pool, element, sign) => {
                Value::Builder {
                    element: element.clone(),
                    condition: Box::new(self.open_signs(condition)),
                }
            }
            other => self.both_signs(other, sign),
        }
    }

    /// The items of a list, where one with an open sign gives two.
    fn open_items(&mut self, items: &[Value], sign: Symbol) -> Vec<Value> {
        let mut out = Vec::new();
        for item in items {
            match self.open_signs(item) {
                Value::Seq {
                    items,
                    open: Bracket::None,
                    ..
                } if holds(self.pool, item, sign) => out.extend(items),
                other => out.push(other),
            }
        }
        out
    }

    /// A value with plus, and the same with minus.
    fn both_signs(&mut self, value: &Value, sign: Symbol) -> Value {
        // `x \neq \pm 3` excludes both.
        let excludes = matches!(value, Value::Relation { rest, .. }
            if rest.iter().all(|(rel, _)| *rel == Rel::NotEqual));
        let items = [1, -1]
            .into_iter()
            .map(|sign_value| {
                let with = self.pool.int(sign_value);
                value.map(&mut |id| self.pool.substitute(id, sign, with))
            })
            .collect();
        Value::Seq {
            items,
            open: Bracket::None,
            close: Bracket::None,
            separator: if excludes {
                Separator::And
            } else {
                Separator::Or
            },
        }
    }

    fn simplify(&mut self, value: Value) -> Value {
        match value {
            Value::Relation { first, rest } => self.simplify_relation(*first, rest),
            Value::Seq {
                items,
                open,
                close,
                separator,
            } => Value::Seq {
                items: self.simplify_items(&items, matches!(open, Bracket::None | Bracket::Brace)),
                open,
                close,
                separator,
            },
            other => other,
        }
    }

    fn simplify_relation(&mut self, first: Value, mut rest: Vec<(Rel, Value)>) -> Value {
        if let Some(at) = rest.iter().position(|(rel, _)| *rel == Rel::Implies) {
            // What was concluded counts.
            let mut after = rest.split_off(at);
            let (_, conclusion) = after.remove(0);
            if after.is_empty() {
                return self.simplify(conclusion);
            }
            return self.simplify(Value::Relation {
                first: Box::new(conclusion),
                rest: after,
            });
        }
        // After an assignment the exact side counts.
        if let Some(at) = rest.iter().position(|(rel, _)| *rel == Rel::Approx)
            && at > 0
        {
            rest.truncate(at);
        }
        if rest.is_empty() {
            return self.simplify(first);
        }
        let first = Box::new(self.simplify(first));
        let rest: Vec<_> = rest
            .into_iter()
            .map(|(rel, value)| (rel, self.simplify(value)))
            .collect();
        shared_value(self.pool, &first, &rest).unwrap_or(Value::Relation { first, rest })
    }

    /// The items of a list; in a bare one, bare lists inside are part of it.
    fn simplify_items(&mut self, items: &[Value], bare: bool) -> Vec<Value> {
        let items: Vec<Value> = items.iter().map(|item| self.plain(item)).collect();
        if !bare {
            return items;
        }
        let mut flat = Vec::new();
        for item in items {
            match item {
                Value::Seq {
                    items,
                    open: Bracket::None,
                    ..
                } => flat.extend(items),
                other => flat.push(other),
            }
        }
        share_name(self.pool, flat)
    }
}

/// Whether a symbol occurs in a value.
fn holds(pool: &Pool, value: &Value, symbol: Symbol) -> bool {
    value
        .ids()
        .into_iter()
        .any(|id| pool.contains_symbol(id, symbol))
}

/// `(x, y) = (1, 2)` as `x = 1, y = 2`.
pub(super) fn by_component(pool: &Pool, value: &Value) -> Option<Value> {
    let Value::Relation { first, rest } = value else {
        return None;
    };
    let [
        (
            Rel::Equal,
            Value::Seq {
                items: values,
                open,
                ..
            },
        ),
    ] = rest.as_slice()
    else {
        return None;
    };
    let Value::Seq {
        items: names,
        open: Bracket::Round,
        ..
    } = first.as_ref()
    else {
        return None;
    };
    let scalars = values.iter().all(|value| value.as_scalar().is_some());
    let named = names.iter().all(|name| name.as_symbol(pool).is_some());
    if *open != Bracket::Round || names.len() != values.len() || !scalars || !named {
        return None;
    }
    Some(equations(names.iter().zip(values)))
}

/// `x = y = 1` as `x = 1, y = 1`.
fn shared_value(pool: &Pool, first: &Value, rest: &[(Rel, Value)]) -> Option<Value> {
    let ((_, last), between) = rest.split_last()?;
    let mut names = vec![first.as_symbol(pool)?];
    for (_, value) in between {
        let name = value.as_symbol(pool)?;
        if names.contains(&name) {
            return None;
        }
        names.push(name);
    }
    let constant = last
        .as_scalar()
        .is_some_and(|id| pool.symbols(id).is_empty());
    let equal = rest.iter().all(|(rel, _)| *rel == Rel::Equal);
    if names.len() < 2 || !constant || !equal {
        return None;
    }
    let names = std::iter::once(first).chain(between.iter().map(|(_, value)| value));
    Some(equations(names.map(|name| (name, last))))
}

/// Names with their values, as `x = 1 and y = 2`.
fn equations<'a>(pairs: impl Iterator<Item = (&'a Value, &'a Value)>) -> Value {
    Value::Seq {
        items: pairs
            .map(|(name, value)| Value::Relation {
                first: Box::new(name.clone()),
                rest: vec![(Rel::Equal, value.clone())],
            })
            .collect(),
        open: Bracket::None,
        close: Bracket::None,
        separator: Separator::And,
    }
}

/// `x = 1, 2` as `x = 1, x = 2`.
fn share_name(pool: &Pool, items: Vec<Value>) -> Vec<Value> {
    let Some(Value::Relation { first, rest }) = items.first() else {
        return items;
    };
    let shareable = rest.len() == 1
        && matches!(rest[0].0, Rel::Equal | Rel::NotEqual)
        && matches!(rest[0].1, Value::Scalar(..))
        && relation::is_name(pool, first)
        && items[1..]
            .iter()
            .all(|item| matches!(item, Value::Scalar(..)));
    if !shareable || items.len() < 2 {
        return items;
    }
    let (first, rel) = (first.clone(), rest[0].0);
    items
        .into_iter()
        .map(|item| match item {
            scalar @ Value::Scalar(..) => Value::Relation {
                first: first.clone(),
                rest: vec![(rel, scalar)],
            },
            other => other,
        })
        .collect()
}
