//! Safetensors in and out: values, shards, and every way a file can be wrong.

use std::fs;
use std::path::Path;

use critique_core::Rng;
use critique_model::{
    CpuEngine, Engine, HostTensor, ModelConfig, NamedTensors, SaveDtype, WeightFiles,
    copy_model_files, load_tensors, load_weights, save_tensors, save_weights,
};
use half::{bf16, f16};
use serde_json::{Value, json};

use crate::support::{golden, real_model, shared, told};

const NO_LIMIT: u64 = u64::MAX;

fn model(name: &str) -> (ModelConfig, NamedTensors) {
    let dir = golden(&format!("models/{name}"));
    let config = ModelConfig::load(&dir).unwrap();
    let weights = load_weights(&dir, &config).unwrap();
    (config, weights)
}

fn tensor(shape: &[usize], seed: u64) -> HostTensor {
    let mut rng = Rng::new(seed);
    HostTensor {
        shape: shape.to_vec(),
        data: (0..shape.iter().product()).map(|_| rng.normal()).collect(),
    }
}

fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Writes a file with this header and so many bytes of zeros.
fn write_raw(path: &Path, header: &Value, bytes: usize) {
    let header = header.to_string();
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend(header.as_bytes());
    content.extend(vec![0; bytes]);
    fs::write(path, content).unwrap();
}

#[test]
fn files_of_transformers_load_as_they_are() {
    let names = [
        "llama-tied",
        "llama-untied",
        "llama3-rope",
        "qwen2-tied",
        "qwen2-untied",
        "qwen3-sharded",
        "qwen3-tied",
    ];
    for name in names {
        let (config, weights) = model(name);
        assert_eq!(weights.len(), config.expected_tensors().len(), "{name}");
        for (tensor, shape) in config.expected_tensors() {
            assert_eq!(weights[&tensor].shape, shape, "{name} {tensor}");
            assert_eq!(weights[&tensor].data.len(), shape.iter().product::<usize>());
        }
        let values: usize = weights.values().map(|it| it.data.len()).sum();
        assert_eq!(values, config.parameters(), "{name}");
    }
}

#[test]
fn weights_of_16_bits_are_widened_exactly() {
    let (_, brain) = model("qwen2-bf16");
    let values = || brain.values().flat_map(|it| &it.data);
    assert!(values().all(|it| bf16::from_f32(*it).to_f32() == *it));
    assert!(values().any(|it| *it != 0.0 && it.abs() < 1.0));
    let (_, half) = model("llama-f16");
    let exact = |it: &f32| f16::from_f32(*it).to_f32() == *it;
    assert!(half.values().flat_map(|it| &it.data).all(exact));
    // Written again in the type they were in, nothing is lost.
    for (weights, dtype) in [(brain, SaveDtype::Bf16), (half, SaveDtype::F16)] {
        let dir = tempfile::tempdir().unwrap();
        save_weights(dir.path(), &weights, dtype, NO_LIMIT).unwrap();
        assert_eq!(
            load_tensors(&dir.path().join("model.safetensors")).unwrap(),
            weights
        );
    }
}

#[test]
fn our_file_equals_what_safetensors_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (_, weights) = model("qwen2-tied");
    save_weights(dir.path(), &weights, SaveDtype::F32, NO_LIMIT).unwrap();
    let bytes = fs::read(dir.path().join("model.safetensors")).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.len(), weights.len());
    for (name, view) in read.tensors() {
        let bytes: Vec<u8> = weights[&name]
            .data
            .iter()
            .flat_map(|it| it.to_le_bytes())
            .collect();
        assert_eq!(
            (view.data(), view.shape()),
            (&bytes[..], &weights[&name].shape[..]),
            "{name}"
        );
        // Aligned, so that a reader may use the file in place.
        assert_eq!((view.data().as_ptr() as usize - bytes_start(&read)) % 4, 0);
    }
    assert_eq!(
        (u64::from_le_bytes(bytes[..8].try_into().unwrap()) + 8) % 8,
        0
    );
    assert_eq!(files(dir.path()), ["model.safetensors"]);
}

fn bytes_start(read: &safetensors::SafeTensors<'_>) -> usize {
    read.tensors()
        .iter()
        .map(|(_, view)| view.data().as_ptr() as usize)
        .min()
        .unwrap()
}

