//! Supervised examples of every skill that the method takes for granted.

use critique_tasks::{
    Demonstration, Problem, Prompt, PromptStyle, Rng, Span, Split, Task, TaskError, derive_seed,
};

use crate::Arithmetic;
use crate::chain::{Chain, other_value};
use crate::critique::{ChainCritique, verdict_alone, word};
use crate::noise::Noise;

/// Kinds of demonstrations:
///
/// - `solutions`: right responses
/// - `clean_critiques`: right critiques of responses, half of them with mistakes anywhere, half
///   with the actor's
/// - `comparisons`: verdicts on random pairs of values, the one skill that RL cannot teach a
///   model which lacks it
/// - `responses`: responses with the actor's mistakes
/// - `refinements`: refinements by critiques, half of them clean, half noisy
/// - `verdict_refinements`: refinements by a verdict alone, or by nothing
/// - `critiques`: the noisy teacher's critiques of the actor's responses
pub(crate) const KINDS: &[&str] = &[
    "solutions",
    "clean_critiques",
    "comparisons",
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
        "comparisons" => comparisons,
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

/// Mistakes anywhere teach to compare, for they cannot be told from the question; the actor's own
/// run on from step to step, and teach to trust no value of the response.
fn clean_critique(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    let stated = if rng.chance(0.5) {
        Noise::random_response(rng, &chain)
    } else {
        task.noise.response(rng, &chain)
    };
    Demonstration::new(
        critique_prompt(task, &chain, &stated),
        ChainCritique::perfect(&chain, &stated).text(),
    )
}

fn noisy_critique(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    let stated = task.noise.response(rng, &chain);
    let critique = ChainCritique::noisy(rng, &chain, &stated, &task.noise);
    Demonstration::new(critique_prompt(task, &chain, &stated), critique.text())
}

fn refinement(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    let stated = task.noise.response(rng, &chain);
    let critique = if rng.chance(0.5) {
        ChainCritique::perfect(&chain, &stated)
    } else {
        ChainCritique::noisy(rng, &chain, &stated, &task.noise)
    };
    refine(task, rng, &chain, &stated, &critique, &critique.judgment())
}

/// A verdict without steps, true or not, or no critique at all, which asks for a new response.
fn verdict_refinement(task: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let chain = task.draw(rng, Split::Train);
    let stated = task.noise.response(rng, &chain);
    let critique = verdict_alone(rng.chance(0.5));
    let silent = !critique.final_correct && rng.chance(0.3);
    let text = if silent {
        String::new()
    } else {
        critique.text()
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
    let refined = critique.refined(chain, stated, |_, value, op| {
        task.noise.step(rng, value, op)
    });
    let prompt = style(task).refinement(&problem(chain), &chain.response(stated), text);
    Demonstration::new(prompt, chain.response(&refined))
}

/// Parts of a critique with random values; only the verdicts are learnt. Half of the pairs are
/// equal; the others differ in the tens, in the units, or in both.
fn comparisons(_: &Arithmetic, rng: &mut Rng) -> Demonstration {
    let mut turn = Vec::new();
    for _ in 0..8 {
        let stated = rng.below(100) as u8;
        let own = if rng.chance(0.5) {
            stated
        } else {
            other_value(rng, stated)
        };
        let read = format!("={stated:02}\nExplanation: {own:02}\nCorrectness of the step: ");
        turn.push(Span {
            text: read,
            learn: false,
        });
        turn.push(Span {
            text: word(stated == own).into(),
            learn: true,
        });
        turn.push(Span {
            text: "\n".into(),
            learn: false,
        });
    }
    Demonstration {
        prompt: Prompt::from_user("Criticise: "),
        turn,
    }
}

fn critique_prompt(task: &Arithmetic, chain: &Chain, stated: &[u8]) -> Prompt {
    style(task).critique(&problem(chain), &chain.response(stated))
}

fn style(task: &Arithmetic) -> PromptStyle {
    task.prompts()
}

fn problem(chain: &Chain) -> Problem {
    Problem {
        id: String::new(),
        question: chain.question(),
        answer: String::new(),
        solution: String::new(),
    }
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
