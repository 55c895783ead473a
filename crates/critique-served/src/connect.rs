//! From the words of a run file to a client of servers, and from its errors to those of engines.

use std::sync::Arc;
use std::time::Duration;

use critique_core::{Completion, Generate, GenerateError, Prompt, Request, Secret, Servers};
use critique_model::{ModelConfig, ModelError, TextCodec};
use critique_remote::RemoteError;
use critique_remote::rollout::{LogProbs, Remote, RolloutSettings, Text};

/// Servers of a model with its text.
pub(crate) type Client = Arc<Remote<ModelText>>;

/// Text as the model's folder has it. A text ends where the tokenizer or the configuration says.
pub(crate) struct ModelText {
    codec: Arc<TextCodec>,
    ends: Vec<u32>,
}

impl Text for ModelText {
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        Text::encode(&*self.codec, prompt)
    }

    fn decode(&self, tokens: &[u32]) -> String {
        self.codec.decode(tokens, true)
    }

    fn ends(&self) -> &[u32] {
        &self.ends
    }

    fn vocab(&self) -> usize {
        self.codec.vocab()
    }
}

/// A client whose log-probs nobody trains on.
pub(crate) fn frozen(
    servers: &Servers,
    config: &ModelConfig,
    codec: &Arc<TextCodec>,
) -> Result<Client, ModelError> {
    connect(settings(servers, config)?, config, codec)
}

/// A client for a policy that is trained on what it samples at this temperature.
pub(crate) fn trained(
    servers: &Servers,
    config: &ModelConfig,
    codec: &Arc<TextCodec>,
    temperature: f32,
) -> Result<Client, ModelError> {
    let settings = RolloutSettings {
        log_probs: LogProbs::Trained,
        temperature,
        ..settings(servers, config)?
    };
    connect(settings, config, codec)
}

fn connect(
    settings: RolloutSettings,
    config: &ModelConfig,
    codec: &Arc<TextCodec>,
) -> Result<Client, ModelError> {
    let mut ends = codec.eos_ids().to_vec();
    ends.extend(&config.eos_token_ids);
    let text = ModelText {
        codec: Arc::clone(codec),
        ends,
    };
    let remote = Remote::connect(settings, Arc::new(text)).map_err(outside)?;
    Ok(Arc::new(remote))
}

fn settings(servers: &Servers, config: &ModelConfig) -> Result<RolloutSettings, ModelError> {
    let context = servers.context.unwrap_or(config.max_position_embeddings);
    let urls: Vec<&str> = servers.urls.iter().map(String::as_str).collect();
    let plain = RolloutSettings::new(servers.engine, &urls, &servers.model, context);
    Ok(RolloutSettings {
        token: token(servers)?,
        vocab: Some(config.vocab),
        parallel: servers.parallel,
        give_up: Duration::from_secs(servers.give_up_secs),
        ..plain
    })
}

/// The token, which stands in the environment alone.
fn token(servers: &Servers) -> Result<Option<Secret>, ModelError> {
    let Some(name) = &servers.token_env else {
        return Ok(None);
    };
    match std::env::var(name) {
        Ok(token) if !token.is_empty() => Ok(Some(Secret::new(token))),
        _ => Err(ModelError::Other {
            message: format!(
                "the variable `{name}` of the environment is not set; expected the token that `{}` \
                 wants, or no `token_env`",
                servers.urls.join("`, `")
            ),
        }),
    }
}

/// Samples of servers, in the words of an engine.
pub(crate) fn generate(
    client: &Client,
    requests: &[Request],
) -> Result<Vec<Vec<Completion>>, ModelError> {
    client.generate(requests).map_err(engine_error)
}

/// The same error in the words of an engine.
pub(crate) fn engine_error(error: GenerateError) -> ModelError {
    match error {
        GenerateError::Stopped => ModelError::Stopped,
        GenerateError::EmptyPrompt => ModelError::Empty { what: "prompt" },
        GenerateError::PromptTooLong { prompt, context } => ModelError::TooLong {
            tokens: prompt,
            context,
        },
        GenerateError::UnknownToken { id, vocab } => ModelError::UnknownToken { id, vocab },
        GenerateError::Text { context, source } | GenerateError::Engine { context, source } => {
            ModelError::Outside { context, source }
        }
        other => ModelError::Outside {
            context: "sampling on a server failed".to_owned(),
            source: Box::new(other),
        },
    }
}

pub(crate) fn outside(error: RemoteError) -> ModelError {
    ModelError::Outside {
        context: "a server that the model is to be sampled on will not do".to_owned(),
        source: Box::new(error),
    }
}
