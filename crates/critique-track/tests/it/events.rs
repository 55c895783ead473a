//! What event files hold, read by a reader of these tests' own; `tests/interop/trackers.py` reads
//! them with TensorBoard itself.

use std::fs;
use std::path::{Path, PathBuf};

use critique_track::{Follower, TensorBoard};

use crate::support::{add, evaluate, record, run, step};

/// The event files of a folder, in the order of their names.
fn files(root: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(root).unwrap().map(|it| it.unwrap().path());
    let is_events = |path: &PathBuf| path.to_string_lossy().contains("tfevents");
    let mut files: Vec<PathBuf> = names.filter(is_events).collect();
    files.sort();
    files
}

/// The contents of all records; their checks are right.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let mut bytes = &fs::read(path).unwrap()[..];
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let check = |bytes: &[u8]| {
            let plain = crc32c::crc32c(bytes);
            (plain.rotate_right(15))
                .wrapping_add(0xa282_ead8)
                .to_le_bytes()
        };
        assert_eq!(bytes[8..12], check(&bytes[..8]));
        let content = &bytes[12..12 + length];
        assert_eq!(bytes[12 + length..16 + length], check(content));
        all.push(content.to_vec());
        bytes = &bytes[16 + length..];
    }
    all
}

fn holds(record: &[u8], text: &str) -> bool {
    record.windows(text.len()).any(|it| it == text.as_bytes())
}

fn count(records: &[Vec<u8>], text: &str) -> usize {
    records.iter().filter(|it| holds(it, text)).count()
}

#[test]
fn each_step_is_told_once_and_a_line_that_is_not_whole_later() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let dir = run(root);
    record(root);
    add(root, &step(1));
    let second = step(2);
    add(root, &second[..20]);
    let mut follower = Follower::new(dir, TensorBoard::create(root).unwrap(), 1).unwrap();
    follower.poll().unwrap();
    follower.poll().unwrap();
    let told = records(&files(root)[0]);
    assert!(holds(&told[0], "brain.Event:2"));
    assert_eq!(count(&told, "train/loss"), 1);
    assert_eq!(count(&told, "time/step"), 1);
    assert_eq!(count(&told, "nothing"), 0);
    assert_eq!(count(&told, "stages.teacher.lr"), 1);
    // One of two rollouts, between fences that its own do not end.
    assert_eq!(count(&told, "````text\n```\nit is <b>right</b>\n````"), 1);
    assert_eq!(count(&told, "rollouts/teacher"), 1);
    add(root, &second[20..]);
    evaluate(root);
    follower.end(true).unwrap();
    let told = records(&files(root)[0]);
    assert_eq!(count(&told, "train/loss"), 2);
    assert_eq!(count(&told, "eval/acc_refined"), 1);
    assert_eq!(count(&told, "eval-T0.7/perfect/acc_refined"), 1);
    assert_eq!(count(&told, "_hparams_/session_end_info"), 1);
}

#[test]
fn a_run_that_goes_back_is_told_anew() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let dir = run(root);
    add(root, &(step(1) + &step(2) + &step(3)));
    let events = TensorBoard::create(root).unwrap();
    let mut follower = Follower::new(dir.clone(), events, 1).unwrap();
    follower.poll().unwrap();
    let before = files(root);
    fs::write(root.join("metrics.jsonl"), step(1)).unwrap();
    follower.poll().unwrap();
    let after = files(root);
    assert!(after.len() == 1 && after[0] > before[0], "{after:?}");
    let told = records(&after[0]);
    assert_eq!(count(&told, "train/loss"), 1);
    assert_eq!(count(&told, "stages.teacher.lr"), 1);
    // Another process goes on: one file, behind the last, which tells all of it.
    add(root, &step(2));
    let events = TensorBoard::create(root).unwrap();
    Follower::new(dir, events, 1).unwrap().end(true).unwrap();
    let last = files(root);
    assert!(last.len() == 1 && last[0] > after[0], "{last:?}");
    assert_eq!(count(&records(&last[0]), "train/loss"), 2);
}
