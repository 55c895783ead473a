//! Numbers in prose: signs, currency, groups, exponents, and what they are a part of.

use std::ops::Range;

use super::region::Region;
use super::{Found, around, chain, denial, remark};
use crate::rule::Clue;

/// Most numbers read of a list.
const MAX_LISTED: usize = 32;

/// A number's place and its cleaned digits.
pub(super) struct Number {
    pub(super) span: Range<usize>,
    pub(super) digits: String,
}

/// The number after the last `####`.
pub(super) fn hash_mark(text: &str, region: &Region) -> Option<Found> {
    let body = region.text(text);
    let mark = body.rfind("####")? + 4;
    let rest = &body[mark..];
    let line = rest.split('\n').next().unwrap_or(rest);
    let claim = denial::claim(line)?;
    let line = &line[..claim + denial::end_of_claim(&line[claim..])];
    let lead = line.len()
        - line[claim..]
            .trim_start_matches([' ', '$', '*', ':', '\\', '€', '£', '(', '[', '{', '#'])
            .len();
    let number = number_at(line, lead)?;
    if denial::finds_fault(&line[number.span.end..]) {
        return None;
    }
    let start = region.range.start + mark;
    let (answer, span) = several(line, &number).unwrap_or_else(|| in_context(line, lead, number));
    Some(Found {
        answer,
        span: start + span.start..start + span.end,
        clue: Clue::HashMark,
    })
}

/// `5 or 6`, `5, 6`, `5 6`: all of it, since no one of them is the answer.
fn several(line: &str, first: &Number) -> Option<(String, Range<usize>)> {
    if let Some(list) = list_of_numbers(&line[first.span.start..]) {
        return Some((list, first.span.start..line.len()));
    }
    let rest = line[first.span.end..].trim_start_matches([' ', '$']);
    let next = number_at(rest, 0).filter(|_| line[first.span.end..].starts_with(' '))?;
    // `1 1/2` is one number, and so is `12 345`.
    let fraction = rest[next.span.end..].starts_with('/');
    let group = next.digits.len() == 3;
    (!fraction && !group).then(|| {
        let all = line[first.span.start..].trim();
        (
            all.to_owned(),
            first.span.start..first.span.start + all.len(),
        )
    })
}

/// The last number anywhere that no one denies.
pub(super) fn last_number(text: &str, region: &Region) -> Option<Found> {
    let body = remark::without_closing(region.text(text));
    let number = last_affirmed(body)?;
    let (answer, span) = alternatives(body, &number).unwrap_or_else(|| in_context(body, 0, number));
    let by = region.range.start;
    Some(Found {
        answer,
        span: span.start + by..span.end + by,
        clue: Clue::LastNumber,
    })
}

/// The last number that is neither denied before nor behind it.
fn last_affirmed(body: &str) -> Option<Number> {
    let mut end = body.len();
    loop {
        let number = last_number_in(&body[..end])?;
        let (before, after) = (&body[..number.span.start], &body[number.span.end..]);
        let aside = (is_adjective(after) || is_labelled(before))
            && last_number_in(sentence_before(before)).is_some();
        end = match remark::circumstance(before) {
            Some(start) => start,
            None if aside || denial::denies(before) || denial::finds_fault(after) => {
                number.span.start
            }
            None => return Some(number),
        };
    }
}

