//! What can go wrong with tasks and their data.

use std::path::PathBuf;

use critique_core::Split;

/// Why a task, or its data, could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// No linked crate registers the name.
    #[error("unknown task `{name}`; known tasks: {}", known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names that are registered.
        known: Vec<&'static str>,
    },
    /// The `task` table does not fit the task.
    #[error("options of task `{task}`: {message}")]
    Options {
        /// The task.
        task: &'static str,
        /// What does not fit, and what would.
        message: String,
    },
    /// A table does not fit, said where the task's name is not known;
    /// [`build`](crate::build) turns it into [`TaskError::Options`].
    #[error("{}", .0.message())]
    Table(#[from] toml::de::Error),
    /// The task makes no examples of this kind.
    #[error("no demonstrations of kind `{kind}`; this task makes: {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    NoDemonstrations {
        /// The kind asked for.
        kind: String,
        /// The kinds the task makes.
        known: &'static [&'static str],
    },
    /// A file could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A data set could not be downloaded.
    #[error("`{repository}` could not be had from the Hugging Face Hub: {advice}")]
    Download {
        /// The data set, such as `openai/gsm8k`.
        repository: String,
        /// What it comes down to, and what would do.
        advice: String,
        /// What the client said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file or folder as a whole is not what it should be.
    #[error("{}: {message}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was found and what would do.
        message: String,
    },
    /// A row of a file is not what it should be.
    #[error("{}:{line}: {message}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line or row, counted from 1.
        line: usize,
        /// The field, what was found, and what would do.
        message: String,
    },
    /// Two splits share a problem.
    #[error(
        "`{second_id}` of the {} split is also in the {} split, as `{first_id}` ({shared} shared in all); the splits must share no problem",
        split_name(*second),
        split_name(*first)
    )]
    Overlap {
        /// One split.
        first: Split,
        /// The id of the problem there.
        first_id: String,
        /// The other split.
        second: Split,
        /// The id of the problem there.
        second_id: String,
        /// Problems of the second split that are also in the first.
        shared: usize,
    },
    /// A scorer outside this program gave no scores.
    #[error("scorer `{scorer}`: {message}")]
    Scorer {
        /// The scorer, by address or name.
        scorer: String,
        /// What it said and what would do.
        message: String,
    },
    /// Anything else about the data, named in full.
    #[error("{message}")]
    Data {
        /// What was found and what would do.
        message: String,
    },
}

impl TaskError {
    /// This error about the options of a task, with the task's name.
    pub(crate) fn named(self, task: &'static str) -> Self {
        match self {
            Self::Table(source) => Self::Options {
                task,
                message: source.message().to_owned(),
            },
            other => other,
        }
    }
}

/// The name of a split in run files and messages.
pub(crate) fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Validation => "validation",
        Split::Test => "test",
        _ => "other",
    }
}
