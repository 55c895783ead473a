//! Models that servers sample for, as engines of `critique-model`: who trains and evaluates sees a
//! [`LanguageModel`] and knows no HTTP.
//!
//! [`open`] gives a frozen model whose weights lie on servers alone. [`SampledModels`] lets servers
//! sample for a model whose adapter is trained in this process; they are given each version of it.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use critique_core::{EngineKind, Servers};
//!
//! let urls = vec!["http://gpu9:8000".to_owned()];
//! let servers = Servers::new(EngineKind::Vllm, urls, "actor".to_owned());
//! // Tokenizer, chat template and shape come from the folder; weights are not read.
//! let actor = critique_served::open(Path::new("models/actor"), &servers)?;
//! # Ok::<(), critique_model::ModelError>(())
//! ```

mod connect;
mod frozen;
mod trained;

use std::path::Path;
use std::sync::Arc;

use critique_core::Servers;
use critique_model::{LanguageModel, ModelConfig, ModelError, TextCodec};

use self::frozen::Frozen;
pub use self::trained::{SampleSettings, SampledModels};

/// A frozen model that servers sample for. The folder gives its tokenizer, chat template and
/// shape; no weights are read from it.
///
/// # Errors
///
/// When a file is missing or damaged, a server cannot be reached or serves another model, or the
/// token is not in the environment.
pub fn open(folder: &Path, servers: &Servers) -> Result<LanguageModel, ModelError> {
    let mut config = ModelConfig::load(folder)?;
    if let Some(context) = servers.context {
        config.max_position_embeddings = context;
    }
    let codec = Arc::new(TextCodec::load(folder)?);
    let remote = connect::frozen(servers, &config, &codec)?;
    let engine = Box::new(Frozen::new(remote, servers));
    let source = Some(folder.to_owned());
    Ok(LanguageModel::with_engine(config, codec, engine, source))
}
