//! What can go wrong.

use critique_core::files::FileError;
use critique_run::RunError;

/// Why a run could not be told to a tracker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// The run folder cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A server cannot be reached, or broke off.
    #[error(
        "{url}: {call}: {cause}; expected the address of an MLflow server that runs, such as http://127.0.0.1:5000"
    )]
    Link {
        /// Its address, without a password.
        url: String,
        /// What it was asked.
        call: &'static str,
        /// What came instead of an answer.
        cause: String,
    },
    /// A server refused.
    #[error("{url}: {call}: {detail} (status {status})")]
    Refused {
        /// Its address, without a password.
        url: String,
        /// What it was asked.
        call: &'static str,
        /// The status of HTTP.
        status: u16,
        /// What it said, shortened.
        detail: String,
    },
    /// An address that no server can have.
    #[error("`{found}` is no address of an MLflow server; expected {expected}")]
    Address {
        /// What was given.
        found: String,
        /// What would do.
        expected: &'static str,
    },
}