#[test]
fn narrowing_rounds_to_nearest_and_ties_to_even() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let values = vec![
        1.0 + 1.0 / 256.0,  // bf16: halfway between 1 and 1 + 1/128, 1 is even
        1.0 + 3.0 / 256.0,  // bf16: halfway, 1 + 2/128 is even
        1.0 + 1.0 / 2048.0, // f16: halfway, 1 is even
        1.0 + 3.0 / 2048.0, // f16: halfway, 1 + 2/1024 is even
        -1.0 - 1.1 / 256.0,
        3e-8, // f16: nearest to the smallest subnormal 2^-24
        f32::NAN,
        f32::INFINITY,
        -0.0,
    ];
    let weights = NamedTensors::from([(
        "x".to_owned(),
        HostTensor {
            shape: vec![9],
            data: values,
        },
    )]);
    let save_and_load = |dtype| {
        save_weights(dir.path(), &weights, dtype, NO_LIMIT).unwrap();
        load_tensors(&path).unwrap().remove("x").unwrap().data
    };
    let bf16 = save_and_load(SaveDtype::Bf16);
    assert_eq!(bf16[..2], [1.0, 1.0 + 2.0 / 128.0]);
    assert_eq!(bf16[4], -1.0 - 1.0 / 128.0);
    let f16 = save_and_load(SaveDtype::F16);
    assert_eq!(f16[2..4], [1.0, 1.0 + 2.0 / 1024.0]);
    assert_eq!(f16[5], 2f32.powi(-24));
    for out in [bf16, f16] {
        assert!(out[6].is_nan() && out[7] == f32::INFINITY && out[8].is_sign_negative());
    }
}

#[test]
fn a_weight_that_would_become_infinite_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let save = |value, dtype| {
        let tensor = HostTensor {
            shape: vec![1],
            data: vec![value],
        };
        let weights = NamedTensors::from([("a.b".to_owned(), tensor)]);
        save_weights(dir.path(), &weights, dtype, NO_LIMIT).map_err(|error| told(&error))
    };
    // 65504 is the largest f16; from 65520 on rounding gives infinity.
    assert!(save(65_519.0, SaveDtype::F16).is_ok());
    let error = save(-65_520.0, SaveDtype::F16).unwrap_err();
    assert!(
        error.contains("`a.b`") && error.contains("-65520") && error.contains("F16"),
        "{error}"
    );
    assert!(save(3e38, SaveDtype::Bf16).is_ok());
    assert!(save(f32::MAX, SaveDtype::Bf16).is_err());
    assert!(save(f32::MAX, SaveDtype::F32).is_ok());
}

#[test]
fn a_shape_that_does_not_fit_its_values_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tensor = HostTensor {
        shape: vec![2, 2],
        data: vec![0.0; 3],
    };
    let weights = NamedTensors::from([("w".to_owned(), tensor)]);
    let error = told(&save_tensors(&dir.path().join("x.safetensors"), &weights).unwrap_err());
    assert!(
        error.contains("`w` of shape [2, 2] has 3 values"),
        "{error}"
    );
    assert!(files(dir.path()).is_empty());
}

#[test]
fn shards_are_named_filled_and_indexed() {
    let dir = tempfile::tempdir().unwrap();
    let (config, weights) = model("qwen3-tied");
    save_weights(dir.path(), &weights, SaveDtype::F32, 20_000).unwrap();
    let names = files(dir.path());
    let n = names.len() - 1;
    assert!(n > 2, "{names:?}");
    assert_eq!(names[0], format!("model-00001-of-{n:05}.safetensors"));
    assert_eq!(names[n], "model.safetensors.index.json");
    let index: Value =
        serde_json::from_slice(&fs::read(dir.path().join(&names[n])).unwrap()).unwrap();
    assert_eq!(index["metadata"]["total_size"], config.parameters() * 4);
    assert_eq!(
        index["weight_map"].as_object().unwrap().len(),
        weights.len()
    );
    for name in &names[..n] {
        let shard = load_tensors(&dir.path().join(name)).unwrap();
        let bytes: usize = shard.values().map(|it| it.data.len() * 4).sum();
        assert!(bytes <= 20_000 || shard.len() == 1, "{name}: {bytes}");
        assert!(shard.keys().all(|it| index["weight_map"][it] == **name));
    }
    assert_eq!(load_weights(dir.path(), &config).unwrap(), weights);

    // A later save leaves nothing of the earlier one that a reader could pick up.
    fs::write(dir.path().join("model-notes.safetensors"), "kept").unwrap();
    save_weights(dir.path(), &weights, SaveDtype::F32, NO_LIMIT).unwrap();
    assert_eq!(
        files(dir.path()),
        ["model-notes.safetensors", "model.safetensors"]
    );
    save_weights(dir.path(), &weights, SaveDtype::F32, 1).unwrap();
    assert_eq!(files(dir.path()).len(), weights.len() + 2);
    assert_eq!(load_weights(dir.path(), &config).unwrap(), weights);
}

