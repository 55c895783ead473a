//! Every engine of this crate holds the contract.

use std::path::Path;

use critique_model::testing::{Tolerance, assert_engine_contract};
use critique_model::{
    AdamW, Architecture, CpuEngine, Engine, Group, Held, LoraConfig, NamedTensors, SaveDtype,
    TokenRun, Training, load_tensors, save_tensors, save_weights,
};

use crate::burn_support::{bounds, engine, tf32, uneven};

#[test]
fn the_cpu_engine_holds_the_contract() {
    for threads in [1, 3] {
        assert_engine_contract(Tolerance::EXACT, |config, weights| {
            let engine = CpuEngine::new(config, weights, threads).unwrap();
            assert!(engine.is_exact());
            Box::new(engine)
        });
    }
}

#[test]
fn the_burn_engine_holds_the_contract() {
    if tf32() {
        // Finite differences drown in the rounding of TF32.
        return;
    }
    let tolerance = Tolerance {
        log_probs: bounds().log_probs,
        ..Tolerance::CLOSE
    };
    assert_engine_contract(tolerance, |config, weights| {
        Box::new(engine(config, weights, None, false))
    });
}

/// Names and bytes of the files of a folder.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let read = |it: std::fs::DirEntry| {
        let name = it.file_name().into_string().unwrap();
        (name, std::fs::read(it.path()).unwrap())
    };
    let mut files: Vec<_> = entries.map(read).collect();
    files.sort();
    files
}

/// An engine after a step, so that its weights lie in the layouts of training.
fn stepped(engine: &dyn Engine, training: &Training) -> Box<dyn Engine> {
    let mut engine = engine.fork(training, 5).unwrap();
    let groups = [Group {
        prompt: vec![1, 2],
        completions: vec![vec![3, 4, 5]],
    }];
    let loss = |_: TokenRun, _: &[f32], grad: &mut [f32]| grad.fill(-1.0);
    engine.accumulate(&groups, 1.0, &loss).unwrap();
    engine.update(0.1, &AdamW::default()).unwrap();
    engine
}

#[test]
fn engines_save_tensor_by_tensor_what_they_hold() {
    let (config, weights) = uneven(Architecture::Qwen2);
    let engines: [Box<dyn Engine>; 2] = [
        Box::new(CpuEngine::new(&config, weights.clone(), 2).unwrap()),
        Box::new(engine(&config, weights.clone(), None, false)),
    ];
    let lora = LoraConfig::new(2, 4.0, vec!["q_proj".into()]);
    for engine in &engines {
        assert!(engine.weights() == weights);
        assert!(engine.adapter().is_empty() && engine.optimizer_state().1.is_empty());
        for training in [Training::Full, Training::Lora(lora.clone())] {
            let engine = stepped(&**engine, &training);
            for (dtype, shard) in [(SaveDtype::F32, 1 << 40), (SaveDtype::Bf16, 2000)] {
                let [one, all] = [(); 2].map(|()| tempfile::tempdir().unwrap());
                engine.save(one.path(), dtype, shard).unwrap();
                save_weights(all.path(), &engine.weights(), dtype, shard).unwrap();
                assert!(files(one.path()) == files(all.path()), "{dtype:?}");
            }
            let kinds: [(Held, NamedTensors); 2] = [
                (Held::Adapter, engine.adapter()),
                (Held::Moments, engine.optimizer_state().1),
            ];
            for (kind, held) in kinds {
                assert_eq!(
                    held.is_empty(),
                    (kind, &training) == (Held::Adapter, &Training::Full)
                );
                let dir = tempfile::tempdir().unwrap();
                let [one, all] = ["one", "all"].map(|name| dir.path().join(name));
                engine.save_in_one(kind, &one).unwrap();
                save_tensors(&all, &held).unwrap();
                assert!(std::fs::read(&one).unwrap() == std::fs::read(&all).unwrap());
                assert!(load_tensors(&one).unwrap() == held);
            }
        }
    }
}
