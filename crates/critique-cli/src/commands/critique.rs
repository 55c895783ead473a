//! `critique-rl critique`: what a trained critic says of a response, and what the actor makes of it.

mod of_run;
mod pair;
mod stream;

use std::fmt::Write as _;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use critique_core::{Judgment, Sampling};

use self::of_run::OfRun;
use self::pair::{Answer, Pair, Session, Speaker};
use crate::commands::tasks::build;
use crate::failure::Failure;
use crate::input::model::{FrozenArgs, count, temperature};
use crate::input::servers::{ActorServers, CriticServers};
use crate::input::stdin::piped;
use crate::output::out;

/// Longest text where neither the command line nor a run says it, in tokens.
const MAX_NEW_TOKENS: usize = 1024;

/// Lets a critic judge a response.
///
/// Prints the critique and its judgment: correct, wrong, or unparsed where it holds no verdict.
/// The prompts are those of the task, as in training; blanks and newlines at the ends of texts
/// change nothing. With `--jsonl` it answers JSON lines on standard input until they end.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl critique --run runs/quickstart-1 --stage stage2 --refine QUESTION RESPONSE",
    "critique-rl critique --task gsm8k --critic models/critic QUESTION < response.txt",
    "critique-rl critique --run runs/gsm8k --jsonl < pairs.jsonl",
))]
pub(crate) struct Args {
    /// What the actor was asked
    #[arg(
        value_name = "QUESTION",
        required_unless_present = "jsonl",
        allow_hyphen_values = true
    )]
    question: Option<String>,
    /// What it answered; read from standard input if absent
    #[arg(value_name = "RESPONSE", allow_hyphen_values = true)]
    response: Option<String>,
    /// A run folder, whose task, models and lengths are taken
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// The stage of the run that left the critic, or with `-best` at its end that of its best
    /// step [default: the last one that is done]
    #[arg(long, value_name = "NAME", requires = "run")]
    stage: Option<String>,
    /// A name of `critique-rl tasks list`, or a task file (`my-task.toml`)
    #[arg(long, value_name = "NAME", requires = "critic")]
    task: Option<String>,
    /// An option of the task; may be given several times
    #[arg(long, value_name = "KEY=VALUE", requires = "task")]
    task_option: Vec<String>,
    /// The model that criticises
    #[arg(long, value_name = "DIR", requires = "task", conflicts_with = "run")]
    critic: Option<PathBuf>,
    /// A PEFT adapter on the critic
    #[arg(
        long,
        visible_alias = "adapter",
        value_name = "DIR",
        requires = "critic"
    )]
    critic_adapter: Option<PathBuf>,
    /// The model that refines; that of the run if absent
    #[arg(long, value_name = "DIR", requires = "refine")]
    actor: Option<PathBuf>,
    /// Lets the actor mend its response by the critique
    #[arg(long)]
    refine: bool,
    /// Answers requests on standard input, one JSON object a line:
    /// `{"question": …, "response": …}`
    #[arg(long, conflicts_with_all = ["question", "response", "json"])]
    jsonl: bool,
    /// Lines of `--jsonl` that are read before they are answered together; no answer depends on it
    #[arg(long, default_value_t = 1, value_name = "N", requires = "jsonl", value_parser = count)]
    batch: usize,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    /// Of the critique and the refinement; 0 is greedy
    #[arg(long, default_value_t = 0.0, value_name = "T", value_parser = temperature, allow_negative_numbers = true)]
    temperature: f32,
    /// Longest critique and refinement, in tokens [default: those of the run, or 1024]
    #[arg(long, value_name = "N", value_parser = count)]
    max_new_tokens: Option<usize>,
    /// Draws the texts where the temperature is above 0
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    actor_servers: ActorServers,
    #[command(flatten)]
    critic_servers: CriticServers,
    #[command(flatten)]
    runtime: FrozenArgs,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.jsonl {
        let session = session(args)?;
        let input = BufReader::new(io::stdin().lock());
        return stream::serve(&session, args.batch, input, io::stdout().lock());
    }
    let pair = Pair {
        question: args.question.clone().unwrap_or_default(),
        response: match &args.response {
            Some(response) => response.clone(),
            None => piped("response", "it after the question")?,
        },
    };
    let answer = session(args)?
        .answers(&[pair])
        .pop()
        .unwrap_or_else(|| Err("the engine gave no answer".into()))
        .map_err(Failure::failed)?;
    if args.json {
        out::say_json(&answer)?;
    } else {
        tell_what_was_cut(&answer);
        out::say(text(&answer))?;
    }
    match answer.refinement_error {
        Some(why) => Err(Failure::failed(format!("there is no refinement: {why}"))),
        None => Ok(()),
    }
}

