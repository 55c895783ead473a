//! One writer a run folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use critique_core::files::FileError;

use crate::error::RunError;

/// Name of the file in a run folder that its writer holds.
const LOCK: &str = ".lock";

/// The right to write into a run folder. The system gives it back when the process ends, however
/// it ends.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    note: Option<String>,
}

impl RunLock {
    /// Takes the lock of the folder at `root`, made if it is not there.
    ///
    /// # Errors
    ///
    /// When another process holds it, or the file cannot be written.
    pub fn take(root: &Path) -> Result<Self, RunError> {
        let path = root.join(LOCK);
        let wrong = |source| RunError::from(FileError::write(&path, source));
        let open = || -> io::Result<File> {
            fs::create_dir_all(root)?;
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&path)
        };
        let mut file = open().map_err(wrong)?;
        let unlocked = match file.try_lock() {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => return Err(in_use(root, &written(&mut file))),
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) => Some(error),
        };
        let writer = written(&mut file);
        let note = match unlocked {
            Some(error) => Some(format!(
                "`{}` cannot be locked ({error}): see to it that no other process trains there",
                root.display()
            )),
            None if writer.is_empty() => None,
            None => Some(format!(
                "{writer} ended without closing this run; it goes on from what is saved"
            )),
        };
        let lock = Self { file, note };
        lock.write(&format!("process {}\n", std::process::id()))
            .map_err(wrong)?;
        Ok(lock)
    }

    /// Whether a process writes into the folder at `root` now. Where that cannot be told, none does.
    pub fn is_held(root: &Path) -> bool {
        let Ok(mut file) = File::open(root.join(LOCK)) else {
            return false;
        };
        // A closed run is never locked, not even for the blink of an eye that the question takes.
        !written(&mut file).is_empty()
            && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// What a person should know: the writer before was killed, or the folder cannot be locked.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())
    }
}

/// Who wrote into the file and did not close the run; empty where that cannot be told.
fn written(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    text.trim_end().to_owned()
}

fn in_use(root: &Path, writer: &str) -> RunError {
    let by = if writer.is_empty() {
        "another process"
    } else {
        writer
    };
    let message = format!(
        "`{}` is being written by {by}; expected another `out`, or to wait until it ends",
        root.display()
    );
    RunError::Folder { message }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // An empty file says that the run was closed; where that fails, the next writer gets a
        // notice that it could do without.
        let _ = self.write("");
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
        assert_eq!(first.note(), None);
        let refused = RunLock::take(&root).unwrap_err().to_string();
        let by = format!("is being written by process {};", std::process::id());
        assert!(refused.contains(&by), "{refused}");
        assert!(RunLock::is_held(&root));
        drop(first);
        assert!(!RunLock::is_held(&root) && !RunLock::is_held(dir.path()));
        assert_eq!(RunLock::take(&root).unwrap().note(), None);
    }

    #[test]
    fn a_writer_that_was_killed_is_named_and_its_lock_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LOCK), "process 123\n").unwrap();
        let lock = RunLock::take(dir.path()).unwrap();
        let note = lock.note().unwrap();
        assert!(
            note.starts_with("process 123 ended without closing"),
            "{note}"
        );
    }
}
