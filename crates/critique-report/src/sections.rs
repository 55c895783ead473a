//! Parts of the page that need no script: summary, settings, times.

use std::fmt::Write as _;

use critique_eval::{Lean, Metric, Row};

use crate::evaluation::{cell, headline};
use crate::html::Text;
use crate::run::Run;
use crate::settings::{Setting, settings};
use crate::stages::Stage;

/// What was left out and why.
pub(crate) fn notes(notes: &[String]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let items = notes.iter().map(|note| format!("<li>{}</li>", Text(note)));
    let items: String = items.collect();
    format!(
        "<aside class=\"notes\" aria-label=\"Notes\"><h2>What could not be read</h2><ul>{items}</ul></aside>"
    )
}

/// A card a run.
pub(crate) fn summary(runs: &[&Run]) -> String {
    runs.iter().map(|run| card(run)).collect()
}

fn card(run: &Run) -> String {
    let mut lines = Vec::new();
    if let Some(task) = run.task() {
        lines.push(("task", Text(task).to_string()));
    }
    if let Some(seed) = run.seed() {
        lines.push(("seed", seed.to_string()));
    }
    lines.push(("stands at", Text(&progress(run)).to_string()));
    let seconds: f64 = run.stages.iter().map(|stage| stage.costs.seconds).sum();
    lines.push(("time in steps", duration(seconds)));
    let memory = run.stages.iter().map(|stage| stage.costs.memory_mb);
    let memory = memory.fold(0.0, f64::max);
    if memory > 0.0 {
        lines.push(("most memory", format!("{memory:.0} MiB")));
    }
    let mut html = format!("<article class=\"card\"><h3>{}</h3><dl>", Text(&run.label));
    for (name, value) in lines {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    html.push_str("</dl>");
    if let Some(row) = headline(run) {
        html.push_str(&came_to(row));
    }
    html.push_str("</article>");
    html
}

/// What the last critic of a run came to.
fn came_to(row: &Row) -> String {
    let mut html = format!(
        "<p class=\"row\">Last evaluation: <b>{}</b></p><dl>",
        Text(&row.stage)
    );
    for metric in [
        Metric::AccInitial,
        Metric::AccRefined,
        Metric::AccDisBalanced,
        Metric::ParseRate,
    ] {
        let name = match metric {
            Metric::AccDisBalanced => "Acc@Dis, balanced",
            metric => metric.heading(),
        };
        let (name, cell) = (Text(name), cell(row, metric));
        let _ = write!(html, "<div><dt>{name}</dt><dd>{cell}</dd></div>");
    }
    html.push_str("</dl>");
    if let Some(lean) = row.lean() {
        let _ = write!(html, "<p class=\"lean\">{}</p>", Text(in_words(lean)));
    }
    html
}

fn in_words(lean: Lean) -> &'static str {
    match lean {
        Lean::Silent => "Silent: less than half of the critiques have a verdict.",
        Lean::Constant => "Constant: nearly all verdicts are the same.",
        Lean::Blind => "Blind: balanced Acc@Dis may be 50 %, that of a critic that does not look.",
        Lean::ToCorrect => "Leans to Correct: a conservative critic.",
        Lean::ToWrong => "Leans to Wrong: an aggressive critic.",
        Lean::Even => "Even: it judges right and wrong responses alike.",
    }
}

fn progress(run: &Run) -> String {
    let Some(stage) = run.stages.last() else {
        return "no step done".to_owned();
    };
    let planned = run.config.as_ref().map(|config| &config.stages);
    let last = planned.and_then(|stages| stages.last());
    let of = stage
        .planned
        .map_or(String::new(), |steps| format!(" of {steps}"));
    let is_last = last.is_some_and(|last| last.name() == stage.name);
    let end = match (is_last, stage.planned) {
        (true, Some(steps)) if stage.done >= steps => ": all steps done",
        (true, _) => ", the last stage",
        (false, _) => "",
    };
    format!("{}, step {}{of}{end}", stage.name, stage.done)
}

/// Seconds as a person says them.
fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds:.1} s"),
        (0, minutes) => format!("{minutes} min {} s", whole % 60),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// The settings of all runs: those that somebody set or that differ, then all.
