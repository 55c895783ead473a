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

/// Some rows of a batch, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) pieces: Vec<Piece>,
    /// Rows of all pieces.
    pub(crate) count: usize,
}

/// Consecutive rows of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) segment: usize,
    pub(crate) rows: Range<usize>,
    /// How many chosen rows come before it.
    pub(crate) first: usize,
}

impl Chosen {
    /// Adds rows that follow all others; says how many come before them.
    pub(crate) fn push(&mut self, segment: usize, rows: Range<usize>) -> usize {
        let first = self.count;
        self.count += rows.len();
        match self.pieces.last_mut() {
            Some(last) if last.segment == segment && last.rows.end == rows.start => {
                last.rows.end = rows.end;
            }
            _ => self.pieces.push(Piece {
                segment,
                rows,
                first,
            }),
        }
        first
    }

    /// Pieces of some segments.
    pub(crate) fn of(&self, segments: &Range<usize>) -> &[Piece] {
        let at = |segment| self.pieces.partition_point(|p| p.segment < segment);
        &self.pieces[at(segments.start)..at(segments.end)]
    }

    /// Leaves of all rows, `width` values each, the chosen ones.
    pub(crate) fn gather(&self, rows: &mut Vec<f32>, width: usize) {
        if rows.len() == self.count * width {
            return;
        }
        for piece in &self.pieces {
            let from = piece.rows.start * width..piece.rows.end * width;
            rows.copy_within(from, piece.first * width);
        }
        rows.truncate(self.count * width);
    }

    /// Undoes [`Chosen::gather`], with zeros for the other ones of `count` rows.
    pub(crate) fn spread(&self, rows: &mut Vec<f32>, count: usize, width: usize) {
        if count == self.count {
            return;
        }
        rows.reserve_exact(count * width - rows.len());
        rows.resize(count * width, 0.0);
        let mut end = count;
        for piece in self.pieces.iter().rev() {
            let from = piece.first * width..(piece.first + piece.rows.len()) * width;
            rows.copy_within(from, piece.rows.start * width);
            rows[piece.rows.end * width..end * width].fill(0.0);
            end = piece.rows.start;
        }
        rows[..end * width].fill(0.0);
    }
}

/// A log-prob that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Which row of [`Batch::outputs`] it is read from.
    pub(crate) output: usize,
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
    /// All rows.
    pub(crate) all: Chosen,
    /// Rows whose outputs are read. The others only give keys and values, so they end in the last
    /// block before its attention.
    pub(crate) outputs: Chosen,
    pub(crate) targets: Vec<Target>,
}

impl Batch {
    fn push_segment(&mut self, ids: &[u32], parent: Option<usize>, before: usize) -> usize {
        let (first, end) = (self.ids.len(), self.ids.len() + ids.len());
        self.ids.extend_from_slice(ids);
        self.positions
            .extend((0..ids.len()).map(|i| (before + i) as u32));
        self.segments.push(Segment {
            rows: first..end,
            parent,
            before,
        });
        let segment = self.segments.len() - 1;
        self.all.push(segment, first..end);
        segment
    }

