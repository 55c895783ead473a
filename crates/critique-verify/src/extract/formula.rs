//! Formulas between dollars, whole texts that are one, and the last formula or number.

use crate::rule::Clue;
use std::ops::Range;

use super::around::is_bare_function;
use super::numbers::{expression_around, free_before, last_number_in, number_at, sign_before};
use super::region::Region;
use super::{Found, around, denial, remark};

/// One formula with its delimiters.
struct Math {
    outer: Range<usize>,
    inner: Range<usize>,
}

/// The formula that starts at the start of `text`.
fn formula_at(text: &str) -> Option<Math> {
    if let Some(rows) = rows_at(text) {
        return Some(rows);
    }
    for (open, close) in [("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$")] {
        let Some(rest) = text.strip_prefix(open) else {
            continue;
        };
        let display = matches!(open, "$$" | "\\[");
        let length = match close {
            "$" => closing_dollar(rest)?,
            _ => rest.find(close)?,
        };
        let inner = &rest[..length];
        if inner.trim().is_empty() || (!display && inner.contains("\n\n")) {
            return None;
        }
        // `$5 and $6` are prices.
        let word = inner
            .split_whitespace()
            .any(|word| word.len() > 2 && word.bytes().all(|c| c.is_ascii_alphabetic()));
        if open == "$" && word && !inner.contains('\\') && !inner.contains('=') {
            return None;
        }
        let start = open.len();
        return Some(Math {
            outer: 0..start + length + close.len(),
            inner: start..start + length,
        });
    }
    None
}

/// A derivation in rows that is a formula without delimiters: `\begin{align*}..\end{align*}`.
fn rows_at(text: &str) -> Option<Math> {
    let name = text.strip_prefix("\\begin{")?;
    let name = &name[..name.find('}')?];
    if !matches!(
        name.trim_end_matches('*'),
        "align" | "gather" | "eqnarray" | "equation" | "multline"
    ) {
        return None;
    }
    let close = format!("\\end{{{name}}}");
    let end = text.find(&close)? + close.len();
    let inner = if name.starts_with("equation") || name.starts_with("multline") {
        "\\begin{}".len() + name.len()..end - close.len()
    } else {
        0..end
    };
    Some(Math {
        outer: 0..end,
        inner,
    })
}

fn closing_dollar(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.bytes().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'$' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Marks between formulas that are one answer.
const SEPARATORS: [char; 6] = [' ', ',', ';', '\u{ff0c}', '\u{ff1b}', '\u{3001}'];

/// Words between formulas, and whether they make one answer of them.
const JOINERS: [(&str, bool); 11] = [
    ("and ", true),
    ("or ", true),
    ("或者", true),
    ("或", true),
    ("和", true),
    ("与", true),
    ("及", true),
    ("maybe ", false),
    ("possibly ", false),
    ("perhaps ", false),
    ("also ", false),
];

/// Most formulas of one answer.
const MAX_JOINED: usize = 6;

/// Formulas joined by "and", "or" or a comma, from the start of `text`.
pub(super) fn leading(text: &str) -> Option<Found> {
    let (parts, end) = run(text)?;
    Some(of_parts(text, &parts, end))
}

/// The same where nothing announces an answer: "if $x > 0$, $x = 2$" ends a deduction, and what
/// was deduced counts.
fn deduced(text: &str) -> Option<Found> {
    let (parts, end) = run(text)?;
    let assigned = parts.iter().rev().take_while(|part| assigns(part)).count();
    let kept = if assigned == 0 {
        0
    } else {
        parts.len() - assigned
    };
    Some(of_parts(text, &parts[kept..], end))
}

/// Whether a formula gives a name its value: `x = 2`, `y_1 = 3`.
fn assigns(formula: &str) -> bool {
    const LONGEST: usize = 12;
    let Some((name, _)) = formula.split_once('=') else {
        return false;
    };
    let name = name.trim();
    let named = |c: char| c.is_alphanumeric() || matches!(c, '_' | '{' | '}' | '\\' | '\'');
    name.len() <= LONGEST
        && name.chars().all(named)
        && name.starts_with(|c: char| c.is_alphabetic() || c == '\\')
}

/// Formulas side by side, and where the last of them ends.
fn run(text: &str) -> Option<(Vec<&str>, usize)> {
    let first = formula_at(text)?;
    let inner = |text: &'_ str, found: &Math| -> Range<usize> {
        let part = &text[found.inner.clone()];
        let start = found.inner.start + part.len() - part.trim_start().len();
        start..start + part.trim().trim_end_matches(['.', ',']).len()
    };
    let mut parts = vec![&text[inner(text, &first)]];
    let mut end = first.outer.end;
    while parts.len() < MAX_JOINED {
        let Some(length) = joint(&text[end..]) else {
            break;
        };
        let next = &text[end + length..];
        let Some(found) = formula_at(next) else { break };
        parts.push(&next[inner(next, &found)]);
        end += length + found.outer.end;
    }
    Some((parts, end))
}

