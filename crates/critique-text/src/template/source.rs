//! What Jinja and transformers do to the text of a template before it is read.

/// The text with line ends as Jinja2 reads them, and with `{% generation %}`, which marks what is
/// learnt and writes nothing, as a tag that only opens a scope.
pub(super) fn prepared(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    with_known_tags(&source)
}

fn with_known_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = opening(rest) {
        let (text, tag) = rest.split_at(start);
        let (tag, behind) = tag.split_at(length(tag));
        out += text;
        out += &known(tag);
        rest = behind;
        if name(tag) == Some("raw") {
            let raw = end_of_raw(rest);
            out += &rest[..raw];
            rest = &rest[raw..];
        }
    }
    out + rest
}

/// Where the next tag, expression or comment begins.
fn opening(text: &str) -> Option<usize> {
    text.match_indices('{')
        .map(|(at, _)| at)
        .find(|&at| text[at + 1..].starts_with(['%', '{', '#']))
}

/// Bytes from the beginning of a tag, expression or comment to its end. Texts and brackets in it
/// may hold what else would end it.
fn length(tag: &str) -> usize {
    let close = match tag.as_bytes()[1] {
        b'%' => "%}",
        b'{' => "}}",
        _ => return tag.find("#}").map_or(tag.len(), |at| at + 2),
    };
    let (mut quote, mut escaped, mut open) = (None, false, 0);
    for (at, letter) in tag.char_indices().skip(2) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(end) if letter == end => quote = None,
            Some(_) => {}
            None if open == 0 && tag[at..].starts_with(close) => return at + close.len(),
            None => match letter {
                '"' | '\'' => quote = Some(letter),
                '{' | '[' | '(' => open += 1,
                '}' | ']' | ')' => open = (open - 1i32).max(0),
                _ => {}
            },
        }
    }
    tag.len()
}

/// The word that a tag of nothing else holds.
fn name(tag: &str) -> Option<&str> {
    let inside = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    Some(inside.trim_matches(['-', '+']).trim())
}

fn known(tag: &str) -> String {
    match name(tag) {
        Some("generation") => tag.replacen("generation", "with", 1),
        Some("endgeneration") => tag.replacen("endgeneration", "endwith", 1),
        _ => tag.to_owned(),
    }
}

/// Bytes before the tag that ends a raw text.
fn end_of_raw(text: &str) -> usize {
    let mut tags = text.match_indices("{%").map(|(at, _)| at);
    let ends = |at: &usize| name(&text[*at..*at + length(&text[*at..])]) == Some("endraw");
    tags.find(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::prepared;

    #[test]
    fn the_generation_tag_opens_a_scope_wherever_it_is_a_tag() {
        let cases = [
            (
                "{% generation %}a{% endgeneration %}",
                "{% with %}a{% endwith %}",
            ),
            (
                "{%- generation -%}a{%+endgeneration+%}",
                "{%- with -%}a{%+endwith+%}",
            ),
            ("{%generation%}", "{%with%}"),
            ("{%\n  generation\n%}", "{%\n  with\n%}"),
        ];
        for (source, wanted) in cases {
            assert_eq!(prepared(source), wanted);
        }
        let same = [
            "{% if add_generation_prompt %}{% endif %}",
            "{{ '{% generation %}' }}",
            r#"{{ "\"{% generation %}" }}"#,
            "{# {% generation %} #}",
            "{% raw %}{% generation %}{{ {% endraw %}",
            "{% set generation = 1 %}{{ generation }}",
            "{{ {'a': {'b': '{% generation %}'}} }}",
            "{% set x = {'a': '%}{% generation %}'} %}",
            "text % } generation",
            "{",
            "{%",
            "{{ 'never ends",
            "{# never ends {% generation %}",
            "{% raw %}{% generation %}",
        ];
        for source in same {
            assert_eq!(prepared(source), source);
        }
    }

    #[test]
    fn line_ends_are_those_of_jinja() {
        assert_eq!(prepared("a\r\nb\rc\n\r\nd"), "a\nb\nc\n\nd");
        // What is written as an escape is no line end of the file.
        assert_eq!(prepared(r"{{ '\r\n' }}"), r"{{ '\r\n' }}");
    }
}
