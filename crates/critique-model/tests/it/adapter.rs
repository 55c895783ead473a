//! Adapters in PEFT's files.

use std::fs;
use std::path::Path;

use critique_model::{
    Adapter, LoraConfig, ModelConfig, adapter_tensors, load_adapter, load_tensors, save_adapter,
    save_tensors,
};
use serde_json::{Value, json};

use crate::support::{golden, told};

fn model() -> ModelConfig {
    ModelConfig::load(&golden("models/llama-untied")).unwrap()
}

fn peft() -> Adapter {
    load_adapter(&golden("models/llama-untied/adapter"), &model()).unwrap()
}

fn peft_config() -> Value {
    let path = golden("models/llama-untied/adapter/adapter_config.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Loads PEFT's adapter with another configuration.
fn load_with(config: &Value) -> Result<Adapter, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
    let tensors = "adapter_model.safetensors";
    fs::copy(
        golden("models/llama-untied/adapter").join(tensors),
        dir.path().join(tensors),
    )
    .unwrap();
    load_adapter(dir.path(), &model()).map_err(|error| told(&error))
}

#[test]
fn an_adapter_of_peft_loads() {
    let adapter = peft();
    assert_eq!((adapter.config.r, adapter.config.alpha), (4, 8.0));
    assert_eq!(adapter.config.scale(), 2.0);
    assert_eq!(adapter.config.target_modules.len(), 7);
    assert_eq!(adapter.base_model.as_deref(), Some("llama-untied"));
    assert_eq!(adapter.tensors.len(), 2 * 7 * 2);
    let down = "base_model.model.model.layers.1.mlp.down_proj";
    assert_eq!(
        adapter.tensors[&format!("{down}.lora_A.weight")].shape,
        [4, 36]
    );
    assert_eq!(
        adapter.tensors[&format!("{down}.lora_B.weight")].shape,
        [32, 4]
    );
    let names: Vec<_> = adapter_tensors(&model(), &adapter.config).unwrap();
    assert!(
        names
            .iter()
            .all(|(name, shape)| adapter.tensors[name].shape == *shape)
    );
}

#[test]
fn a_saved_adapter_reads_back_and_has_the_ten_fields() {
    let dir = tempfile::tempdir().unwrap();
    let mut adapter = peft();
    save_adapter(dir.path(), &adapter).unwrap();
    assert_eq!(load_adapter(dir.path(), &model()).unwrap(), adapter);
    let text = fs::read_to_string(dir.path().join("adapter_config.json")).unwrap();
    let fields: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = fields.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "peft_type",
            "task_type",
            "base_model_name_or_path",
            "r",
            "lora_alpha",
            "lora_dropout",
            "bias",
            "target_modules",
            "inference_mode",
            "fan_in_fan_out",
        ]
    );
    assert_eq!(fields["lora_alpha"].to_string(), "8");

    adapter.config.alpha = 0.5;
    adapter.base_model = None;
    save_adapter(dir.path(), &adapter).unwrap();
    assert_eq!(load_adapter(dir.path(), &model()).unwrap(), adapter);
}

#[test]
fn all_linear_and_single_layers_are_understood() {
    let mut config = peft_config();
    config["target_modules"] = json!("all-linear");
    let adapter = load_with(&config).unwrap();
    assert_eq!(adapter.config.target_modules, LoraConfig::all_linear());

    let dir = tempfile::tempdir().unwrap();
    let mut few = peft();
    few.config.target_modules = vec!["v_proj".to_owned()];
    few.tensors.retain(|name, _| name.contains("v_proj"));
    save_adapter(dir.path(), &few).unwrap();
    assert_eq!(load_adapter(dir.path(), &model()).unwrap().tensors.len(), 4);
}

