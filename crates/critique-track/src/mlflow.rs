//! MLflow's REST interface (<https://mlflow.org/docs/latest/rest-api.html>).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use critique_core::files::{FileError, read_if_there, write_whole};
use critique_eval::Row;
use critique_rollout::RolloutRecord;
use critique_run::RunConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::TrackError;
use crate::settings::settings;
use crate::{Scalar, Tracker};

/// Where a run folder keeps what its run is called on the server.
const KEPT: &str = "mlflow.json";

/// Most metrics, and most parameters, of one request.
const METRICS: usize = 1000;
const PARAMS: usize = 100;

/// Longest value of a parameter, in letters.
const LONGEST: usize = 6000;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest answer that is read, in bytes.
const ANSWER: u64 = 1 << 22;

/// Longest text of a server that goes into an error, in letters.
const QUOTED: usize = 300;

/// Tells runs to an MLflow server: settings as parameters, numbers of steps and of evaluations as
/// metrics.
///
/// A run that goes on goes on as the same run of the server; `mlflow.json` in the run folder keeps
/// its name there.
#[derive(Debug)]
pub struct MLflow {
    agent: ureq::Agent,
    url: String,
    login: Login,
    experiment: String,
    path: PathBuf,
    kept: Option<Kept>,
}

/// Who logs in. Nothing of it is ever written or told.
#[derive(Clone, Default)]
pub enum Login {
    /// Nobody.
    #[default]
    None,
    /// A token.
    Token(String),
    /// A name and a password.
    Password(String, String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(…)",
            Self::Password(..) => "Password(…)",
        })
    }
}

impl Login {
    /// As MLflow's own clients find it: `MLFLOW_TRACKING_USERNAME` and `_PASSWORD`, or
    /// `MLFLOW_TRACKING_TOKEN`.
    pub fn from_environment() -> Self {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (
            named("MLFLOW_TRACKING_USERNAME"),
            named("MLFLOW_TRACKING_PASSWORD"),
            named("MLFLOW_TRACKING_TOKEN"),
        ) {
            (Some(name), Some(password), _) => Self::Password(name, password),
            (_, _, Some(token)) => Self::Token(token),
            _ => Self::None,
        }
    }

    /// What a server says, which may be what it was told, without what nobody else is to know.
    fn left_out_of(&self, said: &str) -> String {
        let mut said = said.to_owned();
        let header = self.header();
        let sent = header.as_deref().and_then(|it| it.split_once(' '));
        let password = match self {
            Self::Password(_, password) => Some(password.as_str()),
            Self::Token(_) | Self::None => None,
        };
        for secret in [sent.map(|(_, sent)| sent), password].into_iter().flatten() {
            said = said.replace(secret, "…");
        }
        said
    }

    fn header(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Token(token) => Some(format!("Bearer {token}")),
            Self::Password(name, password) => {
                let both = format!("{name}:{password}");
                Some(format!("Basic {}", BASE64_STANDARD.encode(both)))
            }
        }
    }
}

/// What `mlflow.json` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    /// The server's address, without a password.
    url: String,
    run_id: String,
    /// The last step that was told. Steps that are taken again after a kill are the same.
    steps: usize,
    /// Whether the settings were told.
    has_settings: bool,
}

#[derive(Deserialize)]
struct Experiment {
    experiment_id: String,
}

