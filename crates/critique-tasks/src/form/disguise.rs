//! Verdicts that a reader sees and the parser does not take: why a critique has none, and what
//! contradicts the one it has.

use critique_core::Refusal;
use critique_verify::as_seen;

use super::{CritiqueForm, label};

/// Where in a line a claim may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At its start, behind list marks, quote marks, numbers, brackets and the like.
    Start,
    /// In its middle, too, if no quote mark stands before it.
    Anywhere,
}

/// What ends a line for a reader.
const LINE_ENDS: [char; 7] = [
    '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// What opens a quotation, as [`as_seen`] leaves it.
const QUOTES: [char; 11] = [
    '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}',
    '\u{300c}',
];

/// Words that deny, in lower case.
const DENIALS: [&str; 8] = [
    "not", "never", "no", "neither", "isn", "cannot", "hardly", "nor",
];

/// Words of doubt.
const HEDGES: [&str; 16] = [
    "or",
    "maybe",
    "perhaps",
    "possibly",
    "probably",
    "partially",
    "partly",
    "mostly",
    "likely",
    "either",
    "might",
    "could",
    "unsure",
    "almost",
    "both",
    "unclear",
];

/// The first word of each claim that a reader sees in a text, in lower case; of a claim without
/// words nothing. Lines that repeat a step of the response are quotations.
pub(crate) fn claims(
    text: &str,
    label: &'static str,
    place: Place,
) -> impl Iterator<Item = String> {
    text.split(LINE_ENDS)
        .filter(move |line| may_hold(line, label))
        .flat_map(move |line| {
            let seen = folded(line);
            claims_of(&seen, &label.to_ascii_lowercase(), place)
        })
}

/// A cheap look before a line is folded: plain text without the label's first word holds none.
fn may_hold(line: &str, label: &str) -> bool {
    let first = &label.as_bytes()[..label.find(' ').unwrap_or(label.len())];
    !line.is_ascii()
        || line
            .as_bytes()
            .windows(first.len())
            .any(|window| window.eq_ignore_ascii_case(first))
}

/// A line as it looks, in lower case, with one blank for several.
fn folded(line: &str) -> String {
    let seen = as_seen(line).to_lowercase();
    seen.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn claims_of(seen: &str, label: &str, place: Place) -> Vec<String> {
    if repeats_step(without_marks(seen)) {
        return Vec::new();
    }
    let start = seen.len() - without_marks(seen).len();
    seen.match_indices(label)
        .filter(|(at, _)| {
            let quoted = seen[..*at].trim_end().ends_with(QUOTES);
            *at == start || place == Place::Anywhere && !quoted
        })
        .filter_map(|(at, _)| value(&seen[at + label.len()..]))
        .collect()
}

fn repeats_step(line: &str) -> bool {
    let step = label(CritiqueForm::STEP);
    let head = line.get(..step.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(step))
}

/// The first word or number behind a label and its colon.
fn value(rest: &str) -> Option<String> {
    let marks = |c: char| !c.is_alphanumeric() && c != ':';
    let value = rest.trim_start_matches(marks).strip_prefix(':')?;
    let value = value.trim_start_matches(|c: char| !c.is_alphanumeric());
    let length = value
        .find(|c: char| !c.is_alphanumeric() && c != '.')
        .unwrap_or(value.len());
    Some(value[..length].trim_end_matches('.').to_owned())
}

/// A line behind the marks of lists, quotations, numbers, tags and emphasis at its start.
fn without_marks(line: &str) -> &str {
    let mut rest = line;
    loop {
        let trimmed = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let tag = trimmed
            .split_once('>')
            .filter(|(tag, _)| rest.trim_start().starts_with('<') && tag.len() <= 12);
        let length = trimmed
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(trimmed.len());
        let counts = length <= 3
            && trimmed[length..].starts_with(['.', ')', ']', ':'])
            && (length == 1 || trimmed[..length].bytes().all(is_numeral));
        rest = match tag {
            Some((_, behind)) => behind,
            None if counts => &trimmed[length + 1..],
            None => return trimmed,
        };
    }
}

/// Digits, and the letters of small Roman numerals.
fn is_numeral(byte: u8) -> bool {
    byte.is_ascii_digit() || b"ivx".contains(&byte)
}

/// Why a text without a line of its own for a label has none.
pub(crate) fn why_no_line(text: &str, label: &'static str) -> Refusal {
    if text.trim().is_empty() {
        return Refusal::Silent;
    }
    let lower = label.to_ascii_lowercase();
    let line = text
        .split(LINE_ENDS)
        .filter(|line| may_hold(line, label))
        .find(|line| folded(line).contains(&format!("{lower}:")) || is_claim(line, &lower));
    match line {
        None => Refusal::NoClaim,
        Some(line) => why_not_plain(line, &lower),
    }
}

fn is_claim(line: &str, label: &str) -> bool {
    let seen = folded(line);
    seen.match_indices(label)
        .any(|(at, _)| value(&seen[at + label.len()..]).is_some())
}

/// Why a line that looks like a claim is none.
fn why_not_plain(line: &str, label: &str) -> Refusal {
    let lower = line.to_ascii_lowercase();
    let Some(at) = lower.find(label) else {
        return of_characters(line);
    };
    let rest = &line[at + label.len()..];
    if !rest
        .trim_start_matches(['*', '_', ' ', '\t'])
        .starts_with(':')
    {
        return of_characters(rest);
    }
    let before = line[..at].trim();
    if !before.is_empty() && as_seen(before).trim().is_empty() {
        Refusal::Hidden
    } else {
        Refusal::Quoted
    }
}

/// Which of two tricks a text is that looks like another: hidden characters or other letters.
fn of_characters(text: &str) -> Refusal {
    let letters = |text: &str| text.chars().filter(char::is_ascii_graphic).count();
    if letters(&as_seen(text)) > letters(text) {
        Refusal::LookAlike
    } else {
        Refusal::Hidden
    }
}

/// Why a value is no verdict.
pub(crate) fn why_no_verdict(value: &str, label: &str) -> Refusal {
    let seen = folded(value);
    if seen.contains(&label.to_ascii_lowercase()) {
        return Refusal::Several;
    }
    let words: Vec<&str> = seen
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let has = |word: &str| words.contains(&word);
    match words.as_slice() {
        _ if is_chat_mark(&seen) => Refusal::ChatMark,
        [] if seen.is_ascii() => Refusal::NoClaim,
        ["correct" | "wrong"] => why_not_bare(value),
        _ if DENIALS.iter().any(|word| has(word)) => Refusal::Negated,
        _ if has("correct") && (has("wrong") || has("incorrect")) => Refusal::Hedged,
        _ if seen.contains('?') || HEDGES.iter().any(|word| has(word)) => Refusal::Hedged,
        _ => Refusal::Malformed,
    }
}

/// Why a value is no score.
pub(crate) fn why_no_score(value: &str) -> Refusal {
    let seen = folded(value);
    let words: Vec<&str> = seen.split(' ').filter(|word| !word.is_empty()).collect();
    let doubt = |word: &&str| HEDGES.contains(word) || matches!(*word, "-" | "to");
    match words.as_slice() {
        _ if is_chat_mark(&seen) => Refusal::ChatMark,
        [] => Refusal::NoClaim,
        _ if words.iter().any(|word| DENIALS.contains(word)) => Refusal::Negated,
        _ if seen.contains('?') || words.iter().any(doubt) => Refusal::Hedged,
        _ if !value.is_ascii() && seen.parse::<f32>().is_ok() => of_characters(value),
        _ => Refusal::Malformed,
    }
}

/// Why a value that looks like one of the two words is not it.
fn why_not_bare(value: &str) -> Refusal {
    if !value.is_ascii() && !value.contains(QUOTES) {
        return of_characters(value);
    }
    if value.contains(QUOTES) {
        Refusal::Quoted
    } else if value.contains('?') {
        Refusal::Hedged
    } else {
        Refusal::Malformed
    }
}

fn is_chat_mark(text: &str) -> bool {
    [
        "<|",
        "|>",
        "</s>",
        "<s>",
        "[inst]",
        "[/inst]",
        "<eos>",
        "<bos>",
        "<end_of_turn>",
    ]
    .iter()
    .any(|mark| text.contains(mark))
}
