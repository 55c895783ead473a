//! One writer a run folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::TrainError;

/// Name of the file in a run folder that its writer holds.
const LOCK: &str = ".lock";

/// The right to write into a run folder. The system gives it back when the process ends, however
/// it ends.
#[derive(Debug)]
pub(crate) struct RunLock {
    file: File,
    /// What a writer that never closed the run left.
    left: Option<String>,
}

impl RunLock {
    /// Takes the lock of the folder at `root`, made if it is not there.
    ///
    /// A file system that knows no locks (some network ones) is taken as it is: two writers are
    /// then told apart by nobody.
    ///
    /// # Errors
    ///
    /// When another process holds it, or the file cannot be written.
    pub(crate) fn take(root: &Path) -> Result<Self, TrainError> {
        let path = root.join(LOCK);
        let open = || -> io::Result<File> {
            fs::create_dir_all(root)?;
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&path)
        };
        let mut file = open().map_err(|source| TrainError::Write {
            path: path.clone(),
            source,
        })?;
        let mut left = String::new();
        // Who cannot be named is still refused.
        let _ = file.read_to_string(&mut left);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let by = if left.is_empty() {
                    "another process"
                } else {
                    left.trim_end()
                };
                let message = format!(
                    "`{}` is being written by {by}; expected another `out`, or to wait until it ends",
                    root.display()
                );
                return Err(TrainError::Config { message });
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(TrainError::Write { path, source }),
        }
        let lock = Self {
            file,
            left: (!left.is_empty()).then(|| left.trim_end().to_owned()),
        };
        lock.say(&format!("process {}\n", std::process::id()))
            .map_err(|source| TrainError::Write { path, source })?;
        Ok(lock)
    }

    /// The writer that ended without closing the run: it was killed, or the machine went down.
    pub(crate) fn left(&self) -> Option<&str> {
        self.left.as_deref()
    }

    fn say(&self, text: &str) -> io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // An empty file says that the run was closed; where that fails, the next writer gets a
        // notice that it could do without.
        let _ = self.say("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_and_a_third_comes_after_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("run");
        let first = RunLock::take(&root).unwrap();
        assert_eq!(first.left(), None);
        let refused = RunLock::take(&root).unwrap_err().to_string();
        let by = format!("is being written by process {};", std::process::id());
        assert!(refused.contains(&by), "{refused}");
        drop(first);
        assert_eq!(RunLock::take(&root).unwrap().left(), None);
    }

    #[test]
    fn a_writer_that_was_killed_is_named_and_its_lock_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOCK), "process 123\n").unwrap();
        let lock = RunLock::take(dir.path()).unwrap();
        assert_eq!(lock.left(), Some("process 123"));
    }
}
