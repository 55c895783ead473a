//! The form of critiques: how they are asked for, written and read (docs/method.md, "Prompts" and
//! "The judgment").

mod disguise;
mod read;

use critique_core::{Judgment, Refusal};

use crate::task::Task;

/// How the critiques of a task end, and with that how they are asked for, written and read.
///
/// Everything that knows the phrases of critiques is here: what a prompt asks for and what a
/// critic that is no model writes is what the reader takes.
///
/// ```
/// use critique_tasks::{CritiqueForm, Judgment};
///
/// let step = CritiqueForm::step("2 + 2 = 5", false, "2 + 2 is 4");
/// let end = CritiqueForm::conclusion(Judgment::Wrong, "it must be 4");
/// let critique = format!("{step}\n{end}");
/// assert_eq!(CritiqueForm::Verdict.judgment(&critique), Judgment::Wrong);
/// // Two verdicts are none: a critique cannot have it both ways.
/// let hedged = format!("{critique}\n{}", CritiqueForm::claim(Judgment::Correct));
/// assert_eq!(CritiqueForm::Verdict.judgment(&hedged), Judgment::Unparsed);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CritiqueForm {
    /// A block for each step, then a verdict on the final answer.
    Verdict,
    /// Comments, and among them a score from 1 to 10 (appendix E of the paper).
    Score,
}

/// The phrases, with the newline that stands before them and the blank behind: whole tokens of a
/// small model's vocabulary.
impl CritiqueForm {
    /// Begins the block of a step.
    pub const STEP: &str = "Step sentence: ";
    /// Stands before the mark of a step.
    pub const STEP_MARK: &str = "\nCorrectness of the step: ";
    /// Stands before reasons, of a step and of the verdict.
    pub const EXPLANATION: &str = "\nExplanation: ";
    /// Stands before the verdict.
    pub const VERDICT: &str = "Correctness of the final answer: ";
    /// Stands before the score.
    pub const SCORE: &str = "Score: ";
    /// The mark of what is right.
    pub const CORRECT: &str = "Correct";
    /// The mark of what is wrong.
    pub const WRONG: &str = "Wrong";
}

/// A mark in a prompt.
const EITHER: &str = "[Correct/Wrong]";

/// Asking.
impl CritiqueForm {
    /// The form of a task's critiques.
    pub fn of(task: &dyn Task) -> Self {
        if task.is_open_ended() {
            Self::Score
        } else {
            Self::Verdict
        }
    }

    /// What a prompt asks for: the whole form of critiques with a verdict, or the line of the score,
    /// which stands among comments of the task's own.
    pub fn asked(self) -> String {
        match self {
            Self::Verdict => format!(
                "{}\nand then, once:\n{}",
                block("<the step>", EITHER, "<why>"),
                ending(Self::VERDICT, EITHER, "<why, and what to do instead>")
            ),
            Self::Score => format!(
                "{}<one number from 1, useless, to 10, perfect>",
                Self::SCORE
            ),
        }
    }
}

/// Writing. Texts stand as they are given: one with a line in the form of a claim makes one.
impl CritiqueForm {
    /// The block of a step as [`CritiqueForm::asked`] has it.
    pub fn step(sentence: &str, correct: bool, explanation: &str) -> String {
        block(sentence, mark(correct), explanation)
    }

    /// The block of a step whose mark follows from what stands before it: for a small model, which
    /// computes as it writes.
    pub fn checked_step(sentence: &str, check: &str, correct: bool) -> String {
        let (step, explanation, before) = (Self::STEP, Self::EXPLANATION, Self::STEP_MARK);
        format!(
            "{step}{sentence}{explanation}{check}{before}{}",
            mark(correct)
        )
    }

    /// The line of a claim; nothing for [`Judgment::Unparsed`]. Scores have at most three decimals.
    pub fn claim(judgment: Judgment) -> String {
        let (before, value) = match judgment {
            Judgment::Correct => (Self::VERDICT, Self::CORRECT.to_owned()),
            Judgment::Wrong => (Self::VERDICT, Self::WRONG.to_owned()),
            Judgment::Score(score) => {
                let rounded = (score * 1000.0).round() / 1000.0;
                (Self::SCORE, rounded.to_string())
            }
            Judgment::Unparsed => return String::new(),
        };
        format!("{before}{value}")
    }

    /// The line of a claim with its reasons behind it.
    pub fn conclusion(judgment: Judgment, explanation: &str) -> String {
        ending(&Self::claim(judgment), "", explanation)
    }
}

/// Reading. Odd text is data: it has no claim, and a name for what stood in its place.
impl CritiqueForm {
    /// What a critique claims, or why it claims nothing.
    ///
    /// A verdict counts on a line that starts with `Correctness of the final answer:`, markdown
    /// emphasis and heading marks and blanks aside, in any case of ASCII letters. There must be
    /// exactly one such line, and its value must be `Correct` or `Wrong`, with or without square
    /// brackets, emphasis and a full stop. Another verdict that a reader would see all the same, such
    /// as one behind a list or quote mark, in look-alike letters or in the middle of a line, must not
    /// contradict it; words in quote marks and on a line that repeats a step are quotations.
    ///
    /// A score counts on one line `Score:`, and is a decimal number from 1 to 10 with at most three
    /// decimals, with or without `/10`. Another score at the start of a line, behind whatever marks,
    /// must not contradict it.
    ///
    /// # Errors
    ///
    /// With the reason: no line, two lines (equal ones too), `Correctable`, `not Correct`,
    /// `Correct/Wrong`, letters that only look like these.
    ///
    /// ```
    /// use critique_tasks::{CritiqueForm, Judgment, Refusal};
    ///
    /// let verdict = "Correctness of the final answer: Wrong";
    /// assert_eq!(CritiqueForm::Verdict.read(verdict), Ok(Judgment::Wrong));
    /// let both = format!("{verdict}\n- Correctness of the final answer: Correct");
    /// assert_eq!(CritiqueForm::Verdict.read(&both), Err(Refusal::Several));
    /// assert_eq!(CritiqueForm::Score.read("Score: 7.5/10"), Ok(Judgment::Score(7.5)));
    /// ```
    pub fn read(self, text: &str) -> Result<Judgment, Refusal> {
        match self {
            Self::Verdict => read::verdict(text),
            Self::Score => read::score(text),
        }
    }

