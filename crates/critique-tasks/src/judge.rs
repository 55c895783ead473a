//! From a text to a verdict, by the kind of answer.

use critique_core::{Problem, Refusal};
use critique_verify::{self as verify, Kind, Oddity};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::TaskError;
use crate::judged::Judged;
use crate::prompts::PromptStyle;

/// How the answers of a data set are found, compared and asked for.
#[derive(Debug, Clone)]
pub struct Judge {
    kind: Kind,
    options: verify::Options,
    is_compat: bool,
}

impl Judge {
    /// The rules of a kind, with the options it is scored with.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            options: verify::Options::for_kind(kind),
            is_compat: false,
        }
    }

    /// The rules of the method's released code in place of ours, for comparison only
    /// ([`verify::compat`]).
    pub fn compat(kind: Kind) -> Self {
        Self {
            is_compat: true,
            ..Self::new(kind)
        }
    }

    /// The kind of answers.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same rules with some options of comparison changed.
    ///
    /// # Errors
    ///
    /// When a key is no option, or its value no value of it.
    pub fn with(mut self, changes: &toml::Table) -> Result<Self, TaskError> {
        self.options = overlay(&self.options, changes)?;
        Ok(self)
    }

    /// Judges a text: no answer is [`Verdict::Unparsed`](critique_core::Verdict::Unparsed), and an answer that cannot be compared
    /// within the budget is [`Verdict::Wrong`](critique_core::Verdict::Wrong).
    pub fn judge(&self, problem: &Problem, text: &str) -> Judged {
        if self.is_compat {
            return self.judge_as_released(problem, text);
        }
        let judged = match self.extract(problem, text) {
            Some(found) => Judged::by_answer(Some(found.answer), |answer| {
                verify::equivalent(&problem.answer, answer, &self.options).equal
            }),
            None => Judged::by_answer(self.chosen(problem, text), |letter| {
                letter == problem.answer
            }),
        };
        let refusal = self.refusal(&judged, text);
        judged.refused(refusal)
    }

    /// Whether answers are letters of options.
    pub(crate) fn has_options(&self) -> bool {
        matches!(self.kind, Kind::Aqua | Kind::MultipleChoice)
    }

    /// The answer in a text; of more options than the kind usually has, too.
    fn extract(&self, problem: &Problem, text: &str) -> Option<verify::Extracted> {
        let usual = if self.kind == Kind::Aqua { 'E' } else { 'J' };
        match problem.lettered_choices().last() {
            Some((last, _)) if self.has_options() && last > usual => {
                verify::extract_option(text, last)
            }
            _ => verify::extract(text, self.kind),
        }
    }

    /// A text that ends in the gold answer, after the worked solution where there is one.
    pub fn gold_response(&self, problem: &Problem) -> String {
        let solution = without_marks(&problem.solution);
        let answer = &problem.answer;
        let last = match self.kind {
            Kind::Math => format!("The answer is $\\boxed{{{answer}}}$."),
            _ => format!("The answer is {answer}."),
        };
        if solution.trim().is_empty() {
            last
        } else {
            format!("{}\n{last}", solution.trim_end())
        }
    }

    /// The worked solution, where it states its answer in so many words: in a box, after
    /// `####`, or after "the answer is".
    pub fn stated_solution(&self, problem: &Problem) -> Option<String> {
        let marks: &[&str] = match self.kind {
            Kind::Math => &["\\boxed", "\\fbox"],
            Kind::Gsm8k => &["####"],
            _ => &["The answer is"],
        };
        marks
            .iter()
            .any(|mark| problem.solution.contains(mark))
            .then(|| problem.solution.clone())
    }

    /// The three prompts, with the form of answer that this kind has.
    pub fn prompts(&self) -> PromptStyle {
        let form = match self.kind {
            Kind::Aqua | Kind::MultipleChoice => "[the letter of your choice]",
            Kind::YesNo => "[yes or no]",
            _ => return PromptStyle::default(),
        };
        let base = PromptStyle::default();
        PromptStyle {
            response: base.response.replace("[your answer]", form),
            refinement: base.refinement.replace("[your answer]", form),
            ..base
        }
    }

    /// The released code finds an answer in any text; only silence has none. It has no names for
    /// what it refuses.
    fn judge_as_released(&self, problem: &Problem, text: &str) -> Judged {
        let has_text = !text.trim().is_empty();
        let answer = has_text.then(|| verify::compat::extract(text, self.kind));
        Judged::by_answer(answer, |_| {
            verify::compat::check(&problem.answer, text, self.kind)
        })
    }

    /// Why a text earned nothing, where there is more to say than that its answer is wrong.
    fn refusal(&self, judged: &Judged, text: &str) -> Option<Refusal> {
        if judged.is_correct() {
            return None;
        }
        let oddity = verify::oddity(text, self.kind)?;
        // An option by its text, or beyond the usual letters, is an answer.
        let answers = oddity == Oddity::NoAnswer && judged.answer.is_some();
        (!answers).then(|| refusal_of(oddity))
    }

    /// The letter of the one option whose text a response without a letter gives as its answer.
    fn chosen(&self, problem: &Problem, text: &str) -> Option<String> {
        if !self.has_options() {
            return None;
        }
        let stated = last_statement(text)?;
        let mut hits = problem
            .lettered_choices()
            .filter(|(_, choice)| verify::equivalent(choice, stated, &self.options).equal);
        let (letter, _) = hits.next()?;
        hits.next().is_none().then(|| letter.to_string())
    }
}

