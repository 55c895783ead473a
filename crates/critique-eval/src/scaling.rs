//! More samples at test time: Pass@K and majority votes (docs/method.md, "Figures").

use critique_core::Attempt;

/// Pass@K from `n` samples of which `c` are right: the chance that one of `k` drawn without
/// replacement is right, `1 − C(n−c, k) / C(n, k)`, which is unbiased (Chen et al. 2021).
///
/// ```
/// // 2 of 4 right, draw 2: all but one of the six pairs hold a right one.
/// let p = critique_eval::scaling::pass_at_k(4, 2, 2);
/// assert!((p - 5.0 / 6.0).abs() < 1e-12);
/// ```
///
/// # Panics
///
/// When `c` or `k` is above `n`, or `k` is 0.
pub fn pass_at_k(n: usize, c: usize, k: usize) -> f64 {
    assert!(
        c <= n && (1..=n).contains(&k),
        "pass@{k} of {c} right in {n}"
    );
    if n - c < k {
        return 1.0;
    }
    let all_wrong: f64 = (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product();
    1.0 - all_wrong
}

/// The attempt whose answer is the most frequent, the first seen among equals; attempts
/// without an answer do not vote. `None` where none has an answer.
pub fn majority_vote(attempts: &[Attempt]) -> Option<&Attempt> {
    let mut votes: Vec<(&str, usize, &Attempt)> = Vec::new();
    for attempt in attempts {
        let Some(answer) = attempt.answer.as_deref() else {
            continue;
        };
        match votes.iter_mut().find(|(known, ..)| *known == answer) {
            Some((_, count, _)) => *count += 1,
            None => votes.push((answer, 1, attempt)),
        }
    }
    let most = votes.iter().map(|(_, count, _)| *count).max()?;
    votes
        .into_iter()
        .find(|(_, count, _)| *count == most)
        .map(|(.., attempt)| attempt)
}

/// MV@K: share of problems where the majority of the first `k` attempts is right. A
/// problem without any answer counts as wrong. `None` without problems.
pub fn majority_at_k(problems: &[Vec<Attempt>], k: usize) -> Option<f64> {
    let right = problems
        .iter()
        .filter(|attempts| {
            let first = &attempts[..k.min(attempts.len())];
            majority_vote(first).is_some_and(|attempt| attempt.verdict.is_correct())
        })
        .count();
    (!problems.is_empty()).then(|| right as f64 / problems.len() as f64)
}
