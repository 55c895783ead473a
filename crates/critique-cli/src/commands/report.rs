//! `critique-rl report`: runs as one page to look at.

use std::path::PathBuf;

use critique_report::{Options, Report, ReportError};

use crate::failure::Failure;
use crate::output::out;

/// Writes one HTML page about runs: figures, curves, settings, and a reader of rollouts.
///
/// The page needs nothing else, no network and no other file, and can be sent as it is. Several
/// runs stand beside each other; those that differ in their seed alone are drawn as one, with
/// bands. What cannot be read is left out, and told here and on the page.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl report runs/quickstart-1",
    "critique-rl report runs/s1 runs/s2 runs/s3 -o seeds.html",
    "critique-rl report runs/gsm8k --rollouts 10000",
))]
pub(crate) struct Args {
    /// Run folders
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Where the page goes; one that is there is replaced
    #[arg(short, long, default_value = "report.html", value_name = "FILE")]
    out: PathBuf,
    /// Most rollouts on the page, spread over stages, steps and evaluations
    #[arg(long, default_value_t = Options::default().rollouts, value_name = "N")]
    rollouts: usize,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.out.is_dir() {
        let folder = args.out.display();
        return Err(Failure::usage(format!(
            "`--out {folder}` is a folder; expected a file, such as `{folder}/report.html`"
        )));
    }
    let options = Options {
        rollouts: args.rollouts,
    };
    let report = Report::of(&args.runs, &options)?;
    for note in report.notes() {
        out::tell(format!("note: {}", out::visible(note)));
    }
    report.write(&args.out)?;
    out::say(args.out.display().to_string())
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::NoRun { .. } => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}
