//! Which tokens end a text, as a model folder says.

use std::collections::BTreeSet;
use std::path::Path;

use critique_core::files::given::shown;
use critique_core::files::{FileError, given};
use serde_json::{Map, Value};

/// End-of-text tokens of a model folder: those of `config.json`, then those that only
/// `generation_config.json` has. Empty without such files.
///
/// # Errors
///
/// When a file cannot be read, is no JSON object, or holds something else than token ids.
pub fn end_of_text_ids(folder: &Path) -> Result<Vec<u32>, FileError> {
    let mut ids = Vec::new();
    for name in ["config.json", "generation_config.json"] {
        let path = folder.join(name);
        let fields = read_json_object(&path)?.unwrap_or_default();
        let value = fields.get("eos_token_id").unwrap_or(&Value::Null);
        let Some(more) = token_ids(value) else {
            let message = format!(
                "field `eos_token_id` is `{}`; a token id or a list of at most {MOST} is wanted",
                shown(&value.to_string())
            );
            return Err(FileError::content(&path, message));
        };
        ids.extend(more);
    }
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

/// Most end-of-text tokens of a model.
const MOST: usize = 1000;

/// One token id or a list of at most 1000; none of `null`, nothing of anything else.
fn token_ids(value: &Value) -> Option<Vec<u32>> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(ids) if ids.len() > MOST => None,
        Value::Array(ids) => ids.iter().map(id).collect(),
        value => id(value).map(|id| vec![id]),
    }
}

/// A JSON object, or nothing when there is no such file.
pub(crate) fn read_json_object(path: &Path) -> Result<Option<Map<String, Value>>, FileError> {
    let Some(bytes) = given::read(path, given::LONGEST_JSON)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| FileError::content(path, format!("not a JSON object: {error}")))
}