/// `120-gallon`: the number says which tank, not how many.
fn is_adjective(after: &str) -> bool {
    after
        .strip_prefix('-')
        .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// `day 3`, `step 2`: the number says which one.
fn is_labelled(before: &str) -> bool {
    const LABELS: [&str; 8] = [
        "day", "week", "step", "part", "chapter", "question", "problem", "case",
    ];
    const REACH: usize = 20;
    let from = before.floor_char_boundary(before.len().saturating_sub(REACH));
    let words = before[from..].to_ascii_lowercase();
    words.strip_suffix(' ').is_some_and(|words| {
        LABELS
            .iter()
            .any(|label| denial::ends_with_word(words, label))
    })
}

/// The sentence that goes on behind a text, as far as it stands before.
fn sentence_before(before: &str) -> &str {
    let start = before
        .rfind('\n')
        .max(before.rfind(". "))
        .map_or(0, |at| at + 1);
    &before[start..]
}

/// "9 or 10", "between 9 and 10" at the end: neither alone.
fn alternatives(text: &str, last: &Number) -> Option<(String, Range<usize>)> {
    let before = &text[..last.span.start];
    let (head, opener) = [
        (" or ", None),
        (" and ", Some("between")),
        (" to ", Some("from")),
    ]
    .into_iter()
    .find_map(|(joint, opener)| Some((before.strip_suffix(joint)?, opener)))?;
    let head = head.trim_end_matches(',');
    if !head.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let first = last_number_in(head).filter(|first| first.span.end == head.len())?;
    // `1.2Y / 1.2 or 160`
    if around::formula(head, 0, first.span.clone()).is_some() {
        return None;
    }
    let opened = head[..first.span.start].trim_end_matches([' ', '$']);
    if opener.is_some_and(|opener| !opened.ends_with(opener)) {
        return None;
    }
    let answer = format!("{}, {}", first.digits, last.digits);
    Some((answer, first.span.start..last.span.end))
}

/// A number, or the formula, ratio or time that it is a part of.
fn in_context(text: &str, from: usize, number: Number) -> (String, Range<usize>) {
    const EITHER_SIGN: char = '\u{b1}';
    if text[..number.span.start].ends_with(EITHER_SIGN) {
        let span = number.span.start - EITHER_SIGN.len_utf8()..number.span.end;
        return (format!("{EITHER_SIGN}{}", number.digits), span);
    }
    let formula =
        around::formula(text, from, number.span.clone()).or_else(|| ratio(text, &number.span));
    match formula.map(|span| signed(text, from, span)) {
        Some(span) => (text[span.clone()].replace("\\$", "").replace('$', ""), span),
        None => (number.digits, number.span),
    }
}

/// `2:1`, `10:30`.
fn ratio(text: &str, number: &Range<usize>) -> Option<Range<usize>> {
    let part = |c: char| c.is_ascii_digit() || c == ':';
    let start = text[..number.start].trim_end_matches(part).len();
    let end = text.len() - text[number.end..].trim_start_matches(part).len();
    let run = &text[start..end];
    let inner = run.trim_matches(':');
    let start = start + (run.len() - run.trim_start_matches(':').len());
    inner.contains(':').then(|| start..start + inner.len())
}

/// What stands in a box: as [`stated`], but anything more than a number with
/// its unit is given as it is.
pub(super) fn boxed(answer: &str) -> Option<String> {
    let has_digits = |text: &str| text.bytes().any(|c| c.is_ascii_digit());
    let digits = has_digits(answer);
    let side = last_side(answer).filter(|side| has_digits(side));
    if side.is_some_and(|side| assigns_before(&answer[..answer.len() - side.len() - 1])) {
        return Some(answer.to_owned());
    }
    let answer = side.unwrap_or(answer);
    let formula = answer.trim_end().ends_with('!')
        || answer.contains(['<', '>', '[', ';', '|'])
        || around::has_command(answer);
    if digits && formula {
        return Some(answer.to_owned());
    }
    stated(answer).or_else(|| digits.then(|| answer.to_owned()))
}

/// A stated answer with `10 000` and its like, three digits a group, as one number.
fn without_blank_groups(text: &str) -> Option<String> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let groups = text[start..]
        .trim_end_matches(|c: char| !c.is_ascii_digit())
        .split([' ', '\u{a0}', '\u{2009}', '\u{202f}']);
    let mut digits = String::new();
    for (at, group) in groups.enumerate() {
        let fits = if at == 0 {
            group.len() <= 3
        } else {
            group.len() == 3
        };
        if !fits || !group.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        digits.push_str(group);
    }
    (digits.len() > 3).then(|| format!("{}{digits}", &text[..start]))
}

/// The first number of a stated answer, or the one after its last `=`; a
/// number in a formula is none, and the formula is given.
pub(super) fn stated(answer: &str) -> Option<String> {
    let cleaned = answer
        .replace("\\!", "")
        .replace("{,}", ",")
        .replace("\\,", "")
        .replace("\\$", "$");
    if let Some(number) = without_blank_groups(&cleaned) {
        return first_number(&number);
    }
    // Fractions stay formulas.
    if cleaned.contains("\\frac") || cleaned.contains("\\dfrac") {
        return Some(cleaned);
    }
    if let Some(list) = list_of_numbers(&crate::compare::clean::unwrap(&cleaned)) {
        return Some(list);
    }
    last_side(&cleaned)
        .and_then(first_number)
        .or_else(|| first_number(&cleaned))
}

/// Whether another assignment ends before the last: `x = 9, y` of `x = 9, y = 10`.
fn assigns_before(head: &str) -> bool {
    head.split_once('=').is_some_and(|(_, after)| {
        [", ", "; ", " and ", " or ", ",\\", "{and", "{or"]
            .iter()
            .any(|mark| after.contains(mark))
    })
}

