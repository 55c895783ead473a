//! The download itself.

use std::path::{Path, PathBuf};

use hf_hub::repository::RepoTreeEntry;
use hf_hub::{HFClientSync, HFError, HFRepositorySync, RepoTypeDataset};

use super::hub_patterns;
use crate::dataset::Spec;
use crate::error::TaskError;

type Client = HFRepositorySync<RepoTypeDataset>;

/// Downloads the files of the splits of a data set and gives their folder.
pub(super) fn download(
    spec: &Spec,
    repository: &str,
    folder: Option<&Path>,
) -> Result<PathBuf, TaskError> {
    let offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| is_on(&value));
    if let (true, Some(folder)) = (offline, folder) {
        return Ok(folder.to_owned());
    }
    let failed = |error: HFError| TaskError::Download {
        repository: repository.to_owned(),
        advice: advice(&error).to_owned(),
        source: Box::new(error),
    };
    let (owner, name) = repository.split_once('/').unwrap_or(("", repository));
    let client = HFClientSync::new().map_err(failed)?.dataset(owner, name);
    let patterns = hub_patterns(spec);
    let fetched = client
        .snapshot_download()
        .allow_patterns(patterns.clone())
        .maybe_local_dir(folder.map(Path::to_owned))
        .local_files_only(offline)
        .send()
        .map_err(failed)?;
    if !offline {
        // In the cache a snapshot's folder is named after its commit.
        let commit = match folder {
            None => fetched.file_name().and_then(|name| name.to_str()),
            Some(_) => None,
        };
        let cut = cut_off(&client, commit, &fetched, &patterns).map_err(failed)?;
        if let Some(message) = cut {
            return Err(TaskError::Download {
                repository: repository.to_owned(),
                advice: "a file did not come whole and was removed; try again".into(),
                source: message.into(),
            });
        }
    }
    Ok(fetched)
}

/// Removes files that have not the length that the Hub says, and tells of one: the client takes
/// whatever comes for the file, and would take it from the cache the next time.
fn cut_off(
    client: &Client,
    commit: Option<&str>,
    fetched: &Path,
    patterns: &[String],
) -> Result<Option<String>, HFError> {
    let wanted = |path: &str| {
        patterns.iter().any(|pattern| {
            let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
            path.starts_with(start) && path.ends_with(end)
        })
    };
    let revision = commit.map(str::to_owned);
    let tree = client.list_tree().maybe_revision(revision).recursive(true);
    let mut told = None;
    for entry in tree.send()? {
        let RepoTreeEntry::File { path, size, .. } = entry else {
            continue;
        };
        let file = fetched.join(&path);
        let Ok(found) = std::fs::metadata(&file).map(|found| found.len()) else {
            continue;
        };
        if wanted(&path) && found != size {
            // The file of a snapshot is a link to a blob.
            if let Ok(blob) = file.canonicalize() {
                std::fs::remove_file(blob)?;
            }
            if file.symlink_metadata().is_ok() {
                std::fs::remove_file(&file)?;
            }
            told = Some(format!(
                "`{path}` has {size} bytes on the Hub; {found} came"
            ));
        }
    }
    Ok(told)
}

/// The values that the Hub's own tools take for yes.
fn is_on(value: &str) -> bool {
    matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
}

/// What an error of the client comes down to, and what would do.
fn advice(error: &HFError) -> &'static str {
    match error {
        HFError::AuthRequired { .. } | HFError::Forbidden { .. } => {
            "it asks who you are; run `hf auth login` or set `HF_TOKEN`, and accept its terms on \
             its page if it has any"
        }
        HFError::RepoNotFound { .. }
        | HFError::RevisionNotFound { .. }
        | HFError::EntryNotFound { .. } => {
            "it is not there; files from elsewhere will do, as `path = ..`"
        }
        HFError::LocalEntryNotFound { .. } => {
            "`HF_HUB_OFFLINE` is set and the cache does not have it; fetch it once without"
        }
        HFError::RateLimited { .. } => {
            "it was asked too often; wait, or set `HF_TOKEN` for a higher limit"
        }
        HFError::Request { .. } => {
            "no connection; files from elsewhere will do, as `path = ..`, and `HF_ENDPOINT` may \
             name a mirror"
        }
        HFError::Io(_) => "it could not be written",
        _ => "the server or the client failed; try again later",
    }
}
