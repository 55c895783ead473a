//! Writing: the header follows from the shapes, then values are narrowed and written in pieces.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use critique_core::files::{FileError, write_with};
use half::{bf16, f16};
use serde_json::{Map, Value, json};

use super::{INDEX, SINGLE};
use crate::engine::{HostTensor, NamedTensors};
use crate::error::ModelError;
use crate::files::{cannot_read, write_whole};

/// The type that weights are stored in. Narrowing rounds to nearest, ties to even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveDtype {
    /// 32 bits: what was trained, exactly.
    F32,
    /// 16 bits with 10 of mantissa.
    F16,
    /// 16 bits with the range of 32.
    Bf16,
}

impl SaveDtype {
    /// Bytes of one value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Its name in safetensors headers.
    fn tag(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    fn narrow(self, values: &[f32], out: &mut Vec<u8>) {
        out.clear();
        match self {
            Self::F32 => out.extend(values.iter().flat_map(|it| it.to_le_bytes())),
            Self::F16 => out.extend(
                values
                    .iter()
                    .flat_map(|it| f16::from_f32(*it).to_le_bytes()),
            ),
            Self::Bf16 => out.extend(
                values
                    .iter()
                    .flat_map(|it| bf16::from_f32(*it).to_le_bytes()),
            ),
        }
    }

    /// Largest magnitude that does not become infinite.
    fn limit(self) -> f32 {
        match self {
            Self::F32 => f32::MAX,
            // Halfway to the next step is where rounding turns to infinity.
            Self::F16 => 65_519.996,
            Self::Bf16 => f32::from_bits(0x7F7F_7FFF),
        }
    }
}

/// Writes weights into a folder as transformers names them: `model.safetensors`, or shards of at
/// most `max_shard_bytes` bytes of weights and `model.safetensors.index.json`. A larger tensor
/// has a shard of its own. Weight files of an earlier save that the new ones do not replace are
/// removed at the end.
///
/// Each file appears whole or not at all; the set of shards does not, so save into a fresh folder
/// where the earlier weights must survive a crash.
///
/// # Errors
///
/// When a file cannot be written, a shape does not fit its values, or a finite weight would
/// become infinite in `dtype`.
pub fn save_weights(
    dir: &Path,
    tensors: &NamedTensors,
    dtype: SaveDtype,
    max_shard_bytes: u64,
) -> Result<(), ModelError> {
    let shards = split(tensors, dtype, max_shard_bytes);
    let names: Vec<_> = match shards.len() {
        0 | 1 => vec![SINGLE.to_owned()],
        n => (1..=n)
            .map(|i| format!("model-{i:05}-of-{n:05}.safetensors"))
            .collect(),
    };
    for (name, shard) in names.iter().zip(&shards) {
        write_tensors(&dir.join(name), shard, dtype)?;
    }
    if shards.is_empty() {
        write_tensors(&dir.join(SINGLE), &[], dtype)?;
    }
    if names.len() > 1 {
        write_index(dir, &names, &shards, dtype)?;
    }
    remove_stale(dir, &names)
}

/// Writes all tensors into one safetensors file, in `f32`.
///
/// # Errors
///
/// As [`save_weights`].
pub fn save_tensors(path: &Path, tensors: &NamedTensors) -> Result<(), ModelError> {
    let tensors: Vec<_> = tensors.iter().collect();
    write_tensors(path, &tensors, SaveDtype::F32)
}

type Named<'a> = (&'a String, &'a HostTensor);

fn size(tensor: &HostTensor, dtype: SaveDtype) -> u64 {
    (tensor.data.len() * dtype.bytes()) as u64
}

/// Fills shard after shard in the order of names.
fn split(tensors: &NamedTensors, dtype: SaveDtype, max_shard_bytes: u64) -> Vec<Vec<Named<'_>>> {
    let mut shards: Vec<Vec<Named<'_>>> = Vec::new();
    let mut filled = 0;
    for named in tensors {
        let bytes = size(named.1, dtype);
        match shards.last_mut() {
            Some(shard) if filled + bytes <= max_shard_bytes => {
                shard.push(named);
                filled += bytes;
            }
            _ => {
                shards.push(vec![named]);
                filled = bytes;
            }
        }
    }
    shards
}

