//! Numbers that must lie in a range.

use std::fmt;

use critique_core::{AdamW, Sampling};

use super::{NewModel, RunConfig, StageCommon, StagePlace};
use crate::error::{KeyPath, Misfit};

/// More threads than any machine has; a mistyped number would start them all.
const MOST_THREADS: usize = 1024;

/// A learning rate that no model survives; a mistyped exponent is more likely.
const MOST_LR: f32 = 1.0;

impl RunConfig {
    /// Numbers of the whole run.
    pub(super) fn check_numbers(&self) -> Result<(), Misfit> {
        if self.threads > MOST_THREADS {
            return Err(Misfit::out_of_range(
                "threads",
                self.threads,
                "at most 1024",
            ));
        }
        if self.not_finite_steps == 0 {
            return Err(Misfit::out_of_range("not_finite_steps", 0, "at least 1"));
        }
        if self.save.keep == 0 {
            return Err(Misfit::out_of_range("save.keep", 0, "at least 1"));
        }
        let rollout = &self.rollout;
        check_sampling("rollout.response", &rollout.response)?;
        check_sampling("rollout.critique", &rollout.critique)?;
        check_sampling("rollout.refinement", &rollout.refinement)?;
        self.check_eval_numbers()
    }

    fn check_eval_numbers(&self) -> Result<(), Misfit> {
        let temperatures = &self.eval.temperatures;
        let wrong = |found: fmt::Arguments<'_>| {
            let message = format!("`eval.temperatures` {found}");
            Err(Misfit::new("eval.temperatures", message))
        };
        if let Some(found) = temperatures.iter().find(|t| !(t.is_finite() && **t >= 0.0)) {
            return wrong(format_args!("has {found}; expected 0 (greedy) or more"));
        }
        if temperatures.is_empty() {
            return wrong(format_args!("is empty; expected at least one, such as 0"));
        }
        match self.eval.max_new_tokens.empty() {
            Some(key) => Err(Misfit::out_of_range(key, 0, "at least 1")),
            None => Ok(()),
        }
    }
}

impl StagePlace<'_> {
    /// Numbers of a stage of any kind.
    pub(super) fn numbers(self, stage: &StageCommon<'_>) -> Result<(), Misfit> {
        self.number("steps", stage.steps, stage.steps > 0, "at least 1")?;
        let fits = (0.0..=MOST_LR).contains(&stage.lr);
        self.number("lr", stage.lr, fits, "0 or more, at most 1")?;
        let floor = stage.schedule.floor;
        let fits = (0.0..=1.0).contains(&floor);
        self.number("schedule.floor", floor, fits, "between 0 and 1")?;
        self.optimizer(stage.optimizer)?;
        for (at, gate) in stage.gates.iter().enumerate() {
            let least = gate.at_least;
            let fits = (0.0..=1.0).contains(&least);
            self.number(
                &format!("gates.{at}.at_least"),
                least,
                fits,
                "between 0 and 1",
            )?;
        }
        Ok(())
    }

    fn optimizer(self, optimizer: &AdamW) -> Result<(), Misfit> {
        let AdamW {
            beta1,
            beta2,
            eps,
            weight_decay,
            max_grad_norm,
        } = *optimizer;
        let share = |value: f32| (0.0..1.0).contains(&value);
        let positive = |value: f32| value.is_finite() && value >= 0.0;
        let (below_one, any) = ("at least 0 and below 1", "0 or more");
        self.number("optimizer.beta1", beta1, share(beta1), below_one)?;
        self.number("optimizer.beta2", beta2, share(beta2), below_one)?;
        self.number("optimizer.eps", eps, positive(eps) && eps > 0.0, "above 0")?;
        let (key, fits) = ("optimizer.weight_decay", positive(weight_decay));
        self.number(key, weight_decay, fits, any)?;
        let (key, fits) = ("optimizer.max_grad_norm", positive(max_grad_norm));
        self.number(key, max_grad_norm, fits, any)
    }
}

impl NewModel {
    /// Refuses a shape that no model can have.
    pub(super) fn check(&self, name: &str) -> Result<(), Misfit> {
        let wrong = |key: &str, found: &dyn fmt::Display, wanted: &str| {
            let at = KeyPath::from("models").key(name).join("new").key(key);
            let message = format!("`models.{name}.new.{key}` is {found}; expected {wanted}");
            Err(Misfit::new(at, message))
        };
        for (key, found) in [
            ("d_model", self.d_model),
            ("layers", self.layers),
            ("heads", self.heads),
            ("d_ff", self.d_ff),
            ("context", self.context),
        ] {
            if found == 0 {
                return wrong(key, &found, "at least 1");
            }
        }
        if !self.d_model.is_multiple_of(2 * self.heads) {
            let wanted = "a multiple of twice the number of `heads`";
            return wrong("d_model", &self.d_model, wanted);
        }
        if !(self.gain.is_finite() && self.gain > 0.0) {
            return wrong("gain", &self.gain, "above 0");
        }
        Ok(())
    }
}

/// Numbers of a table of sampling.
fn check_sampling(table: &str, sampling: &Sampling) -> Result<(), Misfit> {
    let Sampling {
        temperature,
        top_p,
        min_p,
        max_new_tokens,
        ..
    } = *sampling;
    let number = |field: &str, value: f32, fits: bool, wanted: &str| {
        if fits {
            return Ok(());
        }
        Err(Misfit::out_of_range(
            &format!("{table}.{field}"),
            value,
            wanted,
        ))
    };
    let share = |value: f32| (0.0..=1.0).contains(&value);
    let fits = temperature.is_finite() && temperature >= 0.0;
    number("temperature", temperature, fits, "0 (greedy) or more")?;
    let fits = share(top_p) && top_p > 0.0;
    number("top_p", top_p, fits, "above 0, at most 1")?;
    number("min_p", min_p, share(min_p), "between 0 and 1")?;
    let tokens = max_new_tokens as f32;
    number("max_new_tokens", tokens, max_new_tokens > 0, "at least 1")
}