#[test]
fn every_tensor_that_does_not_fit_is_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (config, mut weights) = model("llama-untied");
    weights.remove("model.norm.weight");
    weights.remove("lm_head.weight");
    weights.insert("extra.weight".to_owned(), tensor(&[3], 0));
    weights
        .get_mut("model.layers.0.mlp.up_proj.weight")
        .unwrap()
        .shape
        .reverse();
    save_weights(dir.path(), &weights, SaveDtype::F32, NO_LIMIT).unwrap();
    let error = told(&load_weights(dir.path(), &config).unwrap_err());
    for part in [
        "model.safetensors: ",
        "missing tensors: lm_head.weight, model.norm.weight",
        "unused tensors: extra.weight",
        "misshapen tensors: model.layers.0.mlp.up_proj.weight (is [32, 36], wanted [36, 32])",
    ] {
        // The order of the missing is that of the model.
        let part = part.replace(
            "lm_head.weight, model.norm.weight",
            "model.norm.weight, lm_head.weight",
        );
        assert!(error.contains(&part), "{part}: {error}");
    }

    let few = NamedTensors::from([("model.norm.weight".to_owned(), tensor(&[32], 0))]);
    save_weights(dir.path(), &few, SaveDtype::F32, NO_LIMIT).unwrap();
    let error = told(&load_weights(dir.path(), &config).unwrap_err());
    let missing = config.expected_tensors().len() - 1;
    assert!(
        error.contains(&format!("and {} more", missing - 10)),
        "{error}"
    );
}

/// Saves weights with one more tensor and reads them as those of `config`.
fn load_with(
    config: &ModelConfig,
    weights: &NamedTensors,
    (name, more): (&str, HostTensor),
    dtype: SaveDtype,
) -> Result<NamedTensors, String> {
    let dir = tempfile::tempdir().unwrap();
    let mut weights = weights.clone();
    weights.insert(name.to_owned(), more);
    save_weights(dir.path(), &weights, dtype, 3_000_000).unwrap();
    load_weights(dir.path(), config).map_err(|error| told(&error))
}

#[test]
fn an_output_layer_that_equals_the_embedding_it_is_tied_to_is_passed_over() {
    let (mut config, _) = model("qwen2-tied");
    // Large enough to be compared in several pieces.
    config.vocab = 20_003;
    let weights = CpuEngine::random_weights(&config, 0.7, 1);
    let head = "lm_head.weight";
    let own = weights["model.embed_tokens.weight"].clone();
    for dtype in [SaveDtype::F32, SaveDtype::Bf16] {
        let read = load_with(&config, &weights, (head, own.clone()), dtype).unwrap();
        assert!(!read.contains_key(head));
    }
    for place in [0, own.data.len() / 2, own.data.len() - 1] {
        let mut other = own.clone();
        other.data[place] += 1.0;
        let error = load_with(&config, &weights, (head, other), SaveDtype::F32).unwrap_err();
        assert!(
            error.contains("lm_head.weight differs") && error.contains("`tie_word_embeddings`"),
            "{error}"
        );
    }
    let mut small = own;
    small.shape = vec![config.vocab, config.d_model - 1];
    small.data.truncate(config.vocab * (config.d_model - 1));
    let error = load_with(&config, &weights, (head, small), SaveDtype::F32).unwrap_err();
    assert!(error.contains("unused tensors: lm_head.weight"), "{error}");
}