impl MLflow {
    /// The server at this address (`http://127.0.0.1:5000`), for the run in this folder. Nothing is
    /// asked of it yet.
    ///
    /// # Errors
    ///
    /// When the address is none, or what the run folder keeps cannot be read.
    pub fn new(
        url: &str,
        login: Login,
        experiment: &str,
        folder: &Path,
    ) -> Result<Self, TrackError> {
        let url = checked(url)?;
        let path = folder.join(KEPT);
        let kept: Option<Kept> = match read_if_there(&path)? {
            Some(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!(
                    "{error}; expected `url`, `run_id`, `steps` and `has_settings`, or no file"
                );
                FileError::content(&path, message)
            })?),
            None => None,
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A redirect would carry the login to a place that nobody named.
            .max_redirects(0)
            .timeout_global(Some(PATIENCE));
        Ok(Self {
            agent: config.build().into(),
            // A run of another server is none of this one's.
            kept: kept.filter(|kept| kept.url == url),
            url,
            login,
            experiment: experiment.to_owned(),
            path,
        })
    }

    /// The run's name on the server, once it has one.
    pub fn run_id(&self) -> Option<&str> {
        self.kept.as_ref().map(|kept| kept.run_id.as_str())
    }

    fn experiment(&self) -> Result<String, TrackError> {
        #[derive(Deserialize)]
        struct Found {
            experiment: Experiment,
        }
        let body = json!({ "name": self.experiment });
        match self.post::<Experiment>("experiments/create", &body) {
            Ok(made) => Ok(made.experiment_id),
            Err(TrackError::Refused { detail, .. }) if detail.contains("ALREADY_EXISTS") => {
                let call = "experiments/get-by-name";
                let request = self
                    .agent
                    .get(self.address(call))
                    .query("experiment_name", &self.experiment);
                let request = match self.login.header() {
                    Some(login) => request.header("Authorization", login),
                    None => request,
                };
                let found: Found = self.read(call, request.call())?;
                Ok(found.experiment.experiment_id)
            }
            Err(error) => Err(error),
        }
    }

    fn start(&mut self, name: &str) -> Result<(), TrackError> {
        #[derive(Deserialize)]
        struct Info {
            run_id: String,
        }
        #[derive(Deserialize)]
        struct Run {
            info: Info,
        }
        #[derive(Deserialize)]
        struct Made {
            run: Run,
        }
        let body = json!({
            "experiment_id": self.experiment()?,
            "run_name": name,
            "start_time": now(),
            "tags": [{ "key": "mlflow.source.name", "value": "critique-rl" }],
        });
        let made: Made = self.post("runs/create", &body)?;
        self.keep(Kept {
            url: self.url.clone(),
            run_id: made.run.info.run_id,
            steps: 0,
            has_settings: false,
        })
    }

    fn keep(&mut self, kept: Kept) -> Result<(), TrackError> {
        let text = serde_json::to_vec(&kept).unwrap_or_default();
        write_whole(&self.path, &text)?;
        self.kept = Some(kept);
        Ok(())
    }

    fn log(&self, what: &str, items: &[Value]) -> Result<(), TrackError> {
        let run = self.run_id().unwrap_or_default();
        let _: Value = self.post("runs/log-batch", &json!({ "run_id": run, what: items }))?;
        Ok(())
    }

    fn state(&self, status: &str, end: Option<u64>) -> Result<(), TrackError> {
        let run = self.run_id().unwrap_or_default();
        let mut body = json!({ "run_id": run, "status": status });
        if let Some(end) = end {
            body["end_time"] = end.into();
        }
        let _: Value = self.post("runs/update", &body)?;
        Ok(())
    }

    fn address(&self, call: &str) -> String {
        format!("{}/api/2.0/mlflow/{call}", self.url)
    }

    fn post<A: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        body: &Value,
    ) -> Result<A, TrackError> {
        let request = self.agent.post(self.address(call));
        let request = match self.login.header() {
            Some(login) => request.header("Authorization", login),
            None => request,
        };
        self.read(call, request.send_json(body))
    }

    fn read<A: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<A, TrackError> {
        let lost = |cause: String| TrackError::Link {
            url: self.url.clone(),
            call,
            cause,
        };
        let mut answer = answer.map_err(|error| lost(error.to_string()))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        let body = answer.body_mut().as_reader();
        let read = body.take(ANSWER).read_to_end(&mut bytes);
        read.map_err(|error| lost(error.to_string()))?;
        if !(200..300).contains(&status) {
            let said = self.login.left_out_of(&String::from_utf8_lossy(&bytes));
            return Err(TrackError::Refused {
                url: self.url.clone(),
                call,
                status,
                detail: said.chars().take(QUOTED).collect(),
            });
        }
        serde_json::from_slice(&bytes).map_err(|error| lost(format!("its answer: {error}")))
    }
}

