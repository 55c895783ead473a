//! Data sets from the Hugging Face Hub.

#[cfg(feature = "hub")]
mod hub;

use std::path::{Path, PathBuf};

use crate::data::{SPLITS, find_split};
use crate::dataset::Spec;
use crate::error::TaskError;

/// Downloads a data set from the Hub and gives the folder to name as `path`: `folder` itself,
/// or a snapshot in the Hub's cache where it is `None`. Only files of the splits are fetched.
///
/// `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT` and `HF_TOKEN` are honoured, and with
/// `HF_HUB_OFFLINE` set nothing is fetched: the cache alone serves, or what lies in `folder`.
/// Files that come shorter or longer than the Hub says are removed again.
///
/// # Errors
///
/// When the data set is not on the Hub, the download fails, or this build lacks the feature
/// `hub`; the error then says how to get the files by hand.
pub fn fetch(spec: &Spec, folder: Option<&Path>) -> Result<PathBuf, TaskError> {
    let Some(repository) = spec.hub else {
        return Err(TaskError::Data {
            message: format!(
                "task `{}` names no data set on the Hugging Face Hub; get its files by hand and \
                 give `path = ..`",
                spec.name
            ),
        });
    };
    let fetched = download(spec, repository, folder)?;
    for split in SPLITS {
        if !find_split(&fetched, &spec.layout, split)?.is_empty() {
            return Ok(fetched);
        }
    }
    Err(TaskError::File {
        path: fetched,
        message: format!("`{repository}` holds no file of this data set as we know it"),
    })
}

/// What to fetch of a repository: the files of every split, in the folders of shards, in
/// `data`, and at the top.
pub fn hub_patterns(spec: &Spec) -> Vec<String> {
    let layout = &spec.layout;
    let stems = [layout.train, layout.validation, layout.test].concat();
    let mut patterns = Vec::new();
    for stem in stems {
        let folders = layout.shards.iter().chain(&["data"]);
        for place in folders
            .map(|folder| format!("{folder}/"))
            .chain([String::new()])
        {
            for pattern in [
                format!("{place}{stem}.*"),
                format!("{place}{stem}-*.parquet"),
            ] {
                if !patterns.contains(&pattern) {
                    patterns.push(pattern);
                }
            }
        }
    }
    patterns
}

#[cfg(feature = "hub")]
use hub::download;

#[cfg(not(feature = "hub"))]
fn download(spec: &Spec, repository: &str, folder: Option<&Path>) -> Result<PathBuf, TaskError> {
    let folder = folder.map_or_else(
        || spec.name.to_owned(),
        |folder| folder.display().to_string(),
    );
    Err(TaskError::Data {
        message: format!(
            "this build fetches nothing from the Hub; build with the feature `hub`, or run \
             `hf download --repo-type dataset {repository} --local-dir {folder}` and give \
             `path = \"{folder}\"`"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Layout, Row};

    const SPEC: Spec = Spec {
        name: "sums",
        summary: "",
        licence: "",
        hub: None,
        layout: Layout {
            shards: &["main"],
            test: &["test"],
            ..Layout::EMPTY
        },
        row: |_| Ok(Row::default()),
        mend: None,
        sample: "",
    };

    #[test]
    fn only_files_of_the_splits_are_fetched() {
        assert_eq!(
            hub_patterns(&SPEC),
            [
                "main/test.*",
                "main/test-*.parquet",
                "data/test.*",
                "data/test-*.parquet",
                "test.*",
                "test-*.parquet"
            ]
        );
    }

    #[test]
    fn a_data_set_that_is_not_on_the_hub_says_so() {
        let message = fetch(&SPEC, None).unwrap_err().to_string();
        assert!(message.contains("give `path = ..`"), "{message}");
    }
}
