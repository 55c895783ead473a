//! The line protocol.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which a failure should end"
)]
#![cfg(feature = "jsonl")]

use critique_verify::jsonl::serve;
use serde_json::Value;

fn replies(input: &[u8]) -> Vec<Value> {
    let mut output = Vec::new();
    serve(input, &mut output).unwrap();
    String::from_utf8(output)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn each_line_gets_one_line() {
    let input = br#####"{"op":"equiv","gold":"1/2","pred":"0.5"}
{"op":"equiv","gold":"1/2","pred":"So it is \\boxed{\\frac12}.","mode":"text"}
{"op":"extract","text":"#### 1,350","task":"gsm8k"}
{"op":"extract","text":"no number here","task":"gsm8k"}
"#####;
    let replies = replies(input);
    assert_eq!(replies.len(), 5);
    assert_eq!(replies[0]["ready"], true);
    assert_eq!(
        (&replies[1]["r"], &replies[1]["undecided"]),
        (&Value::Bool(true), &Value::Bool(false))
    );
    assert_eq!(replies[1]["rule"], "exact");
    assert_eq!(replies[2]["r"], true);
    assert_eq!(replies[3]["r"], "1350");
    assert_eq!(replies[4]["r"], Value::Null);
    assert!(replies[1]["t"].is_f64());
}

#[test]
fn a_bad_line_gets_an_error_and_the_stream_goes_on() {
    let input = b"not json\n{\"op\":\"dance\"}\n{\"op\":\"equiv\",\"gold\":\"1\"}\n\xff\xfe\n{\"op\":\"extract\",\"text\":\"5\",\"task\":\"chess\"}\n{\"op\":\"equiv\",\"gold\":\"2\",\"pred\":\"2\"}";
    let replies = replies(input);
    assert_eq!(replies.len(), 7);
    assert!(replies[1..6].iter().all(|reply| reply["error"].is_string()));
    assert_eq!(replies[6]["r"], true);
}

#[test]
fn lines_that_are_empty_deep_or_no_text_get_an_error_each() {
    let mut input = b"\n   \n".to_vec();
    input.extend(b"[".repeat(100_000));
    input.extend(b"\n{\"op\":\"equiv\",\"gold\":\"1\",\"pred\":\"\xff\"}\n5\n");
    input.extend(b"{\"op\":\"equiv\",\"gold\":\"2\",\"pred\":[2]}\n");
    let replies = replies(&input);
    assert_eq!(replies.len(), 7);
    assert!(replies[1..].iter().all(|reply| reply["error"].is_string()));
}

#[test]
fn a_line_of_ten_megabytes_is_answered() {
    let long = "9".repeat(10_000_000);
    let input = format!("{{\"op\":\"equiv\",\"gold\":\"9\",\"pred\":\"{long}\"}}\n{long}\n");
    let replies = replies(input.as_bytes());
    assert_eq!(replies[1]["r"], false);
    assert!(replies[2]["error"].is_string() && replies.len() == 3);
}
