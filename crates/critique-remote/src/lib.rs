//! Models on other machines: rollouts and gradient steps over HTTP.
//!
//! [`rollout`] samples from inference servers: vLLM, `SGLang`, llama.cpp and what speaks like them.
//! [`tinker`] takes gradient steps on a server that speaks Tinker's protocol, such as the worker
//! in `workers/torch`. No model and no tensor is in this crate.
//!
//! Nothing that a server answers is trusted: sizes are bounded by what was asked for, token ids,
//! log-probs and counts are checked, and a server that is away is an error, never an empty result.
//!
//! ```
//! use critique_remote::tinker::{Tinker, TinkerSettings};
//!
//! // Port 9 of this machine: nobody listens there.
//! let mut settings = TinkerSettings::new("http://127.0.0.1:9");
//! settings.patience.attempts = 1;
//! let error = Tinker::connect(&settings).unwrap_err();
//! assert!(error.to_string().starts_with("cannot reach `http://127.0.0.1:9`"));
//! ```

mod error;
mod http;
pub mod rollout;
pub mod tinker;

pub use error::{Cause, RemoteError};
pub use http::Patience;
