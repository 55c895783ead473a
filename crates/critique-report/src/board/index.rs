//! Where each rollout lies, and what filters ask of it. Texts stay on disk.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use critique_core::{Judgment, Verdict};
use critique_rollout::RolloutRecord;
use critique_rollout::record::VERSION;
use serde::Deserialize;

use crate::board::watched::of_file;
use crate::sample::Source;

/// The rollouts of a run.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) files: Vec<IndexedFile>,
    /// Ids of problems by their number.
    pub(super) problems: Vec<String>,
    known: HashMap<String, u32>,
    /// How often it changed.
    pub(super) generation: u64,
}

/// A file of rollouts.
#[derive(Debug)]
pub(super) struct IndexedFile {
    pub(super) path: PathBuf,
    /// Of evaluations.
    pub(super) row: Option<String>,
    /// The stage, by the folder's name; empty of evaluations.
    pub(super) stage: String,
    stamp: (u64, u128),
    pub(super) entries: Vec<Entry>,
    /// Lines that hold no rollout of this version.
    bad: usize,
}

/// A rollout: its place, and what filters ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    offset: u64,
    length: u32,
    pub(super) step: u32,
    pub(super) problem: u32,
    pub(super) reward: f32,
    pub(super) advantage: f32,
    pub(super) verdict: Verdict,
    pub(super) claim: Claim,
    pub(super) judged_rightly: bool,
    /// A bit for each of what became of the response: right and right, right and wrong, wrong and
    /// right, wrong and wrong.
    pub(super) ways: u8,
}

/// What a critique claims, without a score's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    Correct,
    Wrong,
    Unparsed,
    Score,
}

/// The fields of a line that the index keeps.
#[derive(Deserialize)]
struct Head<'a> {
    version: u32,
    step: u32,
    #[serde(borrow)]
    problem: Cow<'a, str>,
    verdict: Verdict,
    judgment: Judgment,
    judged_rightly: bool,
    refinements: Vec<Refined>,
    reward: f32,
    advantage: f32,
}

#[derive(Deserialize)]
struct Refined {
    verdict: Verdict,
}

/// What a thread makes of a file.
type Scanned = (Vec<(Entry, String)>, usize);

impl Index {
    /// Reads files that came or changed, and forgets those that went.
    pub(super) fn refresh(&mut self, sources: &[Source]) {
        let mut old: HashMap<PathBuf, IndexedFile> = std::mem::take(&mut self.files)
            .into_iter()
            .map(|file| (file.path.clone(), file))
            .collect();
        let before = old.len();
        let mut files = Vec::new();
        let mut new = Vec::new();
        for source in sources {
            for path in &source.files {
                let stamp = of_file(path);
                if let Some(file) = old.remove(path).filter(|file| file.stamp == stamp) {
                    files.push(file);
                } else {
                    new.push(files.len());
                    files.push(IndexedFile::empty(path, source, stamp));
                }
            }
        }
        if !new.is_empty() || files.len() != before {
            self.generation += 1;
        }
        let paths: Vec<&Path> = new.iter().map(|&at| files[at].path.as_path()).collect();
        for (at, (entries, bad)) in new.iter().zip(scan_all(&paths)) {
            let number = |(entry, problem): (Entry, String)| Entry {
                problem: self.number(problem),
                ..entry
            };
            files[*at].entries = entries.into_iter().map(number).collect();
            files[*at].bad = bad;
        }
        self.files = files;
    }

    fn number(&mut self, problem: String) -> u32 {
        if let Some(&number) = self.known.get(&problem) {
            return number;
        }
        let number = self.problems.len() as u32;
        self.problems.push(problem.clone());
        self.known.insert(problem, number);
        number
    }

    /// The number of a problem, where it has one.
    pub(super) fn problem(&self, id: &str) -> Option<u32> {
        self.known.get(id).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.files.iter().map(|file| file.entries.len()).sum()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let damaged = self.files.iter().filter(|file| file.bad > 0);
        let note = |file: &IndexedFile| {
            let (path, bad) = (file.path.display(), file.bad);
            format!("{path}: {bad} lines hold no rollout of version {VERSION} and are left out")
        };
        damaged.map(note).collect()
    }
}

impl IndexedFile {
    fn empty(path: &Path, source: &Source, stamp: (u64, u128)) -> Self {
        let folder = path.parent().and_then(Path::file_name);
        let folder = folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let stage = folder.strip_prefix("stage-").unwrap_or_default();
        Self {
            path: path.to_owned(),
            stage: if source.row.is_some() {
                String::new()
            } else {
                stage.to_owned()
            },
            row: source.row.clone(),
            stamp,
            entries: Vec::new(),
            bad: 0,
        }
    }

    /// The records of these entries, as they stand in the file now; one that cannot be read any more
    /// is left out.
    pub(super) fn records(&self, entries: &[u32]) -> Vec<(u32, RolloutRecord)> {
        let Ok(mut file) = File::open(&self.path) else {
            return Vec::new();
        };
        let mut read = |at: u32| {
            let line = line(&mut file, &self.entries[at as usize]).ok()?;
            Some((at, serde_json::from_slice(&line).ok()?))
        };
        entries.iter().filter_map(|&at| read(at)).collect()
    }
}

fn line(file: &mut File, entry: &Entry) -> io::Result<Vec<u8>> {
    let mut line = vec![0; entry.length as usize];
    file.seek(SeekFrom::Start(entry.offset))?;
    file.read_exact(&mut line)?;
    Ok(line)
}

impl Entry {
    /// The line of this entry in the bytes of its file; nothing where the file is shorter by now.
    pub(super) fn line<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let begin = usize::try_from(self.offset).ok()?;
        bytes.get(begin..begin + self.length as usize)
    }
}

/// What files hold, read by all threads, in the order of the files.
fn scan_all(paths: &[&Path]) -> Vec<Scanned> {
    super::filter::in_parallel(paths, |path| scan(path))
}

fn scan(path: &Path) -> Scanned {
    let bytes = fs::read(path).unwrap_or_default();
    let mut entries = Vec::new();
    let mut bad = 0;
    let mut offset = 0;
    for line in bytes.split(|&byte| byte == b'\n') {
        if !line.trim_ascii().is_empty() {
            match entry(line, offset) {
                Some(entry) => entries.push(entry),
                None => bad += 1,
            }
        }
        offset += line.len() as u64 + 1;
    }
    (entries, bad)
}

fn entry(line: &[u8], offset: u64) -> Option<(Entry, String)> {
    let head: Head<'_> = serde_json::from_slice(line).ok()?;
    if head.version != VERSION {
        return None;
    }
    let entry = Entry {
        offset,
        length: u32::try_from(line.len()).ok()?,
        step: head.step,
        problem: 0,
        reward: head.reward,
        advantage: head.advantage,
        verdict: head.verdict,
        claim: claim(head.judgment),
        judged_rightly: head.judged_rightly,
        ways: head
            .refinements
            .iter()
            .fold(0, |ways, it| ways | way(head.verdict, it.verdict)),
    };
    Some((entry, head.problem.into_owned()))
}

fn claim(judgment: Judgment) -> Claim {
    match judgment {
        Judgment::Correct => Claim::Correct,
        Judgment::Wrong => Claim::Wrong,
        Judgment::Unparsed => Claim::Unparsed,
        Judgment::Score(_) => Claim::Score,
    }
}

fn way(before: Verdict, after: Verdict) -> u8 {
    1 << match (before.is_correct(), after.is_correct()) {
        (true, true) => 0,
        (true, false) => 1,
        (false, true) => 2,
        (false, false) => 3,
    }
}
