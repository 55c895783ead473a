//! What is not as it was written is named, and nothing of it is used.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use critique_core::{Rng, derive_seed};
use critique_run::{Audit, audit};
use critique_trainer::{RunConfig, RunDir};

use crate::toy::{Notes, SFT_STEPS, after_sft, all_files, files, finish, go, stop_after};

/// Steps of stage `one`.
const ONE: usize = 4;

/// A run that was stopped within its last stage: it has stages, a best step, checkpoints,
/// rollouts, evaluations.
fn stopped() -> (tempfile::TempDir, RunConfig) {
    let dir = tempfile::tempdir().unwrap();
    let config = saving(dir.path());
    stop_after(ONE + 2, &config);
    (dir, config)
}

fn saving(out: &Path) -> RunConfig {
    let mut config = after_sft(out);
    config.save.every = 1;
    config.save.keep = 3;
    config
}

fn audited(root: &Path) -> Audit {
    audit(&RunDir::existing(root).unwrap()).unwrap()
}

fn put(root: &Path, file: &str, bytes: &[u8]) {
    fs::write(root.join(file), bytes).unwrap();
}

/// A way to damage a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Cut,
    Empty,
    Longer,
    Zeros,
    Gone,
}

/// The damages that a file is tried with; a bit is flipped in several places.
const DAMAGES: [Damage; 9] = [
    Damage::Flip,
    Damage::Flip,
    Damage::Flip,
    Damage::Flip,
    Damage::Cut,
    Damage::Empty,
    Damage::Longer,
    Damage::Zeros,
    Damage::Gone,
];

impl Damage {
    /// The bytes of a damaged file; none where it is gone.
    fn of(self, bytes: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
        let mut bytes = bytes.to_vec();
        let at = rng.below(bytes.len());
        match self {
            Self::Flip => bytes[at] ^= 1 << rng.below(8),
            Self::Cut => bytes.truncate(at),
            Self::Empty => bytes.clear(),
            Self::Longer => bytes.push(b'x'),
            Self::Zeros => {
                let end = bytes.len().min(at + 512);
                // A block that was zeros already is no damage.
                bytes[at..end].fill(0);
                bytes[at] ^= 1;
            }
            Self::Gone => return None,
        }
        Some(bytes)
    }
}

#[test]
fn hundreds_of_damages_are_each_named() {
    let (dir, _) = stopped();
    let root = dir.path();
    let clean = audited(root);
    assert_eq!((clean.findings, clean.unknown), (vec![], vec![]));
    let whole = all_files(root);
    // What a lost file says is empty; that of a lock says nothing.
    let tried = whole
        .iter()
        .filter(|(name, bytes)| !bytes.is_empty() && *name != ".lock");
    let mut counted = 0;
    let mut harmless = Vec::new();
    for (name, bytes) in tried.filter(|(name, _)| *name != "metrics.jsonl") {
        let mut rng = Rng::new(derive_seed(1, &["damage", name]));
        for damage in DAMAGES {
            match damage.of(bytes, &mut rng) {
                Some(damaged) => put(root, name, &damaged),
                None => fs::remove_file(root.join(name)).unwrap(),
            }
            let found = audited_or_refused(root);
            if !found.iter().any(|message| message.contains(name.as_str())) {
                harmless.push((name.clone(), damage, found));
            }
            counted += 1;
            put(root, name, bytes);
        }
    }
    // The mark of a checksum can itself be spoilt, so that nothing is compared; what stands in such
    // a file is still what was written.
    for (name, damage, _) in &harmless {
        let marks = ["config.resolved.toml", "started.json", "eval/summary.json"];
        assert!(marks.contains(&name.as_str()), "{harmless:?}");
        assert!(matches!(damage, Damage::Flip), "{harmless:?}");
    }
    assert!(counted >= 500, "{counted} damages");
    assert!(harmless.len() < 6, "{harmless:?}");
    println!(
        "{counted} damages, {} of them to marks alone",
        harmless.len()
    );
    let clean = audited(root);
    assert_eq!((clean.findings, clean.unknown), (vec![], vec![]));
}

