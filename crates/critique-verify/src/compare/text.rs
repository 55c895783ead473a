//! What is compared as text: cleaning, words, truth values, choices, times.

use super::Verdict;

/// Most layers taken off an answer.
const MAX_WRAPPINGS: usize = 32;

/// Drops what wraps an answer: dollars, a box, bold marks, end punctuation.
pub(crate) fn clean(text: &str) -> &str {
    let mut text = text.trim();
    // Wrappings are few; a text made of nothing else is not worth the time.
    for _ in 0..MAX_WRAPPINGS {
        let before = text;
        text = text.trim_matches(|c: char| {
            c.is_whitespace()
                || matches!(c, '"' | '\u{201c}' | '\u{201d}' | '`' | '\u{feff}' | '\0')
        });
        for (open, close) in [
            ("$$", "$$"),
            ("$", "$"),
            ("\\(", "\\)"),
            ("\\[", "\\]"),
            ("**", "**"),
            ("__", "__"),
            ("'", "'"),
        ] {
            if text.len() > open.len() + close.len()
                && let Some(inner) = text
                    .strip_prefix(open)
                    .and_then(|rest| rest.strip_suffix(close))
                && !inner.contains(open)
            {
                text = inner;
            }
        }
        for open in ["\\boxed", "\\fbox", "\\mathrm", "\\displaystyle"] {
            let Some(rest) = text.strip_prefix(open) else {
                continue;
            };
            if open == "\\displaystyle" {
                text = rest;
            } else if open != "\\mathrm"
                && rest.trim_start().starts_with('{')
                && crate::parse::lexer::balanced(rest.trim_start()) == Some(rest.trim_start().len())
            {
                let rest = rest.trim_start();
                text = &rest[1..rest.len() - 1];
            }
        }
        // Keep `5!` and `0.333...`; a sentence's end goes.
        let cut = text.trim_end_matches([',', ';', ':']);
        text = if cut.ends_with("..") || cut.ends_with("\\.") {
            cut
        } else {
            cut.strip_suffix('.').unwrap_or(cut)
        };
        text = text
            .trim_end_matches("\\\\")
            .trim_end_matches("\\,")
            .trim_end_matches("\\ ");
        if text == before {
            return text;
        }
    }
    text
}

/// Words without case, articles, marks and layout.
pub(crate) fn normal(text: &str) -> String {
    let plain = unwrap(text);
    let mut out = String::new();
    for word in plain.split(|c: char| !c.is_alphanumeric()) {
        let word = word.to_lowercase();
        if word.is_empty() || matches!(word.as_str(), "a" | "an" | "the") {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        // "No solutions" says what "no solution" does.
        let plural = word.len() > 4 && word.ends_with('s') && !word.ends_with("ss");
        out.push_str(if plural {
            &word[..word.len() - 1]
        } else {
            &word
        });
    }
    out
}

/// The text without its commands for type and layout.
pub(crate) fn unwrap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
                let name = &rest[..length];
                let style = matches!(
                    name,
                    "text"
                        | "mbox"
                        | "mathrm"
                        | "textbf"
                        | "textit"
                        | "textrm"
                        | "mathbf"
                        | "operatorname"
                        | "textnormal"
                        | "boxed"
                        | "fbox"
                        | "mathit"
                        | "mathsf"
                        | "textsf"
                        | "left"
                        | "right"
                        | "quad"
                        | "displaystyle"
                        | "hbox"
                        | "emph"
                        | "textup"
                        | "underline"
                );
                if style {
                    rest = &rest[length..];
                } else if length == 0 {
                    // `\ `, `\,`, `\!`, `\$`.
                    let skip = rest.chars().next().map_or(0, char::len_utf8);
                    let spacing = rest.starts_with([' ', ',', ';', ':']);
                    let norm = rest.starts_with('|');
                    rest = &rest[skip..];
                    if norm {
                        out.push_str("\\|");
                    }
                    if spacing {
                        out.push(' ');
                    }
                } else {
                    out.push('\\');
                }
            }
            '{' | '}' | '$' | '*' | '`' | '"' => {}
            '~' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// The formula that a phrase stands for.
