//! `critique-rl eval`: a critic with an actor on held-out problems, or what a run evaluated.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use critique_core::{Generate, Problem, Split};
use critique_eval::{
    Critic, EvalSettings, Evaluation, Known, Memo, Metric, Row, Summary, evaluate_responses,
};
use critique_rollout::{Control, Seeds, record, respond};
use critique_tasks::Task;

use crate::commands::tasks::build;
use crate::failure::Failure;
use crate::input::model::{FrozenArgs, count, temperature};
use crate::input::servers::{ActorServers, CriticServers};
use crate::input::settings::closest;
use crate::output::out;
use crate::output::tables;

/// Evaluates a critic, or shows what a run evaluated.
///
/// Shows the evaluations of a run folder (`eval runs/x`), or evaluates an actor with a critic
/// (`eval --actor DIR --critic DIR --task NAME key=value`).
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl eval runs/gsm8k",
    "critique-rl eval --actor models/actor --critic runs/gsm8k/stages/stage2 --task gsm8k path=data/gsm8k --problems 100",
    "critique-rl eval --actor models/actor --actor-url http://gpu9:8000 --actor-model actor --task gsm8k path=data/gsm8k",
    "critique-rl eval runs/gsm8k --fail-under stage2.acc_refined=0.6",
))]
pub(crate) struct Args {
    /// A run folder; with `--actor`, options of the task
    #[arg(value_name = "RUN_DIR|KEY=VALUE")]
    words: Vec<String>,
    /// The model that answers and refines
    #[arg(long, value_name = "DIR", requires = "task")]
    actor: Option<PathBuf>,
    /// The model that criticises; without it the actor alone is evaluated
    #[arg(long, value_name = "DIR", requires = "actor")]
    critic: Option<PathBuf>,
    /// A PEFT adapter on the critic
    #[arg(long, value_name = "DIR", requires = "critic")]
    critic_adapter: Option<PathBuf>,
    /// A name of `critique-rl tasks list`, or a task file (`my-task.toml`)
    #[arg(long, value_name = "NAME", requires = "actor")]
    task: Option<String>,
    /// Also evaluates critics that are no models: constant, random, empty, true and perfect ones
    #[arg(long, requires = "actor")]
    controls: bool,
    /// Which problems
    #[arg(long, value_enum, default_value_t = Part::Test, requires = "actor")]
    split: Part,
    /// The first this many problems; 0 takes all
    #[arg(long, default_value_t = 0, value_name = "N", requires = "actor")]
    problems: usize,
    /// Responses to each problem
    #[arg(long, default_value_t = 1, value_name = "N", requires = "actor", value_parser = clap::value_parser!(u16).range(1..))]
    samples: u16,
    /// Of all three roles; 0 is greedy
    #[arg(long, default_value_t = 0.0, value_name = "T", requires = "actor", value_parser = temperature, allow_negative_numbers = true)]
    temperature: f32,
    /// Longest response, critique and refinement, in tokens
    #[arg(long, default_value_t = 1024, value_name = "N", requires = "actor", value_parser = count)]
    max_new_tokens: usize,
    /// Draws the samples
    #[arg(long, default_value_t = 0, value_name = "N", requires = "actor")]
    seed: u64,
    /// Where `summary.json` and the rollouts go
    #[arg(long, value_name = "DIR", requires = "actor")]
    out: Option<PathBuf>,
    /// Ends with exit code 3 when a figure of the last row is below this, such as
    /// `acc_refined=0.6`; `ROW.METRIC=VALUE` names another row
    #[arg(long, value_name = "METRIC=VALUE", value_parser = Floor::parse)]
    fail_under: Vec<Floor>,
    /// Prints one JSON object
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Prints a Markdown table
    #[arg(long)]
    markdown: bool,
    #[command(flatten)]
    actor_servers: ActorServers,
    #[command(flatten)]
    critic_servers: CriticServers,
    #[command(flatten)]
    runtime: FrozenArgs,
}

/// A split on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    /// The first `count` problems of the split, of which there must be some; 0 takes all.
    pub(crate) fn problems(self, task: &dyn Task, count: usize) -> Result<Vec<Problem>, Failure> {
        let split = match self {
            Self::Train => Split::Train,
            Self::Validation => Split::Validation,
            Self::Test => Split::Test,
        };
        let mut problems = task.problems(split)?;
        if problems.is_empty() {
            return Err(Failure::usage(format!(
                "the task has no {} split",
                crate::commands::tasks::split_name(split)
            )));
        }
        if count > 0 {
            problems.truncate(count);
        }
        Ok(problems)
    }
}

/// A figure that must be reached.
#[derive(Debug, Clone, PartialEq)]
struct Floor {
    row: Option<String>,
    metric: Metric,
    at_least: f64,
}

