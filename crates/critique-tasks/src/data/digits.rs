//! Numbers of JSON that a 64-bit number cannot hold, kept as they are written.
//!
//! An answer such as `12345678901234567890123` is a number like any other in the file of a data
//! set, and reading it as a double would make another answer of it.

use std::borrow::Cow;

/// Significant digits that every double keeps.
const SAFE_DIGITS: usize = 15;

/// Sizes of an exponent from which on a double may lose digits or overflow.
const SAFE_EXPONENT: u32 = 290;

/// A JSON text with numbers that reading would change put in quotes.
///
/// Texts are left alone, and so is anything that is no JSON: the reader behind this says so.
pub(crate) fn quoted(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_text(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(bytes, at);
                if !survives(&json[at..end]) {
                    out.push_str(&json[copied..at]);
                    for piece in ["\"", &json[at..end], "\""] {
                        out.push_str(piece);
                    }
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    out.push_str(&json[copied..]);
    Cow::Owned(out)
}

/// Behind the quote that ends a text which starts at `at`.
fn end_of_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_number(bytes: &[u8], at: usize) -> usize {
    let length = bytes[at..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
        .count();
    at + length
}

/// Whether a number stays what it is when it is read; so does what is no number of JSON, which is
/// an error and no text.
fn survives(number: &str) -> bool {
    if !is_number(number) || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    if !number.contains(['.', 'e', 'E']) {
        return false;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent = exponent.parse::<i32>().map_or(u32::MAX, i32::unsigned_abs);
    digits.trim_matches('0').len() <= SAFE_DIGITS && exponent < SAFE_EXPONENT
}

/// By the grammar of JSON: no `+1`, `01`, `1.` or `.5`.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, part) = match mantissa.split_once('.') {
        Some((whole, part)) => (whole, Some(part)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && part.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['-', '+']).unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_reading_would_change_are_quoted() {
        for kept in [
            "18446744073709551615",
            "-9223372036854775808",
            "18.0",
            "-0.5",
            "1e22",
            "0.000000000000001",
            "\"12345678901234567890123\"",
            "\"a \\\" 12345678901234567890123\"",
            "\"open 12345678901234567890123",
            // No JSON: whoever reads it says so.
            "012345678901234567890123",
            "12345678901234567890123-1",
            "123456789012345678901.",
        ] {
            assert_eq!(quoted(kept), kept);
        }
        for changed in [
            "18446744073709551616",
            "-9223372036854775809",
            "12345678901234567890123",
            "100000000000000000000",
            "0.1234567890123456789",
            "9007199254740993.0",
            "1e400",
            "1E-400",
            "1234567890123456789e3",
        ] {
            assert_eq!(quoted(changed), format!("\"{changed}\""));
        }
    }

    #[test]
    fn numbers_in_lists_and_objects_are_seen() {
        assert_eq!(
            quoted(r#"{"a": [1,98765432109876543210], "b":{"c":-12345678901234567890.5}}"#),
            r#"{"a": [1,"98765432109876543210"], "b":{"c":"-12345678901234567890.5"}}"#
        );
    }
}
