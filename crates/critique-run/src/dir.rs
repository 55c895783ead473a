//! The run folder: what lies where, and writing it so that a kill loses nothing.
//!
//! ```text
//! config.resolved.toml          the run file with every default written out
//! started.json                  when the run began, and from what
//! metrics.jsonl                 one object a step
//! rollouts/stage-NAME/step-N.jsonl
//! checkpoint-N/                 the model in training, its optimizer and where the run stands
//! stages/NAME/                  the model as the stage left it
//! stages/NAME-best/             the model of its best step on the validation split
//! not-finite/step-N/            a minibatch whose loss or gradient was not finite, and its model
//! eval/summary.json             one row an evaluation
//! eval/NAME.jsonl               its rollouts
//! .lock                         who writes it now; empty otherwise
//! ```
//!
//! Files and folders appear whole or not at all: they are written under another name, flushed,
//! and renamed; what is removed is renamed first.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use critique_core::files::{FileError, make_folder, names_in, remove_folder, sweep, write_whole};

use crate::error::RunError;
use crate::metrics::Metrics;
use crate::rows::best_of;

/// The run file with every default written out.
const CONFIG: &str = "config.resolved.toml";

/// Minibatches whose loss or gradient was not finite.
const NOT_FINITE: &str = "not-finite";