#[test]
fn features_that_are_switched_on_are_refused_by_name() {
    let cases = [
        ("use_dora", json!(true), "it must be off"),
        ("use_qalora", json!(true), "it must be off"),
        ("lora_bias", json!(true), "it must be off"),
        ("fan_in_fan_out", json!(true), "it must be off"),
        ("something_new", json!(true), "it must be off"),
        ("bias", json!("all"), "only `none`"),
        ("peft_type", json!("IA3"), "only `LORA`"),
        ("peft_type", json!(null), "`LORA` is wanted"),
        ("task_type", json!("SEQ_CLS"), "only `CAUSAL_LM`"),
        ("modules_to_save", json!(["lm_head"]), "it must be off"),
        ("bias", json!("lora_only"), "only `none`"),
        ("layers_to_transform", json!([5]), "no layer of the model"),
        ("layers_to_transform", json!("0"), "a number of a layer"),
        ("exclude_modules", json!(".*"), "no layer of the model"),
        ("rank_pattern", json!({ "q_proj": "8" }), "a whole number"),
        ("alpha_pattern", json!([8]), "an object is wanted"),
        ("layer_replication", json!([[0, 2]]), "it must be off"),
        ("trainable_token_indices", json!([1]), "it must be off"),
        ("target_parameters", json!(["x"]), "it must be off"),
        (
            "init_lora_weights",
            json!("pissa_niter_4"),
            "changes the base model",
        ),
        ("r", json!(0), "positive"),
        ("r", json!(null), "is missing"),
        ("lora_alpha", json!(null), "is missing"),
        ("lora_alpha", json!("8"), "a number is wanted"),
        (
            "target_modules",
            json!(["q_proj", "lm_head"]),
            "`lm_head`; supported are `q_proj`",
        ),
        ("target_modules", json!(".*(_proj|head)"), "`lm_head`"),
        (
            "target_modules",
            json!(["embed_tokens"]),
            "`model.embed_tokens`",
        ),
        (
            "target_modules",
            json!("(q_proj"),
            "cannot be read as an expression",
        ),
        ("target_modules", json!("q_proj"), "no layer of the model"),
        ("target_modules", json!([]), "is empty"),
        ("target_modules", json!(null), "is missing"),
    ];
    for (field, value, wanted) in cases {
        let mut config = peft_config();
        config[field] = value;
        let error = load_with(&config).unwrap_err();
        assert!(
            error.contains("adapter_config.json: ") && error.contains(field),
            "{field}: {error}"
        );
        assert!(error.contains(wanted), "{field}: {error}");
    }
}

/// Which tensors are wrong when PEFT's adapter, which has all seven layers, has a field that says
/// other layers or ranks.
#[test]
fn every_tensor_is_used_or_named() {
    let cases = [
        (
            "layers_to_transform",
            json!([0]),
            "unused tensors: base_model.model.model.layers.1.",
        ),
        (
            "layers_to_transform",
            json!(1),
            "unused tensors: base_model.model.model.layers.0.",
        ),
        ("target_modules", json!(["q_proj"]), "unused tensors: "),
        (
            "target_modules",
            json!(r".*\.self_attn\.[qkvo]_proj"),
            "layers.0.mlp.down_proj.lora_A.weight",
        ),
        (
            "exclude_modules",
            json!(["mlp.up_proj"]),
            "layers.1.mlp.up_proj.lora_B.weight",
        ),
        (
            "rank_pattern",
            json!({ "q_proj": 8 }),
            "misshapen tensors: base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight (is [4, 32], wanted [8, 32])",
        ),
    ];
    for (field, value, wanted) in cases {
        let mut config = peft_config();
        config[field] = value;
        let error = load_with(&config).unwrap_err();
        assert!(error.contains("adapter_model.safetensors: "), "{error}");
        assert!(error.contains(wanted), "{field}: {error}");
    }
}

