//! One model on a server: scoring, gradients, steps, states.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use critique_core::AdamW;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::link::{Failed, Link, Repeat, SMALL};
use super::tar::unpack_adapter;
use super::{Tinker, wire};
use crate::error::RemoteError;

/// Datums of one request, the limit of Tinker's own client.
const REQUEST_ROWS: usize = 1024;
/// Bytes of an answer a token: two numbers as text, with room to spare.
const TOKEN_BYTES: u64 = 128;
/// Largest adapter that is fetched.
const ARCHIVE_BYTES: u64 = 8 << 30;

/// A completion whose log-probs are wanted, behind its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Token ids that are read only; at least one.
    pub prompt: &'a [u32],
    /// Token ids of the completion; at least one.
    pub completion: &'a [u32],
}

impl Row<'_> {
    fn tokens(&self) -> usize {
        self.prompt.len() + self.completion.len()
    }
}

/// `AdamW` with decoupled weight decay (Loshchilov and Hutter 2019).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay; the worker applies it to matrices only.
    pub weight_decay: f32,
    /// Largest global norm of the gradients; 0 never clips.
    pub max_grad_norm: f64,
}

impl Adam {
    /// The settings of a run at a learning rate.
    pub fn new(learning_rate: f32, settings: &AdamW) -> Self {
        // Through the text of the number, so that 1e-8 stays 1e-8.
        let exact = |value: f32| value.to_string().parse().unwrap_or(f64::from(value));
        Self {
            learning_rate: exact(learning_rate),
            beta1: settings.beta1,
            beta2: settings.beta2,
            eps: exact(settings.eps),
            weight_decay: settings.weight_decay,
            max_grad_norm: exact(settings.max_grad_norm),
        }
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Global norm of the gradients before clipping; NaN where it was not finite, `None` where the
    /// server does not say.
    pub grad_norm: Option<f64>,
    /// Whether weights changed: a norm that is not finite takes no step.
    pub taken: bool,
}

/// A saved state of a model with its optimizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its name on the server, `tinker://MODEL/weights/NAME`.
    pub path: String,
    /// Steps taken until then.
    pub steps: u64,
}

/// Weights written for an inference server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Name of the export.
    pub name: String,
    /// Its name on the server, `tinker://MODEL/sampler_weights/NAME`.
    pub path: String,
    /// The folder on the server's disk, where the server tells it; whoever shares the disk need
    /// not fetch it.
    pub folder: Option<PathBuf>,
}

/// A model on a server.
pub struct RemoteModel {
    link: Arc<Link>,
    id: String,
    request_tokens: usize,
    takes_temperature: bool,
    /// Whether the server knows calls that it has seen, so that they can be sent again.
    knows_repeats: bool,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Number of the last call.
    sequence: u64,
    steps: u64,
    /// The call since whose failure the state is not known.
    unknown_since: Option<&'static str>,
}

impl RemoteModel {
    pub(super) fn new(tinker: &Tinker, id: String) -> Self {
        Self {
            link: Arc::clone(&tinker.link),
            id,
            request_tokens: tinker.request_tokens,
            takes_temperature: tinker.takes_temperature(),
            knows_repeats: tinker.capabilities.worker.is_some(),
            progress: Mutex::default(),
        }
    }

    /// The server's name for it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Optimizer steps taken, those of a loaded state included.
    pub fn steps(&self) -> u64 {
        self.progress().steps
    }

