//! "The answer is ..." and its kin.

use super::Found;
use super::phrases::{self, Rank};
use super::region::Region;
use super::{denial, formula};
use crate::rule::Clue;

/// Most places of one rank that are looked at, from the end.
const MAX_PLACES: usize = 8;

/// Text after the last phrase of the best rank that is followed by an answer.
pub(super) fn find(text: &str, region: &Region) -> Option<Found> {
    let body = region.text(text);
    let lower = lowered(body);
    for rank in [Rank::Final, Rank::Stated, Rank::Label, Rank::Heading] {
        let places = phrases::places(&lower, rank);
        for &(start, end) in places.iter().rev().take(MAX_PLACES) {
            if negated(&lower[..start]) {
                continue;
            }
            let found = if rank == Rank::Heading {
                loose(body, &lower, end)
            } else {
                after(body, end)
            };
            if let Some(found) = found {
                return Some(found.shifted(region));
            }
        }
    }
    asked_about(body, &lower).map(|found| found.shifted(region))
}

/// Of a phrase repeated without end, the first: what follows is run-on text.
pub(super) fn first_of_run(text: &str, region: &Region) -> Option<Found> {
    let body = region.text(text);
    let lower = lowered(body);
    let phrase = "the answer is";
    let places: Vec<usize> = lower
        .match_indices(phrase)
        .map(|(at, _)| at + phrase.len())
        .collect();
    if places.len() >= 2
        && let Some(found) = places.iter().find_map(|end| after(body, *end))
    {
        // Only when the run-on holds nothing that revises it.
        let rest = &lower[found.span.end.min(lower.len())..];
        let repeats = rest.matches(phrase).count() >= 4;
        let revised = ["wait", "correct answer", "mistake", "actually", "\\boxed"]
            .iter()
            .any(|word| rest.contains(word));
        if !revised && (repeats || rest.contains("```") || rest.contains("this answer is correct"))
        {
            return Some(found.shifted(region));
        }
    }
    find(text, region)
}

