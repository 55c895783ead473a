//! `tokenizer_config.json`.

use serde_json::Map;
use tokenizers::AddedToken;

use crate::codec::SpecialTokens;

/// What `tokenizer_config.json` says.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) special: SpecialTokens,
    pub(crate) extra_special: Vec<AddedToken>,
    pub(crate) template: Option<String>,
}

impl Settings {
    pub(crate) fn read(fields: &Map<String, serde_json::Value>) -> Result<Self, String> {
        let token = |name: &str| match fields.get(name) {
            None => Ok(None),
            Some(value) => token_text(value)
                .map_err(|()| format!("field `{name}` is `{value}`; a token's text is wanted")),
        };
        let mut extra: Vec<_> = token("unk_token")?
            .map(|text| AddedToken::from(text, true))
            .into_iter()
            .collect();
        for name in ["additional_special_tokens", "extra_special_tokens"] {
            extra.extend(listed_tokens(fields.get(name)));
        }
        extra.extend(decoder_tokens(fields.get("added_tokens_decoder")));
        Ok(Self {
            special: SpecialTokens {
                bos: token("bos_token")?,
                eos: token("eos_token")?,
                pad: token("pad_token")?,
            },
            extra_special: extra,
            template: template_text(fields.get("chat_template"))?,
        })
    }
}

/// A token written as a text, or as an object with its `content`.
fn token_text(value: &serde_json::Value) -> Result<Option<String>, ()> {
    match value {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text.clone())),
        other => match other.get("content").and_then(serde_json::Value::as_str) {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(()),
        },
    }
}

/// Special tokens in a list, or in an object by role.
fn listed_tokens(value: Option<&serde_json::Value>) -> Vec<AddedToken> {
    let values: Vec<_> = match value {
        Some(serde_json::Value::Array(values)) => values.iter().collect(),
        Some(serde_json::Value::Object(values)) => values.values().collect(),
        _ => Vec::new(),
    };
    let texts = values.into_iter().filter_map(|it| token_text(it).ok()?);
    texts.map(|text| AddedToken::from(text, true)).collect()
}

/// Special tokens of `added_tokens_decoder`, an object by id.
fn decoder_tokens(value: Option<&serde_json::Value>) -> Vec<AddedToken> {
    let Some(tokens) = value.and_then(serde_json::Value::as_object) else {
        return Vec::new();
    };
    let special = tokens
        .values()
        .filter(|it| it["special"] == serde_json::Value::Bool(true));
    let texts = special.filter_map(|it| token_text(it).ok()?);
    texts.map(|text| AddedToken::from(text, true)).collect()
}

/// The template in `tokenizer_config.json`: a text, or a list of named ones.
fn template_text(value: Option<&serde_json::Value>) -> Result<Option<String>, String> {
    let wanted = "a text or a list of `name` and `template` is wanted";
    match value {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text.clone())),
        Some(serde_json::Value::Array(templates)) => {
            let default = templates.iter().find(|it| it["name"] == "default");
            if let Some(text) = default.and_then(|it| it["template"].as_str()) {
                return Ok(Some(text.to_owned()));
            }
            let names = templates.iter().filter_map(|it| it["name"].as_str());
            let names: Vec<_> = names.collect();
            Err(format!(
                "field `chat_template` holds no template named `default`, only `{}`",
                names.join("`, `")
            ))
        }
        Some(other) => Err(format!("field `chat_template` is {other}; {wanted}")),
    }
}
