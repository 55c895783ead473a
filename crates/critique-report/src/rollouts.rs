//! The rollouts of a page, with every text once.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use critique_core::files::names_in;
use critique_rollout::record::VERSION;
use critique_rollout::{Control, RolloutRecord};
use critique_run::rows::without_temperature;
use serde::Serialize;

use crate::lines::{self, with_cause};
use crate::run::Run;
use crate::sample::{Source, pick, places};
use crate::told::Told;

/// Longest text on a page, in letters.
pub(crate) const LONGEST: usize = 1 << 20;

/// Texts of a page are whole up to this many bytes altogether; of later ones it has the start.
const WHOLE_BYTES: usize = 64 << 20;

/// The start that it has, in letters.
const START: usize = 20_000;

/// Rollouts that can be read on the page.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Rollouts {
    /// How many the runs have, and whether that is exact.
    pub(crate) total: usize,
    pub(crate) exact: bool,
    /// Texts by their number.
    pub(crate) list: Vec<Told<usize>>,
    texts: Texts,
}

/// Texts, each once.
#[derive(Debug, Default, Serialize)]
struct Texts {
    list: Vec<String>,
    /// Letters of those that are not whole, by number.
    cut: BTreeMap<usize, usize>,
    #[serde(skip)]
    known: HashMap<String, usize>,
    #[serde(skip)]
    bytes: usize,
}

impl Rollouts {
    /// At most `limit` rollouts of these runs.
    pub(crate) fn read(runs: &[Run], limit: usize, notes: &mut Vec<String>) -> Self {
        let sources: Vec<Source> = runs
            .iter()
            .enumerate()
            .flat_map(|(number, run)| sources(number, run, notes))
            .collect();
        let sizes: Vec<(usize, bool)> = sources.iter().map(Source::size).collect();
        let counts: Vec<usize> = sizes.iter().map(|(count, _)| *count).collect();
        let weights: Vec<f64> = sources.iter().map(|source| source.weight).collect();
        let mut read = Self {
            total: counts.iter().sum(),
            exact: sizes.iter().all(|(_, exact)| *exact),
            ..Self::default()
        };
        for (at, places) in places(&counts, &weights, limit).into_iter().enumerate() {
            let source = &sources[at];
            // Whole groups seldom fill a file's share; the next file gets what is left of it.
            let mut left = 0;
            for (file, share) in source.shares(places, counts[at]) {
                let before = read.list.len();
                let share = share.saturating_add(left).min(limit - before);
                read.add_file(source, file, share, notes);
                left = share - (read.list.len() - before);
            }
        }
        read
    }

    fn add_file(&mut self, source: &Source, file: &Path, count: usize, notes: &mut Vec<String>) {
        let mut records: Vec<RolloutRecord> = lines::read(file, "a rollout", notes);
        let all = records.len();
        records.retain(|record| record.version == VERSION);
        if records.len() < all {
            let (file, left_out) = (file.display(), all - records.len());
            notes.push(format!(
                "{file}: {left_out} rollouts are of another version than {VERSION}, which this build reads, and left out"
            ));
        }
        let names: Vec<(String, String)> = records.iter().map(names).collect();
        let mut taken = pick(&names, count).into_iter().peekable();
        for (at, record) in records.into_iter().enumerate() {
            if taken.next_if_eq(&at).is_some() {
                let row = source.row.as_deref();
                let number = |text| self.texts.number(text);
                self.list.push(Told::whole(source.run, row, record, number));
            }
        }
    }
}

/// The response that a rollout is about, by its name, and its problem.
fn names(record: &RolloutRecord) -> (String, String) {
    let response = record
        .id
        .rsplit_once('.')
        .map_or(&*record.id, |(name, _)| name);
    (response.to_owned(), record.problem.clone())
}

impl Texts {
    fn number(&mut self, text: String) -> usize {
        if let Some(&number) = self.known.get(&text) {
            return number;
        }
        let number = self.list.len();
        let longest = if self.bytes < WHOLE_BYTES {
            LONGEST
        } else {
            START
        };
        let kept = match text.char_indices().nth(longest) {
            Some((end, _)) => {
                self.cut.insert(number, text.chars().count());
                text[..end].to_owned()
            }
            None => text.clone(),
        };
        self.bytes += kept.len();
        self.list.push(kept);
        self.known.insert(text, number);
        number
    }
}

/// Where the rollouts of a run lie: its stages in their order, then its evaluations.
pub(crate) fn sources(run: usize, of: &Run, notes: &mut Vec<String>) -> Vec<Source> {
    let mut sources = Vec::new();
    let rollouts = of.dir.root().join("rollouts");
    let mut stages = folders(&rollouts, notes);
    let order = |name: &String| {
        of.stages
            .iter()
            .position(|stage| *name == format!("stage-{}", stage.name))
    };
    stages.sort_by_key(|name| (order(name).unwrap_or(usize::MAX), name.clone()));
    for stage in stages {
        let folder = rollouts.join(stage);
        let mut files = folders(&folder, notes);
        files.retain(|name| name.strip_suffix(".jsonl").is_some());
        files.sort();
        sources.push(Source {
            run,
            row: None,
            files: files.iter().map(|name| folder.join(name)).collect(),
            weight: 3.0,
        });
    }
    sources.extend(evaluations(run, of, notes));
    sources
}

fn evaluations(run: usize, of: &Run, notes: &mut Vec<String>) -> Vec<Source> {
    let mut rows: Vec<String> = folders(&of.dir.eval(), notes)
        .iter()
        .filter_map(|name| Some(name.strip_suffix(".jsonl")?.to_owned()))
        .collect();
    let order = |name: &String| of.rows.iter().position(|row| row.stage == *name);
    rows.sort_by_key(|name| {
        (
            is_control(name),
            order(name).unwrap_or(usize::MAX),
            name.clone(),
        )
    });
    let source = |row: String| Source {
        run,
        files: vec![of.dir.eval().join(format!("{row}.jsonl"))],
        weight: if is_control(&row) { 0.5 } else { 2.0 },
        row: Some(row),
    };
    rows.into_iter().map(source).collect()
}

/// Whether a row is of a critic that is no model.
pub(crate) fn is_control(row: &str) -> bool {
    let name = without_temperature(row);
    let more = [Control::ContradictoryCorrect, Control::ContradictoryWrong];
    let mut controls = Control::ALL.into_iter().chain(more);
    controls.any(|control| control.name() == name)
}

/// Names in a folder; none where it is not there.
fn folders(folder: &Path, notes: &mut Vec<String>) -> Vec<String> {
    if !folder.is_dir() {
        return Vec::new();
    }
    names_in(folder).unwrap_or_else(|error| {
        notes.push(with_cause(&error));
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_cut_where_it_is_too_long() {
        let mut texts = Texts::default();
        let long = "ä".repeat(LONGEST + 5);
        assert_eq!(texts.number("a".into()), 0);
        assert_eq!(texts.number(long.clone()), 1);
        assert_eq!(texts.number("a".into()), 0);
        assert_eq!(texts.number(long), 1);
        assert_eq!(texts.list[1].chars().count(), LONGEST);
        assert_eq!(texts.cut[&1], LONGEST + 5);
        texts.bytes = WHOLE_BYTES;
        texts.number("b".repeat(START + 1));
        assert_eq!(texts.list[2].len(), START);
    }

    #[test]
    fn controls_are_known_at_any_temperature() {
        assert!(is_control("perfect@0.7") && is_control("contradictory_wrong"));
        assert!(!is_control("stage1") && !is_control("no_critic"));
    }
}
