//! What holds for all numbers.

use critique_rewards::advantage::{
    Baseline, BaselineState, DrGrpo, Estimator, Grpo, Reinforce, ReinforcePlusPlus,
    ReinforcePlusPlusBaseline, Rloo, leave_one_out, less_mean, normalized,
};
use critique_rewards::token::returns;
use critique_rewards::{
    Aggregation, BatchCounts, Clip, KlEstimator, KlIn, KlPenalty, LossSettings, Part, PolicyLoss,
    Sequence, TokenCredit, TokenInput, Whiten,
};
use proptest::prelude::*;

const ESTIMATORS: [KlEstimator; 3] = [KlEstimator::K1, KlEstimator::K2, KlEstimator::K3];

fn rewards() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-3.0f32..3.0, 1..9)
}

fn log_prob() -> impl Strategy<Value = f32> {
    -4.0f32..-0.01
}

proptest! {
    #[test]
    fn advantages_of_a_group_sum_to_zero(rewards in rewards()) {
        for advantages in [leave_one_out(&rewards), less_mean(&rewards), normalized(&rewards, 1e-4)] {
            let largest = advantages.iter().fold(1.0f32, |most, a| most.max(a.abs()));
            prop_assert!(advantages.iter().sum::<f32>().abs() < 1e-5 * largest);
        }
    }

    #[test]
    fn advantages_do_not_see_a_shift_of_all_rewards(rewards in rewards(), shift in -2.0f32..2.0) {
        let shifted: Vec<f32> = rewards.iter().map(|r| r + shift).collect();
        for (a, b) in leave_one_out(&rewards).iter().zip(leave_one_out(&shifted)) {
            prop_assert!((a - b).abs() < 1e-4);
        }
    }

    #[test]
    fn leave_one_out_is_the_definition(rewards in prop::collection::vec(-3.0f32..3.0, 2..9)) {
        for (j, advantage) in leave_one_out(&rewards).into_iter().enumerate() {
            let others: f32 = rewards.iter().sum::<f32>() - rewards[j];
            let baseline = others / (rewards.len() - 1) as f32;
            prop_assert!((advantage - (rewards[j] - baseline)).abs() < 1e-5);
        }
    }

    #[test]
    fn equal_rewards_give_exactly_zero(reward in -3.0f32..3.0, size in 1usize..9) {
        let group = vec![reward; size];
        for advantages in [leave_one_out(&group), less_mean(&group), normalized(&group, 0.0)] {
            prop_assert!(advantages.iter().all(|a| *a == 0.0));
        }
    }

    #[test]
    fn kl_derivatives_equal_finite_differences(p in log_prob(), r in log_prob()) {
        for estimator in ESTIMATORS {
            let step = 1e-2f32;
            let (above, below) = (estimator.value(p + step, r), estimator.value(p - step, r));
            let slope = (above - below) / ((p + step) - (p - step));
            let exact = estimator.derivative(p, r);
            // The third derivative of k3 times step² / 6 bounds the error of the difference.
            let bound = 2e-3 + 1e-4 * f32::exp((r - p).max(0.0));
            prop_assert!((slope - exact).abs() < bound, "{estimator:?}: {slope} {exact}");
        }
    }

    #[test]
    fn whitened_advantages_have_mean_zero_and_variance_one(
        rows in prop::collection::vec((-3.0f32..3.0, prop::collection::vec(log_prob(), 1..6)), 2..6)
    ) {
        let batch: Vec<Sequence<'_>> = rows
            .iter()
            .map(|(advantage, log_probs)| Sequence { advantage: *advantage, log_probs, ref_log_probs: &[] })
            .collect();
        let credit = TokenCredit { kl_coef: 0.0, estimator: KlEstimator::K1, whiten: Whiten::Yes };
        let got = credit.advantages(&batch);
        prop_assume!(got.stats.return_std > 1e-2);
        let all: Vec<f64> = got.values.iter().flatten().map(|&v| f64::from(v)).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64;
        prop_assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4);
    }

    #[test]
    fn the_first_return_is_the_advantage_less_the_kl_of_the_sequence(
        advantage in -2.0f32..2.0,
        pairs in prop::collection::vec((log_prob(), log_prob()), 1..8),
        coef in 0.0f32..1.0,
    ) {
        let (log_probs, ref_log_probs): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        let sequence = Sequence { advantage, log_probs: &log_probs, ref_log_probs: &ref_log_probs };
        let kl: f32 = log_probs.iter().zip(&ref_log_probs).map(|(p, r)| p - r).sum();
        let first = returns(&sequence, coef, KlEstimator::K1)[0];
        prop_assert!((first as f32 - (advantage - coef * kl)).abs() < 1e-4);
    }

    #[test]
    fn gradients_equal_finite_differences(
        new in log_prob(), shift in -1.0f32..1.0, reference in log_prob(), advantage in -2.0f32..2.0,
        dual in prop::option::of(1.4f32..3.0), coef in 0.0f32..0.5, weighted: bool, which in 0usize..3,
    ) {
        let settings = LossSettings {
            clip_low: 0.2,
            clip_high: 0.28,
            dual_clip: dual,
            aggregation: Aggregation::TokenMean,
            kl: Some(KlPenalty { coef, estimator: ESTIMATORS[which], importance_weighted: weighted }),
        };
        let loss = PolicyLoss::new(settings, BatchCounts { sequences: 1, tokens: 1 });
        let at = |log_prob: f32| {
            let token = TokenInput {
                log_prob, old_log_prob: new - shift, advantage, ref_log_prob: Some(reference),
            };
            loss.value_and_gradient(&token, 1.0)
        };
        let step = 4e-3f32;
        let (above, below, here) = (at(new + step), at(new - step), at(new));
        // A kink between the two points has no derivative.
        prop_assume!(above.clip == below.clip);
        let slope = (above.loss - below.loss) / ((new + step) - (new - step));
        let scale = 1.0 + here.gradient.abs() + f32::exp((reference - new).max(0.0));
        prop_assert!((slope - here.gradient).abs() < 2e-3 * scale, "{slope} {}", here.gradient);
    }

    #[test]
    fn weights_sum_to_one_however_the_update_is_cut(lengths in prop::collection::vec(1usize..50, 1..12)) {
        for aggregation in [Aggregation::PerSequenceMean, Aggregation::TokenMean] {
            let settings = LossSettings { aggregation, ..LossSettings::default() };
            let loss = PolicyLoss::new(settings, BatchCounts::of(&lengths));
            let sum: f64 = lengths.iter().map(|&n| f64::from(loss.weight(n)) * n as f64).sum();
            prop_assert!((sum - 1.0).abs() < 1e-5);
        }
    }
}