#[test]
fn rotary_buffers_are_passed_over_where_they_are_those_of_the_configuration() {
    for name in ["qwen2-tied", "llama3-rope"] {
        let (config, weights) = model(name);
        let frequencies = config.rope_inv_freq();
        let buffer = |data: Vec<f32>| HostTensor {
            shape: vec![data.len()],
            data,
        };
        let places = [
            "model.layers.1.self_attn.rotary_emb.inv_freq",
            "model.rotary_emb.inv_freq",
        ];
        for (place, dtype) in places.into_iter().flat_map(|place| {
            [SaveDtype::F32, SaveDtype::F16, SaveDtype::Bf16].map(|dtype| (place, dtype))
        }) {
            let load = |data| load_with(&config, &weights, (place, buffer(data)), dtype);
            load(frequencies.clone()).unwrap();
            let mut other = frequencies.clone();
            *other.last_mut().unwrap() *= 1.05;
            let error = load(other).unwrap_err();
            assert!(
                error.contains(&format!("{place} holds other frequencies")),
                "{error}"
            );
            let error = load(frequencies[1..].to_vec()).unwrap_err();
            assert!(
                error.contains(&format!("unused tensors: {place}")),
                "{error}"
            );
        }
    }
}

#[test]
fn biases_of_layers_that_have_none_are_passed_over_where_they_are_0() {
    let (config, weights) = model("qwen2-untied");
    let attention = "model.layers.0.self_attn";
    for (layer, width) in [
        (&*format!("{attention}.o_proj"), config.d_model),
        ("model.layers.2.mlp.gate_proj", config.d_ff),
        ("model.layers.2.mlp.down_proj", config.d_model),
        ("model.layers.1.input_layernorm", config.d_model),
        ("model.norm", config.d_model),
        ("lm_head", config.vocab),
    ] {
        let name = format!("{layer}.bias");
        let load = |width: usize, value| {
            let mut data = vec![0.0; width];
            data[width - 1] = value;
            let shape = vec![width];
            load_with(
                &config,
                &weights,
                (&name, HostTensor { shape, data }),
                SaveDtype::F32,
            )
        };
        assert_eq!(load(width, 0.0).unwrap(), weights);
        assert_eq!(load(width, -0.0).unwrap(), weights);
        for value in [1e-30, f32::NAN] {
            let error = load(width, value).unwrap_err();
            assert!(error.contains(&format!("{name} is not 0")), "{error}");
        }
        let error = load(width + 1, 0.0).unwrap_err();
        assert!(
            error.contains(&format!("unused tensors: {name}")),
            "{error}"
        );
    }
    let elsewhere = HostTensor {
        shape: vec![2],
        data: vec![0.0; 2],
    };
    let error = load_with(&config, &weights, ("x.bias", elsewhere), SaveDtype::F32).unwrap_err();
    assert!(error.contains("unused tensors: x.bias"), "{error}");
}

#[test]
fn a_file_cut_anywhere_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let weights = NamedTensors::from([
        ("a".to_owned(), tensor(&[2, 3], 0)),
        ("b".to_owned(), tensor(&[], 1)),
    ]);
    save_tensors(&path, &weights).unwrap();
    assert_eq!(load_tensors(&path).unwrap(), weights);
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = told(&load_tensors(&path).unwrap_err());
        assert!(
            error.contains("model.safetensors: truncated"),
            "{length}: {error}"
        );
    }
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    let error = told(&load_tensors(&path).unwrap_err());
    assert!(error.contains("longer than it should be"), "{error}");
    // Any one byte of the header changed never panics and never gives wrong sizes.
    let header = whole.len() - 28;
    for i in 0..header {
        for flip in [1, 0x20, 0x80] {
            let mut bytes = whole.clone();
            bytes[i] ^= flip;
            fs::write(&path, bytes).unwrap();
            if let Ok(read) = load_tensors(&path) {
                assert!(
                    read.values()
                        .all(|it| it.data.len() == it.shape.iter().product::<usize>())
                );
            }
        }
    }
}

