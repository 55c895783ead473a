//! Whether two bare answers are equal: from texts to a verdict.

mod forms;
mod lists;
mod plain;
pub(crate) mod realset;
pub(crate) mod relation;
pub(crate) mod scalar;
pub(crate) mod shapes;
pub(crate) mod solve;
pub(crate) mod text;
mod vectors;

use dashu::rational::RBig;

use crate::algebra::pool::{DEGREE, PERCENT, Symbol};
use crate::algebra::{Fun, Id, Node, Pool, calculus};
use crate::budget::{Budget, MAX_ANSWER_BYTES};
use crate::options::{Options, Outcome};
use crate::parse::functions::LOG_BASE;
use crate::parse::value::Value;
use crate::parse::{self, lexer};

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Equal(&'static str),
    Different(&'static str),
    Undecided,
}

impl Verdict {
    pub(crate) fn is_equal(self) -> bool {
        matches!(self, Self::Equal(_))
    }

    /// The first that accepts; else doubt before difference.
    fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Equal(_) => self,
            Self::Different(_) => match other() {
                Self::Different(_) => self,
                better => better,
            },
            Self::Undecided => match other() {
                equal @ Self::Equal(_) => equal,
                _ => self,
            },
        }
    }
}

/// Compares two bare answers.
pub(crate) fn equivalent(gold: &str, prediction: &str, options: &Options) -> Outcome {
    let (gold, prediction) = (text::clean(gold), text::clean(prediction));
    if gold.is_empty() || prediction.is_empty() {
        return Outcome::refused("empty");
    }
    if gold.len() > MAX_ANSWER_BYTES || prediction.len() > MAX_ANSWER_BYTES {
        return long(gold, prediction);
    }
    let mut pool = Pool::new(Budget::new(options.max_steps));
    let verdict = short(&mut pool, gold, prediction, options);
    let exhausted = pool.budget.exhausted();
    let (equal, rule, undecided) = match verdict {
        Verdict::Equal(rule) => (true, rule, false),
        Verdict::Different(_) if exhausted => (false, "budget", true),
        Verdict::Different(rule) => (false, rule, false),
        Verdict::Undecided => (false, if exhausted { "budget" } else { "undecided" }, true),
    };
    Outcome {
        equal,
        rule,
        undecided,
        steps: pool.budget.spent(),
    }
}

/// Answers too long for exact work: equal as text, or not known to be.
fn long(gold: &str, prediction: &str) -> Outcome {
    let strip = |text: &str| {
        text.chars()
            .filter(|c| !c.is_whitespace() && *c != '$')
            .collect::<String>()
    };
    let (a, b) = (strip(gold), strip(prediction));
    let equal = a == b;
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    // Two plain integers differ when their digits do.
    let decided = equal || digits(&a) && digits(&b) && !a.starts_with('0') && !b.starts_with('0');
    Outcome {
        equal,
        rule: if equal { "same" } else { "too long" },
        undecided: !decided,
        steps: 0,
    }
}

fn short(pool: &mut Pool, gold: &str, prediction: &str, options: &Options) -> Verdict {
    let gold = text::formula_for(gold).unwrap_or(gold);
    let prediction = text::formula_for(prediction).unwrap_or(prediction);
    let (gold_tokens, prediction_tokens) = (lexer::lex(gold), lexer::lex(prediction));
    let same = gold_tokens.len() == prediction_tokens.len()
        && gold_tokens
            .iter()
            .zip(&prediction_tokens)
            .all(|(a, b)| a.tok == b.tok || is_bar(&a.tok) && is_bar(&b.tok));
    if let Some(verdict) = text::compare(gold, prediction, same) {
        return verdict;
    }
    // `(C) 12` against 12: the option's text counts.
    if let Some(rest) = text::after_choice(prediction)
        && text::choice(&text::unwrap(gold)).is_none()
        && text::after_choice(gold).is_none()
    {
        return short(pool, gold, text::clean(rest), options);
    }
    if let Some(rest) = text::after_choice(gold)
        && text::choice(&text::unwrap(prediction)).is_none()
        && text::after_choice(prediction).is_none()
    {
        return short(pool, text::clean(rest), prediction, options);
    }
    if same {
        return match parse::parse(pool, gold_tokens) {
            Ok(value) if is_undefined(pool, &value) => Verdict::Different("undefined"),
            _ => Verdict::Equal("same"),
        };
    }
    // As it stands first.
    let (gold_other, prediction_other) = (
        otherwise(gold, &gold_tokens),
        otherwise(prediction, &prediction_tokens),
    );
    let gold_value = parse::parse(pool, gold_tokens);
    let prediction_value = parse::parse(pool, prediction_tokens);
    let verdict = match (&gold_value, &prediction_value) {
        (Ok(gold), Ok(prediction)) => readings(pool, gold, prediction, options),
        _ => Verdict::Different("not a formula"),
    };
    if gold_other.is_none() && prediction_other.is_none() {
        return verdict;
    }
    verdict.or_else(|| {
        let gold = gold_other.map_or(gold_value, |tokens| parse::parse(pool, tokens));
        let prediction =
            prediction_other.map_or(prediction_value, |tokens| parse::parse(pool, tokens));
        match (gold, prediction) {
            (Ok(gold), Ok(prediction)) => readings(pool, &gold, &prediction, options),
            _ => verdict,
        }
    })
}

