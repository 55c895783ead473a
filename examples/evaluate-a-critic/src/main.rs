//! Figures with intervals for a critic of one's own, behind any interface.
//!
//! ```sh
//! cargo run --release -p evaluate-a-critic
//! ```
//!
//! Whatever implements [`Generate`] can be the actor or the critic: a model in this process, a
//! server, a table. Here both are small programs that do sums, so that the example runs in no
//! time; the critic overlooks every third mistake.
#![expect(clippy::print_stdout, reason = "it is what the example shows")]

use std::error::Error;

use critique_core::{
    Completion, FinishReason, Generate, GenerateError, Judgment, Prompt, Request, Split,
    derive_seed,
};
use critique_eval::{EvalSettings, Summary, evaluate};
use critique_tasks::CritiqueForm;
use task_arithmetic as _; // links the task

/// Writes what a function makes of the messages of a chat.
struct Program(fn(&[&str], u64) -> String);

/// Stands between messages.
const NEXT: &str = "\u{1e}";

impl Generate for Program {
    /// The tokens are the letters of the messages. A model has a tokenizer and a chat template
    /// for this, see the crate `critique-text`.
    fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>, GenerateError> {
        let messages = prompt.messages.iter();
        let texts: Vec<&str> = messages.map(|message| message.content.as_str()).collect();
        Ok(texts.join(NEXT).chars().map(u32::from).collect())
    }

    fn generate(&self, requests: &[Request]) -> Result<Vec<Vec<Completion>>, GenerateError> {
        let of = |request: &Request| {
            let letters = request.prompt.iter().filter_map(|&id| char::from_u32(id));
            let prompt: String = letters.collect();
            let messages: Vec<&str> = prompt.split(NEXT).collect();
            let write = |&seed: &u64| completion((self.0)(&messages, seed));
            request.seeds.iter().map(write).collect()
        };
        Ok(requests.iter().map(of).collect())
    }

    fn context_tokens(&self) -> usize {
        4096
    }
}

fn completion(text: String) -> Completion {
    let tokens: Vec<u32> = text.chars().map(u32::from).collect();
    Completion {
        log_probs: vec![0.0; tokens.len()],
        tokens,
        text,
        finish_reason: FinishReason::Stop,
    }
}

/// `94+8-3` step by step: `94+8=02`, `02-3=99`.
fn solve(question: &str) -> Vec<String> {
    let mut at = question.find(['+', '-']).unwrap_or(question.len());
    let mut value: u32 = question[..at].parse().unwrap_or(0);
    let mut lines = Vec::new();
    while let Some(step) = question.get(at..at + 2) {
        let digit: u32 = step[1..].parse().unwrap_or(0);
        let next = if step.starts_with('+') {
            (value + digit) % 100
        } else {
            (value + 100 - digit) % 100
        };
        lines.push(format!("{value:02}{step}={next:02}"));
        (value, at) = (next, at + 2);
    }
    lines
}

/// Answers, one time in three with a last digit that is one too low; refines as it is told.
fn actor(messages: &[&str], seed: u64) -> String {
    let question = messages[0];
    if let [_, response, critique] = messages {
        let told_wrong = critique.contains(&CritiqueForm::claim(Judgment::Wrong));
        return if told_wrong {
            solve(question).join("\n")
        } else {
            (*response).to_owned()
        };
    }
    let mut lines = solve(question);
    if derive_seed(seed, &["slip"]).is_multiple_of(3)
        && let Some(last) = lines.last_mut()
        && let Some((sum, value)) = last.split_once('=')
    {
        let value: u32 = value.parse().unwrap_or(0);
        *last = format!("{sum}={:02}", (value + 99) % 100);
    }
    lines.join("\n")
}

/// Compares with a solution of its own; every third mistake it lets pass.
fn critic(messages: &[&str], seed: u64) -> String {
    let prompt = messages[0];
    let rest = prompt.strip_prefix("Criticise: ").unwrap_or(prompt);
    let (question, response) = rest.split_once('\n').unwrap_or((rest, ""));
    let right = solve(question).join("\n") == response.trim_end();
    let lenient = derive_seed(seed, &["lenient"]).is_multiple_of(3);
    CritiqueForm::claim(Judgment::of(right || lenient))
}

fn run() -> Result<Summary, Box<dyn Error>> {
    let task = critique_tasks::build("arithmetic", "test = 300".parse()?)?;
    let problems = task.problems(Split::Test)?;
    let (actor, critic) = (Program(actor), Program(critic));
    let settings = |row| EvalSettings::sampled(row, 1, 1.0, 512);
    let alone = evaluate(&actor, None, &*task, &problems, &settings("no_critic"))?;
    let with = evaluate(
        &actor,
        Some(&critic),
        &*task,
        &problems,
        &settings("critic"),
    )?;
    Ok(Summary::new(vec![alone.row, with.row]))
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", run()?.to_text());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_critic_that_sees_two_mistakes_in_three_is_measured_as_one() {
        let summary = run().unwrap();
        let (alone, with) = (&summary.rows[0], &summary.rows[1]);
        let near = |figure: Option<f64>, wanted: f64| (figure.unwrap() - wanted).abs() < 0.08;
        assert!(
            near(alone.acc_initial, 2.0 / 3.0),
            "{:?}",
            alone.acc_initial
        );
        assert_eq!(with.acc_dis_correct, Some(1.0));
        assert!(
            near(with.acc_dis_incorrect, 2.0 / 3.0),
            "{:?}",
            with.acc_dis_incorrect
        );
        assert!(near(with.acc_refined, 8.0 / 9.0), "{:?}", with.acc_refined);
    }
}
