//! Files that came from elsewhere, such as those of a model: read within bounds, and only where
//! they seem to lie.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::FileError;

/// Most bytes that a file of JSON may have: real ones stay under 20 MB, and what reads them
/// needs some ten times their size.
pub const LONGEST_JSON: u64 = 32 << 20;
/// Most bytes of a file that is read whole, such as a tokenizer; the largest known have 40 MB.
pub const LONGEST: u64 = 256 << 20;

/// Opens a file of a model folder; nothing when there is no such file.
///
/// # Errors
///
/// When it cannot be opened, is no plain file (a pipe would be waited for, a device never ends),
/// or is a link out of its folder.
pub fn open(path: &Path) -> Result<Option<File>, FileError> {
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FileError::read(path, source)),
    };
    if !kind.is_file() {
        return Err(FileError::content(
            path,
            "is no file; a plain file is wanted",
        ));
    }
    stays_in_its_folder(path)?;
    let file = File::open(path).map_err(|source| FileError::read(path, source))?;
    Ok(Some(file))
}

/// Refuses a link that leads out of its folder, so that no model that was fetched makes a run
/// read, and copy into its results, whatever lies on the machine. Links into `blobs` are how the
/// cache of Hugging Face is laid out.
fn stays_in_its_folder(path: &Path) -> Result<(), FileError> {
    let told = |source| FileError::read(path, source);
    if !fs::symlink_metadata(path).map_err(told)?.is_symlink() {
        return Ok(());
    }
    let target = fs::canonicalize(path).map_err(told)?;
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = fs::canonicalize(parent.unwrap_or(Path::new("."))).map_err(told)?;
    let snapshots = folder.parent().filter(|it| it.ends_with("snapshots"));
    let blobs = snapshots.and_then(Path::parent).map(|it| it.join("blobs"));
    if target.starts_with(&folder) || blobs.is_some_and(|it| target.starts_with(it)) {
        return Ok(());
    }
    let message = format!(
        "is a link to `{}`, out of its folder; put a copy of the file in its place",
        target.display()
    );
    Err(FileError::content(path, message))
}

/// A file's bytes, at most `limit` of them, or nothing when there is no such file.
///
/// # Errors
///
/// As [`open`], and when it has more.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let told = |source| FileError::read(path, source);
    let too_long = || {
        let message = format!("has more than {} MB, the most that is read", limit >> 20);
        FileError::content(path, message)
    };
    let length = file.metadata().map_err(told)?.len();
    if length > limit {
        return Err(too_long());
    }
    let mut bytes = Vec::with_capacity(length as usize + 1);
    // One more than may be there, should it grow meanwhile.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > limit {
        return Err(too_long());
    }
    Ok(Some(bytes))
}

/// A text of a file as an error may show it: cut where it is long, and without what would steer
/// a terminal.
pub fn shown(text: &str) -> String {
    shown_up_to(80, text)
}

/// [`shown`], cut behind so many letters.
pub fn shown_up_to(most: usize, text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars().take(most) {
        if letter.is_control() {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}
