//! `critique-rl compare`: two rows of runs on the same problems, over problems and over seeds.

mod arms;
mod show;

use std::collections::HashMap;
use std::path::PathBuf;

use critique_core::files::write_whole;
use critique_eval::{
    Comparison, EvalError, Outcome, Paired, SeedComparison, common, compare_seeds,
};
use critique_report::{DifferingSetting, differing_settings};
use serde::Serialize;

use crate::commands::compare::arms::{Evaluated, Side, pairs};
use crate::failure::Failure;
use crate::output::out;

/// Compares two evaluations on the same problems.
///
/// `--a` and `--b` name rows of `eval/summary.json` as `RUN:ROW`. Two rows of one run are compared
/// over problems; rows of several runs are paired by seed and compared over seeds too. `*` and `?`
/// in RUN stand for any folders; `:ROW` alone after `--b` means the runs of `--a`.
///
/// Runs without the row are named and counted; they change no figure.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = examples_of!(
    "critique-rl compare --a runs/quickstart-1:stage2 --b :stage1",
    "critique-rl compare --a 'runs/both/*:stage2' --b 'runs/one/*:stage1'",
))]
pub(crate) struct Args {
    /// What is compared, one run or more
    #[arg(long, value_name = "RUN:ROW", num_args = 1.., required = true)]
    a: Vec<String>,
    /// What it is compared with
    #[arg(long, value_name = "RUN:ROW", num_args = 1.., required = true)]
    b: Vec<String>,
    /// Leaves out problems that are in one of two evaluations alone
    #[arg(long)]
    common: bool,
    /// Resamples of the bootstrap
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    resamples: u32,
    /// Prints one JSON object
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Prints Markdown tables
    #[arg(long)]
    markdown: bool,
    /// Writes one HTML page instead, which needs nothing else; one that is there is replaced
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "markdown"])]
    html: Option<PathBuf>,
}

/// All that is known of a comparison, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    /// What `--a` and `--b` said.
    a: String,
    b: String,
    /// Each pair by itself, in the order of seeds.
    pairs: Vec<PairReport>,
    /// Over the pairs; absent of one pair.
    over_seeds: Option<SeedComparison>,
    /// Where the settings of the first pair differ; nothing where its two rows are of one run.
    settings: Vec<Setting>,
    /// Pairs that could not be compared.
    left_out: Vec<LeftOut>,
    /// What a reader should know of pairs that were.
    notes: Vec<String>,
}

/// Two evaluations that were compared.
#[derive(Debug, Serialize)]
struct PairReport {
    /// The runs' seed, where both have the same one.
    seed: Option<u64>,
    a: String,
    b: String,
    #[serde(flatten)]
    comparison: Comparison,
}

/// A setting that differs, by its place, such as `stages.stage1.lr`.
#[derive(Debug, Serialize)]
struct Setting {
    key: String,
    a: Option<String>,
    b: Option<String>,
}

/// Two evaluations of which one is not there.
#[derive(Debug, Serialize)]
struct LeftOut {
    seed: Option<u64>,
    why: String,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let report = report(args)?;
    if let Some(path) = &args.html {
        write_whole(path, show::html(&report).as_bytes()).map_err(Failure::failed)?;
        out::say(path.display().to_string())
    } else if args.json {
        out::say_json(&report)
    } else if args.markdown {
        out::say(show::markdown(&report))
    } else {
        out::say(show::text(&report))
    }
}