#[test]
fn clips_hold_the_tokens_that_went_too_far() {
    let settings = LossSettings {
        dual_clip: Some(3.0),
        ..LossSettings::default()
    };
    let loss = PolicyLoss::new(settings, BatchCounts::of(&[1]));
    let at = |ratio: f32, advantage: f32| {
        let token = TokenInput {
            log_prob: ratio.ln(),
            old_log_prob: 0.0,
            advantage,
            ref_log_prob: None,
        };
        let got = loss.value_and_gradient(&token, 1.0);
        (
            got.clip,
            (got.loss * 1e4).round() / 1e4,
            got.gradient == 0.0,
        )
    };
    assert_eq!(at(1.3, 1.0), (Clip::High, -1.2, true));
    assert_eq!(at(0.5, 1.0), (Clip::None, -0.5, false));
    assert_eq!(at(0.5, -1.0), (Clip::Low, 0.8, true));
    assert_eq!(at(1.3, -1.0), (Clip::None, 1.3, false));
    assert_eq!(at(4.0, -1.0), (Clip::Dual, 3.0, true));
    assert_eq!(at(4.0, 0.0), (Clip::None, 0.0, true));
}

#[test]
fn a_running_baseline_looks_back_only() {
    let advantage = Reinforce {
        baseline: Baseline::RunningMean { decay: 0.5 },
    };
    let mut state = BaselineState::default();
    let step = |rewards: [f32; 2], state: &mut BaselineState| {
        advantage
            .of_groups(&[rewards.to_vec()], state)
            .values
            .concat()
    };
    // The first batch is its own baseline (mean 1); the second sees 1, then 0.5·1 + 0.5·4.
    assert_eq!(step([0.0, 2.0], &mut state), [-1.0, 1.0]);
    assert_eq!(step([3.0, 5.0], &mut state), [2.0, 4.0]);
    assert_eq!(state.mean, Some(2.5));
}

