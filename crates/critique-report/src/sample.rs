//! Which rollouts a page holds where it cannot hold all.

use std::collections::BTreeMap;
use std::path::PathBuf;

use critique_core::derive_seed;

/// Files of at most this size altogether are counted, larger ones are estimated.
const COUNTED_BYTES: u64 = 64 << 20;

/// Where a few files are read instead of all, a file gives at least this many rollouts, so that
/// critiques of one response can be compared.
const A_FILE: usize = 8;

/// Files of rollouts that are of one kind: the steps of a stage, or one evaluation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Source {
    /// Number of the run.
    pub(crate) run: usize,
    /// The row, of evaluations.
    pub(crate) row: Option<String>,
    /// In the order of steps.
    pub(crate) files: Vec<PathBuf>,
    /// How much of the page it gets beside others.
    pub(crate) weight: f64,
}

impl Source {
    /// How many rollouts it has, and whether that is exact.
    pub(crate) fn size(&self) -> (usize, bool) {
        let bytes = |path: &PathBuf| path.metadata().map_or(0, |data| data.len());
        let total: u64 = self.files.iter().map(bytes).sum();
        if total <= COUNTED_BYTES {
            return (self.files.iter().map(lines).sum(), true);
        }
        let first = self.files.first();
        let (lines, bytes) = first.map_or((0, 0), |file| (lines(file), bytes(file)));
        let all = lines as f64 * total as f64 / bytes.max(1) as f64;
        (all as usize, false)
    }

    /// Its files that are read for `count` of its `size` rollouts, each with how many it gives.
    pub(crate) fn shares(&self, count: usize, size: usize) -> Vec<(&PathBuf, usize)> {
        let files = self.files.len();
        if count == 0 || files == 0 {
            return Vec::new();
        }
        if count >= size {
            return self.files.iter().map(|file| (file, usize::MAX)).collect();
        }
        let a_file = (count / files).max(A_FILE.min(size.div_ceil(files))).max(1);
        let read = (count / a_file).clamp(1, files);
        let place = |at: usize| at * (files - 1) / (read - 1).max(1);
        // What a division leaves goes to the first ones.
        let share = |at: usize| count / read + usize::from(at < count % read);
        let chosen = (0..read).map(|at| (&self.files[place(at)], share(at)));
        chosen.collect()
    }
}

fn lines(path: &PathBuf) -> usize {
    let bytes = std::fs::read(path).unwrap_or_default();
    let filled = |line: &&[u8]| !line.trim_ascii().is_empty();
    bytes.split(|&byte| byte == b'\n').filter(filled).count()
}

/// How many of `limit` places each gets: in the ratio of weights, and none more than it has.
pub(crate) fn places(sizes: &[usize], weights: &[f64], limit: usize) -> Vec<usize> {
    let mut given = vec![0; sizes.len()];
    let mut open: Vec<usize> = (0..sizes.len()).collect();
    let mut left = limit;
    loop {
        let weight: f64 = open.iter().map(|&at| weights[at]).sum();
        let fair = |at: usize| (left as f64 * weights[at] / weight) as usize;
        let (small, large): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|&&at| sizes[at] <= fair(at));
        if small.is_empty() {
            for at in large {
                given[at] = fair(at);
            }
            return given;
        }
        for at in small {
            given[at] = sizes[at];
            left -= sizes[at];
        }
        open = large;
    }
}

/// Which of the rollouts of a file are taken, given the response that each is about and that
/// response's problem: whole groups, and those of the same problems in every file.
pub(crate) fn pick(rollouts: &[(String, String)], count: usize) -> Vec<usize> {
    if rollouts.len() <= count {
        return (0..rollouts.len()).collect();
    }
    let mut groups: BTreeMap<(u64, &str), Vec<usize>> = BTreeMap::new();
    for (at, (response, problem)) in rollouts.iter().enumerate() {
        let order = derive_seed(0, &["report", problem]);
        groups.entry((order, response)).or_default().push(at);
    }
    let mut taken = Vec::new();
    for group in groups.into_values() {
        let room = count - taken.len();
        if group.len() <= room || taken.is_empty() {
            taken.extend(group.into_iter().take(room));
        }
    }
    taken.sort_unstable();
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_to_all_and_what_one_leaves_to_others() {
        assert_eq!(places(&[10, 10], &[1.0, 1.0], 100), [10, 10]);
        assert_eq!(places(&[1000, 1000], &[3.0, 1.0], 100), [75, 25]);
        assert_eq!(places(&[10, 1000, 1000], &[1.0; 3], 100), [10, 45, 45]);
        assert_eq!(places(&[], &[], 100), [0; 0]);
    }

    #[test]
    fn files_are_taken_from_the_first_to_the_last() {
        let files: Vec<PathBuf> = (0..100).map(|step| format!("{step}").into()).collect();
        let source = Source {
            run: 0,
            row: None,
            files,
            weight: 1.0,
        };
        let shares = source.shares(40, 100 * 32);
        let names: Vec<&str> = shares
            .iter()
            .map(|(file, _)| file.to_str().unwrap())
            .collect();
        assert_eq!(names, ["0", "24", "49", "74", "99"]);
        assert!(shares.iter().all(|(_, count)| *count == 8));
        assert_eq!(source.shares(1, 3200).len(), 1);
        assert_eq!(source.shares(3200, 3200).len(), 100);
        let some: usize = source
            .shares(1001, 3200)
            .iter()
            .map(|(_, count)| count)
            .sum();
        assert_eq!(some, 1001);
    }

    #[test]
    fn whole_groups_of_the_same_problems_are_taken_whatever_their_order() {
        let of = |order: [&str; 3]| -> Vec<(String, String)> {
            let each = order.into_iter().flat_map(|problem| [problem; 4]);
            each.map(|problem| (format!("s/0/{problem}/0"), problem.to_owned()))
                .collect()
        };
        let problems = |rollouts: &[(String, String)]| -> Vec<String> {
            let mut names: Vec<String> = pick(rollouts, 9)
                .into_iter()
                .map(|at| rollouts[at].1.clone())
                .collect();
            names.sort();
            names
        };
        let one = problems(&of(["a", "b", "c"]));
        assert_eq!(one.len(), 8);
        assert_eq!(one, problems(&of(["c", "a", "b"])));
        assert_eq!(pick(&of(["a", "b", "c"]), 2).len(), 2);
    }
}
