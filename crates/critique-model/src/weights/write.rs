//! Writing: the header follows from the shapes, then values are asked for tensor by tensor, narrowed
//! and written in pieces. No more than one tensor is copied at a time.

use std::borrow::Cow;
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
    Listed::of(tensors, &|name| values(tensors, name)).save(dir, dtype, max_shard_bytes)
}

/// Writes all tensors into one safetensors file, in `f32`.
///
/// # Errors
///
/// As [`save_weights`].
pub fn save_tensors(path: &Path, tensors: &NamedTensors) -> Result<(), ModelError> {
    Listed::of(tensors, &|name| values(tensors, name)).save_in_one(path)
}

fn values<'a>(tensors: &'a NamedTensors, name: &str) -> Cow<'a, [f32]> {
    Cow::Borrowed(&tensors[name].data)
}

/// A tensor by its name and shape.
type Named = (String, Vec<usize>);

/// Gives the values of a tensor by its name, row-major.
type Values<'a> = &'a dyn Fn(&str) -> Cow<'a, [f32]>;

/// Tensors whose values are asked for as they are written.
pub(crate) struct Listed<'a> {
    /// In the order of names.
    tensors: Vec<Named>,
    values: Values<'a>,
}

impl<'a> Listed<'a> {
    pub(crate) fn new(mut tensors: Vec<Named>, values: Values<'a>) -> Self {
        tensors.sort();
        Self { tensors, values }
    }

    fn of(tensors: &NamedTensors, values: Values<'a>) -> Self {
        let shape = |(name, tensor): (&String, &HostTensor)| (name.clone(), tensor.shape.clone());
        Self::new(tensors.iter().map(shape).collect(), values)
    }

    /// [`save_weights`].
    pub(crate) fn save(
        &self,
        dir: &Path,
        dtype: SaveDtype,
        max_shard_bytes: u64,
    ) -> Result<(), ModelError> {
        let shards = split(&self.tensors, dtype, max_shard_bytes);
        let names: Vec<_> = match shards.len() {
            0 | 1 => vec![SINGLE.to_owned()],
            n => (1..=n)
                .map(|i| format!("model-{i:05}-of-{n:05}.safetensors"))
                .collect(),
        };
        for (name, shard) in names.iter().zip(&shards) {
            write_tensors(&dir.join(name), shard, self.values, dtype)?;
        }
        if shards.is_empty() {
            write_tensors(&dir.join(SINGLE), &[], self.values, dtype)?;
        }
        if names.len() > 1 {
            write_index(dir, &names, &shards, dtype)?;
        }
        remove_stale(dir, &names)
    }

    /// [`save_tensors`].
    pub(crate) fn save_in_one(&self, path: &Path) -> Result<(), ModelError> {
        write_tensors(path, &self.tensors, self.values, SaveDtype::F32)
    }
}

