//! Runs under a folder, live: the page of a report, drawn anew while runs write.
//!
//! [`Board`] knows the runs and answers requests; [`serve`] listens for them. Rollouts stay on disk:
//! an index in memory holds where each lies and what filters ask for, and pages are read as they are
//! looked at.

mod answer;
mod filter;
mod index;
mod query;
mod server;
mod text;
mod watched;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use server::{Address, serve};

use critique_run::RunDir;

use crate::board::answer::Found;
use crate::board::watched::Watched;
use crate::page::Shown;

/// How deep below the folder runs are looked for.
const DEPTH: usize = 6;

/// Why there is no board.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// The folder is not there.
    #[error("`{}` is no folder; expected one with run folders in it, or a run folder", path.display())]
    Folder {
        /// What was named.
        path: PathBuf,
    },
    /// Nothing can listen there.
    #[error("cannot listen on `{address}`: {why}; `--port 0` takes any that is free")]
    Address {
        /// What was asked for.
        address: String,
        /// What the system says.
        why: String,
    },
}

/// The runs under a folder.
#[derive(Debug)]
pub struct Board {
    folder: PathBuf,
    runs: Mutex<BTreeMap<String, Arc<Mutex<Watched>>>>,
    /// The last search, so that turning a page costs nothing.
    last: Mutex<Option<Found>>,
}

impl Board {
    /// A board of the runs under this folder, or of the run that it is.
    ///
    /// # Errors
    ///
    /// When it is no folder.
    pub fn new(folder: &Path) -> Result<Self, BoardError> {
        if !folder.is_dir() {
            let path = folder.to_owned();
            return Err(BoardError::Folder { path });
        }
        Ok(Self {
            folder: folder.to_owned(),
            runs: Mutex::default(),
            last: Mutex::default(),
        })
    }

    /// Names of the runs that are there now, each its place below the folder.
    pub fn names(&self) -> Vec<String> {
        let found = found_below(&self.folder);
        let mut runs = locked(&self.runs);
        runs.retain(|name, _| found.iter().any(|(other, _)| other == name));
        for (name, place) in found {
            // One that goes at this very moment is none.
            if let (false, Ok(dir)) = (runs.contains_key(&name), RunDir::existing(&place)) {
                let watched = Watched::new(dir, name.clone());
                runs.insert(name, Arc::new(Mutex::new(watched)));
            }
        }
        runs.keys().cloned().collect()
    }

    /// The runs of these names. A name is looked up and never becomes a path.
    fn chosen(&self, names: &[String]) -> Vec<Arc<Mutex<Watched>>> {
        let known = |name: &String| locked(&self.runs).get(name).cloned();
        if names.iter().any(|name| known(name).is_none()) {
            self.names();
        }
        names.iter().filter_map(known).collect()
    }

    /// What the page shows of these runs, as far as they are read.
    fn shown(&self, names: &[String]) -> Shown {
        let mut shown = Shown::default();
        for run in self.chosen(names) {
            let mut watched = locked(&run);
            watched.refresh();
            shown.runs.push(watched.run());
            shown.notes.extend(watched.notes());
        }
        shown
    }

    /// A number that changes when a file of these runs does.
    fn stamp(&self, names: &[String]) -> u64 {
        let stamps = self.chosen(names);
        let stamps = stamps.iter().map(|run| watched::stamp(locked(run).root()));
        stamps.fold(0, |sum, stamp| sum.rotate_left(7) ^ stamp)
    }
}

/// A lock whose holder panicked guards data that is read anew anyway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Run folders at or below a folder, by name. Links are not followed, and nothing within a run is
/// looked into.
fn found_below(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), Vec::new())];
    while let Some((place, parts)) = open.pop() {
        if place.join("config.resolved.toml").is_file() {
            found.push((name(folder, &parts), place));
            continue;
        }
        if parts.len() == DEPTH {
            continue;
        }
        for entry in std::fs::read_dir(&place).into_iter().flatten().flatten() {
            let own = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !own.starts_with('.') {
                let below = [parts.clone(), vec![own]].concat();
                open.push((entry.path(), below));
            }
        }
    }
    found.sort();
    found
}

fn name(folder: &Path, parts: &[String]) -> String {
    if !parts.is_empty() {
        return parts.join("/");
    }
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.file_name().map_or_else(
        || "run".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_and_not_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        for run in ["b", "a/1", "a/1/rollouts/x", ".hidden"] {
            let place = folder.path().join(run);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join("config.resolved.toml"), "").unwrap();
        }
        let board = Board::new(folder.path()).unwrap();
        assert_eq!(board.names(), ["a/1", "b"]);
        assert!(board.chosen(&["../b".into(), "a".into()]).is_empty());
        assert_eq!(board.chosen(&["b".into()]).len(), 1);
        assert!(matches!(
            Board::new(&folder.path().join("no")),
            Err(BoardError::Folder { .. })
        ));
    }
}
