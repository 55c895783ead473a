//! A task of one's own, in a `critique-rl` of one's own.
//!
//! ```sh
//! cargo run --release -p add-a-task -- tasks show reversal
//! cargo run --release -p add-a-task -- tasks check examples/add-a-task/lab.toml
//! ```
//!
//! The module `reversal` registers a plugin, and `lab.toml` is a task without Rust. Neither is in
//! `task-all`: a plugin is found in every binary that holds its code. A task in a crate of its
//! own is held by `use task_my_task as _;`.

mod reversal;

use std::process::ExitCode;

// The tasks that come with critique-rl; without this line there is only `reversal`.
use task_all as _;

fn main() -> ExitCode {
    critique_cli::main()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use critique_tasks::file_task;
    use critique_tasks::testing::{assert_contract, assert_task_contract};

    #[test]
    fn reversal_keeps_the_contract() {
        assert_contract("reversal", "");
    }

    #[test]
    fn the_task_file_keeps_the_contract() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab.toml");
        let load = || file_task::load(&path).unwrap();
        assert_task_contract(&load(), &load());
    }
}
