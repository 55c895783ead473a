//! What is printed: results on standard output, everything else on standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Prints lines of results. Models write some of them, and a terminal must not obey a model:
/// what would command it is shown in letters there. Files and pipes get the text as it is.
pub(crate) fn say(text: impl AsRef<str>) -> Result<(), Failure> {
    let text = text.as_ref().trim_end_matches('\n');
    if io::stdout().is_terminal() {
        print(&visible(text))
    } else {
        print(text)
    }
}

/// Prints a result as one line of JSON. What would command a terminal is escaped as JSON has it,
/// everywhere: the value is the same.
pub(crate) fn say_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(Failure::failed)?;
    print(&escaped(&text, |c| format!("\\u{:04x}", u32::from(c))))
}

/// Whether a person looks at standard output.
pub(crate) fn is_watched() -> bool {
    io::stdout().is_terminal()
}

/// Prints in place of all that the terminal shows.
pub(crate) fn say_anew(text: &str) -> Result<(), Failure> {
    print(&format!("\u{1b}[H\u{1b}[2J{}", visible(text)))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// The text with characters that would command a terminal, or turn the order of what it shows,
/// in letters (`\u{1b}`). Line ends and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c.escape_default().to_string())
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    let commands = |c: char| {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns || (c.is_control() && c != '\n' && c != '\t')
    };
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if commands(c) {
            shown.push_str(&escape(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Prints text for a person on standard error. Nobody may be listening, which is no fault.
pub(crate) fn tell(text: impl AsRef<str>) {
    let _ = writeln!(
        io::stderr().lock(),
        "{}",
        text.as_ref().trim_end_matches('\n')
    );
}

/// A number with so many decimals; one that rounds to 0 has no sign.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => rest.to_owned(),
        _ => text,
    }
}

/// Whether standard error shows colours.
pub(crate) fn colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A plain table: columns as wide as their widest cell, two blanks between them.
pub(crate) fn columns<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_no_model() {
        let text = "a\u{1b}]0;title\u{7}\u{1b}[31m b\r\u{9b}2J\u{202e}c\n\td";
        let shown = r"a\u{1b}]0;title\u{7}\u{1b}[31m b\r\u{9b}2J\u{202e}c";
        assert_eq!(visible(text), format!("{shown}\n\td"));
        assert!(matches!(visible("α β\n"), Cow::Borrowed(_)));
        let json = serde_json::to_string(text).unwrap();
        let shown = escaped(&json, |c| format!("\\u{:04x}", u32::from(c)));
        assert!(!shown.contains(char::is_control) && shown.contains("\\u009b"));
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }

    #[test]
    fn nothing_has_no_sign() {
        assert_eq!(number(-0.0001, 3), "0.000");
        assert_eq!(number(-0.0, 1), "0.0");
        assert_eq!(number(-0.0006, 3), "-0.001");
        assert_eq!(number(-10.0, 0), "-10");
        assert_eq!(number(f64::NAN, 3), "NaN");
    }
}
