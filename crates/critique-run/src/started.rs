//! When a run began: `started.json`.

use std::time::{SystemTime, UNIX_EPOCH};

use critique_core::files::{FileError, read_if_there, write_whole};
use serde::{Deserialize, Serialize};

use crate::dir::RunDir;
use crate::error::RunError;

/// When a run began. Chat templates that ask for the date get this one, so that prompts are the
/// same on another day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// The layout: 1.
    pub version: u32,
    /// Seconds since 1970, UTC.
    pub unix_seconds: u64,
}

impl RunDir {
    /// When the run began; nothing in folders of versions that did not write it down.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read.
    pub fn started(&self) -> Result<Option<Started>, RunError> {
        let path = self.root().join("started.json");
        let Some(bytes) = read_if_there(&path)? else {
            return Ok(None);
        };
        let refused = |message: String| RunError::from(FileError::content(&path, message));
        let started: Started =
            serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
        match started.version {
            1 => Ok(Some(started)),
            other => Err(refused(format!("`version` is {other}; this build reads 1"))),
        }
    }

    /// The same; a run that begins now writes it down first.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written.
    pub fn start(&self) -> Result<Started, RunError> {
        if let Some(started) = self.started()? {
            return Ok(started);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let started = Started {
            version: 1,
            unix_seconds: since.map_or(0, |since| since.as_secs()),
        };
        let path = self.root().join("started.json");
        let text = serde_json::to_string(&started)
            .map_err(|error| FileError::content(&path, error.to_string()))?;
        write_whole(&path, (text + "\n").as_bytes())?;
        Ok(started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_counts() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::open(folder.path()).unwrap();
        assert_eq!(dir.started().unwrap(), None);
        let first = dir.start().unwrap();
        assert!(first.unix_seconds > 1_700_000_000);
        let earlier = "{\"version\": 1, \"unix_seconds\": 86400}";
        std::fs::write(folder.path().join("started.json"), earlier).unwrap();
        assert_eq!(dir.start().unwrap().unix_seconds, 86_400);
        std::fs::write(folder.path().join("started.json"), "{}").unwrap();
        let refused = dir.start().unwrap_err().to_string();
        assert!(refused.contains("started.json: missing field"), "{refused}");
    }
}
