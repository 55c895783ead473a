//! What has come to a run folder since the last time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use critique_core::files::FileError;
use critique_eval::{Row, Summary};
use critique_rollout::RolloutRecord;
use critique_rollout::record::{VERSION, step_path};
use critique_run::{RunConfig, RunDir, StepMetrics, read_config};

use crate::error::TrackError;
use crate::names::{of_row, of_step};
use crate::{Scalar, Tracker};

/// Longest record of a rollout that is told, in bytes.
const LONGEST: u64 = 1 << 20;

/// Reads a run folder and tells a tracker what is new in it.
pub struct Follower {
    dir: RunDir,
    config: RunConfig,
    tracker: Box<dyn Tracker + Send>,
    /// Rollouts of a step that are told.
    rollouts: usize,
    begun: bool,
    /// Bytes of the metrics that were told.
    read: u64,
    /// The last step that was told.
    step: usize,
    /// The last step of each stage so far.
    ends: BTreeMap<String, usize>,
    rows: Vec<Row>,
}

impl Follower {
    /// Follows the run in this folder, of which the first `rollouts` rollouts of every step are
    /// told.
    ///
    /// # Errors
    ///
    /// When the settings of the run cannot be read.
    pub fn new(
        dir: RunDir,
        tracker: impl Tracker + Send + 'static,
        rollouts: usize,
    ) -> Result<Self, TrackError> {
        let config = read_config(&dir)?;
        Ok(Self {
            dir,
            config,
            tracker: Box::new(tracker),
            rollouts,
            begun: false,
            read: 0,
            step: 0,
            ends: BTreeMap::new(),
            rows: Vec::new(),
        })
    }

    /// Tells what has come since the last time. After an error the next call tells the rest.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read, or the tracker cannot be reached or written to.
    pub fn poll(&mut self) -> Result<(), TrackError> {
        if !self.begun {
            self.tracker.begin(&name(self.dir.root()), &self.config)?;
            self.begun = true;
        }
        self.poll_steps()?;
        self.poll_rows()
    }

    /// Tells what has come, and that nothing more will come for now.
    ///
    /// # Errors
    ///
    /// As in [`Follower::poll`].
    pub fn end(&mut self, well: bool) -> Result<(), TrackError> {
        self.poll()?;
        self.tracker.end(well)
    }

    fn poll_steps(&mut self) -> Result<(), TrackError> {
        let (steps, end) = self.new_steps()?;
        let mut scalars: Vec<Scalar> = Vec::new();
        let known = self.tracker.has();
        for metrics in &steps {
            self.ends.insert(metrics.stage.clone(), metrics.step);
            if metrics.step > known {
                scalars.extend(of_step(metrics));
            }
        }
        self.tracker.scalars(&scalars)?;
        for metrics in steps.iter().filter(|metrics| metrics.step > known) {
            let records = self.records(metrics)?;
            if !records.is_empty() {
                self.tracker.rollouts(metrics.step, &records)?;
            }
        }
        self.read = end;
        self.step = steps.last().map_or(self.step, |metrics| metrics.step);
        Ok(())
    }

    /// Whole lines behind what was read, and where they end.
    fn new_steps(&mut self) -> Result<(Vec<StepMetrics>, u64), TrackError> {
        let path = self.dir.metrics();
        let fail = |source| FileError::read(&path, source);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok((Vec::new(), 0));
            }
            Err(source) => return Err(fail(source).into()),
        };
        let long = file.metadata().map_err(fail)?.len();
        if long < self.read {
            // Steps behind a checkpoint were cut off, and are taken again.
            self.again()?;
        }
        file.seek(SeekFrom::Start(self.read)).map_err(fail)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(fail)?;
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let lines = text[..whole].split(|&byte| byte == b'\n');
        // A damaged line costs itself; the trainer is who names it.
        let steps = lines.filter_map(|line| serde_json::from_slice(line).ok());
        Ok((steps.collect(), self.read + whole as u64))
    }

    fn again(&mut self) -> Result<(), TrackError> {
        self.tracker.again()?;
        self.tracker.begin(&name(self.dir.root()), &self.config)?;
        self.read = 0;
        self.step = 0;
        self.ends.clear();
        self.rows.clear();
        Ok(())
    }

    /// The first rollouts of a step, as far as they were recorded and can be read.
    fn records(&self, metrics: &StepMetrics) -> Result<Vec<RolloutRecord>, TrackError> {
        // Steps of rollouts are counted from 0, those of metrics when they are done.
        let step = metrics.stage_step.saturating_sub(1) as u64;
        let path = step_path(self.dir.root(), &metrics.stage, step);
        let mut records = Vec::new();
        let Ok(file) = File::open(&path) else {
            return Ok(records);
        };
        let mut lines = BufReader::new(file);
        while records.len() < self.rollouts {
            let mut line = Vec::new();
            let read = lines.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            if read.map_err(|source| FileError::read(&path, source))? == 0 || !line.ends_with(b"\n")
            {
                break;
            }
            let record: Result<RolloutRecord, _> = serde_json::from_slice(&line);
            records.extend(record.ok().filter(|record| record.version == VERSION));
        }
        Ok(records)
    }

    fn poll_rows(&mut self) -> Result<(), TrackError> {
        let path = self.dir.summary();
        if !path.exists() {
            return Ok(());
        }
        let rows =
            Summary::read(&path).map_err(|error| FileError::content(&path, error.to_string()))?;
        let rows = rows.rows;
        if rows == self.rows {
            return Ok(());
        }
        let new = rows.iter().filter(|row| !self.rows.contains(row));
        let scalars: Vec<Scalar> = new
            .flat_map(|row| of_row(row, &self.config, &self.ends))
            .collect();
        self.tracker.scalars(&scalars)?;
        self.tracker.table(self.step, &rows)?;
        self.rows = rows;
        Ok(())
    }
}

/// A run's name: the last part of its place.
fn name(root: &Path) -> String {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    root.file_name()
        .map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
}
