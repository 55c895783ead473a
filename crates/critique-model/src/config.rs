//! What a model is made of: `config.json` in and out, tensor names and shapes, rotary frequencies.

mod read;

use std::path::Path;

use critique_text::end_of_text_ids;
use serde_json::{Map, Value, json};

pub(crate) use read::Fields;

use crate::error::ModelError;
use crate::files::{in_file, parse_json_object, required_json_object};

/// A family of decoders. All are pre-norm with RMS norms, rotary positions, grouped-query
/// attention and a gated `SiLU` feed-forward layer; the families differ in biases and norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// Qwen2 and Qwen2.5: biases on the query, key and value projections.
    Qwen2,
    /// Qwen3: RMS norms on each query and key head, no biases.
    Qwen3,
    /// Llama and what shares its shape, such as SmolLM2: no biases.
    Llama,
}

impl Architecture {
    const ALL: [Self; 3] = [Self::Qwen2, Self::Qwen3, Self::Llama];

    /// Its name in `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Llama => "llama",
        }
    }

    /// Its name in `architectures`.
    pub fn class_name(self) -> &'static str {
        match self {
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Llama => "LlamaForCausalLM",
        }
    }
}

/// Rotary position embedding (Su et al. 2021) in the rotate-half layout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the wavelengths.
    pub theta: f64,
    /// Llama 3's stretching of long wavelengths, where the model has it.
    pub scaling: Option<Llama3Scaling>,
}

/// How Llama 3.1 and later stretch long wavelengths (`rope_type` `llama3`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Llama3Scaling {
    /// Long wavelengths grow by this factor.
    pub factor: f64,
    /// Wavelengths over `original_max_position_embeddings / low_freq_factor` tokens are long.
    pub low_freq_factor: f64,
    /// Wavelengths under `original_max_position_embeddings / high_freq_factor` tokens stay.
    pub high_freq_factor: f64,
    /// Context of pre-training, in tokens.
    pub original_max_position_embeddings: usize,
}

/// Most values in the tables of rotary positions: 1 GB, a context of 2 M tokens with heads of 128.
const MOST_ANGLES: usize = 1 << 28;

/// The shape of a decoder and its end-of-text tokens.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of its own in `config.json`"
)]
pub struct ModelConfig {
    /// Its family.
    pub architecture: Architecture,
    /// Rows of the embedding; may exceed the tokens that the tokenizer knows.
    pub vocab: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query heads in a layer.
    pub heads: usize,
    /// Key and value heads in a layer; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even. `heads * head_dim` need not be `d_model`.
    pub head_dim: usize,
    /// Width of the feed-forward layer.
    pub d_ff: usize,
    /// Added to the mean square in RMS norms.
    pub rms_norm_eps: f64,
    /// Rotary positions.
    pub rope: Rope,
    /// Whether the output layer is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether the query, key and value projections have biases.
    pub attention_bias: bool,
    /// Whether the output projection of attention has a bias.
    pub attention_out_bias: bool,
    /// Whether each query and key head has an RMS norm.
    pub qk_norm: bool,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Beginning-of-text token.
    pub bos_token_id: Option<u32>,
    /// End-of-text tokens, those of `generation_config.json` included.
    pub eos_token_ids: Vec<u32>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
}

/// A linear layer of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    /// Its module's name, such as `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// Width of its input.
    pub d_in: usize,
    /// Width of its output; the weight is `[d_out, d_in]`.
    pub d_out: usize,
    /// Whether it has a bias of `[d_out]`.
    pub bias: bool,
}

