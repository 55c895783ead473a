//! Answers without what wraps them, and without commands for type and layout.

/// Most layers taken off an answer.
const MAX_WRAPPINGS: usize = 32;

/// Drops what wraps an answer: dollars, a box, bold marks, end punctuation.
pub(crate) fn clean(text: &str) -> &str {
    let mut text = text.trim();
    // Wrappings are few; a text made of nothing else is not worth the time.
    for _ in 0..MAX_WRAPPINGS {
        let before = text;
        text = text.trim_matches(|c: char| {
            c.is_whitespace()
                || matches!(c, '"' | '\u{201c}' | '\u{201d}' | '`' | '\u{feff}' | '\0')
        });
        for (open, close) in [
            ("$$", "$$"),
            ("$", "$"),
            ("\\(", "\\)"),
            ("\\[", "\\]"),
            ("**", "**"),
            ("__", "__"),
            ("'", "'"),
        ] {
            if text.len() > open.len() + close.len()
                && let Some(inner) = text
                    .strip_prefix(open)
                    .and_then(|rest| rest.strip_suffix(close))
                && !inner.contains(open)
            {
                text = inner;
            }
        }
        for open in ["\\boxed", "\\fbox", "\\mathrm", "\\displaystyle"] {
            let Some(rest) = text.strip_prefix(open) else {
                continue;
            };
            if open == "\\displaystyle" {
                text = rest;
            } else if open != "\\mathrm"
                && rest.trim_start().starts_with('{')
                && crate::parse::lexer::balanced(rest.trim_start()) == Some(rest.trim_start().len())
            {
                let rest = rest.trim_start();
                text = &rest[1..rest.len() - 1];
            }
        }
        // Keep `5!` and `0.333...`; a sentence's end goes.
        let cut = text.trim_end_matches([',', ';', ':']);
        text = if cut.ends_with("..") || cut.ends_with("\\.") {
            cut
        } else {
            cut.strip_suffix('.').unwrap_or(cut)
        };
        text = text
            .trim_end_matches("\\\\")
            .trim_end_matches("\\,")
            .trim_end_matches("\\ ");
        if text == before {
            return text;
        }
    }
    text
}

/// The text without its commands for type and layout.
pub(crate) fn unwrap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
                let name = &rest[..length];
                let style = matches!(
                    name,
                    "text"
                        | "mbox"
                        | "mathrm"
                        | "textbf"
                        | "textit"
                        | "textrm"
                        | "mathbf"
                        | "operatorname"
                        | "textnormal"
                        | "boxed"
                        | "fbox"
                        | "mathit"
                        | "mathsf"
                        | "textsf"
                        | "left"
                        | "right"
                        | "quad"
                        | "displaystyle"
                        | "hbox"
                        | "emph"
                        | "textup"
                        | "underline"
                );
                if style {
                    rest = &rest[length..];
                } else if length == 0 {
                    // `\ `, `\,`, `\!`, `\$`.
                    let skip = rest.chars().next().map_or(0, char::len_utf8);
                    let spacing = rest.starts_with([' ', ',', ';', ':']);
                    let norm = rest.starts_with('|');
                    rest = &rest[skip..];
                    if norm {
                        out.push_str("\\|");
                    }
                    if spacing {
                        out.push(' ');
                    }
                } else {
                    out.push('\\');
                }
            }
            '{' | '}' | '$' | '*' | '`' | '"' => {}
            '~' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
