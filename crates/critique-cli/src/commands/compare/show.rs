//! A comparison as tables: for terminals, as Markdown and as a page.

use std::fmt::Write as _;

use critique_eval::{Comparison, Difference, Metric, SeedComparison, SeedDifference, signed};
use critique_report::{Table, page_of_tables};

use crate::commands::compare::{Report, Setting};

const OF_PROBLEMS: &str = "95 %: paired bootstrap over problems. p: exact, McNemar's test (~: by the bootstrap).\nonly a, only b: problems that count in one of the two alone.";
const OF_SEEDS: &str = "95 % and p, bootstrap: runs resampled, then problems within; Student: over the runs' differences,\nthe one to trust with few runs. sd: standard deviation of a − b over runs.";

/// Cells of a table; the first line is its head.
type Lines = Vec<Vec<String>>;

/// For a terminal.
pub(super) fn text(report: &Report) -> String {
    let mut text = heading(report);
    for (title, lines) in tables(report) {
        let _ = write!(text, "\n{title}{}\n", aligned(&lines));
    }
    let _ = write!(text, "\n{}", legend(report));
    text
}

/// As Markdown.
pub(super) fn markdown(report: &Report) -> String {
    let mut text = heading(report).replace('\n', "\n\n");
    for (title, lines) in tables(report) {
        let title = title.replace('\n', "\n\n");
        let _ = write!(text, "{title}{}\n\n", piped(&lines));
    }
    text + &legend(report)
}

/// As a page.
pub(super) fn html(report: &Report) -> String {
    let table = |(title, lines): (String, Lines)| Table {
        title: title.trim_end_matches(['\n', ':']).to_owned(),
        lines,
    };
    let tables: Vec<Table> = tables(report).into_iter().map(table).collect();
    let title = format!("{} and {}", report.a, report.b);
    page_of_tables(&title, &heading(report), &tables, &legend(report))
}

