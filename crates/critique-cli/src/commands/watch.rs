//! `critique-rl watch`: a run in a terminal.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use critique_core::files::names_in;
use critique_core::{Judgment, Verdict};
use critique_rollout::{RolloutRecord, record};
use critique_run::{RunConfig, RunDir, RunLock, StepMetrics, read_config, read_metrics};

use crate::failure::Failure;
use crate::output::chart;
use crate::output::out;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Curves that are shown where the run has them: name in the metrics, and for a person.
const CURVES: [(&str, &str); 10] = [
    ("loss", "loss"),
    ("reward", "reward"),
    ("acc_dis_correct", "Acc@Dis, right"),
    ("acc_dis_incorrect", "Acc@Dis, wrong"),
    ("acc_refined", "Acc@Refine"),
    ("parse_rate", "with a verdict"),
    ("kl", "KL, nats/token"),
    ("entropy_sampled", "entropy, nats"),
    ("completions/mean_length", "tokens"),
    ("eval/acc_refined", "valid. Acc@Refine"),
];

/// Shows curves and the newest rollouts of a run in the terminal, again and again.
///
/// Needs nothing but the run folder, so it works over ssh and for a run that has ended. Where the
/// output is no terminal it is printed once.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl watch runs/quickstart-1",
    "critique-rl watch runs/quickstart-1 --once --rollouts 5",
))]
pub(crate) struct Args {
    /// A run folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Newest rollouts that are shown
    #[arg(long, default_value_t = 2, value_name = "N")]
    rollouts: usize,
    /// Prints once and ends
    #[arg(long)]
    once: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let dir = RunDir::existing(&args.run)?;
    let config = read_config(&dir)?;
    if args.once || !out::is_watched() {
        return out::say(out::visible(&screen(args, &dir, &config)?));
    }
    let mut shown = String::new();
    loop {
        let now = screen(args, &dir, &config)?;
        if now != shown {
            out::say_anew(&now)?;
            shown = now;
        }
        if is_done(&dir, &config) {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

/// Every stage has left its model, and all that is to be evaluated was.
fn is_done(dir: &RunDir, config: &RunConfig) -> bool {
    let mut stages = config.stages.iter();
    stages.all(|stage| dir.stage(stage.name()).is_dir()) && !RunLock::is_held(dir.root())
}

/// All that is shown.
fn screen(args: &Args, dir: &RunDir, config: &RunConfig) -> Result<String, Failure> {
    let path = dir.metrics();
    let steps = if path.is_file() {
        read_metrics(&path).map_err(Failure::failed)?
    } else {
        Vec::new()
    };
    let wide = chart::columns();
    let mut text = head(dir.root(), config, &steps);
    if let Some(last) = steps.last() {
        // Curves of the stage at hand: stages measure different things.
        let stage = steps.iter().filter(|step| step.stage == last.stage);
        let stage: Vec<&StepMetrics> = stage.collect();
        for (name, words) in CURVES {
            text += &curve(&stage, name, words, wide);
        }
    }
    if args.rollouts > 0 {
        text += &newest(dir, &steps, args.rollouts, wide);
    }
    Ok(text)
}

fn head(root: &Path, config: &RunConfig, steps: &[StepMetrics]) -> String {
    let root = out::visible(&root.display().to_string()).into_owned();
    let Some(last) = steps.last() else {
        return format!("{root}: no step has been taken yet\n");
    };
    let number = config
        .stages
        .iter()
        .position(|stage| stage.name() == last.stage);
    let planned = number.map(|at| config.stages[at].steps());
    let of = planned.map_or(String::new(), |steps| format!(" of {steps}"));
    let place = number.map_or(String::new(), |at| {
        format!(" {}/{}", at + 1, config.stages.len())
    });
    let seconds = last.get("time/step").unwrap_or(0.0);
    format!(
        "{root}: stage{place} {}, step {}{of}, {seconds:.1} s a step\n\n",
        out::visible(&last.stage),
        last.stage_step
    )
}

/// A line a curve: its name, where it began, how it went, where it is.
fn curve(steps: &[&StepMetrics], name: &str, words: &str, wide: usize) -> String {
    let values: Vec<f64> = steps.iter().filter_map(|step| step.get(name)).collect();
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return String::new();
    };
    let room = wide.saturating_sub(42).clamp(10, 100);
    let line = chart::line(&values, room);
    let [first, last] = [first, last].map(|value| chart::short(*value));
    format!("{words:<18} {first:>9}  {line:<room$}  {last}\n")
}

/// The newest rollouts of training, of the last step that recorded some.
fn newest(dir: &RunDir, steps: &[StepMetrics], count: usize, wide: usize) -> String {
    let stages = steps.iter().rev().map(|step| step.stage.as_str());
    let mut stages: Vec<&str> = stages.collect();
    stages.dedup();
    let files = stages
        .into_iter()
        .find_map(|stage| last_file(dir.root(), stage));
    let Some(path) = files else {
        return "\nno rollouts have been recorded\n".to_owned();
    };
    match record::read(&path) {
        Ok(records) => {
            let shown = records.iter().take(count);
            shown.map(|record| rollout(record, wide)).collect()
        }
        Err(error) => format!("\n{}\n", out::visible(&error.to_string())),
    }
}

fn last_file(root: &Path, stage: &str) -> Option<PathBuf> {
    let folder = root.join("rollouts").join(format!("stage-{stage}"));
    let mut files = names_in(&folder).ok()?;
    files.retain(|name| name.strip_suffix(".jsonl").is_some());
    Some(folder.join(files.into_iter().max()?))
}

fn rollout(record: &RolloutRecord, wide: usize) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n{}  response {}, critique {}{}, reward {}",
        in_a_line(&record.id, wide / 2),
        verdict(record.verdict),
        claim(record.judgment),
        if record.judged_rightly {
            " (rightly)"
        } else {
            ""
        },
        chart::short(f64::from(record.reward)),
    );
    let refinements = record.refinements.iter().take(1);
    let refinements = refinements.map(|it| ("refinement", &it.text));
    let texts = [
        ("question", &record.question),
        ("response", &record.response),
        ("critique", &record.critique),
    ];
    for (name, said) in texts.into_iter().chain(refinements) {
        let _ = writeln!(
            text,
            "  {name:<11}{}",
            in_a_line(said, wide.saturating_sub(13))
        );
    }
    text
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Correct => "right",
        Verdict::Wrong => "wrong",
        Verdict::Unparsed => "without an answer",
    }
}

fn claim(judgment: Judgment) -> String {
    match judgment {
        Judgment::Correct => "says right".into(),
        Judgment::Wrong => "says wrong".into(),
        Judgment::Unparsed => "without a verdict".into(),
        Judgment::Score(score) => format!("gives {score}"),
    }
}

/// The start of a text on one line, with nothing in it that commands a terminal.
fn in_a_line(text: &str, room: usize) -> String {
    let start: String = text.chars().take(room).collect();
    let whole = start.len() == text.len();
    let flat: Vec<&str> = start.split_whitespace().collect();
    let shown = out::visible(&flat.join(" ")).into_owned();
    let fits = shown.chars().count() <= room && whole;
    if fits {
        return shown;
    }
    let start: String = shown.chars().take(room.saturating_sub(1)).collect();
    format!("{start}\u{2026}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_harmless_line() {
        assert_eq!(in_a_line("a\n b\tc", 10), "a b c");
        assert_eq!(in_a_line("abcdef", 4), "abc\u{2026}");
        let hostile = in_a_line("\u{1b}[2J\u{202e}x", 40);
        assert_eq!(hostile, "\\u{1b}[2J\\u{202e}x");
    }
}
