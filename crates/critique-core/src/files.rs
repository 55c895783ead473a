//! Files and folders that appear whole or not at all, and errors that name them.
//!
//! What is written is written under another name beside its place, flushed to the disk, and
//! renamed; what is removed is renamed first. A kill at any moment leaves the old content or the
//! new, and at most leftovers, which [`sweep`] clears away.
//!
//! ```
//! use critique_core::files::{read_if_there, write_whole};
//!
//! # let folder = std::env::temp_dir().join(format!("critique-core-{}", std::process::id()));
//! let path = folder.join("state.json");
//! assert!(read_if_there(&path)?.is_none());
//! write_whole(&path, b"{}")?;
//! assert_eq!(read_if_there(&path)?.as_deref(), Some(&b"{}"[..]));
//! # std::fs::remove_dir_all(&folder).unwrap();
//! # Ok::<(), critique_core::files::FileError>(())
//! ```

pub mod given;
pub mod sum;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Start of the names of folders that were never finished. Names of stages and checkpoints begin
/// with no dot, so none of these is taken for another.
const UNFINISHED: &str = ".unfinished-";

/// Start of the names of whole folders that another one is to replace.
const REPLACED: &str = ".unfinished.old-";

/// Start of the names of folders that are being removed.
const REMOVED: &str = ".unfinished.gone-";

/// End of the names of files that were never finished.
const PARTIAL: &str = ".partial";

/// What can go wrong with a file. Its place is always in the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It could not be written or removed.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its content is not what it should be.
    #[error("{}: {message}", path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// The field, what was found, and what would do.
        message: String,
    },
    /// One of its lines is not what it should be.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The field, what was found, and what would do.
        message: String,
    },
}

impl FileError {
    /// That `path` could not be read.
    pub fn read(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Read { path, source }
    }

    /// That `path` could not be written.
    pub fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Write { path, source }
    }

    /// That the content of `path` will not do.
    pub fn content(path: &Path, message: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            message: message.into(),
        }
    }

    /// That a line of `path`, counted from 1, will not do.
    pub fn line(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self::Line {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

/// A file's bytes, or nothing when there is no such file.
///
/// # Errors
///
/// When it is there and cannot be read.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::read(path, source)),
    }
}

/// A file's text.
///
/// # Errors
///
/// When it cannot be read or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::read(path, source))
}

/// Names of what lies in a folder, in no order.
///
/// # Errors
///
/// When it cannot be read.
pub fn names_in(folder: &Path) -> Result<Vec<String>, FileError> {
    let read = || -> io::Result<Vec<String>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    };
    read().map_err(|source| FileError::read(folder, source))
}

/// Makes a folder and those above it, where they are not there.
///
/// # Errors
///
/// When it cannot be made.
pub fn make_folder(folder: &Path) -> Result<(), FileError> {
    fs::create_dir_all(folder).map_err(|source| FileError::write(folder, source))
}

/// Writes a file whole or not at all. Makes its folder when it is not there.
///
/// # Errors
///
/// When it cannot be written; what was there stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_with(path, |out| out.write_all(bytes))
}

/// [`write_whole`] for content that is made piece by piece.
///
/// # Errors
///
/// When `fill` fails or the file cannot be written; what was there stays.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let partial = partial_name(path);
    let written = write_partial(path, &partial, fill);
    if written.is_err() {
        // The first error is the one to tell; what remains is swept away where possible.
        let _ = fs::remove_file(&partial);
    }
    written.map_err(|source| FileError::write(path, source))
}

fn write_partial(
    path: &Path,
    partial: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let folder = parent(path);
    fs::create_dir_all(folder)?;
    let mut out = BufWriter::with_capacity(1 << 20, File::create(partial)?);
    fill(&mut out)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    drop(out);
    fs::rename(partial, path)?;
    sync_folder(folder)
}

/// Writes a folder of files whole or not at all: `fill` writes into another one, which takes the
/// place of any folder at `path` when it is done. The folder above must be there.
///
/// # Errors
///
/// When `fill` fails or the folder cannot be written; what was there stays.
pub fn write_folder<E: From<FileError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let partial = beside(path, UNFINISHED);
    start_anew(&partial).map_err(|source| FileError::write(path, source))?;
    fill(&partial)?;
    for name in names_in(&partial)? {
        let file = File::open(partial.join(name)).and_then(|file| file.sync_all());
        file.map_err(|source| FileError::write(path, source))?;
    }
    Ok(take_place(path, &partial).map_err(|source| FileError::write(path, source))?)
}

fn start_anew(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    // Not those above it: where they are gone, somebody has moved them.
    fs::create_dir(folder)
}

/// Between the two renames, [`sweep`] would put the old folder back.
fn take_place(path: &Path, new: &Path) -> io::Result<()> {
    if path.exists() {
        let old = beside(path, REPLACED);
        fs::rename(path, &old)?;
        fs::rename(new, path)?;
        fs::remove_dir_all(&old)?;
    } else {
        fs::rename(new, path)?;
    }
    sync_folder(parent(path))
}

/// Removes a folder whole or not at all: a part of one would be taken for damage. What a kill
/// leaves of it is swept away later.
///
/// # Errors
///
/// When it cannot be removed.
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    let gone = beside(path, REMOVED);
    let remove = || -> io::Result<()> {
        fs::rename(path, &gone)?;
        fs::remove_dir_all(&gone)
    };
    remove().map_err(|source| FileError::write(path, source))
}

/// Clears away what interrupted writes left in a folder, and puts back a folder that was to be
/// replaced and was not. Nobody else may write into the folder meanwhile.
///
/// # Errors
///
/// When the folder cannot be read or a leftover cannot be removed.
pub fn sweep(folder: &Path) -> Result<(), FileError> {
    for name in names_in(folder)? {
        let path = folder.join(&name);
        let swept = if let Some(whole) = name.strip_prefix(REPLACED) {
            put_back(&path, &folder.join(whole))
        } else if name.starts_with(UNFINISHED) || name.starts_with(REMOVED) {
            fs::remove_dir_all(&path)
        } else if name.ends_with(PARTIAL) {
            fs::remove_file(&path)
        } else {
            Ok(())
        };
        swept.map_err(|source| FileError::write(&path, source))?;
    }
    Ok(())
}

fn put_back(replaced: &Path, place: &Path) -> io::Result<()> {
    if place.exists() {
        fs::remove_dir_all(replaced)
    } else {
        fs::rename(replaced, place)
    }
}

/// Makes a rename last through a power cut. Only Unix lets a folder be opened for that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn beside(path: &Path, mark: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{mark}{name}"))
}

/// Two processes that write the same file do not meet.
fn partial_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}{PARTIAL}", std::process::id()))
}