/// The length of what joins a formula to the next one; `None` where nothing does.
fn joint(rest: &str) -> Option<usize> {
    let mut next = rest.trim_start_matches(SEPARATORS);
    let marks = &rest[..rest.len() - next.len()];
    let mut joined = !marks.trim_matches(' ').is_empty();
    // `$5$ (or $6$)`
    if next.starts_with("(or ") {
        next = &next[1..];
    }
    for (word, joins) in JOINERS {
        if let Some(after) = next.strip_prefix(word) {
            next = after.trim_start_matches(' ');
            joined |= joins;
        }
    }
    joined.then_some(rest.len() - next.len())
}

/// One answer of formulas that end at `end`, with a percent sign behind them.
fn of_parts(text: &str, parts: &[&str], end: usize) -> Found {
    let mut answer = parts.join(", ");
    if is_percent(text[end..].trim_start()) {
        answer.push_str("\\%");
    }
    Found {
        answer,
        span: 0..end,
        clue: Clue::Formula,
    }
}

/// A formula in a sentence of words, or the number in one.
pub(super) fn in_sentence(sentence: &str) -> Option<Found> {
    if prose_words(sentence) == 0 {
        return None;
    }
    predicate(sentence)
        .or_else(|| telling_formula(sentence))
        .or_else(|| only_number(sentence))
}

/// The one number of a sentence of words: "approximately 5.2 cm", but not "5 or 6" and not "x > 3".
fn only_number(sentence: &str) -> Option<Found> {
    if has_more_than_words(sentence) {
        return None;
    }
    let bytes = sentence.as_bytes();
    let at =
        (0..bytes.len()).find(|at| bytes[*at].is_ascii_digit() && free_before(sentence, *at))?;
    let number = number_at(sentence, sign_before(sentence, at))?;
    let last = last_number_in(sentence)?;
    let alone = last.span.end == number.span.end
        && !sentence[number.span.end..].starts_with(['%', '-', '\u{b0}'])
        && around::formula(sentence, 0, number.span.clone()).is_none();
    alone.then_some(Found {
        answer: number.digits,
        span: number.span,
        clue: Clue::Number,
    })
}

/// Whether signs or words make more of a number than it is: "5 million", "July 14", "log 2".
fn has_more_than_words(sentence: &str) -> bool {
    const SIGNS: [char; 14] = [
        '=', '<', '>', '[', '(', '{', '\\', '^', '+', '*', '/', ':', ',', '\u{b1}',
    ];
    let counts = |word: &str| {
        matches!(
            word,
            "and" | "or" | "to" | "million" | "billion" | "percent" | "thousand" | "%"
        ) || is_month(word)
            || is_bare_function(word)
    };
    sentence.contains(SIGNS) || sentence.split_whitespace().any(counts)
}

