//! Option letters in a sentence: which are named, which are denied, which are left.

use super::denial;
use crate::parse::names::is_han;

/// What a sentence says about the options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// A letter and its place.
    Letter(char, usize),
    /// Several letters at once, of which none is chosen.
    Hedge,
    /// No letter, or only denied ones.
    Nothing,
}

/// A letter that may name an option.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting {
    letter: char,
    at: usize,
    /// In brackets, quotes or bold type, or with an enumerator's mark behind it.
    marked: bool,
}

/// Which letters count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What a phrase announces: marked letters and capitals that are no words.
    Announced,
    /// Marked letters, and those after "option".
    Marked,
    /// Capitals that stand alone and are no variables.
    Lone,
}

/// The letters of a sentence from `A` to `top`, in order.
pub(super) fn sightings(sentence: &str, top: char, wanted: Wanted) -> Vec<Sighting> {
    let bytes = sentence.as_bytes();
    (0..bytes.len())
        .filter(|at| bytes[*at].is_ascii_alphabetic())
        .filter_map(|at| sighting(sentence, at, top, wanted))
        .collect()
}

fn sighting(sentence: &str, at: usize, top: char, wanted: Wanted) -> Option<Sighting> {
    let c = sentence[at..].chars().next()?;
    let letter = c.to_ascii_uppercase();
    if !('A'..=top).contains(&letter) {
        return None;
    }
    let (before, after) = (&sentence[..at], &sentence[at + 1..]);
    let found = |marked| Some(Sighting { letter, at, marked });
    let bracketed =
        before.ends_with(['(', '[', '\u{ff08}']) && after.starts_with([')', ']', '\u{ff09}']);
    let quoted = before.ends_with('\'') && after.starts_with('\'');
    if wanted == Wanted::Marked {
        let bold = before.ends_with('*') && after.starts_with('*');
        let named = is_named(before) && stands_alone(before, after);
        let small = named && names_small(c, after);
        let counts = bracketed && (c.is_ascii_uppercase() || !is_call(before))
            || c.is_ascii_uppercase() && (bold || named)
            || small;
        return if counts { found(true) } else { None };
    }
    if wanted == Wanted::Announced && (bracketed || quoted) {
        return found(true);
    }
    if !stands_alone(before, after) {
        return None;
    }
    if !c.is_ascii_uppercase() {
        // "answer is b." and nothing else.
        let alone = sentence
            .trim_matches(|c: char| !c.is_ascii_alphanumeric())
            .len()
            == 1;
        return if alone && wanted == Wanted::Announced {
            found(false)
        } else {
            None
        };
    }
    if wanted == Wanted::Lone && is_unit_or_name(before) && !after.starts_with(" is the") {
        return None;
    }
    let word = c == 'A' && is_article(after) || c == 'I' && is_pronoun(after, wanted);
    if word || wanted == Wanted::Lone && is_variable(before, after) {
        return None;
    }
    found(after.starts_with([')', '.', ':']) || bracketed)
}

/// Whether "option" or "choice" stands before a letter.
fn is_named(before: &str) -> bool {
    ["option ", "choice "]
        .iter()
        .any(|word| ends_with_ignoring_case(before, word))
}

/// Whether a small letter behind "option" is one: not the article, nor "choice i made".
fn names_small(c: char, after: &str) -> bool {
    let ends = after.is_empty() || after.starts_with(['.', ',', ')', ':', '*', '\n']);
    c.is_ascii_lowercase() && (!matches!(c, 'a' | 'i') || ends || after.starts_with(" is "))
}

/// `20 C` is a temperature, and "let D be the distance" names a variable.
fn is_unit_or_name(before: &str) -> bool {
    let head = before.trim_end_matches([' ', '$', '\u{b0}']);
    let measured = head.len() < before.len() && head.ends_with(|c: char| c.is_ascii_digit());
    measured
        || ["let ", "let $"]
            .iter()
            .any(|word| ends_with_ignoring_case(before, word))
}