    /// Adds a prompt and those completions of it that `chosen` names; targets are the tokens that
    /// `reads` names.
    fn push_group(
        &mut self,
        index: usize,
        group: &Group,
        chosen: Range<usize>,
        reads: &dyn Fn(TokenRun) -> bool,
    ) {
        let prompt = self.push_segment(&group.prompt, None, 0);
        let last = self.segments[prompt].rows.end - 1;
        let mut after_prompt = None;
        for completion in chosen {
            let tokens = &group.completions[completion];
            let at = |start| TokenRun {
                group: index,
                completion,
                start,
            };
            if reads(at(0)) {
                let output =
                    *after_prompt.get_or_insert_with(|| self.outputs.push(prompt, last..last + 1));
                self.targets.push(Target {
                    output,
                    token: tokens[0],
                    at: at(0),
                });
            }
            if tokens.len() > 1 {
                let ids = &tokens[..tokens.len() - 1];
                let segment = self.push_segment(ids, Some(prompt), group.prompt.len());
                let first = self.segments[segment].rows.start;
                for (i, &token) in tokens.iter().enumerate().skip(1) {
                    if reads(at(i)) {
                        let row = first + i - 1;
                        self.targets.push(Target {
                            output: self.outputs.push(segment, row..row + 1),
                            token,
                            at: at(i),
                        });
                    }
                }
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

/// Rows of completions for each row of a prompt from which on a group may be cut.
const REPAYS: usize = 4;

/// Cuts groups into batches of about `budget` rows. The cut depends on the groups and on
/// `budget` only. A group larger than the budget is cut between completions, and its prompt then
/// stands in each part: a part holds up to [`REPAYS`] times as many rows of completions as its
/// prompt has, so that repeated prompts cost little. Targets are the tokens that `reads` names; a
/// batch without any is left out.
pub(crate) fn batches(
    groups: &[Group],
    budget: usize,
    reads: &dyn Fn(TokenRun) -> bool,
) -> Vec<Batch> {
    let mut out = Vec::new();
    let mut batch = Batch::default();
    for (index, group) in groups.iter().enumerate() {
        let mut first = 0;
        while first < group.completions.len() {
            let room = if batch.ids.is_empty() {
                budget.max((1 + REPAYS) * group.prompt.len())
            } else {
                budget.saturating_sub(batch.ids.len())
            };
            let fit = completions_that_fit(group, first, room);
            if fit == 0 && !batch.ids.is_empty() {
                out.push(std::mem::take(&mut batch));
                continue;
            }
            let last = first + fit.max(1);
            batch.push_group(index, group, first..last, reads);
            first = last;
        }
    }
    out.push(batch);
    out.retain(|batch| !batch.targets.is_empty());
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
        let batch = &batches(&[group(3, &[2, 1])], 100, &|_| true)[0];
        assert_eq!(batch.ids, [0, 1, 2, 0]);
        assert_eq!(batch.positions, [0, 1, 2, 3]);
        assert_eq!(
            batch
                .targets
                .iter()
                .map(|t| (t.output, t.token))
                .collect::<Vec<_>>(),
            [(0, 0), (1, 1), (0, 0)]
        );
        assert_eq!(batch.chain(1), [0, 1]);
        let rows = |chosen: &Chosen| -> Vec<_> {
            let pieces = chosen.pieces.iter();
            pieces.map(|p| (p.segment, p.rows.clone())).collect()
        };
        assert_eq!(rows(&batch.all), [(0, 0..3), (1, 3..4)]);
        assert_eq!(rows(&batch.outputs), [(0, 2..3), (1, 3..4)]);
        let two = &batches(&[group(3, &[2, 1]), group(1, &[1])], 100, &|_| true)[0];
        assert_eq!(two.trees(), [0..2, 2..3]);
    }

    #[test]
    fn only_what_is_read_has_an_output() {
        let groups = [group(3, &[6, 2]), group(2, &[4])];
        let reads =
            |at: TokenRun| at.group == 0 && at.completion == 0 && [2, 3, 5].contains(&at.start);
        let batch = &batches(&groups, 100, &reads)[0];
        assert_eq!(batch.ids.len(), 3 + 5 + 1 + 2 + 3);
        // The token after row 3 is the second of the completion.
        let piece = |rows, first| Piece {
            segment: 1,
            rows,
            first,
        };
        assert_eq!(batch.outputs.pieces, [piece(4..6, 0), piece(7..8, 2)]);
        assert_eq!(batch.outputs.of(&(0..1)), []);
        assert_eq!(batch.outputs.of(&(1..3)), batch.outputs.pieces);
        let targets = batch.targets.iter().map(|t| (t.output, t.token));
        assert_eq!(targets.collect::<Vec<_>>(), [(0, 2), (1, 3), (2, 5)]);
        assert_eq!(batches(&groups, 1, &reads).len(), 1);
    }

    #[test]
    fn a_group_is_cut_where_its_completions_are_many_times_its_prompt() {
        let rows = |groups: &[Group], budget| -> Vec<usize> {
            let batches = batches(groups, budget, &|_| true);
            batches.iter().map(|b| b.ids.len()).collect()
        };
        assert_eq!(rows(&[group(100, &[64; 4])], 50), [100 + 4 * 63]);
        assert_eq!(
            rows(&[group(10, &[21; 5])], 50),
            [10 + 40, 10 + 40, 10 + 20]
        );
    }

    #[test]
    fn chosen_rows_are_gathered_and_spread_again() {
        let mut chosen = Chosen::default();
        let pushed = [(0, 1..2), (0, 2..3), (2, 5..6)].map(|(s, rows)| chosen.push(s, rows));
        assert_eq!(pushed, [0, 1, 2]);
        assert_eq!(chosen.pieces.len(), 2);
        let mut rows: Vec<f32> = (0..14).map(|x| x as f32).collect();
        chosen.gather(&mut rows, 2);
        assert_eq!(rows, [2.0, 3.0, 4.0, 5.0, 10.0, 11.0]);
        chosen.spread(&mut rows, 7, 2);
        let expected: Vec<f32> = [0, 0, 2, 3, 4, 5, 0, 0, 0, 0, 10, 11, 0, 0]
            .map(|x| x as f32)
            .to_vec();
        assert_eq!(rows, expected);
    }

    #[test]
    fn every_target_comes_once_whatever_the_budget() {
        let groups = [group(5, &[3, 9, 1, 4]), group(2, &[7]), group(30, &[5, 5])];
        for budget in [1, 8, 13, 40, 1000] {
            let mut seen: Vec<_> = batches(&groups, budget, &|_| true)
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
