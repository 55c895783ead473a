//! The formula that a number stands in: `9^9` and `16 - 9` are no nine.
//!
//! Left out: functions without brackets (`sin 3`) and words for operators ("3 times 4").

use std::ops::Range;

use super::numbers::number_at;
use crate::parse::lexer::balanced;
use crate::parse::names;

/// Longest formula that is looked at, in bytes.
const LONGEST: usize = 400;

/// Operators between two operands, blanks around them or not.
const OPERATORS: [&str; 14] = [
    "+", "\u{b1}", "-", "\u{2013}", "\u{2212}", "*", "/", "^", "\u{d7}", "\u{b7}", "\u{f7}",
    "\\times", "\\cdot", "\\div",
];

/// Commands whose groups are set in another type, and are no formula for that.
const STYLES: [&str; 13] = [
    "text",
    "mbox",
    "mathrm",
    "mathbf",
    "textbf",
    "textit",
    "textrm",
    "textnormal",
    "underline",
    "emph",
    "hbox",
    "boxed",
    "fbox",
];

/// Words that multiply the number before them.
const MAGNITUDES: [&str; 4] = ["thousand", "million", "billion", "trillion"];

/// Commands that go on with a formula when they follow a number.
const FACTORS: [&str; 8] = [
    "sqrt", "frac", "dfrac", "tfrac", "binom", "pi", "log", "infty",
];

/// The formula with the number at `number`; `None` where the number stands alone.
///
/// Nothing before `from` is looked at.
pub(super) fn formula(text: &str, from: usize, number: Range<usize>) -> Option<Range<usize>> {
    let mut range = number.clone();
    while range.len() <= LONGEST {
        let before = range.clone();
        if let Some(end) = right(text, range.end) {
            range.end = end;
        }
        if let Some(start) = left(text, from, range.start) {
            range.start = start;
        }
        if let Some(wider) = enclosing(text, from, &range) {
            range = wider;
        }
        if range == before {
            break;
        }
    }
    (range != number).then_some(range)
}

/// Past what belongs to an operand that ends at `end`.
fn right(text: &str, end: usize) -> Option<usize> {
    let rest = &text[end..];
    if rest.starts_with("^\\circ") || rest.starts_with("^{\\circ}") {
        return None;
    }
    if let Some(script) = rest.strip_prefix('_')
        && let Some(after) = operand_after(text, text.len() - script.len())
    {
        return Some(after);
    }
    if rest.starts_with('(')
        && let Some(length) = bracketed(rest)
    {
        return Some(end + length);
    }
    if rest.starts_with(['\u{3c0}', '\u{221a}']) {
        return operand_after(text, end);
    }
    if let Some(end) = mixed_or_magnitude(text, end) {
        return Some(end);
    }
    // `3x`, `50k`, but not `3xyz`; units such as `3m` are none of these.
    let mut chars = rest.chars();
    if matches!(chars.next(), Some('x' | 'y' | 'z' | 'k' | 'K'))
        && !chars
            .as_str()
            .starts_with(|c: char| c.is_alphanumeric() || c == '\'')
    {
        return Some(end + 1);
    }
    let spaced = rest.trim_start_matches(' ');
    if let Some(name) = spaced.strip_prefix('\\')
        && FACTORS.contains(&leading_word(name))
    {
        return operand_after(text, text.len() - spaced.len());
    }
    let (after, blanks) = OPERATORS
        .iter()
        .find_map(|sign| Some((spaced.strip_prefix(sign)?, spaced.len() < rest.len())))
        .or_else(|| times(spaced).map(|after| (after, spaced.len() < rest.len())))?;
    let after = after.strip_prefix('*').filter(|_| !blanks).unwrap_or(after);
    let operand = after.trim_start_matches(' ');
    let even = (operand.len() < after.len()) == blanks;
    let sign = spaced.starts_with(['+', '-', '\u{2212}', '*']);
    (even || !sign).then_some(())?;
    operand_after(text, text.len() - operand.len())
}

/// `1 1/2`, `9 million`.
fn mixed_or_magnitude(text: &str, end: usize) -> Option<usize> {
    let rest = text[end..].strip_prefix(' ')?.trim_start_matches(' ');
    let start = text.len() - rest.len();
    let word = leading_word(rest);
    if MAGNITUDES.contains(&word) {
        return Some(start + word.len());
    }
    let bottom = rest
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .strip_prefix('/')?;
    if !text[..end].ends_with(|c: char| c.is_ascii_digit()) || rest.starts_with('/') {
        return None;
    }
    let length = bottom.bytes().take_while(u8::is_ascii_digit).count();
    (length > 0).then(|| text.len() - bottom.len() + length)
}

