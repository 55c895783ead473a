//! The critic as a line protocol, for programs in other languages.
//!
//! The first line out is `{"ready":true}`; then each line in gets one line out, in order.

use std::io::{BufRead, Read, Write};

use serde::Deserialize;
use serde_json::{Value, json};

use super::pair::{Pair, Session};
use crate::failure::Failure;

/// Longest line that is read; of a longer one nothing is kept.
const MAX_LINE_BYTES: u64 = 32 << 20;

/// A request; `id` comes back with its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    id: Option<Value>,
    question: String,
    response: String,
}

/// Answers lines until they end, `batch` of them at a time. A line that is no request gets an
/// error, and the rest goes on.
pub(crate) fn serve(
    session: &Session,
    batch: usize,
    mut input: impl BufRead,
    mut output: impl Write,
) -> Result<(), Failure> {
    writeln!(output, "{}", json!({ "ready": true }))?;
    output.flush()?;
    let mut number = 0;
    loop {
        let mut lines = Vec::new();
        while lines.len() < batch
            && let Some(line) = next_line(&mut input)?
        {
            number += 1;
            lines.push((number, line.and_then(|text| parse(&text))));
        }
        if lines.is_empty() {
            return Ok(());
        }
        for reply in replies(session, lines) {
            writeln!(output, "{reply}")?;
        }
        output.flush()?;
    }
}

fn replies(session: &Session, lines: Vec<(usize, Result<Line, String>)>) -> Vec<Value> {
    let sound = lines.iter().filter_map(|(_, line)| line.as_ref().ok());
    let pairs: Vec<Pair> = sound
        .map(|line| Pair {
            question: line.question.clone(),
            response: line.response.clone(),
        })
        .collect();
    let mut answers = session.answers(&pairs).into_iter();
    let mut reply = |(number, line): (usize, Result<Line, String>)| {
        let (id, answer) = match line {
            Ok(line) => (line.id, answers.next()),
            Err(why) => (None, Some(Err(why))),
        };
        let answer = answer.unwrap_or_else(|| Err("no answer".into()));
        let answer = answer.and_then(|it| serde_json::to_value(it).map_err(|e| e.to_string()));
        let mut reply = answer.unwrap_or_else(|why| json!({ "error": why, "line": number }));
        if let Some(id) = id {
            reply["id"] = id;
        }
        reply
    };
    lines.into_iter().map(&mut reply).collect()
}

fn parse(text: &str) -> Result<Line, String> {
    serde_json::from_str(text).map_err(|error| {
        format!("{error}; expected an object such as {{\"question\":\"…\",\"response\":\"…\"}}")
    })
}

/// The next line, or why it cannot be read; nothing at the end.
fn next_line(input: &mut impl BufRead) -> std::io::Result<Option<Result<String, String>>> {
    let mut line = Vec::new();
    let mut part = input.take(MAX_LINE_BYTES);
    let length = part.read_until(b'\n', &mut line)?;
    if length == 0 {
        return Ok(None);
    }
    if length as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return Ok(Some(Err(format!(
            "line of more than {MAX_LINE_BYTES} bytes"
        ))));
    }
    let text = String::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"));
    Ok(Some(text))
}
