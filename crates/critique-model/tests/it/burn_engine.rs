//! The burn engine against itself and against the CPU engine.

use critique_core::{FinishReason, Request, Rng, Sampling};
use critique_model::{
    AdamW, Architecture, BurnLimits, CpuEngine, Ends, Engine, Group, LoraConfig, NamedTensors,
    TokenRun, Training,
};

use crate::burn_support::{
    ENDS, adapter, bounds, device, distance, engine, flat, groups, sampling, tensor_distance, tf32,
    tokens, uneven, weighted,
};

const ALL: [Architecture; 3] = [
    Architecture::Qwen2,
    Architecture::Qwen3,
    Architecture::Llama,
];

/// Bounds that make every pass as small as it gets.
fn small() -> BurnLimits {
    BurnLimits {
        batch_tokens: 1,
        tape_bytes: 1,
        logits_bytes: 1,
        cache_bytes: 1,
        sampled_rows: 1,
    }
}

/// A loss whose derivative depends on the log-prob.
fn bent(run: TokenRun, log_probs: &[f32], gradient: &mut [f32]) {
    for (i, (gradient, log_prob)) in gradient.iter_mut().zip(log_probs).enumerate() {
        let token = run.group + 3 * run.completion + 7 * (run.start + i);
        *gradient = 0.05 * log_prob + 0.1 * (token as f32).sin();
    }
}

#[test]
fn engines_agree_on_log_probs_and_on_training() {
    for architecture in ALL {
        let (config, weights) = uneven(architecture);
        for with_adapter in [false, true] {
            let mut cpu = CpuEngine::new(&config, weights.clone(), 1).unwrap();
            let lora = with_adapter.then(|| adapter(&config));
            match lora.clone() {
                Some((lora, tensors)) => cpu.add_adapter(&lora, tensors, true, 0).unwrap(),
                None => cpu.train_all(),
            }
            let mut burn = engine(&config, weights.clone(), lora, true);
            let optimizer = AdamW {
                weight_decay: 0.1,
                ..AdamW::default()
            };
            let mut drift = 0f32;
            for step in 0..4 {
                let groups = groups(step);
                let theirs = cpu.accumulate(&groups, 0.8, &bent).unwrap();
                let ours = burn.accumulate(&groups, 0.8, &bent).unwrap();
                drift = drift.max(distance(flat(&ours), flat(&theirs)));
                if step == 0 {
                    let (most, largest) = tensor_distance(&burn.gradients(), &cpu.gradients());
                    println!(
                        "{architecture:?} gradients: {:e} of the largest",
                        most / largest
                    );
                    assert!(
                        most < bounds().gradients * largest,
                        "{architecture:?}: {most} of {largest}"
                    );
                }
                let norms = (
                    burn.update(0.002, &optimizer).unwrap(),
                    cpu.update(0.002, &optimizer).unwrap(),
                );
                assert!((norms.0 / norms.1 - 1.0).abs() < bounds().norm, "{norms:?}");
            }
            println!("{architecture:?} adapter {with_adapter}: drift of {drift:e} in 4 steps");
            assert!(
                drift < bounds().drift,
                "{architecture:?} adapter {with_adapter}: {drift}"
            );
            assert_eq!(burn.optimizer_state().0, 4);
            let moments = (burn.optimizer_state().1, cpu.optimizer_state().1);
            let (most, largest) = tensor_distance(&moments.0, &moments.1);
            assert!(most < bounds().moments * largest, "{most} of {largest}");
        }
    }
}

#[test]
fn limits_change_no_more_than_rounding() {
    for architecture in ALL {
        let (config, weights) = uneven(architecture);
        let groups = groups(1);
        let run = |limits| {
            let mut engine = engine(&config, weights.clone(), None, true).with_limits(limits);
            let scored = engine.score(&groups, 0.7).unwrap();
            let seen = engine.accumulate(&groups, 0.7, &bent).unwrap();
            assert!(distance(flat(&seen), flat(&scored)) <= bounds().same);
            (scored, engine.gradients())
        };
        let (wide, narrow) = (run(BurnLimits::default()), run(small()));
        assert!(distance(flat(&wide.0), flat(&narrow.0)) < bounds().log_probs);
        let (most, largest) = tensor_distance(&wide.1, &narrow.1);
        assert!(
            most < bounds().gradients * largest,
            "{architecture:?}: {most} of {largest}"
        );
    }
}

