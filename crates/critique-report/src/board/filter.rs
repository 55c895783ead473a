//! Which rollouts of an index are asked for.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use critique_core::Verdict;
use critique_rollout::RolloutRecord;
use memchr::memmem::Finder;

use crate::board::index::{Claim, Entry, Index, IndexedFile};

/// What became of a response, as the page names it, by the bit of an entry.
const WAYS: [&str; 4] = [
    "right \u{2192} right",
    "right \u{2192} wrong",
    "wrong \u{2192} right",
    "wrong \u{2192} wrong",
];

/// Rollouts of some kind. Nothing set asks for all.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Filters {
    /// Number of the run among those that are looked at.
    pub(super) run: Option<usize>,
    /// A stage, or `evaluation: ROW`.
    pub(super) place: Option<String>,
    pub(super) problem: Option<String>,
    pub(super) response: Option<String>,
    pub(super) judgment: Option<String>,
    pub(super) judged: Option<String>,
    pub(super) transition: Option<String>,
    /// From and to, counted from 1.
    pub(super) step: [Option<u32>; 2],
    pub(super) reward: [Option<f32>; 2],
    /// In small letters.
    pub(super) text: Option<String>,
    pub(super) order: Order,
}

/// The order of what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    #[default]
    OfTheRun,
    HighestReward,
    LowestReward,
    LargestAdvantage,
}

/// A rollout that was found: numbers of run, file and entry, and what it is sorted by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hit {
    pub(super) run: u32,
    pub(super) file: u32,
    pub(super) entry: u32,
    by: f32,
}

impl Filters {
    /// The rollouts of a run that pass, in the order of the run.
    pub(super) fn find(&self, run: usize, index: &Index) -> Vec<Hit> {
        if self.run.is_some_and(|only| only != run) {
            return Vec::new();
        }
        let problem = match &self.problem {
            Some(id) => match index.problem(id) {
                Some(number) => Some(number),
                None => return Vec::new(),
            },
            None => None,
        };
        let files: Vec<(usize, &IndexedFile)> = index
            .files
            .iter()
            .enumerate()
            .filter(|(_, file)| self.wants_file(file))
            .collect();
        let of_file = |(at, file): &(usize, &IndexedFile)| -> Vec<Hit> {
            let entries = self.in_file(file, problem);
            let hit = |entry: u32| Hit {
                run: run as u32,
                file: *at as u32,
                entry,
                by: self.order.of(&file.entries[entry as usize]),
            };
            entries.into_iter().map(hit).collect()
        };
        in_parallel(&files, of_file).concat()
    }

    fn wants_file(&self, file: &IndexedFile) -> bool {
        // Rewards and steps are those of training.
        let of_training = self.step != [None, None] || self.reward != [None, None];
        match (&self.place, &file.row) {
            (_, Some(_)) if of_training => false,
            (None, _) => true,
            (Some(place), Some(row)) => place.strip_prefix("evaluation: ") == Some(row),
            (Some(place), None) => *place == file.stage,
        }
    }

    fn in_file(&self, file: &IndexedFile, problem: Option<u32>) -> Vec<u32> {
        let passes = |entry: &Entry| {
            problem.is_none_or(|number| entry.problem == number) && self.passes(entry)
        };
        let entries = file.entries.iter().enumerate();
        let passing = entries.filter(|(_, entry)| passes(entry));
        let numbers: Vec<u32> = passing.map(|(at, _)| at as u32).collect();
        match &self.text {
            Some(text) if !numbers.is_empty() => saying(file, numbers, text),
            _ => numbers,
        }
    }

    fn passes(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, holds: &dyn Fn(&str) -> bool| {
            wanted.as_deref().is_none_or(holds)
        };
        within(entry.step.saturating_add(1), self.step)
            && within(entry.reward, self.reward)
            && is(&self.response, &|name| is_verdict(name, entry.verdict))
            && is(&self.judgment, &|name| name == name_of(entry.claim))
            && is(&self.judged, &|name| {
                (name == "rightly") == entry.judged_rightly
            })
            && is(&self.transition, &|name| went(name, entry.ways))
    }
}

impl Order {
    fn of(self, entry: &Entry) -> f32 {
        match self {
            Self::OfTheRun => 0.0,
            Self::HighestReward => -entry.reward,
            Self::LowestReward => entry.reward,
            Self::LargestAdvantage => -entry.advantage.abs(),
        }
    }

    /// Sorts what was found; equals stay in the order of the run.
    pub(super) fn sort(self, hits: &mut [Hit]) {
        if self != Self::OfTheRun {
            hits.sort_by(|a, b| a.by.total_cmp(&b.by));
        }
    }
}

