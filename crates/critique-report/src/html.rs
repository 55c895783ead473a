//! Text in HTML, and data in a script.

use std::fmt::{self, Write as _};

/// A text that stays text: markup is escaped, and what would command a terminal or turn the order
/// of letters is shown in letters.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                c if commands(c) => write!(f, "{}", c.escape_unicode())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// JSON that can stand in a script element: the value is the same, and nothing in it ends the
/// element or commands whoever shows the file.
pub(crate) fn in_script(json: &str) -> String {
    let mut safe = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        if matches!(c, '<' | '>' | '&') || commands(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

fn commands(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "</script><!--<b a=\"'\">\u{0}\u{1b}[2J\u{9b}\u{202e}&amp;\u{2028}\n";

    #[test]
    fn text_is_no_markup() {
        let text = Text(HOSTILE).to_string();
        let shown = "&lt;/script&gt;&lt;!--&lt;b a=&quot;&#39;&quot;&gt;\\u{0}\\u{1b}[2J\\u{9b}\\u{202e}&amp;amp;\\u{2028}\n";
        assert_eq!(text, shown);
    }

    #[test]
    fn data_in_a_script_is_the_same_value_and_ends_no_element() {
        let json = serde_json::to_string(HOSTILE).unwrap();
        let safe = in_script(&json);
        assert!(
            !safe.contains(['<', '>', '&']) && !safe.contains(commands),
            "{safe}"
        );
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), HOSTILE);
    }
}