/// `P(A|B)` is also set as `P(A \mid B)`.
fn is_bar(tok: &lexer::Tok) -> bool {
    match tok {
        lexer::Tok::Sign(sign) => *sign == '|',
        lexer::Tok::Command(name) => name == "mid",
        _ => false,
    }
}

/// The same text read another way: `(1,234)` as two numbers, `C(5,2)` and `5C2` as a count.
fn otherwise(text: &str, tokens: &[lexer::Token]) -> Option<Vec<lexer::Token>> {
    let commas = tokens
        .iter()
        .any(|token| matches!(&token.tok, lexer::Tok::Number(literal) if literal.commas));
    let bracketed =
        text.starts_with(['(', '[']) || text.starts_with("\\left") || text.starts_with("\\{");
    if commas && bracketed {
        return Some(lexer::lex_as(text, false));
    }
    lexer::counts(tokens)
}

/// `12 m` where `m` was a unit on the other side.
fn without_units(pool: &mut Pool, value: &Value) -> Value {
    let id = match value {
        Value::Scalar(id, _) => *id,
        // `F = 20 N`
        Value::Relation { first, rest } if rest.len() == 1 && first.as_scalar().is_some() => {
            let (rel, right) = &rest[0];
            return Value::Relation {
                first: first.clone(),
                rest: vec![(*rel, without_units(pool, right))],
            };
        }
        _ => return value.clone(),
    };
    let symbols = pool.symbols(id);
    let [only] = symbols.as_slice() else {
        return value.clone();
    };
    if !pool
        .dropped_units
        .iter()
        .any(|unit| unit == pool.symbol_name(*only))
    {
        return value.clone();
    }
    let one = pool.int(1);
    value.map(&mut |id| pool.substitute(id, *only, one))
}

/// `I` or `j` for the imaginary unit, `E` for e, and a derivative's fraction for its prime, where
/// the other side has the one and not the other.
fn constants(pool: &mut Pool, value: &Value, other: &Value) -> Value {
    let value = constant(pool, value, other, &Node::I, &["I", "j"]);
    let value = constant(pool, &value, other, &Node::E, &["E"]);
    primed(pool, &value, other)
}

/// `\frac{dy}{dx}` as `y'` where the other side has that.
fn primed(pool: &mut Pool, value: &Value, other: &Value) -> Value {
    let symbols = |pool: &Pool, value: &Value| {
        let mut found: Vec<Symbol> = Vec::new();
        for id in value.ids() {
            found.extend(pool.symbols(id));
        }
        found
    };
    let theirs = symbols(pool, other);
    for symbol in symbols(pool, value) {
        let prime = pool
            .symbol_name(symbol)
            .strip_prefix("d1 ")
            .and_then(|name| name.split_once('/'))
            .map(|(function, _)| format!("{function}'"))
            .and_then(|name| pool.known_symbol(&name));
        if let Some(prime) = prime.filter(|prime| theirs.contains(prime))
            && !theirs.contains(&symbol)
        {
            let with = pool.insert(Node::Symbol(prime));
            return value.map(&mut |id| pool.substitute(id, symbol, with));
        }
    }
    value.clone()
}

fn constant(pool: &mut Pool, value: &Value, other: &Value, unit: &Node, letters: &[&str]) -> Value {
    let has = |pool: &Pool, value: &Value, node: &Node| {
        value
            .ids()
            .into_iter()
            .any(|id| pool.any(id, |found| found == node))
    };
    if has(pool, value, unit) || !has(pool, other, unit) {
        return value.clone();
    }
    for name in letters {
        let Some(symbol) = pool.known_symbol(name) else {
            continue;
        };
        if has(pool, value, &Node::Symbol(symbol)) && !has(pool, other, &Node::Symbol(symbol)) {
            let unit = pool.insert(unit.clone());
            return value.map(&mut |id| pool.substitute(id, symbol, unit));
        }
    }
    value.clone()
}

/// Letters that count through the integers where nobody says so.
const COUNTERS: [&str; 5] = ["k", "n", "m", "l", "ell"];

