//! `config.json` in both spellings, what is refused, tensor names and rotary frequencies.

use std::fs;
use std::path::Path;

use critique_model::{Architecture, Llama3Scaling, ModelConfig, Rope};
use serde_json::{Value, json};

use crate::support::{golden, real_model, shared, told};

const MODELS: [&str; 9] = [
    "llama-f16",
    "llama-tied",
    "llama-untied",
    "llama3-rope",
    "qwen2-bf16",
    "qwen2-tied",
    "qwen2-untied",
    "qwen3-sharded",
    "qwen3-tied",
];

fn parse(value: &Value) -> Result<ModelConfig, String> {
    ModelConfig::parse(Path::new("config.json"), value.to_string().as_bytes())
        .map_err(|error| told(&error))
}

fn json_of(model: &str, file: &str) -> Value {
    let path = golden(&format!("models/{model}/{file}"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn llama3() -> Rope {
    Rope {
        theta: 500_000.0,
        scaling: Some(Llama3Scaling {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 8192,
        }),
    }
}

#[test]
fn both_spellings_read_alike() {
    for model in ["qwen2-tied", "llama3-rope"] {
        let new = parse(&json_of(model, "config.json")).unwrap();
        let old = parse(&json_of(model, "config_old.json")).unwrap();
        assert_eq!(new, old, "{model}");
    }
}

#[test]
fn fields_are_read_from_a_file_of_transformers() {
    let config = ModelConfig::load(&golden("models/llama3-rope")).unwrap();
    assert_eq!(config.architecture, Architecture::Llama);
    assert_eq!((config.vocab, config.d_model, config.layers), (71, 32, 2));
    assert_eq!((config.heads, config.kv_heads, config.head_dim), (4, 2, 16));
    assert_eq!((config.d_ff, config.rms_norm_eps), (36, 1e-5));
    assert_eq!(config.rope.theta, 10_000.0);
    assert_eq!(
        config
            .rope
            .scaling
            .unwrap()
            .original_max_position_embeddings,
        32
    );
    assert!(!config.tie_word_embeddings && !config.attention_bias && !config.qk_norm);
    assert_eq!(config.max_position_embeddings, 128);
    assert_eq!(
        (config.bos_token_id, config.pad_token_id),
        (Some(1), Some(0))
    );
    assert_eq!(config.eos_token_ids, [2]);

    let qwen2 = ModelConfig::load(&golden("models/qwen2-tied")).unwrap();
    assert!(qwen2.attention_bias && !qwen2.attention_out_bias && qwen2.tie_word_embeddings);
    let qwen3 = ModelConfig::load(&golden("models/qwen3-sharded")).unwrap();
    assert!(!qwen3.attention_bias && qwen3.qk_norm);
    assert_eq!(qwen3.head_dim, 12);
}

#[test]
fn what_is_written_reads_back_in_either_spelling() {
    for model in MODELS {
        let mut config = ModelConfig::load(&golden(&format!("models/{model}"))).unwrap();
        config.eos_token_ids = vec![2, 3];
        let both = config.to_json();
        assert_eq!(parse(&both).unwrap(), config, "{model}");
        for gone in [
            ["rope_theta", "rope_scaling", "torch_dtype"],
            ["rope_parameters", "dtype", "-"],
        ] {
            let mut one = both.clone();
            for field in gone {
                one.as_object_mut().unwrap().remove(field);
            }
            assert_eq!(parse(&one).unwrap(), config, "{model} without {gone:?}");
        }
    }
}

#[test]
fn a_saved_configuration_loads() {
    let dir = tempfile::tempdir().unwrap();
    let config = ModelConfig::load(&golden("models/qwen3-tied")).unwrap();
    config.save(dir.path()).unwrap();
    assert_eq!(ModelConfig::load(dir.path()).unwrap(), config);
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn end_of_text_tokens_of_both_files_are_joined() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = json_of("llama-tied", "config.json");
    let write =
        |name: &str, value: &Value| fs::write(dir.path().join(name), value.to_string()).unwrap();
    write("config.json", &config);
    write(
        "generation_config.json",
        &json!({ "eos_token_id": [5, 2, 7] }),
    );
    assert_eq!(
        ModelConfig::load(dir.path()).unwrap().eos_token_ids,
        [2, 5, 7]
    );

    config["eos_token_id"] = json!([9, 2]);
    write("config.json", &config);
    write("generation_config.json", &json!({ "eos_token_id": null }));
    assert_eq!(ModelConfig::load(dir.path()).unwrap().eos_token_ids, [9, 2]);

    write("generation_config.json", &json!({ "eos_token_id": "two" }));
    let error = told(&ModelConfig::load(dir.path()).unwrap_err());
    assert!(
        error.contains("generation_config.json") && error.contains("`eos_token_id`"),
        "{error}"
    );
}

#[test]
fn absent_fields_have_the_defaults_of_transformers() {
    let least = json!({
        "model_type": "llama", "vocab_size": 8, "hidden_size": 12, "intermediate_size": 4,
        "num_hidden_layers": 1, "num_attention_heads": 3, "max_position_embeddings": 16,
    });
    let config = parse(&least).unwrap();
    assert_eq!(
        (config.kv_heads, config.head_dim, config.rms_norm_eps),
        (3, 4, 1e-6)
    );
    assert_eq!(
        config.rope,
        Rope {
            theta: 10_000.0,
            scaling: None
        }
    );
    assert_eq!(
        (config.bos_token_id, config.eos_token_ids),
        (Some(1), vec![2])
    );
    let mut qwen3 = least.clone();
    qwen3["model_type"] = json!("qwen3");
    qwen3["num_key_value_heads"] = json!(null);
    qwen3["pad_token_id"] = json!(-1);
    let config = parse(&qwen3).unwrap();
    assert_eq!((config.kv_heads, config.head_dim), (3, 128));
    assert_eq!((config.bos_token_id, config.pad_token_id), (None, None));
    assert!(config.eos_token_ids.is_empty());
}

#[test]
fn the_older_name_of_the_rope_type_is_read() {
    let mut config = json_of("llama3-rope", "config_old.json");
    let scaling = config["rope_scaling"].as_object_mut().unwrap();
    let kind = scaling.remove("rope_type").unwrap();
    scaling.insert("type".to_owned(), kind);
    scaling.remove("original_max_position_embeddings");
    let scaling = parse(&config).unwrap().rope.scaling.unwrap();
    assert_eq!(scaling.original_max_position_embeddings, 128);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_not_supported_is_refused_by_field_and_value() {
    let cases = [
        (
            "model_type",
            json!("mistral"),
            "`mistral`; supported are `qwen2`, `qwen3`, `llama`",
        ),
        ("model_type", json!(3), "a text is wanted"),
        ("hidden_act", json!("gelu"), "`gelu`; only `silu`"),
        ("mlp_bias", json!(true), "`true`; only `false`"),
        (
            "layer_types",
            json!(["full_attention", "sliding_attention"]),
            "\"sliding_attention\"; only `full_attention`",
        ),
        ("quantization_config", json!({ "bits": 4 }), "unquantized"),
        ("pretraining_tp", json!(2), "only 1"),
        ("partial_rotary_factor", json!(0.5), "only 1"),
        (
            "num_key_value_heads",
            json!(3),
            "does not divide `num_attention_heads` 4",
        ),
        ("num_hidden_layers", json!(0), "must be positive"),
        ("num_hidden_layers", json!(null), "is missing"),
        ("vocab_size", json!(-4), "a whole number is wanted"),
        ("vocab_size", json!(1e30), "at most 4294967295 is supported"),
        ("vocab_size", json!(1u64 << 25), "at most 16777216"),
        ("is_causal", json!(false), "only `true`"),
        (
            "rope_scaling",
            json!({ "rope_type": "proportional" }),
            "`proportional`",
        ),
        (
            "rope_parameters",
            json!({ "rope_type": "axial" }),
            "`axial`",
        ),
        (
            "rope_parameters",
            json!({ "rope_type": "mrope", "mrope_section": [1] }),
            "`mrope`",
        ),
        ("hidden_act", json!("gelu_pytorch_tanh"), "only `silu`"),
        (
            "layer_types",
            json!(["full_attention", "chunked_attention"]),
            "\"chunked_attention\"",
        ),
        (
            "layer_types",
            json!(["linear_attention", "full_attention"]),
            "\"linear_attention\"",
        ),
        ("head_dim", json!(7), "even"),
        ("rms_norm_eps", json!(0), "must be positive"),
        ("rope_theta", json!("big"), "a number is wanted"),
        (
            "rope_scaling",
            json!({ "rope_type": "yarn", "factor": 4.0 }),
            "`rope_type` is `yarn`; supported are",
        ),
        (
            "rope_scaling",
            json!({ "type": "linear", "factor": 4.0 }),
            "`linear`",
        ),
        (
            "rope_scaling",
            json!({ "type": "dynamic", "factor": 4.0 }),
            "`dynamic`",
        ),
        (
            "rope_scaling",
            json!({ "rope_type": "longrope" }),
            "`longrope`",
        ),
        (
            "rope_scaling",
            json!({ "rope_type": "llama3", "factor": 4.0 }),
            "`low_freq_factor` is missing",
        ),
        ("rope_scaling", json!(4), "an object is wanted"),
        (
            "rope_parameters",
            json!({ "full_attention": { "rope_theta": 1 } }),
            "one rope for all layers",
        ),
        (
            "rope_parameters",
            json!({ "rope_theta": 1, "partial_rotary_factor": 0.5 }),
            "only 1",
        ),
        ("eos_token_id", json!(64), "outside the vocabulary of 64"),
        ("eos_token_id", json!({ "id": 1 }), "a token id or a list"),
        ("tie_word_embeddings", json!("yes"), "`true` or `false`"),
    ];
    for (field, value, wanted) in cases {
        let mut config = json_of("qwen2-tied", "config_old.json");
        config[field] = value;
        let error = parse(&config).unwrap_err();
        assert!(error.contains(wanted), "{field}: {error}");
        assert!(
            error.contains(field) && error.starts_with("config.json: "),
            "{field}: {error}"
        );
    }
}

#[test]
fn a_sliding_window_is_refused_only_where_it_is_in_use() {
    let mut config = json_of("qwen2-tied", "config_old.json");
    config["sliding_window"] = json!(4096);
    assert!(parse(&config).is_ok());
    config["use_sliding_window"] = json!(true);
    // Layers from 28 on would have the window; there are 2.
    assert!(parse(&config).is_ok());
    config["max_window_layers"] = json!(1);
    // A window as wide as the context of 128 tokens hides nothing.
    assert!(parse(&config).is_ok());
    config["sliding_window"] = json!(127);
    let error = parse(&config).unwrap_err();
    assert!(
        error.contains("`use_sliding_window`") && error.contains("127"),
        "{error}"
    );
}

#[test]
fn broken_files_are_errors_that_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let error = told(&ModelConfig::load(dir.path()).unwrap_err());
    assert!(
        error.contains("cannot read") && error.contains("config.json"),
        "{error}"
    );
    for text in ["", "{", "[]", "null", "{\"model_type\": \"llama\"} x"] {
        fs::write(dir.path().join("config.json"), text).unwrap();
        let error = told(&ModelConfig::load(dir.path()).unwrap_err());
        assert!(
            error.contains("config.json: not a JSON object"),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_configuration_that_is_no_family_cannot_be_saved() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = ModelConfig::load(&golden("models/llama-tied")).unwrap();
    config.qk_norm = true;
    let error = told(&config.save(dir.path()).unwrap_err());
    assert!(error.contains("no `llama` model"), "{error}");
}

#[test]
fn biases_and_norms_have_their_tensors() {
    let mut config = ModelConfig::load(&golden("models/llama-tied")).unwrap();
    let names = |config: &ModelConfig| -> Vec<String> {
        config
            .expected_tensors()
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(names(&config).len(), 2 * 9 + 2);
    (config.attention_bias, config.attention_out_bias) = (true, true);
    assert_eq!(names(&config).len(), 2 * 13 + 2);
    assert!(names(&config).contains(&"model.layers.1.self_attn.o_proj.bias".to_owned()));
    config.tie_word_embeddings = false;
    assert_eq!(names(&config).last().unwrap(), "lm_head.weight");
    let read = parse(&config.to_json()).unwrap();
    assert_eq!(read, config);
}

#[test]
fn rotary_frequencies_equal_those_of_transformers() {
    // Values of `ROPE_INIT_FUNCTIONS["llama3"]` and `Qwen2RotaryEmbedding` at 5.23.
    let mut config = ModelConfig::load(&golden("models/llama-tied")).unwrap();
    config.head_dim = 128;
    config.rope = llama3();
    let wanted = [
        (0, 1.0),
        (1, 0.8146172165870667),
        (12, 0.08539710193872452),
        (28, 0.0032114461064338684),
        (29, 0.0021665706299245358),
        (31, 0.0008567514596506953),
        (34, 0.0001785077911335975),
        (35, 9.556212171446532e-05),
        (50, 4.411534519022098e-06),
        (63, 3.068925877869333e-07),
    ];
    check_frequencies(&config, &wanted);

    config.head_dim = 64;
    config.rope.scaling.as_mut().unwrap().factor = 32.0;
    let wanted = [
        (1, 0.663601279258728),
        (15, 0.0012905480107292533),
        (16, 0.000429556705057621),
        (17, 9.708286233944818e-05),
        (31, 9.418306490260875e-08),
    ];
    check_frequencies(&config, &wanted);

    config.rope = Rope {
        theta: 1_000_000.0,
        scaling: None,
    };
    let wanted = [
        (0, 1.0),
        (1, 0.6493816375732422),
        (16, 0.0010000000474974513),
        (31, 1.5399265294036013e-06),
    ];
    check_frequencies(&config, &wanted);
}

fn check_frequencies(config: &ModelConfig, wanted: &[(usize, f64)]) {
    let found = config.rope_inv_freq();
    assert_eq!(found.len(), config.head_dim / 2);
    for (i, wanted) in wanted {
        let error = (f64::from(found[*i]) - wanted).abs() / wanted;
        assert!(error < 1e-6, "{i}: {} for {wanted}", found[*i]);
    }
}

#[test]
fn configurations_of_real_models_load() {
    if let Some(dir) = shared("models/stories260K") {
        let config = ModelConfig::load(&dir).unwrap();
        assert_eq!(
            (config.layers, config.kv_heads, config.parameters()),
            (5, 4, 260_032)
        );
    }
    if let Some(dir) = real_model("SmolLM2-135M-Instruct") {
        assert_eq!(ModelConfig::load(&dir).unwrap().parameters(), 134_515_008);
    }
    if let Some(dir) = real_model("Qwen2.5-Coder-0.5B-Instruct") {
        assert_eq!(ModelConfig::load(&dir).unwrap().parameters(), 494_032_768);
    }
}
