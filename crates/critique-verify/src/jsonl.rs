//! The checker as a line protocol, for programs in other languages.
//!
//! The first line out is `{"ready":true}`; then each line in gets one line out,
//! in order:
//!
//! - `{"op":"equiv","gold":"1/2","pred":"0.5"}` gets
//!   `{"r":true,"rule":"exact","undecided":false,"t":0.000012}`; with
//!   `"mode":"text"` the prediction is a whole response,
//! - `{"op":"extract","text":"...","task":"gsm8k"}` gets `{"r":"12","t":0.00001}`,
//!   with `null` where the text holds no answer,
//! - anything else gets `{"error":"..."}`, and the stream goes on.

use std::io::{self, BufRead, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use serde_json::{Value, json};

use crate::{Kind, Options, Outcome, equivalent, extract};

/// Longest line that is read; of a longer one nothing is kept.
const MAX_LINE_BYTES: u64 = 32 << 20;

/// Answers requests until the input ends.
///
/// # Errors
///
/// When reading or writing fails; a bad request is answered, not an error.
pub fn serve(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    writeln!(output, "{}", json!({ "ready": true }))?;
    output.flush()?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = (&mut input)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        let reply = if length as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
            line = Vec::new();
            input.skip_until(b'\n')?;
            Err(format!("line of more than {MAX_LINE_BYTES} bytes"))
        } else {
            std::str::from_utf8(&line)
                .map_err(|error| format!("not UTF-8: {error}"))
                .and_then(|text| answer(text.trim()))
        };
        let reply = reply.unwrap_or_else(|message| json!({ "error": message }));
        writeln!(output, "{reply}")?;
        output.flush()?;
    }
}

fn answer(line: &str) -> Result<Value, String> {
    let request: Value =
        serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
    let field = |name: &str| {
        request
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("field `{name}` is missing or no string"))
    };
    let start = Instant::now();
    match field("op")? {
        "equiv" => {
            let (gold, prediction) = (field("gold")?, field("pred")?);
            let options = Options::default();
            let compare: &dyn Fn() -> Outcome = match request.get("mode").and_then(Value::as_str) {
                None | Some("answer") => &|| equivalent(gold, prediction, &options),
                Some("text") => &|| crate::check_text(gold, prediction, &options).outcome,
                Some(other) => {
                    return Err(format!("unknown mode `{other}`; known modes: answer, text"));
                }
            };
            let outcome = guarded(compare)?;
            Ok(json!({
                "r": outcome.equal,
                "rule": outcome.rule,
                "undecided": outcome.undecided,
                "t": start.elapsed().as_secs_f64(),
            }))
        }
        "extract" => {
            let text = field("text")?;
            let kind: Kind = field("task")?
                .parse()
                .map_err(|error: crate::UnknownKind| error.to_string())?;
            let found = guarded(&|| extract(text, kind))?;
            Ok(json!({ "r": found.map(|found| found.answer), "t": start.elapsed().as_secs_f64() }))
        }
        "check" => {
            let (gold, text) = (field("gold")?, field("text")?);
            let kind: Kind = field("task")?
                .parse()
                .map_err(|error: crate::UnknownKind| error.to_string())?;
            let found = guarded(&|| crate::check(gold, text, kind, &Options::for_kind(kind)))?;
            Ok(json!({
                "r": found.outcome.equal,
                "rule": found.outcome.rule,
                "undecided": found.outcome.undecided,
                "answer": found.answer.map(|found| found.answer),
                "t": start.elapsed().as_secs_f64(),
            }))
        }
        "explain" => {
            Ok(json!({ "r": crate::explain(field("gold")?, field("pred")?, &Options::default()) }))
        }
        other => Err(format!(
            "unknown op `{other}`; known ops: equiv, extract, check, explain"
        )),
    }
}

/// A panic in one request must not end the stream.
fn guarded<T>(work: &dyn Fn() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "internal error".to_owned())
}
