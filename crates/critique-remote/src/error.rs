//! What can go wrong with a server.

use std::path::PathBuf;

/// What the system or a library said, below an error of this crate.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a server could not be asked, or its answer not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// An address that is none.
    #[error("address `{url}`: {message}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong and what would do.
        message: String,
    },
    /// No connection came about, so nothing was asked.
    #[error("cannot reach `{url}`; is the server up, and the address right?")]
    Unreachable {
        /// The address.
        url: String,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// The request was sent, its answer did not come or broke off.
    #[error("`{url}`: no answer to `{call}`")]
    Lost {
        /// The address.
        url: String,
        /// The call.
        call: String,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// The server answered that it cannot or will not.
    #[error("`{url}`: `{call}` was answered with status {status}: {detail}")]
    Status {
        /// The address.
        url: String,
        /// The call.
        call: String,
        /// Status of HTTP.
        status: u16,
        /// What the server said, its beginning.
        detail: String,
    },
    /// An answer that is not what it should be.
    #[error("`{url}`: the answer to `{call}` {message}")]
    Answer {
        /// The address.
        url: String,
        /// The call.
        call: String,
        /// What was found and what was wanted.
        message: String,
    },
    /// The state of a model on a server is not known any more.
    #[error(
        "`{call}` failed, and whether the server did it is not known; it is not asked again, since \
         doing it twice would not be noticed: load the last state of the model"
    )]
    StateUnknown {
        /// The call.
        call: String,
        /// What went wrong with it.
        #[source]
        source: Box<RemoteError>,
    },
    /// A model whose state is not known was asked to train.
    #[error(
        "the model's state on the server is not known since `{call}` failed; load its last state"
    )]
    MustLoad {
        /// The call that failed.
        call: String,
    },
    /// A server that computes other things than asked for.
    #[error("`{url}` {difference}")]
    Differs {
        /// The address.
        url: String,
        /// What it does, what was wanted, and what would do.
        difference: String,
    },
    /// Something that this server cannot do.
    #[error("`{url}` {message}")]
    Unsupported {
        /// The address.
        url: String,
        /// What was asked for, and what would do.
        message: String,
    },
    /// Every server of a role is away.
    #[error("no server is left after {waited_secs} s; {}", causes.join("; "))]
    NoServer {
        /// Seconds waited for one to come back.
        waited_secs: u64,
        /// Address and last error of each.
        causes: Vec<String>,
    },
    /// A file could not be read or written.
    #[error("{doing} `{}`", path.display())]
    File {
        /// What was being done, such as `cannot write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl RemoteError {
    /// Whether the server cannot have seen the request.
    pub fn never_sent(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Address { .. })
    }

    /// Whether asking again, or asking another server, may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }

    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
