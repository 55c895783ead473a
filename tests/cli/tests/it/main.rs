//! The workspace as a user meets it.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

mod compare;
#[cfg(unix)]
mod critique;
mod layering;
mod look;
mod messages;
mod models;
mod quickstart;
#[cfg(unix)]
mod replay;
mod report;
mod resume;
mod rl;
mod support;
mod tools;
mod track;
