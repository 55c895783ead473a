//! Runs of seconds on a toy model: what they leave, and that a stop in the middle changes nothing.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

mod corruption;
mod dry_run;
mod leftovers;
mod replay;
mod rl_settings;
mod runs;
mod scorer;
mod toy;
