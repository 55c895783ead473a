//! The chosen option of a response.

use super::Found;
use super::letters::{self, Pick, Wanted};
use super::phrases;
use super::region::Region;
use crate::rule::Clue;

/// Most announcements that are looked at, from the end.
const MAX_PLACES: usize = 12;

/// Longest statement behind an announcement, in bytes.
const LONGEST: usize = 240;

/// Looks for a choice in a text, from `A` to a last letter.
type Look = fn(&str, char) -> Pick;

/// What a response chooses.
pub(super) enum Choice {
    /// An option.
    Letter(Found),
    /// Several at once, which is none.
    Hedge,
    /// Nothing.
    Nothing,
}

impl Choice {
    pub(super) fn found(self) -> Option<Found> {
        match self {
            Self::Letter(found) => Some(found),
            Self::Hedge | Self::Nothing => None,
        }
    }

    pub(super) fn is_hedge(&self) -> bool {
        matches!(self, Self::Hedge)
    }
}

/// The chosen letter, from `A` to `top`: in a tag, in a box, or in the body.
pub(super) fn choose(text: &str, region: &Region, top: char) -> Choice {
    if let Some(tag) = region.tagged(text) {
        match lone(&tag.answer, top).or_else(|| announced_in(&tag.answer, top)) {
            Pick::Letter(letter, _) => return Choice::Letter(renamed(tag, letter)),
            Pick::Hedge => return Choice::Hedge,
            Pick::Nothing => {}
        }
    }
    if let Some(boxed) = super::boxed::find(text, region) {
        match lone(&crate::compare::clean::unwrap(&boxed.answer), top) {
            Pick::Letter(letter, _) => return Choice::Letter(renamed(boxed, letter)),
            Pick::Hedge => return Choice::Hedge,
            Pick::Nothing => {}
        }
    }
    in_body(region.text(text), region.range.start, top)
}

/// The chosen letter of a text without tag and box; `by` is where the text starts.
fn in_body(body: &str, by: usize, top: char) -> Choice {
    let clues: [(Clue, Look); 4] = [
        (Clue::Stated, announced),
        (Clue::OwnLine, on_own_line),
        (Clue::MarkedLetter, |body, top| {
            in_last_sentence(body, top, Wanted::Marked)
        }),
        (Clue::LastLetter, |body, top| {
            in_last_sentence(body, top, Wanted::Lone)
        }),
    ];
    for (clue, look) in clues {
        match look(body, top) {
            Pick::Letter(letter, at) => {
                return Choice::Letter(Found {
                    answer: letter.to_string(),
                    span: by + at..by + at + 1,
                    clue,
                });
            }
            Pick::Hedge => return Choice::Hedge,
            Pick::Nothing => {}
        }
    }
    Choice::Nothing
}

fn renamed(found: Found, letter: char) -> Found {
    Found {
        answer: letter.to_string(),
        ..found
    }
}

impl Pick {
    fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Nothing => other(),
            found => found,
        }
    }
}

fn announced_in(sentence: &str, top: char) -> Pick {
    let seen = letters::sightings(sentence, top, Wanted::Announced);
    letters::first_choice(sentence, &seen)
}

/// The letter behind the last phrase that announces one.
fn announced(body: &str, top: char) -> Pick {
    let lower = body.to_ascii_lowercase();
    let places = phrases::all_places(&lower);
    for (index, &(start, end)) in places.iter().enumerate().rev().take(MAX_PLACES) {
        if is_against(&lower[..start]) {
            continue;
        }
        let (from, statement) = statement(body, end);
        match announced_in(statement, top) {
            Pick::Nothing => {}
            Pick::Hedge => return Pick::Hedge,
            Pick::Letter(letter, at) => {
                let others = &places[..index];
                return if contradicted(body, others, start, letter, top) {
                    Pick::Hedge
                } else {
                    Pick::Letter(letter, from + at)
                };
            }
        }
    }
    Pick::Nothing
}

/// "不选A" chooses against A.
fn is_against(before: &str) -> bool {
    ["不", "别", "不能", "不应", "不该", "不会"]
        .iter()
        .any(|no| before.ends_with(no))
}

