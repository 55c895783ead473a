//! The files of a model's folder.

use std::fs::File;
use std::io;
use std::path::Path;

pub(crate) use critique_core::files::given::{shown, shown_up_to};
use critique_core::files::{self, FileError, given};

use crate::error::ModelError;

/// The files of a Hugging Face model folder that belong to the model and are not weights.
const COMPANIONS: [&str; 10] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
];

/// Copies what stands beside the weights of a model folder (configuration, tokenizer, chat
/// template) byte for byte, and gives the names of what was copied.
///
/// # Errors
///
/// When a file is there but cannot be read, or cannot be written.
pub fn copy_model_files(from: &Path, to: &Path) -> Result<Vec<&'static str>, ModelError> {
    let mut copied = Vec::new();
    for name in COMPANIONS {
        if let Some(bytes) = read_if_there(&from.join(name))? {
            write_whole(&to.join(name), &bytes)?;
            copied.push(name);
        }
    }
    Ok(copied)
}

/// A file's bytes, or nothing when there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, ModelError> {
    Ok(given::read(path, given::LONGEST)?)
}

/// A JSON object, or nothing when there is no such file.
pub(crate) fn read_json_object(
    path: &Path,
) -> Result<Option<serde_json::Map<String, serde_json::Value>>, ModelError> {
    let Some(bytes) = given::read(path, given::LONGEST_JSON)? else {
        return Ok(None);
    };
    parse_json_object(path, &bytes).map(Some)
}

/// A JSON object of a file that must be there.
pub(crate) fn required_json_object(
    path: &Path,
) -> Result<serde_json::Map<String, serde_json::Value>, ModelError> {
    read_json_object(path)?.ok_or_else(|| not_there(path))
}

/// That a file is not there.
pub(crate) fn not_there(path: &Path) -> ModelError {
    cannot_read(path, io::Error::from(io::ErrorKind::NotFound))
}

/// A JSON object out of the bytes of `path`.
pub(crate) fn parse_json_object(
    path: &Path,
    bytes: &[u8],
) -> Result<serde_json::Map<String, serde_json::Value>, ModelError> {
    serde_json::from_slice(bytes)
        .map_err(|error| in_file(path, format!("not a JSON object: {error}")))
}

/// Writes a file whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    Ok(files::write_whole(path, bytes)?)
}

/// Opens a file of a model folder; nothing when there is no such file.
pub(crate) fn open_if_there(path: &Path) -> Result<Option<File>, ModelError> {
    Ok(given::open(path)?)
}

pub(crate) fn cannot_read(path: &Path, source: io::Error) -> ModelError {
    FileError::read(path, source).into()
}

pub(crate) fn in_file(path: &Path, message: impl Into<String>) -> ModelError {
    FileError::content(path, message).into()
}
