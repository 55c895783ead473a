//! Runs of seconds on a toy model: what they leave, and that a stop in the middle changes nothing.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

mod corruption;
mod dry_run;
mod judging;
mod leftovers;
mod model_server;
mod not_finite;
mod replay;
mod rl_settings;
mod runs;
mod scorer;
mod served;
#[path = "../../../critique-remote/tests/it/server.rs"]
#[expect(dead_code, reason = "faults that other tests inject")]
mod server;
mod toy;