#[test]
fn baselines_without_groups_ignore_them() {
    let groups = [vec![1.0, 0.0], vec![3.0], vec![]];
    let mut state = BaselineState::default();
    let none = Reinforce {
        baseline: Baseline::None,
    };
    assert_eq!(none.of_groups(&groups, &mut state).values, groups);
    assert_eq!(
        ReinforcePlusPlus.of_groups(&groups, &mut state).values,
        groups
    );
    let mean = Reinforce {
        baseline: Baseline::BatchMean,
    };
    let got = mean.of_groups(&groups, &mut state);
    for (got, want) in got
        .values
        .concat()
        .iter()
        .zip([-1.0 / 3.0, -4.0 / 3.0, 5.0 / 3.0])
    {
        assert!((got - want).abs() < 1e-6);
    }
    assert_eq!(
        (got.stats.groups, got.stats.singletons, got.stats.rollouts),
        (2, 1, 3)
    );
}

#[test]
fn reinforce_plus_plus_always_whitens() {
    use Whiten::{No, Std, Yes};
    assert_eq!(ReinforcePlusPlus.whitens(No), Yes);
    assert_eq!(ReinforcePlusPlusBaseline.whitens(No), Yes);
    assert_eq!(ReinforcePlusPlus.whitens(Std), Std);
    assert_eq!(Rloo.whitens(No), No);
    assert_eq!(Rloo.whitens(Yes), Yes);
}

/// Four critiques of two tokens; the last two are of a flat group.
fn batch_with_a_flat_group() -> Vec<Sequence<'static>> {
    let of = |advantage, ref_log_probs| Sequence {
        advantage,
        log_probs: &[-1.0, -2.0],
        ref_log_probs,
    };
    vec![
        of(1.0, &[-1.0, -2.0]),
        of(-0.5, &[-1.0, -2.0]),
        of(0.0, &[-1.0, -2.0]),
        of(0.0, &[-1.5, -2.0]),
    ]
}

fn whitened(whiten: Whiten, kl_coef: f32, parts: [Part; 4]) -> Vec<Vec<f32>> {
    let credit = TokenCredit {
        kl_coef,
        estimator: KlEstimator::K1,
        whiten,
    };
    credit
        .advantages_of(&batch_with_a_flat_group(), &parts)
        .values
}

#[test]
fn a_flat_group_is_0_where_whitening_leaves_it_out() {
    use Part::{Apart, Out, Whole};
    // As all others, it loses the mean of the batch: (1 - 0.5) / 4.
    let kept = whitened(Whiten::Yes, 0.0, [Whole; 4]);
    assert!(kept[2][0] < -0.1, "{kept:?}");
    let apart = whitened(Whiten::Yes, 0.0, [Whole, Whole, Apart, Apart]);
    // Mean 0.25 and deviation 0.75 of the first two alone.
    let wanted = [[1.0f32; 2], [-1.0; 2], [0.0; 2], [0.0; 2]];
    assert_eq!(apart, wanted.map(Vec::from));
    // The KL that it holds is scaled, 0.3 · 0.5 / 0.75, and nothing is taken off it.
    let with_kl = whitened(Whiten::Yes, 0.3, [Whole, Whole, Apart, Apart]);
    assert!((with_kl[3][0] + 0.2).abs() < 1e-6, "{with_kl:?}");
    assert_eq!((&with_kl[..2], with_kl[3][1]), (&apart[..2], 0.0));
    let out = whitened(Whiten::Yes, 0.3, [Whole, Whole, Out, Out]);
    assert_eq!(out, apart);
    // Nothing to be compared with: what little KL there is stays little.
    let all_flat = whitened(Whiten::Yes, 0.3, [Out, Out, Apart, Apart]);
    assert_eq!(
        all_flat,
        [[0.0; 2], [0.0; 2], [0.0; 2], [-0.15, 0.0]].map(Vec::from)
    );
    let noise = whitened(Whiten::Yes, 0.3, [Out, Out, Whole, Whole]);
    assert!(noise[3][0].abs() > 1.0, "{noise:?}");
}