fn len(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn size(shape: &[usize], dtype: SaveDtype) -> u64 {
    (len(shape) * dtype.bytes()) as u64
}

/// Fills shard after shard in the order of names.
fn split(tensors: &[Named], dtype: SaveDtype, max_shard_bytes: u64) -> Vec<&[Named]> {
    let (mut shards, mut first, mut filled) = (Vec::new(), 0, 0);
    for (at, (_, shape)) in tensors.iter().enumerate() {
        let bytes = size(shape, dtype);
        if at > first && filled + bytes > max_shard_bytes {
            shards.push(&tensors[first..at]);
            (first, filled) = (at, 0);
        }
        filled += bytes;
    }
    if first < tensors.len() {
        shards.push(&tensors[first..]);
    }
    shards
}

fn write_index(
    dir: &Path,
    names: &[String],
    shards: &[&[Named]],
    dtype: SaveDtype,
) -> Result<(), ModelError> {
    let all = || shards.iter().copied().flatten();
    let bytes: u64 = all().map(|(_, shape)| size(shape, dtype)).sum();
    let values: usize = all().map(|(_, shape)| len(shape)).sum();
    let weight_map: BTreeMap<_, _> = names
        .iter()
        .zip(shards)
        .flat_map(|(name, shard)| shard.iter().map(move |(tensor, _)| (tensor, name)))
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

fn write_tensors(
    path: &Path,
    tensors: &[Named],
    values: Values<'_>,
    dtype: SaveDtype,
) -> Result<(), ModelError> {
    let header = header(tensors, dtype);
    let mut misfit = None;
    let written = write_with(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        let mut bytes = Vec::new();
        for named in tensors {
            let values = values(&named.0);
            if let Some(message) = wrong(named, &values, dtype) {
                misfit = Some(message);
                return Err(io::Error::other("a tensor cannot be written"));
            }
            for values in values.chunks(1 << 16) {
                dtype.narrow(values, &mut bytes);
                out.write_all(&bytes)?;
            }
        }
        io::Result::Ok(())
    });
    match misfit {
        Some(message) => Err(ModelError::Tensors {
            path: path.to_path_buf(),
            message,
        }),
        None => Ok(written?),
    }
}

/// Why values cannot be written as those of a tensor.
fn wrong((name, shape): &Named, values: &[f32], dtype: SaveDtype) -> Option<String> {
    if len(shape) != values.len() {
        let values = values.len();
        return Some(format!(
            "tensor `{name}` of shape {shape:?} has {values} values"
        ));
    }
    let limit = dtype.limit();
    let infinite = |it: &&f32| it.is_finite() && it.abs() > limit;
    let value = values.iter().find(infinite)?;
    Some(format!(
        "tensor `{name}` holds {value}, which is infinite in {}; bf16 or f32 would do",
        dtype.tag()
    ))
}

/// The JSON header, padded with blanks so that the values are aligned to 8 bytes.
fn header(tensors: &[Named], dtype: SaveDtype) -> Vec<u8> {
    let mut fields = Map::new();
    // transformers reads `format` to see which framework's layout the tensors are in.
    fields.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut start = 0;
    for (name, shape) in tensors {
        let end = start + size(shape, dtype);
        let info = json!({
            "dtype": dtype.tag(), "shape": shape, "data_offsets": [start, end],
        });
        fields.insert(name.clone(), info);
        start = end;
    }
    let mut header = Value::Object(fields).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Values of a tensor: 4 MiB, more than what is kept before it goes to the file.
    const VALUES: usize = 1 << 20;

    #[test]
    fn a_tensor_lies_in_the_file_before_the_next_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let asked = RefCell::new(Vec::new());
        let in_folder = || {
            let files = fs::read_dir(dir.path()).unwrap();
            files.map(|it| it.unwrap().metadata().unwrap().len()).sum()
        };
        let values = |name: &str| {
            asked.borrow_mut().push((name.to_owned(), in_folder()));
            Cow::Owned(vec![1.0; VALUES])
        };
        let named = ["b", "c", "a"].map(|name| (name.to_owned(), vec![VALUES]));
        let listed = Listed::new(named.to_vec(), &values);
        listed.save(dir.path(), SaveDtype::F32, 1 << 40).unwrap();
        let asked: Vec<(String, u64)> = asked.take();
        let names: Vec<_> = asked.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"], "each once, in order");
        for (before, (name, bytes)) in asked.iter().enumerate() {
            let written = (4 * VALUES * before) as u64;
            // What is kept before it goes to the file is 1 MiB.
            assert!(bytes + (1 << 20) >= written, "`{name}` after {bytes} bytes");
        }
    }

    #[test]
    fn values_that_do_not_fit_leave_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let few = |_: &str| Cow::Owned(vec![1.0; 3]);
        let listed = Listed::new(vec![("a".to_owned(), vec![2, 2])], &few);
        let told = listed.save(dir.path(), SaveDtype::F32, 1 << 40);
        let told = told.unwrap_err().to_string();
        assert!(
            told.contains("tensor `a` of shape [2, 2] has 3 values"),
            "{told}"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
