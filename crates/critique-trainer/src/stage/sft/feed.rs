//! Examples of a stage of SFT, in tokens, and which of them a step takes.

use std::collections::BTreeMap;
use std::ops::Range;

use critique_core::derive_seed;
use critique_model::Group;
use critique_run::{Misfit, SftData, SftStage};
use critique_tasks::{Demonstration, Task};
use critique_text::TextCodec;

use super::files::{read_critiques, read_messages};
use crate::error::TrainError;
use crate::minibatch::KeptExample;

/// An example in tokens.
#[derive(Debug, Clone)]
pub(crate) struct Example {
    prompt: Vec<u32>,
    turn: Vec<u32>,
    /// Which tokens of the turn are learnt.
    pub(super) learn: Vec<bool>,
    /// Weight of its tokens in the loss.
    pub(super) weight: f32,
}

impl Example {
    /// As it is kept where its batch was not finite.
    pub(super) fn kept(&self) -> KeptExample {
        KeptExample {
            prompt: self.prompt.clone(),
            turn: self.turn.clone(),
            learn: self.learn.clone(),
            weight: self.weight,
        }
    }

    /// One that was kept.
    pub(crate) fn of_kept(kept: &KeptExample) -> Self {
        Self {
            prompt: kept.prompt.clone(),
            turn: kept.turn.clone(),
            learn: kept.learn.clone(),
            weight: kept.weight,
        }
    }

    pub(super) fn group(&self) -> Group {
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
pub(crate) fn sft_examples(
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
pub(super) struct SftFeed<'a> {
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
    pub(super) too_long: usize,
}

/// Demonstrations that take longer to encode than a thread takes to start.
const WORTH_A_THREAD: usize = 16;

impl<'a> SftFeed<'a> {
    /// Reads files and makes pools.
    pub(super) fn new(
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
                let message = format!(
                    "stage `{}`: data {} has no example that fits the model's context",
                    stage.name,
                    index + 1
                );
                return Err(Misfit::new("stages", message).into());
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
    pub(super) fn batch(
        &mut self,
        codec: &TextCodec,
        step: usize,
    ) -> Result<Vec<Example>, TrainError> {
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
