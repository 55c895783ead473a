//! One server over HTTP: JSON in and out, with time-outs and bounds on what is read.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use critique_core::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::RemoteError;

/// How long to wait for a server, and how often to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Longest time until a connection stands.
    pub connect: Duration,
    /// Longest time of one request, from its first byte to the last of its answer.
    pub request: Duration,
    /// How often a call that may be repeated is tried, at least 1.
    pub attempts: u32,
    /// Wait before the second try; doubled for each further one, up to 30 s.
    pub first_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_mins(10),
            attempts: 5,
            first_wait: Duration::from_millis(500),
        }
    }
}

impl Patience {
    /// The wait behind failed try number `tried`, counted from 1.
    pub(crate) fn wait(&self, tried: u32) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << (tried - 1).min(10));
        doubled.min(Duration::from_secs(30))
    }
}

/// Longest text of a server that goes into an error.
const QUOTED: usize = 400;

/// A server's address with what every request to it needs.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    agent: ureq::Agent,
    url: String,
    token: Option<Secret>,
    pub(crate) patience: Patience,
}

impl Http {
    pub(crate) fn new(
        url: &str,
        token: Option<&Secret>,
        patience: Patience,
    ) -> Result<Self, RemoteError> {
        check_address(url)?;
        let url = url.trim_end_matches('/').to_owned();
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A redirect would carry the token to a place that nobody named.
            .max_redirects(0)
            .timeout_connect(Some(patience.connect))
            .timeout_global(Some(patience.request))
            // A kept connection that the server has closed looks like a lost answer.
            .max_idle_connections(0);
        if is_loopback(&url) {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().into(),
            url,
            token: token.cloned(),
            patience,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The same server with another limit of time.
    pub(crate) fn with_request_time(&self, request: Duration) -> Result<Self, RemoteError> {
        let patience = Patience {
            request,
            ..self.patience
        };
        Self::new(&self.url, self.token.as_ref(), patience)
    }

    /// Reads JSON of at most `limit` bytes.
    pub(crate) fn get<A: DeserializeOwned>(
        &self,
        call: &str,
        limit: u64,
    ) -> Result<A, RemoteError> {
        let bytes = self.get_bytes(call, limit)?;
        self.parse(call, &bytes)
    }

    pub(crate) fn get_bytes(&self, call: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let request = self.agent.get(format!("{}/{call}", self.url));
        let answer = self.authorized(request).call();
        self.read(call, answer, limit)
    }

    /// Sends JSON, reads JSON of at most `limit` bytes.
    pub(crate) fn post<A: DeserializeOwned>(
        &self,
        call: &str,
        body: &impl Serialize,
        limit: u64,
    ) -> Result<A, RemoteError> {
        let bytes = self.post_bytes(call, body, limit)?;
        self.parse(call, &bytes)
    }

    /// Sends JSON, reads whatever comes.
    pub(crate) fn post_bytes(
        &self,
        call: &str,
        body: &impl Serialize,
        limit: u64,
    ) -> Result<Vec<u8>, RemoteError> {
        let request = self.agent.post(format!("{}/{call}", self.url));
        let answer = self.authorized(request).send_json(body);
        self.read(call, answer, limit)
    }

    fn authorized<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match self.token.as_ref().map(Secret::reveal) {
            // Tinker's servers read the one header, inference servers the other.
            Some(token) => request
                .header("Authorization", format!("Bearer {token}"))
                .header("X-API-Key", token),
            None => request,
        }
    }

    fn read(
        &self,
        call: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        limit: u64,
    ) -> Result<Vec<u8>, RemoteError> {
        let mut answer = answer.map_err(|error| self.failed(call, error))?;
        let status = answer.status().as_u16();
        let fine = (200..300).contains(&status);
        let limit = if fine { limit } else { 1 << 16 };
        let mut bytes = Vec::new();
        let reader = answer.body_mut().as_reader();
        let read = reader.take(limit + 1).read_to_end(&mut bytes);
        if !fine {
            return Err(self.refused(call, status, &bytes));
        }
        read.map_err(|error| self.lost(call, error.into()))?;
        if bytes.len() as u64 > limit {
            let message =
                format!("is longer than {limit} bytes, more than what was asked for takes");
            return Err(self.answer(call, message));
        }
        Ok(bytes)
    }

    fn parse<A: DeserializeOwned>(&self, call: &str, bytes: &[u8]) -> Result<A, RemoteError> {
        serde_json::from_slice(bytes).map_err(|error| {
            let found = quoted(&self.without_token(&String::from_utf8_lossy(bytes)));
            self.answer(call, format!("cannot be read: {error}; found `{found}`"))
        })
    }

    fn refused(&self, call: &str, status: u16, bytes: &[u8]) -> RemoteError {
        let said = serde_json::from_slice(bytes).map_or_else(
            |_| String::from_utf8_lossy(bytes).into_owned(),
            |value: Value| said(&value),
        );
        RemoteError::Status {
            url: self.url.clone(),
            call: call.to_owned(),
            status,
            detail: quoted(&self.without_token(&said)),
        }
    }

    /// What a server says, which may be what it was told: a token must reach no message.
    fn without_token(&self, said: &str) -> String {
        match self.token.as_ref().map(Secret::reveal) {
            Some(token) if !token.is_empty() => said.replace(token, "…"),
            _ => said.to_owned(),
        }
    }

    /// An answer that is not what it should be; `message` follows "the answer to `call`".
    pub(crate) fn answer(&self, call: &str, message: String) -> RemoteError {
        RemoteError::Answer {
            url: self.url.clone(),
            call: call.to_owned(),
            message,
        }
    }

    pub(crate) fn differs(&self, difference: String) -> RemoteError {
        RemoteError::Differs {
            url: self.url.clone(),
            difference,
        }
    }

    pub(crate) fn unsupported(&self, message: String) -> RemoteError {
        RemoteError::Unsupported {
            url: self.url.clone(),
            message,
        }
    }

    fn failed(&self, call: &str, error: ureq::Error) -> RemoteError {
        if is_before_sending(&error) {
            return RemoteError::Unreachable {
                url: self.url.clone(),
                source: error.into(),
            };
        }
        self.lost(call, error.into())
    }

    fn lost(&self, call: &str, source: crate::error::Cause) -> RemoteError {
        RemoteError::Lost {
            url: self.url.clone(),
            call: call.to_owned(),
            source,
        }
    }
}

/// What a server says in a body of an error: `detail` of `FastAPI`, `message` of `OpenAI`.
fn said(value: &Value) -> String {
    let places = ["/detail", "/error/message", "/message", "/error"];
    let found = places.iter().find_map(|place| value.pointer(place));
    match found.unwrap_or(value) {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The beginning of a server's text, without characters that steer terminals.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let short: String = text.chars().take(QUOTED).map(plain).collect();
    let dots = if text.chars().nth(QUOTED).is_some() {
        "…"
    } else {
        ""
    };
    format!("{}{dots}", short.trim())
}

fn check_address(url: &str) -> Result<(), RemoteError> {
    let refuse = |message: &str| {
        let (url, message) = (url.to_owned(), message.to_owned());
        Err(RemoteError::Address { url, message })
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return refuse("an address begins with `http://` or `https://`");
    };
    match scheme {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => return refuse("`https` is not in this build; build it with the feature `tls`"),
        _ => return refuse("an address begins with `http://` or `https://`"),
    }
    if rest.trim_matches('/').is_empty() || rest.contains(['?', '#', ' ', '@']) {
        return refuse("a host is wanted, with a port and a path where there is one, and no more");
    }
    Ok(())
}

fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|it| host.starts_with(it))
}

