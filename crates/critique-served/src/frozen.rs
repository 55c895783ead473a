//! A model of which this process holds nothing: it samples, and does nothing else.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use critique_core::{AdamW, Completion, Request, Servers};
use critique_model::{
    Ends, Engine, Group, Held, ModelError, NamedTensors, PerToken, SaveDtype, TokenLoss, Training,
};

use crate::connect::{Client, generate};

/// The engine of a model whose weights lie on servers.
#[derive(Clone)]
pub(crate) struct Frozen {
    client: Client,
    /// What it is, for errors.
    name: String,
}

impl Frozen {
    pub(crate) fn new(client: Client, servers: &Servers) -> Self {
        let name = format!("`{}` on `{}`", servers.model, servers.urls.join("`, `"));
        Self { client, name }
    }

    fn cannot<R>(&self, what: &str) -> Result<R, ModelError> {
        let message = format!(
            "{} is sampled on servers alone and cannot be {what} here; expected a model with its \
             weights in this process",
            self.name
        );
        Err(ModelError::Other { message })
    }
}

impl Engine for Frozen {
    fn score(&self, _: &[Group], _: f32) -> Result<PerToken, ModelError> {
        self.cannot("scored")
    }

    fn accumulate(
        &mut self,
        _: &[Group],
        _: f32,
        _: &dyn TokenLoss,
    ) -> Result<PerToken, ModelError> {
        self.cannot("trained")
    }

    fn update(&mut self, _: f32, _: &AdamW) -> Result<f32, ModelError> {
        self.cannot("trained")
    }

    fn drop_gradients(&mut self) {}

    fn gradients(&self) -> NamedTensors {
        NamedTensors::new()
    }

    /// What ends a text is known to the client.
    fn generate(
        &self,
        requests: &[Request],
        _: &Ends<'_>,
    ) -> Result<Vec<Vec<Completion>>, ModelError> {
        generate(&self.client, requests)
    }

    fn shapes(&self, _: Held) -> Vec<(String, Vec<usize>)> {
        Vec::new()
    }

    fn values(&self, _: Held, name: &str) -> Cow<'_, [f32]> {
        panic!("no tensor `{name}`: the model is sampled on servers alone")
    }

    fn save(&self, _: &Path, _: SaveDtype, _: u64) -> Result<(), ModelError> {
        self.cannot("saved")
    }

    fn save_in_one(&self, _: Held, _: &Path) -> Result<(), ModelError> {
        self.cannot("saved")
    }

    fn optimizer_steps(&self) -> u64 {
        0
    }

    fn load_optimizer_state(&mut self, _: u64, _: NamedTensors) -> Result<(), ModelError> {
        self.cannot("trained")
    }

    fn fork(&self, training: &Training, _: u64) -> Result<Box<dyn Engine>, ModelError> {
        match training {
            Training::Frozen => Ok(Box::new(self.clone())),
            Training::Full | Training::Lora(_) => self.cannot("trained"),
        }
    }

    fn into_frozen(self: Box<Self>) -> Box<dyn Engine> {
        self
    }

    fn stop_when(&mut self, stop: &Arc<AtomicBool>) {
        self.client.stop_when(stop);
    }

    fn is_exact(&self) -> bool {
        false
    }
}
