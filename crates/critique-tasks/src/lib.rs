//! What a task is, the plugin registry, and data set files.
//!
//! A [`Task`] gives problems and judges texts; a [`TaskPlugin`] registers it under a name
//! through [`submit!`], and [`build`] makes it from the `task` table of a run file. A binary
//! finds the plugins of the crates that it names (`use task_gsm8k as _;`), no others: the
//! linker drops a crate that nothing names.
//!
//! ```
//! use critique_tasks::{Problem, PromptStyle};
//!
//! let problem = Problem::new("demo/1", "What is 2 + 3?", "5");
//! let prompt = PromptStyle::default().response(&problem);
//! assert!(prompt.messages[0].content.starts_with("What is 2 + 3?"));
//! ```
//!
//! Most tasks are a data set with a verifier: they describe it in a [`dataset::Spec`] and need
//! no code but that. A task without Rust is a TOML file ([`file_task`]).

pub mod check;
pub mod data;
pub mod dataset;
mod error;
pub mod file_task;
mod form;
pub mod inspect;
mod judge;
mod judged;
mod prompts;
mod registry;
pub mod scaffold;
mod scorer;
mod task;
pub mod testing;
mod text;

/// Is this text's answer equal to the gold one? What a task needs of `critique-verify`.
pub use critique_verify as verify;

pub use critique_core::{
    Judgment, Message, Problem, Prompt, Refusal, Rng, Role, Split, Verdict, derive_seed,
};
pub use error::TaskError;
pub use form::CritiqueForm;
#[doc(hidden)]
pub use inventory;
pub use judge::Judge;
pub use judged::Judged;
pub use prompts::PromptStyle;
pub use registry::{TaskPlugin, build, build_from_table, find, open, plugins};
pub use scorer::{Scale, Scorer};
pub use task::{Demonstration, Span, Task, Vocabulary};
