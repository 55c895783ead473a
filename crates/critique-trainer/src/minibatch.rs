//! Minibatches whose loss or gradient was not finite: what is kept of them (docs/run-folder.md,
//! "`not-finite/step-N/`").

use std::path::Path;

use critique_core::files::{FileError, read_text};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::stage::rl::{SampleGroup, TrainingSample};

/// Its file in its folder.
pub(crate) const MINIBATCH: &str = "minibatch.json";

/// The layout that is written.
const VERSION: u32 = 1;

/// What a minibatch was not finite in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NotFinite {
    /// `loss` or `gradient norm`.
    pub what: &'static str,
    /// What it was.
    pub value: f32,
}

impl NotFinite {
    /// The first of loss and gradient norm that is not finite.
    pub(crate) fn of(loss: f32, norm: f32) -> Option<Self> {
        let figures = [("loss", loss), ("gradient norm", norm)];
        let odd = figures.into_iter().find(|(_, value)| !value.is_finite());
        odd.map(|(what, value)| Self { what, value })
    }
}

/// A minibatch as it is kept. The weights that saw it lie beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minibatch {
    version: u32,
    /// The stage.
    pub stage: String,
    /// Its step, counted from 1.
    pub step: usize,
    /// The minibatch of the step, counted from 1.
    pub minibatch: usize,
    /// What was not finite: `loss` or `gradient norm`.
    pub what: String,
    /// What it was.
    #[serde(with = "float")]
    pub value: f32,
    /// What log-probs are at.
    pub temperature: f32,
    /// What it learnt from.
    pub samples: Samples,
}

/// What a minibatch learnt from, by the kind of its stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Samples {
    /// Sampled texts by prompt.
    Rl(Vec<KeptGroup>),
    /// Examples of SFT.
    Sft(Vec<KeptExample>),
}

/// Sampled texts of one prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptGroup {
    /// Token ids.
    pub prompt: Vec<u32>,
    /// The texts.
    pub samples: Vec<KeptSample>,
}

/// A sampled text; lists have a value for each token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptSample {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Log-probs of the policy that sampled, in nats.
    #[serde(with = "floats")]
    pub old: Vec<f32>,
    /// Those of the reference policy; empty without one.
    #[serde(with = "floats")]
    pub reference: Vec<f32>,
    /// Advantages.
    #[serde(with = "floats")]
    pub advantages: Vec<f32>,
    /// Out of the loss.
    pub masked: bool,
}

/// An example of SFT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptExample {
    /// Token ids.
    pub prompt: Vec<u32>,
    /// Token ids.
    pub turn: Vec<u32>,
    /// Which tokens of the turn are learnt.
    pub learn: Vec<bool>,
    /// Weight of its tokens in the loss.
    pub weight: f32,
}

impl Minibatch {
    /// A minibatch of this place of the run; step and minibatch are counted from 0.
    pub(crate) fn new(
        (stage, step, minibatch): (&str, usize, usize),
        found: NotFinite,
        temperature: f32,
        samples: Samples,
    ) -> Self {
        Self {
            version: VERSION,
            stage: stage.to_owned(),
            step: step + 1,
            minibatch: minibatch + 1,
            what: found.what.to_owned(),
            value: found.value,
            temperature,
            samples,
        }
    }

    /// The one that a folder holds.
    pub(crate) fn read(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join(MINIBATCH);
        let text = read_text(&path)?;
        let read: Self = serde_json::from_str(&text)
            .map_err(|error| FileError::content(&path, error.to_string()))?;
        if read.version != VERSION {
            let message = format!("`version` is {}; this build reads {VERSION}", read.version);
            return Err(FileError::content(&path, message).into());
        }
        Ok(read)
    }
}

impl KeptGroup {
    pub(crate) fn of(group: &SampleGroup) -> Self {
        let sample = |sample: &TrainingSample| KeptSample {
            tokens: sample.tokens.clone(),
            old: sample.old.clone(),
            reference: sample.reference.clone().unwrap_or_default(),
            advantages: sample.advantages.clone(),
            masked: sample.masked,
        };
        Self {
            prompt: group.prompt.clone(),
            samples: group.samples.iter().map(sample).collect(),
        }
    }

    pub(crate) fn to_group(&self) -> SampleGroup {
        let sample = |sample: &KeptSample| TrainingSample {
            tokens: sample.tokens.clone(),
            old: sample.old.clone(),
            reference: Some(sample.reference.clone()).filter(|values| !values.is_empty()),
            advantages: sample.advantages.clone(),
            masked: sample.masked,
        };
        SampleGroup {
            prompt: self.prompt.clone(),
            samples: self.samples.iter().map(sample).collect(),
        }
    }
}

/// A number that may not be finite, which JSON has no number for: `NaN`, `inf` or `-inf` as text.
mod float {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Written {
        Number(f32),
        Name(String),
    }

    pub(super) fn written(value: f32) -> Written {
        if value.is_finite() {
            Written::Number(value)
        } else {
            Written::Name(value.to_string())
        }
    }

    pub(super) fn read<E: serde::de::Error>(written: Written) -> Result<f32, E> {
        match written {
            Written::Number(value) => Ok(value),
            Written::Name(name) => name.parse().map_err(|_| {
                E::custom(format!(
                    "`{name}` is no number; expected one, or NaN, inf, -inf"
                ))
            }),
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub(super) fn serialize<S: Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
        written(*value).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
        read(Written::deserialize(from)?)
    }
}

/// A list of such numbers.
mod floats {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::float::{self, Written};

    pub(super) fn serialize<S: Serializer>(values: &[f32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(|&value| float::written(value)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let all = Vec::<Written>::deserialize(from)?;
        all.into_iter().map(float::read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_know_come_back() {
        let sample = KeptSample {
            tokens: vec![1, 2, 3],
            old: vec![-0.1, f32::NEG_INFINITY, 0.1 + 0.2],
            reference: Vec::new(),
            advantages: vec![f32::INFINITY, 1e30, -0.0],
            masked: false,
        };
        let group = KeptGroup {
            prompt: vec![7],
            samples: vec![sample],
        };
        let found = NotFinite::of(f32::INFINITY, 1.0).unwrap();
        let kept = Minibatch::new(("one", 0, 3), found, 0.7, Samples::Rl(vec![group]));
        let folder = tempfile::tempdir().unwrap();
        let text = serde_json::to_string(&kept).unwrap();
        std::fs::write(folder.path().join(MINIBATCH), &text).unwrap();
        assert_eq!(Minibatch::read(folder.path()).unwrap(), kept);
        assert!(text.contains(r#""what":"loss","value":"inf""#), "{text}");
        assert_eq!((kept.step, kept.minibatch), (1, 4));
    }

    #[test]
    fn the_loss_is_looked_at_before_the_norm() {
        assert_eq!(NotFinite::of(1.0, 1.0), None);
        assert_eq!(NotFinite::of(f32::NAN, f32::NAN).unwrap().what, "loss");
        assert_eq!(NotFinite::of(0.0, f32::NAN).unwrap().what, "gradient norm");
    }
}
