//! What can go wrong with a model.

use std::path::PathBuf;

use critique_core::files::FileError;
use critique_text::TextError;

/// Why a model could not be loaded, saved or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be read or written, or its content will not do.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tensors do not fit the architecture.
    #[error("{}: {message}", path.display())]
    Tensors {
        /// The file or folder.
        path: PathBuf,
        /// Each tensor that is missing, unused or misshapen.
        message: String,
    },
    /// A token id beyond the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocab} tokens")]
    UnknownToken {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// A sequence longer than the model's context.
    #[error("sequence of {tokens} tokens does not fit the model's context of {context} tokens")]
    TooLong {
        /// Tokens in the sequence.
        tokens: usize,
        /// Tokens the model can hold.
        context: usize,
    },
    /// A prompt or completion without tokens.
    #[error("{what} has no tokens")]
    Empty {
        /// `prompt` or `completion`.
        what: &'static str,
    },
    /// A model whose weights, or what it makes of them, are NaN or infinite.
    #[error(
        "the model's log-probs are not finite (token {token} of a completion has {value}); expected weights that are finite and not too large for their type"
    )]
    NotFinite {
        /// Place of the token in its completion, counted from 0.
        token: usize,
        /// Its log-prob.
        value: f32,
    },
    /// Sampling was asked to stop ([`Engine::stop_when`](crate::Engine::stop_when)).
    #[error("sampling was stopped")]
    Stopped,
    /// The device is not in this build or not on this machine.
    #[error("device `{name}`: {message}")]
    Device {
        /// The name asked for.
        name: String,
        /// Why not, and which would do.
        message: String,
    },
    /// A tokenizer or chat template could not be loaded, or refused.
    #[error(transparent)]
    Text(#[from] TextError),
    /// An engine outside this process failed, or is not what was asked for.
    #[error("{context}")]
    Outside {
        /// What was being done.
        context: String,
        /// What went wrong.
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
