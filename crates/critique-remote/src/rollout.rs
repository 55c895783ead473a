//! Rollouts on inference servers: token ids in, sampled token ids with log-probs out.
//!
//! [`Remote`] implements [`Generate`] on one or more servers of one model. A server that goes away
//! is taken out, its requests go to the others, and it is asked again until it is back; when none
//! is left for too long, that is an error. A trained critic reaches vLLM and `SGLang` as an adapter,
//! [`Remote::push_adapter`], and each completion carries the version that wrote it.
//!
//! Every sample is a request of its own: sample *i* of *n* of one request would get `seed + i` on
//! vLLM, and seeds here are hashes.
//!
//! Left out: streaming, `n` samples of one request, and pushing full weights.

mod adapter;
mod check;
mod dialect;
mod mismatch;
mod pool;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use critique_core::EngineKind;
use critique_core::{
    Completion, FinishReason, Generate, GenerateError, Prompt, Request, Sampling, Secret,
};

use critique_text::TextCodec;
use dialect::{Ask, Dialect, Raw};
pub use mismatch::Mismatch;
use pool::Pool;

use crate::error::RemoteError;
use crate::http::{Http, Patience};

/// Text to token ids and back, by the tokenizer and chat template of the model that is served.
pub trait Text: Send + Sync {
    /// As [`Generate::encode`].
    ///
    /// # Errors
    ///
    /// When the template refuses the messages.
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError>;

    /// The text of token ids, special tokens and unknown ids left out.
    fn decode(&self, tokens: &[u32]) -> String;

    /// The model's end-of-text tokens.
    fn ends(&self) -> &[u32];

    /// Token ids lie below it.
    fn vocab(&self) -> usize;
}

impl Text for TextCodec {
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        self.encode_prompt(prompt)
            .map_err(|source| GenerateError::Text {
                context: "rendering a prompt".to_owned(),
                source: Box::new(source),
            })
    }

    fn decode(&self, tokens: &[u32]) -> String {
        self.decode(tokens, true)
    }

    fn ends(&self) -> &[u32] {
        self.eos_ids()
    }

    fn vocab(&self) -> usize {
        self.vocab()
    }
}

/// What the log-probs of samples are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogProbs {
    /// The model is trained on them: they must be those of sampling, over the whole vocabulary.
    Trained,
    /// Nobody looks at them: they are as the server gives them.
    Unused,
}

/// Servers of one role.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutSettings {
    /// What they are.
    pub engine: EngineKind,
    /// Their addresses, such as `http://gpu9:8000`, without `/v1`.
    pub urls: Vec<String>,
    /// The token that they want.
    pub token: Option<Secret>,
    /// Name of the model, as they call it.
    pub model: String,
    /// Tokens that a prompt and its completion may take together.
    pub context_tokens: usize,
    /// Size of the model's vocabulary where it is larger than that of its tokenizer.
    pub vocab: Option<usize>,
    /// What log-probs are for.
    pub log_probs: LogProbs,
    /// The temperature that the run samples at; log-probs are checked to be taken at it.
    pub temperature: f32,
    /// Requests in flight at one server.
    pub parallel: usize,
    /// Waits and tries.
    pub patience: Patience,
    /// How long to wait while no server is up.
    pub give_up: Duration,
}

impl RolloutSettings {
    /// Settings for servers of a model, all others as usual.
    pub fn new(engine: EngineKind, urls: &[&str], model: &str, context_tokens: usize) -> Self {
        Self {
            engine,
            urls: urls.iter().map(|it| (*it).to_owned()).collect(),
            token: None,
            model: model.to_owned(),
            context_tokens,
            vocab: None,
            log_probs: LogProbs::Unused,
            temperature: 1.0,
            parallel: 32,
            patience: Patience::default(),
            give_up: Duration::from_mins(5),
        }
    }
}

/// A completion with what is known of where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled {
    /// The completion.
    pub completion: Completion,
    /// Version of the adapter that wrote it; `None` for the model as it is served.
    pub version: Option<u64>,
    /// Index of the server in [`RolloutSettings::urls`].
    pub server: usize,
}

/// An adapter on the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pushed {
    name: String,
    folder: PathBuf,
    version: u64,
}

/// A model behind one or more servers.
pub struct Remote<T> {
    settings: RolloutSettings,
    text: Arc<T>,
    pool: Pool,
    current: Mutex<Option<Pushed>>,
    /// Folders that were pushed, for none may be pushed again.
    folders: Mutex<Vec<PathBuf>>,
    /// Ends sampling once it is set.
    stop: Mutex<Option<Arc<AtomicBool>>>,
}

