//! A tokenizer whose tokens are whole phrases, for toy models.

use serde_json::{Map, Value, json};

/// The token for what no phrase covers.
const UNKNOWN: &str = "<unk>";

/// The `tokenizer.json` of a tokenizer whose tokens are the given phrases: id 0 is `<unk>`, then
/// come the phrases, then the special tokens, each in the order given and once.
///
/// A text is cut from left to right, the longest phrase first; a character that starts no phrase
/// becomes `<unk>`. Phrases may hold blanks and newlines. The tokens' texts one after the other
/// are the text again, without blanks between them.
///
/// Python's tokenizers and transformers load it; but where `config.json` says `qwen2`,
/// transformers 5 takes its own `Qwen2Tokenizer` whatever the files say, so give a toy model
/// another architecture.
///
/// ```
/// let json = critique_text::phrase_tokenizer(&["Answer: ", "7", "\n"], &["<|end|>"]);
/// let special = critique_text::SpecialTokens { eos: Some("<|end|>".into()), ..Default::default() };
/// let codec = critique_text::TextCodec::from_parts(&json, "", special).unwrap();
/// let ids = codec.encode_text("Answer: 7\n").unwrap();
/// assert_eq!(ids, [1, 2, 3]);
/// assert_eq!(codec.decode(&ids, true), "Answer: 7\n");
/// ```
pub fn phrase_tokenizer(phrases: &[&str], special: &[&str]) -> String {
    let mut vocab = Map::new();
    vocab.insert(UNKNOWN.to_owned(), json!(0));
    for phrase in phrases {
        if !phrase.is_empty() && !special.contains(phrase) && !vocab.contains_key(*phrase) {
            vocab.insert((*phrase).to_owned(), json!(vocab.len()));
        }
    }
    let mut known: Vec<&str> = Vec::new();
    for token in special {
        if !token.is_empty() && *token != UNKNOWN && !known.contains(token) {
            known.push(token);
        }
    }
    let added: Vec<_> = known
        .iter()
        .enumerate()
        .map(|(i, token)| added_token(vocab.len() + i, token))
        .collect();
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": { "Regex": pattern(&vocab) },
            "behavior": "Isolated",
            "invert": false,
        },
        "post_processor": null,
        "decoder": { "type": "Fuse" },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": UNKNOWN },
    });
    format!("{tokenizer:#}\n")
}

fn added_token(id: usize, content: &str) -> Value {
    json!({
        "id": id,
        "content": content,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": false,
        "special": true,
    })
}

/// Any phrase, longer ones first, or else any one character.
fn pattern(vocab: &Map<String, Value>) -> String {
    let mut phrases: Vec<&str> = vocab.keys().map(String::as_str).collect();
    phrases.retain(|it| *it != UNKNOWN);
    phrases.sort_by_key(|it| std::cmp::Reverse(it.len()));
    let mut pattern = String::new();
    for phrase in phrases {
        for letter in phrase.chars() {
            if r"\.+*?()|[]{}^$".contains(letter) {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push('|');
    }
    pattern + r"[\s\S]"
}
