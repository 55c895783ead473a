//! The three prompts of the method (docs/method.md, "Prompts"): answer, criticise, refine.

use critique_core::{Message, Problem, Prompt, Role};
use serde::{Deserialize, Serialize};

use crate::error::TaskError;
use crate::form::CritiqueForm;
use crate::judge::overlay;

/// Words of the three prompts. `{question}`, `{response}` and `{critique}` stand for their
/// texts; what a text itself contains is never expanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptStyle {
    /// What the actor is asked.
    pub response: String,
    /// How the actor's response begins.
    pub response_prefill: String,
    /// What ends the actor's response after its last word, such as a newline, where all the
    /// responses that models learn from end so. [`PromptStyle::as_response`] writes it.
    pub response_end: String,
    /// What the critic is asked; names `{question}` and `{response}`.
    pub critique: String,
    /// What the actor is asked after its response; names `{critique}`.
    pub refinement: String,
    /// How the actor's refinement begins.
    pub refinement_prefill: String,
}

impl Default for PromptStyle {
    fn default() -> Self {
        Self {
            response: "{question}\n\nThink step by step, then end with a line of the form: \
                       The answer is [your answer]."
                .into(),
            response_prefill: "Let's break it down step by step:\n\n".into(),
            response_end: String::new(),
            critique: format!(
                "Below are a question and a solution written one step a line. Check the solution \
                 step by step: repeat each step, say whether it is correct, and explain why. At \
                 the end say whether the final answer is correct.\n\n\
                 Use exactly this form, with one block for each step:\n{}\n\n\
                 Question:\n{{question}}\n\nSolution:\n{{response}}",
                CritiqueForm::Verdict.asked()
            ),
            refinement: "Here is a step-by-step critique of your solution:\n\n{critique}\n\n\
                         Read it and follow it strictly. Write a new, complete step-by-step \
                         solution, and end with a line of the form: The answer is [your answer]."
                .into(),
            refinement_prefill: "Let's break it down step by step, strictly following the \
                                 critique:\n\n"
                .into(),
        }
    }
}

impl PromptStyle {
    /// These prompts with some of their fields replaced: the `prompts` table of a task.
    ///
    /// # Errors
    ///
    /// When a key is no field, or a prompt does not name a text that it is made of.
    pub fn with(&self, changes: &toml::Table) -> Result<Self, TaskError> {
        let style: Self = overlay(self, changes)?;
        let needed = [
            ("response", &style.response, "{question}"),
            ("critique", &style.critique, "{question}"),
            ("critique", &style.critique, "{response}"),
            ("refinement", &style.refinement, "{critique}"),
        ];
        match needed.iter().find(|(_, text, name)| !text.contains(name)) {
            None => Ok(style),
            Some((field, _, name)) => Err(TaskError::Data {
                message: format!("prompt `{field}` does not name `{name}`, which it is made of"),
            }),
        }
    }

    /// Asks the actor for its first answer.
    pub fn response(&self, problem: &Problem) -> Prompt {
        Prompt {
            messages: vec![Message::user(fill(
                &self.response,
                &[("{question}", &problem.question)],
            ))],
            prefill: self.response_prefill.clone(),
        }
    }

    /// Asks the critic to judge a response; the actor's prefill is taken off its front.
    pub fn critique(&self, problem: &Problem, response: &str) -> Prompt {
        let solution = response
            .strip_prefix(&self.response_prefill)
            .unwrap_or(response);
        let texts = [
            ("{question}", problem.question.as_str()),
            ("{response}", solution),
        ];
        Prompt::from_user(fill(&self.critique, &texts))
    }

    /// A response from elsewhere as the actor would have written it, for the prompts below: with
    /// the prefill, whether or not the text has it, and with the task's end in place of the blanks
    /// and newlines around it. A small critic reads a response that ends otherwise as another text.
    pub fn as_response(&self, text: &str) -> String {
        let text = text.trim();
        let said = text
            .strip_prefix(self.response_prefill.trim())
            .unwrap_or(text)
            .trim_start();
        format!("{}{said}{}", self.response_prefill, self.response_end)
    }

    /// Asks the actor to mend its response by a critique.
    pub fn refinement(&self, problem: &Problem, response: &str, critique: &str) -> Prompt {
        let mut messages = self.response(problem).messages;
        messages.push(Message {
            role: Role::Assistant,
            content: response.to_owned(),
        });
        messages.push(Message::user(fill(
            &self.refinement,
            &[("{critique}", critique)],
        )));
        Prompt {
            messages,
            prefill: self.refinement_prefill.clone(),
        }
    }
}

/// Replaces each name by its text in one pass from left to right.
fn fill(template: &str, texts: &[(&str, &str)]) -> String {
    let mut out =
        String::with_capacity(template.len() + texts.iter().map(|(_, t)| t.len()).sum::<usize>());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        if let Some((name, text)) = texts.iter().find(|(name, _)| rest.starts_with(name)) {
            out.push_str(text);
            rest = &rest[name.len()..];
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem::new("p/1", "1 + {response}?", "2")
    }

    #[test]
    fn names_inside_a_text_are_not_expanded() {
        let prompt = PromptStyle::default().critique(&problem(), "see {question} {critique}");
        let content = &prompt.messages[0].content;
        assert!(content.contains("Question:\n1 + {response}?\n"));
        assert!(content.ends_with("Solution:\nsee {question} {critique}"));
    }

    #[test]
    fn the_critic_does_not_see_the_prefill() {
        let style = PromptStyle::default();
        let response = format!("{}1 + 1 = 2", style.response_prefill);
        assert!(
            style.critique(&problem(), &response).messages[0]
                .content
                .ends_with("Solution:\n1 + 1 = 2")
        );
    }

    #[test]
    fn blanks_around_a_response_change_nothing() {
        let style = PromptStyle {
            response_end: "\n".into(),
            ..PromptStyle::default()
        };
        let whole = format!("{}1 + 1\n= 2\n", style.response_prefill);
        for text in [
            "1 + 1\n= 2",
            "\n 1 + 1\n= 2 \n\n",
            "Let's break it down step by step: 1 + 1\n= 2",
            &whole,
        ] {
            assert_eq!(style.as_response(text), whole, "{text:?}");
        }
        let plain = PromptStyle::default();
        assert!(plain.as_response("it is 2\n").ends_with(":\n\nit is 2"));
        let nothing = format!("{}\n", style.response_prefill);
        assert_eq!(style.as_response(" \n"), nothing);
    }

    #[test]
    fn a_prompt_without_its_text_is_refused() {
        let with = |text: &str| PromptStyle::default().with(&toml::from_str(text).unwrap());
        let message = with("critique = 'Judge: {response}'")
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "prompt `critique` does not name `{question}`, which it is made of"
        );
        let style = with("response = 'Q: {question}'").unwrap();
        assert_eq!(
            style.response(&problem()).messages[0].content,
            "Q: 1 + {response}?"
        );
    }

    #[test]
    fn a_refinement_continues_the_first_turn() {
        let style = PromptStyle::default();
        let prompt = style.refinement(&problem(), "it is 3", "no");
        assert_eq!(
            prompt.messages[..1],
            style.response(&problem()).messages[..]
        );
        assert_eq!(prompt.messages[1], Message::assistant("it is 3"));
        assert!(prompt.messages[2].content.contains("\n\nno\n\n"));
    }
}
