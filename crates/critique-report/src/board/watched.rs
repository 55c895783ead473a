//! A run that may still be writing: what was read of it, read anew where its files changed.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use critique_run::RunDir;

use crate::board::index::Index;
use crate::rollouts::sources;
use crate::run::Run;

/// A run of the board.
#[derive(Debug)]
pub(super) struct Watched {
    dir: RunDir,
    label: String,
    /// What the files of numbers and settings were when they were read.
    read: Option<u64>,
    run: Option<Arc<Run>>,
    /// What the folders of rollouts were when they were listed.
    listed: Option<u64>,
    index: Index,
    notes: Vec<String>,
}

impl Watched {
    pub(super) fn new(dir: RunDir, label: String) -> Self {
        Self {
            dir,
            label,
            read: None,
            run: None,
            listed: None,
            index: Index::default(),
            notes: Vec::new(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        self.dir.root()
    }

    /// The run as it was read last.
    pub(super) fn run(&self) -> Arc<Run> {
        self.run.clone().unwrap_or_else(|| {
            Arc::new(Run::read(
                self.dir.clone(),
                self.label.clone(),
                &mut Vec::new(),
            ))
        })
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn notes(&self) -> Vec<String> {
        [self.notes.clone(), self.index.notes()].concat()
    }

    /// Reads numbers and settings where their files changed.
    pub(super) fn refresh(&mut self) {
        let now = numbers_stamp(self.dir.root());
        if self.read == Some(now) {
            return;
        }
        let mut notes = Vec::new();
        let run = Run::read(self.dir.clone(), self.label.clone(), &mut notes);
        self.run = Some(Arc::new(run));
        self.notes = notes;
        self.read = Some(now);
    }

    /// Reads rollouts that came or changed.
    pub(super) fn refresh_rollouts(&mut self) {
        self.refresh();
        // Taken first: what comes while the folders are listed changes it once more.
        let now = stamp(self.dir.root());
        if self.listed == Some(now) {
            return;
        }
        let run = self.run();
        let mut notes = Vec::new();
        let sources = sources(0, &run, &mut notes);
        self.index.refresh(&sources);
        self.listed = Some(now);
    }
}

/// A number that changes when a file of the run does.
pub(super) fn stamp(root: &Path) -> u64 {
    let mut hash = DefaultHasher::new();
    numbers_stamp(root).hash(&mut hash);
    // A file that comes or is replaced touches its folder.
    let rollouts = root.join("rollouts");
    let mut folders = vec![root.join("eval"), rollouts.clone()];
    let stages = fs::read_dir(&rollouts).into_iter().flatten().flatten();
    folders.extend(stages.map(|stage| stage.path()));
    folders.sort();
    for folder in folders {
        of_file(&folder).hash(&mut hash);
    }
    hash.finish()
}

fn numbers_stamp(root: &Path) -> u64 {
    let mut hash = DefaultHasher::new();
    for name in ["config.resolved.toml", "metrics.jsonl", "eval/summary.json"] {
        of_file(&root.join(name)).hash(&mut hash);
    }
    hash.finish()
}

/// Length and time of the last change; zeros where there is none.
pub(super) fn of_file(path: &Path) -> (u64, u128) {
    let Ok(data) = path.metadata() else {
        return (0, 0);
    };
    let changed = data.modified().ok();
    let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    (data.len(), changed.map_or(0, |since| since.as_nanos()))
}
