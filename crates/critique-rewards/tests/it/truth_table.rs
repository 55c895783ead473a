//! The rewards of docs/method.md, "Rewards", case by case.

use critique_core::{
    Attempt, Completion, Critique, FinishReason, Judgment, Problem, Rollout, Verdict,
};
use critique_rewards::{
    Baseline, BaselineState, DisValues, DrGrpo, Estimator, Grpo, Mode, Reinforce,
    ReinforcePlusPlus, ReinforcePlusPlusBaseline, RewardMix, Rloo,
};

fn attempt(verdict: Verdict) -> Attempt {
    Attempt {
        text: String::new(),
        completion: None,
        verdict,
        score: if verdict.is_correct() { 1.0 } else { 0.0 },
        answer: None,
    }
}

fn rollout(response: Verdict, judgment: Judgment, refinements: &[Verdict]) -> Rollout {
    Rollout {
        problem: Problem::new("p", "", ""),
        response: attempt(response),
        critique: Critique {
            prompt: Vec::new(),
            completion: Completion {
                tokens: Vec::new(),
                log_probs: Vec::new(),
                text: String::new(),
                finish_reason: FinishReason::Stop,
            },
            judgment,
        },
        refinements: refinements.iter().copied().map(attempt).collect(),
    }
}

/// The judgment that is right about a response, or the one that is wrong.
fn judgment(response: Verdict, right: bool) -> Judgment {
    if response.is_correct() == right {
        Judgment::Correct
    } else {
        Judgment::Wrong
    }
}

fn total(mix: &RewardMix, rollout: &Rollout) -> f32 {
    let breakdown = mix.open().unwrap().score(rollout);
    let sum: f32 = breakdown.parts.iter().map(|part| part.weighted).sum();
    assert_eq!(breakdown.total, sum);
    (breakdown.total * 1e5).round() / 1e5
}

const C: Verdict = Verdict::Correct;
const W: Verdict = Verdict::Wrong;
const TRANSITIONS: [(Verdict, Verdict); 4] = [(C, C), (C, W), (W, C), (W, W)];

fn mixes() -> [(RewardMix, [f32; 4]); 3] {
    let base = RewardMix {
        discriminability: 0.2,
        ..RewardMix::default()
    };
    [
        (
            RewardMix {
                refinement: 1.0,
                ..base.clone()
            },
            [1.0, 0.0, 1.0, 0.0],
        ),
        (
            RewardMix {
                delta: 1.0,
                ..base.clone()
            },
            [0.0, -1.0, 1.0, 0.0],
        ),
        (
            RewardMix {
                correction: 1.0,
                ..base
            },
            [0.2, 0.0, 1.0, 0.0],
        ),
    ]
}

#[test]
fn gated_mixes_equal_the_released_table() {
    for (mix, by_transition) in mixes() {
        let gated = RewardMix {
            mode: Mode::Gated { wrong: -1.0 },
            ..mix
        };
        for ((y, refined), paid) in TRANSITIONS.into_iter().zip(by_transition) {
            let right = rollout(y, judgment(y, true), &[refined]);
            let want = ((paid + 0.2) * 1e5f32).round() / 1e5;
            assert_eq!(total(&gated, &right), want, "{y:?} {refined:?}");
            for judgment in [judgment(y, false), Judgment::Unparsed] {
                assert_eq!(total(&gated, &rollout(y, judgment, &[refined])), -1.0);
            }
        }
    }
}

#[test]
fn additive_mixes_equal_the_papers_equations() {
    for (mix, by_transition) in mixes() {
        for ((y, refined), paid) in TRANSITIONS.into_iter().zip(by_transition) {
            for (judgment, dis) in [
                (judgment(y, true), 0.2),
                (judgment(y, false), 0.0),
                (Judgment::Unparsed, 0.0),
            ] {
                let want = ((paid + dis) * 1e5f32).round() / 1e5;
                assert_eq!(total(&mix, &rollout(y, judgment, &[refined])), want);
            }
        }
    }
}

#[test]
fn stage_one_pays_the_verdict_alone() {
    let paper = RewardMix {
        discriminability: 1.0,
        ..RewardMix::default()
    };
    let released = RewardMix {
        dis_values: DisValues::PlusMinusOne,
        ..paper.clone()
    };
    for (y, judgment, right) in [
        (C, Judgment::Correct, true),
        (C, Judgment::Wrong, false),
        (C, Judgment::Unparsed, false),
        (W, Judgment::Correct, false),
        (W, Judgment::Wrong, true),
        (W, Judgment::Unparsed, false),
        (Verdict::Unparsed, Judgment::Wrong, true),
        (Verdict::Unparsed, Judgment::Correct, false),
    ] {
        let rollout = rollout(y, judgment, &[]);
        assert_eq!(total(&paper, &rollout), if right { 1.0 } else { 0.0 });
        assert_eq!(total(&released, &rollout), if right { 1.0 } else { -1.0 });
    }
    assert!(!paper.needs_refinement());
}

#[test]
fn a_response_without_an_answer_counts_as_wrong() {
    let mix = RewardMix {
        correction: 1.0,
        delta: 1.0,
        ..RewardMix::default()
    };
    let none = Verdict::Unparsed;
    assert_eq!(total(&mix, &rollout(none, Judgment::Wrong, &[C])), 2.0);
    assert_eq!(total(&mix, &rollout(C, Judgment::Wrong, &[none])), -1.0);
}