#[test]
fn sampled_log_probs_equal_scored_ones_in_any_company() {
    for architecture in ALL {
        let (config, weights) = uneven(architecture);
        let wide = engine(&config, weights.clone(), None, false);
        let narrow = engine(&config, weights, None, false).with_limits(small());
        let mut rng = Rng::new(9);
        let shapes = [(3, 4, 1.0), (70, 2, 0.7), (100, 1, 1.3), (1, 3, 0.0)];
        let requests = shapes.map(|(prompt, samples, temperature)| Request {
            prompt: tokens(&mut rng, prompt),
            seeds: (0..samples).collect(),
            sampling: Sampling {
                stop_token_ids: vec![5],
                ..sampling(temperature, 75)
            },
        });
        let all = wide.generate(&requests, &ENDS).unwrap();
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2, 1, 3]);
        for (request, completions) in requests.iter().zip(&all) {
            let group = Group {
                prompt: request.prompt.clone(),
                completions: completions.iter().map(|it| it.tokens.clone()).collect(),
            };
            let scored = wide
                .score(&[group], request.sampling.log_prob_temperature())
                .unwrap();
            let sampled = completions.iter().map(|it| it.log_probs.clone()).collect();
            let most = distance(flat(&[sampled]), flat(&scored));
            assert!(most < bounds().log_probs, "{architecture:?}: {most}");
        }
        let alone = narrow.generate(&requests, &ENDS).unwrap();
        for (together, alone) in all.iter().flatten().zip(alone.iter().flatten()) {
            assert_eq!(together.tokens, alone.tokens, "{architecture:?}");
            assert_eq!(together.finish_reason, alone.finish_reason);
        }
    }
}

#[test]
fn greedy_tokens_are_the_likeliest_without_a_cache_too() {
    let (config, weights) = uneven(Architecture::Qwen3);
    let engine = engine(&config, weights, None, false);
    let prompt = tokens(&mut Rng::new(2), 9);
    let request = Request {
        prompt: prompt.clone(),
        seeds: vec![0],
        sampling: sampling(0.0, 12),
    };
    let found = engine
        .generate(&[request], &ENDS)
        .unwrap()
        .remove(0)
        .remove(0);
    for (index, &token) in found.tokens.iter().enumerate() {
        let mut before = prompt.clone();
        before.extend(&found.tokens[..index]);
        let next = Group {
            prompt: before,
            completions: (0..61).map(|id| vec![id]).collect(),
        };
        let scored = engine.score(&[next], 1.0).unwrap().remove(0);
        let best = (0..61)
            .max_by(|&a, &b| scored[a][0].total_cmp(&scored[b][0]))
            .unwrap();
        assert_eq!(token, best as u32);
    }
}

#[test]
fn completions_end_at_stops_and_at_the_context() {
    let (config, weights) = uneven(Architecture::Llama);
    let engine = engine(&config, weights, None, false);
    let prompt = tokens(&mut Rng::new(3), 150);
    let request = |max_new_tokens, ignore_eos| Request {
        prompt: prompt.clone(),
        seeds: vec![1, 2],
        sampling: Sampling {
            ignore_eos,
            ..sampling(1.0, max_new_tokens)
        },
    };
    let all = engine
        .generate(&[request(50, true), request(4, true)], &ENDS)
        .unwrap();
    let lengths: Vec<_> = all.iter().flatten().map(|it| it.tokens.len()).collect();
    assert_eq!(lengths, [10, 10, 4, 4]);
    let first = all[0][0].tokens[0];
    let ends = Ends {
        eos: &[first],
        decode: &|ids| format!("{ids:?}"),
    };
    let stopped = engine.generate(&[request(50, false)], &ends).unwrap();
    assert_eq!(stopped[0][0].tokens, [first]);
    assert_eq!(stopped[0][0].finish_reason, FinishReason::Stop);
    assert_eq!(stopped[0][0].text, "[]");
}

#[test]
fn gradients_equal_finite_differences() {
    if tf32() {
        println!("not on this device: TF32 rounds more than a step changes");
        return;
    }
    let (config, weights) = uneven(Architecture::Qwen3);
    let groups = vec![Group {
        prompt: vec![3, 1, 4],
        completions: vec![vec![1, 5, 9, 2, 6]],
    }];
    let upstream = [vec![0.3, -0.2, 0.5, 0.1, -0.4]];
    let mut trained = engine(&config, weights.clone(), None, true);
    trained
        .accumulate(&groups, 1.0, &weighted(&upstream))
        .unwrap();
    let gradients = trained.gradients();
    let loss = |weights: NamedTensors| -> f64 {
        let scored = engine(&config, weights, None, false)
            .score(&groups, 1.0)
            .unwrap();
        let pairs = scored[0][0].iter().zip(&upstream[0]);
        pairs.map(|(a, b)| f64::from(a * b)).sum()
    };
    let mut rng = Rng::new(5);
    // Along a random direction in each tensor, so that the difference stands out of rounding.
    for (name, gradient) in &gradients {
        let direction: Vec<f32> = gradient.data.iter().map(|_| rng.normal()).collect();
        let slope: f32 = gradient
            .data
            .iter()
            .zip(&direction)
            .map(|(a, b)| a * b)
            .sum();
        let length = direction.iter().map(|x| x * x).sum::<f32>().sqrt();
        let step = 0.02 / length;
        let moved = |by: f32| {
            let mut weights = weights.clone();
            let tensor = weights.get_mut(name).unwrap();
            tensor
                .data
                .iter_mut()
                .zip(&direction)
                .for_each(|(x, d)| *x += by * d);
            loss(weights)
        };
        let measured = (moved(step) - moved(-step)) / f64::from(2.0 * step);
        let error = (measured as f32 - slope).abs() / length;
        assert!(
            error < 2e-3,
            "{name}: {measured} and {slope}, direction of length {length}"
        );
    }
}

