//! Option letters in prose.

use super::Found;
use super::region::Region;
use crate::rule::Clue;

/// Phrases after which the first letter is the choice, in lower case.
const ANCHORS: [&str; 14] = [
    "answer is",
    "answer:",
    "answer :",
    "answer is:",
    "option is",
    "choice is",
    "correct option",
    "correct answer",
    "correct choice",
    "the answer",
    "i choose",
    "i pick",
    "answer would be",
    "select",
];

/// The chosen letter, from `A` to `top`.
pub(super) fn find(text: &str, region: &Region, top: char) -> Option<Found> {
    let body = region.text(text);
    let by = region.range.start;
    let place = |letter: char, at: usize, clue| Found {
        answer: letter.to_string(),
        span: by + at..by + at + 1,
        clue,
    };
    if let Some(tag) = region.tagged(text)
        && let Some((letter, _)) = lone(&tag.answer, top).or_else(|| anchored(&tag.answer, top))
    {
        return Some(Found {
            answer: letter.to_string(),
            ..tag
        });
    }
    if let Some(boxed) = super::boxed::find(text, region)
        && let Some((letter, _)) = lone(&crate::compare::clean::unwrap(&boxed.answer), top)
    {
        return Some(Found {
            answer: letter.to_string(),
            ..boxed
        });
    }
    let lower = body.to_ascii_lowercase();
    let mut ends: Vec<usize> = ANCHORS
        .iter()
        .flat_map(|anchor| lower.match_indices(anchor).map(|(at, _)| at + anchor.len()))
        .collect();
    ends.sort_unstable();
    ends.dedup();
    for end in ends.into_iter().rev().take(12) {
        let mut stop = (end + 240).min(body.len());
        while !body.is_char_boundary(stop) {
            stop -= 1;
        }
        let near = &body[end..stop];
        // The sentence with the anchor, and a line after a bare colon.
        let skip = near.len()
            - near
                .trim_start_matches([':', ' ', '\n', '*', '_', '\t'])
                .len();
        let sentence = &near[skip..];
        let length = sentence_end(sentence);
        if let Some((letter, at)) = anchored(&sentence[..length], top) {
            return Some(place(letter, end + skip + at, Clue::Stated));
        }
    }
    if let Some((letter, at)) = on_own_line(body, top) {
        return Some(place(letter, at, Clue::OwnLine));
    }
    if let Some((letter, at)) = marked(body, top) {
        return Some(place(letter, at, Clue::MarkedLetter));
    }
    last_letter(body, top).map(|(letter, at)| place(letter, at, Clue::LastLetter))
}

fn sentence_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    for at in 0..bytes.len() {
        let c = bytes[at];
        if c == b'\n' && at > 0 {
            return at;
        }
        // "B. since", "C." close nothing when the letter comes first.
        if c == b'.' && at > 2 && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace) {
            return at;
        }
    }
    text.len()
}

/// A box or tag that is just a letter, or a letter and its text.
fn lone(text: &str, top: char) -> Option<(char, usize)> {
    let trimmed = text.trim_matches(|c: char| {
        c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '*' | '.' | '$' | ':')
    });
    let mut chars = trimmed.chars();
    let letter = chars.next()?;
    let upper = letter.to_ascii_uppercase();
    if !('A'..=top).contains(&upper) {
        return None;
    }
    let rest = chars.as_str();
    let ends = rest.is_empty()
        || letter.is_ascii_uppercase() && rest.starts_with([')', '.', ':', ' ', ',']);
    (ends && !(rest.starts_with(' ') && letter == 'A' && lower_word(rest))).then_some((upper, 0))
}

/// The first letter after an anchor.
fn anchored(text: &str, top: char) -> Option<(char, usize)> {
    let bytes = text.as_bytes();
    for at in 0..bytes.len() {
        let c = bytes[at] as char;
        if !c.is_ascii_alphabetic() || !bounded(bytes, at) && !quoted(bytes, at) {
            continue;
        }
        let bracketed = at > 0
            && matches!(bytes[at - 1], b'(' | b'[')
            && matches!(bytes.get(at + 1), Some(b')' | b']'));
        let upper = c.to_ascii_uppercase();
        if !('A'..=top).contains(&upper) {
            continue;
        }
        if bracketed || quoted(bytes, at) {
            return Some((upper, at));
        }
        if !c.is_ascii_uppercase() {
            // "answer is b." and nothing else.
            if text
                .trim_matches(|c: char| !c.is_ascii_alphanumeric())
                .len()
                == 1
            {
                return Some((upper, at));
            }
            continue;
        }
        // The article, unless the sentence goes on about the option.
        if c == 'A' && article(&text[at + 1..]) {
            continue;
        }
        if c == 'I' {
            continue;
        }
        return Some((c, at));
    }
    None
}

/// Words that no article stands before: verbs, pronouns, conjunctions, prepositions.
const NO_NOUNS: [&str; 34] = [
    "and", "as", "at", "because", "but", "by", "can", "does", "for", "from", "gives", "has", "if",
    "in", "is", "it", "matches", "must", "of", "on", "or", "should", "since", "so", "that", "then",
    "this", "to", "was", "when", "which", "while", "will", "with",
];

