//! Fields of `config.json`, in both of their spellings.

use serde_json::{Map, Value};

use super::{Architecture, Llama3Scaling, ModelConfig, Rope};
use crate::files::shown;

/// What the fields say, defaults filled in as transformers fills them.
pub(super) fn from_fields(fields: &Fields<'_>) -> Result<ModelConfig, String> {
    let architecture = architecture(fields)?;
    let heads = fields.required("num_attention_heads")?;
    let d_model = fields.required("hidden_size")?;
    let layers = fields.required("num_hidden_layers")?;
    let max_position_embeddings = fields.required("max_position_embeddings")?;
    refuse_unsupported(fields)?;
    refuse_sliding_window(fields, layers, max_position_embeddings)?;
    let biased = match architecture {
        Architecture::Qwen2 => false,
        Architecture::Qwen3 | Architecture::Llama => fields.flag("attention_bias")?,
    };
    // Llama alone has default ids in transformers.
    let llama = architecture == Architecture::Llama;
    let default_id = |name: &str, id: u32| (llama && !fields.0.contains_key(name)).then_some(id);
    Ok(ModelConfig {
        architecture,
        vocab: fields.required("vocab_size")?,
        d_model,
        layers,
        heads,
        kv_heads: kv_heads(fields, architecture, heads)?,
        head_dim: head_dim(fields, architecture, d_model, heads)?,
        d_ff: fields.required("intermediate_size")?,
        rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
        rope: rope(fields, max_position_embeddings)?,
        tie_word_embeddings: fields.flag("tie_word_embeddings")?,
        attention_bias: biased || architecture == Architecture::Qwen2,
        attention_out_bias: biased,
        qk_norm: architecture == Architecture::Qwen3,
        max_position_embeddings,
        bos_token_id: fields.id("bos_token_id")?.or(default_id("bos_token_id", 1)),
        eos_token_ids: fields
            .ids("eos_token_id")?
            .unwrap_or_else(|| default_id("eos_token_id", 2).into_iter().collect()),
        pad_token_id: fields.id("pad_token_id")?,
    })
}

fn architecture(fields: &Fields<'_>) -> Result<Architecture, String> {
    let known = Architecture::ALL.map(Architecture::model_type).join("`, `");
    let Some(name) = fields.text("model_type")? else {
        return Err(format!(
            "field `model_type` is missing; supported are `{known}`"
        ));
    };
    Architecture::ALL
        .into_iter()
        .find(|it| it.model_type() == name)
        .ok_or_else(|| {
            let name = shown(name);
            format!("field `model_type` is `{name}`; supported are `{known}`")
        })
}

fn kv_heads(
    fields: &Fields<'_>,
    architecture: Architecture,
    heads: usize,
) -> Result<usize, String> {
    // For Qwen an absent field means 32 in transformers, which no such model relies on.
    match fields.size("num_key_value_heads")? {
        Some(size) => Ok(size),
        None if architecture == Architecture::Llama => Ok(heads),
        None if fields.0.contains_key("num_key_value_heads") => Ok(heads),
        None => Err("field `num_key_value_heads` is missing".to_owned()),
    }
}

fn head_dim(
    fields: &Fields<'_>,
    architecture: Architecture,
    d_model: usize,
    heads: usize,
) -> Result<usize, String> {
    match fields.size("head_dim")? {
        Some(size) => Ok(size),
        None if architecture == Architecture::Qwen3 => Ok(128),
        None if heads > 0 && d_model.is_multiple_of(heads) => Ok(d_model / heads),
        None => Err(format!(
            "field `head_dim` is missing and `num_attention_heads` {heads} does not divide \
             `hidden_size` {d_model}"
        )),
    }
}

