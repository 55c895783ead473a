//! The page put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use critique_core::derive_seed;
use serde::Serialize;

use crate::Report;
use crate::curves::{Curves, steps_a_point};
use crate::evaluation::{self, Plotted};
use crate::html::{Text, in_script};
use crate::rollouts::Rollouts;
use crate::run::Run;
use crate::sections;
use crate::settings::arms;
use crate::stages::Stage;

const PAGE: &str = include_str!("../page/page.html");

const STYLE: &str = include_str!("../page/style.css");

/// Parts of one script, in the order in which they need each other.
const SCRIPTS: [&str; 9] = [
    include_str!("../page/dom.js"),
    include_str!("../page/text.js"),
    include_str!("../page/plot.js"),
    include_str!("../page/curves.js"),
    include_str!("../page/evaluation.js"),
    include_str!("../page/source.js"),
    include_str!("../page/reader.js"),
    include_str!("../page/live.js"),
    include_str!("../page/main.js"),
];

/// The board's list of runs.
const BOARD: &str = include_str!("../page/board.html");

/// A page without a script.
const TABLES: &str = include_str!("../page/tables.html");

/// What a page shows, rollouts aside.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) runs: Vec<Arc<Run>>,
    pub(crate) notes: Vec<String>,
}

/// A page that asks a board for rollouts, and for what is new.
#[derive(Debug, Serialize)]
pub(crate) struct Live {
    /// Names of the runs on the board.
    pub(crate) runs: Vec<String>,
}

/// What the script draws from.
#[derive(Serialize)]
struct Data<'a> {
    /// The layout of this object.
    version: u32,
    /// Steps that make one point of a curve.
    steps_a_point: usize,
    runs: Vec<RunData<'a>>,
    evaluations: Vec<Plotted>,
    rollouts: &'a Rollouts,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'a Live>,
}

#[derive(Serialize)]
struct RunData<'a> {
    label: &'a str,
    /// The folder as it was named.
    folder: String,
    seed: Option<i64>,
    /// Runs of one number differ in their seed alone.
    arm: usize,
    stages: &'a [Stage],
    curves: Curves,
}

/// What a live page puts in place of what it shows.
#[derive(Serialize)]
pub(crate) struct Update {
    /// As the page's own data, as text.
    data: String,
    /// Parts of the page by the ids of their elements.
    parts: BTreeMap<&'static str, String>,
}

/// The page of a report.
pub(crate) fn of_report(report: &Report) -> String {
    let runs: Vec<&Run> = report.runs.iter().collect();
    let data = data(&runs, &report.rollouts, None);
    whole(&runs, &report.notes, &data, None).0
}

/// The page of these runs on a board, and the word that lets its script run.
pub(crate) fn html(shown: &Shown, live: Option<&Live>) -> (String, String) {
    let runs: Vec<&Run> = shown.runs.iter().map(AsRef::as_ref).collect();
    let data = data(&runs, &Rollouts::default(), live);
    whole(&runs, &shown.notes, &data, live)
}

/// What is new of these runs.
pub(crate) fn update(shown: &Shown) -> Update {
    let runs: Vec<&Run> = shown.runs.iter().map(AsRef::as_ref).collect();
    Update {
        data: data(&runs, &Rollouts::default(), None),
        parts: parts(&runs, &shown.notes).into(),
    }
}

/// The card of a run, as the summary has it.
pub(crate) fn card_of(shown: &Shown) -> String {
    let runs: Vec<&Run> = shown.runs.iter().map(AsRef::as_ref).collect();
    sections::summary(&runs)
}

/// What a page may do: run the script that knows this word, and ask who served it.
pub(crate) fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// The list of a board's runs, each with its card, and the word that lets its style apply.
pub(crate) fn board_html(names: &[String], card: impl Fn(&String) -> String) -> (String, String) {
    let item = |name: &String| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("run", name)
            .finish();
        format!(
            "<div class=\"of-run\"><label><input type=\"checkbox\" name=\"run\" value=\"{0}\"> beside others</label> \
             <a href=\"/view?{query}\">Open {0}</a>{1}</div>",
            Text(name),
            card(name)
        )
    };
    let items: String = match names {
        [] => "<p>There is no run in this folder yet; one that begins is listed here.</p>".into(),
        names => names.iter().map(item).collect(),
    };
    let nonce = nonce(&items);
    let page = fill(
        BOARD,
        &[("nonce", &nonce), ("style", STYLE), ("runs", &items)],
    );
    (page, nonce)
}

