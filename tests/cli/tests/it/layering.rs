//! Which crate may know which: `docs/architecture.md` in a form that fails.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::workspace;

/// Crates of this workspace, and all that each needs to be built, down to the last one.
struct Crates {
    ours: BTreeSet<String>,
    direct: BTreeMap<String, BTreeSet<String>>,
    all: BTreeMap<String, BTreeSet<String>>,
}

impl Crates {
    fn read() -> Self {
        let out = std::process::Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1"])
            .args(host())
            .current_dir(workspace())
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
        let names: BTreeMap<&str, &str> = list(&metadata["packages"])
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();
        let needs: BTreeMap<&str, Vec<&str>> = list(&metadata["resolve"]["nodes"])
            .map(|node| (text(&node["id"]), needed(node)))
            .collect();
        let name = |id: &&str| names[id].to_owned();
        let members: Vec<&str> = list(&metadata["workspace_members"]).map(text).collect();
        let ours: BTreeSet<String> = members.iter().map(name).collect();
        let mut all = BTreeMap::new();
        let mut direct = BTreeMap::new();
        for id in &members {
            direct.insert(name(id), needs[id].iter().map(name).collect());
            let mut seen = BTreeSet::new();
            let mut waiting = vec![*id];
            while let Some(id) = waiting.pop() {
                for next in &needs[id] {
                    if seen.insert(name(next)) {
                        waiting.push(next);
                    }
                }
            }
            all.insert(name(id), seen);
        }
        Self { ours, direct, all }
    }

    fn ours_below(&self, name: &str) -> BTreeSet<&str> {
        self.direct[name]
            .intersection(&self.ours)
            .map(String::as_str)
            .collect()
    }

    fn knows(&self, name: &str, other: &str) -> bool {
        self.all[name].contains(other)
    }
}

/// What this machine builds, so that nothing is asked of crates for others.
fn host() -> Vec<String> {
    let arch = std::env::consts::ARCH;
    if cfg!(target_os = "linux") {
        vec![
            "--filter-platform".to_owned(),
            format!("{arch}-unknown-linux-gnu"),
        ]
    } else {
        Vec::new()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// What a package needs beside its tests.
fn needed(node: &Value) -> Vec<&str> {
    let beside_tests = |dep: &&Value| list(&dep["dep_kinds"]).any(|info| info["kind"] != "dev");
    list(&node["deps"])
        .filter(beside_tests)
        .map(|dep| text(&dep["pkg"]))
        .collect()
}

#[test]
fn burn_is_below_model_trainer_and_cli_only() {
    let crates = Crates::read();
    let with_burn: BTreeSet<&str> = crates
        .ours
        .iter()
        .filter(|name| crates.knows(name, "burn"))
        .map(String::as_str)
        .collect();
    let allowed = BTreeSet::from([
        "critique-cli",
        "critique-model",
        "critique-served",
        "critique-trainer",
    ]);
    let more: Vec<_> = with_burn
        .difference(&allowed)
        .filter(|name| !is_example(&crates, name))
        .collect();
    assert!(more.is_empty(), "{more:?} must not depend on burn");
    assert!(with_burn.contains("critique-model"));
}

/// Examples and benchmarks are users, not layers.
fn is_example(crates: &Crates, name: &str) -> bool {
    !name.starts_with("critique-") && !name.starts_with("task-") && crates.ours.contains(name)
}

#[test]
fn a_task_knows_nothing_of_ours_but_the_task_trait() {
    let crates = Crates::read();
    let tasks = crates
        .ours
        .iter()
        .filter(|name| name.starts_with("task-") && *name != "task-all");
    let mut seen = 0;
    for task in tasks {
        assert_eq!(
            crates.ours_below(task),
            BTreeSet::from(["critique-tasks"]),
            "{task}"
        );
        seen += 1;
    }
    assert!(seen >= 8, "only {seen} tasks");
    let linked = crates.ours_below("task-all");
    assert!(
        linked.iter().all(|name| name.starts_with("task-")),
        "task-all links tasks and no more: {linked:?}"
    );
}

#[test]
fn rewards_and_rollout_do_not_know_each_other() {
    let crates = Crates::read();
    assert!(!crates.knows("critique-rewards", "critique-rollout"));
    assert!(!crates.knows("critique-rollout", "critique-rewards"));
}

#[test]
fn models_know_neither_tasks_nor_rewards() {
    let crates = Crates::read();
    for name in ["critique-model", "critique-remote", "critique-served"] {
        for other in [
            "critique-tasks",
            "critique-rewards",
            "critique-verify",
            "critique-rollout",
            "critique-trainer",
        ] {
            let exists = crates.ours.contains(name);
            assert!(
                !exists || !crates.knows(name, other),
                "{name} knows {other}"
            );
        }
    }
}

#[test]
fn nothing_depends_on_the_command_line_but_a_binary_of_ones_own() {
    let crates = Crates::read();
    let who: Vec<_> = crates
        .ours
        .iter()
        .filter(|name| crates.knows(name, "critique-cli") && !is_example(&crates, name))
        .collect();
    assert!(who.is_empty(), "{who:?} depend on critique-cli");
}

#[test]
fn each_layer_knows_those_below_it_only() {
    let crates = Crates::read();
    let allowed = [
        ("critique-core", &[][..]),
        ("critique-verify", &["critique-core"]),
        ("critique-tasks", &["critique-core", "critique-verify"]),
        ("critique-rewards", &["critique-core"]),
        ("critique-rollout", &["critique-core", "critique-tasks"]),
        (
            "critique-eval",
            &["critique-core", "critique-tasks", "critique-rollout"],
        ),
        ("critique-text", &["critique-core"]),
        ("critique-model", &["critique-core", "critique-text"]),
        ("critique-remote", &["critique-core", "critique-text"]),
        (
            "critique-served",
            &[
                "critique-core",
                "critique-text",
                "critique-model",
                "critique-remote",
            ],
        ),
        (
            "critique-run",
            &[
                "critique-core",
                "critique-rewards",
                "critique-rollout",
                "critique-eval",
            ],
        ),
        (
            "critique-track",
            &[
                "critique-core",
                "critique-rollout",
                "critique-eval",
                "critique-run",
            ],
        ),
        (
            "critique-report",
            &[
                "critique-core",
                "critique-rollout",
                "critique-eval",
                "critique-run",
            ],
        ),
    ];
    for (name, below) in allowed {
        let below: BTreeSet<&str> = below.iter().copied().collect();
        let found = crates.ours_below(name);
        assert!(
            found.is_subset(&below),
            "{name} depends on {found:?}; at most {below:?}"
        );
    }
}

/// Comments that name a section of `docs/method.md` name one that is there.
#[test]
fn sections_that_comments_name_are_there() {
    let root = crate::support::workspace();
    let method = std::fs::read_to_string(root.join("docs/method.md")).unwrap();
    let mut waiting = vec![root.join("crates"), root.join("tasks")];
    let mut named = 0;
    while let Some(path) = waiting.pop() {
        if path.is_dir() && !path.ends_with("target") {
            waiting.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        if path.extension().is_none_or(|end| end != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for rest in text.split("docs/method.md, \"").skip(1) {
            let section = rest.split('"').next().unwrap();
            let heading = format!("\n## {section}\n");
            assert!(
                method.contains(&heading),
                "{}: no section `{section}`",
                path.display()
            );
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}
