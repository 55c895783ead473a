//! Whether a run folder holds what was written into it.

use std::collections::BTreeMap;
use std::path::Path;

use critique_core::files::sum::FileSum;
use critique_core::files::{FileError, names_in};
use critique_eval::Summary;
use critique_rollout::record::step_path;

use crate::dir::RunDir;
use crate::error::RunError;
use crate::kept::read_config;
use crate::manifest::{Manifest, Parent, check_files, fingerprint};
use crate::metrics::{ROLLOUTS_SUM, StepMetrics, read_metrics, sum_line};
use crate::rows::stage_and_best;
use crate::state::{TrainerState, missing_of_model, missing_part, read_state};

/// What [`audit`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// Files whose content was compared with what was written.
    pub checked: usize,
    /// Files that nothing says the content of: those of older versions, and those that a run was
    /// writing when it was stopped.
    pub unknown: Vec<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or folder, below the run's folder.
    pub file: String,
    /// What is wrong, with the file's place.
    pub message: String,
}

/// Compares everything in a run folder with what was written into it. Nothing is changed.
///
/// # Errors
///
/// When the folder cannot be listed.
pub fn audit(dir: &RunDir) -> Result<Audit, RunError> {
    let mut found = Audit::default();
    found.note("config.resolved.toml", read_config(dir).map(|_| 1));
    found.note(
        "started.json",
        dir.started().map(|started| started.iter().count()),
    );
    let metrics = found.metrics(dir);
    for folder in dir.model_folders()? {
        let manifest = found.folder(dir, &folder);
        found.metrics_until(dir, &folder, manifest.as_ref(), &metrics);
    }
    found.rollouts(dir, &metrics)?;
    found.evaluations(dir)?;
    Ok(found)
}

impl Audit {
    /// Counts what was checked; an error becomes a finding.
    fn note(&mut self, file: &str, checked: Result<usize, RunError>) {
        match checked {
            Ok(checked) => self.checked += checked,
            Err(error) => self.find(file, with_causes(&error)),
        }
    }

    fn find(&mut self, file: &str, message: String) {
        let file = file.to_owned();
        self.findings.push(Finding { file, message });
    }

    fn metrics(&mut self, dir: &RunDir) -> Vec<StepMetrics> {
        let path = dir.metrics();
        if !path.is_file() {
            return Vec::new();
        }
        match read_metrics(&path) {
            Ok(metrics) => {
                let steps = metrics.windows(2);
                for pair in steps.filter(|pair| pair[1].step <= pair[0].step) {
                    let message = format!("step {} follows step {}", pair[1].step, pair[0].step);
                    let message = FileError::content(&path, message).to_string();
                    self.find("metrics.jsonl", message);
                }
                metrics
            }
            Err(error) => {
                self.find("metrics.jsonl", with_causes(&error));
                Vec::new()
            }
        }
    }

    fn folder(&mut self, dir: &RunDir, folder: &str) -> Option<Manifest> {
        match check_folder(dir, folder) {
            Ok(Some(manifest)) => {
                self.checked += manifest.files.len() + 1;
                Some(manifest)
            }
            Ok(None) => {
                self.unknown.push(folder.to_owned());
                None
            }
            Err(error) => {
                self.find(folder, with_causes(&error));
                None
            }
        }
    }

    /// Compares the metrics with those that were there when a folder was written.
    fn metrics_until(
        &mut self,
        dir: &RunDir,
        folder: &str,
        manifest: Option<&Manifest>,
        metrics: &[StepMetrics],
    ) {
        let Some(written) = manifest.and_then(|it| it.lineage.metrics.as_ref()) else {
            return;
        };
        if !metrics_begin_with(metrics, written) {
            let message = format!("its steps are not those that `{folder}` was written after");
            let message = FileError::content(&dir.metrics(), message).to_string();
            self.find("metrics.jsonl", message);
        }
    }

    fn rollouts(&mut self, dir: &RunDir, metrics: &[StepMetrics]) -> Result<(), RunError> {
        let mut known = BTreeMap::new();
        for step in metrics {
            let path = step_path(
                dir.root(),
                &step.stage,
                (step.stage_step as u64).saturating_sub(1),
            );
            let sum = step.numbers.get(ROLLOUTS_SUM).and_then(|it| it.as_str());
            known.insert(path, sum);
        }
        for (path, sum) in &known {
            self.lines(dir, path, *sum);
        }
        let folder = dir.root().join("rollouts");
        let stages = if folder.is_dir() {
            names_in(&folder)?
        } else {
            Vec::new()
        };
        for stage in stages.iter().filter(|name| folder.join(name).is_dir()) {
            for name in names_in(&folder.join(stage))? {
                let path = folder.join(stage).join(&name);
                if !known.contains_key(&path) && !name.starts_with('.') {
                    self.unknown.push(format!("rollouts/{stage}/{name}"));
                }
            }
        }
        Ok(())
    }

    /// Compares a file of rollouts with the sum that was written down elsewhere.
    fn lines(&mut self, dir: &RunDir, path: &Path, sum: Option<&str>) {
        let file = path.strip_prefix(dir.root()).unwrap_or(path);
        let file = file.display().to_string();
        match (sum, path.is_file()) {
            (None, false) => {}
            (None, true) => self.unknown.push(file),
            (Some(_), false) => self.find(&file, format!("{}: is missing", path.display())),
            (Some(_), true) => self.note(&file, check_sum(path, sum).map(|()| 1)),
        }
    }

