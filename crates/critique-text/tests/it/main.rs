//! Integration tests of `critique-text`, one binary.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

mod hostile;
mod support;
mod text;
