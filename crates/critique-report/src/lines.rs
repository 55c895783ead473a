//! Files of JSON lines of which some may be damaged.

use std::path::Path;

use critique_core::files::read_if_there;
use serde::de::DeserializeOwned;

/// Reads the lines that hold a `T`. Others are left out and counted in a note; a file that is not
/// there has none.
pub(crate) fn read<T: DeserializeOwned>(
    path: &Path,
    what: &str,
    notes: &mut Vec<String>,
) -> Vec<T> {
    let bytes = match read_if_there(path) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(error) => {
            notes.push(with_cause(&error));
            return Vec::new();
        }
    };
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for (at, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(value) => good.push(value),
            Err(error) => bad.push((at + 1, error.to_string())),
        }
    }
    if let Some((line, why)) = bad.first() {
        let more = match bad.len() {
            1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        let path = path.display();
        notes.push(format!(
            "{path}:{line}: {why}; expected {what}: the line{more} is left out"
        ));
    }
    good
}

/// An error with what brought it about.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_line_is_named_and_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n.jsonl");
        std::fs::write(&path, b"1\n\nx\n2\n\xff\n").unwrap();
        let mut notes = Vec::new();
        assert_eq!(read::<u32>(&path, "a number", &mut notes), [1, 2]);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("n.jsonl:3: expected value"), "{notes:?}");
        assert!(notes[0].ends_with("expected a number: the line, and 1 more is left out"));
        let missing = folder.path().join("missing");
        assert!(read::<u32>(&missing, "a number", &mut notes).is_empty());
        assert_eq!(notes.len(), 1);
    }
}