impl Floor {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("expected METRIC=VALUE, such as acc_refined=0.6")?;
        let at_least = value
            .trim()
            .parse()
            .ok()
            .filter(|least: &f64| least.is_finite())
            .ok_or_else(|| format!("`{value}` is no number"))?;
        // A row's name may hold a dot, a metric's does not.
        let (row, metric) = match name.trim().rsplit_once('.') {
            Some((row, metric)) => (Some(row.to_owned()), metric),
            None => (None, name.trim()),
        };
        let Some(found) = Metric::ALL.into_iter().find(|known| known.name() == metric) else {
            let names = Metric::ALL.map(Metric::name);
            let near = closest(metric, names.into_iter())
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            return Err(format!(
                "unknown metric `{metric}`; known metrics: {}{near}",
                names.join(", ")
            ));
        };
        Ok(Self {
            row,
            metric: found,
            at_least,
        })
    }

    /// Refuses a summary that does not reach it.
    fn check(&self, summary: &Summary) -> Result<(), Failure> {
        let row = match &self.row {
            Some(name) => summary.row(name),
            None => summary.rows.last(),
        };
        let Some(row) = row else {
            let names: Vec<&str> = summary.rows.iter().map(|row| row.stage.as_str()).collect();
            let asked = self.row.as_deref().unwrap_or("the last");
            return Err(Failure::usage(format!(
                "there is no row `{asked}`; rows: {}",
                names.join(", ")
            )));
        };
        let (metric, stage) = (self.metric.name(), &row.stage);
        match row.value(self.metric) {
            Some(value) if value >= self.at_least => Ok(()),
            Some(value) => Err(Failure::gate(format!(
                "`{metric}` of `{stage}` is {value:.4}; at least {} was asked",
                self.at_least
            ))),
            None => Err(Failure::gate(format!(
                "`{metric}` of `{stage}` is not defined; at least {} was asked",
                self.at_least
            ))),
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let summary = match (&args.actor, &args.task) {
        (Some(actor), Some(task)) => evaluate(args, actor, task)?,
        _ => of_run(&args.words)?,
    };
    if args.json {
        out::say_json(&summary)?;
    } else if args.markdown {
        out::say(summary.to_markdown())?;
    } else {
        out::say(tables::of(&summary))?;
    }
    args.fail_under
        .iter()
        .try_for_each(|floor| floor.check(&summary))
}

/// What a run evaluated.
fn of_run(words: &[String]) -> Result<Summary, Failure> {
    let [dir] = words else {
        return Err(Failure::usage(
            "expected a run folder, or `--actor`, `--critic` and `--task`",
        ));
    };
    let dir = Path::new(dir);
    let path = [dir.join("eval/summary.json"), dir.join("summary.json")]
        .into_iter()
        .find(|path| path.is_file());
    let Some(path) = path else {
        let found = if dir.is_dir() {
            "holds no evaluation"
        } else {
            "is no folder"
        };
        return Err(Failure::failed(format!(
            "`{}` {found}; expected a run folder with `eval/summary.json`",
            dir.display()
        )));
    };
    Ok(Summary::read(&path)?)
}

fn evaluate(args: &Args, actor: &Path, task: &str) -> Result<Summary, Failure> {
    let (_, task) = build(task, &args.words)?;
    let runtime = args.runtime.runtime(args.seed)?;
    let problems = args.split.problems(&*task, args.problems)?;
    let actor = args.actor_servers.open(actor, None, &runtime)?;
    let critic = args
        .critic
        .as_ref()
        .map(|dir| {
            let adapter = args.critic_adapter.as_deref();
            args.critic_servers.open(dir, adapter, &runtime)
        })
        .transpose()?;
    let mut settings = EvalSettings::sampled(
        "no_critic",
        args.seed,
        args.temperature,
        args.max_new_tokens,
    );
    settings.samples = usize::from(args.samples);
    let seeds = Seeds::of_evaluation(args.seed);
    out::tell(format!("responses to {} problems", problems.len()));
    let responses = respond(
        &actor,
        &*task,
        &problems,
        settings.samples,
        &settings.response,
        &seeds,
    );
    let responses = responses.map_err(Failure::failed)?.attempts;
    let mut summary = Summary::new(Vec::new());
    let mut add = |name: &str, actor: &dyn Generate, critic: Critic<'_>| -> Result<(), Failure> {
        name.clone_into(&mut settings.stage);
        let mut done = evaluate_responses(actor, critic, &*task, &problems, &responses, &settings)?;
        if let Some(dir) = &args.out {
            done.row.extra.rollouts_sha256 = write_rollouts(dir, name, &seeds, &done)?;
        }
        summary.put(Row {
            stage: name.to_owned(),
            ..done.row
        });
        Ok(())
    };
    add("no_critic", &actor, Critic::Nobody)?;
    if let Some(critic) = &critic {
        out::tell("critiques and refinements");
        add("critic", &actor, Critic::Model(critic as &dyn Generate))?;
    }
    let mut known = Known::default();
    let memo = Memo::new(&actor, &mut known);
    for control in Control::ALL.into_iter().filter(|_| args.controls) {
        let name = control.name();
        if control.is_possible(&*task, &problems) {
            add(name, &memo, Critic::Control(control))?;
        } else {
            out::tell(format!(
                "note: the task writes no perfect critiques, so there is no row `{name}`"
            ));
        }
    }
    if let Some(dir) = &args.out {
        summary.write(&dir.join("summary.json"))?;
    }
    Ok(summary)
}

fn write_rollouts(
    dir: &Path,
    name: &str,
    seeds: &Seeds<'_>,
    done: &Evaluation,
) -> Result<Option<String>, Failure> {
    if done.groups.is_empty() {
        return Ok(None);
    }
    let path = dir.join(format!("{name}.jsonl"));
    let sum = record::write(&path, done.records(seeds)).map_err(Failure::failed)?;
    Ok(Some(sum.sha256))
}
