//! Curves in letters.

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How wide the terminal is, where the environment says it; 80 letters else.
pub(crate) fn columns() -> usize {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|text| text.parse().ok());
    said.unwrap_or(80).clamp(40, 400)
}

/// Values from left to right, at most `room` letters; each is the mean of those in its place.
pub(crate) fn line(values: &[f64], room: usize) -> String {
    let count = values.len().min(room);
    let place = |at: usize| at * values.len() / count.max(1);
    let mean = |at: usize| {
        let near = &values[place(at)..place(at + 1)];
        near.iter().sum::<f64>() / near.len() as f64
    };
    let means: Vec<f64> = (0..count).map(mean).collect();
    let least = means.iter().copied().fold(f64::INFINITY, f64::min);
    let most = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let level = |value: &f64| {
        let height = (value - least) / (most - least) * (LEVELS.len() - 1) as f64;
        // A flat line lies in the middle.
        LEVELS[if most > least {
            height.round() as usize
        } else {
            3
        }]
    };
    means.iter().map(level).collect()
}

/// A number with as many digits as a person compares.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size != 0.0 && size < 1e-3 => format!("{value:.1e}"),
        size if size < 100.0 => format!("{value:.3}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_the_lowest_to_the_highest_level() {
        assert_eq!(line(&[0.0, 1.0], 10), "▁█");
        assert_eq!(line(&[1.0, 1.0, 1.0], 10), "▄▄▄");
        assert_eq!(line(&[0.0, 0.0, 7.0, 7.0, 14.0, 14.0], 3), "▁▅█");
        assert_eq!(line(&[], 10), "");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.00001, 0.25, 1234.6].map(short),
            ["1.0e-5", "0.250", "1235"]
        );
    }
}
