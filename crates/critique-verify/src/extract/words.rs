//! Truth values, and what `TheoremQA` makes of a stated answer.

use std::ops::Range;

use super::Found;
use super::region::Region;
use crate::rule::Clue;

/// Yes or no: in a tag or box, after "answer", else the first word, else the last such word. Both
/// at once are neither.
pub(super) fn yes_no(text: &str, region: &Region) -> Option<Found> {
    let sources: [&dyn Fn() -> Option<Found>; 3] = [
        &|| region.tagged(text),
        &|| super::boxed::find(text, region),
        &|| super::phrase::find(text, region),
    ];
    for source in sources {
        let Some(found) = source() else { continue };
        let truths = truths(&found.answer);
        if let Some(first) = truths.iter().position(|truth| !truth.denied) {
            return value_of(&found.answer, &truths, first).map(|value| Found {
                answer: spelled(value).to_owned(),
                ..found
            });
        }
    }
    let body = region.text(text);
    let truths = truths(body);
    let opening = body.len() - body.trim_start().len();
    let chosen = match truths.first() {
        Some(first) if first.span.start == opening => 0,
        _ => truths.iter().rposition(|truth| !truth.denied)?,
    };
    let value = value_of(body, &truths, chosen)?;
    let (by, span) = (region.range.start, &truths[chosen].span);
    Some(Found {
        answer: spelled(value).to_owned(),
        span: by + span.start..by + span.end,
        clue: Clue::TruthWord,
    })
}

fn spelled(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// A truth word in a text.
struct Truth {
    value: bool,
    span: Range<usize>,
    /// "Not yes".
    denied: bool,
}

/// The truth words of a text, as whole words.
fn truths(text: &str) -> Vec<Truth> {
    let mut found = Vec::new();
    let mut start = 0;
    for word in text.split(|c: char| !c.is_alphabetic()) {
        let span = start..start + word.len();
        start = span.end + text[span.end..].chars().next().map_or(0, char::len_utf8);
        if let Some(value) = truth(word) {
            found.push(Truth {
                value,
                denied: super::denial::denies(&text[..span.start]),
                span,
            });
        }
    }
    found
}

/// The value of one truth word; `None` where its opposite stands beside it: "yes or no".
fn value_of(text: &str, truths: &[Truth], at: usize) -> Option<bool> {
    let joined = |a: &Truth, b: &Truth| {
        let between = text[a.span.end..b.span.start].trim().to_ascii_lowercase();
        a.value != b.value
            && matches!(
                between.trim_matches(','),
                "" | "or" | "and" | "/" | "&" | "and/or"
            )
    };
    let beside = at > 0 && joined(&truths[at - 1], &truths[at])
        || at + 1 < truths.len() && joined(&truths[at], &truths[at + 1]);
    (!beside).then(|| truths[at].value)
}

/// Whether a text claims both truth values.
pub(super) fn has_both(text: &str, region: &Region) -> bool {
    let truths = truths(region.text(text));
    [true, false].iter().all(|value| {
        truths
            .iter()
            .any(|truth| truth.value == *value && !truth.denied)
    })
}

/// Whether a word is a truth value.
pub(super) fn is_truth(word: &str) -> bool {
    truth(word).is_some()
}

fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" | "是" | "是的" | "对" | "正确" => Some(true),
        "no" | "false" | "否" | "不是" | "不对" | "错误" => Some(false),
        _ => None,
    }
}

/// The first truth word that nothing denies or opposes.
fn truth_in(text: &str) -> Option<bool> {
    let truths = truths(text);
    let first = truths.iter().position(|truth| !truth.denied)?;
    value_of(text, &truths, first)
}

fn last_truth(text: &str) -> Option<(bool, Range<usize>)> {
    let truths = truths(text);
    let last = truths.iter().rposition(|truth| !truth.denied)?;
    value_of(text, &truths, last).map(|value| (value, truths[last].span.clone()))
}

/// A text that ends on a truth word and states no other answer: in its last sentence, or else its
/// last line.
pub(super) fn lone_truth(text: &str, region: &Region) -> Option<Found> {
    let body = region.text(text);
    let end = body.trim_end().trim_end_matches(['.', '!', '*']).len();
    let line = body[..end].rfind('\n').map_or(0, |at| at + 1);
    let sentence = body[..end].rfind(". ").map_or(0, |at| at + 1).max(line);
    [sentence, line].into_iter().find_map(|start| {
        let part = &body[start..];
        let (value, span) = last_truth(part).or_else(|| denied_claim(part))?;
        let by = region.range.start + start;
        (!part.bytes().any(|c| c.is_ascii_digit())).then(|| Found {
            answer: if value { "True" } else { "False" }.to_owned(),
            span: by + span.start..by + span.end,
            clue: Clue::TruthWord,
        })
    })
}

/// "The statement is not true" says that it is false; of the answer itself it would say nothing.
fn denied_claim(line: &str) -> Option<(bool, Range<usize>)> {
    let lower = line.to_ascii_lowercase();
    let claims = [
        "is not ",
        "isn't ",
        "isn\u{2019}t ",
        "it's not ",
        "it\u{2019}s not ",
    ];
    let truths = truths(line);
    let [truth] = truths.as_slice() else {
        return None;
    };
    let before = &lower[..truth.span.start];
    let word = &lower[truth.span.clone()];
    let denied = claims.iter().any(|verb| before.ends_with(verb));
    (denied && matches!(word, "true" | "false") && !before.contains("answer"))
        .then(|| (!truth.value, truth.span.clone()))
}

