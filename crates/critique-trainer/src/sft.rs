//! Supervised fine-tuning: what a batch holds and one step on it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use critique_core::{Message, Problem, Prompt, Role, derive_seed};
use critique_model::{Group, LanguageModel, TextCodec, TokenLoss, TokenRun};
use critique_tasks::data::{Record, read_json_lines};
use critique_tasks::{Demonstration, Task};
use serde::Deserialize;
use serde_json::Value;

use crate::config::{SftData, SftStage};
use crate::error::TrainError;

/// An example in tokens.
#[derive(Debug, Clone)]
struct Example {
    prompt: Vec<u32>,
    turn: Vec<u32>,
    /// Which tokens of the turn are learnt.
    learn: Vec<bool>,
    /// Weight of its tokens in the loss.
    weight: f32,
}

impl Example {
    fn group(&self) -> Group {
        Group {
            prompt: self.prompt.clone(),
            completions: vec![self.turn.clone()],
        }
    }
}

/// Examples that a stage trains on, in tokens: all of its files and pools, and those made for its
/// first step. For plans; training draws its own. `threads` encode, 0 for all.
///
/// # Errors
///
/// When a file cannot be read, or nothing of it fits `context` tokens.
pub fn sft_examples(
    stage: &SftStage,
    task: &dyn Task,
    codec: &TextCodec,
    context: usize,
    seed: u64,
    threads: usize,
) -> Result<Vec<Group>, TrainError> {
    let mut feed = SftFeed::new(stage, task, codec, context, seed, threads)?;
    let first = feed.batch(codec, 0)?;
    let fixed = feed.fixed.into_values().flatten();
    Ok(first.into_iter().chain(fixed).map(|e| e.group()).collect())
}

/// Examples of a stage.
pub(crate) struct SftFeed<'a> {
    stage: &'a SftStage,
    task: &'a dyn Task,
    /// Tokens of the longest example that is not left out.
    context: usize,
    seed: u64,
    /// Threads that encode.
    threads: usize,
    /// Examples of files and pools, by their place in the stage's data.
    fixed: BTreeMap<usize, Vec<Example>>,
    /// Examples left out because they exceed the context.
    pub(crate) too_long: usize,
}

/// Demonstrations that take longer to encode than a thread takes to start.
const WORTH_A_THREAD: usize = 16;

impl<'a> SftFeed<'a> {
    /// Reads files and makes pools.
    pub(crate) fn new(
        stage: &'a SftStage,
        task: &'a dyn Task,
        codec: &TextCodec,
        context: usize,
        seed: u64,
        threads: usize,
    ) -> Result<Self, TrainError> {
        let mut feed = Self {
            stage,
            task,
            context,
            seed,
            threads: match threads {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            },
            fixed: BTreeMap::new(),
            too_long: 0,
        };
        for (index, data) in stage.data.iter().enumerate() {
            let demonstrations = match data {
                SftData {
                    critiques: Some(path),
                    ..
                } => read_critiques(path, task)?,
                SftData {
                    messages: Some(path),
                    ..
                } => read_messages(path)?,
                SftData {
                    kind: Some(kind),
                    pool,
                    ..
                } if *pool > 0 => task.demonstrations(
                    kind,
                    *pool,
                    derive_seed(seed, &["pool", &index.to_string()]),
                )?,
                _ => continue,
            };
            let examples = feed.encode(codec, &demonstrations)?;
            if examples.is_empty() {
                return Err(TrainError::Config {
                    message: format!(
                        "stage `{}`: data {} has no example that fits the model's context",
                        stage.name,
                        index + 1
                    ),
                });
            }
            feed.fixed.insert(index, examples);
        }
        Ok(feed)
    }

    fn encode(
        &mut self,
        codec: &TextCodec,
        demonstrations: &[Demonstration],
    ) -> Result<Vec<Example>, TrainError> {
        let mut examples = Vec::with_capacity(demonstrations.len());
        for example in encode_all(codec, demonstrations, self.threads)? {
            if example.prompt.len() + example.turn.len() > self.context {
                self.too_long += 1;
            } else {
                examples.push(example);
            }
        }
        Ok(examples)
    }

