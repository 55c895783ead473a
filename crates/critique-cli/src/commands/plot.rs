//! `critique-rl plot`: figures of runs for papers and pages.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use critique_core::files::write_whole;
use critique_report::{Band, Figure, FigureError, Figures, Look};

use crate::failure::Failure;
use crate::output::out;

/// Draws curves of runs, or a figure by name, as SVG or PNG.
///
/// Runs that differ in their seed alone are one line, their mean, with a band. Shares are in percent;
/// colours are safe for the colour-blind, and lines differ in their dashes too.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl plot runs/quickstart-1 --metric reward --metric kl -o curves.svg",
    "critique-rl plot runs/s1 runs/s2 runs/s3 --figure dynamics --band interval -o dynamics.svg",
    "critique-rl plot runs/two-stages runs/stage1-only --figure pareto -o pareto.svg",
))]
pub(crate) struct Args {
    /// Run folders
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// A number of `metrics.jsonl`, a panel each; an unknown name lists those that are there
    #[arg(short, long, value_name = "NAME", required_unless_present = "figure")]
    metric: Vec<String>,
    /// A figure of the paper
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "metric")]
    figure: Option<Named>,
    /// What lies around the mean of runs that differ in their seed alone
    #[arg(long, value_enum, default_value_t = Around::Range, value_name = "BAND")]
    band: Around,
    /// Points of a running mean
    #[arg(long, default_value_t = 1, value_name = "N")]
    smooth: usize,
    /// This stage alone
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Where the figure goes, as its name ends: `.svg`, or `.png` in a build with the feature `png`;
    /// one that is there is replaced
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Pixels of a PNG for one of the SVG's
    #[arg(long, default_value_t = 2.0, value_name = "N", value_parser = scale)]
    scale: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Named {
    /// Acc@Dis on right and on wrong responses and Acc@Refine, over steps
    Dynamics,
    /// Pass@K of refinements over the critiques of a response
    Scaling,
    /// Acc@Refine against balanced Acc@Dis
    Pareto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Around {
    /// From the least to the most
    Range,
    /// The 95 % interval of the mean (Student)
    Interval,
    /// Nothing: each seed is a line of its own
    Each,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let form = form(&args.out)?;
    let figures = Figures::of(&args.runs)?;
    for note in figures.notes() {
        out::tell(format!("note: {}", out::visible(note)));
    }
    let figure = match args.figure {
        Some(Named::Dynamics) => Figure::Dynamics,
        Some(Named::Scaling) => Figure::Scaling,
        Some(Named::Pareto) => Figure::Pareto,
        None => Figure::Metrics(args.metric.clone()),
    };
    let look = Look {
        band: match args.band {
            Around::Range => Band::Range,
            Around::Interval => Band::Interval,
            Around::Each => Band::Each,
        },
        smooth: args.smooth,
        stage: args.stage.clone(),
    };
    let bytes = match form {
        Form::Svg => figures.svg(&figure, &look)?.into_bytes(),
        #[cfg(feature = "png")]
        Form::Png => figures.png(&figure, &look, args.scale)?,
    };
    write_whole(&args.out, &bytes).map_err(Failure::failed)?;
    out::say(args.out.display().to_string())
}

enum Form {
    Svg,
    #[cfg(feature = "png")]
    Png,
}

/// The form of a figure, by the end of its name.
fn form(path: &Path) -> Result<Form, Failure> {
    let shown = path.display();
    let end = path.extension().and_then(|end| end.to_str());
    match end.map(str::to_ascii_lowercase).as_deref() {
        _ if path.is_dir() => Err(Failure::usage(format!(
            "`--out {shown}` is a folder; expected a file, such as `{shown}/figure.svg`"
        ))),
        Some("svg") => Ok(Form::Svg),
        #[cfg(feature = "png")]
        Some("png") => Ok(Form::Png),
        #[cfg(not(feature = "png"))]
        Some("png") => Err(Failure::usage(format!(
            "`--out {shown}`: this build draws SVG alone; write `{}`, or build with `--features png`",
            path.with_extension("svg").display()
        ))),
        _ => Err(Failure::usage(format!(
            "`--out {shown}` does not end in `.svg` or `.png`, which figures are"
        ))),
    }
}

fn scale(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(scale) if (0.1..=16.0).contains(&scale) => Ok(scale),
        _ => Err("expected a number from 0.1 to 16".into()),
    }
}

impl From<FigureError> for Failure {
    fn from(error: FigureError) -> Self {
        match error {
            FigureError::Metric { .. } => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}
