//! Run files as a user of the crate reads them.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

mod servers;
