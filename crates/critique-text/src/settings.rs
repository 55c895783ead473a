//! `tokenizer_config.json`.

use serde_json::Map;
use tokenizers::AddedToken;

use crate::codec::SpecialTokens;

/// What `tokenizer_config.json` says.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) special: SpecialTokens,
    /// Tokens beside those with a role, in the order in which transformers adds them.
    pub(crate) extra: ExtraTokens,
    pub(crate) template: Option<String>,
}

/// Tokens of `tokenizer_config.json` that `tokenizer.json` may lack.
#[derive(Default)]
pub(crate) struct ExtraTokens {
    /// Those of `added_tokens_decoder` with their ids.
    pub(crate) added: Vec<(u32, AddedToken)>,
    /// Those with a role, in the order of transformers' `SPECIAL_TOKENS_ATTRIBUTES`.
    pub(crate) roles: Vec<AddedToken>,
    /// Other special tokens.
    pub(crate) special: Vec<AddedToken>,
}

/// Fields that name a token with a role.
const ROLES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

impl Settings {
    /// Those of a tokenizer made in memory.
    pub(crate) fn of(special: SpecialTokens) -> Self {
        let SpecialTokens { bos, eos, pad } = &special;
        let roles = [bos, eos, pad].into_iter().flatten();
        let roles = roles.map(|it| AddedToken::from(it.clone(), true)).collect();
        Self {
            special,
            extra: ExtraTokens {
                roles,
                ..ExtraTokens::default()
            },
            template: None,
        }
    }

    pub(crate) fn read(fields: &Map<String, serde_json::Value>) -> Result<Self, String> {
        let token = |name: &str| match fields.get(name) {
            None => Ok(None),
            Some(value) => token_text(value)
                .map_err(|()| format!("field `{name}` is `{value}`; a token's text is wanted")),
        };
        let mut special = Vec::new();
        for name in ["additional_special_tokens", "extra_special_tokens"] {
            special.extend(listed_tokens(fields.get(name)));
        }
        let mut roles = Vec::new();
        for name in ROLES {
            roles.extend(token(name)?.map(|text| AddedToken::from(text, true)));
        }
        let extra = ExtraTokens {
            added: added_tokens(fields.get("added_tokens_decoder"))?,
            roles,
            special,
        };
        Ok(Self {
            special: SpecialTokens {
                bos: token("bos_token")?,
                eos: token("eos_token")?,
                pad: token("pad_token")?,
            },
            extra,
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

/// Tokens of `added_tokens_decoder`, an object by id, in the order of their ids.
fn added_tokens(value: Option<&serde_json::Value>) -> Result<Vec<(u32, AddedToken)>, String> {
    let Some(tokens) = value.and_then(serde_json::Value::as_object) else {
        return Ok(Vec::new());
    };
    let read = |(id, token): (&String, &serde_json::Value)| {
        let number = id.parse().ok();
        let added = number.zip(added_token(token));
        added.ok_or_else(|| {
            let token: String = token.to_string().chars().take(80).collect();
            format!(
                "field `added_tokens_decoder` gives `{}` the token `{token}`; ids and objects \
                 with `content` are wanted",
                id.escape_debug()
            )
        })
    };
    let mut tokens = tokens.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    tokens.sort_by_key(|(id, _)| *id);
    Ok(tokens)
}

/// A token with what is said of how it is found in a text.
fn added_token(value: &serde_json::Value) -> Option<AddedToken> {
    let flag = |name: &str| value.get(name).and_then(serde_json::Value::as_bool);
    let special = flag("special").unwrap_or(false);
    let token = AddedToken::from(token_text(value).ok()??, special)
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false))
        .single_word(flag("single_word").unwrap_or(false))
        .normalized(flag("normalized").unwrap_or(!special));
    Some(token)
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
