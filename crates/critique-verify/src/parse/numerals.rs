//! Numbers as they are written: groups, decimals, repeating parts, exponents.

use super::lexer::{Lexer, Literal, Tok};

impl Lexer<'_> {
    /// The length of a thousands separator here, and whether it is a comma.
    pub(super) fn separator(&self) -> Option<(usize, bool)> {
        let rest = &self.text[self.at..];
        for (form, comma) in [
            ("{,}", false),
            ("\\,", false),
            (",\\!", false),
            ("\\!,\\!", false),
            ("{\\,}", false),
            ("\\ ", false),
            ("\\;", false),
            ("\\:", false),
            ("{ }", false),
            (",", true),
            (" ", false),
            ("_", false),
        ] {
            let Some(mut after) = rest.strip_prefix(form) else {
                continue;
            };
            let mut length = form.len();
            if form == ",\\!" {
                let trimmed = after.trim_start_matches(' ');
                length += after.len() - trimmed.len();
                after = trimmed;
            }
            if form == "_" {
                return None;
            }
            let group = after.bytes().take_while(u8::is_ascii_digit).count();
            if group != 3 {
                continue;
            }
            // A blank group must not be the first number of `10 200.5`-like prose.
            return Some((length, comma));
        }
        None
    }

    pub(super) fn number(&mut self) {
        let mut digits = String::new();
        self.digits(&mut digits);
        let mut commas = false;
        if (1..=3).contains(&digits.len()) && !digits.starts_with('0') && self.at > self.plain_until
        {
            self.plain_until = self.plain_until.max(self.list_end(digits.len()));
        }
        if (1..=3).contains(&digits.len()) && !digits.starts_with('0') && self.at > self.plain_until
        {
            while let Some((length, comma)) = self.separator() {
                let blank = self.text[self.at..].starts_with(' ');
                if blank && !self.blank_group_ends_well() {
                    break;
                }
                self.at += length;
                commas |= comma;
                self.digits(&mut digits);
            }
        }
        let mut repeating = 0;
        if self.peek(0) == Some(b'.') && !self.text[self.at..].starts_with("...") {
            let next = self.peek(1);
            if next.is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1;
                digits.push('.');
                self.digits(&mut digits);
            } else if next == Some(b'\\') || next == Some(b'(') {
                // `0.\overline{3}`
                let before = self.at;
                self.at += 1;
                digits.push('.');
                repeating = self.repetition(&mut digits);
                if repeating == 0 {
                    self.at = before;
                    digits.pop();
                }
            } else if next.is_none_or(|c| !c.is_ascii_alphabetic() && c != b'.') {
                self.at += 1;
            }
        }
        if repeating == 0 && digits.contains('.') {
            repeating = self.repetition(&mut digits);
        }
        let exponent = self.exponent();
        self.push(Tok::Number(Literal {
            digits,
            repeating,
            exponent,
            commas,
        }));
    }

    /// The end of a run of digits and commas that cannot be one number:
    /// `1,2,100` is a list, `1,200,100` is not.
    pub(super) fn list_end(&self, first: usize) -> usize {
        let rest = &self.bytes[self.at - first..];
        let length = rest
            .iter()
            .take_while(|c| c.is_ascii_digit() || **c == b',')
            .count();
        let run = &self.text[self.at - first..self.at - first + length];
        let one = run
            .trim_end_matches(',')
            .split(',')
            .skip(1)
            .all(|group| group.len() == 3);
        if one && self.grouped {
            0
        } else if run.contains(',') {
            self.at - first + length
        } else {
            0
        }
    }

    /// Whether the three digits after a blank stand alone, so `12 345` is one
    /// number and `1 234/5` is not.
    pub(super) fn blank_group_ends_well(&self) -> bool {
        let rest = self.text[self.at + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
        !rest.starts_with(['/', '.', '^', '_']) && !rest.trim_start().starts_with('/')
    }

    /// Reads a mark for a repeating part; gives its length.
    pub(super) fn repetition(&mut self, digits: &mut String) -> usize {
        if let Some(length) = self.dotted(digits) {
            return length;
        }
        let rest = &self.text[self.at..];
        for form in ["\\overline{", "\\bar{", "\\overline {", "\\dot{", "("] {
            let Some(after) = rest.strip_prefix(form) else {
                continue;
            };
            let length = after.bytes().take_while(u8::is_ascii_digit).count();
            let close = if form == "(" { b')' } else { b'}' };
            if length == 0 || after.as_bytes().get(length) != Some(&close) {
                continue;
            }
            // `0.5(3)` is a product; only `0.(3)` and `0.1(6)` with nothing after repeat.
            if form == "(" && !after[length + 1..].trim().is_empty() {
                continue;
            }
            digits.push_str(&after[..length]);
            self.at += form.len() + length + 1;
            return length;
        }
        self.repeated(digits)
    }

    /// `0.333...`, `0.1212\\ldots`: the length of what stands twice, a single digit three times.
    fn repeated(&mut self, digits: &str) -> usize {
        let rest = &self.text[self.at..];
        let dots = ["...", "\\ldots", "\\dots", "\\cdots"]
            .into_iter()
            .find(|dots| rest.trim_start().starts_with(dots));
        let Some(dots) = dots else { return 0 };
        let Some(decimals) = digits.find('.').map(|dot| &digits[dot + 1..]) else {
            return 0;
        };
        for period in 1..=6 {
            let times = if period == 1 { 3 } else { 2 };
            let Some(tail) = decimals.len().checked_sub(period * times) else {
                break;
            };
            let tail = &decimals.as_bytes()[tail..];
            if tail.chunks(period).all(|chunk| chunk == &tail[..period]) {
                self.at += rest.len() - rest.trim_start().len() + dots.len();
                return period;
            }
        }
        0
    }

    /// `0.\dot{1}2\dot{3}`: a dot over the first and the last of what repeats.
    fn dotted(&mut self, digits: &mut String) -> Option<usize> {
        let rest = &self.text[self.at..];
        let mark = |text: &str| {
            let inner = text.strip_prefix("\\dot")?.trim_start();
            let braced = inner.starts_with('{');
            let inner = inner.strip_prefix('{').unwrap_or(inner);
            let digit = inner.chars().next().filter(char::is_ascii_digit)?;
            let after = &inner[1..];
            let after = if braced {
                after.strip_prefix('}')?
            } else {
                after
            };
            Some((digit, text.len() - after.len()))
        };
        let (first, length) = mark(rest)?;
        let between = rest[length..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        let (last, end) = mark(&rest[length + between..])?;
        digits.push(first);
        digits.push_str(&rest[length..length + between]);
        digits.push(last);
        self.at += length + between + end;
        Some(between + 2)
    }

    /// `e5`, `E-3`.
    pub(super) fn exponent(&mut self) -> i64 {
        if !matches!(self.peek(0), Some(b'e' | b'E')) {
            return 0;
        }
        let mut ahead = 1;
        if matches!(self.peek(ahead), Some(b'+' | b'-')) {
            ahead += 1;
        }
        let from = self.at + 1;
        let length = self.bytes[self.at + ahead..]
            .iter()
            .take_while(|c| c.is_ascii_digit())
            .count();
        if length == 0 || length > 15 {
            return 0;
        }
        let end = self.at + ahead + length;
        let Ok(value) = self.text[from..end].parse() else {
            return 0;
        };
        self.at = end;
        value
    }
}
