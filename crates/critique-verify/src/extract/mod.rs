//! Finding the answer in a response, by kind of task.

mod around;
mod boxed;
mod chain;
mod choice;
mod denial;
mod formula;
mod letters;
mod numbers;
mod phrase;
mod phrases;
mod region;
mod remark;
mod words;

use crate::rule::Clue;
use std::ops::Range;

use crate::options::{Extracted, Kind};
use crate::seen::is_hidden;
use region::Region;

/// An answer's place and text before it is cleaned.
#[derive(Debug, Clone)]
struct Found {
    answer: String,
    span: Range<usize>,
    clue: Clue,
}

impl Found {
    fn of(text: &str, span: Range<usize>, clue: Clue) -> Self {
        Self {
            answer: text[span.clone()].to_owned(),
            span,
            clue,
        }
    }
}

/// Finds the answer in `text` by the rules of a task kind.
///
/// Linear in the length of the text; of a text over 1 MiB the end is read.
///
/// ```
/// use critique_verify::{Clue, Kind, extract};
///
/// let found = extract("Each gets 7.\n#### 1,350", Kind::Gsm8k).unwrap();
/// assert_eq!(found.answer, "1350");
/// assert_eq!(found.clue, Clue::HashMark);
/// ```
#[must_use]
pub fn extract(text: &str, kind: Kind) -> Option<Extracted> {
    let region = Region::of(text)?;
    finish(text, look(text, &region, kind)?, kind)
}

fn look(text: &str, region: &Region, kind: Kind) -> Option<Found> {
    match kind {
        Kind::Math => math(text, region),
        Kind::Gsm8k => number(text, region),
        Kind::Aqua | Kind::MultipleChoice => {
            choice::choose(text, region, last_option(kind)).found()
        }
        Kind::TheoremQa => theorem(text, region),
        Kind::YesNo => words::yes_no(text, region),
    }
}

/// The last letter that is an option where nothing says how many there are.
fn last_option(kind: Kind) -> char {
    if kind == Kind::Aqua { 'E' } else { 'J' }
}

/// What became of looking for an answer; for `oddity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// An answer, cleaned.
    Found(String),
    /// Several options or truth values, of which none is chosen.
    Several,
    /// A box or a thought that never ends.
    Unfinished,
    /// Characters that nobody sees in an answer.
    Hidden,
    /// None of these.
    Nothing,
}

/// Looks for an answer as [`extract`] does, and says why there is none.
pub(crate) fn attempt(text: &str, kind: Kind) -> Attempt {
    let Some(region) = Region::of(text) else {
        return Attempt::Unfinished;
    };
    if let Some(found) = look(text, &region, kind) {
        let empty = tidy(&found.answer, kind).is_empty();
        return match finish(text, found, kind) {
            Some(extracted) => Attempt::Found(extracted.answer),
            None if empty => Attempt::Nothing,
            None => Attempt::Hidden,
        };
    }
    if boxed::any(text, &region) && boxed::find(text, &region).is_none() {
        return Attempt::Unfinished;
    }
    let several = match kind {
        Kind::Aqua | Kind::MultipleChoice => {
            choice::choose(text, &region, last_option(kind)).is_hedge()
        }
        Kind::YesNo | Kind::TheoremQa => words::has_both(text, &region),
        _ => false,
    };
    if several {
        Attempt::Several
    } else {
        Attempt::Nothing
    }
}

/// Whether an answer is several, side by side and not in brackets: `5, 6`, `A or B`, `5 6`.
pub(crate) fn is_list(answer: &str) -> bool {
    if numbers::is_number(answer) {
        return false;
    }
    let mut depth = 0_i32;
    let flat: String = answer
        .chars()
        .map(|c| {
            depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
            if depth > 0 { '(' } else { c }
        })
        .collect();
    let flat = flat.replace(" or ", ",").replace(" and ", ",");
    let parts: Vec<&str> = flat
        .split([',', ';', '/', ' '])
        .map(|part| part.trim_matches(['$', '.', '*']))
        .filter(|part| !part.is_empty())
        .collect();
    let is_value =
        |part: &&str| numbers::is_number(part) || words::is_truth(part) || part.len() == 1;
    let slashed = flat.contains('/') && parts.iter().any(|part| numbers::is_number(part));
    parts.len() > 1 && !slashed && parts.iter().all(is_value)
}

/// A text without the words that deny what it says.
pub(crate) fn affirmed(text: &str) -> String {
    denial::affirmed(text)
}

/// Finds the chosen option where the question has them from `A` to `last`, at most `Z`.
///
/// [`extract`] looks for five options in [`Kind::Aqua`] and for ten in [`Kind::MultipleChoice`].
///
/// ```
/// use critique_verify::{Kind, extract, extract_option};
///
/// let text = "The answer is (M).";
/// assert_eq!(extract_option(text, 'P').unwrap().answer, "M");
/// assert!(extract(text, Kind::MultipleChoice).is_none());
/// ```
#[must_use]
pub fn extract_option(text: &str, last: char) -> Option<Extracted> {
    let region = Region::of(text)?;
    let found = choice::choose(text, &region, last.clamp('A', 'Z')).found()?;
    finish(text, found, Kind::MultipleChoice)
}

