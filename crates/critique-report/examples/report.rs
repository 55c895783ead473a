//! The command `critique-rl report` without the rest of the command line:
//! `cargo run --release -p critique-report --example report -- RUN… -o report.html`.

use std::io::Write as _;
use std::path::PathBuf;

use critique_report::{Options, Report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words = std::env::args_os().skip(1).map(PathBuf::from);
    let words: Vec<PathBuf> = words.filter(|word| *word != *"-o").collect();
    let (out, runs) = words.split_last().ok_or("expected RUN… -o FILE")?;
    let report = Report::of(runs, &Options::default())?;
    let mut told = std::io::stderr().lock();
    for note in report.notes() {
        writeln!(told, "note: {note:?}")?;
    }
    Ok(report.write(out)?)
}
