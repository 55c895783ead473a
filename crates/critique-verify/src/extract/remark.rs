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
        .or_else(|| circumstance(before))
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
            let head = without_participle(head).trim_end_matches(',');
            return ends_in_value(head).then_some(head.len());
        }
        if !DETERMINERS.contains(&lower.as_str()) {
            return None;
        }
        rest = head;
    }
    None
}

/// Words that lead from what a sentence works out to a number that only goes with it: "he saves
/// 5 x 6 = 30 in 5 days", "3 + 13 = 16 integers less than 2010".
const CIRCUMSTANCES: [&str; 19] = [
    "in",
    "for",
    "over",
    "after",
    "within",
    "from",
    "than",
    "every",
    "per",
    "on",
    "those",
    "these",
    "divided by",
    "modulo",
    "mod",
    "packs of",
    "length of",
    "choose",
    "choosing",
];

/// The same words where they lead to the result.
const RESULTS: [&str; 4] = ["resulting in", "results in", "result in", "based on"];

/// `.. = 16 integers less than 2010`: where the circumstance starts, behind an equals sign.
pub(super) fn circumstance(before: &str) -> Option<usize> {
    let sentence = before
        .rfind('\n')
        .max(before.rfind(". "))
        .map_or(0, |at| at + 1);
    let head = circumstance_of(&before[sentence..])?;
    let worked_out = ["=", "\\equiv", "\u{2261}"]
        .iter()
        .any(|sign| before[sentence..sentence + head].contains(sign));
    worked_out.then_some(sentence + head)
}

/// Where the words start that make the number behind a text a circumstance.
fn circumstance_of(before: &str) -> Option<usize> {
    let rest = before.trim_end_matches(['$', '\\', '(', ' ', '\u{20ac}', '\u{a3}']);
    let rest = rest.strip_suffix(" the").unwrap_or(rest);
    let lower = rest.to_ascii_lowercase();
    if RESULTS.iter().any(|words| lower.ends_with(words)) {
        return None;
    }
    CIRCUMSTANCES
        .iter()
        .filter_map(|words| lower.strip_suffix(words))
        .filter(|head| head.ends_with([' ', '\n', ',']))
        .map(str::len)
        .min()
}

/// Without "attained" and its kin before "at": "5, attained at $x = 2$".
fn without_participle(head: &str) -> &str {
    const PARTICIPLES: [&str; 7] = [
        "attained",
        "achieved",
        "reached",
        "occurring",
        "occurs",
        "obtained",
        "realized",
    ];
    let word = last_word(head);
    if PARTICIPLES.contains(&word) {
        head[..head.len() - word.len()].trim_end()
    } else {
        head
    }
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

/// Words that open a sentence about the answer, or to the reader, behind the answer.
const CLOSINGS: [&str; 15] = [
    "Remark:",
    "Note:",
    "Note that",
    "(Note",
    "**Note",
    "*Note",
    "Please note",
    "I hope",
    "Hope this",
    "Let me know",
    "Feel free",
    "If you have",
    "Would you like",
    "Thank you",
    "Good luck",
];

/// A text without the closing remarks behind its answer: "Let me know if you have 2 more
/// questions." Where nothing else holds a number, it is left as it is.
pub(super) fn without_closing(body: &str) -> &str {
    let body = without_drawing(body);
    let opens = |at: &usize| {
        let before = body[..*at].trim_end_matches(' ');
        before.ends_with(['\n', '.', '!', '?', '*', ':', '$', ']', ')'])
    };
    let first = CLOSINGS
        .iter()
        .filter_map(|words| body.match_indices(words).map(|(at, _)| at).find(opens))
        .min();
    match first {
        Some(at) if body[..at].contains(|c: char| c.is_ascii_digit()) && is_last(&body[at..]) => {
            &body[..at]
        }
        _ => body,
    }
}

/// A text without the drawing that it ends with: its numbers are places on paper.
fn without_drawing(body: &str) -> &str {
    let end = body.trim_end();
    match end
        .strip_suffix("[/asy]")
        .and_then(|rest| rest.rfind("[asy]"))
    {
        Some(at) if !body[..at].trim().is_empty() => &body[..at],
        _ => body,
    }
}

/// Whether nothing behind a closing remark starts again: it ends a text and opens no new part.
fn is_last(closing: &str) -> bool {
    const LONGEST: usize = 400;
    const CONCLUDES: [&str; 7] = [
        "so ",
        "therefore",
        "thus",
        "hence",
        "answer",
        "total",
        "conclu",
    ];
    let aside = closing.starts_with('(') && closing.trim_end().ends_with(')');
    if aside || closing.starts_with("Remark") {
        return true;
    }
    let lower = closing.to_ascii_lowercase();
    closing.len() <= LONGEST
        && (closing.starts_with("Note:") || !closing.contains(['$', '=', '\\']))
        && !CONCLUDES.iter().any(|word| lower.contains(word))
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
