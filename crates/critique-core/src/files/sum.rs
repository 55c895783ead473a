//! Checksums: what a file held when it was written.
//!
//! Sums are SHA-256 in hexadecimal digits, as `sha256sum` prints them, so that a person can check
//! them without this program.
//!
//! ```
//! use critique_core::files::sum::{FileSum, Seal, seal, seal_of};
//!
//! let sum = FileSum::of_bytes(b"abc");
//! assert_eq!(sum.bytes, 3);
//! assert!(sum.sha256.starts_with("ba7816bf8f01cfea"));
//!
//! let sealed = seal("{\"version\": 1}");
//! assert_eq!(seal_of(&sealed), Seal::Whole);
//! assert_eq!(seal_of(&sealed.replace(": 1", ": 3")), Seal::Broken);
//! assert_eq!(seal_of("{\"version\": 1}"), Seal::None);
//! ```

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::FileError;

/// Length and checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of them, in hexadecimal digits.
    pub sha256: String,
}

impl FileSum {
    /// The sum of these bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
        }
    }

    /// The sum of a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let sum = || -> io::Result<Self> {
            let mut file = File::open(path)?;
            let (mut hash, mut bytes) = (Sha256::new(), 0);
            let mut buffer = vec![0; 1 << 20];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => {
                        hash.update(&buffer[..read]);
                        bytes += read as u64;
                    }
                }
            }
            let sha256 = hex(&hash.finalize());
            Ok(Self { bytes, sha256 })
        };
        sum().map_err(|source| FileError::read(path, source))
    }

    /// How a file differs from what it was when this sum was taken, if it does. A file that is not
    /// there differs.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be read.
    pub fn differs(&self, path: &Path) -> Result<Option<String>, FileError> {
        let found = match std::fs::metadata(path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some("is missing".to_owned()));
            }
            Err(source) => return Err(FileError::read(path, source)),
        };
        if found != self.bytes {
            let written = self.bytes;
            return Ok(Some(format!(
                "has {found} bytes, {written} were written: it has been changed since"
            )));
        }
        let changed = Self::of(path)? != *self;
        Ok(changed.then(|| "is not what was written: its checksum is another one".to_owned()))
    }
}

/// Whether a text with a seal is as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// It is.
    Whole,
    /// It is not.
    Broken,
    /// It has none.
    None,
}

/// The key of a seal, which comes last.
const KEY: &str = "\"sha256\":";

/// Puts a seal into the text of a JSON object: a last field `sha256`, the sum of all text before
/// it.
///
/// # Panics
///
/// When the text ends with no `}`.
pub fn seal(object: &str) -> String {
    let open = object.trim_end().strip_suffix('}');
    let open = open.expect("a JSON object ends with `}`").trim_end();
    let sum = hex(&Sha256::digest(open.as_bytes()));
    format!("{open},\n  {KEY} \"{sum}\"\n}}\n")
}

/// Whether a text is as [`seal`] wrote it.
pub fn seal_of(object: &str) -> Seal {
    let Some((before, sum)) = object.rsplit_once(KEY) else {
        return Seal::None;
    };
    let sum = sum.trim_end().strip_suffix('}').unwrap_or(sum).trim();
    let Some(open) = before.trim_end().strip_suffix(',') else {
        return Seal::Broken;
    };
    let is = hex(&Sha256::digest(open.as_bytes()));
    if sum.strip_prefix('"').and_then(|it| it.strip_suffix('"')) == Some(&is) {
        Seal::Whole
    } else {
        Seal::Broken
    }
}

/// Refuses a text whose seal is broken; one without a seal passes.
///
/// # Errors
///
/// With the file's name when the seal is broken.
pub fn check_seal(path: &Path, object: &str) -> Result<(), FileError> {
    match seal_of(object) {
        Seal::Whole | Seal::None => Ok(()),
        Seal::Broken => Err(FileError::content(
            path,
            "is not what was written: its field `sha256` does not fit the text before it",
        )),
    }
}

/// SHA-256 of a text, in hexadecimal digits.
pub fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
