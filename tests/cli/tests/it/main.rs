//! The workspace as a user meets it.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

#[expect(clippy::too_many_lines, reason = "tables of inputs")]
mod bad_inputs;
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
#[path = "../../../../crates/critique-remote/tests/it/server.rs"]
#[expect(dead_code, reason = "faults that other tests inject")]
mod server;
mod servers;
mod support;
mod tools;
mod track;