#[test]
fn targets_of_a_run_file_are_layers_of_a_block_and_of_the_model() {
    let lora = |target: &str| LoraConfig::new(2, 4.0, vec!["v_proj".into(), target.into()]);
    for good in [
        "self_attn.q_proj",
        "1.mlp.up_proj",
        "layers.0.self_attn.k_proj",
    ] {
        lora(good).check_modules().unwrap();
        let tensors = adapter_tensors(&model(), &lora(good)).unwrap();
        assert!(
            tensors.len() > 4 && tensors.len() <= 8,
            "{good}: {tensors:?}"
        );
    }
    for bad in [
        "",
        "q_prj",
        "proj",
        "lm_head",
        "mlp.q_proj",
        "x.self_attn.q_proj",
        "x.model.layers.0.self_attn.q_proj",
        ".q_proj",
    ] {
        let error = lora(bad).check_modules().unwrap_err();
        assert!(error.contains(&format!("holds `{bad}`")), "{error}");
    }
    // That there is no such block is seen with the model.
    lora("2.self_attn.q_proj").check_modules().unwrap();
    let error = told(&adapter_tensors(&model(), &lora("2.self_attn.q_proj")).unwrap_err());
    assert!(
        error.contains("`2.self_attn.q_proj`") && error.contains("0 to 1"),
        "{error}"
    );
    let error = LoraConfig::new(2, 4.0, Vec::new())
        .check_modules()
        .unwrap_err();
    assert!(error.contains("is empty"), "{error}");
}

#[test]
fn features_that_are_off_or_harmless_are_accepted() {
    let cases = [
        ("lora_dropout", json!(0.1)),
        ("inference_mode", json!(false)),
        ("init_lora_weights", json!("gaussian")),
        ("init_lora_weights", json!(false)),
        ("task_type", json!(null)),
        ("something_new", json!(null)),
        ("something_newer", json!("a name")),
        (
            "auto_mapping",
            json!({ "base_model_class": "LlamaForCausalLM" }),
        ),
        ("modules_to_save", json!([])),
        ("layers_to_transform", json!([])),
        ("layers_to_transform", json!([0, 1, 7])),
        ("layers_pattern", json!("layers")),
        ("exclude_modules", json!("q_proj")),
        ("exclude_modules", json!([])),
        ("rank_pattern", json!({})),
        ("rank_pattern", json!({ "q_proj": 4 })),
        ("use_rslora", json!(false)),
    ];
    for (field, value) in cases {
        let mut config = peft_config();
        config[field] = value;
        load_with(&config).unwrap();
    }
}

#[test]
fn tensors_that_do_not_fit_are_all_named() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = peft();
    save_adapter(dir.path(), &adapter).unwrap();
    let path = dir.path().join("adapter_model.safetensors");
    let mut tensors = load_tensors(&path).unwrap();
    let name = |rest: &str| format!("base_model.model.model.layers.0.self_attn.{rest}.weight");
    tensors.remove(&name("q_proj.lora_A"));
    let moved = tensors.remove(&name("k_proj.lora_B")).unwrap();
    tensors.insert(name("k_proj.lora_B.default"), moved);
    tensors
        .get_mut(&name("v_proj.lora_A"))
        .unwrap()
        .shape
        .reverse();
    save_tensors(&path, &tensors).unwrap();
    let error = told(&load_adapter(dir.path(), &model()).unwrap_err());
    for part in [
        "adapter_model.safetensors: ".to_owned(),
        format!(
            "missing tensors: {}, {}",
            name("q_proj.lora_A"),
            name("k_proj.lora_B")
        ),
        format!("unused tensors: {}", name("k_proj.lora_B.default")),
        format!(
            "misshapen tensors: {} (is [32, 4], wanted [4, 32])",
            name("v_proj.lora_A")
        ),
    ] {
        assert!(error.contains(&part), "{part}: {error}");
    }
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let other = ModelConfig::load(&golden("models/qwen2-untied")).unwrap();
    let error = told(&load_adapter(&golden("models/llama-untied/adapter"), &other).unwrap_err());
    assert!(
        error.contains("missing tensors: base_model.model.model.layers.2"),
        "{error}"
    );
    let error = told(&load_adapter(Path::new("nowhere"), &other).unwrap_err());
    assert!(
        error.contains("nowhere") && error.contains("adapter_config.json"),
        "{error}"
    );
}

#[test]
fn what_could_not_be_loaded_is_not_saved() {
    let dir = tempfile::tempdir().unwrap();
    let mut adapter = peft();
    adapter.config.r = 0;
    assert!(save_adapter(dir.path(), &adapter).is_err());
    adapter.config.r = 4;
    adapter.config.target_modules.push("wrong".to_owned());
    let error = told(&save_adapter(dir.path(), &adapter).unwrap_err());
    assert!(error.contains("`wrong`"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
