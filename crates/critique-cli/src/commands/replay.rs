//! `critique-rl replay RUN ID`: one rollout of a run made again, alone; or a minibatch whose loss or
//! gradient was not finite.

mod minibatch;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use critique_core::{Attempt, Completion, Judgment, Verdict};
use critique_rollout::{RolloutId, RolloutRecord};
use critique_tasks::build_from_table;
use critique_trainer::{
    Difference, Replay, RunConfig, RunDir, read_config, replay, replay_evaluation,
};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::out;
use crate::output::progress::Progress;

/// Makes one rollout of a run again, or a minibatch that was not finite, and compares it with its
/// record.
///
/// The critic of that step comes from the newest checkpoint before it, or from the model that the
/// stage began with, and the updates in between, which are taken once more in memory. The run
/// folder is not changed. Exit code 1 if the rollout differs from its record.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl replay runs/gsm8k stage1/12/gsm8k-train-00017/0.3 --tokens",
    "critique-rl replay runs/gsm8k eval/0/gsm8k-test-00017/0.0 --row stage1",
    "critique-rl replay runs/gsm8k not-finite/step-12",
))]
pub(crate) struct Args {
    /// The run folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The `id` of a line of `rollouts/stage-NAME/step-N.jsonl` or of `eval/NAME.jsonl`:
    /// `STAGE/STEP/PROBLEM/RESPONSE.CRITIQUE`; or the folder of a minibatch, `not-finite/step-N`
    #[arg(value_name = "ID")]
    id: String,
    /// The row of `eval/summary.json` that a rollout of an evaluation (`eval/0/…`) is of, such as
    /// `stage1` or `sft@0.7`
    #[arg(long, value_name = "NAME")]
    row: Option<String>,
    /// Shows every sampled token with its id and log-prob
    #[arg(long)]
    tokens: bool,
    /// Prints one JSON object, tokens included
    #[arg(long)]
    json: bool,
    /// Threads of the CPU engine instead of those of the run; no result depends on it
    #[arg(long, value_name = "N", env = "CRITIQUE_RL_THREADS", value_parser = crate::input::model::threads)]
    threads: Option<usize>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(step) = args.id.strip_prefix("not-finite/step-") {
        return minibatch::run(args, step);
    }
    let id: RolloutId = args.id.parse().map_err(Failure::usage)?;
    let dir = RunDir::existing(&args.run)?;
    let mut config = read_config(&dir)?;
    if let Some(threads) = args.threads {
        config.threads = threads;
    }
    let (_, task) = build_from_table(config.task.clone())?;
    let replay = match (&args.row, id.stage == "eval") {
        (Some(row), true) => replay_evaluation(&args.run, &config, &*task, row, &id)?,
        (None, false) => {
            let mut progress = Progress::new(Arc::default());
            let replay = replay(&args.run, &config, &*task, &id, &mut progress);
            progress.end();
            replay?
        }
        (None, true) => {
            return Err(Failure::usage(format!(
                "`{id}` is a rollout of an evaluation; expected `--row NAME` too, with the name of its file: `eval/NAME.jsonl`"
            )));
        }
        (Some(_), false) => {
            return Err(Failure::usage(format!(
                "`{id}` is a rollout of a stage, and `--row` is for those of evaluations (`eval/0/…`)"
            )));
        }
    };
    let differences = replay.differences();
    if args.json {
        out::say_json(&object(&replay, &differences))?;
    } else {
        out::say(text(&replay, args.tokens))?;
        out::say(outcome(&replay, &differences, &config))?;
    }
    match differences.len() {
        0 => Ok(()),
        1 => Err(Failure::failed(
            "the replay differs from its record in one field",
        )),
        count => Err(Failure::failed(format!(
            "the replay differs from its record in {count} fields"
        ))),
    }
}

fn text(replay: &Replay, with_tokens: bool) -> String {
    let record = &replay.record;
    let mut text = format!("{}\n{}\n", record.id, critic(replay));
    let mut put = |title: &str, mark: &str, body: &str, tokens: String| {
        let body = body.trim().replace('\n', "\n  ");
        let body = if body.is_empty() { "(empty)" } else { &body };
        let _ = write!(text, "\n{title}{mark}\n  {body}\n{tokens}");
    };
    put("question", "", &record.question, String::new());
    put("gold", "", &record.gold, String::new());
    let rollout = &replay.rollout;
    let list = |completion: Option<&Completion>, texts: &[String]| match completion {
        Some(completion) if with_tokens => listed(completion, texts),
        _ => String::new(),
    };
    let answer = |attempt: &Attempt| {
        let completion = attempt.completion.as_ref();
        format!(", {}{}", verdict(attempt.verdict), size(completion))
    };
    let (response, texts) = (&rollout.response, &replay.token_texts);
    let tokens = list(response.completion.as_ref(), &texts.response);
    put("response", &answer(response), &response.text, tokens);
    let completion = &rollout.critique.completion;
    let mark = format!(", {}{}", judgment(record), size(Some(completion)));
    let tokens = list(Some(completion), &texts.critique);
    put("critique", &mark, &completion.text, tokens);
    for (refinement, texts) in rollout.refinements.iter().zip(&texts.refinements) {
        let tokens = list(refinement.completion.as_ref(), texts);
        put("refinement", &answer(refinement), &refinement.text, tokens);
    }
    if !record.rewards.is_empty() {
        let _ = write!(text, "\nreward {}", reward(record));
    }
    text
}

