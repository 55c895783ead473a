//! What a kill leaves behind, and what hands spoil: a run goes on to the same end, or says what
//! is wrong.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use critique_eval::Summary;
use critique_run::{MANIFEST, read_manifest, write_manifest};
use critique_trainer::{Event, Observer, Resume, RunConfig, RunDir, TrainError, run};

use crate::toy::{Notes, SFT_STEPS, after_sft, config, files, finish, go, stop_after, task};

/// The toy with a checkpoint after each step, of which three are kept.
fn saving(out: &Path) -> RunConfig {
    let mut config = after_sft(out);
    config.save.every = 1;
    config.save.keep = 3;
    config
}

/// That run, stopped after so many steps of stage `one`.
fn stopped(steps: usize) -> (tempfile::TempDir, RunConfig) {
    let dir = tempfile::tempdir().unwrap();
    let config = saving(dir.path());
    stop_after(steps, &config);
    (dir, config)
}

/// Its checkpoint after so many steps of stage `one`.
fn checkpoint(dir: &tempfile::TempDir, steps: usize) -> std::path::PathBuf {
    dir.path().join(format!("checkpoint-{}", SFT_STEPS + steps))
}

fn unbroken(start: fn(&Path) -> RunConfig) -> std::collections::BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    finish(&start(dir.path()));
    files(dir.path())
}

fn assert_ends_as(start: fn(&Path) -> RunConfig, root: &Path) {
    let (whole, found) = (unbroken(start), files(root));
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        whole.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in whole {
        assert!(found[&name] == bytes, "{name} differs");
    }
}

#[test]
fn a_checkpoint_that_is_half_gone_is_named_and_the_one_before_it_taken() {
    let (dir, config) = stopped(3);
    fs::remove_file(checkpoint(&dir, 3).join("trainer_state.json")).unwrap();
    let mut notes = Notes::default();
    go(&config, &mut notes, &Arc::default()).unwrap();
    let named = |note: &String| note.contains("left out") && note.contains("trainer_state.json");
    assert!(notes.0.iter().any(named), "{:?}", notes.0);
    assert_ends_as(saving, dir.path());
}

#[test]
fn checkpoints_that_cannot_be_used_stop_the_run_and_stay() {
    let refused = |spoil: &dyn Fn(&Path), wanted: &str| {
        let (dir, config) = stopped(3);
        (1..=3).for_each(|step| spoil(&checkpoint(&dir, step)));
        let before = files(dir.path());
        let error = go(&config, &mut Notes::default(), &Arc::default()).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
        assert!(files(dir.path()) == before, "nothing was touched: {wanted}");
    };
    let weights = |folder: &Path| fs::remove_file(folder.join("model.safetensors")).unwrap();
    refused(&weights, "no other checkpoint of the stage is whole");
    let version = |folder: &Path| {
        let path = folder.join("trainer_state.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("\"version\": 2", "\"version\": 9")).unwrap();
        sealed_anew(folder);
    };
    refused(&version, "`version` is 9; this build reads 1 and 2");
}

/// Makes a folder that was changed by hand one that was written so.
fn sealed_anew(folder: &Path) {
    let lineage = read_manifest(folder).unwrap().unwrap().lineage;
    fs::remove_file(folder.join(MANIFEST)).unwrap();
    write_manifest(folder, &lineage).unwrap();
}

#[test]
fn a_checkpoint_before_the_first_step_of_a_stage_is_its_own() {
    // A first step that is not finite saves one; the stage before is done with as many steps.
    let (dir, config) = stopped(1);
    let first = checkpoint(&dir, 0);
    fs::rename(checkpoint(&dir, 1), &first).unwrap();
    let path = first.join("trainer_state.json");
    let state = fs::read_to_string(&path).unwrap();
    let state = state
        .replace("\"stage_step\": 1", "\"stage_step\": 0")
        .replace(
            &format!("\"global_step\": {}", SFT_STEPS + 1),
            &format!("\"global_step\": {SFT_STEPS}"),
        );
    fs::write(&path, state).unwrap();
    sealed_anew(&first);
    finish(&config);
    assert!(!first.exists() && dir.path().join("stages/two").is_dir());
}

#[test]
fn what_a_kill_leaves_is_swept_and_a_folder_that_was_to_be_replaced_is_put_back() {
    let (dir, config) = stopped(3);
    let at = |name: &str| dir.path().join(name);
    // Killed while a checkpoint was removed, while a file was written, and between the two
    // renames that put a best model in the place of another.
    fs::create_dir_all(at(".unfinished.gone-checkpoint-9")).unwrap();
    fs::write(at("metrics.partial"), "half").unwrap();
    fs::write(at("eval/sft.jsonl.partial"), "half").unwrap();
    fs::write(at("rollouts/stage-one/step-000001.jsonl.partial"), "half").unwrap();
    // A stage may be called `old-one`.
    fs::create_dir_all(at("stages/.unfinished-old-one")).unwrap();
    fs::rename(at("stages/one-best"), at("stages/.unfinished.old-one-best")).unwrap();
    let best = files(&at("stages/.unfinished.old-one-best"));
    RunDir::open(dir.path()).unwrap();
    assert!(
        files(&at("stages/one-best")) == best,
        "a whole model is put back"
    );
    finish(&config);
    assert_ends_as(saving, dir.path());
}