/// Not part of a word, a command or a formula such as `A_1`. `__A__` is bold type.
fn stands_alone(before: &str, after: &str) -> bool {
    let hyphenated = after
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    let bold = before.ends_with("__") && after.starts_with("__");
    (bold || is_free(before.chars().next_back()) && is_free(after.chars().next()))
        && !after.starts_with('=')
        && !hyphenated
}

/// Whether a neighbour leaves a letter alone. Look-alikes and characters that nobody sees do not.
fn is_free(neighbour: Option<char>) -> bool {
    match neighbour {
        None => true,
        Some(c) if c.is_ascii() => {
            !c.is_ascii_alphanumeric() && !matches!(c, '_' | '\\' | '\'' | '^')
        }
        Some(c) => {
            is_han(c)
                || matches!(c, '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ff0f}'
                    | '\u{ff1a}'..='\u{ff20}' | '\u{2013}' | '\u{2014}' | '\u{2018}'
                    | '\u{201c}' | '\u{201d}' | '\u{2026}' | '\u{a0}')
        }
    }
}

/// Words that no article stands before: verbs, pronouns, conjunctions, prepositions.
const NO_NOUNS: [&str; 35] = [
    "and", "are", "as", "at", "because", "but", "by", "can", "does", "for", "from", "gives", "has",
    "if", "in", "is", "it", "matches", "must", "of", "on", "or", "should", "since", "so", "that",
    "then", "this", "to", "was", "when", "which", "while", "will", "with",
];

/// "A triangle": an article, against "A because", "A it is".
pub(super) fn is_article(after: &str) -> bool {
    let Some(rest) = after.strip_prefix(' ') else {
        return false;
    };
    let word = rest
        .split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or("");
    word.starts_with(|c: char| c.is_ascii_lowercase()) && !NO_NOUNS.contains(&word)
}

/// "I think": an option only where the statement ends with it, or a mark follows it.
fn is_pronoun(after: &str, wanted: Wanted) -> bool {
    let rest = after.trim_start_matches([' ', '*', '$']);
    let word = rest
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or("");
    let ends = rest.is_empty()
        || matches!(word, "because" | "since" | "as" | "is" | "it" | "due")
        || after.starts_with(" -")
        || after
            .trim_start_matches(['*', '$'])
            .starts_with(['.', ',', ')', ':', '\n', '\u{3002}']);
    // No one says "I is".
    word != "is" && wanted == Wanted::Lone || !ends
}

/// An operator or a formula's sign beside it.
fn is_variable(before: &str, after: &str) -> bool {
    let operator = |c: Option<char>| matches!(c, Some('+' | '=' | '*' | '/' | '^' | '<' | '>'));
    let slash = |text: &str| text.trim_matches(' ').starts_with('/');
    // `A/B` of two options is no quotient.
    let options = slash(after)
        && after
            .trim_start_matches([' ', '/'])
            .starts_with(|c: char| c.is_ascii_uppercase());
    let command = after
        .trim_start()
        .strip_prefix('\\')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    // `=> D` concludes.
    let concluded = before.trim_end().ends_with(['\u{2192}', '\u{21d2}'])
        || before.trim_end().ends_with("=>")
        || before.trim_end().ends_with("->");
    if concluded {
        return false;
    }
    command
        || before.ends_with('{') && !after.starts_with('}')
        || before.ends_with('$')
        || after.starts_with('$')
        || !options
            && (operator(before.trim_end().chars().next_back())
                || operator(after.trim_start().chars().next()))
}

/// `f(a)` calls; `before` ends with the bracket.
fn is_call(before: &str) -> bool {
    before[..before.len().saturating_sub(1)]
        .ends_with(|c: char| c.is_ascii_alphanumeric() || c == '\'')
}

fn ends_with_ignoring_case(text: &str, word: &str) -> bool {
    let from = text.len().saturating_sub(word.len());
    text.as_bytes()[from..].eq_ignore_ascii_case(word.as_bytes())
}

