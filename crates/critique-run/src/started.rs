//! When a run began, and from what: `started.json`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use critique_core::files::sum::{check_seal, seal, sha256};
use critique_core::files::{FileError, read_if_there, write_whole};
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::dir::RunDir;
use crate::error::RunError;
use crate::kept::settings_of;
use crate::manifest::MANIFEST;

/// When a run began, and from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The layout: 1.
    pub version: u32,
    /// Seconds since 1970, UTC. Chat templates that ask for the date get this one, so that prompts
    /// are the same on another day.
    pub unix_seconds: u64,
    /// The name by which the run's folders know it: a sum of its settings and data, so that a run
    /// made again from the same has the same. Empty in folders of versions without it.
    #[serde(default)]
    pub run: String,
    /// Sums of the problems that it was begun with, by split.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
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
        let text = String::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
        check_seal(&path, &text)?;
        let started: Started =
            serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        match started.version {
            1 => Ok(Some(started)),
            other => Err(refused(format!("`version` is {other}; this build reads 1"))),
        }
    }

    /// The same; a run that begins now writes it down first. `data` are sums of the problems that
    /// it is about to use, by split.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, is missing though the run has left models, or names
    /// other problems than these.
    pub fn start(
        &self,
        config: &RunConfig,
        data: BTreeMap<String, String>,
    ) -> Result<Started, RunError> {
        let path = self.root().join("started.json");
        if let Some(started) = self.started()? {
            let changed = |split: &&String| started.data.get(*split) != data.get(*split);
            return match started.data.keys().find(changed) {
                None => Ok(started),
                Some(split) => {
                    let message = format!(
                        "names other {split} problems than the task gives now; expected the same data, or another `out`"
                    );
                    Err(FileError::content(&path, message).into())
                }
            };
        }
        if let Some(left) = self.left_with_a_manifest()? {
            let message = format!(
                "is missing, though the run has left `{left}`; expected it as it was written"
            );
            return Err(FileError::content(&path, message).into());
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let started = Started {
            version: 1,
            unix_seconds: since.map_or(0, |since| since.as_secs()),
            run: name_of(config, &data)?,
            data,
        };
        let text = serde_json::to_string_pretty(&started)
            .map_err(|error| FileError::content(&path, error.to_string()))?;
        write_whole(&path, seal(&text).as_bytes())?;
        Ok(started)
    }

    /// A folder that a build with manifests left, if there is one.
    fn left_with_a_manifest(&self) -> Result<Option<String>, RunError> {
        let of_run = |folder: &String| self.root().join(folder).join(MANIFEST).is_file();
        Ok(self.model_folders()?.into_iter().find(of_run))
    }
}

/// The name of a run: 16 hexadecimal digits.
fn name_of(config: &RunConfig, data: &BTreeMap<String, String>) -> Result<String, RunError> {
    let refused = |error: toml::ser::Error| {
        let message = format!("settings cannot be written: {error}");
        RunError::Folder { message }
    };
    let mut resolved = config.clone();
    resolved.resolve();
    let text = toml::to_string(&resolved).map_err(refused)?;
    let settings = settings_of(&text).map_err(|error| RunError::Folder {
        message: error.to_string(),
    })?;
    let settings = toml::to_string(&settings).map_err(refused)?;
    let mut name = sha256(&format!("{settings}\n{data:?}"));
    name.truncate(16);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(seed: u64) -> RunConfig {
        let text = format!(
            r#"
            seed = {seed}
            out = "unused"
            task = {{ name = "arithmetic" }}
            models.base.new = {{ d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }}
            stages = []
            "#
        );
        toml::from_str(&text).unwrap()
    }

    fn data(train: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("train".to_owned(), train.to_owned())])
    }

    #[test]
    fn the_first_start_counts() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::open(folder.path()).unwrap();
        assert_eq!(dir.started().unwrap(), None);
        let first = dir.start(&config(1), data("a")).unwrap();
        assert!(first.unix_seconds > 1_700_000_000);
        assert_eq!(first.run.len(), 16);
        let earlier = "{\"version\": 1, \"unix_seconds\": 86400}";
        std::fs::write(folder.path().join("started.json"), earlier).unwrap();
        let old = dir.start(&config(1), data("a")).unwrap();
        assert_eq!((old.unix_seconds, old.run.as_str()), (86_400, ""));
        std::fs::write(folder.path().join("started.json"), "{}").unwrap();
        let refused = dir.start(&config(1), data("a")).unwrap_err().to_string();
        assert!(refused.contains("started.json: missing field"), "{refused}");
    }

    #[test]
    fn a_run_is_known_by_its_settings_and_data() {
        let name = |seed, train| name_of(&config(seed), &data(train)).unwrap();
        assert_eq!(name(1, "a"), name(1, "a"));
        assert_ne!(name(1, "a"), name(2, "a"));
        assert_ne!(name(1, "a"), name(1, "b"));
    }

    #[test]
    fn other_data_and_a_lost_or_changed_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::open(folder.path()).unwrap();
        dir.start(&config(1), data("a")).unwrap();
        let refused = dir.start(&config(1), data("b")).unwrap_err().to_string();
        assert!(refused.contains("names other train problems"), "{refused}");
        let path = folder.path().join("started.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("_seconds\": 1", "_seconds\": 2", 1)).unwrap();
        let refused = dir.start(&config(1), data("a")).unwrap_err().to_string();
        assert!(refused.contains("is not what was written"), "{refused}");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir_all(dir.stage("first")).unwrap();
        std::fs::write(dir.stage("first").join(MANIFEST), "").unwrap();
        let refused = dir.start(&config(1), data("a")).unwrap_err().to_string();
        assert!(refused.contains("has left `stages/first`"), "{refused}");
    }
}