#[test]
fn several_refinements_are_averaged() {
    let refine = RewardMix {
        refinement: 1.0,
        ..RewardMix::default()
    };
    let correction = RewardMix {
        correction: 1.0,
        keep_correct: 0.4,
        ..RewardMix::default()
    };
    assert_eq!(
        total(&refine, &rollout(W, Judgment::Wrong, &[C, W, C, C])),
        0.75
    );
    assert_eq!(
        total(&correction, &rollout(C, Judgment::Correct, &[C, W])),
        0.2
    );
    assert_eq!(total(&refine, &rollout(W, Judgment::Wrong, &[])), 0.0);
}

#[test]
fn scores_earn_by_their_distance() {
    let mix = RewardMix {
        discriminability: 1.0,
        dis_delta: Some(2.0),
        ..RewardMix::default()
    };
    let with = |score: f32| {
        let mut rollout = rollout(W, Judgment::Score(score), &[]);
        rollout.response.score = 6.0;
        rollout
    };
    for (score, want) in [(6.0, 1.0), (5.0, 0.5), (7.5, 0.25), (8.0, 0.0), (1.0, 0.0)] {
        assert_eq!(total(&mix, &with(score)), want);
    }
    let gated = RewardMix {
        mode: Mode::Gated { wrong: -1.0 },
        ..mix
    };
    assert_eq!(total(&gated, &with(5.0)), 0.5);
    assert_eq!(total(&gated, &with(8.0)), -1.0);
}

#[test]
fn classes_can_weigh_differently_and_silence_can_cost() {
    let mix = RewardMix {
        discriminability: 1.0,
        dis_weight_correct: 0.6,
        dis_weight_wrong: 0.8,
        format_penalty: 0.5,
        ..RewardMix::default()
    };
    assert_eq!(total(&mix, &rollout(C, Judgment::Correct, &[])), 0.6);
    assert_eq!(total(&mix, &rollout(W, Judgment::Wrong, &[])), 0.8);
    assert_eq!(total(&mix, &rollout(W, Judgment::Correct, &[])), 0.0);
    assert_eq!(total(&mix, &rollout(W, Judgment::Unparsed, &[])), -0.5);
}

#[test]
fn parts_come_in_the_same_order_for_every_rollout() {
    let mix = RewardMix {
        discriminability: 0.2,
        refinement: 1.0,
        mode: Mode::Gated { wrong: -1.0 },
        ..RewardMix::default()
    };
    for judgment in [Judgment::Correct, Judgment::Unparsed] {
        let breakdown = mix.open().unwrap().score(&rollout(C, judgment, &[C]));
        let names: Vec<&str> = breakdown.parts.iter().map(|part| part.name).collect();
        assert_eq!(names, ["discriminability", "refinement", "gate"]);
    }
    // A gate shuts rewards out, but shows what they were.
    let shut = mix
        .open()
        .unwrap()
        .score(&rollout(C, Judgment::Wrong, &[C]));
    assert_eq!((shut.parts[1].raw, shut.parts[1].weighted), (1.0, 0.0));
}

/// All ways in which a group can go: its response, and each critique's judgment and refinement.
fn groups() -> Vec<Vec<Rollout>> {
    let outcomes = [(true, C), (true, W), (false, C), (false, W)];
    let group = |response: Verdict, first: usize| -> Vec<Rollout> {
        (0..3)
            .map(|n| outcomes[(first + n * n) % 4])
            .map(|(right, refined)| rollout(response, judgment(response, right), &[refined]))
            .collect()
    };
    [C, W]
        .into_iter()
        .flat_map(|response| (0..4).map(move |first| group(response, first)))
        .collect()
}

#[test]
fn delta_equals_refinement_under_baselines_of_the_group() {
    let refinement = RewardMix {
        refinement: 1.0,
        discriminability: 0.2,
        ..RewardMix::default()
    };
    let delta = RewardMix {
        refinement: 0.0,
        delta: 1.0,
        ..refinement.clone()
    };
    let advantages = |mix: &RewardMix, advantage: &dyn Estimator| -> Vec<f32> {
        let rewards: Vec<Vec<f32>> = groups()
            .iter()
            .map(|group| {
                group
                    .iter()
                    .map(|r| mix.open().unwrap().score(r).total)
                    .collect()
            })
            .collect();
        let got = advantage.of_groups(&rewards, &mut BaselineState::default());
        got.values.concat()
    };
    let same = |advantage: &dyn Estimator, gate: Mode| {
        let [left, right] = [&refinement, &delta].map(|mix| {
            let mix = RewardMix {
                mode: gate,
                ..mix.clone()
            };
            assert!(!refinement.delta_is_refinement(advantage));
            (
                advantages(&mix, advantage),
                mix.delta_is_refinement(advantage),
            )
        });
        let pairs = left.0.iter().zip(&right.0);
        let same = pairs.clone().all(|(a, b)| (a - b).abs() < 1e-5);
        assert_eq!(right.1, same, "{advantage:?} {gate:?}");
        same
    };
    let siblings: [&dyn Estimator; 4] =
        [&Rloo, &DrGrpo, &ReinforcePlusPlusBaseline, &Grpo::default()];
    for advantage in siblings {
        assert!(same(advantage, Mode::Additive));
        assert!(!same(advantage, Mode::Gated { wrong: -1.0 }));
    }
    let mean = Reinforce {
        baseline: Baseline::BatchMean,
    };
    let others: [&dyn Estimator; 2] = [&mean, &ReinforcePlusPlus];
    for advantage in others {
        assert!(!same(advantage, Mode::Additive));
    }
}