#[test]
fn checkpoints_that_a_kill_left_behind_their_stage_are_removed() {
    let (dir, config) = stopped(3);
    let kept = tempfile::tempdir().unwrap();
    copy(&checkpoint(&dir, 3), kept.path());
    finish(&config);
    copy(kept.path(), &checkpoint(&dir, 3));
    finish(&config);
    assert_ends_as(saving, dir.path());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn an_older_checkpoint_and_then_the_newest_leave_no_step_out() {
    let (dir, config) = stopped(4);
    let old = checkpoint(&dir, 2);
    let stop = Arc::new(AtomicBool::new(true));
    let stopped = run(
        &config,
        &*task(&config),
        &Resume::From(old),
        &stop,
        &mut Notes::default(),
    );
    assert!(matches!(stopped, Err(TrainError::Interrupted { .. })));
    finish(&config);
    assert_ends_as(saving, dir.path());
}

#[test]
fn a_checkpoint_of_a_stage_that_is_not_next_is_refused() {
    let (dir, config) = stopped(3);
    let kept = dir.path().join("kept");
    copy(&checkpoint(&dir, 3), &kept);
    finish(&config);
    let before = files(dir.path());
    let again = run(
        &config,
        &*task(&config),
        &Resume::From(kept),
        &Arc::default(),
        &mut Notes::default(),
    );
    let error = again.unwrap_err().to_string();
    assert!(
        error.contains("is of stage `one`, but all stages are done"),
        "{error}"
    );
    assert!(files(dir.path()) == before, "nothing was touched");
}

#[test]
fn a_folder_that_was_moved_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    stop_after(3, &saving(&first));
    fs::rename(&first, &second).unwrap();
    let mut config = saving(&first);
    fs::remove_dir_all(&first).unwrap();
    config.out.clone_from(&second);
    finish(&config);
    assert_ends_as(saving, &second);
}

#[test]
fn metrics_that_are_no_steps_are_named_and_a_line_cut_off_at_the_end_is_none() {
    let (dir, config) = stopped(3);
    let path = dir.path().join("metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    for (line, message) in [
        ("{}", "no `step`"),
        (r#"{"step":"x"}"#, r#"`step` is "x""#),
        ("{", "EOF"),
    ] {
        fs::write(&path, format!("{line}\n{text}")).unwrap();
        let error = go(&config, &mut Notes::default(), &Arc::default()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("metrics.jsonl:1") && error.contains(message),
            "{error}"
        );
    }
    // Cut off in a line; with what a power cut can leave; and by a hand that dropped the newline.
    for end in ["\n{\"step\":12", "\n\0\0\0\n", ""] {
        let (dir, config) = stopped(3);
        let path = dir.path().join("metrics.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{}{end}", text.trim_end())).unwrap();
        finish(&config);
        assert_ends_as(saving, dir.path());
    }
}

/// Asks for a stop when an evaluation of this name begins.
struct StopAt<'a> {
    row: &'static str,
    stop: &'a Arc<AtomicBool>,
}

impl Observer for StopAt<'_> {
    fn on(&mut self, event: &Event<'_>) {
        if matches!(event, Event::EvalStart { name, .. } if *name == self.row) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn with_controls(out: &Path) -> RunConfig {
    let mut config = after_sft(out);
    config.eval.controls = true;
    config
}

#[test]
fn evaluations_that_are_stopped_at_any_row_go_on_at_the_next() {
    for row in ["no_critic", "random@1", "perfect", "sft@1", "stage2"] {
        let dir = tempfile::tempdir().unwrap();
        let config = with_controls(dir.path());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = go(&config, &mut StopAt { row, stop: &stop }, &stop);
        let Err(TrainError::Interrupted { saved }) = stopped else {
            panic!("{row}: {stopped:?}");
        };
        assert!(saved.starts_with(dir.path()));
        // The row is begun anew, unless there was nothing to sample in it; those before it stay.
        let rows = Summary::read(&dir.path().join("eval/summary.json"));
        let rows = rows.map_or(Vec::new(), |summary| summary.rows);
        let at = rows.iter().position(|made| made.stage == row);
        assert!(at.is_none_or(|at| at + 1 == rows.len()), "{row}");
        assert_eq!(rows.is_empty(), row == "no_critic");
        finish(&config);
        assert_ends_as(with_controls, dir.path());
    }
}

#[test]
fn a_run_that_is_being_written_is_refused() {
    struct Second(RunConfig, Option<String>);
    impl Observer for Second {
        fn on(&mut self, event: &Event<'_>) {
            if matches!(event, Event::Step { .. }) && self.1.is_none() {
                let second = go(&self.0, &mut Notes::default(), &Arc::default());
                self.1 = Some(second.unwrap_err().to_string());
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.stages.truncate(1);
    let mut second = Second(config.clone(), None);
    go(&config, &mut second, &Arc::default()).unwrap();
    let refused = second.1.unwrap();
    assert!(refused.contains("is being written by process"), "{refused}");
}

#[test]
fn layers_that_no_model_has_are_refused_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    for (modules, found) in [
        (vec!["q_prj".to_owned()], "holds `q_prj`"),
        (vec![], "is empty"),
    ] {
        let mut config = config(dir.path());
        let critic = config.models.get_mut("critic").unwrap();
        critic.lora = Some(critique_model::LoraConfig::new(2, 4.0, modules));
        let error = go(&config, &mut Notes::default(), &Arc::default()).unwrap_err();
        let wanted = format!("`models.critic.lora.target_modules` {found}; supported are `q_proj`");
        assert!(error.to_string().contains(&wanted), "{error}");
        assert!(!dir.path().join("metrics.jsonl").exists());
    }
}
