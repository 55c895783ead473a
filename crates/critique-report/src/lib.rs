//! Runs to look at: one HTML page with figures, curves and a reader of rollouts.
//!
//! A [`Report`] reads run folders (docs/run-folder.md) and becomes one file that needs nothing
//! else: no network, no script but its own. What models wrote is data on the page and never markup.
//! It is told what it could not read: a damaged file costs what it holds, not the report.
//!
//! ```
//! use critique_report::{Options, Report};
//!
//! # let folder = tempfile::tempdir()?;
//! # let run = folder.path().join("first");
//! # std::fs::create_dir(&run)?;
//! # std::fs::write(run.join("config.resolved.toml"), "seed = 1")?;
//! # std::fs::write(run.join("metrics.jsonl"), r#"{"step":1,"stage":"stage1","stage_step":1,"reward":0.5}"#)?;
//! let report = Report::of(&[run], &Options::default())?;
//! assert!(report.to_html().starts_with("<!doctype html>"));
//! assert_eq!(report.notes().len(), 1); // the settings cannot be read
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod board;
mod curves;
mod evaluation;
mod figure;
mod html;
mod label;
mod lines;
mod page;
mod rollouts;
mod run;
mod sample;
mod sections;
mod settings;
mod stages;
mod tables;
mod told;

use std::path::{Path, PathBuf};

use critique_core::files::{FileError, write_whole};

pub use crate::board::{Address, Board, BoardError, serve};
pub use crate::figure::{Band, Figure, FigureError, Figures, Look};
pub use crate::tables::{DifferingSetting, Table, differing_settings, page_of_tables};

use crate::rollouts::Rollouts;
use crate::run::Run;

/// What a report holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// At most this many rollouts can be read on the page, spread over stages, steps and
    /// evaluations. A rollout takes some kilobytes.
    pub rollouts: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { rollouts: 2_000 }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// None of the folders is one of a run.
    #[error(
        "none of the folders holds a run: {}; expected a folder with `config.resolved.toml`, as `critique-rl train` writes it",
        whys.join("; ")
    )]
    NoRun {
        /// What is wrong with each.
        whys: Vec<String>,
    },
    /// The page could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// One run or several, ready to be looked at.
#[derive(Debug)]
pub struct Report {
    runs: Vec<Run>,
    rollouts: Rollouts,
    notes: Vec<String>,
}

impl Report {
    /// Reads the runs of these folders and changes nothing in them. What cannot be read is left
    /// out and told in [`notes`](Self::notes) and on the page.
    ///
    /// # Errors
    ///
    /// When none of the folders holds a run.
    pub fn of(folders: &[PathBuf], options: &Options) -> Result<Self, ReportError> {
        let mut notes = Vec::new();
        let runs = run::read_all(folders, &mut notes);
        if runs.is_empty() {
            return Err(ReportError::NoRun { whys: notes });
        }
        let rollouts = Rollouts::read(&runs, options.rollouts, &mut notes);
        Ok(Self {
            runs,
            rollouts,
            notes,
        })
    }

    /// What could not be read, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The page. The same folders give the same page.
    pub fn to_html(&self) -> String {
        page::of_report(self)
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        Ok(write_whole(path, self.to_html().as_bytes())?)
    }
}