/// Task and models, loaded once.
fn session(args: &Args) -> Result<Session, Failure> {
    let sampling = |usual: &Sampling| Sampling {
        temperature: args.temperature,
        max_new_tokens: args.max_new_tokens.unwrap_or(usual.max_new_tokens),
        ..usual.clone()
    };
    let speaker = |name, model, usual: &Sampling| Speaker {
        name,
        model,
        sampling: sampling(usual),
    };
    if let Some(dir) = &args.run {
        let run = OfRun::open(dir, args.stage.as_deref(), args.seed, &args.runtime)?;
        let actor = match (args.refine, &args.actor) {
            (false, _) => None,
            (true, Some(dir)) => {
                let runtime = args.runtime.runtime(args.seed)?;
                Some(args.actor_servers.open(dir, None, &runtime)?)
            }
            (true, None) => Some(run.actor()?),
        };
        let rollout = &run.config.rollout;
        return Ok(Session {
            critic: speaker("critic", run.critic()?, &rollout.critique),
            actor: actor.map(|model| speaker("actor", model, &rollout.refinement)),
            task: run.task,
            seed: args.seed,
        });
    }
    let (Some(task), Some(critic)) = (&args.task, &args.critic) else {
        return Err(Failure::usage(
            "expected `--run`, or `--task` and `--critic`",
        ));
    };
    let (_, task) = build(task, &args.task_option)?;
    let usual = Sampling {
        max_new_tokens: MAX_NEW_TOKENS,
        ..Sampling::default()
    };
    let runtime = args.runtime.runtime(args.seed)?;
    let actor = actor_alone(args)?.map(|dir| args.actor_servers.open(dir, None, &runtime));
    let adapter = args.critic_adapter.as_deref();
    let critic = args.critic_servers.open(critic, adapter, &runtime)?;
    Ok(Session {
        critic: speaker("critic", critic, &usual),
        actor: actor
            .transpose()?
            .map(|model| speaker("actor", model, &usual)),
        task,
        seed: args.seed,
    })
}

/// The actor's folder where no run has one.
fn actor_alone(args: &Args) -> Result<Option<&Path>, Failure> {
    match (args.refine, &args.actor) {
        (true, None) => Err(Failure::usage(
            "`--refine` needs a model that refines; expected `--actor DIR`, or `--run`",
        )),
        (_, actor) => Ok(actor.as_deref()),
    }
}

/// A text that was cut off may lack its verdict or its answer.
fn tell_what_was_cut(answer: &Answer) {
    let refinement = answer.refinement.as_ref();
    for (what, cut) in [
        ("critique", answer.truncated),
        ("refinement", refinement.is_some_and(|it| it.truncated)),
    ] {
        if cut {
            out::tell(format!(
                "note: the {what} was cut off; `--max-new-tokens` sets its length"
            ));
        }
    }
}

fn text(answer: &Answer) -> String {
    let judgment = match answer.judgment {
        Judgment::Correct => "correct".to_owned(),
        Judgment::Wrong => "wrong".to_owned(),
        Judgment::Score(score) => format!("score {score}"),
        Judgment::Unparsed => "unparsed (the critique holds no verdict, or several)".to_owned(),
    };
    let mut text = format!("{}\n\njudgment: {judgment}", answer.critique.trim());
    if let Some(refinement) = &answer.refinement {
        let found = refinement.answer.as_deref().unwrap_or("none found");
        let refined = refinement.text.trim();
        let _ = write!(text, "\n\nrefinement:\n{refined}\n\nanswer: {found}");
    }
    text
}