pub(crate) fn formula_for(text: &str) -> Option<&'static str> {
    // Short phrases of letters only; anything else is no candidate.
    if text.len() > 40 || !text.contains(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    Some(match normal(text).as_str() {
        "all real number"
        | "all real"
        | "real number"
        | "set of all real number"
        | "set of real number" => "\\mathbb{R}",
        "positive integer" | "all positive integer" | "set of positive integer" => "\\mathbb{N}",
        "all rational number" | "set of rational number" | "set of all rational number" => {
            "\\mathbb{Q}"
        }
        "all complex number" | "set of complex number" => "\\mathbb{C}",
        "all integer" | "set of all integer" | "set of integer" => "\\mathbb{Z}",
        "empty set" | "null set" | "no solution" | "no real solution" => "\\emptyset",
        "negative infinity" | "minus infinity" => "-\\infty",
        "positive infinity" | "plus infinity" => "\\infty",
        _ => return None,
    })
}

/// Decides where text decides; `None` leaves it to formulas.
pub(crate) fn compare(gold: &str, prediction: &str, same: bool) -> Option<Verdict> {
    let (a, b) = (unwrap(gold), unwrap(prediction));
    let (a, b) = (a.trim(), b.trim());
    if let (Some(x), Some(y)) = (truth(a), truth(b)) {
        return Some(if x == y {
            Verdict::Equal("truth value")
        } else {
            Verdict::Different("truth value")
        });
    }
    if same {
        return None;
    }
    if let Some(wanted) = choice(a).or_else(|| choice(b).and_then(|_| spoken_choice(a)))
        && let Some(found) = choice(b).or_else(|| spoken_choice(b))
    {
        // Two bare letters may be variables; then case counts.
        let bare = |text: &str| text.len() == 1;
        if bare(a) && bare(b) && !a.starts_with(|c: char| c.is_ascii_uppercase()) {
            return None;
        }
        return Some(if wanted == found {
            Verdict::Equal("choice")
        } else {
            Verdict::Different("choice")
        });
    }
    times(a, b).or_else(|| labels(a, b)).or_else(|| prose(a, b))
}

/// Times of day against each other, and against what they are not.
fn times(a: &str, b: &str) -> Option<Verdict> {
    if let (Some(x), Some(y)) = (time(a), time(b)) {
        // A ratio would have been reduced: `3:45` is a time.
        let marked = x.1 || y.1 || x.2 || y.2 || !reduced(a);
        let afternoon = |time: (u32, bool, bool)| !time.1 && time.0 >= 13 * 3_600;
        // `22:30` says which half of the day it is in.
        let differ = if x.1 == y.1 || afternoon(x) || afternoon(y) {
            x.0 == y.0
        } else {
            x.0 % 43_200 == y.0 % 43_200
        };
        if marked || x.0 == y.0 {
            return Some(if differ {
                Verdict::Equal("time")
            } else {
                Verdict::Different("time")
            });
        }
    }
    // `3:30 PM` is no ratio, and so no fraction.
    let of_day = |text: &str| text.contains(':') && time(text).is_some_and(|found| found.1);
    if of_day(a) && time(b).is_none() || of_day(b) && time(a).is_none() {
        return Some(Verdict::Different("time"));
    }
    // `2:05` is a time, and no ratio with two digits for five.
    let padded = |text: &str| {
        time(text).is_some_and(|found| found.2)
            && text
                .rsplit(':')
                .next()
                .is_some_and(|part| part.starts_with('0'))
    };
    if a.contains(':')
        && b.contains(':')
        && (padded(a) && time(b).is_none() || padded(b) && time(a).is_none())
    {
        return Some(Verdict::Different("time"));
    }
    // `25:00` is no time, and `5:00` no ratio.
    let clock = |text: &str| {
        let (hours, minutes) = text.split_once(':').unwrap_or_default();
        let digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
        !hours.is_empty() && minutes.len() == 2 && digits(hours) && digits(minutes)
    };
    if clock(a) && clock(b) && a != b {
        for (text, found, other) in [(a, time(a), time(b)), (b, time(b), time(a))] {
            if found.is_some_and(|found| found.2 || !reduced(text)) && other.is_none() {
                return Some(Verdict::Different("time"));
            }
        }
    }
    None
}

