//! Low-rank adapters in PEFT's files: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! LoRA on the linear layers of the blocks is supported, with ranks and scales by layer and
//! rank-stabilised scaling. What else would change its outputs (`DoRA`, biases, trained copies of
//! whole layers and the like) is refused by name.

mod config;
mod targets;

use std::path::Path;

use serde_json::{Value, json};

use self::config::PeftConfig;
use crate::config::{Fields, ModelConfig};
use crate::engine::NamedTensors;
use crate::error::ModelError;
use crate::files::{in_file, read_json_object, shown, write_whole};
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
/// When a rank is 0, or a target is none of the linear layers of the model's blocks.
pub fn adapter_tensors(
    model: &ModelConfig,
    lora: &LoraConfig,
) -> Result<Vec<(String, Vec<usize>)>, ModelError> {
    check(lora).map_err(|message| ModelError::Other { message })?;
    let linears = (0..model.layers).flat_map(|layer| model.linears(layer));
    let adapted: Vec<_> = linears.filter(|it| lora.adapts(&it.name)).collect();
    let is_there = |target: &String| adapted.iter().any(|it| LoraConfig::names(target, &it.name));
    if let Some(target) = lora.target_modules.iter().find(|it| !is_there(it)) {
        let message = format!(
            "field `target_modules` holds `{}`, which names no layer of the model; its layers are \
             numbered 0 to {}",
            shown(target),
            model.layers - 1
        );
        return Err(ModelError::Other { message });
    }
    let tensors = adapted.into_iter().flat_map(|linear| {
        let name = |part| format!("base_model.model.{}.lora_{part}.weight", linear.name);
        let r = lora.rank_of(&linear.name);
        let (a, b) = (vec![r, linear.d_in], vec![linear.d_out, r]);
        [(name("A"), a), (name("B"), b)]
    });
    Ok(tensors.collect())
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
/// Which layers are adapted follows from `target_modules` (names, ends of names, or an expression
/// that is matched against whole names), `exclude_modules`, `layers_to_transform` and
/// `layers_pattern` as in PEFT, and the tensors must be exactly those: PEFT starts a layer
/// afresh whose tensors are missing and leaves out what it does not know, so that an adapter is
/// another one than was trained. [`Adapter::config`] names the layers by their last parts where
/// these say it all, else in full.
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
    let told = |message| in_file(&path, message);
    let peft = PeftConfig::read(&Fields(&fields)).map_err(told)?;
    let config = peft.on(model).map_err(told)?;
    let base_model = peft.base_model;
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
    let mut fields = json!({
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
    if !config.layers.is_empty() {
        let layers = || config.layers.iter();
        let ranks = layers().map(|(name, layer)| (name.clone(), json!(layer.r)));
        let alphas = layers().map(|(name, layer)| (name.clone(), number(layer.alpha)));
        fields["rank_pattern"] = Value::Object(ranks.collect());
        fields["alpha_pattern"] = Value::Object(alphas.collect());
    }
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

/// Largest rank: no layer of a model has more rows.
const LARGEST_RANK: usize = 1 << 20;

fn check(lora: &LoraConfig) -> Result<(), String> {
    let layers = lora.layers.values().map(|it| (it.r, it.alpha));
    for (r, alpha) in std::iter::once((lora.r, lora.alpha)).chain(layers) {
        if r == 0 {
            return Err("field `r` is 0; the rank must be positive".to_owned());
        }
        if r > LARGEST_RANK {
            return Err(format!(
                "field `r` is {r}; a rank of at most {LARGEST_RANK} is wanted"
            ));
        }
        if !alpha.is_finite() {
            return Err(format!("field `lora_alpha` is {alpha}; it must be finite"));
        }
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
