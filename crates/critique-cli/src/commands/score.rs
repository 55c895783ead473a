//! `critique-rl score`: log-probs of token ids, without a tokenizer.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use critique_model::{Engine, Group, ModelError};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::input::model::{FrozenArgs, open_engine};

/// Sequences scored together.
const BATCH: usize = 64;

/// Gives the log-prob of every token of sequences.
///
/// Reads JSON lines `{"ids":[…]}` from standard input and writes `{"logprobs":[…]}` for each: the
/// log-prob in nats of each next token, one fewer than there are ids.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl score --model models/base < ids.jsonl",
))]
pub(crate) struct Args {
    /// A folder in Hugging Face layout; it needs no tokenizer
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A PEFT adapter on the model
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Divides the logits before log-probs are taken
    #[arg(long, default_value_t = 1.0, value_name = "T", value_parser = crate::input::model::positive, allow_negative_numbers = true)]
    temperature: f32,
    #[command(flatten)]
    runtime: FrozenArgs,
}

#[derive(Deserialize)]
struct Line {
    ids: Vec<u32>,
}

#[derive(Serialize)]
struct Scores {
    logprobs: Vec<f32>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (_, engine) = open_engine(
        &args.model,
        args.adapter.as_deref(),
        &args.runtime.runtime(0)?,
    )?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut waiting = Vec::new();
    for (index, line) in io::stdin().lock().lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let scored = read(&line).map(|ids| waiting.push((index + 1, ids)));
        // What stands before a bad line is answered first.
        if waiting.len() == BATCH || scored.is_err() {
            answer(&*engine, &mut waiting, args.temperature, &mut out)?;
        }
        scored.map_err(|why| at_line(index + 1, &why))?;
    }
    answer(&*engine, &mut waiting, args.temperature, &mut out)?;
    Ok(out.flush()?)
}

fn read(line: &str) -> Result<Vec<u32>, String> {
    let wanted = "expected an object such as {\"ids\":[1,2,3]}";
    let Line { ids } = serde_json::from_str(line).map_err(|error| format!("{error}; {wanted}"))?;
    if ids.is_empty() {
        Err("`ids` is empty; expected at least one token id".into())
    } else {
        Ok(ids)
    }
}

fn at_line(line: usize, why: &str) -> Failure {
    Failure::failed(format!("standard input, line {line}: {why}"))
}

/// Scores what waits, and writes it in order.
fn answer(
    engine: &dyn Engine,
    waiting: &mut Vec<(usize, Vec<u32>)>,
    temperature: f32,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let groups: Vec<Group> = waiting
        .iter()
        .filter(|(_, ids)| ids.len() > 1)
        .map(|(_, ids)| group(ids))
        .collect();
    let scores = match engine.score(&groups, temperature) {
        Ok(scores) => scores,
        Err(error) => return Err(blame(engine, waiting, temperature, error)),
    };
    let mut scores = scores.into_iter();
    for (_, ids) in waiting.drain(..) {
        // A single token has no next one.
        let logprobs = if ids.len() > 1 {
            scores.next().and_then(|mut group| group.pop())
        } else {
            None
        };
        serde_json::to_writer(
            &mut *out,
            &Scores {
                logprobs: logprobs.unwrap_or_default(),
            },
        )
        .map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Finds the line that the engine refuses.
fn blame(
    engine: &dyn Engine,
    waiting: &[(usize, Vec<u32>)],
    temperature: f32,
    error: ModelError,
) -> Failure {
    for (line, ids) in waiting.iter().filter(|(_, ids)| ids.len() > 1) {
        if let Err(error) = engine.score(&[group(ids)], temperature) {
            return at_line(*line, &error.to_string());
        }
    }
    error.into()
}

fn group(ids: &[u32]) -> Group {
    Group {
        prompt: ids[..1].to_vec(),
        completions: vec![ids[1..].to_vec()],
    }
}
