//! Splits that share no problem.

use std::collections::{BTreeMap, HashMap, HashSet};

use critique_core::{Problem, Split, derive_seed};
use serde::Deserialize;

use crate::error::TaskError;
use crate::text::normalized;

/// Every split, in the order of their use.
pub const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// Something for each split that has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BySplit<T> {
    /// For training.
    pub train: Option<T>,
    /// For choosing settings and checkpoints.
    pub validation: Option<T>,
    /// For the figures that are reported.
    pub test: Option<T>,
}

impl<T> Default for BySplit<T> {
    fn default() -> Self {
        Self {
            train: None,
            validation: None,
            test: None,
        }
    }
}

impl<T> BySplit<T> {
    /// The place of a split.
    pub fn slot(&mut self, split: Split) -> &mut Option<T> {
        match split {
            Split::Train => &mut self.train,
            Split::Validation => &mut self.validation,
            _ => &mut self.test,
        }
    }

    /// What a split has.
    pub fn get(&self, split: Split) -> Option<&T> {
        match split {
            Split::Train => self.train.as_ref(),
            Split::Validation => self.validation.as_ref(),
            _ => self.test.as_ref(),
        }
    }

    /// The splits that have it, in the order of [`SPLITS`].
    pub fn iter(&self) -> impl Iterator<Item = (Split, &T)> {
        SPLITS
            .into_iter()
            .filter_map(|split| Some((split, self.get(split)?)))
    }

    /// Whether no split has it.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// What two questions are compared by: their words in lower case, with digits and operators,
/// without layout and punctuation.
pub fn question_key(question: &str) -> String {
    normalized(question)
}

/// Makes sure that no two splits share an id or a question.
///
/// # Errors
///
/// When they do, naming the first shared row in both.
pub fn check_disjoint(splits: &[(Split, &[Problem])]) -> Result<(), TaskError> {
    for (at, (first, rows)) in splits.iter().enumerate() {
        let ids: HashMap<&str, &Problem> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
        let questions: HashMap<String, &Problem> = rows
            .iter()
            .map(|row| (question_key(&row.question), row))
            .collect();
        for (second, others) in &splits[at + 1..] {
            let mut shared = others.iter().filter_map(|other| {
                let found = ids
                    .get(other.id.as_str())
                    .or_else(|| questions.get(&question_key(&other.question)))?;
                Some((found.id.clone(), other.id.clone()))
            });
            if let Some((first_id, second_id)) = shared.next() {
                return Err(TaskError::Overlap {
                    first: *first,
                    first_id,
                    second: *second,
                    second_id,
                    shared: 1 + shared.count(),
                });
            }
        }
    }
    Ok(())
}

/// A row that was left out, with the row of the other split that it repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The row that was left out.
    pub id: String,
    /// The row it repeats.
    pub same_as: String,
}

/// Leaves out of `rows` what also stands in `kept`, by question.
///
/// # Errors
///
/// When an id stands in both, or more than one row in a hundred is shared (and more than
/// five): then the two are no splits of one data set but the same file given twice.
pub fn drop_shared(
    split: Split,
    rows: &mut Vec<Problem>,
    kept_split: Split,
    kept: &[Problem],
) -> Result<Vec<Dropped>, TaskError> {
    let ids: HashSet<&str> = kept.iter().map(|row| row.id.as_str()).collect();
    let questions: HashMap<String, &str> = kept
        .iter()
        .map(|row| (question_key(&row.question), row.id.as_str()))
        .collect();
    let shared: BTreeMap<usize, Dropped> = rows
        .iter()
        .enumerate()
        .filter_map(|(at, row)| {
            let same_as = questions.get(&question_key(&row.question))?;
            let dropped = Dropped {
                id: row.id.clone(),
                same_as: (*same_as).to_owned(),
            };
            Some((at, dropped))
        })
        .collect();
    let overlap = |first_id: &str, second_id: &str, shared: usize| TaskError::Overlap {
        first: kept_split,
        first_id: first_id.to_owned(),
        second: split,
        second_id: second_id.to_owned(),
        shared,
    };
    if let Some(row) = rows.iter().find(|row| ids.contains(row.id.as_str())) {
        let count = rows
            .iter()
            .filter(|row| ids.contains(row.id.as_str()))
            .count();
        return Err(overlap(&row.id, &row.id, count));
    }
    if let Some(first) = shared.values().next()
        && shared.len() > 5
        && shared.len() * 100 > rows.len()
    {
        return Err(overlap(&first.same_as, &first.id, shared.len()));
    }
    let mut at = 0;
    rows.retain(|_| {
        at += 1;
        !shared.contains_key(&(at - 1))
    });
    Ok(shared.into_values().collect())
}

