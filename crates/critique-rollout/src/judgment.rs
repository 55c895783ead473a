//! What a critique claims (docs/method.md, "The judgment"), and what of it the actor reads
//! (docs/method.md, "Prompts").

use critique_core::Judgment;

const VERDICT: &str = "Correctness of the final answer";
const SCORE: &str = "Score";
const FIRST_STEP: &str = "Step sentence:";
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// Reads the verdict of a critique: that of its one `Correctness of the final answer:` line.
///
/// A line counts when it starts with these words, markdown emphasis and heading marks and
/// blanks aside, in any case of ASCII letters; words inside a line are a quotation. There
/// must be exactly one such line, and its value must be `Correct` or `Wrong`, with or without
/// square brackets, emphasis and a full stop. Anything else is [`Judgment::Unparsed`]: no line,
/// two lines (equal ones too), `Correctable`, `not Correct`, `Correct/Wrong`, letters that
/// only look like these.
pub fn parse_judgment(text: &str) -> Judgment {
    match only_value(text, VERDICT) {
        Some(value) if value.eq_ignore_ascii_case("correct") => Judgment::Correct,
        Some(value) if value.eq_ignore_ascii_case("wrong") => Judgment::Wrong,
        _ => Judgment::Unparsed,
    }
}

/// Reads the score of a critique in an open-ended task: that of its one `Score:` line, a
/// decimal number from 1 to 10, with or without `/10` (appendix E of the paper).
pub fn parse_score(text: &str) -> Judgment {
    let number = only_value(text, SCORE)
        .map(|value| {
            value
                .strip_suffix("/10")
                .unwrap_or(value)
                .trim_matches(BLANKS)
        })
        .filter(|value| value.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        .and_then(|value| value.parse::<f32>().ok())
        .filter(|score| (1.0..=10.0).contains(score));
    number.map_or(Judgment::Unparsed, Judgment::Score)
}

/// The part of a critique that the actor is shown: from the first `Step sentence:` on, or
/// all of it where there is none.
pub fn critique_for_actor(text: &str) -> &str {
    text.find(FIRST_STEP).map_or(text, |start| &text[start..])
}

/// The value of the only line that starts with `label:`; none where there are none or several.
fn only_value<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let mut values = text.split('\n').filter_map(|line| value_of(line, label));
    let value = values.next()?;
    values.next().is_none().then_some(value)
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
