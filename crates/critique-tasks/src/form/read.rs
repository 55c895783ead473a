//! What a critique claims (docs/method.md, "The judgment").

use critique_core::{Judgment, Refusal};

use super::{CritiqueForm, disguise, label};

const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// The verdict of a critique: see [`CritiqueForm::read`].
pub(super) fn verdict(text: &str) -> Result<Judgment, Refusal> {
    let words = without_colon(CritiqueForm::VERDICT);
    let value = only_value(text, words)?;
    let judgment = if value.eq_ignore_ascii_case(CritiqueForm::CORRECT) {
        Judgment::Correct
    } else if value.eq_ignore_ascii_case(CritiqueForm::WRONG) {
        Judgment::Wrong
    } else {
        return Err(disguise::why_no_verdict(value, words));
    };
    let agrees = |other: &str| other == value.to_ascii_lowercase();
    if disguise::claims(text, words, disguise::Place::Anywhere).all(|other| agrees(&other)) {
        Ok(judgment)
    } else {
        Err(Refusal::Several)
    }
}

/// The score of a critique in an open-ended task: see [`CritiqueForm::read`].
pub(super) fn score(text: &str) -> Result<Judgment, Refusal> {
    let word = without_colon(CritiqueForm::SCORE);
    let value = only_value(text, word)?;
    let score = score_of(value).ok_or_else(|| disguise::why_no_score(value))?;
    let agrees = |other: &str| other.parse::<f32>().is_ok_and(|other| other == score);
    if disguise::claims(text, word, disguise::Place::Start).all(|other| agrees(&other)) {
        Ok(Judgment::Score(score))
    } else {
        Err(Refusal::Several)
    }
}

fn score_of(value: &str) -> Option<f32> {
    let number = value
        .strip_suffix("/10")
        .unwrap_or(value)
        .trim_matches(BLANKS);
    let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let decimals = number.split_once('.').map_or(0, |(_, part)| part.len());
    let score = number.parse::<f32>().ok()?;
    (digits && decimals <= 3 && (1.0..=10.0).contains(&score)).then_some(score)
}

/// A phrase as a reader may see it with marks between its words and its colon.
fn without_colon(phrase: &'static str) -> &'static str {
    label(phrase).trim_end_matches(':')
}

/// The value of the only line that starts with `label:`.
fn only_value<'a>(text: &'a str, label: &'static str) -> Result<&'a str, Refusal> {
    let mut values = text.split('\n').filter_map(|line| value_of(line, label));
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        (Some(_), Some(_)) => Err(Refusal::Several),
        (None, _) => Err(disguise::why_no_line(text, label)),
    }
}

/// What follows `label:` at the start of a line, without its wrapping.
fn value_of<'a>(line: &'a str, label: &str) -> Option<&'a str> {
    let line = line.trim_start_matches([' ', '\t', '\r', '*', '_', '#']);
    let head = line.get(..label.len())?;
    if !head.eq_ignore_ascii_case(label) {
        return None;
    }
    let value = trim_emphasis(&line[label.len()..]).strip_prefix(':')?;
    let value = trim_emphasis(value);
    let value = trim_emphasis(value.strip_suffix('.').unwrap_or(value));
    let inner = value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .map(trim_emphasis);
    Some(inner.unwrap_or(value))
}

fn trim_emphasis(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '*', '_'])
}
