//! Truth values, and what `TheoremQA` makes of a stated answer.

use super::Found;
use super::region::Region;
use crate::rule::Clue;

/// Yes or no: in a tag or box, after "answer", else the last such word.
pub(super) fn yes_no(text: &str, region: &Region) -> Option<Found> {
    let found = region
        .tagged(text)
        .filter(|found| truth_in(&found.answer).is_some())
        .or_else(|| {
            super::boxed::find(text, region).filter(|found| truth_in(&found.answer).is_some())
        })
        .or_else(|| {
            super::phrase::find(text, region).filter(|found| truth_in(&found.answer).is_some())
        });
    if let Some(found) = found {
        let answer = if truth_in(&found.answer)? {
            "yes"
        } else {
            "no"
        };
        return Some(Found {
            answer: answer.to_owned(),
            ..found
        });
    }
    let body = region.text(text);
    let opening = body.trim_start();
    let lead = body.len() - opening.len();
    let first = opening
        .split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or("");
    let (value, span) = match (last_truth(body), truth(first)) {
        (_, Some(value)) => (value, lead..lead + first.len()),
        (Some((value, span)), None) => (value, span),
        (None, None) => return None,
    };
    let by = region.range.start;
    Some(Found {
        answer: if value { "yes" } else { "no" }.to_owned(),
        span: by + span.start..by + span.end,
        clue: Clue::TruthWord,
    })
}

fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

/// The first truth word, as a whole word.
fn truth_in(text: &str) -> Option<bool> {
    text.split(|c: char| !c.is_alphabetic()).find_map(truth)
}

fn last_truth(text: &str) -> Option<(bool, std::ops::Range<usize>)> {
    let mut end = text.len();
    for word in text.rsplit(|c: char| !c.is_alphabetic()) {
        let start = end - word.len();
        if let Some(value) = truth(word) {
            return Some((value, start..end));
        }
        end = text[..start]
            .char_indices()
            .next_back()
            .map_or(0, |(at, _)| at);
    }
    None
}

/// A text that ends on a truth word and states no other answer.
pub(super) fn lone_truth(text: &str, region: &Region) -> Option<Found> {
    let body = region.text(text);
    let line = body.trim_end().rsplit('\n').next().unwrap_or(body);
    let start = line.as_ptr() as usize - body.as_ptr() as usize;
    let (value, span) = last_truth(line)?;
    if line.bytes().any(|c| c.is_ascii_digit()) {
        return None;
    }
    let by = region.range.start + start;
    Some(Found {
        answer: if value { "True" } else { "False" }.to_owned(),
        span: by + span.start..by + span.end,
        clue: Clue::TruthWord,
    })
}

/// A stated answer as `TheoremQA` writes it.
pub(super) fn theorem_answer(answer: &str) -> String {
    let text = crate::compare::clean::clean(answer);
    let first = text
        .split(|c: char| !c.is_alphabetic())
        .find(|word| !word.is_empty())
        .unwrap_or("");
    if let Some(value) = truth(first) {
        return if value { "True" } else { "False" }.to_owned();
    }
    if let Some(option) = option(text) {
        return option;
    }
    // A list, brackets and all.
    if let Some(open) = text.find('[')
        && let Some(length) = text[open..].rfind(']')
        && text[..open]
            .chars()
            .all(|c| c.is_whitespace() || c == '=' || c.is_alphabetic())
    {
        return text[open..=open + length].to_owned();
    }
    if let Some(value) = truth_in(text)
        && !text.bytes().any(|c| c.is_ascii_digit())
    {
        return if value { "True" } else { "False" }.to_owned();
    }
    let text = text.rsplit_once('=').map_or(text, |(_, right)| right);
    let text = text
        .rsplit_once("\\approx")
        .map_or(text, |(_, right)| right);
    without_unit(text.trim())
}

/// `(a)`, `(b) a cat`, `a)`.
fn option(text: &str) -> Option<String> {
    let rest = text
        .strip_prefix("option ")
        .or_else(|| text.strip_prefix("Option "))
        .unwrap_or(text);
    let rest = rest.strip_prefix('(')?;
    let mut chars = rest.chars();
    let letter = chars
        .next()
        .filter(|c| ('a'..='f').contains(&c.to_ascii_lowercase()))?;
    chars
        .as_str()
        .starts_with(')')
        .then(|| format!("({})", letter.to_ascii_lowercase()))
}

/// A plain number without the unit behind it.
fn without_unit(text: &str) -> String {
    let hedged = ["approximately ", "about ", "roughly ", "around ", "nearly "]
        .iter()
        .find_map(|hedge| text.strip_prefix(hedge))
        .filter(|rest| rest.starts_with(|c: char| !c.is_alphabetic()));
    let text = hedged
        .unwrap_or(text)
        .trim_start_matches(['$', '€', '£'])
        .trim();
    let end = text
        .char_indices()
        .find(|(at, c)| {
            let sign = matches!(c, '-' | '+') && (*at == 0 || text[..*at].ends_with(['e', 'E']));
            let exponent = matches!(c, 'e' | 'E')
                && *at > 0
                && text[at + 1..]
                    .starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+'));
            !(c.is_ascii_digit() || matches!(c, '.' | ',') || sign || exponent)
        })
        .map_or(text.len(), |(at, _)| at);
    let (number, unit) = text.split_at(end);
    let digits = number.bytes().any(|c| c.is_ascii_digit());
    let unit = unit.trim();
    let is_unit = unit.starts_with(|c: char| c.is_alphabetic() || matches!(c, '%' | '\u{b0}'))
        && !unit.contains(['=', '+', '\\', '(', '*'])
        && unit.split_whitespace().count() <= 6
        || unit.starts_with("\\text")
        || unit.starts_with("\\,\\text")
        || unit.starts_with("\\mathrm")
        || unit.starts_with("\\ \\text");
    if digits && is_unit && !unit.starts_with('%') {
        return number.trim_end_matches(['.', ',']).to_owned();
    }
    text.to_owned()
}