/// A run folder.
#[derive(Debug, Clone)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// The folder at this place, made if it is not there. What an interrupted write left is
    /// removed, and a folder that was to be replaced and was not is put back. Nobody else may
    /// write into the folder meanwhile.
    ///
    /// # Errors
    ///
    /// When it cannot be made or read.
    pub fn open(root: &Path) -> Result<Self, RunError> {
        let dir = Self {
            root: root.to_owned(),
        };
        for folder in [root.to_owned(), dir.stages(), dir.eval()] {
            make_folder(&folder)?;
        }
        dir.sweep()?;
        Ok(dir)
    }

    fn sweep(&self) -> Result<(), RunError> {
        let rollouts = self.root.join("rollouts");
        let mut folders = vec![self.root.clone(), self.stages(), self.eval()];
        folders.extend(Some(self.root.join(NOT_FINITE)).filter(|folder| folder.is_dir()));
        if rollouts.is_dir() {
            let stages = names_in(&rollouts)?.into_iter();
            let stages = stages.map(|stage| rollouts.join(stage));
            folders.extend(stages.filter(|stage| stage.is_dir()));
        }
        for folder in folders {
            sweep(&folder)?;
        }
        Ok(())
    }

    /// The folder of a run that is there; nothing in it is changed.
    ///
    /// # Errors
    ///
    /// When it holds no run.
    pub fn existing(root: &Path) -> Result<Self, RunError> {
        let path = root.join(CONFIG);
        if path.is_file() {
            return Ok(Self {
                root: root.to_owned(),
            });
        }
        let message = format!(
            "`{}` is no run folder: it has no `{CONFIG}`",
            root.display()
        );
        Err(RunError::Folder { message })
    }

    /// The run file with every default written out.
    pub fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where stages leave their models.
    pub fn stages(&self) -> PathBuf {
        self.root.join("stages")
    }

    /// Where the stage of this name leaves its model.
    pub fn stage(&self, name: &str) -> PathBuf {
        self.stages().join(name)
    }

    /// Where the stage of this name leaves the model of its best step.
    pub fn best(&self, name: &str) -> PathBuf {
        self.stages().join(best_of(name))
    }

    /// Where evaluations lie.
    pub fn eval(&self) -> PathBuf {
        self.root.join("eval")
    }

    /// The rows of all evaluations.
    pub fn summary(&self) -> PathBuf {
        self.eval().join("summary.json")
    }

    /// Numbers of all steps.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// The checkpoint after this many steps of the run.
    pub fn checkpoint(&self, step: usize) -> PathBuf {
        self.root.join(format!("checkpoint-{step}"))
    }

    /// Where the first minibatch of a step of the run, counted from 1, is kept whose loss or
    /// gradient was not finite.
    pub fn not_finite(&self, step: usize) -> PathBuf {
        self.root.join(NOT_FINITE).join(format!("step-{step}"))
    }

    /// Steps of the run with such a minibatch, in rising order.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn not_finite_steps(&self) -> Result<Vec<usize>, RunError> {
        let folder = self.root.join(NOT_FINITE);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        Ok(numbered(&names_in(&folder)?, "step-"))
    }

    /// Steps of all checkpoints, in rising order.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<usize>, RunError> {
        Ok(numbered(&names_in(&self.root)?, "checkpoint-"))
    }

    /// Folders with a model that the run has written, below its own: checkpoints in rising order,
    /// then what stages left, then models of minibatches that were not finite.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn model_folders(&self) -> Result<Vec<String>, RunError> {
        let checkpoints = self.checkpoints()?.into_iter();
        let mut folders: Vec<String> = checkpoints.map(|at| format!("checkpoint-{at}")).collect();
        if self.stages().is_dir() {
            let mut stages = names_in(&self.stages())?;
            stages.retain(|name| !name.starts_with('.') && self.stage(name).is_dir());
            stages.sort_unstable();
            folders.extend(stages.into_iter().map(|name| format!("stages/{name}")));
        }
        let kept = self.not_finite_steps()?.into_iter();
        folders.extend(kept.map(|step| format!("{NOT_FINITE}/step-{step}")));
        Ok(folders)
    }

    /// Keeps checkpoints and metrics of the first `steps` steps: those after them are run anew.
    ///
    /// # Errors
    ///
    /// When they cannot be read or written.
    pub fn cut(&self, steps: usize) -> Result<(), RunError> {
        let later = self.checkpoints()?.into_iter().filter(|&step| step > steps);
        for step in later {
            remove_folder(&self.checkpoint(step))?;
        }
        let later = self.not_finite_steps()?.into_iter();
        for step in later.filter(|&step| step > steps) {
            remove_folder(&self.not_finite(step))?;
        }
        self.cut_metrics(steps)
    }

    fn cut_metrics(&self, steps: usize) -> Result<(), RunError> {
        let path = self.metrics();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(FileError::read(&path, source).into()),
        };
        let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
        // A kill or a power cut in the middle of a line leaves a part of it, at the end.
        let torn = |at: usize| lines[at + 1..].iter().all(|line| step_of(line).is_err());
        let mut kept = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            match step_of(line) {
                _ if line.trim_ascii().is_empty() => {}
                Ok(step) if step <= steps as u64 => {
                    kept.extend_from_slice(line);
                    kept.push(b'\n');
                }
                // All from here on is run anew.
                Ok(_) => break,
                Err(_) if torn(at) => break,
                Err(message) => {
                    let message = format!("{message}; expected the metrics of a step");
                    return Err(FileError::line(&path, at + 1, message).into());
                }
            }
        }
        Ok(write_whole(&path, &kept)?)
    }

    /// Sees to it that all metrics so far outlive a power cut.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be written to the disk.
    pub fn sync_metrics(&self) -> Result<(), RunError> {
        let path = self.metrics();
        match File::open(&path).and_then(|file| file.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::write(&path, error).into())
            }
            _ => Ok(()),
        }
    }

    /// That the folder is still there, with the run in it: what is written makes the folders that it
    /// needs, and in the place of one that was moved away a second run would begin in silence.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn check_there(&self) -> Result<(), RunError> {
        if self.config().is_file() {
            return Ok(());
        }
        let message =
            "was moved or removed while the run wrote into it; the run goes on once it is back";
        Err(FileError::content(&self.root, message).into())
    }

    /// Adds a line to the metrics.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, or the folder is not there any more.
    pub fn log(&self, metrics: &Metrics) -> Result<(), RunError> {
        self.check_there()?;
        let path = self.metrics();
        let line = format!("{}\n", serde_json::Value::Object(metrics.clone()));
        let append = || {
            File::options()
                .create(true)
                .append(true)
                .open(&path)?
                .write_all(line.as_bytes())
        };
        append().map_err(|source| FileError::write(&path, source).into())
    }
}

/// Numbers behind this start of a name, in rising order.
fn numbered(names: &[String], start: &str) -> Vec<usize> {
    let number = |name: &String| name.strip_prefix(start)?.parse().ok();
    let mut numbers: Vec<usize> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// The step that a line of metrics is of.
fn step_of(line: &[u8]) -> Result<u64, String> {
    let metrics: Metrics = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let step = metrics.get("step").ok_or("no `step`")?;
    step.as_u64()
        .ok_or_else(|| format!("`step` is {step}, not a number of steps"))
}