    /// [`CritiqueForm::read`], with [`Judgment::Unparsed`] where there is no claim.
    pub fn judgment(self, text: &str) -> Judgment {
        self.read(text).unwrap_or(Judgment::Unparsed)
    }

    /// The part of a critique that the actor is shown: from the first `Step sentence:` on, or all
    /// of it where there is none.
    pub fn for_actor(text: &str) -> &str {
        let first = text.find(label(Self::STEP));
        first.map_or(text, |start| &text[start..])
    }
}

fn mark(correct: bool) -> &'static str {
    if correct {
        CritiqueForm::CORRECT
    } else {
        CritiqueForm::WRONG
    }
}

fn block(sentence: &str, mark: &str, explanation: &str) -> String {
    let (step, before) = (CritiqueForm::STEP, CritiqueForm::STEP_MARK);
    ending(&format!("{step}{sentence}{before}"), mark, explanation)
}

fn ending(before: &str, mark: &str, explanation: &str) -> String {
    format!("{before}{mark}{}{explanation}", CritiqueForm::EXPLANATION)
}

/// A phrase without the blanks around it, its colon included.
fn label(phrase: &'static str) -> &'static str {
    phrase.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERDICTS: [Judgment; 2] = [Judgment::Correct, Judgment::Wrong];

    #[test]
    fn the_prompt_asks_for_what_is_written_and_read() {
        assert_eq!(
            CritiqueForm::Verdict.asked(),
            "Step sentence: <the step>\n\
             Correctness of the step: [Correct/Wrong]\n\
             Explanation: <why>\n\
             and then, once:\n\
             Correctness of the final answer: [Correct/Wrong]\n\
             Explanation: <why, and what to do instead>"
        );
        let filled = CritiqueForm::Verdict.asked().replace(EITHER, "Wrong");
        let (first, last) = filled.split_once("\nand then, once:\n").unwrap();
        assert_eq!(first, CritiqueForm::step("<the step>", false, "<why>"));
        let why = "<why, and what to do instead>";
        assert_eq!(last, CritiqueForm::conclusion(Judgment::Wrong, why));
        assert_eq!(CritiqueForm::Verdict.judgment(&filled), Judgment::Wrong);
        let score = CritiqueForm::Score.asked();
        let score = score.replace("<one number from 1, useless, to 10, perfect>", "8");
        assert_eq!(CritiqueForm::Score.judgment(&score), Judgment::Score(8.0));
    }

    /// Neither form is a claim before it is filled in.
    #[test]
    fn the_form_alone_claims_nothing() {
        for form in [CritiqueForm::Verdict, CritiqueForm::Score] {
            assert_eq!(form.judgment(&form.asked()), Judgment::Unparsed);
        }
    }

    #[test]
    fn what_is_written_is_read_whatever_the_steps_say() {
        for verdict in VERDICTS {
            for marks in [[true, true], [true, false], [false, false]] {
                let asked = marks.map(|mark| CritiqueForm::step("2 + 2 = 5", mark, "it is 4"));
                let small = marks.map(|mark| CritiqueForm::checked_step("2+2=5", "5-2=3", mark));
                for steps in [asked, small] {
                    let steps = steps.join("\n");
                    for end in [
                        CritiqueForm::claim(verdict),
                        CritiqueForm::conclusion(verdict, "2+2=4\n4+0=4"),
                    ] {
                        let text = format!("{steps}\n{end}");
                        assert_eq!(CritiqueForm::Verdict.read(&text), Ok(verdict), "{text}");
                        assert_eq!(CritiqueForm::for_actor(&text), text);
                        assert_eq!(CritiqueForm::for_actor(&format!("Well.\n{text}")), text);
                        assert_eq!(CritiqueForm::Verdict.judgment(&end), verdict);
                    }
                }
            }
        }
    }

    #[test]
    fn every_score_that_is_written_is_read() {
        for thousandths in (1000..=10_000).step_by(125) {
            let score = Judgment::Score(thousandths as f32 / 1000.0);
            let line = CritiqueForm::claim(score);
            assert_eq!(CritiqueForm::Score.read(&line), Ok(score), "{line}");
            let text = format!("Fluency: good\n{}", CritiqueForm::conclusion(score, "why"));
            assert_eq!(CritiqueForm::Score.read(&text), Ok(score), "{text}");
            // A score is no verdict.
            assert_eq!(CritiqueForm::Verdict.judgment(&text), Judgment::Unparsed);
        }
        let third = CritiqueForm::claim(Judgment::Score(10.0 / 3.0));
        assert_eq!(CritiqueForm::Score.judgment(&third), Judgment::Score(3.333));
        assert_eq!(CritiqueForm::claim(Judgment::Unparsed), "");
    }
}
