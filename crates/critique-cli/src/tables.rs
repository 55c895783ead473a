//! Rows of a summary as tables that fit a terminal: one for each temperature, a few rows each.

use critique_eval::{Row, Summary};

/// Rows side by side in one table.
const ACROSS: usize = 4;

/// All rows, those of one temperature together.
pub(crate) fn of(summary: &Summary) -> String {
    let mut temperatures: Vec<f32> = Vec::new();
    for row in &summary.rows {
        let temperature = temperature(row);
        if !temperatures.contains(&temperature) {
            temperatures.push(temperature);
        }
    }
    let one = |&at: &f32| {
        let rows = summary.rows.iter().filter(|row| temperature(row) == at);
        let rows: Vec<Row> = rows.map(|row| plain(row, at)).collect();
        let tables = rows
            .chunks(ACROSS)
            .map(|rows| Summary::new(rows.to_vec()).to_text());
        format!(
            "{}:\n\n{}\n",
            title(at),
            tables.collect::<Vec<_>>().join("\n\n")
        )
    };
    temperatures.iter().map(one).collect::<Vec<_>>().join("\n")
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