fn refusal_of(oddity: Oddity) -> Refusal {
    match oddity {
        Oddity::Silent => Refusal::Silent,
        Oddity::Unfinished => Refusal::Unfinished,
        Oddity::Several => Refusal::Several,
        Oddity::Negated => Refusal::Negated,
        Oddity::LookAlike => Refusal::LookAlike,
        Oddity::Hidden => Refusal::Hidden,
        Oddity::TooLong => Refusal::TooLong,
        _ => Refusal::NoClaim,
    }
}

/// What stands after the last "answer is" on its line, without closing marks.
fn last_statement(text: &str) -> Option<&str> {
    let at = text.rfind("answer is")? + "answer is".len();
    let line = text[at..].lines().next()?;
    let stated = line
        .trim_matches(|c: char| c.is_whitespace() || ":*$`\"'".contains(c))
        .trim_end_matches(['.', '$', '*']);
    (!stated.is_empty()).then_some(stated)
}

/// A solution without the calculator marks `<<48/2=24>>` of GSM8K.
fn without_marks(solution: &str) -> String {
    let mut out = String::with_capacity(solution.len());
    let mut rest = solution;
    while let Some((before, after)) = rest.split_once("<<") {
        let Some((_, tail)) = after.split_once(">>") else {
            break;
        };
        out.push_str(before);
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// A settings struct with some of its fields replaced: the options of a task lie over its
/// defaults.
///
/// # Errors
///
/// When a key is no field, or its value no value of it.
pub(crate) fn overlay<T>(base: &T, changes: &toml::Table) -> Result<T, TaskError>
where
    T: Serialize + DeserializeOwned,
{
    let mut table = toml::Table::try_from(base).map_err(|error| TaskError::Data {
        message: format!("settings that TOML cannot hold: {error}"),
    })?;
    for (key, value) in changes {
        table.insert(key.clone(), value.clone());
    }
    Ok(T::deserialize(table)?)
}

/// One value or a list of values.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany<T> {
    /// A list.
    Many(Vec<T>),
    /// A single value.
    One(T),
}

impl<T> OneOrMany<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::Many(list) => list,
            Self::One(one) => std::slice::from_ref(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use critique_core::Verdict;

    use super::*;

    #[test]
    fn calculator_marks_go() {
        assert_eq!(
            without_marks("48/2 = <<48/2=24>>24 clips, 3 << 4"),
            "48/2 = 24 clips, 3 << 4"
        );
    }

    #[test]
    fn the_released_rules_refuse_what_ours_accept() {
        let problem = Problem::new("x", "q", "12");
        let text = "The answer is $\\boxed{12.0}$.";
        let (ours, theirs) = (Judge::new(Kind::Math), Judge::compat(Kind::Math));
        assert_eq!(ours.judge(&problem, text).verdict, Verdict::Correct);
        assert_eq!(theirs.judge(&problem, text).verdict, Verdict::Wrong);
        assert_eq!(theirs.judge(&problem, " ").verdict, Verdict::Unparsed);
    }

    #[test]
    fn an_unknown_option_is_named_with_the_known_ones() {
        let changes = toml::from_str("tolerence = 0.1").unwrap();
        let message = Judge::new(Kind::Math)
            .with(&changes)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("tolerence") && message.contains("relative_tolerance"),
            "{message}"
        );
    }
}