/// What stands after the last `=` that is in no group.
fn last_side(text: &str) -> Option<&str> {
    let mut depth = 0_i32;
    for (at, c) in text.bytes().enumerate().rev() {
        match c {
            b'}' => depth += 1,
            b'{' => depth -= 1,
            b'=' if depth == 0 => return Some(&text[at + 1..]),
            _ => {}
        }
    }
    None
}

/// The length of what joins two alternatives, such as `, `, ` or maybe `, ` (or `; 0 where nothing
/// does.
fn joint(text: &str) -> usize {
    let mut rest = text;
    let mut joins = false;
    loop {
        let trimmed = rest.trim_start_matches([' ', '(', '$']);
        let marked = trimmed.trim_start_matches([',', ';', '&', '|', '?']);
        let length = marked
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(marked.len());
        let joiner = matches!(&marked[..length], "or" | "and" | "to" | "vs" | "versus");
        let hedge = matches!(
            &marked[..length],
            "maybe" | "possibly" | "perhaps" | "either" | "else" | "even"
        );
        joins |= joiner || marked.len() < trimmed.len();
        let next = if joiner || hedge {
            &marked[length..]
        } else {
            marked
        };
        if next.len() == rest.len() {
            return if joins { text.len() - rest.len() } else { 0 };
        }
        rest = next;
    }
}

/// `9, 10`, `9 or 10`: the first number is not the answer, both are.
fn list_of_numbers(text: &str) -> Option<String> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let start = sign_before(text, start);
    let mut end = number_at(text, start)?.span.end;
    let mut parts = vec![&text[start..end]];
    while parts.len() < MAX_LISTED {
        let rest = &text[end..];
        let after = &rest[joint(rest)..];
        let Some(number) = number_at(after, 0).filter(|_| after.len() < rest.len()) else {
            break;
        };
        parts.push(&after[..number.span.end]);
        end = text.len() - after.len() + number.span.end;
    }
    (parts.len() > 1).then(|| parts.join(", "))
}

fn first_number(text: &str) -> Option<String> {
    let mut at = 0;
    while at < text.len() {
        if let Some(number) = number_at(text, at)
            && free_before(text, number.span.start)
        {
            return Some(in_context(text, 0, number).0);
        }
        at += text[at..].chars().next().map_or(1, char::len_utf8);
    }
    None
}

pub(super) fn last_number_in(text: &str) -> Option<Number> {
    let bytes = text.as_bytes();
    let mut end = text.len();
    while end > 0 {
        if !bytes[end - 1].is_ascii_digit() {
            end -= 1;
            continue;
        }
        // Back to where the number starts.
        let mut start = end - 1;
        while start > 0 {
            let c = bytes[start - 1];
            let joined =
                matches!(c, b',' | b'.') && start >= 2 && bytes[start - 2].is_ascii_digit()
                    || c == b'.' && (start < 2 || bytes[start - 2].is_ascii_whitespace());
            if !c.is_ascii_digit() && !joined {
                break;
            }
            start -= 1;
        }
        if free_before(text, start) {
            let signed = sign_before(text, start);
            if let Some(number) = number_at(text, signed)
                && number.span.end >= end
            {
                return Some(number);
            }
            // A run such as `1,2,3`: its last number.
            let cut = text[start..end]
                .rfind([',', '.'])
                .map_or(start, |at| start + at + 1);
            if let Some(number) = number_at(text, cut) {
                return Some(number);
            }
        }
        end = start;
    }
    None
}

/// Not inside a word: `AB2` holds no number.
pub(super) fn free_before(text: &str, start: usize) -> bool {
    let mut before = text[..start]
        .chars()
        .rev()
        .skip_while(|c| *c == '-' || *c == '$' || *c == '+');
    let Some(nearest) = before.next() else {
        return true;
    };
    if nearest == '^' {
        // `cm$^2$`, against `2^10`.
        return before
            .next()
            .is_some_and(|c| c.is_ascii_digit() || matches!(c, ')' | '}'));
    }
    !nearest.is_ascii_alphabetic() && nearest != '_'
}

/// A formula with the sign before it: `-2/3` is no `2/3`.
fn signed(text: &str, from: usize, span: Range<usize>) -> Range<usize> {
    let digit = text[span.start..].starts_with(|c: char| c.is_ascii_digit());
    let start = if digit {
        sign_before(text, span.start)
    } else {
        span.start
    };
    start.max(from)..span.end
}

