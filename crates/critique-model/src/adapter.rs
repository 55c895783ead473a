//! Low-rank adapters in PEFT's files: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Plain LoRA on the linear layers of the blocks is supported. What would change its outputs
//! (`DoRA`, rank-stabilised scaling, biases, ranks by layer and the like) is refused by name.

use std::path::Path;

use serde_json::{Value, json};

use crate::config::{Fields, ModelConfig};
use crate::engine::NamedTensors;
use crate::error::ModelError;
use crate::files::{in_file, read_json_object, write_whole};
use crate::weights::{Misfits, load_tensors, save_tensors};
use critique_core::LoraConfig;

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// A low-rank adapter as it lies in a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// Rank, scale and adapted layers.
    pub config: LoraConfig,
    /// Name or folder of the model it was trained on.
    pub base_model: Option<String>,
    /// `lora_A` (`[r, d_in]`) and `lora_B` (`[d_out, r]`) by their names in PEFT's file.
    pub tensors: NamedTensors,
}

/// The name and shape of every tensor of an adapter in PEFT's file, such as
/// `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight` (`[r, d_in]`).
///
/// # Errors
///
/// When the rank is 0, or a target is none of the linear layers of a block.
pub fn adapter_tensors(
    model: &ModelConfig,
    lora: &LoraConfig,
) -> Result<Vec<(String, Vec<usize>)>, ModelError> {
    check(lora).map_err(|message| ModelError::Other { message })?;
    let mut tensors = Vec::new();
    for linear in (0..model.layers).flat_map(|layer| model.linears(layer)) {
        let last = linear.name.rsplit('.').next().unwrap_or_default();
        if lora.target_modules.iter().any(|it| it == last) {
            let name = |part| format!("base_model.model.{}.lora_{part}.weight", linear.name);
            tensors.push((name("A"), vec![lora.r, linear.d_in]));
            tensors.push((name("B"), vec![linear.d_out, lora.r]));
        }
    }
    Ok(tensors)
}

/// The folder of the model that an adapter names as its base.
///
/// # Errors
///
/// When the adapter's configuration cannot be read or names no folder that is there.
pub(crate) fn base_model(dir: &Path) -> Result<std::path::PathBuf, ModelError> {
    let path = dir.join(CONFIG);
    let fields = crate::files::read_json_object(&path)?.unwrap_or_default();
    let name = fields
        .get("base_model_name_or_path")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    let base = std::path::PathBuf::from(name);
    if base.join("config.json").is_file() {
        return Ok(base);
    }
    Err(in_file(
        &path,
        format!(
            "`base_model_name_or_path` is `{name}`, which is no model folder; name the base model beside the adapter"
        ),
    ))
}

/// Reads an adapter folder and checks it against the model it is for.
///
/// # Errors
///
/// When a file cannot be read or is damaged, asks for a feature that is not supported, or when
/// tensors are missing, unused or misshapen: one error names them all.
pub fn load_adapter(dir: &Path, model: &ModelConfig) -> Result<Adapter, ModelError> {
    let path = dir.join(CONFIG);
    let Some(fields) = read_json_object(&path)? else {
        return Err(in_file(
            dir,
            format!("holds no adapter: `{CONFIG}` is not there"),
        ));
    };
    let (config, base_model) =
        parse(&Fields(&fields)).map_err(|message| in_file(&path, message))?;
    let path = dir.join(TENSORS);
    let tensors = load_tensors(&path)?;
    check_tensors(&path, model, &config, &tensors)?;
    Ok(Adapter {
        config,
        base_model,
        tensors,
    })
}

/// Writes an adapter folder that PEFT, vLLM and mistral.rs load, weights in `f32`.
///
/// # Errors
///
/// When the configuration names no layer of a block or a file cannot be written.
pub fn save_adapter(dir: &Path, adapter: &Adapter) -> Result<(), ModelError> {
    let path = dir.join(CONFIG);
    let Adapter {
        config,
        base_model,
        tensors,
    } = adapter;
    check(config).map_err(|message| in_file(&path, message))?;
    save_tensors(&dir.join(TENSORS), tensors)?;
    let fields = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": config.r,
        "lora_alpha": number(config.alpha),
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": config.target_modules,
        "inference_mode": true,
        "fan_in_fan_out": false,
    });
    write_whole(&path, format!("{fields:#}\n").as_bytes())
}

/// PEFT declares `lora_alpha` an integer, so whole numbers are written as such.
fn number(alpha: f32) -> Value {
    if alpha.fract() == 0.0 && alpha.abs() < 1e9 {
        json!(alpha as i64)
    } else {
        json!(alpha)
    }
}