    /// The examples of step `step`, counted from 0.
    fn batch(&mut self, codec: &TextCodec, step: usize) -> Result<Vec<Example>, TrainError> {
        let mut batch = Vec::new();
        for (index, data) in self.stage.data.iter().enumerate() {
            if !step.is_multiple_of(data.every) {
                continue;
            }
            let turn = step / data.every;
            if let Some(fixed) = self.fixed.get(&index) {
                let places = turn * data.rows..(turn + 1) * data.rows;
                let picks = picks(self.seed, index, fixed.len(), places);
                batch.extend(picks.into_iter().map(|at| Example {
                    weight: data.weight,
                    ..fixed[at].clone()
                }));
            } else if let Some(kind) = &data.kind {
                let seed = derive_seed(self.seed, &["step", &index.to_string(), &step.to_string()]);
                let demonstrations = self.task.demonstrations(kind, data.rows, seed)?;
                let examples = self.encode(codec, &demonstrations)?;
                batch.extend(examples.into_iter().map(|e| Example {
                    weight: data.weight,
                    ..e
                }));
            }
        }
        Ok(batch)
    }
}

/// The examples at some places of an endless walk through `len` examples, in a new order every
/// time round.
fn picks(seed: u64, index: usize, len: usize, places: Range<usize>) -> Vec<usize> {
    let mut picks = Vec::with_capacity(places.len());
    for round in places.start / len..places.end.div_ceil(len) {
        let mut order: Vec<usize> = (0..len).collect();
        critique_core::Rng::new(derive_seed(
            seed,
            &["order", &index.to_string(), &round.to_string()],
        ))
        .shuffle(&mut order);
        let start = places.start.max(round * len) - round * len;
        let end = places.end.min((round + 1) * len) - round * len;
        picks.extend_from_slice(&order[start..end]);
    }
    picks
}

/// Encodes on all threads: models wait for it.
fn encode_all(
    codec: &TextCodec,
    demonstrations: &[Demonstration],
    threads: usize,
) -> Result<Vec<Example>, TrainError> {
    let part = demonstrations.len().div_ceil(threads).max(WORTH_A_THREAD);
    let encode_part = &|part: &[Demonstration]| -> Result<Vec<Example>, TrainError> {
        part.iter().map(|d| encode(codec, d)).collect()
    };
    let mut parts = demonstrations.chunks(part);
    let own = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|part| scope.spawn(move || encode_part(part)))
            .collect();
        let mut examples = encode_part(own)?;
        for other in others {
            examples.extend(other.join().expect("encoding does not panic")?);
        }
        Ok(examples)
    })
}

fn encode(codec: &TextCodec, demonstration: &Demonstration) -> Result<Example, TrainError> {
    let prompt = codec.encode_prompt(&demonstration.prompt)?;
    let (turn, learn) = if let [span] = demonstration.turn.as_slice() {
        let turn = codec.encode_turn(&span.text)?;
        let learn = vec![span.learn; turn.len()];
        (turn, learn)
    } else {
        let (mut turn, mut learn) = (Vec::new(), Vec::new());
        for span in &demonstration.turn {
            let tokens = codec.encode_text(&span.text)?;
            learn.resize(learn.len() + tokens.len(), span.learn);
            turn.extend(tokens);
        }
        (turn, learn)
    };
    Ok(Example {
        prompt,
        turn,
        learn,
        weight: 1.0,
    })
}

/// What came of one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SftOutcome {
    /// Weighted mean negative log-prob of the learnt tokens, in nats.
    pub(crate) loss: f64,
    /// Learnt tokens.
    pub(crate) learnt: usize,
    /// All tokens.
    pub(crate) tokens: usize,
}

/// Adds the gradients of one batch to the model.
pub(crate) fn accumulate(
    feed: &mut SftFeed<'_>,
    model: &mut LanguageModel,
    step: usize,
) -> Result<SftOutcome, TrainError> {
    let batch = feed.batch(model.codec(), step)?;
    let learnt: usize = batch
        .iter()
        .map(|e| e.learn.iter().filter(|&&l| l).count())
        .sum();
    let mass: f64 = batch
        .iter()
        .map(|e| f64::from(e.weight) * e.learn.iter().filter(|&&l| l).count() as f64)
        .sum();
    let share = if mass > 0.0 { -1.0 / mass as f32 } else { 0.0 };
    let groups: Vec<Group> = batch.iter().map(Example::group).collect();
    let loss = SftLoss {
        examples: &batch,
        share,
    };
    let log_probs = model.engine_mut().accumulate(&groups, 1.0, &loss)?;
    let mut sum = 0.0;
    for (values, example) in log_probs.iter().zip(&batch) {
        for (&log_prob, &learn) in values[0].iter().zip(&example.learn) {
            if learn {
                sum -= f64::from(example.weight) * f64::from(log_prob);
            }
        }
    }
    Ok(SftOutcome {
        loss: if mass > 0.0 { sum / mass } else { 0.0 },
        learnt,
        tokens: groups.iter().map(Group::tokens).sum(),
    })
}

