//! A formula in plain prose: `x^2 + 3x + 2`, `3 + 2i`, `2n+1`.

use std::ops::Range;

use crate::parse::names;

/// Longest formula that is looked for, in words on either side.
const MAX_WORDS: usize = 24;

/// The formula that a number is a part of, where it has letters: words that are operands, with an
/// operator between each two. Numbers alone are not its business.
pub(super) fn around(text: &str, from: usize, number: &Range<usize>) -> Option<Range<usize>> {
    let start = text[from..number.start]
        .rfind('\n')
        .map_or(from, |at| from + at + 1);
    let end = text[number.end..]
        .find('\n')
        .map_or(text.len(), |at| number.end + at);
    let (mut first, mut last) = word_at(text, start..end, number)?;
    let mut operators = 0;
    while operators < MAX_WORDS
        && let Some(sign) = word_before(text, start, first.start)
        && is_operator(&text[sign.clone()])
        && let Some(operand) = word_before(text, start, sign.start)
        && is_operand(&text[operand.clone()])
    {
        first = operand;
        operators += 1;
    }
    while operators < 2 * MAX_WORDS
        && ends_open(&text[last.clone()])
        && let Some(sign) = word_after(text, end, last.end)
        && is_operator(&text[sign.clone()])
        && let Some(operand) = word_after(text, end, sign.end)
        && is_operand(without_stop(&text[operand.clone()]))
    {
        last = operand;
        operators += 1;
    }
    let span = first.start..last.start + without_stop(&text[last.clone()]).len();
    let formula = &text[span.clone()];
    let letters = formula.contains(|c: char| c.is_ascii_alphabetic());
    let joined = operators > 0 || formula[1..].contains(['+', '-', '^', '*', '/', '(']);
    let imaginary = formula.ends_with('i') && formula.len() > 1;
    (letters && (joined || imaginary)).then_some(span)
}

/// The word that the number stands in, as its own first and last word.
fn word_at(
    text: &str,
    line: Range<usize>,
    number: &Range<usize>,
) -> Option<(Range<usize>, Range<usize>)> {
    let start = text[line.start..number.start]
        .rfind(char::is_whitespace)
        .map_or(line.start, |at| {
            line.start
                + at
                + text[line.start + at..]
                    .chars()
                    .next()
                    .map_or(1, char::len_utf8)
        });
    let end = text[number.end..line.end]
        .find(char::is_whitespace)
        .map_or(line.end, |at| number.end + at);
    is_operand(without_stop(&text[start..end])).then_some((start..end, start..end))
}

fn word_before(text: &str, from: usize, at: usize) -> Option<Range<usize>> {
    let head = text[from..at].trim_end();
    let start = head.rfind(char::is_whitespace).map_or(0, |at| {
        at + head[at..].chars().next().map_or(1, char::len_utf8)
    });
    (start < head.len()).then(|| from + start..from + head.len())
}

fn word_after(text: &str, end: usize, at: usize) -> Option<Range<usize>> {
    let rest = text[at..end].trim_start();
    let start = end - rest.len();
    let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
    (length > 0).then(|| start..start + length)
}

fn is_operator(word: &str) -> bool {
    matches!(
        word,
        "+" | "-" | "*" | "/" | "\u{b1}" | "\u{2212}" | "\u{d7}" | "\u{b7}"
    )
}

/// Without the marks that end a sentence or a part of it.
fn without_stop(word: &str) -> &str {
    word.trim_end_matches(['.', ',', ';', ':', '!', '?'])
}

fn ends_open(word: &str) -> bool {
    without_stop(word).len() == word.len()
}

/// Letters alone or in names of functions, digits and signs, in brackets that close.
fn is_operand(word: &str) -> bool {
    let signs =
        |c: char| c.is_ascii_alphanumeric() || ".^()*/+-_\u{3c0}\u{221a}\u{2212}".contains(c);
    let named = |run: &str| {
        run.len() <= 1 || names::function(run).is_some() || names::letter(run).is_some()
    };
    let mut depth = 0_i32;
    let closes = word.chars().all(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth >= 0
    });
    !word.is_empty()
        && word.len() <= 64
        && closes
        && depth == 0
        && word.chars().all(signs)
        && word.contains(|c: char| c.is_ascii_alphanumeric())
        && !word.ends_with(['+', '-', '*', '/', '^', '_'])
        && word.split(|c: char| !c.is_ascii_alphabetic()).all(named)
}
