//! Prompts in, rollouts out: response, critique, refinement, verdicts.
//!
//! [`respond`], [`critique`] and [`refine`] run one phase each over a whole batch, with one
//! call to the engine; a [`RolloutGroup`] holds the rollouts that share a problem and a
//! response. [`parse_judgment`] reads what a critique claims, [`read_judgment`] says why it claims
//! nothing, and [`RolloutRecord`] writes it all down.
//!
//! ```
//! use critique_core::Judgment;
//! use critique_rollout::parse_judgment;
//!
//! let critique = "Step sentence: 2 + 2 = 5\n\
//!                 Correctness of the step: Wrong\n\
//!                 Explanation: 2 + 2 is 4\n\
//!                 Correctness of the final answer: Wrong\n\
//!                 Explanation: it must be 4";
//! assert_eq!(parse_judgment(critique), Judgment::Wrong);
//! // Two verdicts are none: a critique cannot have it both ways.
//! let hedged = format!("{critique}\nCorrectness of the final answer: Correct");
//! assert_eq!(parse_judgment(&hedged), Judgment::Unparsed);
//! ```

mod alone;
mod attempts;
pub mod compat;
mod control;
mod disguise;
mod error;
mod fixed;
mod group;
mod id;
mod judgment;
mod phases;
pub mod record;
mod seeds;

pub use alone::Alone;
pub use attempts::attempts;
pub use control::{Control, control_critiques, given_critiques};
pub use error::RolloutError;
pub use fixed::FixedResponses;
pub use group::{Case, Member, RolloutGroup, balanced, cases, drop_unrefined, split_by_verdict};
pub use id::RolloutId;
pub use judgment::{critique_for_actor, parse_judgment, parse_score, read_judgment, read_score};
pub use phases::{Critiques, Responses, critique, refine, respond};
pub use record::{RolloutRecord, Scored};
pub use seeds::{Phase, Seeds};