/// Where a number's sign or currency sign stands.
pub(super) fn sign_before(text: &str, start: usize) -> usize {
    let before = &text[..start];
    let trimmed = before.trim_end_matches(['$', '\\', '€', '£']);
    let sign = trimmed
        .strip_suffix('-')
        .or_else(|| trimmed.strip_suffix('\u{2212}'));
    let Some(ahead) = sign else { return start };
    // `16 - 9` and `16-9` subtract.
    let operand = ahead.trim_end().chars().next_back();
    let spaced = ahead.ends_with(char::is_whitespace);
    if operand.is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | '}' | '%')) && !spaced {
        return start;
    }
    ahead.len()
}

/// The number that starts at `at`: sign, currency, groups, point, exponent.
pub(super) fn number_at(text: &str, at: usize) -> Option<Number> {
    if !text.is_char_boundary(at) {
        return None;
    }
    let (negative, first) = sign_and_currency(text, at);
    let mut digits = String::new();
    if negative {
        digits.push('-');
    }
    let end = read_digits(text.as_bytes(), first, &mut digits);
    if !digits.bytes().any(|c| c.is_ascii_digit()) {
        return None;
    }
    let exponent = exponent_length(&text[end..]);
    digits.push_str(&text[end..end + exponent]);
    Some(Number {
        span: at..end + exponent,
        digits,
    })
}

/// Whether a minus stands before a number, and where its digits start: `-$5`, `$-5`, `- 5`.
fn sign_and_currency(text: &str, at: usize) -> (bool, usize) {
    let rest = &text[at..];
    let unsigned = rest.strip_prefix(['-', '\u{2212}']).unwrap_or(rest);
    let negative = unsigned.len() < rest.len();
    let amount = unsigned.trim_start_matches(['$', '\u{20ac}', '\u{a3}', '\u{a5}']);
    if negative {
        return (true, text.len() - amount.trim_start_matches(' ').len());
    }
    match amount.strip_prefix('-') {
        Some(behind) if amount.len() < rest.len() => (true, text.len() - behind.len()),
        _ => (false, text.len() - amount.len()),
    }
}

/// Appends digits with their point, and leaves out commas between groups of three; where they end.
fn read_digits(bytes: &[u8], first: usize, digits: &mut String) -> usize {
    let mut end = first;
    loop {
        match bytes.get(end) {
            Some(c @ b'0'..=b'9') => digits.push(*c as char),
            Some(b',') if group_follows(bytes, end) && end > first => {}
            Some(b'.')
                if bytes.get(end + 1).is_some_and(u8::is_ascii_digit) && !digits.contains('.') =>
            {
                if end == first {
                    digits.push('0');
                }
                digits.push('.');
            }
            _ => return end,
        }
        end += 1;
    }
}

/// Whether a text is one number and nothing else.
pub(super) fn is_number(text: &str) -> bool {
    number_at(text, 0).is_some_and(|number| number.span.end == text.len())
}

/// The length of `e-06`, `E5`; not of the start of a word.
fn exponent_length(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(['e', 'E']) else {
        return 0;
    };
    let rest = rest.strip_prefix(['-', '+', '\u{2212}']).unwrap_or(rest);
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if after.len() == rest.len() || after.starts_with(char::is_alphanumeric) {
        return 0;
    }
    text.len() - after.len()
}

fn group_follows(bytes: &[u8], comma: usize) -> bool {
    let group = bytes[comma + 1..]
        .iter()
        .take_while(|c| c.is_ascii_digit())
        .count();
    group == 3
}

/// A number without trailing zeros of its decimals; anything else as it is.
pub(super) fn plain_number(text: &str) -> String {
    let text = text.trim();
    let Some(number) = number_at(text, 0).filter(|number| number.span.end == text.len()) else {
        return text.to_owned();
    };
    let digits = number.digits;
    let at = digits.find(['e', 'E']).unwrap_or(digits.len());
    let (mantissa, exponent) = digits.split_at(at);
    if !mantissa.contains('.') {
        return digits;
    }
    match mantissa.trim_end_matches('0').trim_end_matches('.') {
        "" | "-" => "0".to_owned(),
        trimmed => format!("{trimmed}{exponent}"),
    }
}

