//! Tokens and passwords.

use std::fmt;

/// A token that no message and no log may hold: what prints it prints a mark.
///
/// ```
/// let token = critique_core::Secret::new("s3cret");
/// assert_eq!(format!("{token:?}"), "…");
/// assert_eq!(token.reveal(), "s3cret");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text, for the one it is meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
