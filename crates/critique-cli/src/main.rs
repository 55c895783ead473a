//! The binary: all commands, with the tasks of this workspace.

use std::process::ExitCode;

// Names the crate, so that the linker keeps its plugins.
use task_all as _;

fn main() -> ExitCode {
    critique_cli::main()
}