#[test]
fn a_merged_adapter_equals_the_adapter() {
    let (config, weights) = uneven(Architecture::Qwen2);
    let (lora, tensors) = adapter(&config);
    let mut merged = weights.clone();
    for (name, a) in tensors.iter().filter(|(name, _)| name.contains("lora_A")) {
        let b = &tensors[&name.replace("lora_A", "lora_B")];
        let layer = name.trim_start_matches("base_model.model.");
        let layer = layer.trim_end_matches(".lora_A.weight");
        let weight = merged.get_mut(&format!("{layer}.weight")).unwrap();
        let [d_out, d_in] = weight.shape[..] else {
            panic!("a matrix was expected")
        };
        for (i, x) in weight.data.iter_mut().enumerate() {
            let (row, column) = (i / d_in, i % d_in);
            assert!(row < d_out);
            let inner = (0..lora.r).map(|k| b.data[row * lora.r + k] * a.data[k * d_in + column]);
            *x += lora.scale() * inner.sum::<f32>();
        }
    }
    let adapted = engine(
        &config,
        weights.clone(),
        Some((lora, tensors.clone())),
        false,
    );
    assert_eq!(tensor_distance(&adapted.weights(), &weights).0, 0.0);
    assert_eq!(tensor_distance(&adapted.adapter(), &tensors).0, 0.0);
    let merged = engine(&config, merged, None, false);
    let groups = groups(4);
    let both = [&adapted, &merged].map(|it| it.score(&groups, 1.0).unwrap());
    let most = distance(flat(&both[0]), flat(&both[1]));
    assert!(most < bounds().log_probs, "{most}");
}

#[test]
fn a_fresh_adapter_changes_nothing_until_it_is_trained() {
    let (config, weights) = uneven(Architecture::Qwen3);
    let lora = LoraConfig::new(2, 4.0, LoraConfig::all_linear());
    let groups = groups(6);
    let plain = engine(&config, weights.clone(), None, false)
        .score(&groups, 1.0)
        .unwrap();
    let fresh = Some((lora, NamedTensors::new()));
    let mut trained = engine(&config, weights.clone(), fresh, true);
    assert_eq!(trained.score(&groups, 1.0).unwrap(), plain);
    let reference = trained.fork(&Training::Frozen, 0).unwrap();
    trained.accumulate(&groups, 1.0, &bent).unwrap();
    assert!(
        trained
            .gradients()
            .keys()
            .all(|name| name.contains(".lora_"))
    );
    assert!(trained.update(0.05, &AdamW::default()).unwrap() > 0.0);
    assert!(distance(flat(&trained.score(&groups, 1.0).unwrap()), flat(&plain)) > 1e-3);
    assert_eq!(reference.score(&groups, 1.0).unwrap(), plain);
    assert_eq!(tensor_distance(&trained.weights(), &weights).0, 0.0);
}

#[test]
fn a_copy_keeps_its_weights_while_the_other_is_trained() {
    let (config, weights) = uneven(Architecture::Qwen2);
    let base = engine(&config, weights.clone(), None, false);
    let groups = groups(3);
    let plain = base.score(&groups, 1.0).unwrap();
    let (lora, _) = adapter(&config);
    for lora in [None, Some(&lora)] {
        let mut trained = base.trainable(lora, 7).unwrap();
        let frozen = trained.frozen();
        assert_eq!(trained.score(&groups, 1.0).unwrap(), plain);
        trained.accumulate(&groups, 1.0, &bent).unwrap();
        assert_eq!(
            trained.gradients().len(),
            trained.optimizer_state().1.len() / 2
        );
        assert!(trained.update(0.05, &AdamW::default()).unwrap() > 0.0);
        assert!(distance(flat(&trained.score(&groups, 1.0).unwrap()), flat(&plain)) > 1e-3);
        for copy in [&base, &frozen] {
            assert_eq!(copy.score(&groups, 1.0).unwrap(), plain);
        }
        // What was frozen again goes on from where training left it, with the same adapter.
        let again = trained.frozen().trainable(lora, 8).unwrap();
        assert_eq!(
            again.score(&groups, 1.0).unwrap(),
            trained.score(&groups, 1.0).unwrap()
        );
        assert_eq!(again.optimizer_steps(), 0);
    }
    assert_eq!(tensor_distance(&base.weights(), &weights).0, 0.0);
}

