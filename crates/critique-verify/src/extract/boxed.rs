//! `\boxed{..}`: the last one, joined with its neighbours.

use std::ops::Range;

use super::Found;
use super::region::Region;
use crate::options::Options;
use crate::parse::lexer::balanced;
use crate::rule::{Clue, Rule};

/// One box: the whole command and what is in it.
struct Framed {
    outer: Range<usize>,
    inner: Range<usize>,
}

/// Most boxes looked at, from the end; nested ones cost their length each.
const MAX_TRIED: usize = 64;

/// Most boxes of one answer.
const MAX_JOINED: usize = 32;

/// Most boxes that are compared with each other, and the steps for a pair of them.
const MAX_COMPARED: usize = 6;
const STEPS_TO_COMPARE: u64 = 2_000;

const COMMANDS: [&str; 3] = ["\\boxed", "\\fbox", "\\framebox"];

/// Whether there is a box at all, finished or not.
pub(super) fn any(text: &str, region: &Region) -> bool {
    starts(region.text(text)).next_back().is_some()
}

fn starts(region: &str) -> impl DoubleEndedIterator<Item = usize> + '_ {
    region
        .rmatch_indices('\\')
        .map(|(at, _)| at)
        .filter(|at| {
            COMMANDS.iter().any(|command| {
                region[*at..].strip_prefix(command).is_some_and(|rest| {
                    let rest = rest.trim_start_matches(' ');
                    rest.starts_with('{')
                        || rest.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '\\')
                })
            })
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// The answer in the last box; an empty or unfinished one holds none.
pub(super) fn find(text: &str, region: &Region) -> Option<Found> {
    let body = region.text(text);
    let base = region.range.start;
    let run = last_run(body);
    let (first, last) = (run.first()?, run.last()?);
    if body[last.inner.clone()].trim().is_empty() {
        return None;
    }
    let parts = distinct(
        run.iter()
            .map(|framed| without_label(body[framed.inner.clone()].trim())),
    );
    let mut answer = parts.join(", ");
    let behind = &body[last.outer.end..];
    let behind = behind.trim_start_matches(['$', ' ']);
    if parts.len() == 1
        && (behind.starts_with('%') || behind.starts_with("\\%"))
        && !answer.ends_with('%')
    {
        answer.push_str("\\%");
    }
    Some(Found {
        answer,
        span: base + first.outer.start..base + last.outer.end,
        clue: Clue::Box,
    })
}

/// The last box and those before it that belong to it, in order; none where the last box never
/// closes.
fn last_run(body: &str) -> Vec<Framed> {
    let mut run: Vec<Framed> = Vec::new();
    for at in starts(body).take(MAX_TRIED) {
        // A box inside one already found is part of it.
        if run.last().is_some_and(|last| at >= last.inner.start) {
            continue;
        }
        let Some(framed) = framed(body, at) else {
            break;
        };
        match run.last() {
            // The box found first stands inside this one.
            Some(after) if framed.inner.contains(&after.outer.start) => {
                run.pop();
            }
            Some(after) if !belongs(body, &framed, after) => break,
            _ => {}
        }
        run.push(framed);
        if run.len() >= MAX_JOINED {
            break;
        }
    }
    run.reverse();
    run
}

/// Whether two boxes, one behind the other, are one answer.
fn belongs(body: &str, first: &Framed, second: &Framed) -> bool {
    let between = &body[first.outer.end..second.outer.start];
    let numbered = numbered_name(&body[..first.outer.start])
        .zip(numbered_name(between))
        .is_some_and(|(a, b)| a.0 == b.0 && a.1 != b.1);
    joins(between, numbered)
}

/// What a box holds behind a label of its own: `\text{Answer: }12`.
fn without_label(inner: &str) -> &str {
    let plain = ["\\text{", "\\textbf{", "\\mathrm{"]
        .iter()
        .find_map(|command| inner.strip_prefix(command))
        .unwrap_or(inner);
    let length = "answer".len();
    let labelled = plain
        .get(..length)
        .is_some_and(|word| word.eq_ignore_ascii_case("answer"));
    if !labelled {
        return inner;
    }
    let rest = plain[length..].trim_start();
    rest.strip_prefix(':')
        .or_else(|| rest.strip_prefix("}:"))
        .map_or(inner, |behind| behind.trim_start_matches([' ', '}', '~']))
}

/// The boxes' contents, where equal neighbours are one and the last form stands.
///
/// Rounding joins none, nor does a percent sign: `\frac13` and `0.333` differ.
pub(super) fn distinct<'a>(contents: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut parts: Vec<&str> = Vec::new();
    for content in contents {
        if !content.is_empty() && !parts.contains(&content) {
            parts.push(content);
        }
    }
    if parts.len() > MAX_COMPARED {
        return parts;
    }
    let options = Options {
        max_steps: STEPS_TO_COMPARE,
        ..Options::default()
    };
    let same = |a: &str, b: &str| {
        let outcome = crate::compare::equivalent(a, b, &options);
        let percents = a.contains('%') == b.contains('%');
        percents && outcome.equal && !matches!(outcome.rule, Rule::Rounding | Rule::Time)
    };
    let mut kept: Vec<&str> = Vec::new();
    for part in parts {
        kept.retain(|other| !same(other, part));
        kept.push(part);
    }
    kept
}