fn report(args: &Args) -> Result<Report, Failure> {
    let mut report = Report {
        a: args.a.join(" "),
        b: args.b.join(" "),
        pairs: Vec::new(),
        over_seeds: None,
        settings: Vec::new(),
        left_out: Vec::new(),
        notes: Vec::new(),
    };
    let resamples = args.resamples as usize;
    let mut paired = Vec::new();
    for (seed, sides) in pairs(&args.a, &args.b)? {
        let (a, b) = match sides {
            Ok(sides) => sides,
            Err(why) => {
                report.left_out.push(LeftOut { seed, why });
                continue;
            }
        };
        match (a.evaluated()?, b.evaluated()?) {
            (Ok(of_a), Ok(of_b)) => {
                let pair = pair(args, &mut report.notes, (&a, of_a), (&b, of_b))?;
                if report.pairs.is_empty() {
                    report.settings = settings(&a, &b);
                }
                report.pairs.push(PairReport {
                    seed,
                    a: a.to_string(),
                    b: b.to_string(),
                    comparison: pair.compare(resamples),
                });
                paired.push(pair);
            }
            (of_a, of_b) => {
                let mut whys = vec![of_a.err(), of_b.err()];
                whys.dedup();
                let why: Vec<String> = whys.into_iter().flatten().collect();
                report.left_out.push(LeftOut {
                    seed,
                    why: why.join("; "),
                });
            }
        }
    }
    if paired.is_empty() {
        let whys: Vec<&str> = report.left_out.iter().map(|it| it.why.as_str()).collect();
        return Err(Failure::failed(format!(
            "there is nothing to compare: {}",
            whys.join("; ")
        )));
    }
    report.over_seeds = (paired.len() > 1).then(|| compare_seeds(&paired, resamples));
    Ok(report)
}

/// Where the settings of two runs differ; nothing where a folder holds evaluations without a run.
fn settings(a: &Side, b: &Side) -> Vec<Setting> {
    let folders = [a.folder().to_owned(), b.folder().to_owned()];
    let differing = differing_settings(&folders).unwrap_or_default().into_iter();
    let setting = |mut it: DifferingSetting| Setting {
        b: it.values.pop().flatten(),
        a: it.values.pop().flatten(),
        key: it.key,
    };
    differing.map(setting).collect()
}

/// Pairs two evaluations by problem.
fn pair(
    args: &Args,
    notes: &mut Vec<String>,
    (a, mut of_a): (&Side, Evaluated),
    (b, mut of_b): (&Side, Evaluated),
) -> Result<Paired, Failure> {
    for (side, of) in [(a, &of_a), (b, &of_b)] {
        if of.dropped > 0 {
            notes.push(format!(
                "`{side}`: {} texts were not asked for, since their prompts did not fit; a problem without a critique is not compared",
                of.dropped
            ));
        }
    }
    if args.common {
        let left_out = common(&mut of_a.outcomes, &mut of_b.outcomes);
        if left_out > 0 {
            notes.push(format!(
                "`{a}` and `{b}`: {left_out} problems are in one of the two alone and left out"
            ));
        }
    }
    let differing = differing_responses(&of_a, &of_b);
    if differing > 0 {
        notes.push(format!(
            "`{a}` and `{b}`: {differing} of {} responses differ, so actors or their sampling differ as well as critics",
            of_a.outcomes.len()
        ));
    }
    Paired::new(&of_a.outcomes, &of_b.outcomes).map_err(|error| {
        let help = match &error {
            EvalError::Unpaired { .. } => "`--common` compares the problems that are in both",
            _ => "`--a` and `--b` must be evaluated on the same problems",
        };
        Failure::failed(format!("`{a}` and `{b}`: {error}")).with_help(Some(help.to_owned()))
    })
}

/// How many responses to the same problem, by their order, are not the same text.
fn differing_responses(a: &Evaluated, b: &Evaluated) -> usize {
    let known: HashMap<&str, &str> = b.responses().collect();
    let differs = |(id, text): &(&str, &str)| known.get(id).is_some_and(|other| other != text);
    a.responses().filter(differs).count()
}

/// Kept beside [`Outcome`], which has no texts.
impl Evaluated {
    fn responses(&self) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.texts.iter();
        texts.map(|(id, text)| (id.as_str(), text.as_str()))
    }
}

/// The outcomes of an evaluation, without those of critiques where nobody criticised.
fn without_critic(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.into_iter().map(Outcome::uncriticised).collect()
}
