//! `adapter_config.json`: what it says of an adapter, and what is refused.

use std::collections::BTreeMap;

use critique_core::{LayerLora, LoraConfig};
use serde_json::Value;

use super::targets::{Expression, Targets};
use crate::config::{Fields, ModelConfig};
use crate::files::shown;

/// What PEFT's file says, before it is known of which model.
pub(super) struct PeftConfig {
    pub(super) base_model: Option<String>,
    r: usize,
    alpha: f32,
    /// Whether the output is scaled by `alpha / sqrt(r)` (Kalajdzievski 2023).
    rank_stabilised: bool,
    targets: Targets,
    ranks: Vec<(Expression, usize)>,
    alphas: Vec<(Expression, f32)>,
}

impl PeftConfig {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, String> {
        refuse_unsupported(fields)?;
        let missing = |name: &str| format!("field `{name}` is missing");
        let whole = |value: &Value| usize::try_from(value.as_u64()?).ok();
        let config = Self {
            base_model: fields.text("base_model_name_or_path")?.map(str::to_owned),
            r: fields.size("r")?.ok_or_else(|| missing("r"))?,
            alpha: fields
                .number("lora_alpha")?
                .ok_or_else(|| missing("lora_alpha"))? as f32,
            rank_stabilised: fields.flag("use_rslora")?,
            targets: Targets::read(fields)?,
            ranks: pattern(fields, "rank_pattern", "a whole number", whole)?,
            alphas: pattern(fields, "alpha_pattern", "a number", |value| {
                value.as_f64().map(|it| it as f32)
            })?,
        };
        super::check(&config.plain(LoraConfig::all_linear()))?;
        Ok(config)
    }

    /// The adapter's settings on a model.
    pub(super) fn on(&self, model: &ModelConfig) -> Result<LoraConfig, String> {
        let adapted = self.targets.layers(model)?;
        let settings = adapted
            .iter()
            .map(|name| Ok((name.clone(), self.layer(name)?)));
        let mut layers = settings.collect::<Result<BTreeMap<_, _>, String>>()?;
        let mut lora = self.plain(Targets::short(&adapted, model));
        // Where all layers have the same settings, these are the adapter's.
        let first = layers.values().next().copied();
        if let Some(first) = first.filter(|first| layers.values().all(|it| it == first)) {
            (lora.r, lora.alpha) = (first.r, first.alpha);
        }
        layers.retain(|_, it| (it.r, it.alpha) != (lora.r, lora.alpha));
        lora.layers = layers;
        super::check(&lora)?;
        Ok(lora)
    }

    fn plain(&self, target_modules: Vec<String>) -> LoraConfig {
        LoraConfig::new(self.r, self.alpha, target_modules)
    }

    /// Rank and alpha of a layer. The first pattern that fits counts, as in PEFT; rank-stabilised
    /// scaling is put into alpha: `alpha sqrt(r) / r` is `alpha / sqrt(r)`.
    fn layer(&self, name: &str) -> Result<LayerLora, String> {
        let r = first_fit(&self.ranks, name)?.unwrap_or(self.r);
        let alpha = first_fit(&self.alphas, name)?.unwrap_or(self.alpha);
        let stabilised = self.rank_stabilised.then(|| (r as f64).sqrt());
        let alpha = (f64::from(alpha) * stabilised.unwrap_or(1.0)) as f32;
        Ok(LayerLora { r, alpha })
    }
}

fn first_fit<T: Copy>(patterns: &[(Expression, T)], name: &str) -> Result<Option<T>, String> {
    for (pattern, value) in patterns {
        if pattern.fits(name)? {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

/// Values by expressions for the ends of names.
fn pattern<T>(
    fields: &Fields<'_>,
    field: &'static str,
    wanted: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<(Expression, T)>, String> {
    let Some(value) = fields.present(field) else {
        return Ok(Vec::new());
    };
    let Some(entries) = value.as_object() else {
        let value = shown(&value.to_string());
        return Err(format!("field `{field}` is {value}; an object is wanted"));
    };
    let entries = entries.iter().map(|(key, value)| {
        let value = read(value).ok_or_else(|| {
            let (key, value) = (shown(key), shown(&value.to_string()));
            format!("field `{field}` gives `{key}` the value {value}; {wanted} is wanted")
        })?;
        Ok((Expression::of_end(field, key)?, value))
    });
    entries.collect()
}

/// Ways to start training that leave the base model and the meaning of the tensors as they are.
const HARMLESS_STARTS: [&str; 3] = ["gaussian", "orthogonal", "eva"];

/// Fields of PEFT's file that are read elsewhere or do not change what the adapter computes.
const UNDERSTOOD: [&str; 18] = [
    "peft_type",
    "task_type",
    "base_model_name_or_path",
    "r",
    "lora_alpha",
    "lora_dropout",
    "bias",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "use_rslora",
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
            "field `{name}` is `{}`; only `{wanted}` is supported",
            shown(other)
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
            "field `init_lora_weights` is `{}`, which changes the base model; convert the \
             adapter to plain LoRA with PEFT's `path_initial_model_for_weight_conversion`",
            shown(start)
        ));
    }
    // Whatever else is switched on, known or newer than this code, would be left out silently.
    let switched_on = |value: &Value| match value {
        Value::Bool(on) => *on,
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
        Value::Null | Value::Number(_) | Value::String(_) => false,
    };
    let found = fields
        .0
        .iter()
        .find(|(name, value)| !UNDERSTOOD.contains(&name.as_str()) && switched_on(value));
    match found {
        Some((name, value)) => Err(format!(
            "field `{}` is {}, which is not supported; it must be off",
            shown(name),
            shown(&value.to_string())
        )),
        None => Ok(()),
    }
}
