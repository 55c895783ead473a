//! Tokens reach the server they are for and nothing else, whatever that server says.

use std::fmt::Write as _;

use critique_core::Secret;
use critique_remote::tinker::{Tinker, TinkerSettings};
use serde_json::json;

use crate::server::{Reply, Server};

const TOKEN: &str = "s3cret-0123456789";

/// What an error says: to a person, with its causes, and to a programmer.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = error.source();
    while let Some(cause) = next {
        write!(text, " {cause} {cause:?}").unwrap();
        next = cause.source();
    }
    text
}

#[test]
fn a_server_that_repeats_the_token_tells_nobody() {
    let replies = [
        Reply::Json(
            401,
            json!({ "detail": format!("`{TOKEN}` is no key of mine") }),
        ),
        Reply::Json(
            403,
            json!({ "error": { "message": format!("Bearer {TOKEN}") } }),
        ),
        Reply::Text(500, format!("<pre>Authorization: Bearer {TOKEN}</pre>")),
        // At the place where long texts are cut off.
        Reply::Text(500, format!("{}{TOKEN}", "x".repeat(190))),
        Reply::Text(200, format!("not JSON but {TOKEN}")),
        Reply::Close,
    ];
    for reply in replies {
        let answer = reply.clone();
        let server = Server::start(move |_| answer.clone());
        let mut settings = TinkerSettings::new(&server.url());
        settings.token = Some(Secret::new(TOKEN));
        settings.patience.attempts = 1;
        let error = Tinker::connect(&settings).unwrap_err();
        let text = format!("{} {settings:?}", said(&error));
        assert!(!text.contains("s3cret"), "{reply:?}: {text}");
        let head = &server.seen()[0].head;
        assert!(head.contains(TOKEN), "it was sent: {head}");
    }
}
