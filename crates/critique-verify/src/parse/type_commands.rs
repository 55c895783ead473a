//! `\text{..}`, `\mathrm{..}` and their kin: words, units, functions, or formulas.

use super::lexer::{Lexer, Tok, before_amount};
use super::names;

impl Lexer<'_> {
    pub(super) fn text_command(&mut self, name: &str) {
        let Some(content) = self.group() else { return };
        let trimmed = content.trim_matches(|c: char| c.is_whitespace() || c == '~');
        let trimmed = trimmed.strip_suffix('.').unwrap_or(trimmed);
        self.spaced |= content.starts_with([' ', '~']);
        if trimmed.is_empty() {
            return;
        }
        if let [letter] = trimmed.as_bytes()
            && letter.is_ascii_alphabetic()
        {
            let styled = matches!(
                name,
                "boxed" | "fbox" | "mathbf" | "mathit" | "mathnormal" | "bold" | "underline"
            );
            // `\mathrm{d}x` is a differential, never a unit.
            let tok = if styled || *letter == b'd' {
                Tok::Letter(*letter as char)
            } else {
                Tok::Text(trimmed.to_owned())
            };
            self.push(tok);
            return;
        }
        if (trimmed.len() > 2 || matches!(trimmed, "ln" | "lg" | "Re" | "Im" | "tr"))
            && let Some(known) = names::function(trimmed)
        {
            self.push(Tok::Name(known));
            return;
        }
        if names::letter(trimmed) == Some(names::Name::Infinity) {
            self.push(Tok::Name(names::Name::Infinity));
            return;
        }
        // `\text{Rs. }450`
        let after = self.text[self.at..].trim_start_matches([' ', '~', '\\', ',']);
        if self.out.is_empty() && names::is_currency(trimmed) && before_amount(after) {
            return;
        }
        if trimmed == "mod" {
            self.push(Tok::Command("mod".to_owned()));
            return;
        }
        if self.after_amount() && is_compound_unit(trimmed) {
            self.push(Tok::Text("compound unit".to_owned()));
            return;
        }
        let has_digit = trimmed.bytes().any(|c| c.is_ascii_digit());
        let has_word = trimmed
            .split(|c: char| !c.is_alphabetic())
            .any(|word| word.chars().count() >= 2 && !matches!(word, "and" | "or"));
        let mathematical = matches!(
            name,
            "boxed" | "fbox" | "ensuremath" | "mathbf" | "mathit" | "underline"
        );
        if !has_word
            || has_digit
            || mathematical
            || names::is_connective(trimmed)
            || trimmed.contains('\\')
        {
            self.splice(&content);
            return;
        }
        self.push(Tok::Text(trimmed.to_owned()));
    }

    fn after_amount(&self) -> bool {
        matches!(
            self.out.last().map(|token| &token.tok),
            Some(Tok::Number(_) | Tok::Name(names::Name::Pi) | Tok::Sign('}' | ')'))
        )
    }

    /// Reads a group's content as if it stood there without its command.
    pub(super) fn splice(&mut self, content: &str) {
        if self.depth >= 8 {
            return;
        }
        let mut inner = Lexer {
            bytes: content.as_bytes(),
            text: content,
            at: 0,
            spaced: self.spaced,
            out: Vec::new(),
            depth: self.depth + 1,
            grouped: self.grouped,
            plain_until: 0,
        };
        inner.run();
        self.spaced = inner.spaced;
        self.out.append(&mut inner.out);
    }
}

/// `m\cdot s^{-2}`, `kg/m^3`: units with signs between them or powers.
fn is_compound_unit(text: &str) -> bool {
    let plain = text.replace("\\cdot", "*").replace("\\,", " ");
    let letters = plain
        .split(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty());
    plain.starts_with(char::is_alphabetic)
        && plain.contains(['*', '/', '^'])
        && plain
            .chars()
            .all(|c| c.is_alphanumeric() || " ~*/^{}()-".contains(c))
        && letters
            .into_iter()
            .all(|word| names::is_unit(word) || names::is_letter_unit(word))
}