/// Weighted negative log-likelihood of the learnt tokens.
struct SftLoss<'a> {
    examples: &'a [Example],
    /// Derivative of the loss by the log-prob of a token of weight 1.
    share: f32,
}

impl TokenLoss for SftLoss<'_> {
    fn gradient(&self, run: TokenRun, _: &[f32], grad: &mut [f32]) {
        let example = &self.examples[run.group];
        let weight = self.share * example.weight;
        let learn = &example.learn[run.start..];
        grad.iter_mut()
            .zip(learn)
            .for_each(|(grad, &learn)| *grad = if learn { weight } else { 0.0 });
    }

    fn reads(&self, at: TokenRun) -> bool {
        self.examples[at.group].learn[at.start]
    }
}

/// Reads the file of a source, if it has one, to see whether it can be used.
pub(crate) fn check_file(data: &SftData, task: &dyn Task) -> Result<(), TrainError> {
    let (path, rows) = match data {
        SftData {
            critiques: Some(path),
            ..
        } => (path, read_critiques(path, task)?.len()),
        SftData {
            messages: Some(path),
            ..
        } => (path, read_messages(path)?.len()),
        _ => return Ok(()),
    };
    if rows == 0 {
        let message = "holds no rows".to_owned();
        let path = path.clone();
        return Err(TrainError::File { path, message });
    }
    Ok(())
}

/// Critiques in a file of JSON lines, each a demonstration of the task's critique prompt.
fn read_critiques(path: &Path, task: &dyn Task) -> Result<Vec<Demonstration>, TrainError> {
    let style = task.prompts();
    let demonstration = |row: &Record| {
        let problem = Problem {
            id: row
                .get("id")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            question: text(row, "question")?,
            answer: String::new(),
            solution: String::new(),
        };
        let prompt = style.critique(&problem, &text(row, "response")?);
        Ok(Demonstration::new(prompt, text(row, "critique")?))
    };
    read_rows(path, demonstration)
}

/// A field of a row that must be a text.
fn text(row: &Record, field: &str) -> Result<String, String> {
    match row.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("field `{field}` is `{other}`; expected a text")),
        None => Err(format!("field `{field}` is missing")),
    }
}

/// Chats in a file of JSON lines; the last turn must be the model's.
fn read_messages(path: &Path) -> Result<Vec<Demonstration>, TrainError> {
    let demonstration = |row: &Record| {
        let wanted = "expected a list of `{\"role\": …, \"content\": …}`";
        let Some(list) = row.get("messages") else {
            return Err(format!("field `messages` is missing; {wanted}"));
        };
        let mut messages = Vec::<Message>::deserialize(list)
            .map_err(|why| format!("field `messages`: {why}; {wanted}"))?;
        match messages.pop() {
            Some(Message {
                role: Role::Assistant,
                content,
            }) => {
                let prompt = Prompt {
                    messages,
                    prefill: String::new(),
                };
                Ok(Demonstration::new(prompt, content))
            }
            _ => Err("field `messages`: the last turn is not the assistant's".into()),
        }
    };
    read_rows(path, demonstration)
}

/// What `read` makes of each row; its words about a row that will not do get the place.
fn read_rows<T>(
    path: &Path,
    read: impl Fn(&Record) -> Result<T, String>,
) -> Result<Vec<T>, TrainError> {
    read_json_lines(path)?
        .iter()
        .map(|row| {
            read(row).map_err(|why| TrainError::Row {
                path: path.to_owned(),
                line: row.line(),
                message: why,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_takes_each_example_once_however_the_places_are_cut() {
        let walk = picks(1, 0, 5, 0..15);
        for round in walk.chunks(5) {
            let mut seen = round.to_vec();
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4]);
        }
        assert_ne!(walk[..5], walk[5..10]);
        let parts = [0..2, 2..3, 3..12, 12..15].map(|places| picks(1, 0, 5, places));
        assert_eq!(parts.concat(), walk);
    }
}