/// The first formula of a sentence that says more than a name: `n = 3k + 1` in "all $n$ of the form
/// $n = 3k + 1$". Where none does, the first.
fn telling_formula(sentence: &str) -> Option<Found> {
    let mut named = None;
    let mut at = 0;
    while at < sentence.len() {
        let Some(found) = leading(&sentence[at..]) else {
            at += sentence[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        let found = Found {
            span: at..at + found.span.end,
            ..found
        };
        let lone = found.answer.len() == 1 && found.answer.is_ascii();
        if !(lone && names_all(&sentence[..at])) {
            return Some(found);
        }
        at = found.span.end;
        named.get_or_insert(found);
    }
    named
}

/// Whether a letter behind these words stands for all that a condition lets through.
fn names_all(before: &str) -> bool {
    const CLASSES: [&str; 8] = [
        "all",
        "every",
        "any",
        "integers",
        "numbers",
        "primes",
        "values of",
        "naturals",
    ];
    let before = before.trim_end_matches([' ', '$']);
    CLASSES.iter().any(|word| before.ends_with(word))
}

/// "July 14" is a day, and no 14.
fn is_month(word: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    MONTHS.contains(&word.trim_end_matches(','))
}

/// What a sentence says about a formula: 34 in "The largest $n$ is 34".
fn predicate(sentence: &str) -> Option<Found> {
    let (at, verb) = [" is ", " are ", " equals ", " equal to "]
        .iter()
        .filter_map(|verb| Some((sentence.rfind(verb)?, verb)))
        .max()?;
    if !sentence[..at].contains('$') && !sentence[..at].contains("\\(") {
        return None;
    }
    let rest = sentence[at + verb.len()..].trim_start_matches([' ', '*']);
    let start = sentence.len() - rest.len();
    let ends = |end: usize| rest[end..].trim_matches([' ', '.', '!', '*']).is_empty();
    let found = leading(rest).or_else(|| {
        number_at(rest, 0).map(|number| Found {
            answer: number.digits,
            span: number.span,
            clue: Clue::Number,
        })
    })?;
    ends(found.span.end).then(|| Found {
        span: start + found.span.start..start + found.span.end,
        ..found
    })
}

/// Words of prose, not counting units and names of functions.
fn prose_words(text: &str) -> usize {
    text.split(|c: char| !c.is_alphabetic())
        .filter(|word| word.len() >= 3)
        .count()
}

/// Whether a text holds words that are no commands, units and names of functions.
fn has_prose(plain: &str) -> bool {
    let mut words = 0;
    let mut rest = plain;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let command = rest[..at].ends_with('\\');
        let length = rest[at..]
            .bytes()
            .take_while(u8::is_ascii_alphabetic)
            .count();
        let word = &rest[at..at + length];
        let named = crate::parse::names::function(word).is_some()
            || crate::parse::names::letter(word).is_some();
        words += usize::from(rest[..at].contains(is_prose_han));
        words += usize::from(
            !command && length >= 2 && !named && !matches!(word, "or" | "and" | "cm" | "km" | "kg"),
        );
        rest = &rest[at + length..];
    }
    words > 0 || rest.contains(is_prose_han)
}

/// Whether a Chinese character is prose, and no word between two formulas.
fn is_prose_han(c: char) -> bool {
    crate::parse::names::is_han(c) && !matches!(c, '或' | '者' | '和' | '与' | '及' | '且')
}

/// A text that is nothing but a formula.
pub(super) fn whole(text: &str, region: &Region) -> Option<Found> {
    let body = region.text(text);
    let trimmed = body.trim();
    if trimmed.len() > 400 || trimmed.contains("\n\n") {
        return None;
    }
    let plain = crate::compare::clean::unwrap(trimmed);
    if has_prose(&plain) {
        return None;
    }
    let start = region.range.start + (body.len() - body.trim_start().len());
    // Several formulas in one line belong together.
    if let Some(found) = leading(trimmed)
        && found.span.end >= trimmed.trim_end_matches(['.', ' ']).len()
    {
        return Some(concluded(Found {
            span: start..start + found.span.end,
            ..found
        }));
    }
    Some(concluded(Found {
        answer: trimmed.to_owned(),
        span: start..start + trimmed.len(),
        clue: Clue::WholeText,
    }))
}

/// The last formula or number, whichever stands later; of a sentence that says what a number is,
/// that number.
pub(super) fn last(text: &str, region: &Region) -> Option<Found> {
    let body = remark::without_closing(region.text(text));
    let found = subject(body).or_else(|| last_in(body))?;
    let by = region.range.start;
    Some(Found {
        span: found.span.start + by..found.span.end + by,
        ..found
    })
}

/// 8 in "Therefore $8$ is the smallest $n$ with $n^2 > 50$", the last sentence of a text.
fn subject(body: &str) -> Option<Found> {
    const SUPERLATIVES: [&str; 9] = [
        "smallest", "largest", "greatest", "least", "maximum", "minimum", "only", "desired",
        "required",
    ];
    let sentence = last_sentence(body);
    let (left, right) = sentence.split_once(" is the ")?;
    let first = right.split(' ').next()?;
    if !SUPERLATIVES.contains(&first) {
        return None;
    }
    let value = without_connector(left);
    let found = leading(value).or_else(|| {
        number_at(value, 0).map(|number| Found {
            answer: number.digits,
            span: number.span,
            clue: Clue::LastNumber,
        })
    })?;
    let start = value.as_ptr() as usize - body.as_ptr() as usize;
    (is_constant(&found.answer) && found.span.end == value.len()).then(|| Found {
        span: start + found.span.start..start + found.span.end,
        ..found
    })
}

fn last_sentence(body: &str) -> &str {
    let text = body.trim_end().trim_end_matches('.');
    let from = text
        .rfind(['\n', ';'])
        .max(text.rfind(". ").map(|at| at + 1))
        .map_or(0, |at| at + 1);
    text[from..].trim_start()
}

/// A sentence behind "So", "Thus," and their kin.
fn without_connector(sentence: &str) -> &str {
    const CONNECTORS: [&str; 5] = ["so", "thus", "hence", "therefore", "then"];
    let (word, rest) = sentence.split_once([' ', ',']).unwrap_or((sentence, ""));
    if CONNECTORS.contains(&word.to_ascii_lowercase().as_str()) {
        rest.trim_start()
    } else {
        sentence
    }
}

/// Whether a formula is a number: digits, and no letters but those of commands.
fn is_constant(formula: &str) -> bool {
    let mut command = false;
    let letters = formula.chars().any(|c| {
        command = c == '\\' || command && c.is_ascii_alphabetic();
        c.is_ascii_alphabetic() && !command
    });
    !letters && !formula.contains('=') && formula.bytes().any(|c| c.is_ascii_digit())
}

/// The last formula or number of a text that is not denied there.
pub(super) fn last_in(whole: &str) -> Option<Found> {
    let mut body = whole;
    loop {
        let found = last_of_all(body)?;
        let (before, after) = (&whole[..found.span.start], &whole[found.span.end..]);
        if denial::denies(before) || denial::finds_fault(after) {
            body = before;
            continue;
        }
        match remark::start(body, &found.span, &found.answer) {
            Some(cut) if last_of_all(&body[..cut]).is_some() => body = &body[..cut],
            _ => return Some(found),
        }
    }
}

fn last_of_all(body: &str) -> Option<Found> {
    let formula = last_formula(body);
    // A number in a formula is no number of its own.
    let from = formula.as_ref().map_or(0, |found| found.span.end);
    let number = last_number_in(&body[from..]).map(|number| {
        let end = from + number.span.end;
        let span = from + number.span.start..end;
        if let Some(found) = bracketed(body, from, &span) {
            return found;
        }
        if let Some(found) = expression_around(body, from, span) {
            return found;
        }
        let percent = is_percent(&body[end..]);
        let answer = if percent {
            format!("{}%", number.digits)
        } else {
            number.digits
        };
        Found {
            answer,
            span: from + number.span.start..end,
            clue: Clue::LastNumber,
        }
    });
    number.or(formula.map(concluded))
}

/// `%`, `\%`, ` percent`.
fn is_percent(after: &str) -> bool {
    let word = after.trim_start();
    after.trim_start_matches('\\').starts_with('%')
        || ["percent", "per cent"].iter().any(|percent| {
            word.get(..percent.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(percent))
        })
}

/// A point, an interval, a set or a matrix in prose that a number is a part of: `(1, 2)`, `[0, 1)`,
/// `{1, 2}`, `[[1, 2], [3, 4]]`; several of them where they are joined.
fn bracketed(body: &str, from: usize, number: &Range<usize>) -> Option<Found> {
    let mut span = group(body, from, number)?;
    while let Some(before) = ["and", "or", ","].iter().find_map(|joint| {
        let head = body[from..span.start].trim_end_matches(' ');
        let head = head.strip_suffix(joint)?.trim_end_matches([' ', ',']);
        head.ends_with([')', ']', '}']).then(|| from + head.len())
    }) {
        let Some(other) = last_number_in(&body[from..before])
            .and_then(|number| {
                group(
                    body,
                    from,
                    &(from + number.span.start..from + number.span.end),
                )
            })
            .filter(|other| other.end == before)
        else {
            break;
        };
        span.start = other.start;
    }
    let answer = body[span.clone()]
        .replace(" and ", ", ")
        .replace(" or ", ", ");
    Some(Found {
        answer: answer.replace(",,", ","),
        span,
        clue: Clue::LastExpression,
    })
}

/// The outermost brackets around a number with a comma and only numbers in them.
fn group(body: &str, from: usize, number: &Range<usize>) -> Option<Range<usize>> {
    const LONGEST: usize = 120;
    let part = |c: char| c.is_ascii_digit() || " ,./-+()[]{}\u{2212}\u{221e}".contains(c);
    // Nothing further away can be in brackets that are short enough.
    let first = body.floor_char_boundary(number.end.saturating_sub(LONGEST));
    let first = first.clamp(from, number.start);
    let last = body.ceil_char_boundary((number.start + LONGEST).min(body.len()));
    let last = last.max(number.end);
    let left = body[first..number.start].trim_end_matches(part).len() + first;
    let right = body[number.end..last].trim_start_matches(part).len();
    let run = &body[left..last - right];
    let opens = run
        .char_indices()
        .take_while(|(at, _)| left + at < number.start)
        .filter(|(_, c)| "([{".contains(*c));
    for (at, open) in opens {
        let Some(length) = closing(&run[at..]) else {
            continue;
        };
        let (start, end) = (left + at, left + at + length);
        let inner = &body[start + 1..end - 1];
        // `f(1, 2)`, `\frac{1}{2}`: part of something else.
        let own = body[..start]
            .chars()
            .next_back()
            .is_none_or(|c| c.is_whitespace() || matches!(c, '=' | '*' | ':'));
        let matching = (open == '{') == body[..end].ends_with('}');
        let several = inner.contains(',')
            && inner.split(',').all(|part| !part.trim().is_empty())
            && !crate::extract::numbers::is_number(inner.trim());
        if end > number.end && own && matching && several && end - start <= LONGEST {
            return Some(start..end);
        }
    }
    None
}

/// The length of the brackets that a text starts with, round and square ones alike.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
        if depth == 0 {
            return Some(at + c.len_utf8());
        }
    }
    None
}

