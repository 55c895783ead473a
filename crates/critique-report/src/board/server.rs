//! The board on a socket: threads that answer, and streams that say when something is new.
//!
//! No page of another origin can read it: requests must name this machine by an address (a name that
//! somebody's name server leads here is refused), and answers may not be embedded elsewhere.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tiny_http::{Header, Method, Request, Response, Server};

use crate::board::answer::Answer;
use crate::board::query::Query;
use crate::board::{Board, BoardError};

/// Threads that answer.
const THREADS: usize = 4;

/// How often a stream looks at the files, and says at least something.
const LOOK: Duration = Duration::from_secs(1);
const PING: Duration = Duration::from_secs(15);

/// Most streams at a time.
const STREAMS: usize = 64;

/// Where a board listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// An address of this machine; one that is not loopback lets others in.
    pub ip: IpAddr,
    /// A port; 0 takes any that is free.
    pub port: u16,
    /// A name of this machine that requests may use, besides `localhost` and addresses.
    pub name: Option<String>,
}

/// Answers requests until the process ends. `ready` hears where it listens.
///
/// # Errors
///
/// When nothing can listen there.
pub fn serve(
    board: Board,
    address: &Address,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), BoardError> {
    let wanted = SocketAddr::new(address.ip, address.port);
    let refused = |why: &dyn std::fmt::Display| BoardError::Address {
        address: wanted.to_string(),
        why: why.to_string(),
    };
    let listener = TcpListener::bind(wanted).map_err(|error| refused(&error))?;
    let bound = listener.local_addr().map_err(|error| refused(&error))?;
    let server = Server::from_listener(listener, None).map_err(|error| refused(&error))?;
    ready(bound);
    let (server, board) = (Arc::new(server), Arc::new(board));
    let streams = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Ok(request) = server.recv() {
                    handle(request, &board, address, &streams);
                }
            });
        }
    });
    Ok(())
}

/// A client that is gone is no fault.
fn handle(request: Request, board: &Arc<Board>, address: &Address, streams: &Arc<AtomicUsize>) {
    let url = request.url().to_owned();
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let query = Query::parse(query);
    if let Some(fault) = refusal(&request, address) {
        let _ = request.respond(response(fault));
    } else if path == "/events" {
        stream(request, board, query, streams);
    } else {
        let _ = request.respond(response(board.answer(path, &query)));
    }
}

/// Why a request is not answered.
fn refusal(request: &Request, address: &Address) -> Option<Answer> {
    let mut hosts = request
        .headers()
        .iter()
        .filter(|header| header.field.equiv("Host"));
    let host = hosts.next().map(|header| header.value.as_str());
    if hosts.next().is_some() || !host.is_some_and(|host| is_ours(host, address.name.as_deref())) {
        return Some(Answer::fault(
            403,
            "the board answers requests for `localhost` or an address, or for the name given by `--name`",
        ));
    }
    if *request.method() != Method::Get {
        return Some(Answer::fault(405, "the board is read; expected GET"));
    }
    None
}

/// Whether a `Host` means this machine and cannot be a name that others lead here.
fn is_ours(host: &str, name: Option<&str>) -> bool {
    let own = |host: &str| {
        let named = name.is_some_and(|name| host.eq_ignore_ascii_case(name));
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        named
            || host.eq_ignore_ascii_case("localhost")
            || bare.unwrap_or(host).parse::<IpAddr>().is_ok()
    };
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let (before, port) = host.rsplit_once(':').unwrap_or((host, ""));
    own(host) || (is_port(port) && own(before))
}

fn response(answer: Answer) -> Response<io::Cursor<Vec<u8>>> {
    let mut headers = vec![
        ("Content-Type", answer.kind.to_owned()),
        ("Cache-Control", "no-store".to_owned()),
        ("X-Content-Type-Options", "nosniff".to_owned()),
        ("X-Frame-Options", "DENY".to_owned()),
        ("Cross-Origin-Resource-Policy", "same-origin".to_owned()),
        ("Referrer-Policy", "no-referrer".to_owned()),
    ];
    headers.extend(
        answer
            .policy
            .map(|policy| ("Content-Security-Policy", policy)),
    );
    let response = Response::from_data(answer.body).with_status_code(answer.status);
    // All names and values are ours, and none is of another form.
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| Header::from_bytes(name, value).ok());
    headers.fold(response, Response::with_header)
}

/// Says `changed` whenever a file of the runs did.
fn stream(request: Request, board: &Arc<Board>, query: Query, streams: &Arc<AtomicUsize>) {
    if streams.fetch_add(1, Ordering::Relaxed) >= STREAMS {
        streams.fetch_sub(1, Ordering::Relaxed);
        let _ = request.respond(response(Answer::fault(503, "too many pages are open")));
        return;
    }
    let (board, streams) = (Arc::clone(board), Arc::clone(streams));
    thread::spawn(move || {
        let mut out = request.into_writer();
        // It ends when the page is closed.
        let _ = tell(&mut out, &board, &query.runs());
        streams.fetch_sub(1, Ordering::Relaxed);
    });
}

fn tell(out: &mut impl Write, board: &Board, runs: &[String]) -> io::Result<()> {
    out.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
          X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\nretry: 2000\n\n",
    )?;
    out.flush()?;
    let (mut last, mut said) = (None, Instant::now());
    loop {
        let now = board.stamp(runs);
        if last != Some(now) {
            // A page that was drawn before this stream began may be behind.
            write!(out, "event: changed\ndata: {now:016x}\n\n")?;
            (last, said) = (Some(now), Instant::now());
        } else if said.elapsed() >= PING {
            out.write_all(b": still here\n\n")?;
            said = Instant::now();
        }
        out.flush()?;
        thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_else_can_lead_here_are_ours() {
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1:1",
            "[::1]:80",
            "[::1]",
            "10.0.0.2",
        ] {
            assert!(is_ours(host, None), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:80",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "a:b",
            "localhost:x",
            ":80",
        ] {
            assert!(!is_ours(host, None), "{host}");
        }
        assert!(is_ours("box.lan:8000", Some("box.lan")) && !is_ours("other.lan", Some("box.lan")));
    }
}
