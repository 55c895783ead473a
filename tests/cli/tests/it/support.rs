//! The `critique-rl` of this build, run as a user runs it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// What a command left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}

pub(crate) fn golden(path: &str) -> PathBuf {
    workspace().join("tests/golden").join(path)
}

pub(crate) fn json_file(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The binary, built once in the profile of these tests: cargo builds binaries for the tests of
/// their own package only.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // target/PROFILE/deps/it-HASH
        let folder = std::env::current_exe()
            .unwrap()
            .ancestors()
            .nth(2)
            .unwrap()
            .to_owned();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev".to_owned(),
            other => other.to_owned(),
        };
        let target = folder.parent().unwrap();
        let done = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "critique-cli",
                "--profile",
                &profile,
                "--target-dir",
            ])
            .arg(target)
            .current_dir(workspace())
            .status()
            .unwrap();
        assert!(done.success(), "critique-rl must build");
        folder.join(format!("critique-rl{}", std::env::consts::EXE_SUFFIX))
    })
}

/// The command with these arguments, in an environment of its own.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(args);
    alone(command)
}

/// A line that a person pastes into a shell.
#[cfg(unix)]
pub(crate) fn shell(folder: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder);
    alone(command)
}

fn alone(mut command: Command) -> Command {
    command
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for variable in ["DEVICE", "OUT", "SEED", "THREADS"] {
        command.env_remove(format!("CRITIQUE_RL_{variable}"));
    }
    command
}

pub(crate) fn run(args: &[&str]) -> Ran {
    finished(command(args))
}

/// Runs to the end.
pub(crate) fn finished(mut command: Command) -> Ran {
    finish(command.output().unwrap())
}

/// The command, to run in a folder.
pub(crate) fn command_in(folder: &Path, args: &[&str]) -> Command {
    let mut command = command(args);
    command.current_dir(folder);
    command
}

/// Runs in a folder.
pub(crate) fn run_in(folder: &Path, args: &[&str]) -> Ran {
    finished(command_in(folder, args))
}

/// Runs with a text on standard input.
pub(crate) fn run_with(input: &str, args: &[&str]) -> Ran {
    let mut child = command(args).stdin(Stdio::piped()).spawn().unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    finish(child.wait_with_output().unwrap())
}

pub(crate) fn wait(child: Child) -> Ran {
    finish(child.wait_with_output().unwrap())
}

fn finish(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    /// Standard output of a command that must succeed.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "stderr: {}", self.stderr);
        self.stdout
    }

    /// Standard error of a command that must fail with this code, and say nothing else.
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(
            self.code, code,
            "stdout: {}\nstderr: {}",
            self.stdout, self.stderr
        );
        self.stderr
    }
}

/// A folder with a run file in it.
pub(crate) fn run_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}
