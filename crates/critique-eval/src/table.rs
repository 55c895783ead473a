//! A summary as a table for terminals and for Markdown.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle, presets};

use crate::metrics::Metric;
use crate::summary::{Row, Summary};

/// Columns: heading, metric, and whether the sign is always shown.
const COLUMNS: [(&str, Metric, bool); 11] = [
    ("Acc", Metric::AccInitial, false),
    ("Acc@Refine", Metric::AccRefined, false),
    ("Δ", Metric::Delta, true),
    ("Δ c→i", Metric::DeltaC2i, false),
    ("Δ i→c", Metric::DeltaI2c, false),
    ("Acc@Dis", Metric::AccDis, false),
    ("floor", Metric::ConstantFloor, false),
    ("balanced", Metric::AccDisBalanced, false),
    ("on right", Metric::AccDisCorrect, false),
    ("on wrong", Metric::AccDisIncorrect, false),
    ("parsed", Metric::ParseRate, false),
];

impl Summary {
    /// A table for terminals: a line a figure and a column a row of the summary, in
    /// percent, with 95 % intervals below. Mean scores of open-ended tasks stand as they are,
    /// with two decimals.
    pub fn to_text(&self) -> String {
        let style = presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none());
        let mut table = empty(style);
        table.set_header(std::iter::once("%".to_owned()).chain(self.rows.iter().map(name)));
        let counts = self.rows.iter().map(|row| row.n.to_string());
        table.add_row(std::iter::once("n".to_owned()).chain(counts));
        for (heading, metric, signed) in COLUMNS {
            let cells = self.rows.iter().map(|row| cell(row, metric, signed, "\n"));
            table.add_row(std::iter::once(heading.to_owned()).chain(cells));
        }
        finished(table)
    }

    /// A Markdown table: a line a row of the summary and a column a figure, in percent,
    /// with 95 % intervals.
    pub fn to_markdown(&self) -> String {
        let mut table = empty(presets::ASCII_MARKDOWN);
        let headings = COLUMNS.iter().map(|(heading, ..)| *heading);
        table.set_header(["critic", "n"].into_iter().chain(headings));
        for row in &self.rows {
            let cells = COLUMNS
                .iter()
                .map(|(_, metric, signed)| cell(row, *metric, *signed, " "));
            table.add_row([name(row), row.n.to_string()].into_iter().chain(cells));
        }
        finished(table)
    }
}

/// A table that looks the same on every terminal.
fn empty(style: TableStyle) -> Table {
    let mut table = Table::new();
    table.load_style(style).force_no_tty();
    table
}

/// The text, numbers to the right, without blanks at the ends of lines.
fn finished(mut table: Table) -> String {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

fn name(row: &Row) -> String {
    match row.extra.temperature {
        Some(temperature) if temperature > 0.0 => format!("{} (T = {temperature})", row.stage),
        _ => row.stage.clone(),
    }
}

fn cell(row: &Row, metric: Metric, signed: bool, between: &str) -> String {
    let Some(value) = row.value(metric) else {
        return "–".to_owned();
    };
    let percent = |x: f64| match (row.gives_scores() && metric.is_mean_score(), signed) {
        (true, true) => format!("{x:+.2}"),
        (true, false) => format!("{x:.2}"),
        (false, true) => format!("{:+.1}", 100.0 * x),
        (false, false) => format!("{:.1}", 100.0 * x),
    };
    match row.ci95.get(metric.name()) {
        Some([low, high]) if metric != Metric::ConstantFloor => {
            format!(
                "{}{between}[{}, {}]",
                percent(value),
                percent(*low),
                percent(*high)
            )
        }
        _ => percent(value),
    }
}

impl Row {
    /// Whether its responses have scores instead of verdicts (appendix E of the paper). Scores
    /// begin at 1, where shares end.
    pub fn gives_scores(&self) -> bool {
        self.acc_initial.is_some_and(|mean| mean > 1.0)
    }

    /// The value of a metric; `None` where it is not defined.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::AccInitial => self.acc_initial,
            Metric::AccRefined => self.acc_refined,
            Metric::Delta => self.delta,
            Metric::DeltaC2i => self.delta_c2i,
            Metric::DeltaI2c => self.delta_i2c,
            Metric::C2iOfCorrect => self.extra.c2i_of_correct,
            Metric::I2cOfIncorrect => self.extra.i2c_of_incorrect,
            Metric::AccDis => self.acc_dis,
            Metric::AccDisParsed => self.extra.acc_dis_parsed,
            Metric::AccDisCorrect => self.acc_dis_correct,
            Metric::AccDisIncorrect => self.acc_dis_incorrect,
            Metric::AccDisBalanced => self.acc_dis_balanced,
            Metric::ParseRate => self.parse_rate,
            Metric::Mcc => self.extra.mcc,
            Metric::Relevance => self.extra.relevance,
            Metric::ConstantFloor => self.extra.constant_floor,
            Metric::SaidCorrect => self.extra.said_correct,
            Metric::MseDis => self.extra.mse_dis,
            Metric::MaeDis => self.extra.mae_dis,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_scores_are_no_percentages() {
        let row = |acc_initial| Row {
            stage: "no_critic".into(),
            acc_initial: Some(acc_initial),
            delta: Some(0.25),
            acc_dis: Some(0.25),
            ..Row::default()
        };
        let texts = |row: &Row| {
            let metrics = [Metric::AccInitial, Metric::Delta, Metric::AccDis];
            metrics.map(|metric| cell(row, metric, metric == Metric::Delta, " "))
        };
        assert_eq!(texts(&row(0.5)), ["50.0", "+25.0", "25.0"]);
        assert_eq!(texts(&row(3.456)), ["3.46", "+0.25", "25.0"]);
    }
}