impl Tracker for MLflow {
    fn begin(&mut self, name: &str, config: &RunConfig) -> Result<(), TrackError> {
        match &self.kept {
            Some(_) => self.state("RUNNING", None)?,
            None => self.start(name)?,
        }
        if self.kept.as_ref().is_some_and(|kept| kept.has_settings) {
            return Ok(());
        }
        let param = |(key, value): (String, crate::Setting)| {
            let text: String = value.text().chars().take(LONGEST).collect();
            json!({ "key": crate::names::cleaned(&key), "value": text })
        };
        let params: Vec<Value> = settings(config).into_iter().map(param).collect();
        for some in params.chunks(PARAMS) {
            self.log("params", some)?;
        }
        match self.kept.clone() {
            Some(kept) => self.keep(Kept {
                has_settings: true,
                ..kept
            }),
            None => Ok(()),
        }
    }

    fn has(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.steps)
    }

    fn scalars(&mut self, scalars: &[Scalar]) -> Result<(), TrackError> {
        let time = now();
        let metric = |it: &Scalar| json!({ "key": it.name, "value": it.value, "step": it.step, "timestamp": time });
        // Whole steps: what was told when a request fails must be known.
        let mut by_step: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
        for scalar in scalars {
            by_step.entry(scalar.step).or_default().push(metric(scalar));
        }
        let mut batch: Vec<Value> = Vec::new();
        let mut last = self.has();
        for (step, mut metrics) in by_step {
            if !batch.is_empty() && batch.len() + metrics.len() > METRICS {
                self.told(&std::mem::take(&mut batch), last)?;
            }
            batch.append(&mut metrics);
            last = last.max(step);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.told(&batch, last)
    }

    fn rollouts(&mut self, _step: usize, _records: &[RolloutRecord]) -> Result<(), TrackError> {
        Ok(())
    }

    fn table(&mut self, _step: usize, _rows: &[Row]) -> Result<(), TrackError> {
        Ok(())
    }

    fn end(&mut self, well: bool) -> Result<(), TrackError> {
        self.state(if well { "FINISHED" } else { "KILLED" }, Some(now()))
    }
}

impl MLflow {
    fn told(&mut self, metrics: &[Value], last: usize) -> Result<(), TrackError> {
        for some in metrics.chunks(METRICS) {
            self.log("metrics", some)?;
        }
        match self.kept.clone() {
            Some(kept) if kept.steps < last => self.keep(Kept {
                steps: last,
                ..kept
            }),
            _ => Ok(()),
        }
    }
}

/// Whether an address can be that of a server, without asking it.
///
/// # Errors
///
/// When it is none, holds a password, or asks for TLS in a build without it.
pub fn check_address(url: &str) -> Result<(), TrackError> {
    checked(url).map(drop)
}

/// An address as it is kept and shown: one with a password in it is refused, for it would be
/// written to the run folder.
fn checked(url: &str) -> Result<String, TrackError> {
    let wrong = |found: &str, expected| {
        Err(TrackError::Address {
            found: found.to_owned(),
            expected,
        })
    };
    let Some((scheme, rest)) = url.split_once("://") else {
        return wrong(
            url,
            "one that begins with http://, such as http://127.0.0.1:5000",
        );
    };
    if rest.split('/').next().unwrap_or("").contains('@') {
        return wrong(
            &format!("{scheme}://…"),
            "name and password in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, not in the address",
        );
    }
    match scheme {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => {
            return wrong(
                url,
                "http:// (this build has no TLS; build with `--features tls`)",
            );
        }
        _ => {
            return wrong(
                url,
                "one that begins with http://, such as http://127.0.0.1:5000",
            );
        }
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_refused_and_not_repeated() {
        let error = checked("http://me:hunter2@host:5000")
            .unwrap_err()
            .to_string();
        assert!(error.contains("MLFLOW_TRACKING_PASSWORD"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        assert!(!format!("{:?}", Login::Token("hunter2".into())).contains("hunter2"));
        assert!(checked("host:5000").is_err());
        assert_eq!(checked("http://host:5000/").unwrap(), "http://host:5000");
    }
}
