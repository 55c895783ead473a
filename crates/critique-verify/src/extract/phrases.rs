//! The phrases that announce an answer: one list for all kinds of tasks and all languages.

/// How binding a phrase is; within one rank the last place in a text wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It says that nothing comes after it.
    Final,
    /// It states the answer in a sentence.
    Stated,
    /// It is a label before the answer.
    Label,
    /// It is a heading, with the answer somewhere behind.
    Heading,
    /// It chooses among options, and says nothing where there are none.
    Choice,
}

/// Phrases in lower case, by rank.
const PHRASES: [(Rank, &[&str]); 5] = [
    (
        Rank::Final,
        &[
            "final answer is",
            "final answer:",
            "final answer**:",
            "final answer:**",
            "\\text{final answer}",
            "最终答案是",
            "最终答案为",
            "最终结果是",
            "最终结果为",
            "最终答案：",
            "最终答案:",
        ],
    ),
    (
        Rank::Stated,
        &[
            "answer is",
            "answers are",
            "answer to the question is",
            "answer to the problem is",
            "answer would be",
            "answer should be",
            "answer will be",
            "answer must be",
            "答案是",
            "答案不是",
            "答案为",
            "答案应该是",
            "答案应是",
            "答案应为",
            "答案：",
            "答案:",
            "答案】",
            "答：",
            "答:",
        ],
    ),
    (
        Rank::Label,
        &[
            "answer:",
            "answer :",
            "answer**:",
            "answer:**",
            "answer}:",
            "answer=",
            "answer =",
            "ans:",
            "ans :",
            "ans =",
        ],
    ),
    (Rank::Heading, &["final answer", "the answer"]),
    (
        Rank::Choice,
        &[
            "option is",
            "choice is",
            "correct option",
            "correct answer",
            "correct choice",
            "i choose",
            "i pick",
            "select",
            "答案选",
            "选项",
            "选择",
            "应选",
            "故选",
            "选",
        ],
    ),
];

/// Where the phrases of a rank stand in a text in lower case: starts and ends, in order.
pub(super) fn places(lower: &str, rank: Rank) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = PHRASES
        .iter()
        .filter(|(of, _)| *of == rank)
        .flat_map(|(_, phrases)| phrases.iter())
        .flat_map(|phrase| {
            lower
                .match_indices(phrase)
                .map(|(at, _)| (at, at + said_by(phrase)))
        })
        .filter(|(at, _)| opens_word(lower, *at))
        .collect();
    places.sort_unstable();
    places
}

/// The length of a phrase without a denial at its end, which belongs to what follows: in
/// "答案不是A" the claim is "不是A".
fn said_by(phrase: &str) -> usize {
    phrase.strip_suffix("不是").map_or(phrase.len(), str::len)
}

/// Whether no word goes on at a place: "means: 5" holds no "ans:".
fn opens_word(lower: &str, at: usize) -> bool {
    !(lower[at..].starts_with(|c: char| c.is_ascii_alphabetic())
        && lower[..at].ends_with(|c: char| c.is_ascii_alphabetic()))
}

/// Where any phrase stands; phrases that overlap, as "the answer" and "answer is", are one.
pub(super) fn all_places(lower: &str) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = PHRASES
        .iter()
        .flat_map(|(rank, _)| self::places(lower, *rank))
        .collect();
    places.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (start, end) in places {
        match merged.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}