#[test]
fn damaged_headers_are_errors_that_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapter.safetensors");
    let of = |dtype: &str, shape: Value, start: u64, end: u64| json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
    let cases = [
        (
            json!({ "a": of("F32", json!([2]), 0, 8), "b": of("F32", json!([2]), 4, 12) }),
            12,
            "b",
        ), // overlap
        (
            json!({ "a": of("F32", json!([2]), 0, 8), "b": of("F32", json!([2]), 12, 20) }),
            20,
            "b",
        ), // hole
        (json!({ "a": of("F32", json!([2]), 8, 0) }), 8, "a"),
        (json!({ "a": of("F32", json!([3]), 0, 8) }), 8, "header"),
        (
            json!({ "a": of("F32", json!([u64::MAX, u64::MAX]), 0, 8) }),
            8,
            "header",
        ),
        (json!({ "a": of("F33", json!([2]), 0, 8) }), 8, "F33"),
        (json!({ "a": { "dtype": "F32" } }), 8, "header"),
        (json!([]), 0, "header"),
        (
            json!({ "a": of("I64", json!([1]), 0, 8) }),
            8,
            "`a` is of type I64; supported are F32, F16 and BF16",
        ),
        (
            json!({ "a": of("F8_E4M3", json!([8]), 0, 8) }),
            8,
            "F8_E4M3",
        ),
    ];
    for (header, bytes, wanted) in cases {
        write_raw(&path, &header, bytes);
        let error = told(&load_tensors(&path).unwrap_err());
        assert!(
            error.contains("adapter.safetensors: ") && error.contains(wanted),
            "{header}: {error}"
        );
    }
    fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
    let error = told(&load_tensors(&path).unwrap_err());
    assert!(error.contains("no safetensors file"), "{error}");
    fs::write(&path, "<!DOCTYPE html><html></html>").unwrap();
    let error = told(&load_tensors(&path).unwrap_err());
    assert!(error.contains("no safetensors file"), "{error}");
}

#[test]
fn folders_without_or_with_wrong_indices_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let (config, weights) = model("qwen3-sharded");
    let load = || told(&load_weights(dir.path(), &config).unwrap_err());
    assert!(load().contains("holds no weights"), "{}", load());

    save_weights(dir.path(), &weights, SaveDtype::F32, 30_000).unwrap();
    let index = dir.path().join("model.safetensors.index.json");
    let good: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    let write = |value: &Value| fs::write(&index, value.to_string()).unwrap();
    let with = |tensor: &str, file: &str| {
        let mut index = good.clone();
        index["weight_map"][tensor] = json!(file);
        index
    };
    for outside in ["../model.safetensors", "/model.safetensors", "..", ""] {
        write(&with("model.norm.weight", outside));
        assert!(load().contains("a plain file name is wanted"), "{}", load());
    }
    write(&with(
        "model.norm.weight",
        "model-00009-of-00009.safetensors",
    ));
    assert!(
        load().contains("cannot read") && load().contains("00009"),
        "{}",
        load()
    );
    let first = good["weight_map"]["lm_head.weight"].as_str().unwrap();
    let last = good["weight_map"]["model.norm.weight"].as_str().unwrap();
    assert_ne!(first, last);
    write(&with("model.norm.weight", first));
    assert!(
        load().contains("not in their shards: model.norm.weight"),
        "{}",
        load()
    );
    write(&json!({ "weight_map": {} }));
    assert!(
        load().contains("`weight_map` is missing or empty"),
        "{}",
        load()
    );

    write(&good);
    let mut twice = load_tensors(&dir.path().join(last)).unwrap();
    twice.insert(
        "lm_head.weight".to_owned(),
        weights["lm_head.weight"].clone(),
    );
    save_tensors(&dir.path().join(last), &twice).unwrap();
    assert!(load().contains("`lm_head.weight` is in both"), "{}", load());
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_partial_one() {
    let dir = tempfile::tempdir().unwrap();
    let old = NamedTensors::from([("a".to_owned(), tensor(&[4], 0))]);
    // A folder in the place of the file cannot be replaced by renaming.
    let taken = dir.path().join("taken");
    fs::create_dir(&taken).unwrap();
    let error = told(&save_tensors(&taken, &old).unwrap_err());
    assert!(
        error.contains("cannot write") && error.contains("taken"),
        "{error}"
    );
    assert_eq!(files(dir.path()), ["taken"]);
    // Folders on the way are made.
    let path = dir.path().join("x/y/a.safetensors");
    save_tensors(&path, &old).unwrap();
    assert_eq!(load_tensors(&path).unwrap(), old);
}

#[test]
fn companions_are_copied_byte_for_byte() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(from.path().join("config.json"), "{ \"odd\" : 1}\r\n").unwrap();
    fs::write(from.path().join("chat_template.jinja"), b"\xff\xfe").unwrap();
    fs::write(from.path().join("model.safetensors"), "weights").unwrap();
    let copied = copy_model_files(from.path(), to.path()).unwrap();
    assert_eq!(copied, ["config.json", "chat_template.jinja"]);
    assert_eq!(files(to.path()), ["chat_template.jinja", "config.json"]);
    for name in copied {
        assert_eq!(
            fs::read(from.path().join(name)).unwrap(),
            fs::read(to.path().join(name)).unwrap()
        );
    }
}

