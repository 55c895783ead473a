//! `manifest.json` of a folder with a model: what it held when it was written, and where it came
//! from.
//!
//! Weights whose bytes were changed are still numbers, and a model of another run still speaks.
//! So a folder that a run writes has the sum of each of its files, the run and stage it is of, and
//! the sums of the models it was trained from. What is read is checked before it is used.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use critique_core::files::sum::{FileSum, Seal, seal, seal_of, sha256};
use critique_core::files::{FileError, names_in, read_if_there, read_text};
use serde::{Deserialize, Serialize};

use crate::error::RunError;

/// The name of a folder's manifest.
pub const MANIFEST: &str = "manifest.json";

/// What a folder held when it was written, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout: 1.
    pub version: u32,
    /// What the folder is of.
    #[serde(flatten)]
    pub lineage: Lineage,
    /// Its files by name.
    pub files: BTreeMap<String, FileSum>,
}

/// Where a model came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lineage {
    /// The run that wrote it: [`Started::run`](crate::Started::run).
    pub run: String,
    /// Version of the program that wrote it.
    pub program: String,
    /// Models that the stage was trained from and with, by what they are to it.
    pub parents: BTreeMap<String, Parent>,
    /// The metrics of all steps until then, but for times and memory.
    pub metrics: Option<FileSum>,
}

/// A model that a stage was trained from or with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its folder: below the run's, as `stages/stage1`, or as the run file names it.
    pub folder: String,
    /// The sum of its manifest, or of its files' names, lengths, beginnings and ends where it has
    /// none.
    pub sha256: String,
}

/// Writes the manifest of a folder whose files are all there.
///
/// # Errors
///
/// When a file cannot be read or the manifest cannot be written.
pub fn write_manifest(folder: &Path, lineage: &Lineage) -> Result<(), RunError> {
    let mut files = BTreeMap::new();
    for name in names_in(folder)?.into_iter().filter(|it| it != MANIFEST) {
        let sum = FileSum::of(&folder.join(&name))?;
        files.insert(name, sum);
    }
    let manifest = Manifest {
        version: 1,
        lineage: lineage.clone(),
        files,
    };
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| FileError::content(&path, error.to_string()))?;
    let written = std::fs::write(&path, seal(&text));
    Ok(written.map_err(|source| FileError::write(&path, source))?)
}

/// Reads the manifest of a folder; nothing where it has none.
///
/// # Errors
///
/// When it cannot be read, is of a version that this build does not know, or is not what was
/// written.
pub fn read_manifest(folder: &Path) -> Result<Option<Manifest>, RunError> {
    let path = folder.join(MANIFEST);
    let Some(bytes) = read_if_there(&path)? else {
        return Ok(None);
    };
    let refused = |message: String| RunError::from(FileError::content(&path, message));
    let text = String::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
    if seal_of(&text) != Seal::Whole {
        let message = "is not what was written: its field `sha256` does not fit the text before it";
        return Err(refused(message.to_owned()));
    }
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    match manifest.version {
        1 => Ok(Some(manifest)),
        other => Err(refused(format!("`version` is {other}; this build reads 1"))),
    }
}

/// Checks every file of a folder against its manifest, and gives it; nothing where there is none.
///
/// # Errors
///
/// With the name of the first file that is missing, is not what was written, or was not there when
/// the folder was written; or when one cannot be read.
pub fn check_files(folder: &Path) -> Result<Option<Manifest>, RunError> {
    let Some(manifest) = read_manifest(folder)? else {
        return Ok(None);
    };
    for (name, sum) in &manifest.files {
        let path = folder.join(name);
        if let Some(message) = sum.differs(&path)? {
            return Err(FileError::content(&path, message).into());
        }
    }
    let known = |name: &String| name == MANIFEST || manifest.files.contains_key(name);
    if let Some(foreign) = names_in(folder)?
        .into_iter()
        .find(|it| !known(it) && matters(it))
    {
        let message = "was not there when its folder was written";
        return Err(FileError::content(&folder.join(foreign), message).into());
    }
    Ok(Some(manifest))
}

/// Whether a file may change what is read from a folder. Notes of a person, and files that file
/// managers leave, do not.
fn matters(name: &str) -> bool {
    !name.starts_with('.') && !name.to_lowercase().ends_with(".md")
}