/// Where the operand starts that an operator before `start` joins to it.
fn left(text: &str, from: usize, start: usize) -> Option<usize> {
    let before = currency_cut(&text[from..start]);
    let own = &text[start..];
    if let Some(start) = factor_before(text, from, before, own) {
        return Some(start);
    }
    // A minus that was taken for the number's sign.
    if own.starts_with(['-', '\u{2212}']) {
        let operand = before.trim_end_matches(' ');
        let spaced = own.chars().nth(1) == Some(' ');
        let unary = operand.len() < before.len() && !spaced;
        return if unary {
            None
        } else {
            operand_before(text, from, from + operand.len())
        };
    }
    let spaced = before.trim_end_matches(' ');
    let rest = OPERATORS
        .iter()
        .find_map(|sign| spaced.strip_suffix(sign))
        .or_else(|| {
            spaced
                .strip_suffix('x')
                .filter(|rest| rest.trim_end().ends_with(|c: char| c.is_ascii_digit()))
        })?;
    let blanks = spaced.len() < before.len();
    let rest = rest.strip_suffix('*').filter(|_| !blanks).unwrap_or(rest);
    let operand = rest.trim_end_matches(' ');
    let even = (operand.len() < rest.len()) == blanks;
    let sign = spaced.ends_with(['+', '-', '\u{2212}', '*']);
    (even || !sign).then_some(())?;
    operand_before(text, from, from + operand.len()).or_else(|| {
        // `-(9)`
        let unary = !blanks && spaced.ends_with(['-', '\u{2212}']) && own.starts_with(['(', '\\']);
        unary.then_some(from + rest.len())
    })
}

/// Functions whose argument needs no brackets. Names that are units, too, such as `min` and `sec`,
/// are none.
const BARE_FUNCTIONS: [&str; 10] = [
    "log", "ln", "lg", "sin", "cos", "tan", "cot", "sqrt", "arcsin", "arctan",
];

/// Whether a word is a function that takes what follows: `log 9` is no 9.
pub(super) fn is_bare_function(word: &str) -> bool {
    BARE_FUNCTIONS.contains(&word)
}

/// Where the function starts that a number is the argument of: `log 9`, `sin 3`.
fn function_before(from: usize, before: &str, own: &str) -> Option<usize> {
    let head = before.strip_suffix(' ')?;
    let rest = head.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let takes =
        own.starts_with(|c: char| c.is_ascii_digit()) && is_bare_function(&head[rest.len()..]);
    takes.then_some(from + rest.len())
}

/// Where a root, a power, a factor or a whole part starts that stands right before `own`.
fn factor_before(text: &str, from: usize, before: &str, own: &str) -> Option<usize> {
    if let Some(start) = function_before(from, before, own) {
        return Some(start);
    }
    if before.ends_with(['\u{221a}', '\u{3c0}']) {
        return Some(from + before.char_indices().next_back()?.0);
    }
    if own.starts_with(['^', '_']) {
        return operand_before(text, from, from + before.len());
    }
    // `3\sqrt2`, `2(3)`
    if own.starts_with(['\\', '(', '\u{221a}', '\u{3c0}'])
        && before
            .trim_end_matches(' ')
            .ends_with(|c: char| c.is_ascii_digit())
        && (own.starts_with('\\') || !before.ends_with(' '))
    {
        return operand_before(text, from, from + before.trim_end_matches(' ').len());
    }
    // `1 1/2`
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let top = digits(own);
    if top > 0 && own[top..].starts_with('/') && digits(&own[top + 1..]) > 0 {
        let whole = before.trim_end_matches(' ');
        if whole.len() < before.len() && whole.ends_with(|c: char| c.is_ascii_digit()) {
            return operand_before(text, from, from + whole.len());
        }
    }
    None
}

/// `3 x 4`.
fn times(text: &str) -> Option<&str> {
    let after = text.strip_prefix('x')?;
    after
        .trim_start()
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(after)
}

fn currency_cut(text: &str) -> &str {
    text.trim_end_matches(['$', '\u{20ac}', '\u{a3}'])
        .trim_end_matches('\\')
}

/// The end of the number, letter, group or command at `start`.
fn operand_after(text: &str, start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let plain = rest.trim_start_matches(['\\', '$']);
    if let Some(number) = number_at(plain, 0) {
        return Some(text.len() - plain.len() + number.span.end);
    }
    let first = rest.chars().next()?;
    let after = start + first.len_utf8();
    match first {
        '(' => bracketed(rest).map(|length| start + length),
        '{' => balanced(rest).map(|length| start + length),
        '\\' => {
            let word = leading_word(&rest[1..]);
            if word.is_empty() || STYLES.contains(&word) {
                return None;
            }
            let mut end = after + word.len();
            while let Some(length) = balanced(&text[end..]).filter(|_| text[end..].starts_with('{'))
            {
                end += length;
            }
            Some(end)
        }
        '\u{3c0}' => Some(after),
        '\u{221a}' => {
            let under = rest.trim_start_matches('\u{221a}');
            operand_after(text, text.len() - under.len())
        }
        letter if letter.is_ascii_alphabetic() => {
            let word = leading_word(rest);
            let call = text[start + word.len()..].starts_with('(');
            if word.len() == 1 {
                return Some(after);
            }
            (call && names::function(word).is_some())
                .then(|| bracketed(&rest[word.len()..]))
                .flatten()
                .map(|length| start + word.len() + length)
        }
        _ => None,
    }
}