/// Whether the statement right before this one chose another letter: "The answer is A. The answer
/// is B." takes every option there is.
fn contradicted(
    body: &str,
    places: &[(usize, usize)],
    start: usize,
    letter: char,
    top: char,
) -> bool {
    let Some(&(_, end)) = places
        .last()
        .filter(|(start, _)| !is_against(&body[..*start]))
    else {
        return false;
    };
    let (from, said) = statement(body, end);
    let said = &said[..said.len().min(start.saturating_sub(from))];
    let gap = &body[(from + said.len()).min(start)..start];
    let words = |text: &str| {
        text.split(|c: char| !c.is_alphabetic()).any(|word| {
            !matches!(
                word.to_ascii_lowercase().as_str(),
                "" | "the" | "my" | "correct" | "final"
            )
        })
    };
    if words(gap) {
        return false;
    }
    matches!(announced_in(said, top), Pick::Letter(other, at)
        if other != letter && !words(&said[at + 1..]))
}

/// The sentence behind a phrase, or the line after a bare colon, and where it starts.
fn statement(body: &str, end: usize) -> (usize, &str) {
    let mut stop = (end + LONGEST).min(body.len());
    while !body.is_char_boundary(stop) {
        stop -= 1;
    }
    let near = &body[end..stop];
    let sentence = near.trim_start_matches([':', '\u{ff1a}', ' ', '\n', '*', '_', '\t']);
    let from = end + near.len() - sentence.len();
    (from, &sentence[..sentence_end(sentence)])
}

fn sentence_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let chinese = text.find('\u{3002}').unwrap_or(text.len());
    for at in 0..chinese {
        let c = bytes[at];
        if c == b'\n' && at > 0 {
            return at;
        }
        // "B. since", "C." close nothing when the letter comes first.
        if c == b'.' && at > 2 && bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace) {
            return at;
        }
    }
    chinese
}

/// A box or tag that is just a letter, or a letter and its text. A formula is no choice.
fn lone(text: &str, top: char) -> Pick {
    let trimmed = text.trim_matches(|c: char| {
        c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '*' | '.' | '$' | ':')
    });
    let Some(letter) = trimmed.chars().next() else {
        return Pick::Nothing;
    };
    let upper = letter.to_ascii_uppercase();
    if !('A'..=top).contains(&upper) {
        return Pick::Nothing;
    }
    let rest = &trimmed[1..];
    if rest.is_empty() {
        return Pick::Letter(upper, 0);
    }
    if !letter.is_ascii_uppercase() || is_formula(rest) {
        return Pick::Nothing;
    }
    let seen = letters::sightings(trimmed, top, Wanted::Announced);
    if letters::first_choice(trimmed, &seen) == Pick::Hedge {
        return Pick::Hedge;
    }
    let article = letter == 'A' && letters::is_article(rest);
    if rest.starts_with([')', '.', ':', ' ', ',']) && !article {
        Pick::Letter(upper, 0)
    } else {
        Pick::Nothing
    }
}

/// Whether a letter with this behind it is a variable: `E = 12`, `A + B`, `A l w`, `D \approx 3`.
fn is_formula(rest: &str) -> bool {
    const COMMANDS: [&str; 18] = [
        "approx", "cdot", "times", "le", "leq", "ge", "geq", "ne", "neq", "in", "sim", "equiv",
        "to", "div", "pm", "cup", "cap", "subset",
    ];
    let Some(rest) = rest.strip_prefix(' ') else {
        return false;
    };
    let rest = rest.trim_start();
    let word: &str = rest
        .trim_start_matches('\\')
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or("");
    rest.starts_with([
        '=', '+', '*', '/', '^', '<', '>', '_', '|', '\u{2248}', '\u{2264}', '\u{2265}',
        '\u{2260}', '\u{b7}', '\u{d7}', '\u{f7}', '\u{2208}',
    ]) || rest.starts_with('\\') && COMMANDS.contains(&word)
        || word.len() == 1 && word.starts_with(|c: char| c.is_ascii_lowercase()) && word != "a"
}

/// A line that is a letter, or starts with one as an option does; the last.
fn on_own_line(body: &str, top: char) -> Pick {
    let mut end = body.len();
    for line in body.rsplit('\n') {
        let start = end - line.len();
        end = start.saturating_sub(1);
        let Some(letter) = lone_letter(line).filter(|letter| ('A'..=top).contains(letter)) else {
            continue;
        };
        // A letter a line is a list of the options.
        let above = body[..start].trim_end().rsplit('\n').next().unwrap_or("");
        if lone_letter(above).is_some_and(|other| other != letter) {
            return Pick::Hedge;
        }
        let at = line.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        return Pick::Letter(letter, start + at);
    }
    if is_list_of_options(body, top) {
        Pick::Hedge
    } else {
        opening(body, top)
    }
}

