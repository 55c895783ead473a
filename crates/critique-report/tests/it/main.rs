//! Reports of run folders that the tests write.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod damaged;
mod hostile;
mod page;
mod support;