fn within<T: PartialOrd + Copy>(value: T, [from, to]: [Option<T>; 2]) -> bool {
    from.is_none_or(|from| value >= from) && to.is_none_or(|to| value <= to)
}

fn is_verdict(name: &str, verdict: Verdict) -> bool {
    match name {
        "not" => !verdict.is_correct(),
        "correct" => verdict == Verdict::Correct,
        "wrong" => verdict == Verdict::Wrong,
        "unparsed" => verdict == Verdict::Unparsed,
        _ => false,
    }
}

fn name_of(claim: Claim) -> &'static str {
    match claim {
        Claim::Correct => "correct",
        Claim::Wrong => "wrong",
        Claim::Unparsed => "unparsed",
        Claim::Score => "score",
    }
}

fn went(name: &str, ways: u8) -> bool {
    match WAYS.iter().position(|way| *way == name) {
        Some(bit) => ways & (1 << bit) != 0,
        None => name == "none" && ways == 0,
    }
}

/// Those of these entries whose id or texts hold `text`, in small letters.
fn saying(file: &IndexedFile, entries: Vec<u32>, text: &str) -> Vec<u32> {
    let Ok(bytes) = fs::read(&file.path) else {
        return Vec::new();
    };
    let hint = Hint::of(text);
    let says = |at: &u32| {
        let line = file.entries[*at as usize].line(&bytes);
        line.is_some_and(|line| hint.may_hold(line) && holds(line, text))
    };
    entries.into_iter().filter(says).collect()
}

fn holds(line: &[u8], text: &str) -> bool {
    let Ok(record) = serde_json::from_slice::<RolloutRecord>(line) else {
        return false;
    };
    let refinements = record.refinements.iter().map(|it| &it.text);
    let texts = [
        &record.id,
        &record.question,
        &record.response,
        &record.critique,
    ];
    let mut texts = texts.into_iter().chain(refinements);
    texts.any(|said| said.to_lowercase().contains(text))
}

/// Passes over most lines without reading them as JSON: letters of ASCII stand in JSON as they are, so a
/// line without the longest such stretch of the text does not hold it.
struct Hint(Option<Finder<'static>>);

impl Hint {
    fn of(text: &str) -> Self {
        // Letters such as the Kelvin sign turn into `k`: their lines have no `k` to be found by.
        let plain = |c: char| {
            c.is_ascii()
                && !c.is_ascii_control()
                && !matches!(c, '"' | '\\' | '/' | 'k' | 'i' | 's')
        };
        let stretches = text.split(|c| !plain(c));
        let longest = stretches
            .max_by_key(|stretch| stretch.len())
            .unwrap_or_default();
        let finder = || Finder::new(longest.as_bytes()).into_owned();
        Self((longest.len() > 1).then(finder))
    }

    fn may_hold(&self, line: &[u8]) -> bool {
        let found = |finder: &Finder<'_>| finder.find(&line.to_ascii_lowercase()).is_some();
        self.0.as_ref().is_none_or(found)
    }
}

/// Does something with each, on all threads; results are in order.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if items.len() < 2 || threads == 1 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let numbered = || {
        let mut own = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else {
                return super::locked(&done).extend(own);
            };
            own.push((at, work(item)));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(numbered);
        }
    });
    let mut done = std::mem::take(&mut *super::locked(&done));
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_work_stays_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        let squares = in_parallel(&items, |n| n * n);
        assert!(
            squares
                .iter()
                .enumerate()
                .all(|(n, square)| *square == n * n)
        );
        assert_eq!(in_parallel(&[7], |n| n + 1), [8]);
    }

    #[test]
    fn a_hint_never_hides_what_is_there() {
        for (text, line) in [
            ("answer", r#"{"critique":"The ANSWER is 4"}"#),
            ("say \"no\"", r#"{"critique":"I say \"no\" to it"}"#),
            ("größe", r#"{"critique":"die Größe"}"#),
            ("kelvin", "{\"critique\":\"5 \u{212a}elvin\"}"),
            ("a\nb", r#"{"critique":"a\nb"}"#),
            ("", "{}"),
        ] {
            assert!(Hint::of(text).may_hold(line.as_bytes()), "{text}");
        }
        assert!(!Hint::of("answer").may_hold(b"{}"));
    }

    #[test]
    fn ways_are_known_by_their_names() {
        assert!(went("wrong \u{2192} right", 0b0100) && !went("wrong \u{2192} right", 0b0010));
        assert!(went("none", 0) && !went("none", 1) && !went("other", 0));
    }
}