pub(crate) fn settings_table(runs: &[&Run]) -> String {
    let all = settings(runs);
    let several = runs.len() > 1;
    let told = |setting: &&Setting| setting.is_set() || !setting.is_shared();
    let (set, rest): (Vec<&Setting>, Vec<&Setting>) = all.iter().partition(told);
    let set = settings_of(runs, &set, several, "Settings that are not the defaults");
    let rest_count = rest.len();
    let rest = settings_of(runs, &rest, several, "Settings that are the defaults");
    format!(
        "{set}<details><summary>{rest_count} settings that are the defaults</summary>{rest}</details>"
    )
}

fn settings_of(runs: &[&Run], settings: &[&Setting], several: bool, about: &str) -> String {
    if settings.is_empty() {
        return "<p>None.</p>".to_owned();
    }
    let mut html = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{about}\"><table class=\"settings\"><thead><tr><th scope=\"col\">setting</th><th scope=\"col\">default</th>"
    );
    for run in runs {
        let _ = write!(html, "<th scope=\"col\">{}</th>", Text(&run.label));
    }
    html.push_str("</tr></thead><tbody>");
    for setting in settings {
        let differs = several && !setting.is_shared();
        let class = if differs { " class=\"differs\"" } else { "" };
        let mark = if differs {
            " <small>differs</small>"
        } else {
            ""
        };
        let _ = write!(
            html,
            "<tr{class}><th scope=\"row\">{}{mark}</th>",
            Text(&setting.key)
        );
        for value in std::iter::once(&setting.default).chain(&setting.values) {
            let value = value.as_deref().unwrap_or("–");
            let _ = write!(html, "<td>{}</td>", Text(value));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

/// What each stage of each run took.
pub(crate) fn times(runs: &[&Run]) -> String {
    let mut html = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Times and memory\"><table class=\"figures\"><thead><tr>\
         <th scope=\"col\">run</th><th scope=\"col\">stage</th><th scope=\"col\">steps</th><th scope=\"col\">time</th><th scope=\"col\">s a step</th>\
         <th scope=\"col\">generation</th><th scope=\"col\">scoring</th><th scope=\"col\">updates</th>\
         <th scope=\"col\">tokens</th><th scope=\"col\">tokens/s</th><th scope=\"col\">memory, MiB</th></tr></thead><tbody>",
    );
    for run in runs {
        for stage in &run.stages {
            html.push_str(&time_line(&run.label, stage));
        }
    }
    html.push_str("</tbody></table></div>");
    html
}

fn time_line(label: &str, stage: &Stage) -> String {
    let costs = &stage.costs;
    let share = |seconds: f64| ratio(100.0 * seconds, costs.seconds, 0, " %");
    let share = |seconds: f64| {
        if stage.rl {
            share(seconds)
        } else {
            NONE.to_owned()
        }
    };
    let busy = if stage.rl {
        costs.rollout
    } else {
        costs.seconds
    };
    let of = stage
        .planned
        .map_or(String::new(), |steps| format!(" of {steps}"));
    let cells = [
        format!("{}{of}", stage.done),
        duration(costs.seconds),
        ratio(costs.seconds, stage.done as f64, 2, ""),
        share(costs.rollout),
        share(costs.score),
        share(costs.train),
        format!("{:.0}", costs.tokens),
        ratio(costs.tokens, busy, 0, ""),
        ratio(costs.memory_mb, 1.0, 0, ""),
    ];
    format!(
        "<tr><td class=\"words\">{}</td><th scope=\"row\">{}</th><td>{}</td></tr>",
        Text(label),
        Text(&stage.name),
        cells.join("</td><td>")
    )
}

/// What stands where there is no number.
const NONE: &str = "–";

fn ratio(a: f64, b: f64, decimals: usize, unit: &str) -> String {
    if a > 0.0 && b > 0.0 {
        format!("{:.decimals$}{unit}", a / b)
    } else {
        NONE.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        assert_eq!(duration(3.06), "3.1 s");
        assert_eq!(duration(125.0), "2 min 5 s");
        assert_eq!(duration(7260.0), "2 h 1 min");
    }
}