/// The letter that counts in `\frac{\pi}{4} + k\pi`: one that is said to be an integer, or one of
/// the usual letters in a term with π or a degree sign, of which it is the factor.
fn counter(pool: &mut Pool, value: &Value) -> Option<Symbol> {
    if let Some(said) = forms::counted(pool, value) {
        return Some(said);
    }
    let degree = pool.known_symbol(DEGREE);
    let turns = |node: &Node| {
        *node == Node::Pi || degree.is_some_and(|degree| *node == Node::Symbol(degree))
    };
    let ids = value.ids();
    let mut found = None;
    for id in ids {
        for symbol in pool.symbols(id) {
            if !COUNTERS.contains(&pool.symbol_name(symbol)) {
                continue;
            }
            let factor = calculus::derivative(pool, id, symbol)?;
            let linear = !pool.contains_symbol(factor, symbol) && pool.any(factor, turns);
            if !linear || found.is_some_and(|found| found != symbol) {
                return None;
            }
            found = Some(symbol);
        }
    }
    found
}

/// The prediction with the gold answer's letter for "any integer".
fn recounted(pool: &mut Pool, gold: &Value, prediction: &Value) -> Option<Value> {
    let (wanted, given) = (counter(pool, gold)?, counter(pool, prediction)?);
    let taken = prediction
        .ids()
        .into_iter()
        .any(|id| pool.contains_symbol(id, wanted));
    if wanted == given || taken {
        return None;
    }
    let with = pool.insert(Node::Symbol(wanted));
    Some(prediction.map(&mut |id| pool.substitute(id, given, with)))
}

fn is_undefined(pool: &Pool, value: &Value) -> bool {
    value
        .ids()
        .into_iter()
        .any(|id| pool.any(id, |node| *node == Node::Undefined))
}

/// Compares under every reading of percent, degree and logarithm signs.
fn readings(pool: &mut Pool, gold: &Value, prediction: &Value, options: &Options) -> Verdict {
    if is_undefined(pool, gold) || is_undefined(pool, prediction) {
        return Verdict::Different("undefined");
    }
    let mut choices: Vec<(&str, Vec<Id>)> = Vec::new();
    let number = |pool: &mut Pool, top: i64, bottom: u64| {
        pool.number(RBig::from_parts(top.into(), bottom.into()))
    };
    if pool.known_symbol(PERCENT).is_some() {
        choices.push((PERCENT, vec![number(pool, 1, 100), number(pool, 1, 1)]));
    }
    if pool.known_symbol(DEGREE).is_some() {
        let part = number(pool, 1, 180);
        let pi = pool.insert(Node::Pi);
        let radians = pool.mul(&[pi, part]);
        // Degrees turn into radians only against an answer in radians.
        let has = |value: &Value, node: &Node| {
            value
                .ids()
                .into_iter()
                .any(|id| pool.any(id, |found| found == node))
        };
        let degree = Node::Symbol(pool.known_symbol(DEGREE).unwrap_or(0));
        let inverse = |value: &Value| {
            let arc = |node: &Node| {
                matches!(
                    node,
                    Node::Call(Fun::Asin | Fun::Acos | Fun::Atan | Fun::Acot, _)
                )
            };
            value.ids().into_iter().any(|id| pool.any(id, arc))
        };
        let mixed = has(gold, &degree) != has(prediction, &degree)
            && [gold, prediction]
                .into_iter()
                .any(|value| has(value, &Node::Pi) || inverse(value));
        let one = number(pool, 1, 1);
        choices.push((DEGREE, if mixed { vec![one, radians] } else { vec![one] }));
    }
    if pool.known_symbol(LOG_BASE).is_some() {
        let e = pool.insert(Node::E);
        choices.push((LOG_BASE, vec![number(pool, 10, 1), e]));
    }
    let (gold, prediction) = (&without_units(pool, gold), &without_units(pool, prediction));
    let (gold, prediction) = (
        &constants(pool, gold, prediction),
        &constants(pool, prediction, gold),
    );
    let recounted = recounted(pool, gold, prediction);
    let prediction = recounted.as_ref().unwrap_or(prediction);
    let total: usize = choices.iter().map(|(_, values)| values.len()).product();
    let mut verdict = Verdict::Different("readings");
    for pick in 0..total {
        let mut rest = pick;
        let (mut a, mut b) = (gold.clone(), prediction.clone());
        for (name, values) in &choices {
            let with = values[rest % values.len()];
            rest /= values.len();
            let symbol = pool.symbol(name);
            // The last digit of `12.5%` counts tenths of a percent.
            if *name == PERCENT && pool.as_int(with).is_none() {
                a = a.per_hundred(pool, symbol);
                b = b.per_hundred(pool, symbol);
            }
            a = a.map(&mut |id| pool.substitute(id, symbol, with));
            b = b.map(&mut |id| pool.substitute(id, symbol, with));
        }
        let next = shapes::Comparer { pool, options }.values(&a, &b);
        if pick == 0 {
            verdict = next;
        } else {
            verdict = verdict.or_else(|| next);
        }
        if verdict.is_equal() {
            break;
        }
    }
    verdict
}