/// What is compared, how many pairs, and what is missing.
fn heading(report: &Report) -> String {
    let (compared, missing) = (report.pairs.len(), report.left_out.len());
    let problems = report.pairs.iter().map(|pair| pair.comparison.problems);
    let (fewest, most) = (problems.clone().min(), problems.max());
    let problems = match (fewest.unwrap_or(0), most.unwrap_or(0)) {
        (fewest, most) if fewest == most => format!("{most} problems"),
        (fewest, most) => format!("{fewest} to {most} problems"),
    };
    let mut text = format!("a: {}\nb: {}\n", report.a, report.b);
    let _ = match (compared, missing) {
        (1, 0) => writeln!(text, "{problems}"),
        (_, 0) => writeln!(text, "{compared} pairs of runs, {problems} each"),
        (_, _) => writeln!(
            text,
            "{compared} of {} pairs of runs, {problems} each; {missing} left out:",
            compared + missing
        ),
    };
    for it in &report.left_out {
        let seed = it
            .seed
            .map_or(String::new(), |seed| format!("seed {seed}, "));
        let _ = writeln!(text, "- {seed}{}", it.why);
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn legend(report: &Report) -> String {
    if report.over_seeds.is_some() {
        OF_SEEDS.to_owned()
    } else {
        OF_PROBLEMS.to_owned()
    }
}

fn tables(report: &Report) -> Vec<(String, Lines)> {
    let mut tables = figures(report);
    if !report.settings.is_empty() {
        let title = match report.pairs.len() {
            1 => "settings that differ:\n",
            _ => "settings that differ in the first pair:\n",
        };
        tables.push((title.to_owned(), settings(report)));
    }
    tables
}

fn settings(report: &Report) -> Lines {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
    let line = |it: &Setting| vec![it.key.clone(), known(&it.a), known(&it.b)];
    with_head(&["setting", "a", "b"], report.settings.iter().map(line))
}

fn figures(report: &Report) -> Vec<(String, Lines)> {
    match (&report.over_seeds, report.pairs.as_slice()) {
        (Some(over), _) => vec![
            (String::new(), over_seeds(over)),
            ("a − b of each run:\n".to_owned(), of_each(report, over)),
        ],
        (None, [pair]) => vec![(String::new(), of_one(&pair.comparison))],
        (None, _) => Vec::new(),
    }
}

fn of_one(comparison: &Comparison) -> Lines {
    let refined = comparison.of(Metric::AccRefined);
    let scores = refined.is_some_and(|it| it.a.max(it.b) > 1.0);
    let line = |it: &Difference| {
        let unit = Unit::of(it.metric, scores);
        let p = match it.p_exact {
            Some(p) => chance(p),
            None => format!("~{}", chance(it.p_bootstrap)),
        };
        let count = |count: Option<u64>| count.map_or("–".to_owned(), |count| count.to_string());
        vec![
            it.metric.heading().to_owned(),
            unit.plain(it.a),
            unit.plain(it.b),
            unit.signed(it.difference),
            unit.interval(it.ci95),
            p,
            count(it.only_a),
            count(it.only_b),
        ]
    };
    let head = ["%", "a", "b", "a − b", "95 %", "p", "only a", "only b"];
    with_head(&head, comparison.differences.iter().map(line))
}

fn over_seeds(over: &SeedComparison) -> Lines {
    let scores = gives_scores(over);
    let line = |it: &SeedDifference| {
        let unit = Unit::of(it.metric, scores);
        let known = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        vec![
            it.metric.heading().to_owned(),
            unit.plain(it.a),
            unit.plain(it.b),
            unit.signed(it.difference),
            known(it.sd.map(|sd| unit.plain(sd))),
            unit.interval(it.ci95),
            chance(it.p_bootstrap),
            known(it.ci95_t.map(|interval| unit.interval(interval))),
            known(it.p_t.map(chance)),
        ]
    };
    let head = [
        "%",
        "a",
        "b",
        "a − b",
        "sd",
        "95 %, bootstrap",
        "p",
        "95 %, Student",
        "p",
    ];
    with_head(&head, over.differences.iter().map(line))
}

/// A line a run.
fn of_each(report: &Report, over: &SeedComparison) -> Lines {
    let scores = gives_scores(over);
    let mut head = vec![if report.pairs.iter().all(|pair| pair.seed.is_some()) {
        "seed"
    } else {
        "run"
    }];
    head.extend(over.differences.iter().map(|it| it.metric.heading()));
    let lines = report.pairs.iter().enumerate().map(|(index, pair)| {
        let name = match pair.seed {
            Some(seed) => seed.to_string(),
            None => (index + 1).to_string(),
        };
        let cell = |it: &SeedDifference| {
            let unit = Unit::of(it.metric, scores);
            it.by_run[index].map_or("–".to_owned(), |difference| unit.signed(difference))
        };
        std::iter::once(name)
            .chain(over.differences.iter().map(cell))
            .collect()
    });
    with_head(&head, lines)
}

fn gives_scores(over: &SeedComparison) -> bool {
    let refined = over.of(Metric::AccRefined);
    refined.is_some_and(|it| it.a.max(it.b) > 1.0)
}

fn with_head(head: &[&str], lines: impl Iterator<Item = Vec<String>>) -> Lines {
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    std::iter::once(head).chain(lines).collect()
}

/// How a figure is printed.
#[derive(Clone, Copy)]
struct Unit {
    times: f64,
    decimals: usize,
}

impl Unit {
    /// Percent, but for scores.
    fn of(metric: Metric, scores: bool) -> Self {
        if !metric.is_share() || (scores && metric.is_mean_score()) {
            Self {
                times: 1.0,
                decimals: 2,
            }
        } else {
            Self {
                times: 100.0,
                decimals: 1,
            }
        }
    }

    fn plain(self, figure: f64) -> String {
        format!("{:.*}", self.decimals, self.times * figure)
    }

    fn signed(self, figure: f64) -> String {
        signed(self.times * figure, self.decimals)
    }

    fn interval(self, [low, high]: [f64; 2]) -> String {
        format!("[{}, {}]", self.signed(low), self.signed(high))
    }
}

fn chance(p: f64) -> String {
    if p < 0.001 {
        "<0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// Columns as wide as their widest cell, names to the left, figures to the right.
fn aligned(lines: &Lines) -> String {
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let line = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn piped(lines: &Lines) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut text: Vec<String> = lines.iter().map(|cells| line(cells)).collect();
    let mut rule = vec!["---:".to_owned(); lines[0].len()];
    "---".clone_into(&mut rule[0]);
    text.insert(1, line(&rule));
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percent_and_scores_are_not() {
        assert_eq!(Unit::of(Metric::AccDis, false).signed(0.021), "+2.1");
        assert_eq!(
            Unit::of(Metric::AccDis, true).interval([-0.0001, 0.5]),
            "[0.0, +50.0]"
        );
        assert_eq!(Unit::of(Metric::MaeDis, false).signed(-0.25), "-0.25");
        assert_eq!(Unit::of(Metric::AccRefined, true).plain(6.5), "6.50");
        assert_eq!([chance(0.0004), chance(0.25)], ["<0.001", "0.250"]);
    }
}
