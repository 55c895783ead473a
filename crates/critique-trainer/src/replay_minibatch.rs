//! A minibatch whose loss or gradient was not finite, made again from what is kept of it.

use std::path::{Path, PathBuf};

use critique_model::{LanguageModel, PerToken};
use critique_run::{RlStage, RunConfig, RunDir, RunError, StageConfig};
use critique_tasks::Task;

use crate::error::TrainError;
use crate::minibatch::{KeptExample, KeptGroup, Minibatch, Samples};
use crate::replay::{models_before, models_of};
use crate::stage::rl::{SampleGroup, add_gradients};
use crate::stage::sft::{Example, pass};

/// Most tokens that are named.
const NAMED: usize = 10;

/// A minibatch that was made again.
#[derive(Debug, Clone)]
pub struct MinibatchReplay {
    /// As it is kept.
    pub kept: Minibatch,
    /// Its folder.
    pub folder: PathBuf,
    /// Its loss.
    pub loss: f64,
    /// The norm of its gradient.
    pub norm: f32,
    /// The first tokens with a number that is not finite.
    pub odd: Vec<OddToken>,
}

/// A token with a number that is not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct OddToken {
    /// Its prompt, counted from 0.
    pub group: usize,
    /// Its text among those of the prompt, counted from 0.
    pub sample: usize,
    /// Its place in the text, counted from 0.
    pub token: usize,
    /// What is not finite: `advantage`, `old log-prob`, `reference log-prob`, `log-prob` or `ratio`.
    pub what: &'static str,
    /// What it is.
    pub value: f32,
}

impl MinibatchReplay {
    /// Whether it comes out as it is kept: the same number is not finite, and in the same way.
    pub fn is_the_same(&self) -> bool {
        let value = match self.kept.what.as_str() {
            "loss" => self.loss as f32,
            _ => self.norm,
        };
        value == self.kept.value || (value.is_nan() && self.kept.value.is_nan())
    }
}

/// Makes the minibatch again that this folder of a run keeps (`not-finite/step-N`): loss and
/// gradient norm, with the weights that saw it. Nothing is written.
///
/// # Errors
///
/// When the folder is not whole, or as [`replay`](crate::replay()).
pub fn replay_minibatch(
    root: &Path,
    config: &RunConfig,
    task: &dyn Task,
    step: usize,
) -> Result<MinibatchReplay, TrainError> {
    config.check()?;
    let dir = RunDir::existing(root)?;
    let folder = dir.not_finite(step);
    if !folder.is_dir() {
        return Err(none_of(&dir, step)?);
    }
    let kept = Minibatch::read(&folder)?;
    let stages = config.stages.iter();
    let Some(index) = stages.clone().position(|it| it.name() == kept.stage) else {
        let message = format!(
            "`{}` is of stage `{}`, which the run does not have",
            folder.display(),
            kept.stage
        );
        return Err(RunError::Folder { message }.into());
    };
    let stage = &config.stages[index];
    let mut models = models_of(&dir, config, task)?;
    models_before(&dir, config, index, &mut models)?;
    models.begin(stage, &dir)?;
    let training = models.trainable(stage.model())?.training();
    let mut model = models
        .read_of_run(stage.model(), &dir, &folder)?
        .fork(&training)?;
    let (loss, odd) = match (&kept.samples, stage) {
        (Samples::Rl(groups), StageConfig::Rl(stage)) => {
            policy(&mut model, groups, (stage, config), kept.temperature)?
        }
        (Samples::Sft(examples), _) => supervised(&mut model, examples)?,
        (Samples::Rl(_), _) => {
            let message = format!(
                "`{}` holds rollouts, and stage `{}` makes none",
                folder.display(),
                kept.stage
            );
            return Err(RunError::Folder { message }.into());
        }
    };
    // A step of length 0, on a copy in memory: the norm is what is wanted.
    let norm = model.engine_mut().update(0.0, stage.common().optimizer)?;
    Ok(MinibatchReplay {
        kept,
        folder,
        loss,
        norm,
        odd,
    })
}

fn none_of(dir: &RunDir, step: usize) -> Result<TrainError, TrainError> {
    let there: Vec<String> = dir
        .not_finite_steps()?
        .iter()
        .map(|step| format!("not-finite/step-{step}"))
        .collect();
    let there = if there.is_empty() {
        "none".to_owned()
    } else {
        there.join(", ")
    };
    let message = format!(
        "no `not-finite/step-{step}` in `{}`; there: {there}",
        dir.root().display()
    );
    Ok(RunError::Folder { message }.into())
}

fn policy(
    model: &mut LanguageModel,
    kept: &[KeptGroup],
    (stage, config): (&RlStage, &RunConfig),
    temperature: f32,
) -> Result<(f64, Vec<OddToken>), TrainError> {
    let groups: Vec<SampleGroup> = kept.iter().map(KeptGroup::to_group).collect();
    let minibatch: Vec<&SampleGroup> = groups.iter().collect();
    let settings = stage.loss_settings(&config.rollout);
    let (log_probs, stats) = add_gradients(model.engine_mut(), &minibatch, settings, temperature)?;
    Ok((stats.loss(), odd_tokens(&groups, &log_probs)))
}

fn supervised(
    model: &mut LanguageModel,
    kept: &[KeptExample],
) -> Result<(f64, Vec<OddToken>), TrainError> {
    let batch = pass(model, kept.iter().map(Example::of_kept).collect())?;
    let mut odd = Vec::new();
    for (group, values) in batch.log_probs.iter().enumerate() {
        for (token, &value) in values[0].iter().enumerate() {
            if !value.is_finite() && odd.len() < NAMED {
                odd.push(OddToken {
                    group,
                    sample: 0,
                    token,
                    what: "log-prob",
                    value,
                });
            }
        }
    }
    Ok((batch.loss, odd))
}

/// The first numbers that are not finite, what was handed over before what came of it.
fn odd_tokens(groups: &[SampleGroup], log_probs: &PerToken) -> Vec<OddToken> {
    let mut odd = Vec::new();
    for (group, (of, log_probs)) in groups.iter().zip(log_probs).enumerate() {
        for (sample, (of, log_probs)) in of.samples.iter().zip(log_probs).enumerate() {
            for token in 0..of.tokens.len() {
                let reference = of.reference.as_ref().map_or(0.0, |values| values[token]);
                let numbers = [
                    ("advantage", of.advantages[token]),
                    ("old log-prob", of.old[token]),
                    ("reference log-prob", reference),
                    ("log-prob", log_probs[token]),
                    ("ratio", (log_probs[token] - of.old[token]).exp()),
                ];
                let found = numbers.into_iter().find(|(_, value)| !value.is_finite());
                if let Some((what, value)) = found.filter(|_| !of.masked && odd.len() < NAMED) {
                    odd.push(OddToken {
                        group,
                        sample,
                        token,
                        what,
                        value,
                    });
                }
            }
        }
    }
    odd
}
