//! Texts on standard input.

use std::io::{self, IsTerminal, Read};

use crate::failure::Failure;

/// All of standard input, without the one newline that shells and editors put at the end of a
/// text. `what` is wanted there, and `instead` would do as well.
pub(crate) fn piped(what: &str, instead: &str) -> Result<String, Failure> {
    let missing = || {
        Failure::usage(format!(
            "there is no {what}; expected {instead}, or text on standard input"
        ))
    };
    // A person would wait for an answer, and the command for the person.
    if io::stdin().is_terminal() {
        return Err(missing());
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let text = without_newline(&text);
    if text.is_empty() {
        return Err(missing());
    }
    Ok(text.to_owned())
}

fn without_newline(text: &str) -> &str {
    let Some(text) = text.strip_suffix('\n') else {
        return text;
    };
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_goes_and_all_else_stays() {
        for (text, wanted) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("a \r", "a \r"),
            (" \n", " "),
            ("\n", ""),
        ] {
            assert_eq!(without_newline(text), wanted, "{text:?}");
        }
    }
}
