//! A minibatch whose loss or gradient was not finite, made again.

use std::fmt::Write as _;

use critique_tasks::build_from_table;
use critique_trainer::{MinibatchReplay, OddToken, RunDir, read_config, replay_minibatch};
use serde_json::json;

use super::Args;
use crate::failure::Failure;
use crate::output::out;

pub(super) fn run(args: &Args, step: &str) -> Result<(), Failure> {
    let Ok(step) = step.parse() else {
        return Err(Failure::usage(format!(
            "`{}` names no step; expected a number, such as `not-finite/step-12`",
            args.id
        )));
    };
    if args.row.is_some() || args.tokens {
        let what = "`--row` and `--tokens` are for rollouts, and this is a minibatch";
        return Err(Failure::usage(what));
    }
    let dir = RunDir::existing(&args.run)?;
    let mut config = read_config(&dir)?;
    config.threads = args.threads.unwrap_or(config.threads);
    let (_, task) = build_from_table(config.task.clone())?;
    let replay = replay_minibatch(&args.run, &config, &*task, step)?;
    if args.json {
        out::say_json(&object(&replay))?;
    } else {
        out::say(text(&replay))?;
    }
    if replay.is_the_same() {
        return Ok(());
    }
    Err(Failure::failed(
        "the minibatch does not come out as it is kept",
    ))
}

fn text(replay: &MinibatchReplay) -> String {
    let kept = &replay.kept;
    let mut text = format!(
        "stage {}, step {}, minibatch {}: {} was {}\nweights: `{}`\n\nmade again: loss {}, gradient norm {}\n",
        kept.stage,
        kept.step,
        kept.minibatch,
        kept.what,
        kept.value,
        replay.folder.display(),
        replay.loss,
        replay.norm
    );
    if replay.odd.is_empty() {
        text.push_str("no number of a token is out of range by itself: it is their sum that is");
    } else {
        text.push_str(
            "first tokens with a number that is not finite (prompt, text, token from 0):",
        );
    }
    for odd in &replay.odd {
        let OddToken {
            group,
            sample,
            token,
            what,
            value,
        } = odd;
        let _ = write!(text, "\n  {group}.{sample}.{token}  {what} {value}");
    }
    text
}

fn object(replay: &MinibatchReplay) -> serde_json::Value {
    let kept = &replay.kept;
    let odd = replay.odd.iter().map(|odd| {
        json!({
            "group": odd.group,
            "sample": odd.sample,
            "token": odd.token,
            "what": odd.what,
            "value": odd.value.to_string(),
        })
    });
    json!({
        "stage": kept.stage,
        "step": kept.step,
        "minibatch": kept.minibatch,
        "what": kept.what,
        "recorded": kept.value.to_string(),
        "loss": replay.loss.to_string(),
        "gradient_norm": replay.norm.to_string(),
        "odd": odd.collect::<Vec<_>>(),
        "equal": replay.is_the_same(),
    })
}
