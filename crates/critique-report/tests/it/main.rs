//! Reports, boards and figures of run folders that the tests write.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod board;
mod damaged;
mod figures;
mod hostile;
mod page;
mod support;
