//! Where a setting stands, for what is said of it.

use std::fmt;

use super::RunConfig;
use crate::error::{KeyPath, Misfit};

/// A stage, for what is said of its settings.
#[derive(Debug, Clone, Copy)]
pub struct StagePlace<'a> {
    index: usize,
    name: &'a str,
}

impl<'a> StagePlace<'a> {
    /// The stage at this place in its run, counted from 0.
    ///
    /// # Panics
    ///
    /// When the run has no such stage.
    pub fn of(config: &'a RunConfig, index: usize) -> Self {
        let name = config.stages[index].name();
        Self { index, name }
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        self.name
    }

    /// That one of its settings cannot be; `what` names the key.
    pub fn wrong(self, key: &str, what: impl fmt::Display) -> Misfit {
        let at = KeyPath::stage(self.index).join(key);
        Misfit::new(at, format!("stage `{}`: {what}", self.name))
    }

    /// That a setting of the whole run does not fit this stage.
    pub fn wrong_at(self, at: &str, what: impl fmt::Display) -> Misfit {
        Misfit::new(at, format!("stage `{}`: {what}", self.name))
    }

    /// Refuses a number that does not fit.
    ///
    /// # Errors
    ///
    /// When it does not fit.
    pub fn number(
        self,
        key: &str,
        found: impl fmt::Display,
        fits: bool,
        wanted: &str,
    ) -> Result<(), Misfit> {
        if fits {
            return Ok(());
        }
        Err(self.wrong(key, format!("`{key}` is {found}; expected {wanted}")))
    }
}