/// More than a number: a fraction, a ratio, a time, `2\u{3c0}`, `sqrt(2)`, or
/// numbers joined by "and".
pub(super) fn expression_around(body: &str, from: usize, number: Range<usize>) -> Option<Found> {
    if let Some(span) = chain::around(body, from, &number) {
        return Some(Found::of(body, span, Clue::LastExpression));
    }
    if let Some(span) = around::formula(body, from, number.clone()) {
        let span = signed(body, from, span);
        return Some(Found::of(body, span, Clue::LastExpression));
    }
    let run = run_around(body, from, &number);
    let inner = without_stray_marks(&body[run.clone()]);
    let (start, text) = (run.start + inner.start, &body[run][inner]);
    let wrapped = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let plain = |text: &str| {
        text.bytes()
            .all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'-'))
    };
    if wrapped.is_some_and(plain) || plain(text) && text.len() <= number.len() {
        return joined_numbers(body, from, number);
    }
    let telling = text.contains(['/', ':', '^', '(', '*']) || !text.is_ascii();
    (telling && text.len() > number.len() && text.bytes().any(|c| c.is_ascii_digit())).then(|| {
        Found {
            answer: text.to_owned(),
            span: start..start + text.len(),
            clue: Clue::LastExpression,
        }
    })
}

/// Digits and signs around a number, with names such as `sqrt` and a time's "p.m." beside them.
fn run_around(body: &str, from: usize, number: &Range<usize>) -> Range<usize> {
    let sign =
        |c: char| c.is_ascii_digit() || "./:*+^()-_\u{b1}\u{3c0}\u{221a}\u{2212}\u{d7}".contains(c);
    let mut start = from + body[from..number.start].trim_end_matches(sign).len();
    let mut end = body.len() - body[number.end..].trim_start_matches(sign).len();
    // `sqrt(2)`, `pi/4`.
    for name in ["sqrt", "pi", "log", "ln", "e"] {
        if body[from..start].ends_with(name) && body[start..].starts_with(['(', '^', '/', '*']) {
            start -= name.len();
        }
    }
    if body[end..].starts_with("pi") {
        end += 2;
    }
    if body[start..end].contains(':') {
        let lower = body[end..].get(..5).unwrap_or("").to_ascii_lowercase();
        if lower.starts_with(" p.m.") || lower.starts_with(" a.m.") {
            end += 5;
        } else if lower.starts_with(" pm") || lower.starts_with(" am") {
            end += 3;
        }
    }
    start..end
}

/// A run without the sentence's marks at its ends and brackets that do not close.
fn without_stray_marks(run: &str) -> Range<usize> {
    let (mut start, mut end) = (0, run.len());
    loop {
        let text = &run[start..end];
        let opens = text.matches('(').count();
        let closes = text.matches(')').count();
        if text.ends_with(['.', ':', '-', '+', '*', '(', '/', '_']) && !text.ends_with(".m.")
            || text.ends_with(')') && closes > opens
        {
            end -= 1;
        } else if text.starts_with([')', '*', '/', ':', '_', '^', '+'])
            || text.starts_with('(') && opens > closes
        {
            start += 1;
        } else {
            return start..end;
        }
    }
}

/// Most numbers of a list in prose.
const MAX_IN_PROSE: usize = 8;

/// "1 and 2", "1, 2, and 3".
fn joined_numbers(body: &str, from: usize, last: Range<usize>) -> Option<Found> {
    let mut start = last.start;
    let mut parts = vec![body[last.clone()].to_owned()];
    while parts.len() < MAX_IN_PROSE
        && let Some(number) = number_joined_to(&body[from..start], parts.len() > 1)
    {
        start = from + number.span.start;
        parts.push(number.digits);
    }
    if parts.len() < 2 || !announces_list(&body[from..start]) {
        return None;
    }
    parts.reverse();
    Some(Found {
        answer: parts.join(", "),
        span: start..last.end,
        clue: Clue::LastNumbers,
    })
}

/// The number that "and", "or" or, further on in a list, a comma joins to what follows.
fn number_joined_to(before: &str, commas: bool) -> Option<Number> {
    let before = before.trim_end();
    let rest = before
        .strip_suffix(" and")
        .or_else(|| before.strip_suffix(" or"))
        .or_else(|| before.strip_suffix(',').filter(|_| commas))?;
    let rest = rest.trim_end().trim_end_matches(',');
    last_number_in(rest).filter(|number| number.span.end == rest.len())
}

/// Whether the word before numbers makes answers of them: "are 3 and 5", against "between 3 and 5".
fn announces_list(before: &str) -> bool {
    let word = before
        .trim_end()
        .rsplit(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or("");
    matches!(
        word,
        "are" | "is" | "equals" | "or" | "be" | "values" | "numbers" | "roots" | "solutions"
    )
}
