//! The words all crates share: plain data and one trait, [`Generate`].
//!
//! ```text
//! Problem → Prompt → Attempt → Critique → Attempt (refinement)
//! ```
//!
//! A [`Problem`] becomes a [`Prompt`]; whatever implements [`Generate`] turns its
//! token ids into [`Completion`]s; a verifier gives the text a [`Verdict`] and the
//! pair is an [`Attempt`]; a [`Critique`] carries a [`Judgment`] of an attempt.
//!
//! ```
//! use critique_core::{Judgment, Verdict};
//!
//! assert!(Judgment::Wrong.agrees_with(Verdict::Wrong));
//! // A response whose answer cannot be found is not correct, so "wrong" judges it rightly.
//! assert!(Judgment::Wrong.agrees_with(Verdict::Unparsed));
//! assert!(!Judgment::Unparsed.agrees_with(Verdict::Wrong));
//! ```

pub mod files;
mod generate;
mod problem;
mod refusal;
mod rollout;
mod secret;
mod seed;
mod servers;
pub mod threads;
mod training;

pub use generate::{Completion, FinishReason, Generate, GenerateError, Request, Sampling};
pub use problem::{Message, Problem, Prompt, Role, Split};
pub use refusal::Refusal;
pub use rollout::{Attempt, Critique, Judgment, Rollout, Verdict};
pub use secret::Secret;
pub use seed::{Rng, derive_seed};
pub use servers::{EngineKind, Servers};
pub use training::{AdamW, Dtype, LayerLora, LoraConfig};
