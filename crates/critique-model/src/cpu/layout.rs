//! Groups of sequences as rows of tokens: prompts once, completions after them, no padding.

use std::ops::Range;

use crate::engine::{Group, TokenRun};

/// Consecutive tokens and what stands before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Rows of its tokens.
    pub(crate) rows: Range<usize>,
    /// The segment that it continues.
    pub(crate) parent: Option<usize>,
    /// Tokens before its first one.
    pub(crate) before: usize,
}

/// A log-prob that is wanted: of `token` after row `row`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) row: usize,
    pub(crate) token: u32,
    /// Which token of which completion it is.
    pub(crate) at: TokenRun,
}

/// Rows that are computed together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) ids: Vec<u32>,
    pub(crate) positions: Vec<u32>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) targets: Vec<Target>,
}

impl Batch {
    fn push_segment(&mut self, ids: &[u32], parent: Option<usize>, before: usize) -> usize {
        let first = self.ids.len();
        self.ids.extend_from_slice(ids);
        self.positions
            .extend((0..ids.len()).map(|i| (before + i) as u32));
        self.segments.push(Segment {
            rows: first..first + ids.len(),
            parent,
            before,
        });
        self.segments.len() - 1
    }

    /// Adds a prompt and those completions of it that `chosen` names.
    fn push_group(&mut self, index: usize, group: &Group, chosen: Range<usize>) {
        let prompt = self.push_segment(&group.prompt, None, 0);
        let last = self.segments[prompt].rows.end - 1;
        for completion in chosen {
            let tokens = &group.completions[completion];
            let at = |start| TokenRun {
                group: index,
                completion,
                start,
            };
            self.targets.push(Target {
                row: last,
                token: tokens[0],
                at: at(0),
            });
            if tokens.len() > 1 {
                let segment = self.push_segment(
                    &tokens[..tokens.len() - 1],
                    Some(prompt),
                    group.prompt.len(),
                );
                let first = self.segments[segment].rows.start;
                let rest = tokens[1..].iter().enumerate();
                self.targets.extend(rest.map(|(i, &token)| Target {
                    row: first + i,
                    token,
                    at: at(i + 1),
                }));
            }
        }
    }

    /// Segments of each prompt with its completions; nothing outside reads them.
    pub(crate) fn trees(&self) -> Vec<Range<usize>> {
        let roots: Vec<usize> = (0..self.segments.len())
            .filter(|&s| self.segments[s].parent.is_none())
            .collect();
        let ends = roots.iter().skip(1).copied().chain([self.segments.len()]);
        roots.iter().zip(ends).map(|(&a, b)| a..b).collect()
    }

    /// A segment and its ancestors, first tokens first.
    pub(crate) fn chain(&self, segment: usize) -> Vec<usize> {
        let mut chain = vec![segment];
        while let Some(parent) = self.segments[chain[chain.len() - 1]].parent {
            chain.push(parent);
        }
        chain.reverse();
        chain
    }
}

/// Cuts groups into batches of about `budget` rows. The cut depends on the groups and on
/// `budget` only. A group larger than the budget is cut between completions, its prompt then
/// stands in each part.
pub(crate) fn batches(groups: &[Group], budget: usize) -> Vec<Batch> {
    let mut out = Vec::new();
    let mut batch = Batch::default();
    for (index, group) in groups.iter().enumerate() {
        let mut first = 0;
        while first < group.completions.len() {
            let room = if batch.ids.is_empty() {
                budget
            } else {
                budget.saturating_sub(batch.ids.len())
            };
            let fit = completions_that_fit(group, first, room);
            if fit == 0 && !batch.ids.is_empty() {
                out.push(std::mem::take(&mut batch));
                continue;
            }
            let last = first + fit.max(1);
            batch.push_group(index, group, first..last);
            first = last;
        }
    }
    if !batch.ids.is_empty() {
        out.push(batch);
    }
    out
}

fn completions_that_fit(group: &Group, first: usize, room: usize) -> usize {
    let mut rows = group.prompt.len();
    group.completions[first..]
        .iter()
        .take_while(|completion| {
            rows += completion.len() - 1;
            rows <= room
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(prompt: usize, completions: &[usize]) -> Group {
        let tokens = |n: usize| (0..n as u32).collect();
        Group {
            prompt: tokens(prompt),
            completions: completions.iter().map(|&n| tokens(n)).collect(),
        }
    }

    #[test]
    fn a_prompt_stands_once_and_last_tokens_take_no_row() {
        let batch = &batches(&[group(3, &[2, 1])], 100)[0];
        assert_eq!(batch.ids, [0, 1, 2, 0]);
        assert_eq!(batch.positions, [0, 1, 2, 3]);
        assert_eq!(
            batch
                .targets
                .iter()
                .map(|t| (t.row, t.token))
                .collect::<Vec<_>>(),
            [(2, 0), (3, 1), (2, 0)]
        );
        assert_eq!(batch.chain(1), [0, 1]);
        let two = &batches(&[group(3, &[2, 1]), group(1, &[1])], 100)[0];
        assert_eq!(two.trees(), [0..2, 2..3]);
    }

    #[test]
    fn every_target_comes_once_whatever_the_budget() {
        let groups = [group(5, &[3, 9, 1, 4]), group(2, &[7]), group(30, &[5, 5])];
        for budget in [1, 8, 13, 40, 1000] {
            let mut seen: Vec<_> = batches(&groups, budget)
                .iter()
                .flat_map(|b| {
                    b.targets
                        .iter()
                        .map(|t| (t.at.group, t.at.completion, t.at.start))
                        .collect::<Vec<_>>()
                })
                .collect();
            let want: Vec<_> = groups
                .iter()
                .enumerate()
                .flat_map(|(g, group)| {
                    group
                        .completions
                        .iter()
                        .enumerate()
                        .flat_map(move |(c, t)| (0..t.len()).map(move |i| (g, c, i)))
                })
                .collect();
            seen.sort_unstable();
            assert_eq!(seen, want, "budget {budget}");
        }
    }
}
