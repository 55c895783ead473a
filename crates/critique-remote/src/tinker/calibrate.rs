//! What a server does with losses, gradients, clipping and temperature, measured.
//!
//! Servers disagree silently: some take means over tokens or sequences where a plain sum is meant,
//! some drop the norm to clip by or the settings of the optimizer. Norms that a server reports are
//! compared with one another; and since `AdamW` without moments and with a large epsilon moves
//! weights by `learning_rate / eps * gradient`, the change of the loss tells the true norm:
//! `-learning_rate / eps * norm²`, to first order.

use critique_core::Rng;

use super::model::{Adam, RemoteModel, Row};
use super::{NewModel, Tinker};
use crate::error::RemoteError;
use crate::http::Http;

/// Largest relative difference of two norms that should be equal; 16-bit servers need room.
const NORM_BOUND: f64 = 0.03;
/// Largest relative difference of a change of loss from what its norm foretells, which is true to
/// first order only.
const CHANGE_BOUND: f64 = 0.3;
/// The change of loss that is aimed at, in nats.
const CHANGE: f64 = 0.3;

/// What was measured. All numbers but the first two are 1 on a server that does what is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Calibration {
    /// Norm of the gradients of one sequence, as the server reports it.
    pub grad_norm: f64,
    /// Temperature that log-probs were asked at.
    pub temperature: f32,
    /// Norm of a sequence that is sent twice, over twice the norm: below 1, a mean over sequences.
    pub sequences: f64,
    /// Norm of a sequence with more tokens that do not count, over the norm: below 1, a mean over
    /// tokens.
    pub tokens: f64,
    /// Norm for derivatives that are doubled, over twice the norm.
    pub linear: f64,
    /// Change of the loss by a small step, over what norm, learning rate and epsilon foretell.
    pub scale: f64,
    /// The same where gradients are clipped to a quarter of their norm.
    pub clipping: f64,
}

impl Tinker {
    /// Measures what the server does, on a scratch model that is unloaded afterwards: about 20
    /// short calls. `vocab` bounds the token ids that are sent; `rank` is that of the run.
    ///
    /// # Errors
    ///
    /// When the server does other than what is asked, [`RemoteError::Differs`] with what it does;
    /// and when a call fails.
    pub fn calibrate(
        &self,
        rank: usize,
        vocab: usize,
        temperature: f32,
    ) -> Result<Calibration, RemoteError> {
        let model = self.create(&NewModel {
            rank,
            alpha: None,
            seed: 1,
            frozen: false,
        })?;
        let mut scratch = Scratch {
            http: &self.link.http,
            model,
            temperature,
        };
        let measured = scratch.measure(vocab);
        let unloaded = scratch.model.unload();
        let found = measured?;
        unloaded?;
        found.check(&self.link.http)?;
        Ok(found)
    }
}

impl Calibration {
    fn check(&self, http: &Http) -> Result<(), RemoteError> {
        let off = |value: f64, bound: f64| (value - 1.0).abs() > bound || value.is_nan();
        let refuse = |what: String| Err(http.differs(what));
        if off(self.sequences, NORM_BOUND) {
            return refuse(format!(
                "does not add up the losses of sequences: the gradient of one sent twice is {:.4} times what it \
                 should be; it may take a mean over sequences",
                self.sequences
            ));
        }
        if off(self.tokens, NORM_BOUND) {
            return refuse(format!(
                "does not add up the losses of tokens: with more tokens that do not count, the gradient is {:.4} \
                 times what it should be; it may take a mean over tokens",
                self.tokens
            ));
        }
        if off(self.linear, NORM_BOUND) {
            return refuse(format!(
                "has a gradient that is not linear in the advantages: for doubled ones it is {:.4} times what it \
                 should be; it may whiten or clip them",
                self.linear
            ));
        }
        if off(self.scale, CHANGE_BOUND) {
            return refuse(format!(
                "moves weights otherwise than AdamW would: the loss changes by {:.3} times what the gradient's norm, \
                 learning rate and epsilon foretell; it may ignore the settings of a step, clip by a norm of its own, \
                 or scale gradients",
                self.scale
            ));
        }
        if off(self.clipping, CHANGE_BOUND) {
            return refuse(format!(
                "does not clip gradients as asked: the loss changes by {:.3} times what a gradient clipped to a \
                 quarter of its norm foretells (4 would be no clipping)",
                self.clipping
            ));
        }
        Ok(())
    }
}

struct Scratch<'a> {
    http: &'a Http,
    model: RemoteModel,
    temperature: f32,
}

/// One sequence with the derivative that is sent for it.
struct Probe {
    tokens: Vec<u32>,
    gradient: Vec<f32>,
}

