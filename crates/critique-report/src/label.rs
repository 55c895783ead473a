//! Short names of runs that tell them apart.

use std::path::{Path, PathBuf};

/// The end of each path, as many folders long as it takes until all differ.
pub(crate) fn labels(paths: &[PathBuf]) -> Vec<String> {
    let parts: Vec<Vec<String>> = paths.iter().map(|path| parts(path)).collect();
    let longest = parts.iter().map(Vec::len).max().unwrap_or(0);
    let of_length = |length: usize| -> Vec<String> {
        let end = |parts: &Vec<String>| parts[parts.len().saturating_sub(length)..].join("/");
        parts.iter().map(end).collect()
    };
    let differ = |labels: &Vec<String>| {
        let mut sorted = labels.clone();
        sorted.sort();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    };
    let mut lengths = (1..=longest).map(of_length);
    lengths.find(differ).unwrap_or_else(|| of_length(longest))
}

fn parts(path: &Path) -> Vec<String> {
    let parts = path
        .components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)));
    parts
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_as_long_as_it_must_be() {
        let of = |paths: &[&str]| labels(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(of(&["/runs/a"]), ["a"]);
        assert_eq!(of(&["/runs/1/toy", "/runs/2/toy"]), ["1/toy", "2/toy"]);
        assert_eq!(of(&["/x/toy", "toy"]), ["x/toy", "toy"]);
    }
}