#[test]
fn whitening_by_the_deviation_alone_keeps_0_and_signs() {
    let got = whitened(Whiten::Std, 0.0, [Part::Whole; 4]);
    // The mean is 0.125, the variance (1 + 0.25) / 4 - 0.125².
    let deviation = (0.3125f32 - 0.015_625).sqrt();
    for (row, wanted) in got.iter().zip([1.0, -0.5, 0.0, 0.0]) {
        assert!((row[0] - wanted / deviation).abs() < 1e-6, "{got:?}");
    }
    assert_eq!(got[2], [0.0; 2]);
}

#[test]
fn groups_that_teach_nothing_are_flat_or_alone() {
    assert!(Rloo.learns_nothing(&[0.5, 0.5, 0.5]));
    assert!(DrGrpo.learns_nothing(&[0.5]));
    assert!(!Rloo.learns_nothing(&[0.5, 0.4]));
    assert!(!ReinforcePlusPlus.learns_nothing(&[0.5, 0.5]));
}

#[test]
fn names_stand_for_whole_recipes() {
    let recipe = |advantage: &dyn Estimator| {
        let recipe = advantage.recipe(80);
        let Some(aggregation) = [
            Aggregation::PerSequenceMean,
            Aggregation::ConstantLength(80),
        ]
        .into_iter()
        .position(|a| a == recipe.aggregation) else {
            panic!("{recipe:?}")
        };
        (
            recipe.whiten,
            recipe.kl_in,
            recipe.kl_estimator,
            aggregation,
        )
    };
    assert_eq!(
        recipe(&Rloo),
        (Whiten::Yes, KlIn::Reward, KlEstimator::K1, 0)
    );
    assert_eq!(
        recipe(&Grpo::default()),
        (Whiten::No, KlIn::Loss, KlEstimator::K3, 0)
    );
    assert_eq!(
        recipe(&DrGrpo),
        (Whiten::No, KlIn::Loss, KlEstimator::K3, 1)
    );
    let plain = recipe(&ReinforcePlusPlus);
    assert_eq!(plain, (Whiten::Yes, KlIn::Reward, KlEstimator::K1, 0));
    let with_baseline = recipe(&ReinforcePlusPlusBaseline);
    assert_eq!(with_baseline, (Whiten::Yes, KlIn::Loss, KlEstimator::K2, 0));
}

/// The expectation over the tokens of a policy of its gradient by one logit: Σ π (1[t] − π₀) g.
#[test]
fn k1_in_the_loss_pulls_nowhere_unless_it_is_importance_weighted() {
    let (policy, reference) = ([0.7f32, 0.2, 0.1], [0.2f32, 0.3, 0.5]);
    let expected = |estimator, importance_weighted| {
        let settings = LossSettings {
            kl: Some(KlPenalty {
                coef: 1.0,
                estimator,
                importance_weighted,
            }),
            ..LossSettings::default()
        };
        let loss = PolicyLoss::new(settings, BatchCounts::of(&[1]));
        let tokens = policy.iter().zip(&reference).enumerate();
        let of = |(token, (p, r)): (usize, (&f32, &f32))| {
            let input = TokenInput {
                log_prob: p.ln(),
                old_log_prob: p.ln(),
                advantage: 0.0,
                ref_log_prob: Some(r.ln()),
            };
            let by_logit = f32::from(u8::from(token == 0)) - policy[0];
            p * by_logit * loss.value_and_gradient(&input, 1.0).gradient
        };
        tokens.map(of).sum::<f32>()
    };
    // d KL / d logit₀ = π₀ (log π₀ / ref₀ − KL).
    let kl: f32 = policy
        .iter()
        .zip(&reference)
        .map(|(p, r)| p * (p / r).ln())
        .sum();
    let exact = policy[0] * ((policy[0] / reference[0]).ln() - kl);
    assert!(expected(KlEstimator::K1, false).abs() < 1e-6);
    assert!((expected(KlEstimator::K1, true) - exact).abs() < 1e-6);
    assert!((expected(KlEstimator::K2, false) - exact).abs() < 1e-6);
}

#[test]
#[should_panic(expected = "2 log-probs with 1 reference log-probs")]
fn ragged_references_are_a_bug() {
    let sequence = Sequence {
        advantage: 0.0,
        log_probs: &[-1.0, -1.0],
        ref_log_probs: &[-1.0],
    };
    returns(&sequence, 0.1, KlEstimator::K1);
}
