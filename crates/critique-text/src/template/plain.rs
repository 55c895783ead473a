//! Templates that cannot run away.
//!
//! A rendering is watched from another thread ([`super::budget`]), which costs more than the
//! rendering itself, and far more where all cores are busy. A template that does no more than walk
//! the messages and write their parts needs no watch: it makes no value that holds others, calls
//! nothing, and every step of it is small and counted as fuel.

/// Whether a template does no more than that, as far as its text shows: loops, conditions,
/// attributes, places in a list, comparisons, texts put together, `trim`. Says no in doubt.
pub(super) fn is_plain(source: &str) -> bool {
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        rest = &rest[at + 1..];
        let (statement, end) = match rest.chars().next() {
            Some('{') => (false, "}}"),
            Some('%') => (true, "%}"),
            // A comment.
            Some('#') => match rest.find("#}") {
                Some(at) => {
                    rest = &rest[at + 2..];
                    continue;
                }
                None => return false,
            },
            _ => continue,
        };
        match block(&rest[1..], end) {
            Some((tokens, behind)) if is_plain_block(&tokens, statement) => rest = behind,
            _ => return false,
        }
    }
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    /// A text or a number.
    Literal,
    Sign(char),
}

/// The tokens up to the end of a block, and what follows it.
fn block<'a>(mut rest: &'a str, end: &str) -> Option<(Vec<Token<'a>>, &'a str)> {
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix(end) {
            return Some((tokens, behind));
        }
        let first = rest.chars().next()?;
        let (token, length) = match first {
            '\'' | '"' => (Token::Literal, text_length(rest, first)?),
            _ if first.is_ascii_digit() => (Token::Literal, run(rest, |c| c.is_ascii_digit())),
            _ if first.is_ascii_alphabetic() || first == '_' => {
                let length = run(rest, |c| c.is_ascii_alphanumeric() || c == '_');
                (Token::Name(&rest[..length]), length)
            }
            _ => (Token::Sign(first), first.len_utf8()),
        };
        tokens.push(token);
        rest = &rest[length..];
    }
}

fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c| !of(c)).unwrap_or(text.len())
}

/// Bytes of the quoted text at the start.
fn text_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn is_plain_block(tokens: &[Token<'_>], statement: bool) -> bool {
    // `-` and `+` at the edges are about blanks.
    let inner = tokens
        .iter()
        .skip_while(|it| matches!(it, Token::Sign('-' | '+')));
    let first = inner.clone().next();
    let known = ["for", "endfor", "if", "elif", "else", "endif"];
    if statement && !matches!(first, Some(Token::Name(name)) if known.contains(name)) {
        return false;
    }
    let mut before = Token::Sign(' ');
    inner.copied().all(|token| {
        let plain = match token {
            Token::Literal => true,
            Token::Name(name) => {
                name != "recursive" && (before != Token::Sign('|') || name == "trim")
            }
            // A place in a list, no list.
            Token::Sign('[') => is_operand(before),
            // Brackets, no call.
            Token::Sign('(') => !is_operand(before),
            Token::Sign(sign) => ".])+~-:=!<>|".contains(sign),
        };
        before = token;
        plain
    })
}

/// Whether something ends here that can be called or looked into.
fn is_operand(token: Token<'_>) -> bool {
    const WORDS: [&str; 8] = ["in", "and", "or", "not", "if", "elif", "else", "is"];
    match token {
        Token::Literal | Token::Sign(']' | ')') => true,
        Token::Name(name) => !WORDS.contains(&name),
        Token::Sign(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn templates_that_walk_the_messages_are_plain() {
        let plain = [
            "",
            "{# a comment #}{ not a block }",
            "{%- for message in messages -%}{%- if message.role == 'user' -%}\
             {{- '<user>' + message.content -}}{%- else -%}{{- '<model>' + message.content -}}\
             {%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%}{{- '<m>' -}}{%- endif -%}",
            "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
             {{ '<|im_start|>system\nYou are (a) \"helper\" * 2<|im_end|>\n' }}{% endif %}\
             {{'<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>'}}\
             {% endfor %}",
            "{{ 'it\\'s' ~ (bos_token if bos_token is defined else '') }}",
            "{% for m in messages[1:] if not (m.role == 'tool') %}{{ m.content }}{% endfor %}",
        ];
        for source in plain {
            assert!(is_plain(source), "{source}");
        }
    }

    #[test]
    fn all_others_are_watched() {
        let watched = [
            "{% set x = messages %}",
            "{{ 'a' * 9 }}",
            "{{ f() }}",
            "{{ messages[0].content.replace('a', 'b') }}",
            "{{ messages[0]['content']('a') }}",
            "{{ (messages)(1) }}",
            "{{ [messages, messages] == 1 }}",
            "{{ {'a': messages} }}",
            "{{ messages, messages }}",
            "{{ messages | tojson }}",
            "{{ messages |  join }}",
            "{% for m in messages recursive %}{{ m }}{% endfor %}",
            "{% macro f() %}{% endmacro %}",
            "{%- filter upper -%}a{%- endfilter -%}",
            "{{ 'never ended }}",
            "{# never ended",
            "{{ 3 % 2 }}",
            "{{ 4 // 2 }}",
            "{{ not in('a') }}{{ in_(1) }}",
            "{{ range(10) }}",
            "{%\tset x = 1 %}",
        ];
        for source in watched {
            assert!(!is_plain(source), "{source}");
        }
    }
}