#[test]
fn training_goes_on_from_saved_state_as_if_never_stopped() {
    let (config, weights) = uneven(Architecture::Qwen2);
    let optimizer = AdamW::default();
    let mut one = engine(&config, weights, None, true);
    let steps = |engine: &mut dyn Engine, range: std::ops::Range<u64>| {
        for step in range {
            engine.accumulate(&groups(step), 1.0, &bent).unwrap();
            engine.update(0.01, &optimizer).unwrap();
        }
    };
    steps(&mut one, 0..2);
    let (count, moments) = one.optimizer_state();
    let mut two = engine(&config, one.weights(), None, true);
    two.load_optimizer_state(count, moments.clone()).unwrap();
    steps(&mut one, 2..4);
    steps(&mut two, 2..4);
    // Bit for bit where sums keep their order, as on flex with few threads.
    assert!(tensor_distance(&one.weights(), &two.weights()).0 < 1e-6);
    let mut missing = moments.clone();
    missing.remove("m.model.norm.weight");
    let error = two
        .load_optimizer_state(count, missing)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "optimizer state: missing tensors: m.model.norm.weight"
    );
    let mut unknown = moments;
    let tensor = unknown["m.model.norm.weight"].clone();
    unknown.insert("m.other".into(), tensor);
    let error = two
        .load_optimizer_state(count, unknown)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "optimizer state: unused tensors: m.other");
}

#[test]
fn a_norm_that_is_not_finite_takes_no_step() {
    let (config, weights) = uneven(Architecture::Llama);
    let mut engine = engine(&config, weights.clone(), None, true);
    let infinite = |_: TokenRun, _: &[f32], gradient: &mut [f32]| gradient.fill(f32::INFINITY);
    engine.accumulate(&groups(0), 1.0, &infinite).unwrap();
    assert!(!engine.update(0.1, &AdamW::default()).unwrap().is_finite());
    assert_eq!(engine.optimizer_state().0, 0);
    assert_eq!(tensor_distance(&engine.weights(), &weights).0, 0.0);
    assert!(engine.gradients().is_empty());
    // Nor is there one without gradients.
    assert_eq!(engine.update(0.1, &AdamW::default()).unwrap(), 0.0);
    assert_eq!(engine.optimizer_state().0, 0);
}

#[test]
fn accumulated_gradients_add_up() {
    let (config, weights) = uneven(Architecture::Qwen2);
    let all = groups(8);
    let run = |parts: &[&[Group]]| {
        let mut engine = engine(&config, weights.clone(), None, true);
        let even = |_: TokenRun, _: &[f32], gradient: &mut [f32]| gradient.fill(0.1);
        for part in parts {
            engine.accumulate(part, 1.0, &even).unwrap();
        }
        engine.gradients()
    };
    let (whole, parts) = (run(&[&all]), run(&[&all[..1], &all[1..]]));
    let (most, largest) = tensor_distance(&whole, &parts);
    assert!(most < 1e-5 * largest, "{most} of {largest}");
}

#[test]
fn what_does_not_fit_the_model_is_refused() {
    let (config, mut weights) = uneven(Architecture::Llama);
    let engine = engine(&config, weights.clone(), None, false);
    let score = |prompt: Vec<u32>, completion: Vec<u32>| {
        let completions = vec![completion];
        let error = engine
            .score(
                &[Group {
                    prompt,
                    completions,
                }],
                1.0,
            )
            .unwrap_err();
        error.to_string()
    };
    assert_eq!(score(vec![], vec![1]), "prompt has no tokens");
    assert_eq!(score(vec![1], vec![]), "completion has no tokens");
    assert_eq!(
        score(vec![1], vec![61]),
        "token id 61 is outside the vocabulary of 61 tokens"
    );
    assert_eq!(
        score(vec![1; 160], vec![1]),
        "sequence of 161 tokens does not fit the model's context of 160 tokens"
    );
    let full = Request {
        prompt: vec![1; 160],
        seeds: vec![1],
        sampling: Sampling::default(),
    };
    assert!(engine.generate(&[full], &ENDS).is_err());
    weights.remove("lm_head.weight");
    weights.get_mut("model.norm.weight").unwrap().shape = vec![41];
    let device = device().open().unwrap();
    let made = critique_model::BurnEngine::new(&config, weights, None, false, device, 0);
    assert_eq!(
        made.unwrap_err().to_string(),
        "weights: missing tensors: lm_head.weight; misshapen tensors: model.norm.weight \
         (is [41], wanted [40])"
    );
}
