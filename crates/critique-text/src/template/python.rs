//! Values as Python writes them: `json.dumps` and the `repr` of floats.

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind, State};

use super::budget;

/// Largest indentation of one level.
const WIDEST: usize = 100;

/// Python's `json.dumps` with transformers' defaults: nothing escaped for HTML, characters
/// beyond ASCII kept, `", "` and `": "` between.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature of a filter with keyword arguments"
)]
pub(super) fn to_json(
    state: &State<'_, '_>,
    value: &Value,
    options: Kwargs,
) -> Result<Value, Error> {
    let indent = match options.get::<Option<Value>>("indent")? {
        None => None,
        Some(indent) if indent.is_none() => None,
        Some(indent) => Some(usize::try_from(indent)?),
    };
    if let Some(indent) = indent.filter(|it| *it > WIDEST) {
        let message = format!("tojson was given an `indent` of {indent}; at most {WIDEST} will do");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let (item, key) = match separators.as_deref() {
        None => (if indent.is_some() { "," } else { ", " }, ": "),
        Some([item, key]) => (item.as_str(), key.as_str()),
        Some(_) => {
            let message = "tojson wants two `separators`";
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    };
    let style = JsonStyle {
        indent,
        item,
        key,
        ascii: options
            .get::<Option<bool>>("ensure_ascii")?
            .unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    if value.is_undefined() {
        let message = "tojson was given an undefined value";
        return Err(Error::new(ErrorKind::UndefinedError, message));
    }
    // What is written for each item beside the item.
    let around = item.len() + key.len() + indent.unwrap_or(0) * budget::DEEPEST;
    budget::pay_for(state, value, around)?;
    let value = serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "tojson cannot write this").with_source(error)
    })?;
    let mut out = String::new();
    style.write(&value, 0, &mut out);
    Ok(Value::from_safe_string(out))
}

struct JsonStyle<'a> {
    indent: Option<usize>,
    item: &'a str,
    key: &'a str,
    ascii: bool,
    sorted: bool,
}

impl JsonStyle<'_> {
    fn write(&self, value: &serde_json::Value, depth: usize, out: &mut String) {
        match value {
            serde_json::Value::String(text) => self.write_text(text, out),
            serde_json::Value::Number(number) => {
                *out += &match number.as_f64().filter(|_| number.is_f64()) {
                    Some(float) => python_float(float),
                    None => number.to_string(),
                }
            }
            serde_json::Value::Array(items) => {
                self.write_all(['[', ']'], items, depth, out, |item, out| {
                    self.write(item, depth + 1, out);
                });
            }
            serde_json::Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                if self.sorted {
                    fields.sort_by_key(|(key, _)| *key);
                }
                self.write_all(['{', '}'], &fields, depth, out, |(key, item), out| {
                    self.write_text(key, out);
                    *out += self.key;
                    self.write(item, depth + 1, out);
                });
            }
            simple => *out += &simple.to_string(),
        }
    }

    fn write_all<T>(
        &self,
        [open, close]: [char; 2],
        items: &[T],
        depth: usize,
        out: &mut String,
        write: impl Fn(&T, &mut String),
    ) {
        out.push(open);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                *out += self.item;
            }
            self.new_line(depth + 1, out);
            write(item, out);
        }
        if !items.is_empty() {
            self.new_line(depth, out);
        }
        out.push(close);
    }

    fn new_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn write_text(&self, text: &str, out: &mut String) {
        let quoted = serde_json::Value::from(text).to_string();
        if !self.ascii {
            *out += &quoted;
            return;
        }
        for letter in quoted.chars() {
            if letter.is_ascii() {
                out.push(letter);
            } else {
                let units = letter.encode_utf16(&mut [0; 2]).to_vec();
                out.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
}

/// A float as Python's `repr` writes it.
pub(super) fn python_float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_in_python() {
        let cases = [
            (0.0, "0.0"),
            (-1.5, "-1.5"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (5e-324, "5e-324"),
        ];
        for (value, wanted) in cases {
            assert_eq!(python_float(value), wanted);
        }
    }
}