/// What was found as an answer; `None` where a character stands there that nobody sees.
fn finish(text: &str, found: Found, kind: Kind) -> Option<Extracted> {
    let answer = tidy(&found.answer, kind);
    if answer.is_empty() || hides(text, &found.span) || answer.contains(is_hidden) {
        return None;
    }
    Some(Extracted {
        answer,
        span: found.span,
        clue: found.clue,
    })
}

/// Whether a hidden character stands in a span or right beside it.
fn hides(text: &str, span: &Range<usize>) -> bool {
    // A byte order mark at the start of a text belongs to its file.
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let before = text[..span.start.max(mark)][mark..].chars().next_back();
    let after = text[span.end.max(mark)..].chars().next();
    text[span.start.max(mark)..span.end.max(mark)].contains(is_hidden)
        || before.into_iter().chain(after).any(is_hidden)
}

/// An answer of no known kind, looked for by the look of the gold one.
pub(crate) fn guided(gold: &str, text: &str) -> Option<Extracted> {
    let gold = crate::compare::clean::unwrap(crate::compare::clean::clean(gold));
    let gold = gold.trim();
    let lower = gold.to_ascii_lowercase();
    if matches!(lower.as_str(), "yes" | "no" | "true" | "false")
        && let Some(found) = extract(text, Kind::YesNo)
    {
        return Some(found);
    }
    let option = crate::compare::choices::letter(gold).is_some()
        && (gold.len() > 1 || gold.starts_with(|c: char| c.is_ascii_uppercase()));
    if option {
        let region = Region::of(text)?;
        if boxed::find(text, &region).is_none()
            && let Some(found) = extract(text, Kind::MultipleChoice)
        {
            return Some(found);
        }
    }
    extract(text, Kind::Math)
}

/// Box, stated answer, whole text, last formula or number.
fn math(text: &str, region: &Region) -> Option<Found> {
    if let Some(found) = region.tagged(text) {
        return Some(found);
    }
    if boxed::any(text, region) {
        return boxed::find(text, region);
    }
    phrase::find(text, region)
        .map(|found| once(text, found))
        .or_else(|| numbers::hash_mark(text, region))
        .or_else(|| formula::whole(text, region))
        .or_else(|| words::absence(text, region))
        .or_else(|| formula::last(text, region).map(|found| once(text, found)))
        .or_else(|| words::last_bold(text, region))
}

/// One answer that is given in two forms, "1/2 or 0.5", in the last of them.
fn once(text: &str, found: Found) -> Found {
    if !text[found.span.clone()].contains("or ") {
        return found;
    }
    let list = found.answer.replace(" or ", ", ");
    let parts: Vec<&str> = list.split(", ").map(str::trim).collect();
    if parts.len() != 2 {
        return found;
    }
    match boxed::distinct(parts.into_iter()).as_slice() {
        [only] => Found {
            answer: (*only).to_owned(),
            ..found
        },
        _ => found,
    }
}

/// One number: hash mark, then a stated answer or a box, then the last number.
fn number(text: &str, region: &Region) -> Option<Found> {
    if let Some(found) = region.tagged(text)
        && let Some(number) = numbers::stated(&found.answer)
    {
        return Some(Found {
            answer: number,
            ..found
        });
    }
    if let Some(found) = numbers::hash_mark(text, region) {
        return Some(found);
    }
    let stated = phrase::find(text, region).and_then(|found| {
        if denial::is_bound(&found.answer) {
            return Some(found);
        }
        let number = numbers::stated(&found.answer)?;
        Some(Found {
            answer: number,
            ..found
        })
    });
    let boxed = boxed::find(text, region).and_then(|found| {
        let number = numbers::boxed(&found.answer)?;
        Some(Found {
            answer: number,
            ..found
        })
    });
    match (stated, boxed) {
        (Some(stated), Some(boxed)) if boxed.span.end > stated.span.start => Some(boxed),
        (Some(stated), _) => Some(stated),
        (None, Some(boxed)) => Some(boxed),
        (None, None) => numbers::last_number(text, region),
    }
}

/// A truth value, an option, a list or a number.
fn theorem(text: &str, region: &Region) -> Option<Found> {
    let found = region
        .tagged(text)
        .or_else(|| phrase::first_of_run(text, region))
        .or_else(|| boxed::find(text, region))
        .or_else(|| words::lone_option(text, region))
        .or_else(|| words::lone_truth(text, region))
        .or_else(|| formula::last(text, region))?;
    Some(Found {
        answer: words::theorem_answer(&found.answer),
        ..found
    })
}

/// Drops the marks around an answer.
fn tidy(answer: &str, kind: Kind) -> String {
    let cleaned = crate::compare::clean::clean(answer);
    match kind {
        Kind::Gsm8k => numbers::plain_number(cleaned),
        _ => cleaned.trim_end_matches(['*', '/']).trim().to_owned(),
    }
}