/// Words, Roman numerals, and sentences with numbers in them.
fn prose(a: &str, b: &str) -> Option<Verdict> {
    let letters =
        |text: &str| text.chars().all(|c| c.is_ascii_alphabetic() || c == ' ') && !text.is_empty();
    if letters(a) && letters(b) && a == b {
        return Some(Verdict::Equal("text"));
    }
    if is_numerals(a) && is_numerals(b) {
        let only = |text: &str| text.trim().trim_end_matches("only").trim_end().to_owned();
        let (a, b) = (&only(a), &only(b));
        return Some(if normal(a) == normal(b) || same_list(a, b) {
            Verdict::Equal("text")
        } else {
            Verdict::Different("text")
        });
    }
    let missing = |text: &str| {
        matches!(
            normal(text).as_str(),
            "dne" | "does not exist" | "doesn t exist" | "limit does not exist"
        )
    };
    if missing(a) && missing(b) {
        return Some(Verdict::Equal("text"));
    }
    if is_words(a) && is_words(b) {
        let (x, y) = (normal(a), normal(b));
        if !x.is_empty() && (x == y || same_list(a, b)) {
            return Some(Verdict::Equal("text"));
        }
        if a.split_whitespace().any(|word| word.len() > 4)
            && b.split_whitespace().any(|word| word.len() > 4)
        {
            return Some(Verdict::Different("text"));
        }
    }
    // Prose with numbers in it; where a formula begins, text says nothing.
    let long_word = |text: &str| {
        text.split(|c: char| !c.is_alphabetic())
            .any(|word| word.len() > 3)
            && !text.contains(['\\', '^', '_', '=', '<', '>', '|', '/', '+', '*'])
    };
    if long_word(a) && long_word(b) {
        // Blanks part numbers, and say nothing elsewhere.
        let fold = |text: &str| {
            let lower = text.to_lowercase().replace(", ", " ");
            let mut out = String::with_capacity(lower.len());
            for word in lower.split_whitespace() {
                let digits = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
                if digits(out.chars().next_back()) && digits(word.chars().next()) {
                    out.push(' ');
                }
                out.extend(word.chars().filter(|c| !matches!(c, '\'' | '"')));
            }
            out
        };
        let (x, y) = (fold(a), fold(b));
        if x.trim_end_matches('.') == y.trim_end_matches('.') {
            return Some(Verdict::Equal("text"));
        }
    }
    None
}

/// `DACB` is an order, three points or a product of matrices: another order is another answer.
/// `D, A, C, B` gives the same one.
fn labels(a: &str, b: &str) -> Option<Verdict> {
    let word = |text: &str| text.len() > 1 && text.bytes().all(|c| c.is_ascii_uppercase());
    let list = |text: &str| {
        let parts: Vec<&str> = text
            .split([',', ' '])
            .map(|part| part.trim_matches(['(', ')']))
            .filter(|part| !part.is_empty() && !part.eq_ignore_ascii_case("and"))
            .collect();
        (parts.len() > 1 && parts.iter().all(|part| part.len() == 1))
            .then(|| parts.concat())
            .filter(|letters| word(letters))
    };
    if word(a) && word(b) {
        return (a.len() > 2 && b.len() > 2 && a != b).then_some(Verdict::Different("label"));
    }
    let (label, listed) = if word(a) {
        (a, list(b)?)
    } else if word(b) {
        (b, list(a)?)
    } else {
        return None;
    };
    (label == listed).then_some(Verdict::Equal("label"))
}

