//! A summary as a table for terminals and for Markdown.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle, presets};

use crate::metrics::Metric;
use crate::summary::{Row, Summary};

/// Heading of the line with what a row's rates say.
const LEANS: &str = "leans";

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
        for metric in Metric::COLUMNS {
            let cells = self.rows.iter().map(|row| cell(row, metric, "\n"));
            table.add_row(std::iter::once(metric.heading().to_owned()).chain(cells));
        }
        let leans = self.rows.iter().map(leans);
        table.add_row(std::iter::once(LEANS.to_owned()).chain(leans));
        finished(table)
    }

    /// A Markdown table: a line a row of the summary and a column a figure, in percent,
    /// with 95 % intervals.
    pub fn to_markdown(&self) -> String {
        let mut table = empty(presets::ASCII_MARKDOWN);
        let headings = Metric::COLUMNS.iter().map(|metric| metric.heading());
        table.set_header(["critic", "n"].into_iter().chain(headings).chain([LEANS]));
        for row in &self.rows {
            let cells = Metric::COLUMNS.iter().map(|metric| cell(row, *metric, " "));
            let cells = [name(row), row.n.to_string()].into_iter().chain(cells);
            table.add_row(cells.chain([leans(row)]));
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

/// What a row's rates say, in a word or two.
fn leans(row: &Row) -> String {
    row.lean().map_or("–".to_owned(), |lean| lean.to_string())
}

fn cell(row: &Row, metric: Metric, between: &str) -> String {
    let Some(value) = row.value(metric) else {
        return "–".to_owned();
    };
    let (times, decimals) = if row.gives_scores() && metric.is_mean_score() {
        (1.0, 2)
    } else {
        (100.0, 1)
    };
    let percent = |x: f64| match metric {
        Metric::Delta => signed(times * x, decimals),
        _ => format!("{:.decimals$}", times * x),
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

/// A number with its sign, but for what rounds to 0.
pub fn signed(number: f64, decimals: usize) -> String {
    let text = format!("{number:+.decimals$}");
    if text.contains(|letter: char| letter.is_ascii_digit() && letter != '0') {
        text
    } else {
        text[1..].to_owned()
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
            metrics.map(|metric| cell(row, metric, " "))
        };
        assert_eq!(texts(&row(0.5)), ["50.0", "+25.0", "25.0"]);
        assert_eq!(texts(&row(3.456)), ["3.46", "+0.25", "25.0"]);
    }

    #[test]
    fn what_rounds_to_zero_has_no_sign() {
        let texts = [-0.04, -0.0, 0.04, 2.06, -50.0].map(|number| signed(number, 1));
        assert_eq!(texts, ["0.0", "0.0", "0.0", "+2.1", "-50.0"]);
        assert_eq!(signed(-0.25, 2), "-0.25");
    }
}