impl Probe {
    fn row(&self) -> Row<'_> {
        let (prompt, completion) = self.tokens.split_at(1);
        Row { prompt, completion }
    }

    fn scaled(&self, factor: f32) -> Self {
        Self {
            tokens: self.tokens.clone(),
            gradient: self.gradient.iter().map(|it| it * factor).collect(),
        }
    }

    /// The same with tokens behind it whose derivative is 0.
    fn longer(&self, more: &[u32]) -> Self {
        let mut longer = self.scaled(1.0);
        longer.tokens.extend(more);
        longer.gradient.resize(longer.tokens.len() - 1, 0.0);
        longer
    }

    fn loss(&self, log_probs: &[f32]) -> f64 {
        let terms = self.gradient.iter().zip(log_probs);
        terms.map(|(g, lp)| f64::from(*g) * f64::from(*lp)).sum()
    }
}

impl Scratch<'_> {
    fn measure(&mut self, vocab: usize) -> Result<Calibration, RemoteError> {
        let mut rng = Rng::new(17);
        let mut draw =
            |count: usize| -> Vec<u32> { (0..count).map(|_| rng.below(vocab) as u32).collect() };
        let (tokens, more) = (draw(12), draw(8));
        let mut rng = Rng::new(18);
        let gradient = (1..tokens.len()).map(|_| rng.normal()).collect();
        let one = Probe { tokens, gradient };
        self.check_temperature(&one)?;
        let norm = self.norm(&[&one])?;
        let twice = self.norm(&[&one, &one])?;
        let longer = self.norm(&[&one.longer(&more)])?;
        let doubled = self.norm(&[&one.scaled(2.0)])?;
        Ok(Calibration {
            grad_norm: norm,
            temperature: self.temperature,
            sequences: twice / (2.0 * norm),
            tokens: longer / norm,
            linear: doubled / (2.0 * norm),
            scale: self.change(&one, norm, 1.0)?,
            clipping: self.change(&one, norm, 0.25)?,
        })
    }

    /// A server that ignores the temperature gives the same numbers for all.
    fn check_temperature(&self, probe: &Probe) -> Result<(), RemoteError> {
        if self.temperature == 1.0 {
            return Ok(());
        }
        let at = self.model.score(&[probe.row()], self.temperature)?;
        let at_one = self.model.score(&[probe.row()], 1.0)?;
        if at == at_one {
            return Err(self.http.differs(format!(
                "gives log-probs at temperature 1 where {} is asked for",
                self.temperature
            )));
        }
        Ok(())
    }

    /// The norm that the server reports; the step has learning rate 0.
    fn norm(&mut self, probes: &[&Probe]) -> Result<f64, RemoteError> {
        self.send(probes)?;
        self.step(0.0, 1.0, 0.0)
    }

    /// Change of the loss by a step, over what is foretold for gradients clipped to `part`.
    fn change(&mut self, probe: &Probe, norm: f64, part: f64) -> Result<f64, RemoteError> {
        let before = probe.loss(&self.send(&[probe])?[0]);
        let eps = 100.0 * norm;
        let rate = CHANGE * eps / (norm * norm * part);
        let clip = if part < 1.0 { part * norm } else { 0.0 };
        let now = self.step(rate, eps, clip)?;
        let after = probe.loss(&self.model.score(&[probe.row()], self.temperature)?[0]);
        let clipped = if part < 1.0 { clip / now } else { 1.0 };
        Ok((after - before) / -(rate / eps * now * now * clipped))
    }

    fn send(&mut self, probes: &[&Probe]) -> Result<Vec<Vec<f32>>, RemoteError> {
        let rows: Vec<_> = probes.iter().map(|it| it.row()).collect();
        let log_probs = self.model.score(&rows, self.temperature)?;
        let gradient: Vec<_> = probes.iter().map(|it| it.gradient.clone()).collect();
        self.model
            .backward(&rows, self.temperature, &log_probs, &gradient)?;
        Ok(log_probs)
    }

    fn step(&mut self, rate: f64, eps: f64, clip: f64) -> Result<f64, RemoteError> {
        let step = self.model.step(&Adam {
            learning_rate: rate,
            // Without moments, scratch steps leave nothing behind for the next.
            beta1: 0.0,
            beta2: 0.0,
            eps,
            weight_decay: 0.0,
            max_grad_norm: clip,
        })?;
        match step.grad_norm {
            Some(norm) if norm.is_finite() && norm > 0.0 => Ok(norm),
            Some(norm) => Err(self.http.differs(format!(
                "reports a gradient norm of {norm} for a derivative that is not 0"
            ))),
            None => Err(self.http.differs(
                "does not report the norm of gradients, so what it does with losses cannot be measured".to_owned(),
            )),
        }
    }
}
