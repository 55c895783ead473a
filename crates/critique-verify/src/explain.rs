//! A comparison told to a person: what was read, and which rule decided.

use std::fmt::Write as _;

use crate::algebra::pool::Symbol;
use crate::algebra::{Id, Meaning, Node, Pool};
use crate::budget::{Budget, MAX_ANSWER_BYTES};
use crate::compare::{self, clean, words};
use crate::options::Options;
use crate::parse::value::{Bracket, Rel, Value};
use crate::parse::{self, lexer};

/// Shows how two answers are read and why they are or are not equal.
///
/// ```
/// use critique_verify::{Options, explain};
///
/// let told = explain(r"\frac12", "0.5", &Options::default());
/// assert_eq!(told, "gold:       1/2\nprediction: 1/2\nverdict:    equal, by rule `exact`\n");
/// ```
#[must_use]
pub fn explain(gold: &str, prediction: &str, options: &Options) -> String {
    let outcome = compare::equivalent(gold, prediction, options);
    let mut out = String::new();
    let _ = writeln!(out, "gold:       {}", reading(gold, options));
    let _ = writeln!(out, "prediction: {}", reading(prediction, options));
    let verdict = match (outcome.equal, outcome.undecided) {
        (true, _) => "equal",
        (false, false) => "not equal",
        (false, true) => "undecided, which counts as not equal",
    };
    let _ = writeln!(out, "verdict:    {verdict}, by rule `{}`", outcome.rule);
    out
}

fn reading(answer: &str, options: &Options) -> String {
    let cleaned = clean::clean(answer);
    if cleaned.is_empty() {
        return "nothing".to_owned();
    }
    if cleaned.len() > MAX_ANSWER_BYTES {
        return format!("{} bytes, compared as text", cleaned.len());
    }
    let mut pool = Pool::new(Budget::new(options.max_steps));
    match parse::parse(&mut pool, lexer::lex(cleaned)) {
        Ok(value) => shown(&pool, &value, 0),
        Err(_) => format!("text \"{}\"", words::normal(cleaned)),
    }
}

/// Deepest level that is written out.
const SHOWN_DEPTH: u32 = 12;

fn shown(pool: &Pool, value: &Value, depth: u32) -> String {
    if depth > SHOWN_DEPTH {
        return "...".to_owned();
    }
    let many = |items: &[Value], between: &str| {
        items
            .iter()
            .map(|item| shown(pool, item, depth + 1))
            .collect::<Vec<_>>()
            .join(between)
    };
    match value {
        Value::Scalar(id, _) => formula(pool, *id, depth),
        Value::Seq {
            items, open, close, ..
        } => {
            let (left, right) = (brackets(*open).0, brackets(*close).1);
            format!("{left}{}{right}", many(items, ", "))
        }
        Value::Matrix(rows) => {
            let rows: Vec<String> = rows
                .iter()
                .map(|row| {
                    row.iter()
                        .map(|id| formula(pool, *id, depth + 1))
                        .collect::<Vec<_>>()
                        .join(", ")
                })
                .collect();
            format!("matrix [{}]", rows.join("; "))
        }
        Value::Relation { first, rest } => {
            let mut out = shown(pool, first, depth + 1);
            for (rel, right) in rest {
                let _ = write!(out, " {} {}", sign(*rel), shown(pool, right, depth + 1));
            }
            out
        }
        Value::Union(items) => many(items, " union "),
        Value::Intersection(items) => many(items, " intersection "),
        Value::Difference(a, b) => format!(
            "{} without {}",
            shown(pool, a, depth + 1),
            shown(pool, b, depth + 1)
        ),
        Value::Domain(letter) => format!("the set {letter}"),
        Value::Empty => "the empty set".to_owned(),
        Value::Builder { element, condition } => {
            format!(
                "{{{} : {}}}",
                shown(pool, element, depth + 1),
                shown(pool, condition, depth + 1)
            )
        }
        Value::Ratio(parts) => parts
            .iter()
            .map(|id| formula(pool, *id, depth + 1))
            .collect::<Vec<_>>()
            .join(" : "),
        Value::Base { digits, base } => format!("{digits} in base {base}"),
    }
}

fn brackets(bracket: Bracket) -> (&'static str, &'static str) {
    match bracket {
        Bracket::None => ("", ""),
        Bracket::Round => ("(", ")"),
        Bracket::Square => ("[", "]"),
        Bracket::Brace => ("{", "}"),
        Bracket::Angle => ("<", ">"),
    }
}