impl<T: Text> Remote<T> {
    /// Asks every server what it serves, and checks that log-probs are those of sampling.
    ///
    /// # Errors
    ///
    /// When one cannot be reached, serves another model, holds fewer tokens than asked for, or
    /// gives log-probs at another temperature.
    pub fn connect(settings: RolloutSettings, text: Arc<T>) -> Result<Self, RemoteError> {
        let servers = settings
            .urls
            .iter()
            .map(|url| Http::new(url, settings.token.as_ref(), settings.patience));
        let servers: Vec<Http> = servers.collect::<Result<_, _>>()?;
        if servers.is_empty() {
            let url = String::new();
            let message = "no address is given; name one server at least".to_owned();
            return Err(RemoteError::Address { url, message });
        }
        let remote = Self {
            pool: Pool::new(servers),
            settings,
            text,
            current: Mutex::default(),
            folders: Mutex::default(),
            stop: Mutex::default(),
        };
        for http in remote.pool.servers() {
            remote.check_server(http)?;
            remote.check_temperature(http)?;
        }
        Ok(remote)
    }

    /// Sampling ends with [`GenerateError::Stopped`] once this is set: no further request is sent,
    /// and those in flight are waited for.
    pub fn stop_when(&self, stop: &Arc<AtomicBool>) {
        let mut own = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        *own = Some(Arc::clone(stop));
    }

    fn is_stopped(&self) -> bool {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        stop.as_ref().is_some_and(|it| it.load(Ordering::Relaxed))
    }

    /// Version of the adapter that samples now.
    pub fn version(&self) -> Option<u64> {
        self.current().map(|it| it.version)
    }

    fn vocab(&self) -> usize {
        self.settings.vocab.unwrap_or_else(|| self.text.vocab())
    }

