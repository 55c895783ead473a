//! Is this text's answer equal to the gold one? Extraction, parsing and equivalence within a budget.
//!
//! [`extract`] finds the answer in a response, [`equivalent`] compares two bare
//! answers, [`check`] does both. An [`Outcome`] names the rule that decided.
//!
//! ```
//! use critique_verify::{Kind, Options, check, equivalent};
//!
//! let options = Options::default();
//! assert!(equivalent(r"\frac{6}{\sqrt{3}}", r"2\sqrt3", &options).equal);
//! assert!(!equivalent("3^{100}", "3^{101}", &options).equal);
//!
//! let text = r"Both roots work, so the answer is $\boxed{-2, 5}$.";
//! assert!(check(r"\{5, -2\}", text, Kind::Math, &options).outcome.equal);
//! ```

mod algebra;
mod budget;
mod compare;
pub mod compat;
mod explain;
mod extract;
#[cfg(feature = "jsonl")]
pub mod jsonl;
mod oddity;
mod options;
mod parse;
mod rule;
mod seen;
mod verdict;

pub use explain::explain;
pub use extract::{extract, extract_option};
pub use oddity::{Oddity, oddity};
pub use options::{Check, Extracted, Kind, Options, Outcome, UnknownKind};
pub use rule::{Clue, Rule};
pub use seen::as_seen;

/// Compares two bare answers.
#[must_use]
pub fn equivalent(gold: &str, prediction: &str, options: &Options) -> Outcome {
    compare::equivalent(gold, prediction, options)
}
/// Extracts and compares.
#[must_use]
pub fn check(gold: &str, text: &str, kind: Kind, options: &Options) -> Check {
    let answer = extract(text, kind);
    let outcome = answer.as_ref().map_or_else(
        || Outcome::refused(Rule::NoAnswer),
        |found| equivalent(gold, &found.answer, options),
    );
    Check { answer, outcome }
}
/// Compares a gold answer with a whole response of no known kind.
#[must_use]
pub fn check_text(gold: &str, text: &str, options: &Options) -> Check {
    let answer = extract::guided(gold, text);
    let outcome = answer.as_ref().map_or_else(
        || Outcome::refused(Rule::NoAnswer),
        |found| equivalent(gold, &found.answer, options),
    );
    Check { answer, outcome }
}
