//! Trackers, told of run folders that are written here.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

mod events;
mod server;
mod support;
