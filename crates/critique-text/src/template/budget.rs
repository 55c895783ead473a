//! What a template may take. It comes with a model from elsewhere, and a few letters of it can ask
//! for more steps and bytes than there are.
//!
//! Steps and bytes are counted by the engine, as fuel. What it does not count (comparing values
//! that hold one another many times over) ends with the time: the thread is left to itself then,
//! as no thread can be stopped, until the process ends.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use crate::error::TextError;

/// Steps of a rendering, beside one for each byte of the messages. 64 bytes of text take one.
pub(super) const STEPS: u64 = 1_000_000;
/// Most bytes of a template; the longest in use have 30,000.
pub(super) const LONGEST: usize = 128 << 10;
/// Most levels of lists and maps in one another that are written out.
pub(super) const DEEPEST: usize = 100;
/// Turns of waiting before a rendering is given up. They are counted one by one, so that a
/// process that was stopped meanwhile does not lose them all at once.
const TURNS: u32 = 20;
const TURN: Duration = Duration::from_millis(100);
/// Memory for values in one another; only what is used is taken.
const STACK: usize = 512 << 20;

/// Does what a template asks for, within the budget.
pub(super) fn within<T: Send + 'static>(
    context: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, TextError> {
    let (sender, receiver) = sync_channel(1);
    let thread = thread::Builder::new().stack_size(STACK);
    let spawned = thread.spawn(move || {
        // Nobody listens any more where the time was over.
        let _ = sender.send(work());
    });
    let spawned = spawned.map_err(|source| TextError::Refused {
        context: context.to_owned(),
        source: source.into(),
    })?;
    for _ in 0..TURNS {
        match receiver.recv_timeout(TURN) {
            Ok(done) => {
                // Dropped, it would be detached while it ends (`critique_core::threads`). It has
                // nothing to do any more, and does not panic there.
                let _ = spawned.join();
                return done.map_err(|error| told(context, error));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(other(context, "it ended in a panic"));
            }
        }
    }
    let time = TURN * TURNS;
    let message = format!("it takes more than its budget of {} s", time.as_secs());
    Err(other(context, &message))
}

/// Does what a template asks for that needs no watch: steps and bytes alone are counted.
pub(super) fn alone<T>(
    context: &str,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, TextError> {
    work().map_err(|error| told(context, error))
}

fn told(context: &str, error: Error) -> TextError {
    if error.kind() == ErrorKind::OutOfFuel {
        let bytes = (STEPS * 64) >> 20;
        let message = format!(
            "it takes more than its budget of {STEPS} steps and {bytes} MB, which grows with the \
             messages"
        );
        return other(context, &message);
    }
    TextError::Refused {
        context: context.to_owned(),
        source: error.into(),
    }
}

fn other(context: &str, message: &str) -> TextError {
    TextError::Other {
        message: format!("{context}: {message}"),
    }
}

/// Pays for writing a value out, before it is. A value that holds another one many times over is
/// written many times, and the engine counts neither that nor how deep it goes. `around` are the
/// bytes that are written around each item.
pub(super) fn pay_for(state: &State<'_, '_>, value: &Value, around: usize) -> Result<(), Error> {
    pay(state, value, around as u64, DEEPEST)
}

fn pay(state: &State<'_, '_>, value: &Value, around: u64, levels: usize) -> Result<(), Error> {
    let bytes = value.as_str().map_or(0, str::len) as u64;
    state.consume_fuel(4 + around / 64 + bytes / 4)?;
    let is_map = match value.kind() {
        ValueKind::Map => true,
        ValueKind::Seq | ValueKind::Iterable => false,
        _ => return Ok(()),
    };
    let Some(levels) = levels.checked_sub(1) else {
        let message = format!("lists and maps are more than {DEEPEST} deep in one another");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    };
    for item in value.try_iter()? {
        if is_map {
            pay(state, &value.get_item(&item)?, around, levels)?;
        }
        pay(state, &item, around, levels)?;
    }
    Ok(())
}
