//! Advantages, KL estimates, returns and losses equal TRL's (`tests/golden/rl.json`).

use critique_rewards::advantage::{BaselineState, DrGrpo, Estimator, Grpo, Rloo, Scale};
use critique_rewards::{
    Aggregation, BatchCounts, KlEstimator, KlPenalty, LossSettings, LossStats, PolicyLoss,
    Sequence, TokenCredit, TokenInput, Whiten,
};
use serde_json::Value;

const TOLERANCE: f64 = 2e-6;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/rl.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn row(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap() as f32)
        .collect()
}

fn rows(value: &Value) -> Vec<Vec<f32>> {
    value.as_array().unwrap().iter().map(row).collect()
}

fn groups(golden: &Value) -> Vec<Vec<f32>> {
    let size = golden["group_size"].as_u64().unwrap() as usize;
    row(&golden["rewards"])
        .chunks(size)
        .map(<[f32]>::to_vec)
        .collect()
}

#[track_caller]
fn assert_close(got: f32, want: f32) {
    let (got, want) = (f64::from(got), f64::from(want));
    let error = (got - want).abs() / want.abs().max(0.1);
    assert!(error < TOLERANCE, "{got} is not {want}");
}

#[track_caller]
fn assert_rows_close(got: &[Vec<f32>], want: &[Vec<f32>]) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            assert_close(*got, *want);
        }
    }
}