/// ASCII lower case, so that places stay the same.
fn lowered(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// "... is not the answer" and "is the answer correct" say nothing.
fn negated(before: &str) -> bool {
    let tail: String = before
        .chars()
        .rev()
        .take(16)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    [
        "wrong ",
        "incorrect ",
        "whether the ",
        "if the ",
        "previous ",
    ]
    .iter()
    .any(|word| tail.trim_end_matches("the ").ends_with(word) || tail.ends_with(word))
}

impl Found {
    fn shifted(self, region: &Region) -> Self {
        let by = region.range.start;
        Self {
            span: self.span.start + by..self.span.end + by,
            ..self
        }
    }
}

/// "Final answer (in metres) is 5", "**Final Answer**\n\n5".
fn loose(body: &str, lower: &str, end: usize) -> Option<Found> {
    let mut stop = (end + 100).min(lower.len());
    while !lower.is_char_boundary(stop) {
        stop -= 1;
    }
    let near = &lower[end..stop];
    let line = near.split(['\n', '.']).next().unwrap_or(near);
    for word in [" is ", ": ", " are "] {
        if let Some(at) = line.find(word) {
            return after(body, end + at + word.len());
        }
    }
    let heading = line.trim_matches(['*', '#', ' ', ':', '_']).is_empty();
    if heading { after(body, end) } else { None }
}

/// "12 is the answer"
fn asked_about(body: &str, lower: &str) -> Option<Found> {
    let at = lower
        .rfind(" is the answer")
        .or_else(|| lower.rfind(" is the final answer"))?;
    let start = body[..at].rfind(['\n', '.', ';']).map_or(0, |at| at + 1);
    let start = if body[start..at].trim().is_empty() {
        body[..at].rfind('\n').map_or(0, |at| at + 1)
    } else {
        start
    };
    let sentence = &body[start..at];
    let last = formula::last_in(sentence)?;
    Some(Found {
        span: start + last.span.start..start + last.span.end,
        ..last
    })
}

/// What stands behind a phrase: a formula or several, or words up to the end
/// of the sentence.
fn after(body: &str, end: usize) -> Option<Found> {
    let rest = &body[end..];
    // The brace closes a `\text{Answer: }`.
    let skip = rest.len()
        - rest
            .trim_start_matches([':', '*', ' ', '_', '\t', '：', '#', '>', '}', '\u{2026}'])
            .len();
    let mut start = end + skip;
    if line_at(body, start).trim().is_empty() {
        start = next_line(body, start);
    }
    start += leading_dots(line_at(body, start));
    start += connective_length(line_at(body, start));
    start += denial::claim(line_at(body, start))?;
    let line = within_formula(within_brackets(line_at(body, start)));
    if line.trim().is_empty() || is_verdict(line) {
        return None;
    }
    let stated = |found: Found| Found {
        span: start + found.span.start..start + found.span.end,
        clue: Clue::Stated,
        ..found
    };
    let length = reason_start(&line[..sentence_end(line)]);
    let whole = || Found {
        answer: line[..length].trim().to_owned(),
        span: 0..length,
        clue: Clue::Stated,
    };
    // `(c) $2x$` is an option with its text.
    let option = matches!(line.as_bytes(), [b'(', c, b')', ..] if c.is_ascii_alphabetic());
    if option || denial::is_bound(line) {
        return Some(stated(whole()));
    }
    formula::leading(&body[start..])
        .or_else(|| formula::in_sentence(&line[..length]))
        .or_else(|| Some(whole()).filter(|found| !found.answer.is_empty()))
        .map(stated)
        .filter(|found| !denial::finds_fault(&body[found.span.end..]))
}

/// Where the next line that holds something starts, behind its marks. A rule of hyphens or equals
/// signs, as Markdown draws under a heading, holds nothing.
fn next_line(body: &str, from: usize) -> usize {
    let mut start = from;
    loop {
        let rest = &body[start..];
        let trimmed = rest.trim_start_matches(['\n', '\r', ' ', '\t', '*', '#', '>', ':', '_']);
        start += rest.len() - trimmed.len();
        let line = line_at(body, start).trim();
        let rule = line.len() >= 3 && line.trim_matches(['-', '=']).is_empty();
        if !rule {
            return start;
        }
        start += line_at(body, start).len();
    }
}

/// The length of "therefore:" and its kin between "the answer is" and the answer.
fn connective_length(line: &str) -> usize {
    const CONNECTIVES: [&str; 6] = ["therefore", "thus", "then", "hence", "indeed", "simply"];
    let length = line
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(line.len());
    if !CONNECTIVES.contains(&&line[..length]) {
        return 0;
    }
    let behind = line[length..].trim_start_matches([' ', ':', ',', '*']);
    line.len() - behind.len()
}

/// The length of an ellipsis before an answer: "The answer is ... 12".
fn leading_dots(line: &str) -> usize {
    let behind = line.trim_start_matches(['.', ' ', '\u{2026}']);
    let lead = &line[..line.len() - behind.len()];
    if lead.contains("..") { lead.len() } else { 0 }
}

/// Up to a bracket that was opened before the line: `[Answer: 009]`. A letter before it is an
/// option's.
fn within_brackets(line: &str) -> &str {
    let mut depth = 0_i32;
    for (at, c) in line.char_indices() {
        depth += i32::from(matches!(c, '(' | '[' | '{')) - i32::from(matches!(c, ')' | ']' | '}'));
        if depth < 0 {
            let before = line[..at].trim_end_matches('\\');
            let option = matches!(before.trim().as_bytes(), [c] if c.is_ascii_alphabetic());
            return if at == 0 || option { line } else { before };
        }
    }
    line
}

/// Up to what closes a formula that was opened before the line: `$\textbf{Answer: } 12$`.
fn within_formula(line: &str) -> &str {
    let plain = line.trim_end_matches(['.', ' ']);
    for close in ["$$", "$", "\\]", "\\)"] {
        let Some(inner) = plain.strip_suffix(close) else {
            continue;
        };
        let open = close.replace(']', "[").replace(')', "(");
        return if inner.contains(&open) { line } else { inner };
    }
    // `12$ cm`, against a price.
    match line.match_indices('$').collect::<Vec<_>>().as_slice() {
        [(at, _)] if *at > 0 && !line[..*at].ends_with('\\') => {
            let price = line[at + 1..].starts_with(|c: char| c.is_ascii_digit());
            if price { line } else { &line[..*at] }
        }
        _ => line,
    }
}

/// "This answer is correct": words about the answer, not the answer.
fn is_verdict(line: &str) -> bool {
    const VERDICTS: [&str; 7] = [
        "correct",
        "right",
        "wrong",
        "incorrect",
        "verified",
        "confirmed",
        "reasonable",
    ];
    let word = line.trim_matches(|c: char| !c.is_alphanumeric());
    let first = word
        .split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or("");
    let alone = word.len() == first.len()
        || word[first.len()..].starts_with(['.', ',', '!', ';'])
            && !word[first.len()..].starts_with(".5");
    alone && VERDICTS.contains(&first.to_ascii_lowercase().as_str())
}

/// Where the reason starts behind a value: "5 because 2 + 3 = 5", "12, as desired".
fn reason_start(sentence: &str) -> usize {
    const REASONS: [&str; 12] = [
        " because ",
        " since ",
        ", because ",
        ", since ",
        ", as ",
        ", so ",
        ", which ",
        ", hence ",
        ", thus ",
        "\u{ff0c}因为",
        "\u{ff0c}所以",
        "因为",
    ];
    if !denial::is_value(sentence) {
        return sentence.len();
    }
    let lower = sentence.to_ascii_lowercase();
    REASONS
        .iter()
        .filter_map(|word| lower.find(word))
        .min()
        .unwrap_or(sentence.len())
}

fn line_at(body: &str, start: usize) -> &str {
    let rest = &body[start..];
    &rest[..rest.find('\n').unwrap_or(rest.len())]
}

/// Up to what is denied, or a full stop that ends a sentence: not inside a number, not "p.m.".
fn sentence_end(line: &str) -> usize {
    let line = &line[..line.find('\u{3002}').unwrap_or(line.len())];
    let line = &line[..denial::end_of_claim(line)];
    let bytes = line.as_bytes();
    for (at, c) in bytes.iter().enumerate() {
        if !matches!(c, b'.' | b'!' | b'?' | b';') {
            continue;
        }
        let next = bytes.get(at + 1);
        let abbreviated = at >= 1
            && bytes[at - 1].is_ascii_alphabetic()
            && (at < 2 || matches!(bytes[at - 2], b'.' | b' '))
            && *c == b'.'
            && matches!(
                bytes.get(at - 1),
                Some(b'a' | b'p' | b'm' | b'i' | b'e' | b's')
            );
        if next.is_none_or(|c| c.is_ascii_whitespace() || *c == b'*') && !abbreviated {
            // `5!` is a factorial.
            return if *c == b'!' && at > 0 && bytes[at - 1].is_ascii_digit() {
                continue;
            } else {
                at
            };
        }
    }
    line.len()
}