/// Of a derivation in rows, the last one.
fn concluded(found: Found) -> Found {
    let rows = ["align", "gather", "split", "eqnarray"];
    let derivation = found
        .answer
        .strip_prefix("\\begin{")
        .is_some_and(|name| rows.iter().any(|rows| name.starts_with(rows)));
    let last = found
        .answer
        .rsplit_once("\\end{")
        .filter(|_| derivation)
        .and_then(|(body, _)| body.rsplit("\\\\").find(|row| !row.trim().is_empty()))
        .map(|row| {
            row.replace('&', "")
                .trim()
                .trim_start_matches("= ")
                .to_owned()
        })
        .filter(|row| !row.contains("\\begin"));
    let answer = last.unwrap_or(found.answer);
    // `= 5`: the left side stands somewhere before.
    let answer = match answer.strip_prefix('=') {
        Some(right) if !right.trim().is_empty() => right.trim_start().to_owned(),
        _ => answer,
    };
    Found { answer, ..found }
}

/// Scans forward once for delimiters; keeps the last formula that says something.
fn last_formula(body: &str) -> Option<Found> {
    let mut best: Option<Found> = None;
    let mut at = 0;
    // An opening that never closes would make the scan quadratic.
    let mut dead = [false; OPENINGS.len()];
    while let Some(slot) = next_opening(body, &mut at) {
        if dead[slot] {
            at += 1;
        } else if let Some(found) = deduced(&body[at..]) {
            let end = at + found.span.end;
            if says_something(&found.answer, best.is_none()) {
                best = Some(Found {
                    span: at..end,
                    answer: found.answer,
                    clue: Clue::LastFormula,
                });
            }
            at = end.max(at + 1);
        } else {
            let (open, close) = OPENINGS[slot];
            dead[slot] = !body[at + 1..].contains(close);
            at += open.len();
        }
    }
    best
}

