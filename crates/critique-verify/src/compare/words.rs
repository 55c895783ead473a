//! Words: truth values, phrases for sets, names and labels, sentences.

use super::clean::unwrap;
use crate::rule::Rule;
use crate::verdict::Verdict;

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

/// Yes and no, true and false.
pub(super) fn truth_values(a: &str, b: &str) -> Option<Verdict> {
    Some(Verdict::of(truth(a)? == truth(b)?, Rule::TruthValue))
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

/// Words, Roman numerals, and sentences with numbers in them.
pub(super) fn prose(a: &str, b: &str) -> Option<Verdict> {
    let letters =
        |text: &str| text.chars().all(|c| c.is_ascii_alphabetic() || c == ' ') && !text.is_empty();
    if letters(a) && letters(b) && a == b {
        return Some(Verdict::Equal(Rule::Text));
    }
    if is_numerals(a) && is_numerals(b) {
        let only = |text: &str| text.trim().trim_end_matches("only").trim_end().to_owned();
        let (a, b) = (&only(a), &only(b));
        return Some(if normal(a) == normal(b) || same_list(a, b) {
            Verdict::Equal(Rule::Text)
        } else {
            Verdict::Different(Rule::Text)
        });
    }
    let missing = |text: &str| {
        matches!(
            normal(text).as_str(),
            "dne" | "does not exist" | "doesn t exist" | "limit does not exist"
        )
    };
    if missing(a) && missing(b) {
        return Some(Verdict::Equal(Rule::Text));
    }
    if is_words(a) && is_words(b) {
        let (x, y) = (normal(a), normal(b));
        if !x.is_empty() && (x == y || same_list(a, b)) {
            return Some(Verdict::Equal(Rule::Text));
        }
        if a.split_whitespace().any(|word| word.len() > 4)
            && b.split_whitespace().any(|word| word.len() > 4)
        {
            return Some(Verdict::Different(Rule::Text));
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
            return Some(Verdict::Equal(Rule::Text));
        }
    }
    None
}

/// `DACB` is an order, three points or a product of matrices: another order is another answer.
/// `D, A, C, B` gives the same one.
pub(super) fn labels(a: &str, b: &str) -> Option<Verdict> {
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
        return (a.len() > 2 && b.len() > 2 && a != b).then_some(Verdict::Different(Rule::Label));
    }
    let (label, listed) = if word(a) {
        (a, list(b)?)
    } else if word(b) {
        (b, list(a)?)
    } else {
        return None;
    };
    (label == listed).then_some(Verdict::Equal(Rule::Label))
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