fn check(lora: &LoraConfig) -> Result<(), String> {
    if lora.r == 0 {
        return Err("field `r` is 0; the rank must be positive".to_owned());
    }
    if !lora.alpha.is_finite() {
        return Err(format!(
            "field `lora_alpha` is {}; it must be finite",
            lora.alpha
        ));
    }
    lora.check_modules()
        .map_err(|why| format!("field `target_modules` {why}"))
}

fn check_tensors(
    path: &Path,
    model: &ModelConfig,
    config: &LoraConfig,
    tensors: &NamedTensors,
) -> Result<(), ModelError> {
    let wanted = adapter_tensors(model, config)?;
    let found = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.shape.as_slice()));
    match Misfits::between(&wanted, found, |_, _| false).message() {
        Some(message) => Err(ModelError::Tensors {
            path: path.to_path_buf(),
            message,
        }),
        None => Ok(()),
    }
}

fn parse(fields: &Fields<'_>) -> Result<(LoraConfig, Option<String>), String> {
    refuse_unsupported(fields)?;
    let missing = |name: &str| format!("field `{name}` is missing");
    let config = LoraConfig {
        r: fields.size("r")?.ok_or_else(|| missing("r"))?,
        alpha: fields
            .number("lora_alpha")?
            .ok_or_else(|| missing("lora_alpha"))? as f32,
        target_modules: target_modules(fields)?,
    };
    check(&config)?;
    let base_model = fields.text("base_model_name_or_path")?.map(str::to_owned);
    Ok((config, base_model))
}

fn target_modules(fields: &Fields<'_>) -> Result<Vec<String>, String> {
    let wanted = "a list of layer names or `all-linear` is wanted";
    match fields.present("target_modules") {
        None => Err(format!("field `target_modules` is missing; {wanted}")),
        Some(Value::String(name)) if name == "all-linear" => Ok(LoraConfig::all_linear()),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| format!("field `target_modules` holds no names; {wanted}")),
        Some(other) => Err(format!("field `target_modules` is {other}; {wanted}")),
    }
}

/// Ways to start training that leave the base model and the meaning of the tensors as they are.
const HARMLESS_STARTS: [&str; 3] = ["gaussian", "orthogonal", "eva"];

/// Fields of PEFT's file that are read elsewhere or do not change what the adapter computes.
const UNDERSTOOD: [&str; 12] = [
    "peft_type",
    "task_type",
    "base_model_name_or_path",
    "r",
    "lora_alpha",
    "lora_dropout",
    "bias",
    "target_modules",
    "inference_mode",
    "init_lora_weights",
    // Settings of starts, which `init_lora_weights` chooses, and of where a model came from.
    "auto_mapping",
    "eva_config",
];

fn refuse_unsupported(fields: &Fields<'_>) -> Result<(), String> {
    let only = |name: &str, wanted: &str, absent_is_fine: bool| match fields.text(name)? {
        Some(value) if value == wanted => Ok(()),
        Some(other) => Err(format!(
            "field `{name}` is `{other}`; only `{wanted}` is supported"
        )),
        None if absent_is_fine => Ok(()),
        None => Err(format!("field `{name}` is missing; `{wanted}` is wanted")),
    };
    only("peft_type", "LORA", false)?;
    only("task_type", "CAUSAL_LM", true)?;
    only("bias", "none", true)?;
    if let Some(Value::String(start)) = fields.present("init_lora_weights")
        && !HARMLESS_STARTS.contains(&start.as_str())
    {
        return Err(format!(
            "field `init_lora_weights` is `{start}`, which changes the base model; convert the \
             adapter to plain LoRA with PEFT's `path_initial_model_for_weight_conversion`"
        ));
    }
    // Whatever else is switched on, known or newer than this code, would be left out silently.
    let switched_on = |value: &Value| match value {
        Value::Bool(on) => *on,
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
        Value::Null | Value::Number(_) | Value::String(_) => false,
    };
    let is_feature = |name: &str| {
        let by_text_or_number = ["exclude_modules", "layers_to_transform", "layers_pattern"];
        by_text_or_number.contains(&name) && fields.present(name).is_some()
    };
    let found = fields.0.iter().find(|(name, value)| {
        !UNDERSTOOD.contains(&name.as_str()) && (switched_on(value) || is_feature(name))
    });
    match found {
        Some((name, value)) => Err(format!(
            "field `{name}` is {value}, which is not supported; it must be off"
        )),
        None => Ok(()),
    }
}
