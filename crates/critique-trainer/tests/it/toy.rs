//! A toy run and what it leaves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use critique_tasks::Task;
use critique_trainer::{Event, Observer, Resume, RunConfig, Silent, TrainError, run};
use task_arithmetic as _;

pub(crate) const RUN: &str = r#"
seed = 3
out = "OUT"
task = { name = "arithmetic", operations = 1, train = 300, validation = 20, test = 20 }

[models]
actor = { new = { d_model = 24, layers = 1, heads = 2, d_ff = 48, context = 96 } }
critic = { from = "actor", lora = LORA }

[rollout]
problems = 6
group_size = 3
response = { temperature = 1.0, max_new_tokens = 8 }
critique = { temperature = 1.0, max_new_tokens = 32 }
refinement = { temperature = 0.0, max_new_tokens = 8 }

[eval]
max_new_tokens = 32
temperatures = [0.0, 1.0]

[save]
every = 2

[[stages]]
kind = "sft"
name = "actor"
model = "actor"
steps = 60
data = [{ kind = "responses", rows = 8 }, { kind = "refinements", rows = 4, every = 2 }]
lr = 1e-2

[[stages]]
kind = "sft"
name = "critic"
model = "critic"
steps = 60
data = [{ kind = "critiques", rows = 8, pool = 20 }, { kind = "clean_critiques", rows = 4, weight = 2.0 }]
lr = 1e-2
eval_as = "sft"

[[stages]]
kind = "rl"
name = "one"
steps = 4
rewards = { discriminability = 1.0, format_penalty = 0.1 }
advantage = { reinforce = { baseline = "running_mean" } }
kl_coef = 0.01
lr = 1e-3
minibatch = 6
inner_epochs = 2
validate_every = 2
eval_as = "stage1"

[[stages]]
kind = "rl"
name = "two"
steps = 3
rewards = { refinement = 1.0, discriminability = 0.2 }
kl_coef = 0.05
kl_in = "loss"
kl_estimator = "k3"
reference = "critic"
lr = 1e-3
eval_as = "stage2"
"#;

pub(crate) fn config(out: &Path) -> RunConfig {
    let text = RUN
        .replace("OUT", &out.display().to_string())
        .replace(", lora = LORA", "");
    toml::from_str(&text).unwrap()
}

pub(crate) fn task(config: &RunConfig) -> Box<dyn Task> {
    critique_tasks::build_from_table(config.task.clone())
        .unwrap()
        .1
}

pub(crate) fn go(
    config: &RunConfig,
    observer: &mut dyn Observer,
    stop: &Arc<AtomicBool>,
) -> Result<(), TrainError> {
    run(config, &*task(config), &Resume::Auto, stop, observer).map(|_| ())
}

pub(crate) fn finish(config: &RunConfig) {
    go(config, &mut Silent, &Arc::default()).unwrap();
}

/// Steps of the two stages of SFT.
pub(crate) const SFT_STEPS: usize = 120;

/// A run whose stages of SFT are made, so that its critic reaches verdicts: it was stopped
/// after their last step.
pub(crate) fn after_sft(out: &Path) -> RunConfig {
    static MADE: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        stop_after(SFT_STEPS, &config(dir.path()));
        let mut made = all_files(dir.path());
        // Runs go on from here with settings of their own.
        made.remove("config.resolved.toml");
        made
    });
    for (name, bytes) in made {
        let path = out.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    config(out)
}

/// Makes a run that has begun one of a version that did not write down its data, so that it may go
/// on with others.
pub(crate) fn forget_data(out: &Path) {
    let path = out.join("started.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut started: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&text).unwrap();
    started.remove("sha256");
    started.remove("data");
    let text = serde_json::to_string(&started).unwrap();
    std::fs::write(path, critique_core::files::sum::seal(&text)).unwrap();
}

/// Runs so many steps and stops.
pub(crate) fn stop_after(steps: usize, config: &RunConfig) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = go(config, &mut StopAfter { steps, stop: &stop }, &stop);
    assert!(
        matches!(stopped, Err(TrainError::Interrupted { .. })),
        "{stopped:?}"
    );
}

/// Every file of a run by its path, with what is not to be compared left out: clock times.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = all_files(root);
    found.retain(|name, _| name != "config.resolved.toml" && name != "started.json");
    if let Some(metrics) = found.get_mut("metrics.jsonl") {
        *metrics = without_times(metrics);
    }
    found
}

/// Every file of a run by its path.
pub(crate) fn all_files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}

fn without_times(lines: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(lines).unwrap();
    let kept = text.lines().map(|line| {
        let mut metrics: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap();
        metrics.retain(|name, _| !name.starts_with("time/") && !name.starts_with("memory/"));
        serde_json::Value::Object(metrics).to_string() + "\n"
    });
    kept.collect::<String>().into_bytes()
}

/// Keeps the notes of a run.
#[derive(Default)]
pub(crate) struct Notes(pub(crate) Vec<String>);

impl Observer for Notes {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Note { text } = event {
            self.0.push((*text).to_owned());
        }
    }
}

/// Asks for a stop after so many steps.
pub(crate) struct StopAfter<'a> {
    pub(crate) steps: usize,
    pub(crate) stop: &'a Arc<AtomicBool>,
}

impl Observer for StopAfter<'_> {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Step { .. } = event {
            self.steps -= 1;
            self.stop.store(self.steps == 0, Ordering::Relaxed);
        }
    }
}
