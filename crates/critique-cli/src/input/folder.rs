//! What would do in place of a path that holds no model.

use std::path::{Component, Path};

/// The settings of a run, which a run folder holds and a model folder does not.
const RUN_CONFIG: &str = "config.resolved.toml";

/// How the names of models begin, and who publishes them.
const OWNERS: [(&str, &str); 4] = [
    ("Qwen", "Qwen"),
    ("SmolLM", "HuggingFaceTB"),
    ("Llama-3", "meta-llama"),
    ("Meta-Llama-3", "meta-llama"),
];

/// Folders that are no owners on the Hub.
const LOCAL: [&str; 6] = [
    "models",
    "runs",
    "data",
    "stages",
    "checkpoints",
    "adapters",
];

/// What a person can do about a path that was to be a model folder and is none: the models of a
/// run folder, or the command that downloads what the path looks like. Nothing where the path
/// tells neither.
pub(crate) fn what_would_do(path: &Path) -> Option<String> {
    if path.join(RUN_CONFIG).is_file() {
        return Some(models_of_run(path));
    }
    if path.exists() {
        return None;
    }
    let fetch = |id: &str, folder: &str| {
        format!(
            "`hf download {id} --local-dir {folder}` fetches it from the Hugging Face Hub into `{folder}`"
        )
    };
    if let Some((owner, name)) = hub_id(path) {
        return Some(fetch(&format!("{owner}/{name}"), &format!("models/{name}")));
    }
    let name = path.file_name()?.to_str()?;
    let (_, owner) = OWNERS.iter().find(|(start, _)| name.starts_with(start))?;
    Some(fetch(&format!("{owner}/{name}"), path.to_str()?))
}

fn models_of_run(path: &Path) -> String {
    let stages = path.join("stages");
    let entries = std::fs::read_dir(&stages).into_iter().flatten().flatten();
    let mut models: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .map(|name| format!("`{}`", stages.join(name).display()))
        .collect();
    models.sort_unstable();
    if models.is_empty() {
        return "it is the folder of a run that has left no model yet".to_owned();
    }
    format!(
        "it is the folder of a run, whose models are {}",
        models.join(", ")
    )
}

/// `OWNER/NAME`, where the path can be read so.
fn hub_id(path: &Path) -> Option<(&str, &str)> {
    let mut parts = path.components().map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    });
    let (owner, name) = (parts.next()??, parts.next()??);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let fits = parts.next().is_none()
        && !LOCAL.contains(&owner)
        && !Path::new(owner).exists()
        && owner.chars().chain(name.chars()).all(plain);
    fits.then_some((owner, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(path: &str) -> Option<String> {
        what_would_do(Path::new(path))
    }

    #[test]
    fn what_looks_like_a_model_of_the_hub_gets_its_command() {
        let starts = |path: &str, wanted: &str| {
            let hint = hint(path).unwrap_or_default();
            assert!(hint.starts_with(&format!("`{wanted}` ")), "{path}: {hint}");
        };
        starts(
            "mistralai/Mistral-7B-v0.3",
            "hf download mistralai/Mistral-7B-v0.3 --local-dir models/Mistral-7B-v0.3",
        );
        starts(
            "models/SmolLM2-135M-Instruct",
            "hf download HuggingFaceTB/SmolLM2-135M-Instruct --local-dir models/SmolLM2-135M-Instruct",
        );
        starts(
            "/tmp/nowhere/Llama-3.2-1B",
            "hf download meta-llama/Llama-3.2-1B --local-dir /tmp/nowhere/Llama-3.2-1B",
        );
    }

    #[test]
    fn other_paths_are_not_guessed_at() {
        // `src` is a folder here.
        for path in [
            "no such model",
            "models/mine",
            "src/mine",
            "a/b/c",
            "../mine",
            "src",
        ] {
            assert_eq!(hint(path), None, "{path}");
        }
    }

    #[test]
    fn a_run_folder_names_its_models() {
        let run = tempfile::tempdir().unwrap();
        let root = run.path();
        std::fs::write(root.join(RUN_CONFIG), "").unwrap();
        assert!(what_would_do(root).unwrap().contains("no model yet"));
        for stage in ["stage2", "sft", ".unfinished-stage3"] {
            std::fs::create_dir_all(root.join("stages").join(stage)).unwrap();
        }
        let stages = root.join("stages");
        let wanted = format!(
            "it is the folder of a run, whose models are `{}`, `{}`",
            stages.join("sft").display(),
            stages.join("stage2").display()
        );
        assert_eq!(what_would_do(root), Some(wanted));
    }
}