/// What an audit finds; that a folder is no run is found too.
fn audited_or_refused(root: &Path) -> Vec<String> {
    match RunDir::existing(root).and_then(|dir| audit(&dir)) {
        Ok(found) => {
            let lines = found.findings.into_iter();
            let mut lines: Vec<String> = lines
                .map(|it| format!("{}: {}", it.file, it.message))
                .collect();
            lines.extend(found.unknown);
            lines
        }
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn metrics_that_were_changed_are_named() {
    let (dir, config) = stopped();
    let path = dir.path().join("metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find("\"loss\":").unwrap() + "\"loss\":".len();
    let mut bytes = text.clone().into_bytes();
    bytes[at] = if bytes[at] == b'3' { b'4' } else { b'3' };
    fs::write(&path, &bytes).unwrap();
    let found = audited(dir.path()).findings;
    assert!(
        found.iter().any(|it| it.file == "metrics.jsonl"),
        "{found:?}"
    );
    let mut notes = Notes::default();
    go(&config, &mut notes, &Arc::default()).unwrap();
    let named = |note: &String| note.contains("metrics until then are damaged");
    assert!(notes.0.iter().any(named), "{:?}", notes.0);
    // A lost line, too.
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&path, [&lines[..9], &lines[10..]].concat().join("\n")).unwrap();
    let found = audited(dir.path()).findings;
    assert!(
        found.iter().any(|it| it.file == "metrics.jsonl"),
        "{found:?}"
    );
}

/// The newest checkpoint of [`stopped`], below the run.
fn newest() -> String {
    format!("checkpoint-{}", SFT_STEPS + ONE + 2)
}

#[test]
fn a_damaged_checkpoint_is_left_out_and_the_run_ends_the_same() {
    let unbroken = tempfile::tempdir().unwrap();
    finish(&saving(unbroken.path()));
    let (dir, config) = stopped();
    let whole = all_files(dir.path());
    let parts = whole.keys().filter(|name| name.starts_with(&newest()));
    let parts: Vec<String> = parts.cloned().collect();
    assert!(parts.len() > 4, "{parts:?}");
    for part in parts {
        let again = tempfile::tempdir().unwrap();
        copy(&whole, again.path());
        let mut rng = Rng::new(derive_seed(2, &[&part]));
        let damaged = Damage::Flip.of(&whole[&part], &mut rng).unwrap();
        put(again.path(), &part, &damaged);
        let mut config = config.clone();
        config.out = again.path().to_owned();
        let mut notes = Notes::default();
        go(&config, &mut notes, &Arc::default()).unwrap();
        let named = |note: &String| note.contains("is left out") && note.contains(&part);
        assert!(notes.0.iter().any(named), "{part}: {:?}", notes.0);
        assert!(files(again.path()) == files(unbroken.path()), "{part}");
    }
}

fn copy(files: &BTreeMap<String, Vec<u8>>, root: &Path) {
    for (name, bytes) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// What a run says that goes on in a folder once it was changed.
fn refusal(change: impl FnOnce(&Path)) -> String {
    let (dir, config) = stopped();
    change(dir.path());
    let error = go(&config, &mut Notes::default(), &Arc::default()).unwrap_err();
    error.to_string()
}

#[test]
fn what_earlier_stages_left_is_checked_before_it_is_used() {
    for part in [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "trainer_state.json",
    ] {
        let file = format!("stages/one/{part}");
        let refused = refusal(|root| {
            let mut bytes = fs::read(root.join(&file)).unwrap();
            let last = bytes.len() - 2;
            bytes[last] ^= 4;
            put(root, &file, &bytes);
        });
        assert!(
            refused.contains(&file) && refused.contains("checksum"),
            "{refused}"
        );
    }
    let lost = refusal(|root| fs::remove_file(root.join("stages/one/manifest.json")).unwrap());
    assert!(
        lost.contains("stages/one/manifest.json: is missing"),
        "{lost}"
    );
    let foreign = refusal(|root| put(root, "stages/one/adapter_config.json", b"{}"));
    assert!(
        foreign.contains("adapter_config.json: was not there"),
        "{foreign}"
    );
    let started = refusal(|root| fs::remove_file(root.join("started.json")).unwrap());
    assert!(started.contains("started.json: is missing"), "{started}");
}

#[test]
fn a_folder_that_is_not_the_one_it_should_be_is_refused() {
    let replaced = |root: &Path, place: &str, with: &Path| {
        fs::remove_dir_all(root.join(place)).unwrap();
        copy(&all_files(with), &root.join(place));
    };
    // Another stage's, under the name of this one.
    let stage = refusal(|root| replaced(root, "stages/one", &root.join("stages/critic")));
    assert!(
        stage.contains("stages/one: is of stage `critic`"),
        "{stage}"
    );
    // An older checkpoint under a newer name is left out, as one that is damaged.
    let (dir, config) = stopped();
    let older = format!("checkpoint-{}", SFT_STEPS + ONE + 1);
    replaced(dir.path(), &newest(), &dir.path().join(older));
    let mut notes = Notes::default();
    go(&config, &mut notes, &Arc::default()).unwrap();
    let named = |note: &String| note.contains("is left out") && note.contains("is of step");
    assert!(notes.0.iter().any(named), "{:?}", notes.0);
    // That of a run with another seed.
    let other = tempfile::tempdir().unwrap();
    let mut config = crate::toy::config(other.path());
    config.seed = 4;
    finish(&config);
    let run = refusal(|root| replaced(root, "stages/one", &other.path().join("stages/one")));
    assert!(
        run.contains("is of run `") && run.contains("started.json"),
        "{run}"
    );
}

#[test]
fn a_reference_that_is_not_the_critic_it_should_be_is_refused() {
    // Stage `two` is held to what `critic` left. A folder that says it is of this run and stage, with
    // other weights, as a run with the same settings on another machine may leave it.
    let refused = refusal(|root| {
        let folder = root.join("stages/critic");
        let path = folder.join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
        let lineage = critique_run::read_manifest(&folder)
            .unwrap()
            .unwrap()
            .lineage;
        fs::remove_file(folder.join(critique_run::MANIFEST)).unwrap();
        critique_run::write_manifest(&folder, &lineage).unwrap();
    });
    assert!(refused.contains("was trained with another"), "{refused}");
    assert!(refused.contains("stages/critic"), "{refused}");
}

#[test]
fn an_evaluation_whose_rollouts_are_damaged_is_made_again() {
    let (dir, config) = stopped();
    let whole = fs::read(dir.path().join("eval/stage1.jsonl")).unwrap();
    put(dir.path(), "eval/stage1.jsonl", &whole[..whole.len() / 2]);
    let mut notes = Notes::default();
    go(&config, &mut notes, &Arc::default()).unwrap();
    let named = |note: &String| note.contains("`stage1` is evaluated again");
    assert!(notes.0.iter().any(named), "{:?}", notes.0);
    assert!(fs::read(dir.path().join("eval/stage1.jsonl")).unwrap() == whole);
}

#[test]
fn other_data_than_the_run_began_with_is_refused() {
    let (dir, config) = stopped();
    let path = dir.path().join("started.json");
    let text = fs::read_to_string(&path).unwrap();
    let started: serde_json::Value = serde_json::from_str(&text).unwrap();
    let train = started["data"]["train"].as_str().unwrap();
    let other = text.replace(train, &"0".repeat(64));
    let object = other.rsplit_once(",\n  \"sha256\"").unwrap().0.to_owned() + "\n}";
    fs::write(&path, critique_core::files::sum::seal(&object)).unwrap();
    let error = go(&config, &mut Notes::default(), &Arc::default()).unwrap_err();
    assert!(
        error.to_string().contains("names other train problems"),
        "{error}"
    );
}