/// Whether a request failed before its first byte was on its way.
fn is_before_sending(error: &ureq::Error) -> bool {
    use ureq::Timeout::{Connect, Resolve};
    match error {
        ureq::Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::AddrNotAvailable
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
        ),
        ureq::Error::Timeout(Resolve | Connect)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_none_are_named() {
        for (url, want) in [
            ("localhost:80", "begins with `http://`"),
            ("ftp://host", "begins with `http://`"),
            ("http://", "a host is wanted"),
            ("http://user:secret@host", "a host is wanted"),
            ("http://host/v1?x=1", "a host is wanted"),
        ] {
            let error = Http::new(url, None, Patience::default()).unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
        }
        let http = Http::new("http://host:80/base/", None, Patience::default()).unwrap();
        assert_eq!(http.url(), "http://host:80/base");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn https_says_which_feature_is_missing() {
        let error = Http::new("https://host", None, Patience::default()).unwrap_err();
        assert!(error.to_string().contains("feature `tls`"), "{error}");
    }

    #[test]
    fn waits_grow_and_end() {
        let patience = Patience::default();
        let waits: Vec<u64> = [1, 2, 3, 30]
            .map(|it| patience.wait(it).as_millis() as u64)
            .into();
        assert_eq!(waits, [500, 1000, 2000, 30000]);
    }

    #[test]
    fn what_servers_say_is_cut_and_cleaned() {
        assert_eq!(quoted("a\x1b[31mb\n"), "a [31mb");
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), QUOTED + 1);
    }
}