/// "A triangle": an article, against "A because", "A it is".
fn article(rest: &str) -> bool {
    let Some(after) = rest.strip_prefix(' ') else {
        return false;
    };
    let word = after
        .split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or("");
    word.starts_with(|c: char| c.is_ascii_lowercase()) && !NO_NOUNS.contains(&word)
}

fn lower_word(rest: &str) -> bool {
    article(rest)
}

/// Not part of a word, a command or a formula such as `A_1`.
/// `'C'`
fn quoted(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1] == b'\'' && bytes.get(at + 1) == Some(&b'\'')
}

fn bounded(bytes: &[u8], at: usize) -> bool {
    let word =
        |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'\\' | b'\'' | b'^') || c >= 0x80;
    let before = at > 0 && word(bytes[at - 1]);
    let after = bytes.get(at + 1).is_some_and(|c| {
        word(*c)
            || *c == b'='
            || *c == b'-' && bytes.get(at + 2).is_some_and(u8::is_ascii_alphabetic)
    });
    !before && !after
}

/// A line that is a letter, or starts with one as an option does; the last.
fn on_own_line(body: &str, top: char) -> Option<(char, usize)> {
    let mut end = body.len();
    for line in body.rsplit('\n') {
        let start = end - line.len();
        end = start.saturating_sub(1);
        let trimmed = line.trim_matches(|c: char| {
            c.is_whitespace() || matches!(c, '*' | '(' | ')' | '.' | '[' | ']' | '$' | ':')
        });
        if let [letter] = trimmed.as_bytes()
            && letter.is_ascii_alphabetic()
        {
            let upper = (*letter as char).to_ascii_uppercase();
            if ('A'..=top).contains(&upper) {
                return Some((upper, start + line.find(*letter as char).unwrap_or(0)));
            }
        }
    }
    // A text that opens with its choice: "B. since ..", "C) 12", "(D) is right".
    let text = body.trim_start();
    let lead = body.len() - text.len();
    let text = text.trim_start_matches(['*', '(']);
    let skipped = body.len() - lead - text.len();
    let mut chars = text.chars();
    let letter = chars.next().filter(|letter| ('A'..=top).contains(letter))?;
    let rest = chars.as_str().trim_start_matches('*');
    // A list of all options opens with A too.
    let lists = body.contains("\nB") || body.contains("(B)") && letter == 'A';
    (rest.starts_with(['.', ')', ':']) && !lists).then_some((letter, lead + skipped))
}

/// The last `(C)`, `**C**` or `option C`.
fn marked(body: &str, top: char) -> Option<(char, usize)> {
    let bytes = body.as_bytes();
    for at in (0..bytes.len()).rev() {
        let c = bytes[at] as char;
        let upper = c.to_ascii_uppercase();
        if !c.is_ascii_alphabetic() || !('A'..=top).contains(&upper) {
            continue;
        }
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(at + 1).copied();
        if before == Some(b'(')
            && after == Some(b')')
            && (c.is_ascii_uppercase() || !call(bytes, at))
        {
            return Some((upper, at));
        }
        if before == Some(b'*') && after == Some(b'*') && c.is_ascii_uppercase() {
            return Some((upper, at));
        }
        let named =
            |word: &str| body.is_char_boundary(at) && body[..at].to_ascii_lowercase_ends_with(word);
        if c.is_ascii_uppercase() && bounded(bytes, at) && (named("option ") || named("choice ")) {
            return Some((c, at));
        }
    }
    None
}

trait EndsWith {
    fn to_ascii_lowercase_ends_with(&self, word: &str) -> bool;
}

impl EndsWith for str {
    fn to_ascii_lowercase_ends_with(&self, word: &str) -> bool {
        let from = self.len().saturating_sub(word.len());
        self.as_bytes()[from..].eq_ignore_ascii_case(word.as_bytes())
    }
}

/// `f(a)` calls.
fn call(bytes: &[u8], at: usize) -> bool {
    at >= 2 && (bytes[at - 2].is_ascii_alphanumeric() || bytes[at - 2] == b'\'')
}

/// The last capital that stands alone and is no article.
fn last_letter(body: &str, top: char) -> Option<(char, usize)> {
    let bytes = body.as_bytes();
    (0..bytes.len()).rev().find_map(|at| {
        let c = bytes[at] as char;
        if !('A'..=top).contains(&c) || c == 'I' || !bounded(bytes, at) {
            return None;
        }
        let formula = at >= 1 && bytes[at - 1] == b'$' || bytes.get(at + 1) == Some(&b'$');
        // An operator beside it: a variable.
        let near =
            |c: Option<&u8>| matches!(c, Some(b'+' | b'=' | b'*' | b'/' | b'^' | b'<' | b'>'));
        let before = body[..at].trim_end().as_bytes().last();
        let after = body[at + 1..].trim_start().as_bytes().first();
        if formula || near(before) || near(after) || c == 'A' && article(&body[at + 1..]) {
            return None;
        }
        Some((c, at))
    })
}
