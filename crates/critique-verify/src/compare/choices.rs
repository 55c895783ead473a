//! Option letters.

use crate::rule::Rule;
use crate::verdict::Verdict;

/// Option letters against each other; `None` where a side is none, or both may be variables.
pub(super) fn compare(gold: &str, prediction: &str) -> Option<Verdict> {
    let wanted = letter(gold).or_else(|| letter(prediction).and_then(|_| spoken(gold)))?;
    let found = letter(prediction).or_else(|| spoken(prediction))?;
    // Two bare letters may be variables; then case counts. A gold capital is an option.
    let bare = |text: &str| text.len() == 1;
    if bare(gold) && bare(prediction) && !gold.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    Some(Verdict::of(wanted == found, Rule::Choice))
}

/// `C`, `(C)`, `C.`, `C)`: a lone option letter.
pub(crate) fn letter(text: &str) -> Option<char> {
    let inner = text.trim().trim_end_matches(['.', ':', ',']);
    let (inner, marked) = match inner.strip_prefix(['(', '[']) {
        Some(rest) => (rest.strip_suffix([')', ']'])?, true),
        None => match inner.strip_suffix(')') {
            Some(rest) => (rest, true),
            None => (inner, false),
        },
    };
    let inner = inner.trim();
    let letter = inner.chars().next().filter(char::is_ascii_alphabetic)?;
    let upper = letter.to_ascii_uppercase();
    if inner.len() != 1 || upper > 'J' && !marked {
        return None;
    }
    (marked || letter.is_ascii_uppercase() || letter < 'f').then_some(upper)
}

/// `(B) 12`, `B. a circle`, `Option B`: a letter with its text.
fn spoken(text: &str) -> Option<char> {
    let text = text.trim();
    for prefix in [
        "option ", "choice ", "answer ", "Option ", "Choice ", "Answer ",
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return letter(rest).or_else(|| spoken(rest));
        }
    }
    // `(A) and (C)` is two options.
    let options = |c: char| {
        text.matches(&['(', c, ')'].iter().collect::<String>())
            .count()
    };
    if ('A'..='J').map(options).sum::<usize>() > 1 {
        return None;
    }
    if let Some(rest) = text.strip_prefix('(') {
        let mut chars = rest.chars();
        let letter = chars.next().filter(char::is_ascii_uppercase)?;
        return (letter <= 'J'
            && chars.as_str().starts_with([')'])
            && chars.as_str()[1..].starts_with([' ', ':', '.', ',']))
        .then_some(letter);
    }
    let mut chars = text.chars();
    let letter = chars
        .next()
        .filter(|letter| letter.is_ascii_uppercase() && *letter <= 'J')?;
    let rest = chars.as_str();
    // `B. text`, `B) text`, `B: text`.
    (rest.starts_with([')', '.', ':']) && rest[1..].starts_with(' ') && rest.len() > 2)
        .then_some(letter)
}

/// The text after an option's letter, as in `\textbf{(C)}\ 12` or `(C) 12`.
pub(crate) fn text(text: &str) -> Option<&str> {
    let rest = text.trim_start();
    let rest = ["\\textbf{(", "\\text{(", "\\mathrm{(", "\\mathbf{(", "("]
        .iter()
        .find_map(|open| {
            let braced = open.contains('{');
            let inner = rest.strip_prefix(open)?;
            let letter = inner.chars().next().filter(|c| ('A'..='J').contains(c))?;
            let after = inner[letter.len_utf8()..].strip_prefix(')')?;
            if braced {
                after.trim_start_matches(['~', ' ']).strip_prefix('}')
            } else {
                Some(after)
            }
        })?;
    let after = rest.trim_start_matches([' ', '~', ':', '.']);
    let after = ["\\ ", "\\,", "\\;", "\\quad"]
        .iter()
        .fold(after, |text, space| {
            text.strip_prefix(space).unwrap_or(text)
        });
    (rest.len() != after.len()
        && !after.is_empty()
        && !after.starts_with(['+', '-', '*', '/', '^', '=', '<', '>', ',', '\u{2212}']))
    .then_some(after)
}
