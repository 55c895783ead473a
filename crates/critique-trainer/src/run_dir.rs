//! The run folder: what lies where, and writing it so that a kill loses nothing.
//!
//! ```text
//! config.resolved.toml          the run file with every default written out
//! metrics.jsonl                 one object a step
//! rollouts/stage-NAME/step-N.jsonl
//! checkpoint-N/                 the model in training, its optimizer and where the run stands
//! stages/NAME/                  the model as the stage left it
//! stages/NAME-best/             the model of its best step on the validation split
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

use crate::error::TrainError;
use crate::observer::Metrics;

/// Start of the names of folders that were never finished. Stages' names have no dot, so none of
/// these is taken for another.
const UNFINISHED: &str = ".unfinished-";

/// Start of the names of whole folders that another one is to replace.
const REPLACED: &str = ".unfinished.old-";

/// Start of the names of folders that are being removed.
const REMOVED: &str = ".unfinished.gone-";

/// End of the names of files that were never finished.
const PARTIAL: &str = ".partial";

/// The run file with every default written out.
const CONFIG: &str = "config.resolved.toml";

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
    pub fn open(root: &Path) -> Result<Self, TrainError> {
        let dir = Self {
            root: root.to_owned(),
        };
        for folder in [root.to_owned(), dir.stages(), dir.eval()] {
            fs::create_dir_all(&folder).map_err(|source| TrainError::Write {
                path: folder.clone(),
                source,
            })?;
        }
        dir.sweep()?;
        Ok(dir)
    }

    fn sweep(&self) -> Result<(), TrainError> {
        let rollouts = self.root.join("rollouts");
        let mut folders = vec![self.root.clone(), self.stages(), self.eval()];
        if rollouts.is_dir() {
            let stages = names(&rollouts)?.into_iter();
            let stages = stages.map(|stage| rollouts.join(stage));
            folders.extend(stages.filter(|stage| stage.is_dir()));
        }
        for folder in folders {
            for name in names(&folder)? {
                let path = folder.join(&name);
                let swept = if let Some(whole) = name.strip_prefix(REPLACED) {
                    let place = folder.join(whole);
                    if place.exists() {
                        fs::remove_dir_all(&path)
                    } else {
                        fs::rename(&path, place)
                    }
                } else if name.starts_with(UNFINISHED) || name.starts_with(REMOVED) {
                    fs::remove_dir_all(&path)
                } else if name.ends_with(PARTIAL) {
                    fs::remove_file(&path)
                } else {
                    Ok(())
                };
                swept.map_err(|source| TrainError::Write { path, source })?;
            }
        }
        Ok(())
    }

    /// The folder of a run that is there; nothing in it is changed.
    ///
    /// # Errors
    ///
    /// When it holds no run.
    pub fn existing(root: &Path) -> Result<Self, TrainError> {
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
        Err(TrainError::Config { message })
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
        self.stages().join(format!("{name}-best"))
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

    /// Steps of all checkpoints, in rising order.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<usize>, TrainError> {
        let names = names(&self.root)?;
        let mut steps: Vec<usize> = names
            .iter()
            .filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok())
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Keeps checkpoints and metrics of the first `steps` steps: those after them are run anew.
    ///
    /// # Errors
    ///
    /// When they cannot be read or written.
    pub(crate) fn cut(&self, steps: usize) -> Result<(), TrainError> {
        let later = self.checkpoints()?.into_iter().filter(|&step| step > steps);
        for step in later {
            remove_folder(&self.checkpoint(step))?;
        }
        self.cut_metrics(steps)
    }

    fn cut_metrics(&self, steps: usize) -> Result<(), TrainError> {
        let path = self.metrics();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(TrainError::Read { path, source }),
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
                    let line = at + 1;
                    return Err(TrainError::Row {
                        path,
                        line,
                        message,
                    });
                }
            }
        }
        write_file(&path, &kept)
    }

    /// Sees to it that all metrics so far outlive a power cut.
    pub(crate) fn sync_metrics(&self) -> Result<(), TrainError> {
        let path = self.metrics();
        match File::open(&path).and_then(|file| file.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TrainError::Write {
                path,
                source: error,
            }),
            _ => Ok(()),
        }
    }

    /// Adds a line to the metrics.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn log(&self, metrics: &Metrics) -> Result<(), TrainError> {
        let path = self.metrics();
        let line = format!("{}\n", serde_json::Value::Object(metrics.clone()));
        let append = || {
            File::options()
                .create(true)
                .append(true)
                .open(&path)?
                .write_all(line.as_bytes())
        };
        append().map_err(|source| TrainError::Write {
            path: path.clone(),
            source,
        })
    }
}

/// The step that a line of metrics is of.
fn step_of(line: &[u8]) -> Result<u64, String> {
    let metrics: Metrics = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let step = metrics.get("step").ok_or("no `step`")?;
    step.as_u64()
        .ok_or_else(|| format!("`step` is {step}, not a number of steps"))
}

fn names(folder: &Path) -> Result<Vec<String>, TrainError> {
    let read = || -> io::Result<Vec<String>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    read().map_err(|source| TrainError::Read {
        path: folder.to_owned(),
        source,
    })
}

/// Writes a file whole or not at all.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let partial = path.with_extension("partial");
    let write = || -> io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|source| TrainError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes a folder whole or not at all: `fill` writes into another one, which takes the place
/// of any folder at `path` when it is done.
pub(crate) fn write_folder(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<(), TrainError> {
    let wrong = |source| TrainError::Write {
        path: path.to_owned(),
        source,
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!("{UNFINISHED}{name}"));
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(wrong)?;
    }
    fs::create_dir_all(&partial).map_err(wrong)?;
    fill(&partial)?;
    for name in names(&partial)? {
        File::open(partial.join(name))
            .and_then(|file| file.sync_all())
            .map_err(wrong)?;
    }
    if path.exists() {
        let old = path.with_file_name(format!("{REPLACED}{name}"));
        fs::rename(path, &old).map_err(wrong)?;
        fs::rename(&partial, path).map_err(wrong)?;
        fs::remove_dir_all(&old).map_err(wrong)?;
    } else {
        fs::rename(&partial, path).map_err(wrong)?;
    }
    match path.parent() {
        // The rename itself must reach the disk.
        Some(parent) => File::open(parent)
            .and_then(|dir| dir.sync_all())
            .map_err(wrong),
        None => Ok(()),
    }
}

/// Removes a folder whole or not at all: a part of one would be taken for damage. It is renamed
/// first, and what a kill leaves of it is swept when the run goes on.
pub(crate) fn remove_folder(path: &Path) -> Result<(), TrainError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let gone = path.with_file_name(format!("{REMOVED}{name}"));
    let remove = || -> io::Result<()> {
        fs::rename(path, &gone)?;
        fs::remove_dir_all(&gone)
    };
    remove().map_err(|source| TrainError::Write {
        path: path.to_owned(),
        source,
    })
}
