//! Calls, their futures, and the session that keeps models loaded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire::{CreateSession, Heartbeat, Retrieve, Session, Submitted};
use crate::error::RemoteError;
use crate::http::{Http, quoted};

/// Bytes of answers that hold no tensors.
pub(super) const SMALL: u64 = 1 << 20;
/// Longer than any server blocks on a future (the longest read of: 300 s).
const LONG_POLL: Duration = Duration::from_secs(330);

/// Whether a call may reach the server twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Doing it twice is as doing it once.
    Safe,
    /// It must be done once; only if it cannot have been sent is it sent again.
    Never,
}

/// How a call that changes a model's state ended badly.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: RemoteError,
    /// Whether the server may have carried it out, or a part of it.
    pub(super) maybe_done: bool,
}

pub(super) struct Link {
    pub(super) http: Http,
    pub(super) session: String,
    /// Longest time of one operation on the server.
    pub(super) longest: Duration,
    pub(super) models: AtomicU64,
    heart: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Link {
    pub(super) fn open(
        http: &Http,
        longest: Duration,
        heartbeat: Duration,
    ) -> Result<Self, RemoteError> {
        let ask = CreateSession {
            tags: ["critique-rl"],
            user_metadata: None,
            sdk_version: "0.38.0",
            r#type: "create_session",
        };
        // A session that was made twice costs nothing.
        let session: Session = patiently(http, true, || {
            http.post("api/v1/create_session", &ask, SMALL)
        })?;
        let session = session.session_id;
        let heart = Some(beat(http.clone(), session.clone(), heartbeat));
        Ok(Self {
            http: http.with_request_time(http.patience.request.max(LONG_POLL))?,
            session,
            longest,
            models: AtomicU64::new(1),
            heart,
        })
    }

    /// A number that no other model of this session has.
    pub(super) fn next_model(&self) -> u64 {
        self.models.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends an operation and waits for its result of at most `limit` bytes.
    pub(super) fn run<A: DeserializeOwned>(
        &self,
        call: &str,
        body: &impl Serialize,
        repeat: Repeat,
        limit: u64,
    ) -> Result<A, Failed> {
        let path = format!("api/v1/{call}");
        let safe = repeat == Repeat::Safe;
        let submitted = patiently(&self.http, safe, || self.http.post(&path, body, SMALL));
        let submitted: Submitted = submitted.map_err(|error| {
            // What a server refuses on sight it has not done.
            let refused =
                matches!(&error, RemoteError::Status { status, .. } if (400..500).contains(status));
            let maybe_done = !error.never_sent() && !refused;
            Failed { error, maybe_done }
        })?;
        let found = self.retrieve(call, &submitted.request_id, limit);
        found.map_err(|error| {
            let refused = matches!(&error, RemoteError::Status { status: 400, .. });
            let maybe_done = !refused;
            Failed { error, maybe_done }
        })
    }

    /// Waits for a result. Asking for one changes nothing, so it is asked for again after errors.
    fn retrieve<A: DeserializeOwned>(
        &self,
        call: &str,
        request_id: &str,
        limit: u64,
    ) -> Result<A, RemoteError> {
        let begin = Instant::now();
        let ask = Retrieve { request_id };
        let mut tried = 0;
        loop {
            let answer: Result<Value, _> = self.http.post("api/v1/retrieve_future", &ask, limit);
            let pending = match answer {
                Ok(value) => match self.settled(call, value)? {
                    Some(result) => return self.decode(call, result),
                    None => true,
                },
                Err(RemoteError::Status {
                    status: 408 | 425, ..
                }) => true,
                Err(error) if error.is_transient() && !is_final(&error) => {
                    tried += 1;
                    if tried >= self.http.patience.attempts {
                        return Err(error);
                    }
                    std::thread::sleep(self.http.patience.wait(tried));
                    false
                }
                Err(error) => return Err(error),
            };
            if begin.elapsed() > self.longest {
                return Err(self.too_long(call, begin.elapsed()));
            }
            if pending {
                tried = 0;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// The result, or nothing while the server still works (hosted servers say so with status 200).
    fn settled(&self, call: &str, value: Value) -> Result<Option<Value>, RemoteError> {
        if value.get("type").and_then(Value::as_str) == Some("try_again") {
            return Ok(None);
        }
        if let (Some(error), Some(category)) = (value.get("error"), value.get("category")) {
            return Err(RemoteError::Status {
                url: self.http.url().to_owned(),
                call: call.to_owned(),
                status: if category == "user" { 400 } else { 500 },
                detail: quoted(error.as_str().unwrap_or(&error.to_string())),
            });
        }
        Ok(Some(value))
    }

    fn decode<A: DeserializeOwned>(&self, call: &str, value: Value) -> Result<A, RemoteError> {
        let found = quoted(&value.to_string());
        serde_json::from_value(value).map_err(|error| {
            self.http
                .answer(call, format!("cannot be read: {error}; found `{found}`"))
        })
    }

    fn too_long(&self, call: &str, waited: Duration) -> RemoteError {
        RemoteError::Lost {
            url: self.http.url().to_owned(),
            call: call.to_owned(),
            source: format!("not done after {} s", waited.as_secs()).into(),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.heart.take() {
            drop(stop);
            // A heartbeat that waits for a dead server must not hold up the end of the program.
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

/// Whether the server said that it ends: no later try can find the result.
fn is_final(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Status { status: 500, detail, .. } if detail.contains("the worker ends"))
}

/// Tries again while an error may pass. What must not be done twice is tried again only where it
/// cannot have been sent.
pub(super) fn patiently<T>(
    http: &Http,
    safe: bool,
    mut ask: impl FnMut() -> Result<T, RemoteError>,
) -> Result<T, RemoteError> {
    let mut tried = 1;
    loop {
        match ask() {
            Err(error) if tried < http.patience.attempts && may_repeat(&error, safe) => {
                std::thread::sleep(http.patience.wait(tried));
                tried += 1;
            }
            settled => return settled,
        }
    }
}

fn may_repeat(error: &RemoteError, safe: bool) -> bool {
    let never_sent = matches!(error, RemoteError::Unreachable { .. });
    never_sent || (safe && error.is_transient() && !is_final(error))
}

/// Servers unload the models of a session that falls silent.
fn beat(http: Http, session: String, every: Duration) -> (Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = channel::<()>();
    let thread = std::thread::spawn(move || {
        let ask = Heartbeat {
            session_id: &session,
            r#type: "session_heartbeat",
        };
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            // A beat that fails is no error: the next real call finds out what is wrong.
            let _ = http.post_bytes("api/v1/session_heartbeat", &ask, SMALL);
        }
    });
    (stop, thread)
}
