//! Rows of a summary as tables that fit a terminal: one for each temperature, a few rows each.

use critique_eval::{Row, Summary};
use critique_rollout::Control;

/// Most rows side by side in one table.
const ACROSS: usize = 5;

/// Columns of a terminal that tables keep to.
const WIDTH: usize = 80;

const LEGEND: &str = "c→i: made wrong, i→c: mended; floor: Acc@Dis of the better constant critic;
balanced: mean of on right and on wrong; leans: where verdicts err
(docs/evaluation.md)";

/// All rows, those of one temperature together: critics that were trained, then the actor
/// alone, then critics that are no models.
pub(crate) fn of(summary: &Summary) -> String {
    let mut rows: Vec<&Row> = summary.rows.iter().collect();
    rows.sort_by_key(|row| rank(&row.stage));
    let mut temperatures: Vec<f32> = Vec::new();
    for row in &summary.rows {
        let temperature = temperature(row);
        if !temperatures.contains(&temperature) {
            temperatures.push(temperature);
        }
    }
    let one = |&at: &f32| {
        let rows = rows.iter().filter(|row| temperature(row) == at);
        let rows: Vec<Row> = rows.map(|row| plain(row, at)).collect();
        format!("{}:\n\n{}\n", title(at), side_by_side(&rows))
    };
    let tables: Vec<String> = temperatures.iter().map(one).collect();
    format!("{}\n{LEGEND}\n", tables.join("\n"))
}

/// Where a row stands.
fn rank(stage: &str) -> usize {
    let name = stage.split('@').next().unwrap_or(stage);
    let control = Control::ALL
        .iter()
        .position(|control| control.name() == name);
    match (control, name) {
        (Some(place), _) => 2 + place,
        (None, "no_critic") => 1,
        _ => 0,
    }
}

/// Tables one below the other, each of as many rows as fit.
fn side_by_side(rows: &[Row]) -> String {
    let mut tables = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let table = |count: usize| Summary::new(rest[..count].to_vec()).to_text();
        let fits = |count: &usize| {
            let table = table(*count);
            table.lines().all(|line| line.chars().count() <= WIDTH)
        };
        let most = ACROSS.min(rest.len());
        let count = (1..=most).rev().find(fits).unwrap_or(1);
        tables.push(table(count));
        rest = &rest[count..];
    }
    tables.join("\n\n")
}

fn temperature(row: &Row) -> f32 {
    row.extra.temperature.unwrap_or(0.0)
}

fn title(temperature: f32) -> String {
    let how = if temperature > 0.0 {
        format!("Sampled at T = {temperature}")
    } else {
        "Greedy decoding".to_owned()
    };
    format!("{how}, % of problems with 95 % intervals")
}

/// A row without its temperature, which the title says.
fn plain(row: &Row, temperature: f32) -> Row {
    let mut row = row.clone();
    row.extra.temperature = None;
    if let Some(name) = row.stage.strip_suffix(&format!("@{temperature}")) {
        row.stage = name.to_owned();
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stage: &str, temperature: f32) -> Row {
        let mut row = Row {
            stage: stage.to_owned(),
            n: 1000,
            acc_initial: Some(0.5),
            delta: Some(1.0),
            ..Row::default()
        };
        row.ci95.insert("delta".into(), [0.123, 0.456]);
        row.extra.temperature = Some(temperature);
        row
    }

    #[test]
    fn trained_critics_come_first_and_tables_fit_a_terminal() {
        let names = [
            "no_critic",
            "always_correct",
            "perfect",
            "sft",
            "stage1-best",
            "a_stage_with_a_long_name",
            "stage2",
        ];
        let mut rows: Vec<Row> = names.map(|name| row(name, 0.0)).into();
        rows.push(row("sft@0.7", 0.7));
        rows.push(row("no_critic@0.7", 0.7));
        let text = of(&Summary::new(rows));
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        let heads: Vec<&str> = text
            .lines()
            .filter(|line| line.trim_start().starts_with('%'))
            .flat_map(|line| line.split_whitespace().skip(1))
            .collect();
        assert_eq!(
            heads,
            [
                "sft",
                "stage1-best",
                "a_stage_with_a_long_name",
                "stage2",
                "no_critic",
                "always_correct",
                "perfect",
                "sft",
                "no_critic"
            ]
        );
        assert!(text.trim_end().ends_with(LEGEND), "{text}");
    }
}
