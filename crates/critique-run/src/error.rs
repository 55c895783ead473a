//! What can be wrong with a run file or a run folder.

use std::fmt;

use critique_core::files::FileError;

/// Why a run file will not do, or a run folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A setting that cannot be.
    #[error(transparent)]
    Setting(#[from] Misfit),
    /// A folder that holds no run, holds another one, or is in use.
    #[error("{message}")]
    Folder {
        /// What was found and what would do.
        message: String,
    },
    /// A file could not be read or written, or its content will not do.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A setting that cannot be: where it stands, and in words what was found and what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Misfit {
    /// Its place in the run file, which may be that of a key that is missing there.
    pub at: KeyPath,
    /// A sentence that names the key.
    pub message: String,
}

impl Misfit {
    /// A setting at this place, such as `save.keep`.
    pub fn new(at: impl Into<KeyPath>, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            message: message.into(),
        }
    }

    /// A number out of its range.
    pub fn out_of_range(key: &str, found: impl fmt::Display, wanted: &str) -> Self {
        Self::new(key, format!("`{key}` is {found}; expected {wanted}"))
    }
}

/// A place in a run file: keys from the outermost, elements of lists by their number from 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The place of a stage, counted from 0.
    pub fn stage(index: usize) -> Self {
        Self::from("stages").key(index)
    }

    /// A place below this one, with dots between its keys.
    #[must_use]
    pub fn join(mut self, keys: &str) -> Self {
        let keys = keys.split('.').filter(|key| !key.is_empty());
        self.0.extend(keys.map(str::to_owned));
        self
    }

    /// The key of this name below this place, whatever its letters are.
    #[must_use]
    pub fn key(mut self, name: impl fmt::Display) -> Self {
        self.0.push(name.to_string());
        self
    }

    /// Its keys, from the outermost.
    pub fn keys(&self) -> &[String] {
        &self.0
    }
}

impl From<&str> for KeyPath {
    fn from(keys: &str) -> Self {
        Self::default().join(keys)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
