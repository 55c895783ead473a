//! Prompts in, rollouts out: response, critique, refinement, verdicts.
//!
//! [`respond`], [`critique`] and [`refine`] run one phase each over a whole batch, with one
//! call to the engine; a [`RolloutGroup`] holds the rollouts that share a problem and a
//! response. [`attempts`] has texts from elsewhere judged, and [`RolloutRecord`] writes it all
//! down. What a critique claims is read by [`CritiqueForm`](critique_tasks::CritiqueForm).
//!
//! ```
//! use critique_rollout::{Phase, Seeds};
//!
//! // Randomness depends on what a text is for, never on batch or order.
//! let seeds = Seeds { run: 17, stage: "stage1", step: 3 };
//! let critique = |sibling| seeds.of("gsm8k/train/5", Phase::Critique, &[0, sibling]);
//! assert_eq!(critique(1), critique(1));
//! assert_ne!(critique(1), critique(2));
//! ```

mod alone;
mod attempts;
pub mod compat;
mod control;
mod error;
mod fixed;
mod group;
mod id;
mod phases;
pub mod record;
mod seeds;

pub use alone::Alone;
pub use attempts::attempts;
pub use control::{Control, control_critiques, given_critiques};
pub use error::RolloutError;
pub use fixed::FixedResponses;
pub use group::{
    Case, Member, RolloutGroup, balanced, cases, drop_unrefined, drop_unscored, split_by_verdict,
};
pub use id::RolloutId;
pub use phases::{Critiques, Responses, critique, refine, respond};
pub use record::{RolloutRecord, Scored};
pub use seeds::{Phase, Seeds};