/// The first choice of a sentence that it does not take back.
pub(super) fn first_choice(sentence: &str, seen: &[Sighting]) -> Pick {
    let runs = runs(sentence, seen);
    for (at, run) in runs.iter().enumerate() {
        match left_of(sentence, run) {
            Pick::Nothing => {}
            // "A and B both hold, so C": the conclusion counts.
            Pick::Hedge => return conclusion(sentence, &runs[at + 1..]).unwrap_or(Pick::Hedge),
            letter @ Pick::Letter(..) => return letter,
        }
    }
    Pick::Nothing
}

/// The last choice of a sentence that it does not take back.
pub(super) fn last_choice(sentence: &str, seen: &[Sighting]) -> Pick {
    runs(sentence, seen)
        .iter()
        .rev()
        .map(|run| left_of(sentence, run))
        .find(|pick| *pick != Pick::Nothing)
        .unwrap_or(Pick::Nothing)
}

/// A single letter after "so" and its kin.
fn conclusion(sentence: &str, runs: &[Vec<Sighting>]) -> Option<Pick> {
    let run = runs.last()?;
    let before = sentence[..run[0].at].to_ascii_lowercase();
    let concludes = ["so ", "therefore", "thus", "hence", "所以", "因此"]
        .iter()
        .any(|word| before.contains(word));
    match left_of(sentence, run) {
        letter @ Pick::Letter(..) if concludes => Some(letter),
        _ => None,
    }
}

/// Letters that only commas, "and", "or" and the like part.
fn runs(sentence: &str, seen: &[Sighting]) -> Vec<Vec<Sighting>> {
    let mut runs: Vec<Vec<Sighting>> = Vec::new();
    for sighting in seen {
        match runs.last_mut() {
            Some(run)
                if !is_pair(sentence, run)
                    && run
                        .last()
                        .is_some_and(|before| joined(sentence, before, sighting)) =>
            {
                run.push(*sighting);
            }
            _ => runs.push(vec![*sighting]),
        }
    }
    runs
}

/// "Between C and D": what follows chooses one of them.
fn is_pair(sentence: &str, run: &[Sighting]) -> bool {
    let before = sentence[..run[0].at].trim_end_matches(['(', '*', ' ']);
    run.len() == 2 && ends_with_ignoring_case(before, "between")
}

/// Words between letters that are named side by side.
const LETTER_JOINERS: [&str; 13] = [
    "and", "or", "nor", "maybe", "possibly", "perhaps", "either", "also", "option", "或", "或者",
    "和", "与",
];

/// Whether two letters are named side by side: "A or B", "A, maybe C".
fn joined(sentence: &str, a: &Sighting, b: &Sighting) -> bool {
    let between = &sentence[a.at + 1..b.at];
    if between.len() > 40 {
        return false;
    }
    let words = between
        .to_ascii_lowercase()
        .replace(
            [
                '(', ')', '[', ']', '*', '\'', '"', '`', '$', '.', '\u{ff08}', '\u{ff09}',
            ],
            " ",
        )
        .replace(['\u{ff0c}', '\u{3001}', '/', '&', ';'], ",");
    let words: Vec<&str> = words
        .split([' ', ','])
        .filter(|word| !word.is_empty())
        .collect();
    // "D (A is wrong)": a remark, against "A (or B)".
    if between.contains(['(', '[', '\u{ff08}']) && !b.marked {
        return false;
    }
    let either = words.contains(&"or");
    let joining = words
        .iter()
        .all(|word| either && matches!(*word, "it" | "is") || LETTER_JOINERS.contains(word));
    // `(C) E`: an option with its text, against `A B C`.
    let bare = words.is_empty()
        && between
            .trim_matches([' ', '(', ')', '*', '.', '[', ']', ':'])
            .is_empty();
    joining && !(bare && a.marked && !b.marked)
}

