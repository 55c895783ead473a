//! A new task crate that compiles and keeps the contract: for `critique-rl tasks new NAME`.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::TaskError;
use crate::registry;

/// What [`new_task`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// The task's name in run files.
    pub name: String,
    /// The crate's folder.
    pub folder: PathBuf,
    /// Its files, below the folder.
    pub files: Vec<PathBuf>,
    /// Whether it is a member of a workspace that has `critique-tasks`.
    pub in_workspace: bool,
}

/// Where the new crate finds `critique-tasks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// In the dependencies of the workspace it lies in.
    Workspace,
    /// In the registry, at the version of this crate.
    Registry,
    /// In a folder.
    Path(PathBuf),
}

impl Dependency {
    /// [`Dependency::Workspace`] where a folder lies in a workspace with `critique-tasks` among
    /// its dependencies. Anywhere else the folder of this crate's source, where this program was
    /// built from a clone that is still there, or else [`Dependency::Registry`].
    pub fn of(folder: &Path) -> Self {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let has_tasks = folder.ancestors().any(|ancestor| {
            let manifest = std::fs::read_to_string(ancestor.join("Cargo.toml"));
            let table: Option<toml::Table> =
                manifest.ok().and_then(|text| toml::from_str(&text).ok());
            table.is_some_and(|table| {
                table
                    .get("workspace")
                    .and_then(|workspace| workspace.get("dependencies"))
                    .is_some_and(|list| list.get("critique-tasks").is_some())
            })
        });
        if has_tasks {
            return Self::Workspace;
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Sources from a registry lie in no workspace.
        let cloned = source.ancestors().nth(2).is_some_and(|root| {
            source.join("Cargo.toml").is_file() && root.join("Cargo.toml").is_file()
        });
        if cloned {
            Self::Path(source.to_owned())
        } else {
            Self::Registry
        }
    }
}

/// Writes the crate `task-NAME` into a folder: a plugin of fifty lines to start from, with its
/// test.
///
/// # Errors
///
/// When the name is no crate name or is taken, or a file cannot be written.
pub fn new_task(parent: &Path, name: &str) -> Result<NewTask, TaskError> {
    new_task_with(parent, name, &Dependency::of(parent))
}

/// [`new_task`] with `critique-tasks` from a place of one's choice.
///
/// # Errors
///
/// As [`new_task`].
pub fn new_task_with(
    parent: &Path,
    name: &str,
    dependency: &Dependency,
) -> Result<NewTask, TaskError> {
    check_name(name)?;
    let folder = parent.join(format!("task-{name}"));
    if folder.exists() {
        return Err(TaskError::File {
            path: folder,
            message: "is there already; take another name or remove it".into(),
        });
    }
    let files = [
        ("Cargo.toml", manifest(name, dependency)),
        ("src/lib.rs", library(name)),
        ("tests/contract.rs", contract(name)),
    ];
    for (file, text) in &files {
        write(&folder.join(file), text)?;
    }
    Ok(NewTask {
        name: name.to_owned(),
        folder,
        files: files.iter().map(|(file, _)| PathBuf::from(file)).collect(),
        in_workspace: *dependency == Dependency::Workspace,
    })
}

fn check_name(name: &str) -> Result<(), TaskError> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts_well || !name.split('-').all(is_word) {
        return Err(TaskError::Data {
            message: format!(
                "`{name}` is no name for a task; a lower-case letter, then more of them, digits \
                 and single hyphens would do, such as `my-task`"
            ),
        });
    }
    if registry::find(name).is_ok() {
        return Err(TaskError::Data {
            message: format!("a task `{name}` exists already; take another name"),
        });
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), TaskError> {
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(path, text));
    written.map_err(|source| TaskError::Write {
        path: path.to_owned(),
        source,
    })
}

fn manifest(name: &str, dependency: &Dependency) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (package, lints, tasks, serde) = match dependency {
        Dependency::Workspace => (
            "version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n\
             license.workspace = true\n"
                .to_owned(),
            "\n[lints]\nworkspace = true\n",
            "critique-tasks.workspace = true".to_owned(),
            "serde.workspace = true",
        ),
        Dependency::Registry => (
            "version = \"0.1.0\"\nedition = \"2024\"\n".to_owned(),
            "",
            format!("critique-tasks = \"{version}\""),
            "serde = { version = \"1\", features = [\"derive\"] }",
        ),
        Dependency::Path(path) => (
            "version = \"0.1.0\"\nedition = \"2024\"\n".to_owned(),
            "",
            format!(
                "critique-tasks = {{ path = {} }}",
                toml::Value::String(path.to_string_lossy().into_owned())
            ),
            "serde = { version = \"1\", features = [\"derive\"] }",
        ),
    };
    format!(
        "[package]\nname = \"task-{name}\"\ndescription = \"The task {name}.\"\n{package}{lints}\n\
         [dependencies]\n{tasks}\n{serde}\n"
    )
}

fn library(name: &str) -> String {
    TEMPLATE
        .replace("TASK_NAME", name)
        .replace("TaskType", &type_name(name))
}

fn contract(name: &str) -> String {
    format!(
        "//! The contract of all tasks.\n\n\
         use critique_tasks::testing::assert_contract;\n\
         use task_{} as _;\n\n\
         #[test]\n\
         fn the_task_keeps_the_contract() {{\n    \
             assert_contract(\"{name}\", \"count = 8\");\n\
         }}\n",
        name.replace('-', "_")
    )
}

/// `my-task` as `MyTask`.
fn type_name(name: &str) -> String {
    name.split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}

const TEMPLATE: &str = include_str!("scaffold/lib.rs.txt");

impl fmt::Display for NewTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        writeln!(f, "wrote task `{}`:", self.name)?;
        for file in &self.files {
            writeln!(f, "  {folder}/{}", file.display())?;
        }
        let name = &self.name;
        let underscored = name.replace('-', "_");
        if self.in_workspace {
            writeln!(f, "next:")?;
            writeln!(f, "  cargo test --release -p task-{name}")?;
            writeln!(
                f,
                "  add `task-{name} = {{ path = \"../task-{name}\" }}` to the dependencies of \
                 tasks/task-all, and `use task_{underscored} as _;` to its src/lib.rs"
            )?;
            write!(f, "  cargo run --release -- tasks list")
        } else {
            writeln!(f, "next:")?;
            writeln!(f, "  cd {folder} && cargo test")?;
            write!(
                f,
                "  name it in a `critique-rl` of your own, `use task_{underscored} as _;`: \
                 examples/add-a-task is one"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_crate_names_are_refused() {
        for name in [
            "", "My-task", "my_task", "-my", "my--task", "9lives", "a/b", "ä",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
        check_name("my-task2").unwrap();
        assert_eq!(type_name("my-task2"), "MyTask2");
    }

    #[test]
    fn a_workspace_with_the_crate_is_found() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("tasks");
        // These tests run where the source lies.
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(Dependency::of(&inner), Dependency::Path(source));
        std::fs::write(
            root.path().join("Cargo.toml"),
            "[workspace.dependencies]\ncritique-tasks = { path = \"x\" }\n",
        )
        .unwrap();
        assert_eq!(Dependency::of(&inner), Dependency::Workspace);
        let written = new_task(&inner, "my-task").unwrap();
        assert!(written.in_workspace);
        let manifest = std::fs::read_to_string(written.folder.join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("critique-tasks.workspace = true"),
            "{manifest}"
        );
        assert!(new_task(&inner, "my-task").is_err());
    }
}
