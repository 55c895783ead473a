//! Words behind a formula that only name what a letter ranges over.

use super::lexer::{Tok, Token};

/// Words that may stand in such a remark. "Odd", "prime" and "positive" are not among them: they
/// say which of the values are meant.
const REMARK: [&str; 37] = [
    "for",
    "where",
    "with",
    "all",
    "any",
    "some",
    "every",
    "each",
    "is",
    "are",
    "be",
    "can",
    "a",
    "an",
    "the",
    "of",
    "and",
    "in",
    "set",
    "real",
    "reals",
    "integer",
    "integers",
    "integral",
    "natural",
    "rational",
    "complex",
    "number",
    "numbers",
    "constant",
    "constants",
    "arbitrary",
    "fixed",
    "value",
    "values",
    "parameter",
    "scalar",
];

/// `3k \text{ for all integers } k` as `3k, k \in \mathbb{Z}`, and `cx \text{ for any constant } c`
/// as `cx`. Anything that says more, such as `y > 0`, stays as it is.
pub(super) fn as_conditions(tokens: Vec<Token>) -> Vec<Token> {
    let Some(start) = tokens.iter().rposition(opens_remark).filter(|at| *at > 0) else {
        return tokens;
    };
    let Some(remark) = Remark::of(&tokens[start..]) else {
        return before_membership(tokens, start);
    };
    let mut out = tokens;
    out.truncate(start);
    if out.last().map(|token| &token.tok) == Some(&Tok::Sign(',')) {
        out.pop();
    }
    let Some(domain) = remark.domain else {
        return out;
    };
    for letter in remark.letters {
        let condition = [
            Tok::Sign(','),
            Tok::Letter(letter),
            Tok::Command("in".to_owned()),
            Tok::Command("mathbb".to_owned()),
            Tok::Letter(domain),
        ];
        out.extend(condition.map(|tok| Token { tok, spaced: false }));
    }
    out
}

/// `cx \text{ for some } c \in \mathbb{R}` as `cx, c \in \mathbb{R}`.
fn before_membership(mut tokens: Vec<Token>, start: usize) -> Vec<Token> {
    let is_remark = |token: &Token| match &token.tok {
        Tok::Word(text) | Tok::Text(text) => text
            .split([' ', ',', ';'])
            .all(|word| word.is_empty() || REMARK.contains(&word.to_ascii_lowercase().as_str())),
        _ => false,
    };
    let length = tokens[start..]
        .iter()
        .take_while(|token| is_remark(token))
        .count();
    let letter = matches!(
        tokens.get(start + length).map(|token| &token.tok),
        Some(Tok::Letter(_))
    );
    let member = tokens.get(start + length + 1).map(|token| &token.tok)
        == Some(&Tok::Command("in".to_owned()));
    if length > 0 && letter && member {
        let comma = Token {
            tok: Tok::Sign(','),
            spaced: false,
        };
        tokens.splice(start..start + length, [comma]);
    }
    tokens
}

fn opens_remark(token: &Token) -> bool {
    match &token.tok {
        Tok::Word(text) | Tok::Text(text) => {
            let text = text.trim_start_matches([',', ';', ' ']);
            let first = text.split(' ').next().unwrap_or("");
            matches!(
                first.to_ascii_lowercase().as_str(),
                "for" | "where" | "with"
            )
        }
        _ => false,
    }
}

/// The letters that a remark is about, and the set of numbers that they are from.
struct Remark {
    letters: Vec<char>,
    domain: Option<char>,
}

impl Remark {
    fn of(tokens: &[Token]) -> Option<Self> {
        let mut words: Vec<String> = Vec::new();
        let mut letters: Vec<char> = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            match &token.tok {
                // "Where c is a constant": an article, since words follow.
                Tok::Letter('a')
                    if at > 0
                        && matches!(tokens[at - 1].tok, Tok::Word(_))
                        && !letters.is_empty() => {}
                Tok::Letter(letter) => letters.push(*letter),
                Tok::Sign(',' | '.') => {}
                Tok::Word(text) | Tok::Text(text) => {
                    for word in text.split([' ', ',', ';']).filter(|word| !word.is_empty()) {
                        match word.as_bytes() {
                            [letter] if *letter != b'a' && letter.is_ascii_alphabetic() => {
                                letters.push(*letter as char);
                            }
                            _ => words.push(word.to_ascii_lowercase()),
                        }
                    }
                }
                _ => return None,
            }
        }
        let known = words.iter().all(|word| REMARK.contains(&word.as_str()));
        if !known || words.len() < 2 || letters.is_empty() || letters.len() > 3 {
            return None;
        }
        let says = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
        let domain = if says(&["integer", "integers", "integral"]) {
            Some('Z')
        } else if says(&["natural"]) {
            Some('N')
        } else if says(&["rational"]) {
            Some('Q')
        } else if says(&["complex"]) {
            Some('C')
        } else if says(&["real", "reals"]) {
            Some('R')
        } else {
            None
        };
        Some(Self { letters, domain })
    }
}