/// A page of this body, which is markup.
pub(crate) fn of_tables(title: &str, body: &str) -> String {
    let (nonce, title) = (nonce(body), Text(title).to_string());
    let values = [
        ("nonce", nonce.as_str()),
        ("title", &title),
        ("style", STYLE),
        ("body", body),
    ];
    fill(TABLES, &values)
}

/// The page's own script is run, and no other: nobody who wrote into the data knew this number.
fn nonce(data: &str) -> String {
    format!("{:016x}", derive_seed(0, &["page", data]))
}

fn whole(runs: &[&Run], notes: &[String], data: &str, live: Option<&Live>) -> (String, String) {
    let data = in_script(data);
    let nonce = nonce(&data);
    let labels: Vec<&str> = runs.iter().map(|run| run.label.as_str()).collect();
    let title = Text(&labels.join(", ")).to_string();
    let script = format!("(() => {{\n\"use strict\";\n{}\n}})();", SCRIPTS.join("\n"));
    let parts = parts(runs, notes);
    let mut values = vec![
        ("nonce", nonce.as_str()),
        ("title", &title),
        ("style", STYLE),
        ("data", &data),
        ("script", &script),
    ];
    values.extend(
        parts
            .iter()
            .map(|(id, html)| (PLACES[place(id)].1, html.as_str())),
    );
    values.extend(match live {
        Some(_) => [
            ("connect", "'self'"),
            ("home", "<a href=\"/\">All runs</a>\n"),
            ("live", "<p id=\"live\" role=\"status\"></p>\n"),
        ],
        None => [("connect", "'none'"), ("home", ""), ("live", "")],
    });
    (fill(PAGE, &values), nonce)
}

/// Ids of elements that are put in place anew, and their names on the page.
const PLACES: [(&str, &str); 5] = [
    ("notes", "notes"),
    ("cards", "summary"),
    ("evaluation-table", "evaluation"),
    ("settings-tables", "settings"),
    ("times-table", "times"),
];

fn place(id: &str) -> usize {
    let place = PLACES.iter().position(|(known, _)| *known == id);
    place.unwrap_or_else(|| unreachable!("`{id}` is a part of the page"))
}

fn parts(runs: &[&Run], notes: &[String]) -> [(&'static str, String); 5] {
    [
        ("notes", sections::notes(notes)),
        ("cards", sections::summary(runs)),
        ("evaluation-table", evaluation::table(runs)),
        ("settings-tables", sections::settings_table(runs)),
        ("times-table", sections::times(runs)),
    ]
}

fn data(runs: &[&Run], rollouts: &Rollouts, live: Option<&Live>) -> String {
    let width = steps_a_point(runs);
    let data = Data {
        version: 1,
        steps_a_point: width,
        runs: runs
            .iter()
            .zip(arms(runs))
            .map(|(run, arm)| RunData {
                label: &run.label,
                folder: run.dir.root().display().to_string(),
                seed: run.seed(),
                arm,
                stages: &run.stages,
                curves: Curves::of(run, width),
            })
            .collect(),
        evaluations: evaluation::plotted(runs),
        rollouts,
        live,
    };
    serde_json::to_string(&data).unwrap_or_else(|error| unreachable!("plain data: {error}"))
}

/// Puts values in the places `{{name}}` of a page, each once read: a value that looks like a place
/// stays as it is.
fn fill(page: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut parts = page.split("{{");
    filled.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        let Some((_, value)) = value else {
            unreachable!("the page has a place `{name}` that nothing fills")
        };
        filled.push_str(value);
        filled.push_str(rest);
    }
    filled
}