/// Refuses what would change the model's outputs and is not implemented.
fn refuse_unsupported(fields: &Fields<'_>) -> Result<(), String> {
    // transformers knows the one function by two names.
    if let Some(act) = fields.text("hidden_act")?
        && !["silu", "swish"].contains(&act)
    {
        return Err(format!(
            "field `hidden_act` is `{}`; only `silu` is supported",
            shown(act)
        ));
    }
    if fields.present("is_causal").is_some() && !fields.flag("is_causal")? {
        let message = "field `is_causal` is `false`, so that tokens would see those behind them; \
                       only `true` is supported";
        return Err(message.to_owned());
    }
    if fields.flag("mlp_bias")? {
        return Err("field `mlp_bias` is `true`; only `false` is supported".to_owned());
    }
    if let Some(tp) = fields.size("pretraining_tp")?
        && tp > 1
    {
        return Err(format!(
            "field `pretraining_tp` is {tp}; only 1 is supported"
        ));
    }
    if let Some(share) = fields.number("partial_rotary_factor")?
        && share != 1.0
    {
        return Err(format!(
            "field `partial_rotary_factor` is {share}; only 1 is supported"
        ));
    }
    match fields.present("quantization_config") {
        Some(_) => Err(
            "field `quantization_config` is set; only weights in f32, f16 or bf16 \
             are supported, so give an unquantized copy of the model"
                .to_owned(),
        ),
        None => Ok(()),
    }
}

fn refuse_sliding_window(fields: &Fields<'_>, layers: usize, context: usize) -> Result<(), String> {
    if let Some(types) = fields.present("layer_types") {
        let types = types.as_array().ok_or_else(|| {
            let types = shown(&types.to_string());
            format!("field `layer_types` is `{types}`; a list is wanted")
        })?;
        if let Some(other) = types.iter().find(|it| *it != "full_attention") {
            return Err(format!(
                "field `layer_types` holds {}; only `full_attention` is supported",
                shown(&other.to_string())
            ));
        }
        return Ok(());
    }
    if !fields.flag("use_sliding_window")? {
        return Ok(());
    }
    // Absent fields have these values in transformers.
    let window = match fields.0.get("sliding_window") {
        None => Some(4096),
        Some(_) => fields.size("sliding_window")?,
    };
    let first = fields.size("max_window_layers")?.unwrap_or(28);
    match window {
        // A window as wide as the context hides nothing.
        Some(window) if first < layers && window < context => Err(format!(
            "field `use_sliding_window` is `true` with a window of {window} tokens from layer \
             {first} on; only full attention is supported"
        )),
        _ => Ok(()),
    }
}

/// The rotary fields, each from every place that transformers 5 reads it from
/// (`RotaryEmbeddingConfigMixin.convert_rope_params_to_dict` and `standardize_rope_params`).
fn rope(fields: &Fields<'_>, context: usize) -> Result<Rope, String> {
    let empty = Map::new();
    let (name, section) = rope_section(fields, &empty)?;
    let section = Fields(section);
    let inside = |message: String| format!("in `{name}`: {message}");
    if let Some((key, _)) = section.0.iter().find(|(_, value)| value.is_object()) {
        return Err(format!(
            "field `{name}` holds an object `{}`; one rope for all layers is wanted",
            shown(key)
        ));
    }
    if let Some(share) = section.number("partial_rotary_factor").map_err(inside)?
        && share != 1.0
    {
        return Err(inside(format!(
            "field `partial_rotary_factor` is {share}; only 1 is supported"
        )));
    }
    let theta = match section.number("rope_theta").map_err(inside)? {
        Some(theta) => theta,
        None => fields.number("rope_theta")?.unwrap_or(10_000.0),
    };
    let kind = match section.text("rope_type").map_err(inside)? {
        Some(kind) => kind,
        None => section.text("type").map_err(inside)?.unwrap_or("default"),
    };
    let scaling = match kind {
        "default" => None,
        "llama3" => {
            let own = fields.size(ORIGINAL_CONTEXT)?;
            Some(llama3(&section, own, context).map_err(inside)?)
        }
        other => {
            return Err(inside(format!(
                "field `rope_type` is `{}`; supported are `default` and `llama3`",
                shown(other)
            )));
        }
    };
    Ok(Rope { theta, scaling })
}