/// The choice that a text opens with: "B. since ..", "C) 12", "(D) is right".
fn opening(body: &str, top: char) -> Pick {
    let text = body.trim_start();
    let lead = body.len() - text.len();
    let text = text.trim_start_matches(['*', '(']);
    let skipped = body.len() - lead - text.len();
    let mut chars = text.chars();
    let Some(letter) = chars.next().filter(|letter| ('A'..=top).contains(letter)) else {
        return Pick::Nothing;
    };
    let rest = chars.as_str().trim_start_matches('*');
    // A list of all options opens with A too.
    let lists = body.contains("\nB") || body.contains("(B)") && letter == 'A';
    let behind = rest.trim_start_matches(['.', ')', ':', ' ', '(', '*']);
    let another = behind.starts_with(|c| ('A'..=top).contains(&c) && c != letter)
        && goes_on(&behind[1..])
        && !(behind.starts_with('A') && letters::is_article(&behind[1..]))
        && !behind.starts_with("I ");
    if rest.starts_with(['.', ')', ':']) && another {
        return Pick::Hedge;
    }
    if rest.starts_with(['.', ')', ':']) && !lists {
        Pick::Letter(letter, lead + skipped)
    } else {
        Pick::Nothing
    }
}

/// Whether a second letter is one more option, and not what a sentence speaks of: `A. B.`, `A: B or`,
/// against `B. C is wrong`.
fn goes_on(after: &str) -> bool {
    let word = after.trim_start().split(' ').next().unwrap_or("");
    let joins = matches!(word, "" | "or" | "and" | "&") || word.len() == 1;
    after.starts_with(['.', ')', ':', ',']) || after.starts_with(' ') && joins
}

/// Whether every line of a text is an option with its text, which lists them and chooses none.
fn is_list_of_options(body: &str, top: char) -> bool {
    let mut letters = body
        .lines()
        .map(|line| line.trim_start_matches([' ', '*', '(', '-']))
        .filter(|line| !line.is_empty())
        .map(|line| {
            let letter = line.chars().next().filter(|c| ('A'..=top).contains(c))?;
            line[1..].starts_with([')', '.', ':']).then_some(letter)
        });
    let Some(Some(first)) = letters.next() else {
        return false;
    };
    let mut others = letters.peekable();
    others.peek().is_some() && others.all(|letter| letter.is_some_and(|letter| letter != first))
}

/// The letter that a line is, in capitals.
fn lone_letter(line: &str) -> Option<char> {
    let trimmed = line.trim_matches(|c: char| {
        c.is_whitespace() || matches!(c, '*' | '(' | ')' | '.' | '[' | ']' | '$' | ':')
    });
    match trimmed.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some((*letter as char).to_ascii_uppercase()),
        _ => None,
    }
}

/// The last letter of this sort, by sentences from the end.
fn in_last_sentence(body: &str, top: char, wanted: Wanted) -> Pick {
    let mut end = body.len();
    while end > 0 {
        let start = sentence_start(body, end);
        let sentence = &body[start..end];
        let seen = letters::sightings(sentence, top, wanted);
        match letters::last_choice(sentence, &seen) {
            Pick::Letter(letter, at) => return Pick::Letter(letter, start + at),
            Pick::Hedge => return Pick::Hedge,
            Pick::Nothing => end = start,
        }
    }
    Pick::Nothing
}

/// Where the sentence starts that ends at `end`, marks at its own end aside.
fn sentence_start(body: &str, end: usize) -> usize {
    let marks = |c: char| c.is_whitespace() || matches!(c, '.' | '!' | '\u{3002}');
    let head = body[..end].trim_end_matches(marks);
    let mut after = None;
    for (at, c) in head.char_indices().rev() {
        let next: Option<char> = after;
        let ends = matches!(c, '\n' | '\u{3002}')
            || matches!(c, '.' | '!') && next.is_some_and(char::is_whitespace);
        if ends {
            return at + c.len_utf8();
        }
        after = Some(c);
    }
    0
}
