//! The options of a question: their texts, the line that lists them, and that line read back.

use crate::data::Fault;

/// Letters of options.
const LETTERS: std::ops::RangeInclusive<char> = 'A'..='Z';

/// What stands before the options in a question.
const TITLE: &str = "Answer Choices:";

/// The texts of options, without letters that they already carry, as in `A)12`.
///
/// # Errors
///
/// When there is no option, or more than there are letters.
pub(super) fn unlettered<S: AsRef<str>>(choices: &[S]) -> Result<Vec<String>, Fault> {
    let most = LETTERS.count();
    if choices.is_empty() || choices.len() > most {
        let found = choices.len();
        return Err(Fault::new(format!(
            "found {found} options, expected 1 to {most}, a letter from `A` to `Z` each"
        )));
    }
    let text = |(choice, letter): (&S, char)| {
        let choice = choice.as_ref().trim();
        let text = [format!("{letter})"), format!("({letter})")]
            .iter()
            .find_map(|label| choice.strip_prefix(label.as_str()))
            .unwrap_or(choice);
        text.trim().to_owned()
    };
    Ok(choices.iter().zip(LETTERS).map(text).collect())
}

/// A question followed by its options as `Answer Choices: (A) .. (B) ..` on a line of their own.
pub(super) fn listed(question: &str, choices: &[String]) -> String {
    let mut out = format!("{}\n{TITLE}", question.trim_end());
    for (choice, letter) in choices.iter().zip(LETTERS) {
        for piece in [" (", letter.encode_utf8(&mut [0; 4]), ") ", choice] {
            out.push_str(piece);
        }
    }
    out
}

/// The options that a question lists as `Answer Choices: (A) .. (B) ..`, as [`Row::choices`] and
/// the uniform layout do; none where it lists none. An option that holds such a letter itself is
/// cut there: where the options are at hand, [`Row::choices`] keeps them whole.
///
/// ```
/// let question = "2 + 2?\nAnswer Choices: (A) 3 (B) 4";
/// assert_eq!(critique_tasks::data::choices_in(question), ["3", "4"]);
/// ```
///
/// [`Row::choices`]: crate::data::Row::choices
pub fn choices_in(question: &str) -> Vec<String> {
    let list = question.rsplit_once(TITLE).map_or("", |(_, list)| list);
    let text = |letter: char| {
        let (_, rest) = list.split_once(&format!("({letter}) "))?;
        let next = char::from_u32(letter as u32 + 1)?;
        let end = rest.find(&format!(" ({next}) ")).unwrap_or(rest.len());
        Some(rest[..end].trim().to_owned())
    };
    LETTERS.map_while(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_question_are_read_back() {
        let choices = unlettered(&["5(√3 + 1)", "(a) or b", "None of these"]).unwrap();
        let question = listed("Which?", &choices);
        assert_eq!(
            question,
            "Which?\nAnswer Choices: (A) 5(√3 + 1) (B) (a) or b (C) None of these"
        );
        assert_eq!(choices_in(&question), choices);
        assert!(choices_in("What is (A) 3?").is_empty());
    }

    #[test]
    fn choices_carry_their_letter_once() {
        let choices = unlettered(&["A)12", "(B) 13", " E"]).unwrap();
        assert_eq!(choices, ["12", "13", "E"]);
        assert_eq!(
            listed("Which?\n", &choices),
            "Which?\nAnswer Choices: (A) 12 (B) 13 (C) E"
        );
    }

    #[test]
    fn every_option_has_a_letter_or_the_row_is_refused() {
        let all = listed("?", &unlettered(&["x"; 26]).unwrap());
        assert!(all.ends_with(" (Z) x"), "{all}");
        for count in [0, 27, 1000] {
            let fault = unlettered(&vec!["x"; count]).unwrap_err();
            assert_eq!(
                fault.to_string(),
                format!("found {count} options, expected 1 to 26, a letter from `A` to `Z` each")
            );
        }
    }
}