impl ModelConfig {
    /// Reads `config.json` of a model folder, and the end-of-text tokens of
    /// `generation_config.json` where there is one.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or describes a model that is not supported; the error names
    /// the field, what it holds and what would do.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let fields = required_json_object(&path)?;
        let mut config = Self::of_fields(&path, &fields)?;
        for id in end_of_text_ids(dir)? {
            if !config.eos_token_ids.contains(&id) {
                config.eos_token_ids.push(id);
            }
        }
        config.check().map_err(|message| in_file(&path, message))?;
        Ok(config)
    }

    /// Reads the content of a `config.json`, in the spelling of transformers 4 or 5. `path` is
    /// named in errors only.
    ///
    /// # Errors
    ///
    /// As [`ModelConfig::load`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        Self::of_fields(path, &parse_json_object(path, bytes)?)
    }

    fn of_fields(path: &Path, fields: &Map<String, Value>) -> Result<Self, ModelError> {
        let config = read::from_fields(&Fields(fields)).and_then(|config| {
            config.check()?;
            Ok(config)
        });
        config.map_err(|message| in_file(path, message))
    }

    /// The configuration as `config.json`, in the spellings of transformers 4 and 5 at once, so
    /// that readers of either kind accept it. The data type written is `float32`.
    ///
    /// For models made in memory. The files of a loaded model are copied instead
    /// ([`copy_model_files`](crate::copy_model_files)).
    pub fn to_json(&self) -> Value {
        let eos = match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [id] => json!(id),
            ids => json!(ids),
        };
        let mut fields = json!({
            "architectures": [self.architecture.class_name()],
            "model_type": self.architecture.model_type(),
            "vocab_size": self.vocab,
            "hidden_size": self.d_model,
            "intermediate_size": self.d_ff,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": self.max_position_embeddings,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope.theta,
            "rope_scaling": self.rope.scaling.map(Llama3Scaling::to_json),
            "rope_parameters": self.rope.to_json(),
            "tie_word_embeddings": self.tie_word_embeddings,
            "attention_dropout": 0.0,
            "use_cache": true,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos,
            "pad_token_id": self.pad_token_id,
            "torch_dtype": "float32",
            "dtype": "float32",
        });
        match self.architecture {
            Architecture::Qwen2 => fields["use_sliding_window"] = json!(false),
            Architecture::Qwen3 => {
                fields["use_sliding_window"] = json!(false);
                fields["attention_bias"] = json!(self.attention_bias);
            }
            Architecture::Llama => {
                fields["attention_bias"] = json!(self.attention_bias);
                fields["mlp_bias"] = json!(false);
            }
        }
        fields
    }

    /// Writes [`ModelConfig::to_json`] and a matching `generation_config.json` into a folder.
    ///
    /// # Errors
    ///
    /// When the configuration contradicts itself, or a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        self.check()
            .map_err(|message| in_file(&dir.join("config.json"), message))?;
        let config = self.to_json();
        let generation = json!({
            "bos_token_id": config["bos_token_id"],
            "eos_token_id": config["eos_token_id"],
            "pad_token_id": config["pad_token_id"],
        });
        let files = [
            ("config.json", &config),
            ("generation_config.json", &generation),
        ];
        for (name, content) in files {
            let text = format!("{content:#}\n");
            crate::files::write_whole(&dir.join(name), text.as_bytes())?;
        }
        Ok(())
    }

    /// The name and shape of every tensor of the model, in the order of its layers. Linear
    /// weights are `[d_out, d_in]`; a tied output layer has none.
    pub fn expected_tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut tensors = vec![(
            "model.embed_tokens.weight".to_owned(),
            vec![self.vocab, self.d_model],
        )];
        for layer in 0..self.layers {
            self.push_block(layer, &mut tensors);
        }
        tensors.push(("model.norm.weight".to_owned(), vec![self.d_model]));
        if !self.tie_word_embeddings {
            tensors.push(("lm_head.weight".to_owned(), vec![self.vocab, self.d_model]));
        }
        tensors
    }

    fn push_block(&self, layer: usize, tensors: &mut Vec<(String, Vec<usize>)>) {
        let norm = |name: &str, width| (format!("model.layers.{layer}.{name}.weight"), vec![width]);
        tensors.push(norm("input_layernorm", self.d_model));
        if self.qk_norm {
            tensors.push(norm("self_attn.q_norm", self.head_dim));
            tensors.push(norm("self_attn.k_norm", self.head_dim));
        }
        tensors.push(norm("post_attention_layernorm", self.d_model));
        for linear in self.linears(layer) {
            if linear.bias {
                tensors.push((format!("{}.bias", linear.name), vec![linear.d_out]));
            }
            let weight = format!("{}.weight", linear.name);
            tensors.push((weight, vec![linear.d_out, linear.d_in]));
        }
    }

    /// The seven linear layers of block `layer`: query, key, value, output, gate, up, down.
    pub fn linears(&self, layer: usize) -> [Linear; 7] {
        let (d_model, d_ff) = (self.d_model, self.d_ff);
        let queries = self.heads * self.head_dim;
        let keys = self.kv_heads * self.head_dim;
        let linear = |name: &str, d_in, d_out, bias| Linear {
            name: format!("model.layers.{layer}.{name}"),
            d_in,
            d_out,
            bias,
        };
        [
            linear("self_attn.q_proj", d_model, queries, self.attention_bias),
            linear("self_attn.k_proj", d_model, keys, self.attention_bias),
            linear("self_attn.v_proj", d_model, keys, self.attention_bias),
            linear(
                "self_attn.o_proj",
                queries,
                d_model,
                self.attention_out_bias,
            ),
            linear("mlp.gate_proj", d_model, d_ff, false),
            linear("mlp.up_proj", d_model, d_ff, false),
            linear("mlp.down_proj", d_ff, d_model, false),
        ]
    }

    /// Number of weights, a tied embedding counted once.
    pub fn parameters(&self) -> usize {
        let sizes = self.expected_tensors();
        sizes
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }

    /// Angle in radians by which each pair of a head's dimensions turns from one position to the
    /// next, as transformers computes it.
    ///
    /// # Shapes
    ///
    /// - returns: `[head_dim / 2]`
    pub fn rope_inv_freq(&self) -> Vec<f32> {
        (0..self.head_dim / 2)
            .map(|pair| {
                let exponent = (2 * pair) as f64 / self.head_dim as f64;
                let plain = self.rope.theta.powf(-exponent);
                self.rope.scaling.map_or(plain, |it| it.stretch(plain)) as f32
            })
            .collect()
    }

    /// Whether the parts fit each other and the architecture.
    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab),
            ("hidden_size", self.d_model),
            ("intermediate_size", self.d_ff),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("field `{name}` is 0; it must be positive"));
        }
        self.check_limits(&sizes)?;
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!(
                "field `num_key_value_heads` is {}, which does not divide `num_attention_heads` {}",
                self.kv_heads, self.heads
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(format!(
                "field `head_dim` is {}; rotary positions need an even number",
                self.head_dim
            ));
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps.is_finite()) {
            return Err(format!(
                "field `rms_norm_eps` is {}; it must be positive",
                self.rms_norm_eps
            ));
        }
        if !(self.rope.theta > 0.0 && self.rope.theta.is_finite()) {
            return Err(format!(
                "field `rope_theta` is {}; it must be positive",
                self.rope.theta
            ));
        }
        self.rope.scaling.map_or(Ok(()), |it| it.check())?;
        self.check_biases()?;
        self.check_tokens()
    }

    /// Refuses sizes that no decoder has, before anything is made in them: products of them would
    /// overflow, and lists of tensors would not end.
    fn check_limits(&self, sizes: &[(&str, usize); 8]) -> Result<(), String> {
        for (name, size) in sizes {
            let most = match *name {
                "num_hidden_layers" => 10_000,
                "hidden_size" | "intermediate_size" => 1 << 20,
                // Positions beyond are no whole numbers in f32.
                "vocab_size" | "max_position_embeddings" => 1 << 24,
                _ => 1 << 16,
            };
            if *size > most {
                return Err(format!(
                    "field `{name}` is {size}; at most {most} is supported"
                ));
            }
        }
        let angles = self.max_position_embeddings * self.head_dim;
        if angles > MOST_ANGLES {
            return Err(format!(
                "field `max_position_embeddings` is {}, for which tables of rotary positions would \
                 take {} MB; lower it to the longest sequence that is wanted, at most {}",
                self.max_position_embeddings,
                angles >> 18,
                MOST_ANGLES / self.head_dim
            ));
        }
        Ok(())
    }

    fn check_biases(&self) -> Result<(), String> {
        let fits = match self.architecture {
            Architecture::Qwen2 => self.attention_bias && !self.attention_out_bias && !self.qk_norm,
            Architecture::Qwen3 => self.attention_bias == self.attention_out_bias && self.qk_norm,
            Architecture::Llama => self.attention_bias == self.attention_out_bias && !self.qk_norm,
        };
        if fits {
            return Ok(());
        }
        Err(format!(
            "attention_bias {}, attention_out_bias {}, qk_norm {} is no `{}` model; qwen2 has \
             query, key and value biases and no head norms, qwen3 head norms, llama neither, and \
             in the latter two an output bias goes with the others",
            self.attention_bias,
            self.attention_out_bias,
            self.qk_norm,
            self.architecture.model_type()
        ))
    }

    fn check_tokens(&self) -> Result<(), String> {
        match self
            .eos_token_ids
            .iter()
            .find(|id| **id as usize >= self.vocab)
        {
            Some(id) => Err(format!(
                "field `eos_token_id` holds {id}, which is outside the vocabulary of {} tokens",
                self.vocab
            )),
            None => Ok(()),
        }
    }
}

