//! Both clients against servers within the tests: what real ones answered, computed models that
//! misbehave on purpose, and faults. `worker.rs` and `llama_cpp.rs` ask real
//! ones where they are there.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

mod adapters;
mod bigram;
mod calibration;
mod llama_cpp;
mod recordings;
mod rollouts;
mod secrets;
mod server;
mod tinker;
mod vllm;
mod worker;

use std::time::Duration;

use critique_remote::Patience;

/// Waits that suit a server in the same process.
fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        request: Duration::from_secs(20),
        attempts: 3,
        first_wait: Duration::from_millis(10),
    }
}
