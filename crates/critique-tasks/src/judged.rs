//! What a task finds in a text.

use critique_core::{Refusal, Verdict};

/// What a task finds in one response or refinement.
///
/// ```
/// use critique_tasks::{Judged, Verdict};
///
/// // The answer is what stands behind the last `####`.
/// let judged = |text: &str| {
///     let answer = text.rsplit_once("####").map(|(_, answer)| answer.trim().to_owned());
///     Judged::by_answer(answer, |answer| answer == "12")
/// };
/// assert_eq!(judged("3 * 4 = 12\n#### 12").verdict, Verdict::Correct);
/// assert_eq!(judged("#### 13").answer.as_deref(), Some("13"));
/// assert_eq!(judged("twelve").verdict, Verdict::Unparsed);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Judged {
    /// Whether the text is right, wrong, or without an answer.
    pub verdict: Verdict,
    /// The oracle's score (docs/method.md, "Setting", and appendix E of the paper): 1 for a correct
    /// text and 0 for any other, or the scorer's value where the task has no single right answer.
    /// NaN for a text that cannot be scored ([`unscored`](Self::unscored)), else finite; a scorer
    /// that is down is an error of [`Task::judge`](crate::Task::judge).
    pub score: f32,
    /// The answer found in the text, for majority votes and for people; `None` where there is none,
    /// or where the task does not separate it.
    pub answer: Option<String>,
    /// Why a text that is not correct earned nothing, where there is more to say than that its
    /// answer is wrong: for counts by name. `None` where the task cannot say.
    pub refusal: Option<Refusal>,
}

impl Judged {
    /// The judgment on a text by the answer found in it: without one it is
    /// [`Verdict::Unparsed`].
    pub fn by_answer(answer: Option<String>, is_right: impl FnOnce(&str) -> bool) -> Self {
        let verdict = match answer.as_deref() {
            Some(answer) if is_right(answer) => Verdict::Correct,
            Some(_) => Verdict::Wrong,
            None => Verdict::Unparsed,
        };
        Self {
            answer,
            ..verdict.into()
        }
    }

    /// The judgment on a text by a finite score, which counts as good from `pass_mark` on.
    pub fn by_score(score: f32, pass_mark: f32) -> Self {
        let verdict = if score >= pass_mark {
            Verdict::Correct
        } else {
            Verdict::Wrong
        };
        Self {
            score,
            ..verdict.into()
        }
    }

    /// The judgment on a text that cannot be scored, such as one that a scoring model has no number
    /// for. It is no bad score: what hangs on the text is left out of updates and baselines.
    pub fn unscored() -> Self {
        Self {
            score: f32::NAN,
            ..Verdict::Unparsed.into()
        }
    }

    /// The same judgment with the name of what stood in the place of an answer.
    pub fn refused(self, refusal: Option<Refusal>) -> Self {
        Self { refusal, ..self }
    }

    /// Whether the text is accepted.
    pub fn is_correct(&self) -> bool {
        self.verdict.is_correct()
    }
}

/// A verdict alone: the score follows it.
impl From<Verdict> for Judged {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            score: f32::from(u8::from(verdict.is_correct())),
            answer: None,
            refusal: None,
        }
    }
}