fn write_index(
    dir: &Path,
    names: &[String],
    shards: &[Vec<Named<'_>>],
    dtype: SaveDtype,
) -> Result<(), ModelError> {
    let all = || shards.iter().flatten();
    let bytes: u64 = all().map(|(_, tensor)| size(tensor, dtype)).sum();
    let values: usize = all().map(|(_, tensor)| tensor.data.len()).sum();
    let weight_map: BTreeMap<_, _> = names
        .iter()
        .zip(shards)
        .flat_map(|(name, shard)| shard.iter().map(move |(tensor, _)| (*tensor, name)))
        .collect();
    let index = json!({
        "metadata": { "total_parameters": values, "total_size": bytes },
        "weight_map": weight_map,
    });
    write_whole(&dir.join(INDEX), format!("{index:#}\n").as_bytes())
}

/// Removes weight files that do not belong to the set just written.
fn remove_stale(dir: &Path, names: &[String]) -> Result<(), ModelError> {
    let entries = fs::read_dir(dir).map_err(|source| cannot_read(dir, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| cannot_read(dir, source))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kept = names.contains(&name) || (name == INDEX && names.len() > 1);
        if !kept && (name == SINGLE || name == INDEX || is_shard(&name)) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|source| FileError::write(&path, source))?;
        }
    }
    Ok(())
}

/// Whether a name reads `model-00001-of-00002.safetensors`.
fn is_shard(name: &str) -> bool {
    let number = |text: &str| text.len() == 5 && text.bytes().all(|it| it.is_ascii_digit());
    name.strip_prefix("model-")
        .and_then(|rest| rest.strip_suffix(".safetensors"))
        .and_then(|rest| rest.split_once("-of-"))
        .is_some_and(|(i, n)| number(i) && number(n))
}

fn write_tensors(path: &Path, tensors: &[Named<'_>], dtype: SaveDtype) -> Result<(), ModelError> {
    check(path, tensors, dtype)?;
    let header = header(tensors, dtype);
    Ok(write_with(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        let mut bytes = Vec::new();
        for (_, tensor) in tensors {
            for values in tensor.data.chunks(1 << 16) {
                dtype.narrow(values, &mut bytes);
                out.write_all(&bytes)?;
            }
        }
        io::Result::Ok(())
    })?)
}

fn check(path: &Path, tensors: &[Named<'_>], dtype: SaveDtype) -> Result<(), ModelError> {
    let wrong = |message| ModelError::Tensors {
        path: path.to_path_buf(),
        message,
    };
    for (name, HostTensor { shape, data }) in tensors {
        if shape.iter().product::<usize>() != data.len() {
            let values = data.len();
            return Err(wrong(format!(
                "tensor `{name}` of shape {shape:?} has {values} values"
            )));
        }
        let limit = dtype.limit();
        if let Some(value) = data.iter().find(|it| it.is_finite() && it.abs() > limit) {
            return Err(wrong(format!(
                "tensor `{name}` holds {value}, which is infinite in {}; bf16 or f32 would do",
                dtype.tag()
            )));
        }
    }
    Ok(())
}

/// The JSON header, padded with blanks so that the values are aligned to 8 bytes.
fn header(tensors: &[Named<'_>], dtype: SaveDtype) -> Vec<u8> {
    let mut fields = Map::new();
    // transformers reads `format` to see which framework's layout the tensors are in.
    fields.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut start = 0;
    for (name, tensor) in tensors {
        let end = start + size(tensor, dtype);
        let info = json!({
            "dtype": dtype.tag(), "shape": tensor.shape, "data_offsets": [start, end],
        });
        fields.insert((*name).clone(), info);
        start = end;
    }
    let mut header = Value::Object(fields).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}
