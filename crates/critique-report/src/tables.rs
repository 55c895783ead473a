//! A page of tables, for what is not a run's own page.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::html::Text;
use crate::page;
use crate::run;
use crate::settings::settings;
use crate::{ReportError, run::Run};

/// A table with what stands above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its title; may be empty.
    pub title: String,
    /// Cells by line; the first line is the head, the first cell of a line its name.
    pub lines: Vec<Vec<String>>,
}

/// A page of tables that needs nothing else: `intro` and `legend` are shown a paragraph a line.
pub fn page_of_tables(title: &str, intro: &str, tables: &[Table], legend: &str) -> String {
    let mut body = paragraphs(intro);
    for table in tables {
        if !table.title.is_empty() {
            let _ = writeln!(body, "<h2>{}</h2>", Text(&table.title));
        }
        body.push_str(&html(table));
    }
    body.push_str(&paragraphs(legend));
    page::of_tables(title, &body)
}

fn paragraphs(text: &str) -> String {
    let mut html = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let _ = writeln!(html, "<p>{}</p>", Text(line));
    }
    html
}

fn html(table: &Table) -> String {
    let (head, lines) = match table.lines.split_first() {
        Some((head, lines)) => (head.as_slice(), lines),
        None => (&[][..], &[][..]),
    };
    let named = if table.title.is_empty() {
        "Figures"
    } else {
        &table.title
    };
    let mut html = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table class=\"figures\"><thead><tr>",
        Text(named)
    );
    for cell in head {
        let _ = write!(html, "<th scope=\"col\">{}</th>", Text(cell));
    }
    html.push_str("</tr></thead><tbody>");
    for line in lines {
        html.push_str("<tr>");
        for (at, cell) in line.iter().enumerate() {
            let _ = match at {
                0 => write!(html, "<th scope=\"row\">{}</th>", Text(cell)),
                _ => write!(html, "<td>{}</td>", Text(cell)),
            };
        }
        html.push_str("</tr>");
    }
    html + "</tbody></table></div>\n"
}

/// A setting in which runs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifferingSetting {
    /// Its place, such as `stages.stage1.lr`.
    pub key: String,
    /// What it is in each run; nothing where a run has none.
    pub values: Vec<Option<String>>,
}

/// The settings in which the runs of these folders differ, but for where they lie.
///
/// # Errors
///
/// When none of the folders holds a run.
pub fn differing_settings(folders: &[PathBuf]) -> Result<Vec<DifferingSetting>, ReportError> {
    let mut notes = Vec::new();
    let runs = run::read_all(folders, &mut notes);
    if runs.is_empty() {
        return Err(ReportError::NoRun { whys: notes });
    }
    let runs: Vec<&Run> = runs.iter().collect();
    let all = settings(&runs).into_iter();
    let differing = all.filter(|setting| !setting.is_shared() && setting.key != "out");
    let differing = differing.map(|setting| DifferingSetting {
        key: setting.key,
        values: setting.values,
    });
    Ok(differing.collect())
}
