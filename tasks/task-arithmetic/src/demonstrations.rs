//! Supervised examples of every skill that the method takes for granted.

use critique_tasks::{
    Demonstration, Problem, Prompt, PromptStyle, Rng, Split, Task, TaskError, derive_seed,
};

use crate::Arithmetic;
use crate::chain::Chain;
use crate::critique::ChainCritique;
use crate::noise::Noise;

/// Kinds of demonstrations:
///
/// - `solutions`: right responses
/// - `clean_critiques`: right critiques, without help, of responses, half of them with mistakes
///   anywhere, half with the actor's
/// - `responses`: responses with the actor's mistakes
/// - `refinements`: refinements by critiques: a quarter clean, a quarter noisy, and half whose steps,
///   verdict and help say nothing of each other
/// - `verdict_refinements`: refinements by a verdict alone, or by nothing
/// - `critiques`: the noisy teacher's critiques of the actor's responses
pub(crate) const KINDS: &[&str] = &[
    "solutions",
    "clean_critiques",
    "responses",
    "refinements",
    "verdict_refinements",
    "critiques",
];

pub(crate) fn make(
    task: &Arithmetic,
    kind: &str,
    count: usize,
    seed: u64,
) -> Result<Vec<Demonstration>, TaskError> {
    let one: fn(&Arithmetic, &mut Rng) -> Demonstration = match kind {
        "solutions" => solution,
        "clean_critiques" => clean_critique,
        "responses" => response,
        "refinements" => refinement,
        "verdict_refinements" => verdict_refinement,
        "critiques" => noisy_critique,
        _ => {
            return Err(TaskError::NoDemonstrations {
                kind: kind.to_owned(),
                known: KINDS,
            });
        }
    };
    let mut rng = Rng::new(derive_seed(seed, &["demonstrations", kind]));
    Ok((0..count).map(|_| one(task, &mut rng)).collect())
}

fn solution(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    Demonstration::new(
        style(task).response(&problem(&chain)),
        chain.response(&chain.values()),
    )
}

fn response(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    let stated = task.noise.response(rng, &chain);
    Demonstration::new(
        style(task).response(&problem(&chain)),
        chain.response(&stated),
    )
}

/// Mistakes anywhere teach to check, for they cannot be told from the question; the actor's own
/// are what the critic will meet. They judge and do not help, which only the teacher shows.
fn clean_critique(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    let stated = if rng.chance(0.5) {
        Noise::random_response(rng, &chain)
    } else {
        task.noise.response(rng, &chain)
    };
    let judgment = ChainCritique {
        help: None,
        ..ChainCritique::perfect(&chain, &stated)
    };
    Demonstration::new(
        critique_prompt(task, &chain, &stated),
        judgment.text(&chain),
    )
}

fn noisy_critique(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    let stated = task.noise.response(rng, &chain);
    let critique = ChainCritique::noisy(rng, &chain, &stated, &task.noise);
    Demonstration::new(
        critique_prompt(task, &chain, &stated),
        critique.text(&chain),
    )
}

fn refinement(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    let stated = task.noise.response(rng, &chain);
    let critique = match rng.below(4) {
        0 => ChainCritique::perfect(&chain, &stated),
        1 => ChainCritique::noisy(rng, &chain, &stated, &task.noise),
        _ => {
            let correct = rng.chance(0.5);
            ChainCritique::conflicting(rng, &chain, &stated, correct)
        }
    };
    refine(
        task,
        rng,
        &chain,
        &stated,
        &critique,
        &critique.text(&chain),
    )
}

/// A verdict without steps, true or not, or no critique at all, which asks for a new response.
fn verdict_refinement(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    let stated = task.noise.response(rng, &chain);
    let critique = ChainCritique {
        steps: Vec::new(),
        final_correct: rng.chance(0.5),
        help: None,
    };
    let silent = !critique.final_correct && rng.chance(0.3);
    let text = if silent {
        String::new()
    } else {
        critique.text(&chain)
    };
    refine(task, rng, &chain, &stated, &critique, &text)
}

/// The actor's refinement by a critique that reads `text`.
fn refine(
    task: &Arithmetic,
    rng: &mut Rng,
    chain: &Chain,
    stated: &[u8],
    critique: &ChainCritique,
    text: &str,
) -> Demonstration {
    let refined = critique.refined(rng, chain, stated, &task.noise);
    let prompt = style(task).refinement(&problem(chain), &chain.response(stated), text);
    Demonstration::new(prompt, chain.response(&refined))
}

fn critique_prompt(task: &Arithmetic, chain: &Chain, stated: &[u8]) -> Prompt {
    style(task).critique(&problem(chain), &chain.response(stated))
}

fn style(task: &Arithmetic) -> PromptStyle {
    task.prompts()
}

fn problem(chain: &Chain) -> Problem {
    Problem::new("", chain.question(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_alone_keeps_the_response_or_asks_for_another() {
        let task = Arithmetic::default();
        let (mut kept, mut changed, mut silent) = (0, 0, 0);
        for demonstration in make(&task, "verdict_refinements", 2000, 1).unwrap() {
            let messages = demonstration.messages();
            let [_, response, critique, refinement] = messages.as_slice() else {
                panic!("{} messages", messages.len());
            };
            let same = refinement.content == response.content;
            match critique.content.as_str() {
                "Refine: Correctness of the final answer: Correct" => {
                    assert!(same);
                    kept += 1;
                }
                "Refine: Correctness of the final answer: Wrong" => changed += usize::from(!same),
                other => {
                    assert_eq!(other, "Refine: ");
                    silent += 1;
                }
            }
        }
        // A new response has mistakes of its own, so it is often another one.
        assert!((900..1100).contains(&kept), "{kept}");
        assert!((200..400).contains(&silent), "{silent}");
        assert!(changed > 150, "{changed}");
    }
}
