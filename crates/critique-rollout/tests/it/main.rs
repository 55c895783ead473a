//! The crate from outside: phases, controls, files.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod files;
mod groups;
mod phases;
mod scripted;