/// An option by itself, or behind a phrase that chooses one: "The correct option is (c)."
pub(super) fn lone_option(text: &str, region: &Region) -> Option<Found> {
    let body = region.text(text);
    let lower = body.to_ascii_lowercase();
    let lead = body.len() - body.trim_start().len();
    let chosen = super::phrases::places(&lower, super::phrases::Rank::Choice)
        .last()
        .map(|(_, end)| {
            end + body[*end..].len() - body[*end..].trim_start_matches([':', ' ']).len()
        });
    [Some(lead), chosen]
        .into_iter()
        .flatten()
        .find_map(|start| {
            let rest = body[start..].trim_start_matches("is ");
            let from = body.len() - rest.len();
            let answer = option(rest)?;
            let alone = rest[3..].trim_matches(['.', ' ', '\n', '*']).is_empty();
            alone.then(|| Found {
                answer,
                span: region.range.start + from..region.range.start + from + 3,
                clue: Clue::MarkedLetter,
            })
        })
}

/// A stated answer as `TheoremQA` writes it.
pub(super) fn theorem_answer(answer: &str) -> String {
    let text = crate::compare::clean::clean(answer);
    let opens = text
        .split(|c: char| !c.is_alphabetic())
        .find(|word| !word.is_empty())
        .is_some_and(|first| truth(first).is_some());
    if opens && let Some(value) = truth_in(text) {
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
    let text = ["\\approx", "\u{2248}"].iter().fold(text, |text, sign| {
        text.rsplit_once(sign).map_or(text, |(_, right)| right)
    });
    without_unit(without_remark(text.trim()))
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

/// A number without the remark in brackets behind it: `0.5 (50%)`, `12 (years)`.
fn without_remark(text: &str) -> &str {
    let number = text.split_once(" (").map(|(number, _)| number);
    number
        .filter(|number| text.ends_with(')') && super::numbers::is_number(number.trim()))
        .unwrap_or(text)
}

/// The length of a power of ten behind a number: ` x 10^-19`, ` \times 10^{5}`.
fn power_length(rest: &str) -> usize {
    let trimmed = rest.trim_start();
    let Some(power) = ["x", "\u{d7}", "*", "\u{b7}", "\\times", "\\cdot"]
        .iter()
        .find_map(|sign| trimmed.strip_prefix(sign))
        .and_then(|factor| factor.trim_start().strip_prefix("10^"))
    else {
        return 0;
    };
    let sign = |c: char| matches!(c, '{' | '(' | '-' | '+' | '\u{2212}');
    let digits = power.trim_start_matches(sign);
    let after = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if after.len() == digits.len() {
        return 0;
    }
    let opened = power.starts_with(['{', '(']);
    let closed = after.strip_prefix(['}', ')']).filter(|_| opened);
    rest.len() - closed.unwrap_or(after).len()
}

/// What a text ends with that says there is no value: "Hence there is no solution."
pub(super) fn absence(text: &str, region: &Region) -> Option<Found> {
    const CLAIMS: [&str; 14] = [
        "no solution",
        "no solutions",
        "no real solution",
        "no real solutions",
        "no real root",
        "no real roots",
        "no integer solution",
        "no integer solutions",
        "no such integers",
        "no such integer",
        "infinitely many solutions",
        "does not exist",
        "undefined",
        "无解",
    ];
    let body = region.text(text);
    let end = body
        .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '!' | '*' | '\u{3002}'))
        .len();
    let said = &body[..end];
    let claim = CLAIMS
        .iter()
        .filter(|claim| super::denial::ends_with_word(&said.to_ascii_lowercase(), claim))
        .max_by_key(|claim| claim.len())?;
    let sentence = &said[said.rfind(['\n', '.', '!']).map_or(0, |at| at + 1)..];
    if is_conditional(sentence) {
        return None;
    }
    let start = region.range.start + end - claim.len();
    Some(Found::of(text, start..start + claim.len(), Clue::Stated))
}

/// "Otherwise there is no solution" speaks of one case; "is it true that .." of none.
fn is_conditional(sentence: &str) -> bool {
    const OPENERS: [&str; 7] = ["otherwise", "if", "when", "unless", "suppose", "is", "does"];
    let lower = sentence.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphabetic()).collect();
    let first = words.iter().find(|word| !word.is_empty());
    first.is_some_and(|word| OPENERS.contains(word))
        || words
            .iter()
            .any(|word| matches!(*word, "if" | "not" | "never" | "might"))
            && !lower.ends_with("does not exist")
}

/// The word in bold type that a text without formulas and numbers ends with: "it is **October**."
pub(super) fn last_bold(text: &str, region: &Region) -> Option<Found> {
    const LONGEST: usize = 40;
    let body = region.text(text);
    let inner_end = body
        .trim_end()
        .trim_end_matches('.')
        .strip_suffix("**")?
        .len();
    let open = body[..inner_end].rfind("**")?;
    let word = body[open + 2..inner_end].trim_end_matches('.');
    let told = ["is ", "was ", "are "]
        .iter()
        .any(|verb| body[..open].ends_with(verb));
    let plain = word
        .chars()
        .all(|c| c.is_alphabetic() || c == ' ' || c == '-');
    let span = region.range.start + open + 2;
    (told && plain && !word.is_empty() && word.len() <= LONGEST)
        .then(|| Found::of(text, span..span + word.len(), Clue::Stated))
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
    let (number, unit) = text.split_at(end + power_length(&text[end..]));
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
