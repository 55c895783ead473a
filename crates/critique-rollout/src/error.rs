//! What can go wrong around rollouts. Odd model output is no error.

use std::path::PathBuf;

use critique_core::GenerateError;
use critique_core::files::FileError;
use critique_tasks::TaskError;

use crate::seeds::Phase;

/// Why rollouts could not be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RolloutError {
    /// The engine failed.
    #[error("generating {phase}s failed")]
    Generate {
        /// What was being generated.
        phase: Phase,
        /// What the engine said.
        #[source]
        source: GenerateError,
    },
    /// The task could not judge texts, as where its scorer is down. They have no score then, not
    /// one of 0.
    #[error("judging {phase}s failed")]
    Judge {
        /// What was being judged.
        phase: Phase,
        /// What the task said.
        #[source]
        source: TaskError,
    },
    /// A control that the task cannot give.
    #[error("no perfect critique of problem `{problem}`: its task writes none")]
    NoOracle {
        /// Id of the problem.
        problem: String,
    },
    /// A file could not be read or written, or its content will not do.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of rows could not be read.
    #[error(transparent)]
    Rows(#[from] TaskError),
    /// A problem without responses in a file that should have them.
    #[error("`{}` has no response to problem `{problem}`", path.display())]
    NoResponse {
        /// The file.
        path: PathBuf,
        /// Id of the problem.
        problem: String,
    },
}