/// What is left of a run when the denied letters are gone.
fn left_of(sentence: &str, run: &[Sighting]) -> Pick {
    let (Some(first), Some(last)) = (run.first(), run.last()) else {
        return Pick::Nothing;
    };
    if denial::denies(&sentence[..first.at]) {
        return Pick::Nothing;
    }
    let kept = match denied_behind(&sentence[last.at + 1..]) {
        Some(Denied::All) => return Pick::Nothing,
        Some(Denied::Last) => &run[..run.len() - 1],
        None => run,
    };
    match kept {
        [] => Pick::Nothing,
        [only, rest @ ..] if rest.iter().all(|other| other.letter == only.letter) => {
            Pick::Letter(only.letter, only.at)
        }
        _ => Pick::Hedge,
    }
}

/// How much of a list of letters the words behind it deny: a singular verb speaks of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    All,
    Last,
}

/// Verbs that deny whatever they say.
const REFUSALS: [(&str, Denied); 15] = [
    ("isn't ", Denied::Last),
    ("isn\u{2019}t ", Denied::Last),
    ("wasn't ", Denied::Last),
    ("doesn't ", Denied::Last),
    ("doesn\u{2019}t ", Denied::Last),
    ("does not ", Denied::Last),
    ("is not ", Denied::Last),
    ("was not ", Denied::Last),
    ("aren't ", Denied::All),
    ("are not ", Denied::All),
    ("weren't ", Denied::All),
    ("don't ", Denied::All),
    ("do not ", Denied::All),
    ("can't ", Denied::All),
    ("cannot ", Denied::All),
];

/// Verbs that deny with one of [`FAULTS`] behind them.
const COPULAS: [(&str, Denied); 9] = [
    ("is ", Denied::Last),
    ("was ", Denied::Last),
    ("has been ", Denied::Last),
    ("are ", Denied::All),
    ("were ", Denied::All),
    ("have been ", Denied::All),
    ("can be ", Denied::All),
    ("must be ", Denied::All),
    ("being ", Denied::All),
];

/// What a ruled out option is said to be.
const FAULTS: [&str; 11] = [
    "bad",
    "wrong",
    "incorrect",
    "false",
    "ruled",
    "eliminated",
    "excluded",
    "impossible",
    "invalid",
    "rejected",
    "out",
];

/// The same in Chinese, verb and all.
const CHINESE_FAULTS: [&str; 8] = [
    "不正确",
    "不对",
    "不成立",
    "不符合",
    "不是正确",
    "错误",
    "是错",
    "被排除",
];

/// `C is ruled out`, `A and B are wrong`, `B doesn't fit`, `A? No`, `C不正确`.
fn denied_behind(after: &str) -> Option<Denied> {
    let lower = after.to_ascii_lowercase();
    let rest =
        lower.trim_start_matches([')', ']', '\'', '"', '*', '$', ' ', '\u{ff09}', '\u{201d}']);
    let named = ["选项", "项"]
        .iter()
        .find_map(|noun| rest.strip_prefix(noun));
    let rest = named.unwrap_or(rest);
    if CHINESE_FAULTS.iter().any(|word| rest.starts_with(word)) {
        return Some(Denied::All);
    }
    if let Some(rest) = rest.strip_prefix('?') {
        let word = rest.trim_start_matches([' ', '"', '*']);
        let no = ["no", "wait"].iter().any(|no| word.starts_with(no));
        return no.then_some(Denied::All);
    }
    if let Some((_, denied)) = REFUSALS.iter().find(|(verb, _)| rest.starts_with(verb)) {
        return Some(*denied);
    }
    let (predicate, denied) = COPULAS
        .iter()
        .find_map(|(verb, denied)| Some((rest.strip_prefix(verb)?, *denied)))?;
    let word = predicate
        .split(|c: char| !c.is_ascii_alphabetic())
        .find(|word| {
            !matches!(
                *word,
                "" | "also" | "both" | "clearly" | "obviously" | "all"
            )
        })?;
    FAULTS.contains(&word).then_some(denied)
}