/// The object of rotary fields and its name. `rope_scaling` is the older spelling; where anything
/// stands in it, all that is in `rope_parameters` is passed over.
fn rope_section<'a>(
    fields: &Fields<'a>,
    empty: &'a Map<String, Value>,
) -> Result<(&'static str, &'a Map<String, Value>), String> {
    for name in ["rope_scaling", "rope_parameters"] {
        match fields.present(name) {
            None => {}
            Some(Value::Object(section)) if section.is_empty() => {}
            Some(Value::Object(section)) => return Ok((name, section)),
            Some(other) => {
                let other = shown(&other.to_string());
                return Err(format!("field `{name}` is `{other}`; an object is wanted"));
            }
        }
    }
    Ok(("rope_parameters", empty))
}

const ORIGINAL_CONTEXT: &str = "original_max_position_embeddings";

/// `own` is the original context that stands beside the section; it comes before the one inside.
fn llama3(
    section: &Fields<'_>,
    own: Option<usize>,
    context: usize,
) -> Result<Llama3Scaling, String> {
    let number = |name: &str| {
        section
            .number(name)?
            .ok_or_else(|| format!("field `{name}` is missing"))
    };
    let original = match own {
        Some(own) => own,
        None => section.size(ORIGINAL_CONTEXT)?.unwrap_or(context),
    };
    Ok(Llama3Scaling {
        factor: number("factor")?,
        low_freq_factor: number("low_freq_factor")?,
        high_freq_factor: number("high_freq_factor")?,
        original_max_position_embeddings: original,
    })
}

/// Typed access to a JSON object; `null` counts as absent.
pub(crate) struct Fields<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    pub(crate) fn present(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn wanted<T>(
        &self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        match self.present(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| {
                let value = shown(&value.to_string());
                format!("field `{name}` is `{value}`; {what} is wanted")
            }),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        self.wanted(name, "a text", Value::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, String> {
        self.wanted(name, "a number", Value::as_f64)
    }

    /// A number that counts something. Python writes some of them as `8192.0`; sizes beyond 32
    /// bits would overflow later products.
    pub(crate) fn size(&self, name: &str) -> Result<Option<usize>, String> {
        const MOST: f64 = u32::MAX as f64;
        let size = self.wanted(name, "a whole number", |value| {
            let size = value.as_f64()?;
            (size >= 0.0 && size.fract() == 0.0).then_some(size)
        })?;
        if size.is_some_and(|it| it > MOST) {
            let found = shown(&self.0[name].to_string());
            return Err(format!(
                "field `{name}` is {found}; at most {MOST} is supported"
            ));
        }
        Ok(size.map(|it| it as usize))
    }

    fn required(&self, name: &str) -> Result<usize, String> {
        self.size(name)?
            .ok_or_else(|| format!("field `{name}` is missing"))
    }

    /// A flag that is off when absent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, String> {
        let flag = self.wanted(name, "`true` or `false`", Value::as_bool)?;
        Ok(flag.unwrap_or(false))
    }

    /// A token id; some files write -1 for none.
    fn id(&self, name: &str) -> Result<Option<u32>, String> {
        self.wanted(name, "a token id", |value| match value.as_i64()? {
            -1 => Some(None),
            id => u32::try_from(id).ok().map(Some),
        })
        .map(Option::flatten)
    }

    /// One token id or a list of them; `None` when the field is absent, no ids when it is null.
    fn ids(&self, name: &str) -> Result<Option<Vec<u32>>, String> {
        const MOST: usize = 1000;
        let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = self.wanted(name, "a token id or a list of them", |value| match value {
            Value::Array(ids) if ids.len() > MOST => None,
            Value::Array(ids) => ids.iter().map(id).collect(),
            value => id(value).map(|id| vec![id]),
        })?;
        Ok(ids.or_else(|| self.0.contains_key(name).then(Vec::new)))
    }
}
