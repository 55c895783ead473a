//! Which way a critic went in training (figure 3 of the paper).

use serde::{Deserialize, Serialize};

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