    fn evaluations(&mut self, dir: &RunDir) -> Result<(), RunError> {
        if !dir.eval().is_dir() {
            return Ok(());
        }
        let path = dir.summary();
        if !path.is_file() {
            let rollouts = names_in(&dir.eval())?;
            if rollouts
                .iter()
                .any(|name| name.strip_suffix(".jsonl").is_some())
            {
                let message = format!("{}: is missing", path.display());
                self.find("eval/summary.json", message);
            }
            return Ok(());
        }
        let summary = match Summary::read(&path) {
            Ok(summary) => summary,
            Err(error) => {
                self.find("eval/summary.json", error.to_string());
                return Ok(());
            }
        };
        self.checked += 1;
        for row in &summary.rows {
            let path = dir.eval().join(format!("{}.jsonl", row.stage));
            self.lines(dir, &path, row.extra.rollouts_sha256.as_deref());
        }
        Ok(())
    }
}

impl RunDir {
    /// Checks that the rollouts of a step, counted from 0 in its stage, are those that were written.
    /// Nothing is known of those of older versions.
    ///
    /// # Errors
    ///
    /// When they are not; or when metrics or rollouts cannot be read.
    pub fn check_rollouts(&self, stage: &str, step: u64) -> Result<(), RunError> {
        let metrics = read_metrics(&self.metrics())?;
        let at = |line: &&StepMetrics| line.stage == stage && line.stage_step as u64 == step + 1;
        let line = metrics.iter().find(at);
        let sum = line.and_then(|line| line.numbers.get(ROLLOUTS_SUM)?.as_str());
        check_sum(&step_path(self.root(), stage, step), sum)
    }

    /// The same of an evaluation's rollouts.
    ///
    /// # Errors
    ///
    /// When they are not; or when the summary or the rollouts cannot be read.
    pub fn check_evaluation(&self, row: &str) -> Result<(), RunError> {
        let summary = Summary::read(&self.summary()).map_err(|error| {
            let message = with_causes(&error);
            RunError::Folder { message }
        })?;
        let row = summary.row(row);
        let sum = row.and_then(|row| row.extra.rollouts_sha256.as_deref());
        let name = row.map_or("", |row| &row.stage);
        check_sum(&self.eval().join(format!("{name}.jsonl")), sum)
    }
}

/// Refuses a file of rollouts whose sum is not the one that was written down elsewhere.
fn check_sum(path: &Path, sum: Option<&str>) -> Result<(), RunError> {
    match sum {
        Some(sum) if FileSum::of(path)?.sha256 != sum => {
            let message = "is not what was written: its checksum is another one";
            Err(FileError::content(path, message).into())
        }
        _ => Ok(()),
    }
}

/// Whether the first of these metrics sum up to this.
fn metrics_begin_with(metrics: &[StepMetrics], sum: &FileSum) -> bool {
    let mut text = String::new();
    for step in metrics {
        if text.len() as u64 >= sum.bytes {
            break;
        }
        text += &sum_line(step);
        text.push('\n');
    }
    FileSum::of_bytes(text.as_bytes()) == *sum
}

/// Checks a folder with a model that a run wrote, `checkpoint-N` or `stages/NAME`: that its files
/// are what was written, that it is of this run, this stage and this step, and that the models it
/// was trained from are those that are there. Gives its manifest; older versions wrote none.
///
/// # Errors
///
/// When one of these does not hold, with the file's name; or when a file cannot be read.
pub fn check_folder(dir: &RunDir, folder: &str) -> Result<Option<Manifest>, RunError> {
    let path = dir.root().join(folder);
    let refused = |message: String| RunError::from(FileError::content(&path, message));
    let is_checkpoint = folder.starts_with("checkpoint-");
    let missing = if is_checkpoint {
        missing_part
    } else {
        missing_of_model
    };
    if let Some(part) = missing(&path) {
        return Err(FileError::content(&path.join(part), "is missing").into());
    }
    let manifest = check_files(&path)?;
    let state = read_state(&path)?;
    if let Some(message) = misplaced(folder, &state) {
        return Err(refused(message));
    }
    let Some(manifest) = manifest else {
        return Ok(None);
    };
    let run = dir
        .started()?
        .map_or_else(String::new, |started| started.run);
    if manifest.lineage.run != run {
        let of = &manifest.lineage.run;
        return Err(refused(format!(
            "is of run `{of}`; this folder's `started.json` names run `{run}`"
        )));
    }
    for (role, parent) in &manifest.lineage.parents {
        if let Some(message) = replaced(dir, parent)? {
            return Err(refused(format!(
                "was trained with another {role}: {message}"
            )));
        }
    }
    Ok(Some(manifest))
}

/// How a folder's name and its state disagree, if they do.
fn misplaced(folder: &str, state: &TrainerState) -> Option<String> {
    if let Some(step) = folder.strip_prefix("checkpoint-") {
        let is = state.global_step;
        return (step.parse() != Ok(is)).then(|| format!("is of step {is} of its run"));
    }
    let (stage, _) = stage_and_best(folder.strip_prefix("stages/")?);
    (stage != state.stage).then(|| format!("is of stage `{}`", state.stage))
}

/// How a model that a stage was trained with is no longer what it was, if it is there and is not.
/// What lies outside of the run may be gone.
fn replaced(dir: &RunDir, parent: &Parent) -> Result<Option<String>, RunError> {
    let below = dir.root().join(&parent.folder);
    let folder = if parent.folder.starts_with("stages/") {
        below
    } else {
        parent.folder.clone().into()
    };
    if !folder.is_dir() || fingerprint(&folder)? == parent.sha256 {
        return Ok(None);
    }
    // What is wrong with it by itself says more.
    if parent.folder.starts_with("stages/") {
        check_folder(dir, &parent.folder)?;
    }
    Ok(Some(format!(
        "`{}` is not the one that was there then; expected that one, or nothing that came after it",
        folder.display()
    )))
}

/// An error with its causes, in one line.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
