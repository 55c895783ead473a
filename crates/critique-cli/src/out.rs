//! What is printed: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Prints lines of results.
pub(crate) fn say(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.as_ref().trim_end_matches('\n'))?;
    Ok(out.flush()?)
}

/// Prints a result as one line of JSON.
pub(crate) fn say_json(value: &impl Serialize) -> Result<(), Failure> {
    say(serde_json::to_string(value).map_err(Failure::failed)?)
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
    fn nothing_has_no_sign() {
        assert_eq!(number(-0.0001, 3), "0.000");
        assert_eq!(number(-0.0, 1), "0.0");
        assert_eq!(number(-0.0006, 3), "-0.001");
        assert_eq!(number(-10.0, 0), "-10");
        assert_eq!(number(f64::NAN, 3), "NaN");
    }
}
