//! Evaluations: the table, and what the page plots of it.

use std::fmt::Write as _;

use critique_eval::{Metric, Row, signed};
use critique_run::rows::NO_CRITIC;
use serde::Serialize;

use crate::html::Text;
use crate::rollouts::is_control;
use crate::run::Run;

/// What can be plotted.
const PLOTTED: [Metric; 6] = [
    Metric::AccRefined,
    Metric::Delta,
    Metric::AccDisBalanced,
    Metric::AccDisCorrect,
    Metric::AccDisIncorrect,
    Metric::ParseRate,
];

/// An evaluation on a plot.
#[derive(Debug, Serialize)]
pub(crate) struct Plotted {
    run: usize,
    row: String,
    /// Of a critic that is no model, or without one.
    control: bool,
    figures: Vec<Figure>,
}

/// A figure with its interval.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    value: f64,
    ci95: Option<[f64; 2]>,
}

/// Rows of all runs: trained critics first, then the actor alone, then critics that are no models;
/// rows of one name beside each other.
pub(crate) fn rows<'a>(runs: &[&'a Run]) -> Vec<(usize, &'a Row)> {
    let mut rows = Vec::new();
    for (run, of) in runs.iter().enumerate() {
        rows.extend(of.rows.iter().enumerate().map(|(at, row)| (at, run, row)));
    }
    let mut names: Vec<&str> = Vec::new();
    for (_, _, row) in &rows {
        if !names.contains(&row.stage.as_str()) {
            names.push(&row.stage);
        }
    }
    let order = |name: &str| names.iter().position(|known| *known == name);
    rows.sort_by_key(|(_, run, row)| (rank(&row.stage), order(&row.stage), *run));
    rows.into_iter().map(|(_, run, row)| (run, row)).collect()
}

pub(crate) fn rank(row: &str) -> usize {
    match row {
        row if is_control(row) => 2,
        row if is_actor_alone(row) => 1,
        _ => 0,
    }
}

fn is_actor_alone(row: &str) -> bool {
    critique_run::rows::without_temperature(row) == NO_CRITIC
}

/// The evaluation that says what a run came to: of its last trained critic.
pub(crate) fn headline(run: &Run) -> Option<&Row> {
    let trained = |row: &&Row| rank(&row.stage) == 0 && !row.stage.contains('@');
    let plain = |row: &&Row| !critique_run::rows::stage_and_best(&row.stage).1;
    let last = run.rows.iter().filter(trained).rfind(plain);
    last.or_else(|| run.rows.iter().rfind(trained))
}

/// What the page plots.
pub(crate) fn plotted(runs: &[&Run]) -> Vec<Plotted> {
    let plotted = |(run, row): (usize, &Row)| Plotted {
        run,
        row: row.stage.clone(),
        control: rank(&row.stage) > 0,
        figures: PLOTTED
            .iter()
            .filter_map(|metric| {
                Some(Figure {
                    name: metric.name(),
                    value: row.value(*metric)?,
                    ci95: row.ci95.get(metric.name()).copied(),
                })
            })
            .collect(),
    };
    rows(runs).into_iter().map(plotted).collect()
}

/// The table as HTML.
pub(crate) fn table(runs: &[&Run]) -> String {
    let rows = rows(runs);
    if rows.is_empty() {
        return "<p>No evaluation has been made yet.</p>".to_owned();
    }
    let several = runs.len() > 1;
    let mut html = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Evaluations\"><table class=\"figures\"><thead><tr><th scope=\"col\">critic</th>",
    );
    if several {
        html.push_str("<th scope=\"col\">run</th>");
    }
    html.push_str("<th scope=\"col\">n</th>");
    for metric in Metric::COLUMNS {
        let _ = write!(html, "<th scope=\"col\">{}</th>", Text(metric.heading()));
    }
    html.push_str("<th scope=\"col\">leans</th></tr></thead>");
    let mut group = usize::MAX;
    for (run, row) in rows {
        if rank(&row.stage).min(1) != group.min(1) || group == usize::MAX {
            heading(&mut html, rank(&row.stage), several, group != usize::MAX);
        }
        group = rank(&row.stage);
        let label = several.then(|| runs[run].label.as_str());
        line(&mut html, row, label);
    }
    html.push_str("</tbody></table></div>");
    html
}

fn heading(html: &mut String, rank: usize, several: bool, close: bool) {
    let title = match rank {
        0 => "Trained critics",
        _ => "Floors and ceilings: the actor alone, and critics that are no models",
    };
    let columns = Metric::COLUMNS.len() + 3 + usize::from(several);
    let end = if close { "</tbody>" } else { "" };
    let _ = write!(
        html,
        "{end}<tbody><tr class=\"group\"><th colspan=\"{columns}\" scope=\"rowgroup\"><span>{title}</span></th></tr>"
    );
}

fn line(html: &mut String, row: &Row, label: Option<&str>) {
    let temperature = match row.extra.temperature {
        Some(temperature) if temperature > 0.0 => format!(" <small>T = {temperature}</small>"),
        _ => String::new(),
    };
    let _ = write!(
        html,
        "<tr><th scope=\"row\">{}{temperature}</th>",
        Text(&row.stage)
    );
    if let Some(label) = label {
        let _ = write!(html, "<td class=\"words\">{}</td>", Text(label));
    }
    let _ = write!(html, "<td>{}</td>", row.n);
    for metric in Metric::COLUMNS {
        let _ = write!(html, "<td>{}</td>", cell(row, metric));
    }
    let lean = row.lean().map_or("–".to_owned(), |lean| lean.to_string());
    let _ = write!(html, "<td class=\"words\">{}</td></tr>", Text(&lean));
}

/// A figure in percent with its interval below; mean scores of open-ended tasks stand as they are.
pub(crate) fn cell(row: &Row, metric: Metric) -> String {
    let Some(value) = row.value(metric) else {
        return "–".to_owned();
    };
    let (times, decimals) = if row.gives_scores() && metric.is_mean_score() {
        (1.0, 2)
    } else {
        (100.0, 1)
    };
    let number = |x: f64| match metric {
        Metric::Delta => signed(times * x, decimals).replace('-', "−"),
        _ => format!("{:.decimals$}", times * x),
    };
    match row.ci95.get(metric.name()) {
        Some([low, high]) if metric != Metric::ConstantFloor => {
            let (low, high) = (number(*low), number(*high));
            format!("{} <small>[{low}, {high}]</small>", number(value))
        }
        _ => number(value),
    }
}
