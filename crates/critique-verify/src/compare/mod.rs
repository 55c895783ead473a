//! Whether two bare answers are equal: from texts to a verdict.

pub(crate) mod choices;
pub(crate) mod clean;
mod forms;
mod lists;
mod plain;
mod readings;
pub(crate) mod realset;
pub(crate) mod relation;
pub(crate) mod scalar;
mod sets;
pub(crate) mod shapes;
pub(crate) mod solve;
mod times;
mod vectors;
pub(crate) mod words;

use crate::algebra::Pool;
use crate::budget::{Budget, MAX_ANSWER_BYTES};
use crate::options::{Options, Outcome};
use crate::parse::{self, lexer};
use crate::rule::Rule;
use crate::verdict::Verdict;

/// The rules in the order of trial: the first to decide has the say.
///
/// Words come before formulas, since most words can also be read as products of letters; the same
/// text comes before all rules that could find a difference in it.
const PRECEDENCE: [fn(&mut Pair<'_>) -> Option<Verdict>; 8] = [
    |pair| words::truth_values(&pair.gold.plain, &pair.prediction.plain),
    same_tokens,
    |pair| choices::compare(&pair.gold.plain, &pair.prediction.plain),
    |pair| times::compare(&pair.gold.plain, &pair.prediction.plain),
    |pair| words::labels(&pair.gold.plain, &pair.prediction.plain),
    |pair| words::prose(&pair.gold.plain, &pair.prediction.plain),
    option_text,
    |pair| Some(formulas(pair)),
];

/// Two answers on their way through the rules.
struct Pair<'a> {
    pool: &'a mut Pool,
    options: &'a Options,
    gold: Side<'a>,
    prediction: Side<'a>,
}

/// One answer: as it stands, without its type commands, and in tokens.
struct Side<'a> {
    text: &'a str,
    plain: String,
    tokens: Vec<lexer::Token>,
}

impl<'a> Side<'a> {
    fn new(text: &'a str) -> Self {
        let text = words::formula_for(text).unwrap_or(text);
        Self {
            text,
            plain: clean::unwrap(text).trim().to_owned(),
            tokens: lexer::lex(text),
        }
    }
}

/// Compares two bare answers.
pub(crate) fn equivalent(gold: &str, prediction: &str, options: &Options) -> Outcome {
    let (gold, prediction) = (clean::clean(gold), clean::clean(prediction));
    if gold.is_empty() || prediction.is_empty() {
        return Outcome::refused(Rule::Empty);
    }
    if gold.len() > MAX_ANSWER_BYTES || prediction.len() > MAX_ANSWER_BYTES {
        return long(gold, prediction);
    }
    let mut pool = Pool::new(Budget::new(options.max_steps));
    let verdict = short(&mut pool, gold, prediction, options);
    let exhausted = pool.budget.exhausted();
    let (equal, rule, undecided) = match verdict {
        Verdict::Equal(rule) => (true, rule, false),
        Verdict::Different(_) | Verdict::Undecided if exhausted => (false, Rule::Budget, true),
        Verdict::Different(rule) => (false, rule, false),
        Verdict::Undecided => (false, Rule::Undecided, true),
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
        rule: if equal { Rule::Same } else { Rule::TooLong },
        undecided: !decided,
        steps: 0,
    }
}

fn short(pool: &mut Pool, gold: &str, prediction: &str, options: &Options) -> Verdict {
    let mut pair = Pair {
        pool,
        options,
        gold: Side::new(gold),
        prediction: Side::new(prediction),
    };
    PRECEDENCE
        .iter()
        .find_map(|rule| rule(&mut pair))
        .unwrap_or(Verdict::Different(Rule::NotAFormula))
}

/// The same tokens are the same answer, unless it has no value.
fn same_tokens(pair: &mut Pair<'_>) -> Option<Verdict> {
    let (gold, prediction) = (&pair.gold.tokens, &pair.prediction.tokens);
    let same = gold.len() == prediction.len()
        && gold
            .iter()
            .zip(prediction)
            .all(|(a, b)| a.tok == b.tok || is_bar(&a.tok) && is_bar(&b.tok));
    same.then(|| match parse::parse(pair.pool, pair.gold.tokens.clone()) {
        Ok(value) if readings::is_undefined(pair.pool, &value) => {
            Verdict::Different(Rule::Undefined)
        }
        _ => Verdict::Equal(Rule::Same),
    })
}

/// `(C) 12` against 12: the option's text counts.
fn option_text(pair: &mut Pair<'_>) -> Option<Verdict> {
    let (gold, prediction) = (&pair.gold, &pair.prediction);
    let no_option = |side: &Side<'_>| {
        choices::letter(&side.plain).is_none() && choices::text(side.text).is_none()
    };
    if let Some(rest) = choices::text(prediction.text)
        && no_option(gold)
    {
        let gold = gold.text;
        return Some(short(pair.pool, gold, clean::clean(rest), pair.options));
    }
    if let Some(rest) = choices::text(gold.text)
        && no_option(prediction)
    {
        let prediction = prediction.text;
        return Some(short(
            pair.pool,
            clean::clean(rest),
            prediction,
            pair.options,
        ));
    }
    None
}

/// Both sides as mathematics, as they stand first.
fn formulas(pair: &mut Pair<'_>) -> Verdict {
    let (gold_other, prediction_other) = (otherwise(&pair.gold), otherwise(&pair.prediction));
    let gold = parse::parse(pair.pool, std::mem::take(&mut pair.gold.tokens));
    let prediction = parse::parse(pair.pool, std::mem::take(&mut pair.prediction.tokens));
    let options = pair.options;
    let verdict = match (&gold, &prediction) {
        (Ok(gold), Ok(prediction)) => readings::compare(pair.pool, gold, prediction, options),
        _ => Verdict::Different(Rule::NotAFormula),
    };
    if gold_other.is_none() && prediction_other.is_none() {
        return verdict;
    }
    verdict.or_else(|| {
        let gold = gold_other.map_or(gold, |tokens| parse::parse(pair.pool, tokens));
        let prediction =
            prediction_other.map_or(prediction, |tokens| parse::parse(pair.pool, tokens));
        match (gold, prediction) {
            (Ok(gold), Ok(prediction)) => readings::compare(pair.pool, &gold, &prediction, options),
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
fn otherwise(side: &Side<'_>) -> Option<Vec<lexer::Token>> {
    let commas = side
        .tokens
        .iter()
        .any(|token| matches!(&token.tok, lexer::Tok::Number(literal) if literal.commas));
    let text = side.text;
    let bracketed =
        text.starts_with(['(', '[']) || text.starts_with("\\left") || text.starts_with("\\{");
    if commas && bracketed {
        return Some(lexer::lex_as(text, false));
    }
    lexer::counts(&side.tokens)
}
