//! Tensors that a file holds and the model does not have: passed over only where they hold what
//! is used in their place. A tied model whose file has an output layer of its own would else be
//! another model than the one that was saved, and nothing would say so.

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use safetensors::tensor::{Dtype, TensorInfo};

use super::read::{PIECE, TensorFile};
use crate::config::ModelConfig;
use crate::error::ModelError;

const EMBEDDING: &str = "model.embed_tokens.weight";

/// What a tensor that the model does not have stands for.
#[derive(Clone, Copy)]
pub(super) enum Spare {
    /// The output layer of a tied model; the embedding is used in its place.
    Output,
    /// A buffer of rotary frequencies; those of the configuration are used.
    Frequencies,
    /// The bias of a layer that has none; that is, one of 0.
    Bias,
}

impl Spare {
    /// What a tensor of this name and shape stands for, where it may stand for anything.
    pub(super) fn of(name: &str, shape: &[usize], config: &ModelConfig) -> Option<Self> {
        let output = [config.vocab, config.d_model];
        if config.tie_word_embeddings && name == "lm_head.weight" && shape == output {
            return Some(Self::Output);
        }
        if name.ends_with("rotary_emb.inv_freq") && shape == [config.head_dim / 2] {
            return Some(Self::Frequencies);
        }
        let layer = name.strip_suffix(".bias")?;
        (shape == [width(layer, config)?]).then_some(Self::Bias)
    }

    /// Whether the tensor holds what is used in its place.
    fn is_told(
        self,
        files: &[TensorFile],
        (file, name): (&TensorFile, &str),
        config: &ModelConfig,
    ) -> Result<bool, ModelError> {
        let info = &file.tensors[name];
        match self {
            Self::Output => match embedding(files) {
                Some(embedding) => equal((file, name, info), embedding),
                None => Ok(false),
            },
            Self::Frequencies => {
                let mut found = vec![0.0; config.head_dim / 2];
                file.read(name, info, 0, &mut found)?;
                let wanted = config.rope_inv_freq();
                Ok(wanted
                    .into_iter()
                    .zip(found)
                    .all(|(a, b)| near(a, b, info.dtype)))
            }
            Self::Bias => {
                let mut found = vec![0.0; info.shape.iter().product()];
                file.read(name, info, 0, &mut found)?;
                Ok(found.iter().all(|&it| it == 0.0))
            }
        }
    }

    /// What is wrong with a tensor that holds something else.
    fn told(self, name: &str) -> String {
        match self {
            Self::Output => format!(
                "{name} differs from {EMBEDDING}, which `tie_word_embeddings` puts in its place; \
                 set that to false in config.json where the stored output layer is the model's, \
                 or remove the tensor"
            ),
            Self::Frequencies => format!(
                "{name} holds other frequencies than those that config.json asks for; correct \
                 its rotary fields (`rope_theta` and the like), or remove the tensor"
            ),
            Self::Bias => format!(
                "{name} is not 0, and by config.json that layer has no bias; set `attention_bias` \
                 where it is one of attention, or remove the tensor"
            ),
        }
    }
}

/// Each tensor that would be passed over though it holds something else, in words; nothing where
/// there is none.
pub(super) fn differing(
    files: &[TensorFile],
    config: &ModelConfig,
) -> Result<Option<String>, ModelError> {
    let wanted = config.expected_tensors();
    let wanted: std::collections::BTreeSet<_> = wanted.iter().map(|(name, _)| &**name).collect();
    let mut told = Vec::new();
    for file in files {
        for (name, info) in &file.tensors {
            let spare = Spare::of(name, &info.shape, config);
            if let Some(spare) = spare.filter(|_| !wanted.contains(&**name))
                && !spare.is_told(files, (file, name), config)?
            {
                told.push(spare.told(name));
            }
        }
    }
    Ok((!told.is_empty()).then(|| super::list(&told)))
}

/// Width of the output of a layer that could have a bias.
fn width(layer: &str, config: &ModelConfig) -> Option<usize> {
    if layer == "lm_head" {
        return Some(config.vocab);
    }
    if layer == "model.norm" || layer.ends_with("layernorm") {
        return Some(config.d_model);
    }
    let (_, rest) = layer.strip_prefix("model.layers.")?.split_once('.')?;
    let linears = config.linears(0);
    let linear = linears
        .iter()
        .find(|it| it.name.strip_prefix("model.layers.0.") == Some(rest))?;
    Some(linear.d_out)
}

type Place<'a> = (&'a TensorFile, &'a str, &'a TensorInfo);

fn embedding(files: &[TensorFile]) -> Option<Place<'_>> {
    files
        .iter()
        .find_map(|file| Some((file, EMBEDDING, file.tensors.get(EMBEDDING)?)))
}

/// Whether two tensors of one shape hold the same bits once they are widened.
fn equal(a: Place<'_>, b: Place<'_>) -> Result<bool, ModelError> {
    let len: usize = a.2.shape.iter().product();
    let pieces = (0..len.div_ceil(PIECE)).into_par_iter();
    let same = pieces.map(|piece| {
        let first = piece * PIECE;
        let read = |(file, name, info): Place<'_>| {
            let mut values = vec![0.0; PIECE.min(len - first)];
            file.read(name, info, first, &mut values)?;
            Ok::<_, ModelError>(values)
        };
        let (a, b) = (read(a)?, read(b)?);
        Ok(a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()))
    });
    same.try_reduce(|| true, |a, b| Ok(a && b))
}

/// Whether a stored frequency is the one that is computed, but for the rounding of its type.
fn near(wanted: f32, found: f32, stored: Dtype) -> bool {
    let (relative, least) = match stored {
        Dtype::F16 => (1e-3, 6e-8),
        Dtype::BF16 => (8e-3, 0.0),
        _ => (1e-5, 0.0),
    };
    (wanted - found).abs() <= relative * wanted + least
}