#[test]
fn an_engine_reads_files_as_it_takes_weights_from_memory() {
    for (name, vocab, dtype) in [
        ("qwen2-tied", 20_003, SaveDtype::F32),
        ("qwen2-untied", 20_003, SaveDtype::Bf16),
        ("qwen3-tied", 20_000, SaveDtype::F16),
    ] {
        // Large enough for several threads to share one tensor.
        let dir = tempfile::tempdir().unwrap();
        let (mut config, _) = model(name);
        config.vocab = vocab;
        let random = CpuEngine::random_weights(&config, 0.7, 1);
        save_weights(dir.path(), &random, dtype, 1_000_000).unwrap();
        let weights = load_weights(dir.path(), &config).unwrap();
        let memory = CpuEngine::new(&config, weights.clone(), 1).unwrap();
        assert_eq!(memory.weights(), weights, "{name}");
        for threads in [1, 2, 5] {
            let files = WeightFiles::open(dir.path(), &config).unwrap();
            let engine = CpuEngine::new(&config, files, threads).unwrap();
            assert_eq!(engine.weights(), weights, "{name}, {threads} threads");
            assert_eq!(engine.weight_bytes(), memory.weight_bytes());
        }
    }
}

#[test]
fn an_engine_names_the_file_and_tensor_that_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let (config, weights) = model("llama-untied");
    save_weights(dir.path(), &weights, SaveDtype::F32, NO_LIMIT).unwrap();
    let path = dir.path().join("model.safetensors");
    let files = WeightFiles::open(dir.path(), &config).unwrap();
    // All tensors but the last to lie in the file are whole.
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length - 4).unwrap();
    let error = told(&CpuEngine::new(&config, files, 2).unwrap_err());
    let last = weights.keys().next_back().unwrap();
    for part in ["cannot read", "model.safetensors", &format!("`{last}`")] {
        assert!(error.contains(part), "{part}: {error}");
    }

    let shape = |shape: &[usize]| json!({"dtype": "I32", "shape": shape});
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, dims) in config.expected_tensors() {
        let bytes = 4 * dims.iter().product::<usize>();
        header.insert(name.clone(), shape(&dims));
        header[&name]["data_offsets"] = json!([end, end + bytes]);
        end += bytes;
    }
    write_raw(&path, &Value::Object(header), end);
    let files = WeightFiles::open(dir.path(), &config).unwrap();
    let error = told(&CpuEngine::new(&config, files, 2).unwrap_err());
    for part in [
        "model.safetensors",
        "`model.embed_tokens.weight` is of type I32",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn weights_of_real_models_load() {
    if let Some(dir) = shared("models/stories260K") {
        let config = ModelConfig::load(&dir).unwrap();
        assert_eq!(load_weights(&dir, &config).unwrap().len(), 5 * 9 + 2);
    }
    if let Some(dir) = real_model("SmolLM2-135M-Instruct") {
        let config = ModelConfig::load(&dir).unwrap();
        let weights = load_weights(&dir, &config).unwrap();
        assert!(
            weights
                .values()
                .flat_map(|it| &it.data)
                .all(|it| it.is_finite())
        );
    }
}

#[test]
fn weights_in_memory_that_do_not_fit_are_errors_that_name_them() {
    let (config, weights) = model("qwen2-tied");
    let name = "model.layers.0.mlp.up_proj.weight";
    let message = |change: &dyn Fn(&mut NamedTensors)| {
        let mut weights = weights.clone();
        change(&mut weights);
        CpuEngine::new(&config, weights, 1).unwrap_err().to_string()
    };
    let cut = message(&|weights| weights.get_mut(name).unwrap().data.truncate(5));
    assert!(cut.contains(name) && cut.contains("has 5 values"), "{cut}");
    let turned = message(&|weights| weights.get_mut(name).unwrap().shape.reverse());
    assert!(
        turned.contains(name) && turned.contains("asks for"),
        "{turned}"
    );
    let gone = message(&|weights| drop(weights.remove(name)));
    assert!(gone.contains(name) && gone.contains("is missing"), "{gone}");
}
