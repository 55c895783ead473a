//! Waiting for threads.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

/// Waits for threads of a scope and gives what they return, in order. Where one panicked, so does
/// this.
///
/// A scope waits for its threads by itself, so their handles might as well be dropped. But a handle
/// that is dropped detaches its thread, and `pthread_detach` of glibc (2.36 and others) looks at
/// the thread once more after it might have ended: on a machine with more to do than cores, a
/// process that drops the handles of short-lived threads dies of it, once in many thousands. A
/// thread that is joined is never detached.
///
/// ```
/// let squares = std::thread::scope(|scope| {
///     let threads: Vec<_> = (1..4).map(|n| scope.spawn(move || n * n)).collect();
///     critique_core::threads::join_all(threads)
/// });
/// assert_eq!(squares, [1, 4, 9]);
/// ```
pub fn join_all<'scope, T>(
    threads: impl IntoIterator<Item = ScopedJoinHandle<'scope, T>>,
) -> Vec<T> {
    let joined = threads.into_iter().map(ScopedJoinHandle::join);
    joined
        .map(|done| done.unwrap_or_else(|panic| resume_unwind(panic)))
        .collect()
}