fn sign(rel: Rel) -> &'static str {
    match rel {
        Rel::Equal => "=",
        Rel::NotEqual => "!=",
        Rel::Less => "<",
        Rel::LessEqual => "<=",
        Rel::Greater => ">",
        Rel::GreaterEqual => ">=",
        Rel::In => "in",
        Rel::NotIn => "not in",
        Rel::Approx => "~",
        Rel::Congruent => "congruent to",
        Rel::Subset => "within",
        Rel::To => "to",
        Rel::Implies => "implies",
        Rel::Divides => "divides",
        Rel::Parallel => "parallel to",
        Rel::Perpendicular => "perpendicular to",
    }
}

fn formula(pool: &Pool, id: Id, depth: u32) -> String {
    if depth > SHOWN_DEPTH {
        return "...".to_owned();
    }
    let at = |id: Id| formula(pool, id, depth + 1);
    let list = |items: &[Id], between: &str| {
        items
            .iter()
            .map(|id| at(*id))
            .collect::<Vec<_>>()
            .join(between)
    };
    match pool.node(id) {
        Node::Number(value) => value.to_string(),
        Node::Symbol(symbol) => shown_symbol(pool, *symbol),
        Node::Pi => "pi".to_owned(),
        Node::E => "e".to_owned(),
        Node::I => "i".to_owned(),
        Node::Infinity => "infinity".to_owned(),
        Node::Undefined => "undefined".to_owned(),
        Node::Add(items) => format!("({})", list(items, " + ")),
        Node::Mul(items) => list(items, "*"),
        Node::Pow(base, exponent) => format!("{}^({})", at(*base), at(*exponent)),
        Node::Call(fun, args) => format!(
            "{}({})",
            format!("{fun:?}").to_lowercase(),
            list(args, ", ")
        ),
        Node::Apply(name, args) => format!("{}({})", shown_symbol(pool, *name), list(args, ", ")),
        Node::Sum {
            product,
            var,
            low,
            high,
            body,
        } => {
            let name = if *product { "product" } else { "sum" };
            format!(
                "{name}({}, {} = {}..{})",
                at(*body),
                shown_symbol(pool, *var),
                at(*low),
                at(*high)
            )
        }
        Node::Integral { var, bounds, body } => {
            let bounds = bounds.map_or(String::new(), |(low, high)| {
                format!(", {}..{}", at(low), at(high))
            });
            format!(
                "integral({} d{}{bounds})",
                at(*body),
                shown_symbol(pool, *var)
            )
        }
        Node::Limit { var, to, body, .. } => {
            format!(
                "limit({}, {} to {})",
                at(*body),
                shown_symbol(pool, *var),
                at(*to)
            )
        }
        Node::Residue { value, modulus } => format!("{} mod {}", at(*value), at(*modulus)),
        Node::Derivative { var, body } => {
            format!("derivative({}, {})", at(*body), shown_symbol(pool, *var))
        }
    }
}

/// A symbol as a person would write it.
fn shown_symbol(pool: &Pool, symbol: Symbol) -> String {
    match pool.meaning(symbol) {
        Meaning::Name(name) => name.clone(),
        Meaning::Degree => "\u{b0}".to_owned(),
        Meaning::Percent => "%".to_owned(),
        Meaning::PlusMinus => "\u{b1}".to_owned(),
        Meaning::Ellipsis => "...".to_owned(),
        Meaning::LogBase => "log base".to_owned(),
        Meaning::Bound(level) => format!("bound {level}"),
        Meaning::Vector(corners) => format!("vector {corners}"),
        Meaning::Figure { figure, corners } => format!("{figure} {corners}"),
        Meaning::Derivative {
            order,
            function,
            by,
        } => {
            let order = if *order == 1 {
                String::new()
            } else {
                format!("^{order}")
            };
            let (function, by) = (shown_symbol(pool, *function), shown_symbol(pool, *by));
            format!("d{order}{function}/d{by}{order}")
        }
        Meaning::Words(words) => format!("\"{words}\""),
        Meaning::Marked { mark, inner, index } => {
            format!("{mark}({}){index}", formula(pool, *inner, SHOWN_DEPTH))
        }
        Meaning::Space { letter, power } => {
            format!("{letter}^({})", formula(pool, *power, SHOWN_DEPTH))
        }
        Meaning::Described(tokens) => tokens.clone(),
    }
}