fn estimators() -> [(&'static str, Box<dyn Estimator>); 4] {
    let grpo = |scale| {
        let std_eps = 1e-4;
        Box::new(Grpo { std_eps, scale })
    };
    [
        ("rloo", Box::new(Rloo)),
        ("grpo_none", Box::new(DrGrpo)),
        ("grpo_group", grpo(Scale::Group)),
        ("grpo_batch", grpo(Scale::Batch)),
    ]
}

#[test]
fn advantages_equal_trl() {
    let golden = golden();
    for (name, advantage) in estimators() {
        let got = advantage.of_groups(&groups(&golden), &mut BaselineState::default());
        let want = row(&golden["advantages"][name]["rewards"]);
        assert_rows_close(&[got.values.concat()], &[want]);
        assert_eq!((got.stats.groups, got.stats.zero_variance), (3, 1));
    }
}

/// TRL's rollouts without a score are rollouts that our groups do not hold.
#[test]
fn advantages_of_incomplete_groups_equal_trl() {
    let golden = golden();
    let size = golden["group_size"].as_u64().unwrap() as usize;
    let scores: Vec<Option<f64>> = golden["rewards_unscorable"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::as_f64)
        .collect();
    let held: Vec<Vec<f32>> = scores
        .chunks(size)
        .map(|group| group.iter().flatten().map(|&r| r as f32).collect())
        .collect();
    for (name, advantage) in estimators() {
        let got = advantage.of_groups(&held, &mut BaselineState::default());
        let all = row(&golden["advantages"][name]["rewards_unscorable"]);
        let want: Vec<f32> = all
            .iter()
            .zip(&scores)
            .filter_map(|(advantage, score)| score.map(|_| *advantage))
            .collect();
        assert_rows_close(&[got.values.concat()], &[want]);
        assert_eq!((got.stats.groups, got.stats.singletons), (2, 1));
    }
}

#[test]
fn kl_estimates_equal_trl() {
    let golden = golden();
    let (old, reference) = (
        rows(&golden["old_log_probs"]),
        rows(&golden["ref_log_probs"]),
    );
    for (name, estimator) in [
        ("k1", KlEstimator::K1),
        ("k2", KlEstimator::K2),
        ("k3", KlEstimator::K3),
    ] {
        let got: Vec<Vec<f32>> = old
            .iter()
            .zip(&reference)
            .map(|(p, r)| {
                p.iter()
                    .zip(r)
                    .map(|(&p, &r)| estimator.value(p, r))
                    .collect()
            })
            .collect();
        assert_rows_close(&got, &rows(&golden["kl"][name]));
    }
}

fn credit(golden: &Value, kl_coef: f32, whiten: Whiten) -> critique_rewards::TokenAdvantages {
    let advantages = Rloo.of_groups(&groups(golden), &mut BaselineState::default());
    let (old, reference) = (
        rows(&golden["old_log_probs"]),
        rows(&golden["ref_log_probs"]),
    );
    let batch: Vec<Sequence<'_>> = advantages
        .values
        .iter()
        .flatten()
        .zip(old.iter().zip(&reference))
        .map(|(&advantage, (log_probs, ref_log_probs))| Sequence {
            advantage,
            log_probs,
            ref_log_probs,
        })
        .collect();
    let credit = TokenCredit {
        kl_coef,
        estimator: KlEstimator::K1,
        whiten,
    };
    credit.advantages(&batch)
}

#[test]
fn returns_and_whitening_equal_the_released_recipe() {
    let golden = golden();
    for name in ["method", "method_beta_0.5"] {
        let want = &golden[name];
        let beta = want["beta"].as_f64().unwrap() as f32;
        let plain = credit(&golden, beta, Whiten::No);
        assert_rows_close(&plain.values, &rows(&want["returns"]));
        assert_close(
            plain.stats.return_mean as f32,
            want["mean"].as_f64().unwrap() as f32,
        );
        let variance = want["variance"].as_f64().unwrap();
        assert_close(plain.stats.return_std as f32, variance.sqrt() as f32);
        let whitened = credit(&golden, beta, Whiten::Yes);
        assert_rows_close(&whitened.values, &rows(&want["whitened"]));
        let mean_k1 = golden["kl"]["mean_k1"].as_f64().unwrap();
        assert_close(whitened.stats.kl as f32, mean_k1 as f32);
    }
}

/// The update's loss and gradients, token by token.
fn run(
    golden: &Value,
    settings: LossSettings,
    advantages: &[Vec<f32>],
) -> (LossStats, Vec<Vec<f32>>) {
    let (new, old) = (
        rows(&golden["new_log_probs"]),
        rows(&golden["old_log_probs"]),
    );
    let reference = rows(&golden["ref_log_probs"]);
    let lengths: Vec<usize> = new.iter().map(Vec::len).collect();
    let loss = PolicyLoss::new(settings, BatchCounts::of(&lengths));
    let mut stats = LossStats::default();
    let mut gradients = Vec::new();
    for i in 0..new.len() {
        let weight = loss.weight(new[i].len());
        let of_token = |t: usize| {
            let token = TokenInput {
                log_prob: new[i][t],
                old_log_prob: old[i][t],
                advantage: advantages[i][t],
                ref_log_prob: Some(reference[i][t]),
            };
            loss.value_and_gradient(&token, weight)
        };
        let tokens: Vec<_> = (0..new[i].len()).map(of_token).collect();
        for token in &tokens {
            stats.add(token);
        }
        gradients.push(tokens.iter().map(|token| token.gradient).collect());
    }
    (stats, gradients)
}

#[track_caller]
fn assert_loss(golden: &Value, name: &str, settings: LossSettings, advantages: &[Vec<f32>]) {
    let want = &golden["losses"][name];
    let (stats, gradients) = run(golden, settings, advantages);
    assert_close(stats.loss() as f32, want["loss"].as_f64().unwrap() as f32);
    assert_rows_close(&gradients, &rows(&want["gradient"]));
    assert_close(
        stats.clip_low() as f32,
        want["low_mean"].as_f64().unwrap() as f32,
    );
    assert_close(
        stats.clip_high() as f32,
        want["high_mean"].as_f64().unwrap() as f32,
    );
}

/// The `rloo` advantage of a rollout at each of its tokens.
fn spread(golden: &Value) -> Vec<Vec<f32>> {
    let advantages = Rloo.of_groups(&groups(golden), &mut BaselineState::default());
    let lengths = rows(&golden["old_log_probs"]);
    let pairs = advantages.values.concat().into_iter().zip(lengths);
    pairs.map(|(a, tokens)| vec![a; tokens.len()]).collect()
}

#[test]
fn clipped_losses_and_gradients_equal_trl() {
    let golden = golden();
    let longest = golden["longest"].as_u64().unwrap() as u32;
    let rloo = spread(&golden);
    let whitened = credit(&golden, 0.01, Whiten::Yes).values;
    for (how, aggregation) in [
        ("sequence_mean", Aggregation::PerSequenceMean),
        ("token_mean", Aggregation::TokenMean),
        ("constant", Aggregation::ConstantLength(longest)),
    ] {
        for (clip, clip_high) in [("symmetric", 0.2), ("asymmetric", 0.28)] {
            let settings = LossSettings {
                clip_high,
                aggregation,
                ..LossSettings::default()
            };
            for (source, advantages) in [("rloo", &rloo), ("method", &whitened)] {
                let name = format!("{how}.{clip}.{source}");
                assert_loss(&golden, &name, settings, advantages);
            }
        }
    }
}

#[test]
fn kl_in_the_loss_equals_trl() {
    let golden = golden();
    for (suffix, importance_weighted) in [("", false), ("_importance_weighted", true)] {
        let settings = LossSettings {
            kl: Some(KlPenalty {
                coef: 0.05,
                estimator: KlEstimator::K3,
                importance_weighted,
            }),
            ..LossSettings::default()
        };
        let name = format!("sequence_mean.symmetric.rloo.k3_in_loss_0.05{suffix}");
        assert_loss(&golden, &name, settings, &spread(&golden));
    }
}

#[test]
fn dual_clip_equals_trls_delta() {
    let golden = golden();
    let settings = LossSettings {
        dual_clip: Some(1.5),
        ..LossSettings::default()
    };
    let name = "sequence_mean.symmetric.rloo.two_sided_1.5";
    assert_loss(&golden, name, settings, &spread(&golden));
}
