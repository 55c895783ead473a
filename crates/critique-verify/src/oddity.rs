//! Why a text earns nothing, where there is more to say than that its answer is wrong.

use crate::budget::MAX_ANSWER_BYTES;
use crate::extract::{self, Attempt};
use crate::options::Kind;
use crate::seen;

/// What is odd about the place where an answer should stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Oddity {
    /// Nothing but white space.
    Silent,
    /// Words, but no answer in a form that the kind of task knows.
    NoAnswer,
    /// A box that is empty or never closed, a thought that never ends.
    Unfinished,
    /// Several answers at once: `A or B`, `#### 5 or 6`.
    Several,
    /// The only answer is denied: `not 36`.
    Negated,
    /// Letters or digits of other alphabets in place of the usual ones.
    LookAlike,
    /// Characters that show nothing, in the answer or beside it.
    Hidden,
    /// An answer too long to be compared.
    TooLong,
}

/// What is odd about a response that was not accepted; `None` where it states one answer that is
/// merely wrong.
///
/// It reads the text up to four times, so it is for counting what a model does, not for judging.
///
/// ```
/// use critique_verify::{Kind, Oddity, oddity};
///
/// assert_eq!(oddity("The answer is A or B.", Kind::Aqua), Some(Oddity::Several));
/// assert_eq!(oddity("The answer is not 36.", Kind::Gsm8k), Some(Oddity::Negated));
/// assert_eq!(oddity("The answer is 36.", Kind::Gsm8k), None);
/// ```
#[must_use]
pub fn oddity(text: &str, kind: Kind) -> Option<Oddity> {
    if text.trim().is_empty() {
        return Some(Oddity::Silent);
    }
    match extract::attempt(text, kind) {
        Attempt::Found(answer) => of_answer(&answer, kind),
        Attempt::Several => Some(Oddity::Several),
        Attempt::Unfinished => Some(Oddity::Unfinished),
        Attempt::Hidden => Some(Oddity::Hidden),
        Attempt::Nothing => Some(of_nothing(text, kind)),
    }
}

/// A list in brackets is what `TheoremQA` asks for.
fn of_answer(answer: &str, kind: Kind) -> Option<Oddity> {
    if answer.len() > MAX_ANSWER_BYTES {
        return Some(Oddity::TooLong);
    }
    let lists = kind != Kind::TheoremQa || !answer.starts_with('[');
    (lists && extract::is_list(answer)).then_some(Oddity::Several)
}

/// What the text would have said without one trick.
fn of_nothing(text: &str, kind: Kind) -> Oddity {
    let answers = |text: &str| {
        matches!(
            extract::attempt(text, kind),
            Attempt::Found(_) | Attempt::Several
        )
    };
    let shown: String = text.chars().filter(|c| !seen::is_hidden(*c)).collect();
    if shown.len() < text.len() && answers(&shown) {
        return Oddity::Hidden;
    }
    let seen = seen::as_seen(text);
    if seen != shown && answers(&seen) {
        return Oddity::LookAlike;
    }
    if answers(&extract::affirmed(text)) {
        return Oddity::Negated;
    }
    Oddity::NoAnswer
}
