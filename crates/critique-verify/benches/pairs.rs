//! Pairs a second on the crate's own tables, and how long the slowest takes.
//!
//! `cargo bench -p critique-verify`

use std::io::Write as _;
use std::time::Instant;

use critique_verify::{Options, equivalent};
use serde_json::Value;

/// Times the table is gone through.
const ROUNDS: usize = 5;

fn main() {
    let table = include_str!("../tests/data/pairs.jsonl");
    let rules = include_str!("../tests/data/rules.txt");
    let mut pairs: Vec<(String, String)> = table
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|row| {
            Some((
                row["gold"].as_str()?.to_owned(),
                row["prediction"].as_str()?.to_owned(),
            ))
        })
        .collect();
    for line in rules.lines() {
        if let Some((gold, answers)) = line.split_once(" @@") {
            let answers = answers.replace(" !! ", ";;");
            pairs.extend(
                answers
                    .split(";;")
                    .map(|answer| (gold.to_owned(), answer.trim_matches(' ').to_owned())),
            );
        }
    }
    let options = Options::default();
    let mut seconds: Vec<f64> = Vec::new();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for (gold, prediction) in &pairs {
            let start = Instant::now();
            std::hint::black_box(equivalent(gold, prediction, &options));
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    let total = start.elapsed().as_secs_f64();
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| 1e3 * seconds[((seconds.len() - 1) as f64 * share) as usize];
    let _ = writeln!(
        std::io::stdout(),
        "{} pairs, {:.0} pairs/s, median {:.4} ms, p95 {:.3} ms, p99 {:.3} ms, max {:.2} ms",
        pairs.len(),
        (ROUNDS * pairs.len()) as f64 / total,
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0),
    );
}
