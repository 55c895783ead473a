//! Where test data lies, and errors as their readers see them.

use std::error::Error;
use std::path::PathBuf;

/// A path in `tests/golden` of the workspace.
pub(crate) fn golden(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/golden")
        .join(path)
}

/// A path in the shared data beside the workspace; says so and gives nothing when it is absent.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(path);
    there(path)
}

/// The folder of a real model below `CRITIQUE_RL_TEST_MODELS`; says so when it is absent.
pub(crate) fn real_model(name: &str) -> Option<PathBuf> {
    let Some(models) = std::env::var_os("CRITIQUE_RL_TEST_MODELS") else {
        skipped(&format!(
            "CRITIQUE_RL_TEST_MODELS is unset; it names a folder that holds {name}"
        ));
        return None;
    };
    let path = PathBuf::from(models).join(name);
    there(path)
}

fn there(path: PathBuf) -> Option<PathBuf> {
    let there = path.exists();
    if !there {
        skipped(&format!("no `{}`", path.display()));
    }
    there.then_some(path)
}

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// An error with all its causes.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// The lines of a file of JSON lines.
pub(crate) fn json_lines(path: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
