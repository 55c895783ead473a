//! Fields and adapters as transformers and PEFT read them, wherever they stand: numbers of
//! `tests/golden/make_loading.py`.

use std::fs;
use std::path::Path;

use critique_model::{
    Adapter, CpuEngine, Engine, Group, HostTensor, ModelConfig, NamedTensors, load_adapter,
    load_tensors, load_weights, save_adapter, save_tensors,
};
use serde_json::Value;

use crate::support::{golden, told};

/// How far two right computations in f32 may be apart, in nats. The models' weights are large, and
/// some tokens have -20 nats.
const NOISE: f64 = 3e-4;

fn cases(kind: &str) -> Vec<Value> {
    let text = fs::read_to_string(golden("loading.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn ids(case: &Value) -> Vec<u32> {
    let ids = case["ids"].as_array().unwrap();
    ids.iter().map(|it| it.as_u64().unwrap() as u32).collect()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap()
}

/// Largest distance of the engine's log-probs from those of the case.
fn distance(engine: &CpuEngine, case: &Value) -> f64 {
    let ids = ids(case);
    let group = Group {
        prompt: vec![ids[0]],
        completions: vec![ids[1..].to_vec()],
    };
    let found = engine.score(&[group], 1.0).unwrap();
    let wanted = case["logprobs"].as_array().unwrap();
    assert_eq!(found[0][0].len(), wanted.len());
    let pairs = found[0][0].iter().zip(wanted);
    pairs
        .map(|(a, b)| (f64::from(*a) - b.as_f64().unwrap()).abs())
        .fold(0.0, f64::max)
}

/// The JSON of a golden file with the fields of a case set in it.
fn changed(path: &Path, case: &Value) -> Value {
    let mut fields: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for field in case["removed"].as_array().into_iter().flatten() {
        fields
            .as_object_mut()
            .unwrap()
            .remove(field.as_str().unwrap());
    }
    for (field, value) in case["set"].as_object().unwrap() {
        fields[field] = value.clone();
    }
    fields
}

#[test]
fn every_place_that_transformers_reads_a_field_from_counts() {
    let mut wrong = Vec::new();
    for case in cases("configs") {
        let dir = golden(&format!("models/{}", text(&case, "model")));
        let fields = changed(&dir.join("config.json"), &case).to_string();
        let found = ModelConfig::parse(Path::new("config.json"), fields.as_bytes());
        let distance = found.map_err(|error| told(&error)).map(|config| {
            let weights = load_weights(&dir, &config).unwrap();
            distance(&CpuEngine::new(&config, weights, 1).unwrap(), &case)
        });
        if !distance.as_ref().is_ok_and(|it| *it < NOISE) {
            wrong.push(format!("{}: {distance:?}", text(&case, "name")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The adapter of a golden model with what the case changes in it, in a folder of its own.
fn write_adapter(to: &Path, case: &Value) {
    let from = golden(&format!("models/{}/adapter", text(case, "model")));
    let fields = changed(&from.join("adapter_config.json"), case).to_string();
    fs::write(to.join("adapter_config.json"), fields).unwrap();
    let mut tensors = load_tensors(&from.join("adapter_model.safetensors")).unwrap();
    let kept: Vec<_> = case["kept"].as_array().unwrap().iter().collect();
    tensors.retain(|name, _| kept.iter().any(|it| name.contains(it.as_str().unwrap())));
    for (part, rank) in case["ranks"].as_object().unwrap() {
        let rank = rank.as_u64().unwrap() as usize;
        let parts = tensors.iter_mut().filter(|(name, _)| name.contains(part));
        parts.for_each(|(name, tensor)| cut(name, tensor, rank));
    }
    save_tensors(&to.join("adapter_model.safetensors"), &tensors).unwrap();
}

/// The first rows of A, the first columns of B.
fn cut(name: &str, tensor: &mut HostTensor, rank: usize) {
    let columns = tensor.shape[1];
    if name.contains("lora_A") {
        tensor.data.truncate(rank * columns);
        tensor.shape[0] = rank;
        return;
    }
    let rows = tensor.data.chunks(columns);
    tensor.data = rows.flat_map(|row| row[..rank].to_vec()).collect();
    tensor.shape[1] = rank;
}

fn adapted(model: &str, adapter: Adapter) -> CpuEngine {
    let dir = golden(&format!("models/{model}"));
    let config = ModelConfig::load(&dir).unwrap();
    let mut engine = CpuEngine::new(&config, load_weights(&dir, &config).unwrap(), 1).unwrap();
    engine
        .add_adapter(&adapter.config, adapter.tensors, true, 0)
        .unwrap();
    engine
}

#[test]
fn adapters_are_on_the_layers_that_peft_puts_them_on() {
    let mut wrong = Vec::new();
    for case in cases("adapters") {
        let dir = tempfile::tempdir().unwrap();
        write_adapter(dir.path(), &case);
        let model = text(&case, "model");
        let config = ModelConfig::load(&golden(&format!("models/{model}"))).unwrap();
        let adapter = load_adapter(dir.path(), &config).map_err(|error| told(&error));
        let distance = adapter.map(|it| distance(&adapted(model, it), &case));
        if !distance.as_ref().is_ok_and(|it| *it < NOISE) {
            wrong.push(format!("{}: {distance:?}", text(&case, "name")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_was_read_of_any_adapter_is_saved_so_that_it_reads_back() {
    for case in cases("adapters") {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_adapter(from.path(), &case);
        let model = text(&case, "model");
        let config = ModelConfig::load(&golden(&format!("models/{model}"))).unwrap();
        let adapter = load_adapter(from.path(), &config).unwrap();
        save_adapter(to.path(), &adapter).unwrap();
        assert_eq!(load_adapter(to.path(), &config).unwrap(), adapter, "{case}");
        let engine = adapted(model, adapter.clone());
        assert_eq!(engine.adapter(), adapter.tensors, "{case}");
    }
}

#[test]
fn layers_are_named_shortly_where_that_says_it_all() {
    let config = ModelConfig::load(&golden("models/llama-untied")).unwrap();
    let targets = |name: &str| {
        let dir = tempfile::tempdir().unwrap();
        let all = cases("adapters");
        let case = all.iter().find(|it| it["name"] == name).unwrap();
        write_adapter(dir.path(), case);
        let lora = load_adapter(dir.path(), &config).unwrap().config;
        (lora.target_modules, lora.layers.len())
    };
    assert_eq!(
        targets("an expression"),
        (vec!["q_proj".to_owned(), "o_proj".to_owned()], 0)
    );
    let (names, _) = targets("some blocks");
    assert_eq!(names[0], "model.layers.1.self_attn.q_proj");
    assert_eq!(names.len(), 7);
    assert_eq!(targets("one rank that is not r").1, 0);
    assert_eq!(targets("ranks").1, 2 + 3);
}

#[test]
fn a_merged_adapter_has_the_scale_of_each_layer() {
    let dir = tempfile::tempdir().unwrap();
    let all = cases("adapters");
    let case = all.iter().find(|it| it["name"] == "ranks and scales");
    let case = case.unwrap();
    write_adapter(dir.path(), case);
    let base = golden(&format!("models/{}", text(case, "model")));
    let config = ModelConfig::load(&base).unwrap();
    let adapter = load_adapter(dir.path(), &config).unwrap();
    let merged = merge(&config, load_weights(&base, &config).unwrap(), &adapter);
    let far = distance(&CpuEngine::new(&config, merged, 1).unwrap(), case);
    assert!(far < NOISE, "{far}");
}

/// As written in Hu et al. 2021, with the settings of each layer by its name.
fn merge(config: &ModelConfig, mut weights: NamedTensors, adapter: &Adapter) -> NamedTensors {
    for linear in (0..config.layers).flat_map(|layer| config.linears(layer)) {
        let part =
            |it| &adapter.tensors[&format!("base_model.model.{}.lora_{it}.weight", linear.name)];
        let (a, b) = (part("A"), part("B"));
        let (rank, scale) = (
            adapter.config.rank_of(&linear.name),
            adapter.config.scale_of(&linear.name),
        );
        let weight = weights.get_mut(&format!("{}.weight", linear.name)).unwrap();
        for (i, value) in weight.data.iter_mut().enumerate() {
            let (row, column) = (i / linear.d_in, i % linear.d_in);
            let products =
                (0..rank).map(|k| b.data[row * rank + k] * a.data[k * linear.d_in + column]);
            *value += scale * products.sum::<f32>();
        }
    }
    weights
}
