//! Remarks behind what a sentence says: `$-1$ at $x=2$`, `$x=4$ (since $x=-1$ fails)`, `$\frac16$,
//! or about 0.167`. Their formulas are not the answer.

use std::ops::Range;

/// Words that open a condition behind a value.
const CONDITIONS: [&str; 7] = ["for", "at", "when", "where", "with", "if", "as"];

/// Words that may stand between such a word and its formula.
const DETERMINERS: [&str; 14] = [
    "all", "any", "every", "each", "some", "real", "integer", "integers", "positive", "which",
    "constant", "the", "values", "point",
];

/// Words that open a remark in brackets. "or" opens none: it offers a second answer.
const REASONS: [&str; 14] = [
    "since",
    "because",
    "as",
    "for",
    "where",
    "with",
    "when",
    "at",
    "approximately",
    "about",
    "roughly",
    "not",
    "which",
    "i",
];

/// What leads from an exact value to its rounding.
const ROUNDINGS: [&str; 8] = [
    "or about",
    "or approximately",
    "or roughly",
    "which is about",
    "which is approximately",
    "approximately",
    "about",
    "roughly",
];

/// Marks that make a formula a condition: `x = 2`, `k \in \mathbb{Z}`.
const RELATIONS: [&str; 10] = [
    "=", "<", ">", "\\in", "\\le", "\\ge", "\\ne", "\\to", "\u{2264}", "\u{2265}",
];

/// Where the remark starts that the last formula or number of a text stands in, if it is in one
/// and a value stands before it.
pub(super) fn start(body: &str, found: &Range<usize>, answer: &str) -> Option<usize> {
    let from = body[..found.start]
        .rfind(['\n', ';'])
        .map_or(0, |at| at + 1);
    let before = &body[from..found.start];
    in_brackets(before, &body[found.end..])
        .or_else(|| condition(before, answer))
        .or_else(|| rounding(before))
        .map(|at| from + at)
}

/// `.. (since $x=-1$ ..)`
fn in_brackets(before: &str, after: &str) -> Option<usize> {
    let open = before.rfind(" (")?;
    let inside = &before[open + 2..];
    let word = first_word(inside);
    let reason = REASONS.contains(&word.to_ascii_lowercase().as_str())
        || inside.starts_with(['\u{2248}', '~'])
        || inside.starts_with("$\\approx");
    let closes = !inside.contains(')') && after.contains(')');
    (reason && closes && ends_in_value(&before[..open])).then_some(open)
}

/// `.. for all $k \in \mathbb{Z}$`
fn condition(before: &str, answer: &str) -> Option<usize> {
    let related = RELATIONS.iter().any(|mark| answer.contains(mark));
    let lone = answer.len() == 1 && answer.starts_with(|c: char| c.is_ascii_alphabetic());
    if !related && !lone {
        return None;
    }
    let mut rest = before.trim_end_matches(['$', '\\', '(', ' ']);
    for _ in 0..4 {
        let word = last_word(rest);
        if word.is_empty() {
            return None;
        }
        let head = rest[..rest.len() - word.len()].trim_end();
        let lower = word.to_ascii_lowercase();
        if CONDITIONS.contains(&lower.as_str()) {
            let head = head.trim_end_matches(',');
            return ends_in_value(head).then_some(head.len());
        }
        if !DETERMINERS.contains(&lower.as_str()) {
            return None;
        }
        rest = head;
    }
    None
}

/// `.., or about 0.167`
fn rounding(before: &str) -> Option<usize> {
    let rest = before.trim_end_matches(['$', '\\', '(', ' ']);
    let lower = rest.to_ascii_lowercase();
    let words = ROUNDINGS
        .iter()
        .filter(|words| {
            lower
                .strip_suffix(**words)
                .is_some_and(|head| head.ends_with([' ', ',']))
        })
        .max_by_key(|words| words.len())?;
    let head = rest[..rest.len() - words.len()].trim_end_matches([' ', ',']);
    ends_in_formula(head).then_some(head.len())
}

fn ends_in_value(text: &str) -> bool {
    let text = text.trim_end_matches([' ', '.', '*']);
    ends_in_formula(text) || text.ends_with(|c: char| c.is_ascii_digit() || c == '%')
}

fn ends_in_formula(text: &str) -> bool {
    text.ends_with('$') || text.ends_with("\\)") || text.ends_with("\\]")
}

fn first_word(text: &str) -> &str {
    let length = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    &text[..length]
}

fn last_word(text: &str) -> &str {
    let head = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    &text[head.len()..]
}