/// `Alice and Bob`, `Bob, Alice`: the same names, joined in the same sense.
fn same_list(a: &str, b: &str) -> bool {
    let members = |text: &str| {
        let lower = text.to_lowercase();
        let either = lower.split_whitespace().any(|word| word == "or");
        let mut names: Vec<String> = lower
            .split(',')
            .flat_map(|part| {
                part.split_whitespace()
                    .map(|word| if word == "or" { "and" } else { word })
                    .collect::<Vec<_>>()
                    .split(|word| *word == "and")
                    .map(|words| normal(&words.join(" ")))
                    .collect::<Vec<_>>()
            })
            .filter(|name| !name.is_empty())
            .collect();
        names.sort();
        (either, names)
    };
    let ((either, names), (other_either, others)) = (members(a), members(b));
    names.len() > 1 && names == others && either == other_either
}

/// `I, II and IV`: a list of Roman numerals, by which options are named.
fn is_numerals(text: &str) -> bool {
    let mut long = false;
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c == ',') {
        match word {
            "" | "and" | "or" | "only" => {}
            "I" | "V" | "X" => count += 1,
            "II" | "III" | "IV" | "VI" | "VII" | "VIII" => {
                count += 1;
                long = true;
            }
            _ => return false,
        }
    }
    long && count > 0
}

/// Letters, blanks and marks of prose only, with a word among them.
fn is_words(text: &str) -> bool {
    text.chars().all(|c| {
        c.is_alphabetic() || c.is_whitespace() || matches!(c, '-' | '\'' | '.' | ',' | '\u{2019}')
    }) && text
        .split(|c: char| !c.is_alphabetic())
        .any(|word| word.len() >= 3)
        && !text.contains('\\')
}

fn truth(text: &str) -> Option<bool> {
    match text
        .trim_matches(|c: char| !c.is_alphanumeric())
        .to_ascii_lowercase()
        .as_str()
    {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// `C`, `(C)`, `C.`, `C)`: a lone option letter.
pub(crate) fn choice(text: &str) -> Option<char> {
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
fn spoken_choice(text: &str) -> Option<char> {
    let text = text.trim();
    for prefix in [
        "option ", "choice ", "answer ", "Option ", "Choice ", "Answer ",
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return choice(rest).or_else(|| spoken_choice(rest));
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
pub(crate) fn after_choice(text: &str) -> Option<&str> {
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

/// Whether the parts of `a:b` have no common factor.
fn reduced(text: &str) -> bool {
    let parts: Vec<u32> = text
        .split(':')
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    let [mut a, mut b] = parts[..] else {
        return false;
    };
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

/// Seconds since midnight, whether am or pm was said, and whether it can only
/// be a time.
fn time(text: &str) -> Option<(u32, bool, bool)> {
    let lower = text.to_ascii_lowercase();
    let plain: String = lower
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '.')
        .collect();
    let (body, half) = if let Some(body) = plain.strip_suffix("am") {
        (body, Some(0))
    } else if let Some(body) = plain.strip_suffix("pm") {
        (body, Some(12))
    } else {
        (plain.as_str(), None)
    };
    let parts: Vec<&str> = body.split(':').collect();
    let min_parts = if half.is_some() { 1 } else { 2 };
    if parts.len() < min_parts || parts.len() > 3 {
        return None;
    }
    let mut numbers = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let width = if at == 0 { 1..=2 } else { 2..=2 };
        if !width.contains(&part.len()) || !part.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        numbers.push(part.parse::<u32>().ok()?);
    }
    let (mut hour, minute, second) = (
        numbers[0],
        numbers.get(1).copied().unwrap_or(0),
        numbers.get(2).copied().unwrap_or(0),
    );
    if hour > 24 || minute > 59 || second > 59 {
        return None;
    }
    if let Some(shift) = half {
        if hour > 12 || hour == 0 {
            return None;
        }
        hour = hour % 12 + shift;
    }
    // A leading zero in hours or minutes says that this is no ratio.
    let clock = parts
        .iter()
        .any(|part| part.len() == 2 && part.starts_with('0'))
        || parts.len() == 3;
    Some((hour * 3600 + minute * 60 + second, half.is_some(), clock))
}
