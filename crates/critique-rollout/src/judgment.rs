//! What a critique claims (docs/method.md, "The judgment"), and what of it the actor reads
//! (docs/method.md, "Prompts").

use critique_core::{Judgment, Refusal};

use crate::disguise;

const VERDICT: &str = "Correctness of the final answer";
const SCORE: &str = "Score";
const FIRST_STEP: &str = "Step sentence:";
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// Reads the verdict of a critique: that of its one `Correctness of the final answer:` line, or
/// [`Judgment::Unparsed`]; [`read_judgment`] says why.
pub fn parse_judgment(text: &str) -> Judgment {
    read_judgment(text).unwrap_or(Judgment::Unparsed)
}

/// Reads the verdict of a critique, or says why it has none.
///
/// A line counts when it starts with `Correctness of the final answer:`, markdown emphasis and
/// heading marks and blanks aside, in any case of ASCII letters. There must be exactly one such
/// line, and its value must be `Correct` or `Wrong`, with or without square brackets, emphasis and
/// a full stop. Another verdict that a reader would see all the same, such as one behind a list or
/// quote mark, in look-alike letters or in the middle of a line, must not contradict it; words in
/// quote marks and on a line that repeats a step are quotations.
///
/// # Errors
///
/// With the reason: no line, two lines (equal ones too), `Correctable`, `not Correct`,
/// `Correct/Wrong`, letters that only look like these.
///
/// ```
/// use critique_core::{Judgment, Refusal};
/// use critique_rollout::read_judgment;
///
/// let verdict = "Correctness of the final answer: Wrong";
/// assert_eq!(read_judgment(verdict), Ok(Judgment::Wrong));
/// let both = format!("{verdict}\n- Correctness of the final answer: Correct");
/// assert_eq!(read_judgment(&both), Err(Refusal::Several));
/// ```
pub fn read_judgment(text: &str) -> Result<Judgment, Refusal> {
    let value = only_value(text, VERDICT)?;
    let judgment = if value.eq_ignore_ascii_case("correct") {
        Judgment::Correct
    } else if value.eq_ignore_ascii_case("wrong") {
        Judgment::Wrong
    } else {
        return Err(disguise::why_no_verdict(value, VERDICT));
    };
    let agrees = |other: &str| other == value.to_ascii_lowercase();
    if disguise::claims(text, VERDICT, disguise::Place::Anywhere).all(|other| agrees(&other)) {
        Ok(judgment)
    } else {
        Err(Refusal::Several)
    }
}

/// Reads the score of a critique in an open-ended task, or [`Judgment::Unparsed`];
/// [`read_score`] says why.
pub fn parse_score(text: &str) -> Judgment {
    read_score(text).unwrap_or(Judgment::Unparsed)
}

/// Reads the score of a critique in an open-ended task: that of its one `Score:` line, a
/// decimal number from 1 to 10 with at most three decimals, with or without `/10` (appendix E of
/// the paper).
///
/// # Errors
///
/// With the reason, as [`read_judgment`]; another score at the start of a line, behind whatever
/// marks, must not contradict it.
pub fn read_score(text: &str) -> Result<Judgment, Refusal> {
    let value = only_value(text, SCORE)?;
    let score = score_of(value).ok_or_else(|| disguise::why_no_score(value))?;
    let agrees = |other: &str| other.parse::<f32>().is_ok_and(|other| other == score);
    if disguise::claims(text, SCORE, disguise::Place::Start).all(|other| agrees(&other)) {
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

/// The part of a critique that the actor is shown: from the first `Step sentence:` on, or
/// all of it where there is none.
pub fn critique_for_actor(text: &str) -> &str {
    text.find(FIRST_STEP).map_or(text, |start| &text[start..])
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
