//! How good is this critic: metrics, statistics and floors; no training.
//!
//! [`evaluate`] runs the loop on problems; an [`Outcome`] is what became of one of them, a [`Row`]
//! sums outcomes up (docs/method.md, "Figures") with 95 % intervals, and a [`Summary`] of rows is
//! `eval/summary.json` and a table.
//!
//! ```
//! use critique_core::{Judgment, Verdict};
//! use critique_eval::{Outcome, Row};
//!
//! let outcome = |problem: &str, verdict, judgment, refined| Outcome {
//!     problem: problem.into(),
//!     verdict,
//!     initial: if verdict == Verdict::Correct { 1.0 } else { 0.0 },
//!     judgment: Some(judgment),
//!     refined: Some(refined),
//!     ..Outcome::default()
//! };
//! let row = Row::of("sft", &[
//!     outcome("a", Verdict::Correct, Judgment::Correct, 1.0),
//!     outcome("b", Verdict::Wrong, Judgment::Correct, 0.0),
//!     outcome("c", Verdict::Wrong, Judgment::Wrong, 1.0),
//! ]);
//! assert_eq!(row.acc_dis_correct, Some(1.0));
//! assert_eq!(row.acc_dis_balanced, Some(0.75));
//! assert_eq!(row.delta_i2c, Some(1.0 / 3.0));
//! ```

mod bootstrap;
mod collapse;
mod compare;
mod evaluate;
mod memo;
mod metrics;
mod outcome;
pub mod scaling;
pub mod stats;
mod summary;
mod table;

pub use collapse::{Collapse, Lean, collapse};
pub use compare::{
    Comparison, Difference, Paired, SeedComparison, SeedDifference, common, compare_seeds,
};
pub use evaluate::{Critic, EvalSettings, Evaluation, evaluate, evaluate_responses};
pub use memo::{Known, Memo};
pub use metrics::{Metric, Tally};
pub use outcome::{Outcome, Tokens};
pub use summary::{Extra, Row, Summary};
pub use table::signed;

/// What can go wrong in an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A phase of the loop failed.
    #[error(transparent)]
    Rollout(#[from] critique_rollout::RolloutError),
    /// Two evaluations cannot be paired.
    #[error(
        "the evaluations hold different problems: {count} of them are in one only, such as `{example}`"
    )]
    Unpaired {
        /// How many problems are in one evaluation only.
        count: usize,
        /// One of them.
        example: String,
    },
    /// Two evaluations without a problem.
    #[error("there are no problems to compare on")]
    NoProblems,
    /// A file could not be read or written, or its content will not do.
    #[error(transparent)]
    File(#[from] critique_core::files::FileError),
}