/// The sum by which a model's folder is known: that of its manifest, or of its files' names,
/// lengths, beginnings and ends where it has none. Weights that others made may be of any size.
///
/// # Errors
///
/// When the folder or a file cannot be read.
pub fn fingerprint(folder: &Path) -> Result<String, RunError> {
    let manifest = folder.join(MANIFEST);
    if manifest.is_file() {
        return Ok(sha256(&read_text(&manifest)?));
    }
    let mut names = names_in(folder)?;
    names.retain(|name| matters(name) && folder.join(name).is_file());
    names.sort_unstable();
    let mut all = String::new();
    for name in names {
        let path = folder.join(&name);
        let ends = ends_of(&path).map_err(|source| FileError::read(&path, source))?;
        // Writing to a string cannot fail.
        let _ = writeln!(all, "{name}\n{ends:?}");
    }
    Ok(sha256(&all))
}

/// Length of a file, and the sums of what it begins and ends with.
fn ends_of(path: &Path) -> io::Result<(u64, String, String)> {
    use std::io::{Read, Seek, SeekFrom};
    const END: u64 = 1 << 16;
    let mut file = std::fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut sum_at = |from: u64| -> io::Result<String> {
        file.seek(SeekFrom::Start(from))?;
        let mut part = Vec::new();
        file.by_ref().take(END).read_to_end(&mut part)?;
        Ok(FileSum::of_bytes(&part).sha256)
    };
    Ok((bytes, sum_at(0)?, sum_at(bytes.saturating_sub(END))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        std::fs::write(folder.path().join("model.safetensors"), [7; 300]).unwrap();
        let lineage = Lineage {
            run: "a".to_owned(),
            ..Lineage::default()
        };
        write_manifest(folder.path(), &lineage).unwrap();
        folder
    }

    fn refusal(change: impl FnOnce(&Path)) -> String {
        let folder = sealed();
        change(folder.path());
        check_files(folder.path()).unwrap_err().to_string()
    }

    #[test]
    fn what_was_written_passes() {
        let folder = sealed();
        let manifest = check_files(folder.path()).unwrap().unwrap();
        assert_eq!(manifest.lineage.run, "a");
        let names: Vec<_> = manifest.files.keys().collect();
        assert_eq!(names, ["config.json", "model.safetensors"]);
        // A person's note changes nothing.
        std::fs::write(folder.path().join("NOTES.md"), "good one").unwrap();
        assert!(check_files(folder.path()).unwrap().is_some());
    }

    #[test]
    fn what_was_changed_is_named() {
        let weights = |folder: &Path| folder.join("model.safetensors");
        let missing = refusal(|folder| std::fs::remove_file(weights(folder)).unwrap());
        assert!(
            missing.ends_with("model.safetensors: is missing"),
            "{missing}"
        );
        let cut = refusal(|folder| std::fs::write(weights(folder), [7; 299]).unwrap());
        assert!(cut.contains("has 299 bytes, 300 were written"), "{cut}");
        let mut bytes = [7; 300];
        bytes[200] = 5;
        let flipped = refusal(|folder| std::fs::write(weights(folder), bytes).unwrap());
        assert!(flipped.contains("checksum"), "{flipped}");
        let foreign = refusal(|folder| std::fs::write(folder.join("vocab.json"), "{}").unwrap());
        assert!(foreign.contains("vocab.json: was not there"), "{foreign}");
        let manifest = refusal(|folder| {
            let path = folder.join(MANIFEST);
            let text = read_text(&path).unwrap().replace("300", "301");
            std::fs::write(path, text).unwrap();
        });
        assert!(
            manifest.contains("manifest.json: is not what was written"),
            "{manifest}"
        );
    }

    #[test]
    fn a_folder_without_a_manifest_is_known_by_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, vec![1; 200_000]).unwrap();
        let first = fingerprint(folder.path()).unwrap();
        assert_eq!(check_files(folder.path()).unwrap(), None);
        std::fs::write(&path, vec![1; 200_001]).unwrap();
        assert_ne!(fingerprint(folder.path()).unwrap(), first);
    }
}
