//! `critique-rl quickstart`: the whole method from nothing, by a run file that is built in.

use std::path::{Path, PathBuf};

use critique_eval::{Row, Summary};
use critique_report::{Options, Report};
use critique_trainer::Resume;
use toml::Value;

use crate::failure::Failure;
use crate::input::run_file::RunFile;
use crate::input::settings::Setting;
use crate::output::examples;
use crate::output::hints;
use crate::output::out;
use crate::output::tables;
use crate::session;
use crate::session::Log;

/// The run file of the whole demonstration, and of one that is over in less than a minute.
const FULL: &str = include_str!("quickstart.toml");
const QUICK: &str = include_str!("quickstart-quick.toml");

/// Rows of the table at the end, and what the paper calls them.
const ROWS: [(&str, &str); 6] = [
    ("no_critic", "no critic"),
    ("before_teacher", "before its teacher"),
    ("sft", "SFT"),
    ("stage1", "stage I"),
    ("stage1_only", "stage I only"),
    ("stage2", "stage II"),
];

/// The stage that ends the method, and its row.
const LAST: &str = "stage2";

/// The row of the critic that had the reward of stage I for as many steps as both stages.
const CONTROL: &str = "stage1_only";

/// What a person must know who reads the figures of a quick run.
const NOTHING_LEARNT: &str = "This is a quick run: a few steps of tiny models show that all works, \
                              and nothing about learning. Figures near 0 are right here.";

/// Runs the whole method on arithmetic, from random weights, in minutes.
///
/// Makes arithmetic problems, trains an actor and a critic on them from random weights, and shows
/// what stage I and stage II did. Stopped, it goes on where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl quickstart",
    "critique-rl quickstart --seed 2 --out runs/second",
    "critique-rl quickstart --quick",
))]
pub(crate) struct Args {
    /// Draws everything that is random
    #[arg(long, default_value_t = 1, value_name = "N", env = "CRITIQUE_RL_SEED", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: u64,
    /// The run folder [default: runs/quickstart-SEED]
    #[arg(long, value_name = "DIR", env = "CRITIQUE_RL_OUT")]
    out: Option<PathBuf>,
    /// A smaller run that shows that all works, not how well
    #[arg(long)]
    quick: bool,
    /// Prints one JSON object at the end
    #[arg(long)]
    json: bool,
    /// How the run tells of itself on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    log: Log,
    /// Threads; 0 takes as many as the machine has. No result depends on it
    #[arg(long, value_name = "N", env = "CRITIQUE_RL_THREADS", value_parser = crate::input::model::threads)]
    threads: Option<usize>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (name, text) = if args.quick {
        ("quickstart-quick.toml", QUICK)
    } else {
        ("quickstart.toml", FULL)
    };
    let file = RunFile::resolve(name, text, settings(args))?;
    let (_, task) = file.task()?;
    if args.quick {
        out::tell(NOTHING_LEARNT);
    }
    let done = session::execute(&file, &*task, &Resume::Auto, args.log)?;
    if args.json {
        return out::say_json(&done.report(&file.config));
    }
    if args.quick {
        out::say(format!("\n{NOTHING_LEARNT}"))?;
    }
    if let Some(summary) = &done.summary {
        out::say(format!("\n{}", tables::of(&named(summary))))?;
        if let Some(text) = beside_control(summary) {
            out::say(format!("\n{text}"))?;
        }
    }
    let mut shown = Vec::new();
    if let Some((text, examples)) = examples::before_and_after(&done.dir, "sft", LAST)? {
        out::say(format!("\n{text}"))?;
        shown = examples;
    }
    let root = done.dir.root();
    if let Some(page) = page(root) {
        let page = page.display();
        out::say(format!("\nThe run as a page, to open in a browser: {page}"))?;
    }
    let hints = hints::after_quickstart(root, LAST, args.quick, &shown);
    out::say(format!(
        "\nRun folder: {} ({:.0} s)\n\n{}",
        root.display(),
        done.seconds,
        hints::text(&hints)
    ))
}

/// Writes the run as a page and gives its place. A page that cannot be written is told of and
/// stops nothing.
fn page(root: &Path) -> Option<PathBuf> {
    let path = root.join("report.html");
    let written =
        Report::of(&[root.to_owned()], &Options::default()).and_then(|report| report.write(&path));
    if let Err(error) = written {
        out::tell(format!("note: no page of the run: {error}"));
        return None;
    }
    Some(path)
}

/// What stage II adds, told by the control: its own step from stage I says nothing, for as many
/// steps more of stage I make a step too.
fn beside_control(summary: &Summary) -> Option<String> {
    let [stage_two, control] = [LAST, CONTROL].map(|name| {
        let row = summary.row(name)?;
        Some([row.acc_refined?, row.acc_dis_balanced?].map(|share| 100.0 * share))
    });
    let ([refined, judged], [control_refined, control_judged]) = (stage_two?, control?);
    Some(format!(
        "`stage I only` had as many steps as both stages, all for judging. Stage II is worth what it \
         has beyond that:\nAcc@Refine {refined:.1} % and {control_refined:.1} %, balanced Acc@Dis \
         {judged:.1} % and {control_judged:.1} % (greedy, one seed)."
    ))
}

fn settings(args: &Args) -> Vec<Setting> {
    let suffix = if args.quick { "-quick" } else { "" };
    let usual = || PathBuf::from(format!("runs/quickstart{suffix}-{}", args.seed));
    let folder = args.out.clone().unwrap_or_else(usual);
    let set = |key: &str, value: Value| Setting {
        path: vec![key.to_owned()],
        written: format!("`--{key} {value}` on the command line"),
        value,
    };
    let mut settings = vec![
        set("seed", Value::Integer(args.seed as i64)),
        set("out", Value::String(folder.to_string_lossy().into_owned())),
    ];
    settings.extend(
        args.threads
            .map(|threads| set("threads", Value::Integer(threads as i64))),
    );
    settings
}

/// The rows of the method at every temperature, under the names of the paper.
fn named(summary: &Summary) -> Summary {
    let rename = |row: &Row| {
        let (stage, rest) = row
            .stage
            .split_at(row.stage.find('@').unwrap_or(row.stage.len()));
        let place = ROWS.iter().position(|(known, _)| *known == stage)?;
        let row = Row {
            stage: format!("{}{rest}", ROWS[place].1),
            ..row.clone()
        };
        Some((place, row))
    };
    let mut rows: Vec<(usize, Row)> = summary.rows.iter().filter_map(rename).collect();
    rows.sort_by_key(|(place, _)| *place);
    Summary::new(rows.into_iter().map(|(_, row)| row).collect())
}
