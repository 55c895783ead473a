//! The page put together.

use critique_core::derive_seed;
use serde::Serialize;

use crate::Report;
use crate::curves::{Curves, steps_a_point};
use crate::evaluation::{self, Plotted};
use crate::html::{Text, in_script};
use crate::rollouts::Rollouts;
use crate::sections;
use crate::settings::arms;
use crate::stages::Stage;

const PAGE: &str = include_str!("../page/page.html");

const STYLE: &str = include_str!("../page/style.css");

/// Parts of one script, in the order in which they need each other.
const SCRIPTS: [&str; 7] = [
    include_str!("../page/dom.js"),
    include_str!("../page/text.js"),
    include_str!("../page/plot.js"),
    include_str!("../page/curves.js"),
    include_str!("../page/evaluation.js"),
    include_str!("../page/reader.js"),
    include_str!("../page/main.js"),
];

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

/// The page of a report.
pub(crate) fn html(report: &Report) -> String {
    let data = in_script(&data(report));
    // The page's own script is run, and no other: nobody who wrote into the data knew this number.
    let nonce = format!("{:016x}", derive_seed(0, &["page", &data]));
    let labels: Vec<&str> = report.runs.iter().map(|run| run.label.as_str()).collect();
    let title = Text(&labels.join(", ")).to_string();
    let script = format!("(() => {{\n\"use strict\";\n{}\n}})();", SCRIPTS.join("\n"));
    fill(
        PAGE,
        &[
            ("nonce", &nonce),
            ("title", &title),
            ("style", STYLE),
            ("notes", &sections::notes(&report.notes)),
            ("summary", &sections::summary(&report.runs)),
            ("evaluation", &evaluation::table(&report.runs)),
            ("settings", &sections::settings_table(&report.runs)),
            ("times", &sections::times(&report.runs)),
            ("data", &data),
            ("script", &script),
        ],
    )
}

fn data(report: &Report) -> String {
    let width = steps_a_point(&report.runs);
    let runs = report.runs.iter().zip(arms(&report.runs));
    let data = Data {
        version: 1,
        steps_a_point: width,
        runs: runs
            .map(|(run, arm)| RunData {
                label: &run.label,
                folder: run.dir.root().display().to_string(),
                seed: run.seed(),
                arm,
                stages: &run.stages,
                curves: Curves::of(run, width),
            })
            .collect(),
        evaluations: evaluation::plotted(&report.runs),
        rollouts: &report.rollouts,
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
