//! What can go wrong with a tokenizer or a chat template.

use critique_core::files::FileError;

/// Why a tokenizer or chat template could not be loaded, or refused a text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A file could not be read or written, or its content will not do.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tokenizer or the template refused.
    #[error("{context}")]
    Refused {
        /// What was being done.
        context: String,
        /// What the tokenizer or template said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Anything else, said in full.
    #[error("{message}")]
    Other {
        /// What was found and what would do.
        message: String,
    },
}