/// What opens a formula, and what closes it; longer ones first.
const OPENINGS: [(&str, &str); 5] = [
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("\\begin{", "\\end{"),
];

/// Moves `at` to the next opening, past what a backslash escapes, and says which one it is.
fn next_opening(body: &str, at: &mut usize) -> Option<usize> {
    loop {
        *at += body[*at..].find(['$', '\\'])?;
        let rest = &body[*at..];
        let slot = OPENINGS.iter().position(|(open, _)| rest.starts_with(open));
        if slot.is_some() {
            return slot;
        }
        // `\$` is a dollar, `\\` a new row.
        *at += 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
    }
}

/// Whether a formula can be an answer: one with a digit or of some length. Names side by side
/// ("choices for $AB$ and $CD$") are one only where nothing better stands before them.
fn says_something(formula: &str, is_first: bool) -> bool {
    let inner = formula.trim();
    let digits = inner.bytes().any(|c| c.is_ascii_digit());
    let names = inner.contains(", ") && inner.split(", ").all(is_short_name);
    (digits || inner.len() > 2) && !inner.starts_with(['^', '_']) && (is_first || !names)
}

/// `A`, `AB`, `\mathbf{A}`.
fn is_short_name(part: &str) -> bool {
    let inner = ["\\mathbf{", "\\vec{", "\\mathbf "]
        .iter()
        .find_map(|command| part.strip_prefix(command))
        .map_or(part, |inner| inner.trim_end_matches('}'));
    (1..=2).contains(&inner.len()) && inner.bytes().all(|c| c.is_ascii_alphabetic())
}
