//! The crate from outside: figures worked by hand, tables, the loop on scripted models.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod compare;
mod coverage;
mod evaluate;
mod metrics;
#[path = "../../../critique-rollout/tests/it/scripted.rs"]
mod scripted;
mod stats;
mod summary;