    /// Log-prob in nats of each completion token at `temperature`, given the tokens before it: one
    /// list a row.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked, knows no temperature but 1, or answers with other than a
    /// finite number for each token.
    pub fn score(&self, rows: &[Row<'_>], temperature: f32) -> Result<Vec<Vec<f32>>, RemoteError> {
        let config = self.loss_config(temperature)?;
        let mut found = Vec::with_capacity(rows.len());
        for chunk in self.chunks(rows) {
            let data = chunk.iter().map(|row| {
                datum(row, |n| wire::LossInputs {
                    target_tokens: targets(row),
                    weights: Some(wire::Tensor::floats(vec![0.0; n])),
                    logprobs: None,
                    advantages: None,
                })
            });
            let forward_input = wire::LossInput {
                loss_fn: "cross_entropy",
                data: data.collect(),
                loss_fn_config: config(),
            };
            let body = wire::Forward { forward_input };
            let answer = self.call("forward", body, Repeat::Safe, answer_bytes(chunk));
            let answer = answer.map_err(|failed| failed.error)?;
            found.extend(self.read("forward", chunk, answer)?);
        }
        Ok(found)
    }

    /// Adds to the gradients: `gradient` holds d loss / d log-prob of each completion token and
    /// `log_probs` what [`RemoteModel::score`] gave for these weights and this temperature.
    ///
    /// It is sent as `importance_sampling` with advantages = -d loss / d log-prob, whose ratio is
    /// then 1. Gives the log-probs that the server saw, which tell when they are not the same.
    ///
    /// # Errors
    ///
    /// As [`RemoteModel::score`]. What has been accumulated is not known afterwards: load the last
    /// state.
    ///
    /// # Panics
    ///
    /// When the lists are not as long as the completions.
    pub fn backward(
        &mut self,
        rows: &[Row<'_>],
        temperature: f32,
        log_probs: &[Vec<f32>],
        gradient: &[Vec<f32>],
    ) -> Result<Vec<Vec<f32>>, RemoteError> {
        assert_eq!(rows.len(), log_probs.len(), "one list of log-probs a row");
        assert_eq!(rows.len(), gradient.len(), "one list of derivatives a row");
        let config = self.loss_config(temperature)?;
        let mut found = Vec::with_capacity(rows.len());
        for chunk in self.chunks(rows) {
            let range = found.len()..found.len() + chunk.len();
            let given = log_probs[range.clone()].iter().zip(&gradient[range]);
            let data = chunk
                .iter()
                .zip(given)
                .map(|(row, (old, grad))| weighted(row, old, grad));
            let forward_backward_input = wire::LossInput {
                loss_fn: "importance_sampling",
                data: data.collect(),
                loss_fn_config: config(),
            };
            let body = wire::ForwardBackward {
                forward_backward_input,
            };
            let repeat = if self.knows_repeats {
                Repeat::Safe
            } else {
                Repeat::Never
            };
            let call = "forward_backward";
            let answer = self.change(call, body, repeat, answer_bytes(chunk))?;
            let seen = self.read(call, chunk, answer);
            found.extend(seen.map_err(|error| self.lost_track(call, error))?);
        }
        Ok(found)
    }

    /// Scores, asks `gradient` for the derivative of each row by its log-probs, and adds to the
    /// gradients. Gives the log-probs.
    ///
    /// # Errors
    ///
    /// As [`RemoteModel::backward`].
    pub fn accumulate(
        &mut self,
        rows: &[Row<'_>],
        temperature: f32,
        mut gradient: impl FnMut(usize, &[f32], &mut [f32]),
    ) -> Result<Vec<Vec<f32>>, RemoteError> {
        let log_probs = self.score(rows, temperature)?;
        let mut grads = Vec::with_capacity(rows.len());
        for (index, seen) in log_probs.iter().enumerate() {
            let mut grad = vec![0.0; seen.len()];
            gradient(index, seen, &mut grad);
            grads.push(grad);
        }
        self.backward(rows, temperature, &log_probs, &grads)?;
        Ok(log_probs)
    }

    /// Clips the accumulated gradients by their global norm, takes one step and drops them.
    ///
    /// # Errors
    ///
    /// When the server refuses. When the answer is lost, [`RemoteError::StateUnknown`]: a step is
    /// never sent again, since one taken twice would not be noticed.
    pub fn step(&mut self, adam: &Adam) -> Result<Step, RemoteError> {
        let body = wire::OptimStep {
            r#type: "optim_step",
            adam_params: wire::AdamParams {
                learning_rate: adam.learning_rate,
                beta1: adam.beta1,
                beta2: adam.beta2,
                eps: adam.eps,
                weight_decay: adam.weight_decay,
                grad_clip_norm: adam.max_grad_norm,
            },
        };
        let answer: wire::Stepped = self.change("optim_step", body, Repeat::Never, SMALL)?;
        let step = read_step(&answer);
        if step.taken {
            self.progress().steps += 1;
        }
        Ok(step)
    }

    /// Saves weights and optimizer under a name that the model has not used before.
    ///
    /// # Errors
    ///
    /// When the server cannot write it.
    pub fn save(&mut self, name: &str) -> Result<State, RemoteError> {
        self.known()?;
        let body = wire::SaveWeights {
            r#type: "save_weights",
            path: name,
        };
        let saved = self.call("save_weights", body, self.repeats(), SMALL);
        let saved: wire::Saved = saved.map_err(|failed| failed.error)?;
        let steps = self.steps();
        self.read_path("save_weights", saved.path)
            .map(|path| State { path, steps })
    }

    /// Goes back to a state, of this model or of another one. Accumulated gradients are dropped by
    /// the worker; other servers keep them, so load into a fresh model there.
    ///
    /// # Errors
    ///
    /// When the server does not have it, or it is of another model.
    pub fn load(&mut self, state: &State) -> Result<(), RemoteError> {
        self.load_parts(state, true)?;
        let mut progress = self.progress();
        progress.steps = state.steps;
        progress.unknown_since = None;
        Ok(())
    }

    /// Takes the weights of a state without its optimizer, as a reference or a next stage does.
    ///
    /// # Errors
    ///
    /// As [`RemoteModel::load`].
    pub fn load_weights(&mut self, state: &State) -> Result<(), RemoteError> {
        self.load_parts(state, false)?;
        let mut progress = self.progress();
        progress.steps = 0;
        progress.unknown_since = None;
        Ok(())
    }

    fn load_parts(&self, state: &State, optimizer: bool) -> Result<(), RemoteError> {
        let body = wire::LoadWeights {
            r#type: "load_weights",
            path: &state.path,
            optimizer,
        };
        let answer = self.call("load_weights", body, Repeat::Safe, SMALL);
        let _: serde_json::Value = answer.map_err(|failed| failed.error)?;
        Ok(())
    }

    /// Writes the weights for an inference server, on the server's disk, under a new name.
    ///
    /// # Errors
    ///
    /// When the server cannot write them.
    pub fn export(&mut self, name: &str) -> Result<Export, RemoteError> {
        self.known()?;
        let call = "save_weights_for_sampler";
        let body = wire::SaveWeights {
            r#type: call,
            path: name,
        };
        let saved = self.call(call, body, self.repeats(), SMALL);
        let saved: wire::Saved = saved.map_err(|failed| failed.error)?;
        let path = self.read_path(call, saved.path)?;
        Ok(Export {
            name: name.to_owned(),
            path,
            folder: saved.dir,
        })
    }

    /// Fetches an exported adapter into a folder: `adapter_config.json` and
    /// `adapter_model.safetensors`.
    ///
    /// # Errors
    ///
    /// When it is not there, is more than an adapter, or the folder cannot be written.
    pub fn download(&self, export: &Export, folder: &Path) -> Result<(), RemoteError> {
        let call = format!(
            "api/v1/training_runs/{}/checkpoints/{}/archive",
            self.id, export.name
        );
        let archive = self.link.http.get_bytes(&call, ARCHIVE_BYTES)?;
        let files =
            unpack_adapter(&archive).map_err(|message| self.link.http.answer(&call, message))?;
        let failed = |doing, path: &Path, source| RemoteError::File {
            doing,
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder)
            .map_err(|it| failed("cannot make the folder", folder, it))?;
        for (name, bytes) in files {
            let path = folder.join(name);
            std::fs::write(&path, bytes).map_err(|it| failed("cannot write", &path, it))?;
        }
        Ok(())
    }

    /// Takes the model off the server.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked.
    pub fn unload(self) -> Result<(), RemoteError> {
        let body = wire::Typed {
            r#type: "unload_model",
        };
        let answer = self.call("unload_model", body, Repeat::Safe, SMALL);
        let _: serde_json::Value = answer.map_err(|failed| failed.error)?;
        Ok(())
    }

    /// A call that changes what is trained: where it fails and may have been done, the state is
    /// not known from then on.
    fn change<A: DeserializeOwned>(
        &self,
        call: &'static str,
        body: impl Serialize,
        repeat: Repeat,
        limit: u64,
    ) -> Result<A, RemoteError> {
        self.known()?;
        self.call(call, body, repeat, limit).map_err(|failed| {
            // A refused request has added nothing, but requests before it may have.
            if failed.maybe_done || call == "forward_backward" {
                return self.lost_track(call, failed.error);
            }
            failed.error
        })
    }

    fn lost_track(&self, call: &'static str, error: RemoteError) -> RemoteError {
        self.progress().unknown_since = Some(call);
        RemoteError::StateUnknown {
            call: call.to_owned(),
            source: Box::new(error),
        }
    }

    fn known(&self) -> Result<(), RemoteError> {
        match self.progress().unknown_since {
            Some(call) => Err(RemoteError::MustLoad {
                call: call.to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn call<A: DeserializeOwned>(
        &self,
        call: &'static str,
        body: impl Serialize,
        repeat: Repeat,
        limit: u64,
    ) -> Result<A, Failed> {
        let seq_id = {
            let mut progress = self.progress();
            progress.sequence += 1;
            progress.sequence
        };
        let body = wire::OnModel {
            model_id: &self.id,
            seq_id,
            body,
        };
        self.link.run(call, &body, repeat, limit)
    }

    fn repeats(&self) -> Repeat {
        if self.knows_repeats {
            Repeat::Safe
        } else {
            Repeat::Never
        }
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loss_config(
        &self,
        temperature: f32,
    ) -> Result<impl Fn() -> Option<wire::LossConfig> + use<>, RemoteError> {
        if temperature != 1.0 && !self.takes_temperature {
            return Err(self.link.http.unsupported(format!(
                "gives log-probs at temperature 1 alone; the run asks for {temperature}: sample at 1, or train \
                 with the worker of this project"
            )));
        }
        let given = self.takes_temperature;
        Ok(move || given.then_some(wire::LossConfig { temperature }))
    }

    /// Rows in runs that one request takes.
    fn chunks<'r, 'a>(&self, rows: &'r [Row<'a>]) -> Vec<&'r [Row<'a>]> {
        chunks(rows, self.request_tokens)
    }

    /// Log-probs of the completions out of an answer.
    fn read(
        &self,
        call: &str,
        rows: &[Row<'_>],
        answer: wire::Forwarded,
    ) -> Result<Vec<Vec<f32>>, RemoteError> {
        let outputs = answer.loss_fn_outputs;
        if outputs.len() != rows.len() {
            let message = format!("has {} outputs for {} sequences", outputs.len(), rows.len());
            return Err(self.link.http.answer(call, message));
        }
        let read = |(row, output): (&Row<'_>, wire::LossOutput)| {
            read_row(row, output.logprobs.data).map_err(|it| self.link.http.answer(call, it))
        };
        rows.iter().zip(outputs).map(read).collect()
    }

    fn read_path(&self, call: &str, path: String) -> Result<String, RemoteError> {
        if path.is_empty() || path.len() > 4096 {
            let message = format!(
                "has a path of {} bytes; 1 to 4096 were expected",
                path.len()
            );
            return Err(self.link.http.answer(call, message));
        }
        Ok(path)
    }
}

impl std::fmt::Debug for RemoteModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteModel")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Runs of rows of at most `most` tokens; a longer row stands alone.
fn chunks<'r, 'a>(rows: &'r [Row<'a>], most: usize) -> Vec<&'r [Row<'a>]> {
    let (mut found, mut begin, mut tokens) = (Vec::new(), 0, 0);
    for (end, row) in rows.iter().enumerate() {
        let full = tokens + row.tokens() > most || end - begin == REQUEST_ROWS;
        if full && end > begin {
            found.push(&rows[begin..end]);
            (begin, tokens) = (end, 0);
        }
        tokens += row.tokens();
    }
    if begin < rows.len() {
        found.push(&rows[begin..]);
    }
    found
}

fn answer_bytes(rows: &[Row<'_>]) -> u64 {
    let tokens: usize = rows.iter().map(Row::tokens).sum();
    (1 << 16) + TOKEN_BYTES * tokens as u64
}

/// The model reads all tokens but the last, and is asked for all but the first.
fn datum(row: &Row<'_>, inputs: impl FnOnce(usize) -> wire::LossInputs) -> wire::Datum {
    let mut tokens = [row.prompt, row.completion].concat();
    tokens.pop();
    let inputs = inputs(tokens.len());
    wire::Datum {
        model_input: wire::ModelInput {
            chunks: [wire::Chunk {
                r#type: "encoded_text",
                tokens,
            }],
        },
        loss_fn_inputs: inputs,
    }
}

fn targets(row: &Row<'_>) -> wire::Tensor<u32> {
    wire::Tensor::ids([row.prompt, row.completion].concat().split_off(1))
}

fn weighted(row: &Row<'_>, old: &[f32], grad: &[f32]) -> wire::Datum {
    let count = row.completion.len();
    assert_eq!(
        (old.len(), grad.len()),
        (count, count),
        "one number a completion token"
    );
    let behind_prompt = |values: &mut dyn Iterator<Item = f32>| {
        let mut all = vec![0.0; row.prompt.len().saturating_sub(1)];
        all.extend(values);
        wire::Tensor::floats(all)
    };
    datum(row, |_| wire::LossInputs {
        target_tokens: targets(row),
        weights: None,
        logprobs: Some(behind_prompt(&mut old.iter().copied())),
        advantages: Some(behind_prompt(&mut grad.iter().map(|it| -it))),
    })
}

/// Log-probs of the completion; some servers leave out those of the prompt.
fn read_row(row: &Row<'_>, mut found: Vec<f32>) -> Result<Vec<f32>, String> {
    let all = row.tokens() - 1;
    if found.len() != all {
        return Err(format!(
            "has {} log-probs for {all} tokens; servers that leave some out are not supported",
            found.len()
        ));
    }
    if let Some(token) = found.iter().position(|it| !it.is_finite() || *it > 1e-3) {
        return Err(format!(
            "has the log-prob {} for token {token}",
            found[token]
        ));
    }
    Ok(found.split_off(row.prompt.len() - 1))
}

fn read_step(answer: &wire::Stepped) -> Step {
    let metrics = answer.metrics.as_ref();
    let find = |part: &str| {
        let mut entries = metrics.into_iter().flatten();
        entries
            .find(|(name, _)| name.contains(part))
            .map(|(_, value)| value)
    };
    let norm = find("grad_norm").map(|value| value.as_f64().unwrap_or(f64::NAN));
    let skipped = find("skipped").and_then(serde_json::Value::as_f64);
    Step {
        grad_norm: norm,
        taken: skipped.map_or(norm.is_none_or(f64::is_finite), |it| it == 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_all_rows_in_order_and_are_bounded() {
        let tokens: Vec<u32> = (0..100).collect();
        let row = |n: usize| Row {
            prompt: &tokens[..1],
            completion: &tokens[..n],
        };
        let rows: Vec<_> = [4, 4, 99, 1, 1, 1].into_iter().map(row).collect();
        let lengths: Vec<usize> = chunks(&rows, 10).iter().map(|it| it.len()).collect();
        assert_eq!(lengths, [2, 1, 3]);
        let many = vec![row(1); 2500];
        let lengths: Vec<usize> = chunks(&many, 1 << 20).iter().map(|it| it.len()).collect();
        assert_eq!(lengths, [1024, 1024, 452]);
        assert!(chunks(&[], 10).is_empty());
    }

    #[test]
    fn a_datum_is_shifted_by_one_and_silent_on_the_prompt() {
        let row = Row {
            prompt: &[10, 20],
            completion: &[30, 40],
        };
        let json = serde_json::to_value(weighted(&row, &[-1.0, -2.0], &[0.5, -0.25])).unwrap();
        assert_eq!(
            json["model_input"]["chunks"][0]["tokens"],
            serde_json::json!([10, 20, 30])
        );
        let inputs = &json["loss_fn_inputs"];
        assert_eq!(
            inputs["target_tokens"]["data"],
            serde_json::json!([20, 30, 40])
        );
        assert_eq!(
            inputs["logprobs"]["data"],
            serde_json::json!([0.0, -1.0, -2.0])
        );
        assert_eq!(
            inputs["advantages"]["data"],
            serde_json::json!([0.0, -0.5, 0.25])
        );
    }

    #[test]
    fn settings_of_a_run_keep_their_decimals() {
        let adam = Adam::new(9e-6, &AdamW::default());
        assert_eq!(
            (adam.learning_rate, adam.eps, adam.max_grad_norm),
            (9e-6, 1e-8, 1.0)
        );
    }

    #[test]
    fn log_probs_that_are_none_are_refused() {
        let row = Row {
            prompt: &[1, 2],
            completion: &[3],
        };
        assert_eq!(read_row(&row, vec![-1.0, -2.0]).unwrap(), [-2.0]);
        for wrong in [vec![-1.0], vec![-1.0, f32::NAN], vec![-1.0, 0.5], vec![]] {
            read_row(&row, wrong).unwrap_err();
        }
    }

    #[test]
    fn steps_are_read_from_the_metrics_of_each_server() {
        let step = |json: &str| read_step(&serde_json::from_str(json).unwrap());
        let skyrl =
            step(r#"{"metrics":{"skyrl.ai/grad_norm":17.3,"skyrl.ai/learning_rate":0.001}}"#);
        assert_eq!((skyrl.grad_norm, skyrl.taken), (Some(17.3), true));
        let skipped = step(r#"{"metrics":{"grad_norm":null,"skipped":1.0}}"#);
        assert!(skipped.grad_norm.unwrap().is_nan() && !skipped.taken);
        assert_eq!(step(r#"{"metrics":null}"#).grad_norm, None);
    }
}