/// The start of the number, letter, group or command that ends at `end`.
fn operand_before(text: &str, from: usize, end: usize) -> Option<usize> {
    let body = currency_cut(&text[from..end]);
    let last = body.chars().next_back()?;
    let start = match last {
        '}' | ')' => opening(body, last)?,
        '!' | '\u{3c0}' => body.len() - last.len_utf8(),
        c if c.is_ascii_digit() => body
            .trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ','))
            .len(),
        c if c.is_ascii_alphabetic() => {
            let head = body.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let single = body.len() - head.len() == 1;
            if head.ends_with('\\') {
                head.len() - 1
            } else if single {
                head.len()
            } else {
                return None;
            }
        }
        _ => return None,
    };
    Some(from + command_before(body, start))
}

/// The brackets around a formula, where they belong to something.
fn enclosing(text: &str, from: usize, range: &Range<usize>) -> Option<Range<usize>> {
    let mut low = range.start.saturating_sub(LONGEST).max(from);
    while !text.is_char_boundary(low) {
        low += 1;
    }
    let ahead = &text[low..range.start];
    // In a group: of a command, an index or an exponent.
    if let Some(open) = unclosed(ahead) {
        let start = command_before(ahead, open);
        let word = leading_word(ahead[start..].trim_start_matches('\\'));
        if start < open {
            let mut end = low + open;
            while text[end..].starts_with('{') {
                end += balanced(&text[end..])?;
            }
            let bare = STYLES.contains(&word)
                && right(text, end).is_none()
                && left(text, from, low + start).is_none();
            return (!bare).then_some(low + start..end);
        }
    }
    if ahead.ends_with('|') && text[range.end..].starts_with('|') {
        return Some(range.start - 1..range.end + 1);
    }
    // In brackets: of a function, a factor or a power.
    if ahead.ends_with('(') && text[range.end..].starts_with(')') {
        let open = ahead.len() - 1;
        let head = &ahead[..open];
        let letters = head.len()
            - head
                .trim_end_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let name = &head[head.len() - letters..];
        let called = letters > 0 && (letters == 1 || names::function(name).is_some());
        let factor = head.ends_with(|c: char| c.is_ascii_digit() || matches!(c, ')' | '}'));
        let sign = OPERATORS.iter().any(|sign| head.trim_end().ends_with(sign));
        let raised = right(text, range.end + 1).is_some();
        if called || factor || sign || raised {
            let start = if called { open - letters } else { open };
            return Some(low + start..range.end + 1);
        }
    }
    None
}

/// The last `{` that is not closed on its line.
fn unclosed(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.bytes().enumerate().rev() {
        match c {
            b'\n' => return None,
            b'}' => depth += 1,
            b'{' if depth == 0 => return Some(at),
            b'{' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Where the bracket was opened that closes at the end of `text`.
fn opening(text: &str, close: char) -> Option<usize> {
    let open = if close == ')' { '(' } else { '{' };
    let mut depth = 0_usize;
    for (at, c) in text.char_indices().rev().take(LONGEST) {
        if c == close {
            depth += 1;
        } else if c == open {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// From a group's brace back over the groups, the command or the mark before it.
fn command_before(text: &str, open: usize) -> usize {
    let mut start = open;
    while text[..start].ends_with('}') && text[start..].starts_with('{') {
        let Some(at) = opening(&text[..start], '}') else {
            break;
        };
        start = at;
    }
    let head = &text[..start];
    if !text[start..].starts_with('{') {
        return start;
    }
    if head.ends_with(['^', '_']) {
        return start - 1;
    }
    // `\sqrt[3]{x}`
    let head = match head.strip_suffix(']').and_then(|inner| inner.rfind('[')) {
        Some(at) => &head[..at],
        None => head,
    };
    let name = head.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if name.len() < head.len() && name.ends_with('\\') {
        name.len() - 1
    } else {
        start
    }
}

/// The length of `(..)` when a formula is in it.
fn bracketed(text: &str) -> Option<usize> {
    let length = text
        .char_indices()
        .take(LONGEST)
        .scan(0_i32, |depth, (at, c)| {
            *depth += i32::from(c == '(') - i32::from(c == ')');
            Some((at, *depth))
        })
        .find_map(|(at, depth)| (depth == 0).then_some(at + 1))?;
    let words = text[..length]
        .split(|c: char| !c.is_alphabetic())
        .any(|word| word.len() > 1 && names::function(word).is_none());
    (!words && length > 2).then_some(length)
}

/// Whether there is a command that is no mere layout: `\\log 9`, `9 \\mod 4`.
pub(super) fn has_command(text: &str) -> bool {
    text.split('\\').skip(1).any(|rest| {
        let word = leading_word(rest);
        let layout = matches!(word, "" | "quad" | "qquad" | "circ" | "displaystyle");
        !layout && !STYLES.contains(&word)
    })
}

fn leading_word(text: &str) -> &str {
    let length = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    &text[..length]
}
