//! The released code's reading of verdicts, for comparison only (docs/method.md, "The judgment").
//!
//! It looks for substrings in an order that depends on the truth: a critique that holds both
//! verdicts is right either way, and `Correctable` is `Correct`.

use critique_core::Verdict;

const CORRECT: &str = "Correctness of the final answer: Correct";
const WRONG: &str = "Correctness of the final answer: Wrong";

/// Whether the released code takes a critique's verdict for right; `None` where it finds no
/// verdict. Its training scores `None` as −1, like a wrong verdict; its evaluation leaves it
/// out of the denominator.
///
/// ```
/// use critique_core::Verdict;
/// use critique_rollout::compat::judged_rightly;
///
/// let both = "Correctness of the final answer: Correct\nCorrectness of the final answer: Wrong";
/// assert_eq!(judged_rightly(both, Verdict::Correct), Some(true));
/// assert_eq!(judged_rightly(both, Verdict::Wrong), Some(true));
/// ```
pub fn judged_rightly(text: &str, verdict: Verdict) -> Option<bool> {
    let (right, other) = if verdict.is_correct() {
        (CORRECT, WRONG)
    } else {
        (WRONG, CORRECT)
    };
    if text.contains(right) {
        Some(true)
    } else {
        text.contains(other).then_some(false)
    }
}
