//! Supervised fine-tuning: next-token loss on what the model is to say.

mod feed;
mod files;
mod work;

use std::time::Instant;

use critique_model::{Group, LanguageModel, PerToken, TokenLoss, TokenRun};
use critique_run::{Metrics, RunDir, SftStage};
use serde_json::json;

pub(crate) use self::feed::Example;
use self::feed::{SftFeed, sft_examples};
use self::files::check_file;
use super::{InStage, Setting, StageStep, StepOutcome};
use crate::checkpoint;
use crate::error::TrainError;
use crate::memory;
use crate::minibatch::{Minibatch, NotFinite, Samples};
use crate::observer::{Event, Observer};
use crate::plan::Models;

/// Steps of a stage of SFT.
struct SftStep<'a> {
    stage: &'a SftStage,
    dir: &'a RunDir,
    feed: SftFeed<'a>,
    /// A critic is measured with the actor; any other model by itself.
    actor: Option<&'a LanguageModel>,
}

impl<'a> SftStep<'a> {
    /// Reads what the stage learns from.
    fn begin(
        stage: &'a SftStage,
        setting: &Setting<'a>,
        model: &LanguageModel,
        models: &'a mut Models,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let context = model.config().max_position_embeddings;
        let (seed, threads) = (setting.seed(&stage.name), setting.config.threads);
        let feed = SftFeed::new(stage, setting.task, model.codec(), context, seed, threads)?;
        if feed.too_long > 0 {
            let text = format!(
                "{} examples exceed the model's context and are left out",
                feed.too_long
            );
            observer.on(&Event::Note { text: &text });
        }
        let actor = models.plan().stage(&stage.name).actor.clone();
        let actor = match actor {
            Some(actor) => Some(models.get(&actor.model)?),
            None => None,
        };
        Ok(Self {
            stage,
            dir: setting.dir,
            feed,
            actor,
        })
    }

    /// Adds the gradients of one batch to the model.
    fn accumulate(&mut self, model: &mut LanguageModel, step: usize) -> Result<Batch, TrainError> {
        let examples = self.feed.batch(model.codec(), step)?;
        pass(model, examples)
    }
}

/// Adds the gradients of these examples to the model.
pub(crate) fn pass(model: &mut LanguageModel, examples: Vec<Example>) -> Result<Batch, TrainError> {
    let learnt = |e: &Example| e.learn.iter().filter(|&&l| l).count();
    let mass: f64 = examples
        .iter()
        .map(|e| f64::from(e.weight) * learnt(e) as f64)
        .sum();
    let share = if mass > 0.0 { -1.0 / mass as f32 } else { 0.0 };
    let groups: Vec<Group> = examples.iter().map(Example::group).collect();
    let loss = SftLoss {
        examples: &examples,
        share,
    };
    let log_probs = model.engine_mut().accumulate(&groups, 1.0, &loss)?;
    let mut sum = 0.0;
    for (values, example) in log_probs.iter().zip(&examples) {
        for (&log_prob, &learn) in values[0].iter().zip(&example.learn) {
            if learn {
                sum -= f64::from(example.weight) * f64::from(log_prob);
            }
        }
    }
    Ok(Batch {
        loss: if mass > 0.0 { sum / mass } else { 0.0 },
        learnt: examples.iter().map(learnt).sum(),
        tokens: groups.iter().map(Group::tokens).sum(),
        log_probs,
        examples,
    })
}

impl StageStep for SftStep<'_> {
    fn actor(&self) -> Option<&LanguageModel> {
        self.actor
    }

    fn step(&mut self, step: usize, work: &mut InStage) -> Result<StepOutcome, TrainError> {
        let begin = Instant::now();
        let batch = self.accumulate(&mut work.model, step)?;
        let loss = batch.loss as f32;
        let lr = self.stage.lr * self.stage.schedule.at(step, self.stage.steps);
        let engine = work.model.engine_mut();
        let norm = if loss.is_finite() {
            engine.update(lr, &self.stage.optimizer)?
        } else {
            engine.drop_gradients();
            0.0
        };
        let not_finite = NotFinite::of(loss, norm);
        if let Some(found) = not_finite {
            self.keep(step, found, &batch, work)?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let peak = memory::peak();
        let mut metrics = Metrics::new();
        if not_finite.is_some() {
            metrics.insert("not_finite".into(), json!(1));
        } else {
            metrics.insert("loss".into(), json!(batch.loss));
            metrics.insert("grad_norm".into(), json!(norm));
        }
        metrics.insert("learning_rate".into(), json!(lr));
        metrics.insert("num_tokens".into(), json!(batch.tokens));
        metrics.insert("learnt_tokens".into(), json!(batch.learnt));
        metrics.insert("time/step".into(), json!(seconds));
        metrics.insert("memory/train_mb".into(), json!(peak >> 20));
        let speed = batch.tokens as f64 / seconds;
        metrics.insert("time/tokens_per_second".into(), json!(speed));
        Ok(StepOutcome::of(metrics, peak).with(not_finite))
    }
}

impl SftStep<'_> {
    /// Keeps a batch that was not finite, with the model that saw it.
    fn keep(
        &self,
        step: usize,
        found: NotFinite,
        batch: &Batch,
        work: &InStage,
    ) -> Result<(), TrainError> {
        let examples = batch.examples.iter().map(Example::kept).collect();
        let place = (self.stage.name.as_str(), step, 0);
        let kept = Minibatch::new(place, found, 1.0, Samples::Sft(examples));
        let folder = self.dir.not_finite(work.state.global_step + 1);
        let place = (self.dir, folder.as_path());
        checkpoint::save_minibatch(place, &work.state, &work.model, &work.origin, &kept)
    }
}

/// One batch, and its figures.
pub(crate) struct Batch {
    /// Weighted mean negative log-prob of the learnt tokens, in nats.
    pub(crate) loss: f64,
    /// Learnt tokens.
    learnt: usize,
    /// All tokens.
    tokens: usize,
    /// Of the tokens that are read.
    pub(crate) log_probs: PerToken,
    examples: Vec<Example>,
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