fn framed(body: &str, at: usize) -> Option<Framed> {
    let command = COMMANDS
        .iter()
        .find(|command| body[at..].starts_with(**command))?;
    let rest = &body[at + command.len()..];
    let blanks = rest.len() - rest.trim_start_matches(' ').len();
    let start = at + command.len() + blanks;
    if body[start..].starts_with('{') {
        let length = balanced(&body[start..])?;
        return Some(Framed {
            outer: at..start + length,
            inner: start + 1..start + length - 1,
        });
    }
    // `\boxed 7$`
    let length = body[start..]
        .find(['$', '\n'])
        .unwrap_or(body.len() - start);
    let inner = body[start..start + length].trim_end();
    let inner = inner.trim_end_matches(['.', ',']);
    Some(Framed {
        outer: at..start + length,
        inner: start..start + inner.len(),
    })
}

/// `y` and `1` of `y_1 =` or `y_1 is` at the end of a text: a name that has others beside it.
fn numbered_name(before: &str) -> Option<(String, String)> {
    let mut from = before.len().saturating_sub(LONGEST_NAME);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    let plain = without_delimiters(&before[from..]);
    let plain = plain.trim_end();
    let head = plain
        .strip_suffix('=')
        .or_else(|| plain.strip_suffix(" is"))?
        .trim_end();
    let name = head.rsplit([' ', ',', ';', ':', '\n']).next()?;
    let (stem, index) = name.split_once('_')?;
    let index = index.trim_matches(['{', '}']);
    let fits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_alphanumeric())
    };
    let named = match stem.strip_prefix('\\') {
        Some(letter) => fits(letter, 8),
        None => fits(stem, 4),
    };
    (named && fits(index, 4)).then(|| (stem.to_owned(), index.to_owned()))
}

/// A text with blanks in place of what opens and closes formulas.
fn without_delimiters(text: &str) -> String {
    ["\\(", "\\)", "\\[", "\\]", "$"]
        .iter()
        .fold(text.to_owned(), |text, mark| text.replace(mark, " "))
}

/// How far back a box's name is looked for, in bytes.
const LONGEST_NAME: usize = 40;

/// Words between two boxes that make the second a step further, or a correction.
const AGAINST: [&str; 12] = [
    "but",
    "not",
    "wrong",
    "so",
    "then",
    "thus",
    "hence",
    "therefore",
    "equals",
    "is",
    "rather",
    "correct",
];

/// Longest text between two boxes of one answer.
const LONGEST_GAP: usize = 70;

/// Whether what stands between two boxes makes one answer of them. `numbered` says that they
/// stand behind two names that only an index tells apart.
fn joins(between: &str, numbered: bool) -> bool {
    let plain = without_delimiters(between).trim().to_lowercase();
    if plain.len() >= LONGEST_GAP || between.contains("\n\n") && !plain.is_empty() {
        return false;
    }
    let words: Vec<&str> = plain
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let against = |word: &&str| AGAINST.contains(word) && !(numbered && *word == "is");
    // A sentence's end.
    let ends = plain.contains(". ") || plain.ends_with('.') || plain.contains(['!', '?']);
    if words.iter().any(against) || ends {
        return false;
    }
    if plain.contains('=') && !numbered && !names_another(&plain, words.len()) {
        return false;
    }
    words.is_empty() && plain.len() < 10
        || plain.contains([',', ';'])
        || words.contains(&"and")
        || words.contains(&"or")
}

/// `$x = \boxed{2}$ and $x = \boxed{3}$`, `$a = \boxed{2}$, $b = \boxed{3}$`: the second box has a
/// name, too.
fn names_another(plain: &str, words: usize) -> bool {
    let named = plain.strip_suffix('=').is_some_and(|before| {
        let name = before.trim_end().rsplit(' ').next().unwrap_or("");
        name.len() <= 4 && name.starts_with(|c: char| c.is_ascii_alphabetic())
    });
    named && (words == 2 || words == 1 && plain.starts_with(','))
}