/// Moves a share of the rows out, for a data set without that split. Which rows is decided by
/// the hash of a row's question alone: the order of rows, and other rows, change nothing but
/// how far the slice reaches. Equal questions stay on one side. A slice has at least 32 rows,
/// or a quarter of a set that is smaller than 128.
pub fn hold_out(rows: &mut Vec<Problem>, share: f64, purpose: Split) -> Vec<Problem> {
    if share <= 0.0 || rows.is_empty() {
        return Vec::new();
    }
    let wanted = (rows.len() as f64 * share).round() as usize;
    let wanted = wanted.max(32.min(rows.len() / 4)).min(rows.len());
    let purpose = crate::error::split_name(purpose);
    let hash = |row: &Problem| derive_seed(0, &["hold out", purpose, &question_key(&row.question)]);
    let mut hashes: Vec<u64> = rows.iter().map(hash).collect();
    hashes.sort_unstable();
    let Some(last) = wanted.checked_sub(1).map(|at| hashes[at]) else {
        return Vec::new();
    };
    let (held, kept) = std::mem::take(rows)
        .into_iter()
        .partition(|row| hash(row) <= last);
    *rows = kept;
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(prefix: &str, questions: &[&str]) -> Vec<Problem> {
        let row =
            |(n, question): (usize, &&str)| Problem::new(format!("{prefix}/{n}"), *question, "1");
        questions.iter().enumerate().map(row).collect()
    }

    fn numbered(count: usize) -> Vec<Problem> {
        let questions: Vec<_> = (0..count).map(|n| format!("What is {n} + 1?")).collect();
        rows(
            "r",
            &questions.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_shared_question_is_named_in_both_splits() {
        let train = rows("train", &["a b", "What is  2+2 ?"]);
        let test = rows("test", &["what is 2 + 2"]);
        let error = check_disjoint(&[(Split::Train, &train), (Split::Test, &test)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`test/0` of the test split is also in the train split, as `train/1` (1 shared in \
             all); the splits must share no problem"
        );
        check_disjoint(&[(Split::Train, &train[..1]), (Split::Test, &test)]).unwrap();
    }

    #[test]
    fn a_few_shared_rows_are_left_out_and_named() {
        let test = rows("test", &["x"]);
        let mut train = numbered(200);
        train[7].question = "X?".into();
        let dropped = drop_shared(Split::Train, &mut train, Split::Test, &test).unwrap();
        assert_eq!(train.len(), 199);
        assert_eq!(
            dropped,
            [Dropped {
                id: "r/7".into(),
                same_as: "test/0".into()
            }]
        );
    }

    #[test]
    fn the_same_file_given_twice_is_an_error() {
        let test = numbered(100);
        let mut train = numbered(100);
        for (n, row) in train.iter_mut().enumerate() {
            row.id = format!("other/{n}");
        }
        let error = drop_shared(Split::Train, &mut train, Split::Test, &test).unwrap_err();
        assert!(error.to_string().contains("100 shared in all"), "{error}");
    }

    #[test]
    fn a_slice_depends_on_questions_alone() {
        let mut rows = numbered(1000);
        let held = hold_out(&mut rows, 0.05, Split::Validation);
        assert_eq!((rows.len(), held.len()), (950, 50));
        let mut reversed = numbered(1000);
        reversed.reverse();
        let mut again = hold_out(&mut reversed, 0.05, Split::Validation);
        again.reverse();
        assert_eq!(held, again);
        assert_eq!(
            hold_out(&mut numbered(40), 0.05, Split::Validation).len(),
            10
        );
        assert_eq!(
            hold_out(&mut numbered(400), 0.05, Split::Validation).len(),
            32
        );
    }
}
