//! The crate from outside: parsing, phases, controls, files.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod files;
mod groups;
mod hacks;
mod judgment;
mod phases;
mod scripted;