/// Where the critic came from.
fn critic(replay: &Replay) -> String {
    let from = match &replay.checkpoint {
        Some(folder) => format!("`{}`", folder.display()),
        None => "the model that the stage began with".to_owned(),
    };
    match replay.redone {
        0 => format!("critic: {from}"),
        1 => format!("critic: {from} and 1 update"),
        count => format!("critic: {from} and {count} updates"),
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Correct => "right",
        Verdict::Wrong => "wrong",
        Verdict::Unparsed => "no answer found",
    }
}

fn judgment(record: &RolloutRecord) -> String {
    let claim = match record.judgment {
        Judgment::Correct => "says correct".to_owned(),
        Judgment::Wrong => "says wrong".to_owned(),
        Judgment::Score(score) => format!("gives {score}"),
        Judgment::Unparsed => return "no verdict found".into(),
    };
    let fits = if record.judged_rightly {
        "rightly"
    } else {
        "wrongly"
    };
    match record.judgment {
        Judgment::Score(_) => claim,
        _ => format!("{claim}, {fits}"),
    }
}

fn size(completion: Option<&Completion>) -> String {
    let Some(completion) = completion else {
        return ", not sampled".into();
    };
    let sum: f64 = completion.log_probs.iter().map(|&l| f64::from(l)).sum();
    let sum = out::number(sum, 4);
    format!(", {} tokens, log-prob {sum}", completion.tokens.len())
}

/// A line a token: id, log-prob in nats, text.
fn listed(completion: &Completion, texts: &[String]) -> String {
    let mut lines = String::new();
    let tokens = completion.tokens.iter().zip(&completion.log_probs);
    for ((id, log_prob), text) in tokens.zip(texts) {
        let log_prob = out::number(f64::from(*log_prob), 6);
        let _ = writeln!(lines, "    {id:>7}  {log_prob:>11}  {text:?}");
    }
    lines
}

/// The reward as a sum of its parts.
fn reward(record: &RolloutRecord) -> String {
    let parts = record.rewards.iter();
    let parts: Vec<String> = parts
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let sum = parts.join(" + ");
    format!("{} = {sum}, advantage {}", record.reward, record.advantage)
}

fn outcome(replay: &Replay, differences: &[Difference], config: &RunConfig) -> String {
    let Some(recorded) = &replay.recorded else {
        let every = config.save.rollouts_every;
        return format!(
            "\nnothing to compare with: the run records the rollouts of every {every}th step only, and the advantage is not known"
        );
    };
    if differences.is_empty() {
        let log_probs = match recorded.log_prob_sums {
            Some(_) => "log-probs to the last bit",
            None => "but the record is without log-probs",
        };
        return format!("\nequals its record: texts, verdicts, reward, {log_probs}");
    }
    let mut text = "\ndiffers from its record:\n".to_owned();
    for Difference {
        field,
        recorded,
        replayed,
    } in differences
    {
        let _ = writeln!(
            text,
            "  {field}: recorded {recorded}\n  {field}: replayed {replayed}"
        );
    }
    text
}

fn object(replay: &Replay, differences: &[Difference]) -> Value {
    let tokens = |completion: Option<&Completion>, texts: &[String]| {
        completion.map(|completion| {
            json!({
                "ids": completion.tokens,
                "texts": texts,
                "log_probs": completion.log_probs,
            })
        })
    };
    let (rollout, texts) = (&replay.rollout, &replay.token_texts);
    let refinements = rollout.refinements.iter().zip(&texts.refinements);
    let differences: Vec<Value> = differences
        .iter()
        .map(|d| json!({ "field": d.field, "recorded": d.recorded, "replayed": d.replayed }))
        .collect();
    let checkpoint = replay.checkpoint.as_ref();
    json!({
        "record": replay.record,
        "tokens": {
            "response": tokens(rollout.response.completion.as_ref(), &texts.response),
            "critique": tokens(Some(&rollout.critique.completion), &texts.critique),
            "refinements": refinements
                .map(|(attempt, texts)| tokens(attempt.completion.as_ref(), texts))
                .collect::<Vec<_>>(),
        },
        "checkpoint": checkpoint.map(|folder| folder.display().to_string()),
        "redone": replay.redone,
        "recorded": replay.recorded.is_some(),
        "equal": replay.recorded.is_some().then_some(differences.is_empty()),
        "differences": differences,
    })
}