impl Rope {
    fn to_json(self) -> Value {
        let mut fields = match self.scaling {
            Some(scaling) => scaling.to_json(),
            None => json!({ "rope_type": "default" }),
        };
        fields["rope_theta"] = json!(self.theta);
        fields
    }
}

impl Llama3Scaling {
    fn to_json(self) -> Value {
        json!({
            "rope_type": "llama3",
            "factor": self.factor,
            "low_freq_factor": self.low_freq_factor,
            "high_freq_factor": self.high_freq_factor,
            "original_max_position_embeddings": self.original_max_position_embeddings,
        })
    }

    /// Short wavelengths stay, long ones grow by `factor`, those between are interpolated.
    fn stretch(&self, inv_freq: f64) -> f64 {
        let context = self.original_max_position_embeddings as f64;
        let wavelength = std::f64::consts::TAU / inv_freq;
        if wavelength < context / self.high_freq_factor {
            return inv_freq;
        }
        if wavelength > context / self.low_freq_factor {
            return inv_freq / self.factor;
        }
        let smooth = (context / wavelength - self.low_freq_factor)
            / (self.high_freq_factor - self.low_freq_factor);
        (1.0 - smooth) * inv_freq / self.factor + smooth * inv_freq
    }

    fn check(&self) -> Result<(), String> {
        let fits = self.factor >= 1.0
            && self.low_freq_factor > 0.0
            && self.high_freq_factor > self.low_freq_factor
            && self.high_freq_factor.is_finite()
            && self.factor.is_finite()
            && self.original_max_position_embeddings > 0;
        if fits {
            return Ok(());
        }
        Err(format!(
            "rope of type `llama3` has factor {}, low_freq_factor {}, high_freq_factor {}, \
             original_max_position_embeddings {}; wanted are factor >= 1 and \
             0 < low_freq_factor < high_freq_factor",
            self.factor,
            self.low_freq_factor,
            self.high_freq_factor,
            self.original_max_position_embeddings
        ))
    }
}
