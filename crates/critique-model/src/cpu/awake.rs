//! Threads that wait for one another without sleeping.

use std::sync::atomic::{AtomicBool, Ordering};

/// Turns of waiting before a thread offers its processor to others.
const PATIENCE: usize = 1 << 12;

/// Sets a flag at the end of a scope, also by a panic: nobody waits for who is gone.
pub(super) struct SetOnDrop<'f>(pub(super) &'f AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Waits without sleeping: to wake a thread takes longer than most of what threads wait for.
pub(super) fn wait_until(condition: impl Fn() -> bool) {
    let mut turns = 0;
    while !condition() {
        turns += 1;
        if turns % PATIENCE == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
