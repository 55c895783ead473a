//! What a run folder holds, as far as it can be read.

use std::path::{Path, PathBuf};

use critique_core::files::read_text;
use critique_eval::{Row, Summary};
use critique_run::{RunConfig, RunDir, StepMetrics, read_config};

use crate::label::labels;
use crate::lines::{self, with_cause};
use crate::stages::{Stage, stages};

/// A run that was read.
#[derive(Debug)]
pub(crate) struct Run {
    /// A short name that no other run of the report has.
    pub(crate) label: String,
    pub(crate) dir: RunDir,
    /// The settings, where this build can read them.
    pub(crate) config: Option<RunConfig>,
    /// The settings as they stand in the file.
    pub(crate) table: toml::Table,
    pub(crate) steps: Vec<StepMetrics>,
    pub(crate) stages: Vec<Stage>,
    /// Evaluations.
    pub(crate) rows: Vec<Row>,
}

/// Reads the runs of these folders, each once. Folders without a run are told in `notes`.
pub(crate) fn read_all(folders: &[PathBuf], notes: &mut Vec<String>) -> Vec<Run> {
    let mut dirs: Vec<(PathBuf, RunDir)> = Vec::new();
    for folder in folders {
        let place = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        match RunDir::existing(folder) {
            Ok(_) if dirs.iter().any(|(other, _)| *other == place) => {}
            Ok(dir) => dirs.push((place, dir)),
            Err(error) => notes.push(error.to_string()),
        }
    }
    let places: Vec<PathBuf> = dirs.iter().map(|(place, _)| place.clone()).collect();
    let dirs = dirs.into_iter().map(|(_, dir)| dir);
    dirs.zip(labels(&places))
        .map(|(dir, label)| Run::read(dir, label, notes))
        .collect()
}

impl Run {
    pub(crate) fn read(dir: RunDir, label: String, notes: &mut Vec<String>) -> Self {
        let config = read_config(&dir).map_err(|error| notes.push(with_cause(&error)));
        let config = config.ok();
        let what = "the metrics of a step";
        let mut steps: Vec<StepMetrics> = lines::read(&dir.metrics(), what, notes);
        steps.sort_by_key(|step| step.step);
        Self {
            table: table(&dir.config()),
            rows: rows(&dir, notes),
            stages: stages(&steps, config.as_ref()),
            label,
            dir,
            config,
            steps,
        }
    }

    /// What draws everything random, where the settings say it.
    pub(crate) fn seed(&self) -> Option<i64> {
        self.table.get("seed")?.as_integer()
    }

    /// The name of the task, or its file.
    pub(crate) fn task(&self) -> Option<&str> {
        let task = self.table.get("task")?;
        task.get("name").or_else(|| task.get("file"))?.as_str()
    }
}

/// The settings as text has them; none where they are no TOML, which reading them has told.
fn table(path: &Path) -> toml::Table {
    let text = read_text(path).unwrap_or_default();
    toml::from_str(&text).unwrap_or_default()
}

fn rows(dir: &RunDir, notes: &mut Vec<String>) -> Vec<Row> {
    let path = dir.summary();
    if !path.exists() {
        return Vec::new();
    }
    match Summary::read(&path) {
        Ok(summary) => summary.rows,
        Err(error) => {
            notes.push(with_cause(&error));
            Vec::new()
        }
    }
}
