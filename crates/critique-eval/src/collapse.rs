//! Which way a critic went in training, and which way it leans (figure 3 of the paper).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::metrics::Metric;

use crate::summary::Row;

/// What became of a critic's verdicts between two evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collapse {
    /// Better on right responses and worse on wrong ones: it says "correct" too often, as
    /// rewards on the refinement alone bring about (`r_refine`, `r_Δ`).
    Conservative,
    /// Better on wrong responses and worse on right ones: it says "wrong" too often, as
    /// `r_correction` brings about.
    Aggressive,
    /// Worse on both.
    Degraded,
    /// Not worse on either.
    Healthy,
}

/// Labels the way from one row to another by accuracy per class. A class is worse when it
/// lost more than `margin` (a fraction, such as 0.02). `None` where a row has no such accuracy.
///
/// A loss in one class counts as collapse even where the other stood still: the critic moved
/// to one side.
pub fn collapse(before: &Row, after: &Row, margin: f64) -> Option<Collapse> {
    let on_correct = after.acc_dis_correct? - before.acc_dis_correct?;
    let on_wrong = after.acc_dis_incorrect? - before.acc_dis_incorrect?;
    Some(match (on_correct < -margin, on_wrong < -margin) {
        (false, true) => Collapse::Conservative,
        (true, false) => Collapse::Aggressive,
        (true, true) => Collapse::Degraded,
        (false, false) => Collapse::Healthy,
    })
}

/// What the rates of one row say of its critic's verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lean {
    /// Less than half of the critiques have a verdict.
    Silent,
    /// Nearly all verdicts are the same.
    Constant,
    /// Balanced Acc@Dis may be that of a critic that does not look.
    Blind,
    /// It says "correct" too often: a conservative critic.
    ToCorrect,
    /// It says "wrong" too often: an aggressive critic.
    ToWrong,
    /// Neither class is judged better than the other, by more than their intervals.
    Even,
}

impl fmt::Display for Lean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "silent",
            Self::Constant => "constant",
            Self::Blind => "blind",
            Self::ToCorrect => "to Correct",
            Self::ToWrong => "to Wrong",
            Self::Even => "even",
        })
    }
}

/// Share of equal verdicts from which on a critic counts as constant.
const CONSTANT: f64 = 0.99;

impl Row {
    /// What its rates say of the critic's verdicts. `None` without critiques, for critiques
    /// that give scores, and where all responses are of one class.
    pub fn lean(&self) -> Option<Lean> {
        let (parsed, said_correct) = (self.parse_rate?, self.extra.said_correct?);
        if parsed < 0.5 {
            return Some(Lean::Silent);
        }
        let same = said_correct.max(parsed - said_correct) / parsed;
        if same >= CONSTANT {
            return Some(Lean::Constant);
        }
        let interval = |metric: Metric| self.ci95.get(metric.name()).copied();
        if interval(Metric::AccDisBalanced)?[0] <= 0.5 {
            return Some(Lean::Blind);
        }
        let [low_on_right, high_on_right] = interval(Metric::AccDisCorrect)?;
        let [low_on_wrong, high_on_wrong] = interval(Metric::AccDisIncorrect)?;
        Some(if low_on_right > high_on_wrong {
            Lean::ToCorrect
        } else if low_on_wrong > high_on_right {
            Lean::ToWrong
        } else {
            Lean::Even
        })
    }
}
