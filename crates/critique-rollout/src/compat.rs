//! The released code's reading of verdicts, for comparison only (docs/method.md, "The judgment").
//!
//! It looks for substrings in an order that depends on the truth: a critique that holds both
//! verdicts is right either way, and `Correctable` is `Correct`.

use critique_core::{Judgment, Verdict};
use critique_tasks::CritiqueForm;

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
    let says = |correct| text.contains(&CritiqueForm::claim(Judgment::of(correct)));
    if says(verdict.is_correct()) {
        Some(true)
    } else {
        says(!verdict.is_correct()).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a verdict line.
    const V: &str = "Correctness of the final answer";

    /// Defects D1 and D2, kept so that they can be shown.
    #[test]
    fn the_released_code_can_be_cheated() {
        let both = format!("{V}: Correct\n{V}: Wrong");
        let quoted = format!("{V}: Wrong\nExplanation: not \"{V}: Correct\"");
        for text in [&both, &quoted] {
            assert_eq!(judged_rightly(text, Verdict::Correct), Some(true));
            assert_eq!(judged_rightly(text, Verdict::Wrong), Some(true));
        }
        let correctable = format!("{V}: Correctable");
        assert_eq!(judged_rightly(&correctable, Verdict::Correct), Some(true));
        assert_eq!(judged_rightly(&correctable, Verdict::Unparsed), Some(false));
        let lower = format!("{V}: correct");
        assert_eq!(judged_rightly(&lower, Verdict::Correct), None);
        let bracketed = format!("{V}: [Correct]");
        assert_eq!(judged_rightly(&bracketed, Verdict::Correct), None);
    }
}
