//! How many critiques of a file are of each class: a critic learns from a lopsided file to say
//! always the same.

use std::fmt;
use std::path::Path;

use critique_core::Judgment;
use critique_tasks::data::read_records;
use critique_tasks::{CritiqueForm, TaskError};
use serde::Serialize;

/// The share of one class from which on a file is called lopsided.
const LOPSIDED: f64 = 0.9;

/// Critiques by what they say of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Classes {
    pub(crate) correct: usize,
    pub(crate) wrong: usize,
    /// Without a verdict, or with several.
    pub(crate) unparsed: usize,
}

impl Classes {
    /// Those of a file of rows with a field `critique`; nothing where its first row has none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, TaskError> {
        let records = read_records(path)?;
        let is_of_critiques =
            |first: &critique_tasks::data::Record| first.get("critique").is_some();
        if !records.first().is_some_and(is_of_critiques) {
            return Ok(None);
        }
        let mut classes = Self::default();
        for record in &records {
            let text = record
                .text_or_empty(&["critique"])
                .map_err(|fault| TaskError::Row {
                    path: path.to_owned(),
                    line: record.line(),
                    message: fault.to_string(),
                })?;
            classes.count(CritiqueForm::Verdict.judgment(&text));
        }
        Ok(Some(classes))
    }

    /// Counts one more.
    pub(crate) fn count(&mut self, judgment: Judgment) {
        match judgment {
            Judgment::Correct => self.correct += 1,
            Judgment::Wrong => self.wrong += 1,
            Judgment::Score(_) | Judgment::Unparsed => self.unparsed += 1,
        }
    }

    fn total(self) -> usize {
        self.correct + self.wrong + self.unparsed
    }

    /// What a critic learns from a file in which one class is nearly all.
    pub(crate) fn warning(self) -> Option<String> {
        let total = self.total() as f64;
        let (word, most) = if self.correct > self.wrong {
            ("Correct", self.correct as f64)
        } else {
            ("Wrong", self.wrong as f64)
        };
        (total > 0.0 && most >= LOPSIDED * total).then(|| {
            format!(
                "{:.0} % of them say `{word}`, and a critic that learns from them will say so \
                 of any response",
                100.0 * most / total
            )
        })
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            correct,
            wrong,
            unparsed,
        } = self;
        write!(
            f,
            "{} critiques: {correct} say `Correct`, {wrong} say `Wrong`, {unparsed} have no verdict",
            self.total()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_that_is_nearly_all_is_warned_of() {
        let classes = |correct, wrong, unparsed| Classes {
            correct,
            wrong,
            unparsed,
        };
        let warning = classes(1, 99, 0).warning().unwrap();
        assert!(warning.starts_with("99 % of them say `Wrong`"), "{warning}");
        assert!(classes(9, 1, 0).warning().unwrap().contains("`Correct`"));
        assert_eq!(classes(50, 50, 0).warning(), None);
        assert_eq!(classes(5, 5, 90).warning(), None);
        assert_eq!(Classes::default().warning(), None);
    }
}
