//! Data files, task files and new crates, as a user meets them.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

mod files;
mod hacks;
mod inspect;
mod judgment;
#[cfg(feature = "parquet")]
mod parquet;
mod scaffold;
mod task_files;
