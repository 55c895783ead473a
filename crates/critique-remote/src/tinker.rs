//! The gradient step on a server that speaks Tinker's JSON over HTTP.
//!
//! [`Tinker`] is a connection with its session; a [`RemoteModel`] scores, accumulates and steps.
//! [`Tinker::calibrate`] measures what a server does with losses, clipping and temperature: servers
//! disagree silently, so a run does that before its first step. `workers/torch` is the server that
//! this project ships.
//!
//! What it leaves out: protobuf (newer SDKs of Tinker send it; servers take JSON as well), and
//! losses beside `importance_sampling`, through which any derivative can be sent.

mod calibrate;
mod link;
mod model;
mod tar;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use calibrate::Calibration;
use link::{Link, Repeat, SMALL, patiently};
pub use model::{Adam, Export, RemoteModel, Row, State, Step};
pub use wire::{Capabilities, SupportedModel, WorkerInfo};

use critique_core::Secret;

use crate::error::RemoteError;
use crate::http::{Http, Patience};

/// How to reach and treat a server.
#[derive(Debug, Clone, PartialEq)]
pub struct TinkerSettings {
    /// Its address, such as `http://127.0.0.1:8765`.
    pub url: String,
    /// The token that it wants.
    pub token: Option<Secret>,
    /// Name of the model, as the server calls it; `None` where it serves one alone.
    pub base_model: Option<String>,
    /// Waits and tries.
    pub patience: Patience,
    /// Longest time of one operation, such as a forward and backward pass of a request.
    pub longest: Duration,
    /// Time between signs of life.
    pub heartbeat: Duration,
    /// Most tokens of one request; longer batches are sent in several.
    pub request_tokens: usize,
}

impl TinkerSettings {
    /// Settings for a server, all others as usual.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            token: None,
            base_model: None,
            patience: Patience {
                request: Duration::from_mins(2),
                ..Patience::default()
            },
            longest: Duration::from_hours(1),
            heartbeat: Duration::from_secs(10),
            // About 4 MB of JSON; Tinker's own client stops at 5.
            request_tokens: 65_536,
        }
    }
}

/// A model to be made on a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewModel {
    /// Rank of the adapter; 0 trains all weights.
    pub rank: usize,
    /// Scale of the adapter times its rank; `None` takes the server's.
    pub alpha: Option<f32>,
    /// Draws the adapter.
    pub seed: u64,
    /// Whether it is a reference that takes no gradient; until a state is loaded, the base model.
    pub frozen: bool,
}

/// A connection to a server.
pub struct Tinker {
    link: Arc<Link>,
    capabilities: Capabilities,
    base_model: String,
    request_tokens: usize,
}

impl Tinker {
    /// Asks a server what it serves, and opens a session.
    ///
    /// # Errors
    ///
    /// When it cannot be reached, refuses the token, or does not serve the model.
    pub fn connect(settings: &TinkerSettings) -> Result<Self, RemoteError> {
        let http = Http::new(&settings.url, settings.token.as_ref(), settings.patience)?;
        let ask = || http.get("api/v1/get_server_capabilities", SMALL);
        let capabilities: Capabilities = patiently(&http, true, ask)?;
        let base_model = served(&http, &capabilities, settings.base_model.as_deref())?;
        let link = Link::open(&http, settings.longest, settings.heartbeat)?;
        Ok(Self {
            link: Arc::new(link),
            capabilities,
            base_model,
            request_tokens: settings.request_tokens.max(1),
        })
    }

    /// What the server says of itself.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Name of the model that is trained here.
    pub fn base_model(&self) -> &str {
        &self.base_model
    }

    /// Whether the server takes log-probs at any temperature; others know 1 alone.
    pub fn takes_temperature(&self) -> bool {
        self.capabilities.worker.is_some()
    }

    /// Makes a model: a fresh adapter, or a copy of all weights.
    ///
    /// # Errors
    ///
    /// When the server refuses, such as for want of a place.
    pub fn create(&self, model: &NewModel) -> Result<RemoteModel, RemoteError> {
        if model.frozen && self.capabilities.worker.is_none() && model.rank == 0 {
            let message =
                "has no frozen copies of full weights; start a second server for the reference";
            return Err(self.link.http.unsupported(message.to_owned()));
        }
        let ask = wire::CreateModel {
            session_id: &self.link.session,
            model_seq_id: self.link.next_model(),
            base_model: &self.base_model,
            r#type: "create_model",
            lora_config: wire::Lora {
                rank: model.rank,
                // Servers keep seeds in 63 bits.
                seed: model.seed >> 1,
                alpha: model.alpha.filter(|_| self.capabilities.worker.is_some()),
                train_unembed: false,
                train_mlp: true,
                train_attn: true,
            },
            frozen: model.frozen && self.capabilities.worker.is_some(),
        };
        // The worker gives a call that it has seen its first answer; on others a second model
        // would be made, which takes a place but harms nothing.
        let made = self.link.run("create_model", &ask, Repeat::Safe, SMALL);
        let made: wire::ModelCreated = made.map_err(|failed| failed.error)?;
        let id = made.model_id;
        if id.is_empty() || id.len() > 256 {
            let message = format!(
                "has a model id of {} characters; 1 to 256 were expected",
                id.len()
            );
            return Err(self.link.http.answer("create_model", message));
        }
        Ok(RemoteModel::new(self, id))
    }
}

impl std::fmt::Debug for Tinker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tinker")
            .field("url", &self.link.http.url())
            .field("base_model", &self.base_model)
            .finish_non_exhaustive()
    }
}

/// The model to be trained, which the server must serve.
fn served(
    http: &Http,
    capabilities: &Capabilities,
    wanted: Option<&str>,
) -> Result<String, RemoteError> {
    let names: Vec<&str> = capabilities
        .supported_models
        .iter()
        .map(|it| it.model_name.as_str())
        .collect();
    let list = names.iter().take(20).map(|it| format!("`{it}`"));
    let list = list.collect::<Vec<_>>().join(", ");
    match (wanted, &names[..]) {
        (Some(wanted), _) if names.contains(&wanted) => Ok(wanted.to_owned()),
        (None, [one]) => Ok((*one).to_owned()),
        (Some(wanted), _) => Err(http.differs(format!(
            "does not serve `{wanted}`, it serves {list}; is it the wrong server, or the wrong model?"
        ))),
        (None, _) => Err(http.differs(format!("serves {list}; say which is to be trained"))),
    }
}