    fn current(&self) -> Option<Pushed> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Completions with the version of the adapter and the server that wrote each, their log-probs
    /// for what the settings say.
    ///
    /// # Errors
    ///
    /// As [`Remote::generate_for`].
    pub fn generate_versioned(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Vec<Sampled>>, GenerateError> {
        self.generate_for(requests, self.settings.log_probs)
    }

    /// The same with log-probs for this use.
    ///
    /// # Errors
    ///
    /// As [`Generate::generate`]. Servers that go away in the middle are no error while one is left
    /// or comes back.
    pub fn generate_for(
        &self,
        requests: &[Request],
        log_probs: LogProbs,
    ) -> Result<Vec<Vec<Sampled>>, GenerateError> {
        let adapter = self.current();
        for request in requests {
            self.check_request(request, log_probs)?;
        }
        let jobs: Vec<(&Request, u64)> = requests
            .iter()
            .flat_map(|request| request.seeds.iter().map(move |seed| (request, *seed)))
            .collect();
        let sample = |server: usize, http: &Http, job: usize| {
            let (request, seed) = jobs[job];
            let found = self.sample(server, http, request, seed, adapter.as_ref())?;
            self.check_end(http, request, &found.completion, log_probs)?;
            Ok(found)
        };
        let revive = |http: &Http| {
            self.check_server(http)?;
            adapter
                .as_ref()
                .map_or(Ok(()), |it| self.load_adapter(http, it))
        };
        let found = self.pool.run(
            jobs.len(),
            self.settings.parallel,
            self.settings.give_up,
            &sample,
            &revive,
            &|| self.is_stopped(),
        );
        let found = found.map_err(engine_error)?;
        // Fewer than asked for are none.
        if found.len() < jobs.len() {
            return Err(GenerateError::Stopped);
        }
        let mut found = found.into_iter();
        let take = |request: &Request| found.by_ref().take(request.seeds.len()).collect();
        Ok(requests.iter().map(take).collect())
    }

    fn check_request(&self, request: &Request, log_probs: LogProbs) -> Result<(), GenerateError> {
        let (prompt, context) = (request.prompt.len(), self.settings.context_tokens);
        if prompt == 0 {
            return Err(GenerateError::EmptyPrompt);
        }
        if prompt >= context {
            return Err(GenerateError::PromptTooLong { prompt, context });
        }
        let vocab = self.vocab();
        if let Some(&id) = request.prompt.iter().find(|id| **id as usize >= vocab) {
            return Err(GenerateError::UnknownToken { id, vocab });
        }
        let sampling = &request.sampling;
        let message = self
            .settings
            .engine
            .cannot(sampling)
            .or_else(|| self.log_probs_cut(sampling, log_probs));
        message.map_or(Ok(()), |message| {
            let url = self.settings.urls[0].clone();
            Err(engine_error(RemoteError::Unsupported { url, message }))
        })
    }

    /// Why log-probs of this sampling would not be what training needs.
    fn log_probs_cut(&self, sampling: &Sampling, log_probs: LogProbs) -> Option<String> {
        if log_probs == LogProbs::Unused {
            return None;
        }
        let cut = sampling.top_p < 1.0 || sampling.top_k > 0 || sampling.min_p > 0.0;
        if cut {
            return Some(format!(
                "top_p = {}, top_k = {}, min_p = {}: servers give log-probs after these cuts, training needs them \
                 before; leave them at 1, 0 and 0",
                sampling.top_p, sampling.top_k, sampling.min_p
            ));
        }
        let checked = self.settings.temperature;
        (sampling.temperature > 0.0 && sampling.temperature != checked).then(|| {
            format!(
                "temperature {} is sampled, log-probs were checked at {checked}",
                sampling.temperature
            )
        })
    }

    fn sample(
        &self,
        server: usize,
        http: &Http,
        request: &Request,
        seed: u64,
        adapter: Option<&Pushed>,
    ) -> Result<Sampled, RemoteError> {
        let sampling = &request.sampling;
        let room = self.settings.context_tokens - request.prompt.len();
        let ask = Ask {
            model: &self.settings.model,
            adapter: adapter.map(|it| it.name.as_str()),
            prompt: &request.prompt,
            max_tokens: sampling.max_new_tokens.clamp(1, room),
            seed,
            sampling,
            top: 0,
        };
        let raw = self.settings.engine.ask(http, &ask)?;
        let completion = self.completion(http, &ask, raw)?;
        Ok(Sampled {
            completion,
            version: adapter.map(|it| it.version),
            server,
        })
    }

    /// What a server sampled, once it is what a server may have sampled.
    fn completion(&self, http: &Http, ask: &Ask<'_>, raw: Raw) -> Result<Completion, RemoteError> {
        let call = self.settings.engine.call();
        let finish = self
            .check_raw(ask, &raw)
            .map_err(|it| http.answer(call, it))?;
        let (mut tokens, mut log_probs) = (raw.tokens, raw.log_probs);
        let (text, stopped) = self.text_of(&tokens, ask.sampling);
        if stopped {
            // Not every server ends where the stop text does.
            let whole = |n: &usize| self.text_of(&tokens[..*n], ask.sampling).1;
            let count = (1..tokens.len()).find(whole).unwrap_or(tokens.len());
            tokens.truncate(count);
            log_probs.truncate(count);
        }
        Ok(Completion {
            tokens,
            log_probs,
            text,
            finish_reason: if stopped { FinishReason::Stop } else { finish },
        })
    }

    /// That a sample to be trained on holds the token that ended it.
    fn check_end(
        &self,
        http: &Http,
        request: &Request,
        found: &Completion,
        log_probs: LogProbs,
    ) -> Result<(), RemoteError> {
        let sampling = &request.sampling;
        let last = found.tokens.last();
        let ended = last.is_some_and(|it| self.is_end(*it, sampling));
        let unended = found.finish_reason == FinishReason::Stop && !ended;
        if log_probs == LogProbs::Unused || !unended || self.text_of(&found.tokens, sampling).1 {
            return Ok(());
        }
        let message = "ended without its end-of-text token, which training needs";
        Err(http.answer(self.settings.engine.call(), message.to_owned()))
    }

    /// Counts, ids and numbers; gives why the sample ended.
    fn check_raw(&self, ask: &Ask<'_>, raw: &Raw) -> Result<FinishReason, String> {
        let (count, most, vocab) = (raw.tokens.len(), ask.max_tokens, self.vocab());
        if count == 0 || count > most {
            return Err(format!("has {count} tokens; 1 to {most} were asked for"));
        }
        if let Some(id) = raw.tokens.iter().find(|id| **id as usize >= vocab) {
            return Err(format!(
                "has the token id {id}, outside the vocabulary of {vocab} tokens; is another model served?"
            ));
        }
        if raw.log_probs.len() != count {
            let found = raw.log_probs.len();
            return Err(format!("has {found} log-probs for {count} tokens"));
        }
        if let Some(value) = raw
            .log_probs
            .iter()
            .find(|it| !it.is_finite() || **it > 1e-3)
        {
            return Err(format!("has the log-prob {value}"));
        }
        match raw.finish.as_str() {
            "stop" => Ok(FinishReason::Stop),
            "length" => Ok(FinishReason::Length),
            other => Err(format!(
                "ended by `{other}`; `stop` or `length` were expected"
            )),
        }
    }

    fn is_end(&self, id: u32, sampling: &Sampling) -> bool {
        self.text.ends().contains(&id) || sampling.stop_token_ids.contains(&id)
    }

    /// The text without ending tokens and stop texts, and whether a stop text was found.
    fn text_of(&self, tokens: &[u32], sampling: &Sampling) -> (String, bool) {
        let mut said = tokens;
        if let Some((last, before)) = tokens.split_last()
            && self.is_end(*last, sampling)
        {
            said = before;
        }
        let mut text = self.text.decode(said);
        let stops = sampling.stop.iter().filter(|it| !it.is_empty());
        let first = stops.filter_map(|stop| text.find(stop.as_str())).min();
        if let Some(at) = first {
            text.truncate(at);
        }
        (text, first.is_some())
    }
}

impl<T: Text> Generate for Remote<T> {
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        self.text.encode(prompt)
    }

    fn generate(&self, requests: &[Request]) -> Result<Vec<Vec<Completion>>, GenerateError> {
        let found = self.generate_versioned(requests)?;
        let plain = |samples: Vec<Sampled>| samples.into_iter().map(|it| it.completion).collect();
        Ok(found.into_iter().map(plain).collect())
    }

    fn context_tokens(&self) -> usize {
        self.settings.context_tokens
    }
}

fn engine_error(error: RemoteError) -> GenerateError {
    GenerateError::Engine {
        context: "sampling on a server failed".to_owned(),
        source: Box::new(error),
    }
}

impl<T> std::fmt::Debug for Remote<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
