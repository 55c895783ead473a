//! Reading: headers first, then any values of any tensor, straight to where they are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::spare::{self, Spare};
use super::{INDEX, Misfits, SINGLE, list};
use crate::config::ModelConfig;
use crate::engine::{HostTensor, NamedTensors};
use crate::error::ModelError;
use crate::files::{cannot_read, in_file, not_there, open_if_there, read_json_object};

/// Values that are read at a time where they only have to be put down.
pub(super) const PIECE: usize = 1 << 18;
/// Longest header that the format allows, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;

/// Reads the weights of a model folder, as [`WeightFiles::open`] finds them.
///
/// # Errors
///
/// As [`WeightFiles::open`] and [`WeightFiles::tensors`].
pub fn load_weights(dir: &Path, config: &ModelConfig) -> Result<NamedTensors, ModelError> {
    WeightFiles::open(dir, config)?.tensors()
}

/// Reads every tensor of one safetensors file, such as an adapter or an optimizer's state.
///
/// # Errors
///
/// When the file cannot be read or is damaged, or holds other types than f32, f16 and bf16.
pub fn load_tensors(path: &Path) -> Result<NamedTensors, ModelError> {
    let mut tensors = NamedTensors::new();
    TensorFile::open(path)?.read_into(&mut tensors, |_| true)?;
    Ok(tensors)
}

/// The weight files of a model folder, checked by their headers; values are read when asked for.
#[derive(Debug)]
pub struct WeightFiles {
    files: Vec<TensorFile>,
    /// Names of the tensors that the model has.
    wanted: BTreeSet<String>,
}

impl WeightFiles {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    ///
    /// A tensor that the model does not have is passed over only if it holds what is used in its
    /// place: an output layer that equals the embedding it is tied to, `rotary_emb.inv_freq`
    /// buffers with the frequencies of the configuration, and biases of 0 where there are none.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is damaged, or when tensors are missing, unused or
    /// misshapen: one error names them all.
    pub fn open(dir: &Path, config: &ModelConfig) -> Result<Self, ModelError> {
        let files = weight_files(dir)?;
        let wanted = config.expected_tensors();
        check(dir, &files, &wanted, config)?;
        let wanted = wanted.into_iter().map(|(name, _)| name).collect();
        Ok(Self { files, wanted })
    }

    /// Reads all of them. Values of 16 bits are widened to `f32`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or a tensor is of another type than f32, f16 and bf16.
    pub fn tensors(&self) -> Result<NamedTensors, ModelError> {
        let mut tensors = NamedTensors::new();
        for file in &self.files {
            file.read_into(&mut tensors, |name| self.wanted.contains(name))?;
        }
        Ok(tensors)
    }

    /// Shape of a tensor of the model.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        let (_, info) = self.find(name)?;
        Some(&info.shape)
    }

    /// Reads values of a tensor from the one at `first` on. Several threads may read at once.
    ///
    /// # Errors
    ///
    /// As [`WeightFiles::tensors`].
    ///
    /// # Panics
    ///
    /// When there are no such values.
    pub(crate) fn read(&self, name: &str, first: usize, out: &mut [f32]) -> Result<(), ModelError> {
        let (file, info) = self.find(name).expect("the tensor is there");
        file.read(name, info, first, out)
    }

    fn find(&self, name: &str) -> Option<(&TensorFile, &TensorInfo)> {
        let mut found = self.files.iter();
        found.find_map(|file| Some((file, file.tensors.get(name)?)))
    }
}

/// The weight files of a folder, headers read; one file wins over an index, as in transformers.
fn weight_files(dir: &Path) -> Result<Vec<TensorFile>, ModelError> {
    if let Some(single) = TensorFile::open_if_there(&dir.join(SINGLE))? {
        return Ok(vec![single]);
    }
    let index = dir.join(INDEX);
    let Some(fields) = read_json_object(&index)? else {
        return Err(in_file(
            dir,
            format!("holds no weights: neither `{SINGLE}` nor `{INDEX}` is there"),
        ));
    };
    let places = weight_map(&index, &fields)?;
    let shards: BTreeSet<_> = places.values().collect();
    let files = shards
        .into_iter()
        .map(|shard| TensorFile::open(&dir.join(shard)))
        .collect::<Result<Vec<_>, _>>()?;
    check_places(&index, &places, &files)?;
    Ok(files)
}

/// Tensor names and the shards that hold them.
fn weight_map(
    index: &Path,
    fields: &serde_json::Map<String, serde_json::Value>,
) -> Result<BTreeMap<String, String>, ModelError> {
    let map = fields
        .get("weight_map")
        .and_then(serde_json::Value::as_object);
    let Some(map) = map.filter(|map| !map.is_empty()) else {
        let message = "field `weight_map` is missing or empty; an object of tensor and file \
                       names is wanted";
        return Err(in_file(index, message));
    };
    map.iter()
        .map(|(tensor, shard)| match shard.as_str() {
            // A shard lies beside its index: no other folder may be read through it.
            Some(shard) if Path::new(shard).file_name() == Some(shard.as_ref()) => {
                Ok((tensor.clone(), shard.to_owned()))
            }
            _ => Err(in_file(
                index,
                format!(
                    "field `weight_map` gives `{tensor}` the file {shard}; a plain file name \
                     is wanted"
                ),
            )),
        })
        .collect()
}

fn check_places(
    index: &Path,
    places: &BTreeMap<String, String>,
    files: &[TensorFile],
) -> Result<(), ModelError> {
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    for file in files {
        for name in file.tensors.keys() {
            if let Some(other) = found.insert(name, &file.name) {
                let message = format!("tensor `{name}` is in both `{other}` and `{}`", file.name);
                return Err(in_file(index, message));
            }
        }
    }
    let misplaced: Vec<_> = places
        .iter()
        .filter(|(tensor, shard)| found.get(tensor.as_str()) != Some(&shard.as_str()))
        .map(|(tensor, shard)| format!("{tensor} ({shard})"))
        .collect();
    if misplaced.is_empty() {
        return Ok(());
    }
    Err(ModelError::Tensors {
        path: index.to_path_buf(),
        message: format!("tensors that are not in their shards: {}", list(&misplaced)),
    })
}

fn check(
    dir: &Path,
    files: &[TensorFile],
    wanted: &[(String, Vec<usize>)],
    config: &ModelConfig,
) -> Result<(), ModelError> {
    let found = files.iter().flat_map(|file| {
        let tensors = file.tensors.iter();
        tensors.map(|(name, info)| (name.as_str(), info.shape.as_slice()))
    });
    let misfits = Misfits::between(wanted, found, |name, shape| {
        Spare::of(name, shape, config).is_some()
    });
    // With one file the error points at it, with shards at the folder.
    let path = match files {
        [file] => &file.path,
        _ => dir,
    };
    let message = match misfits.message() {
        Some(message) => Some(message),
        None => spare::differing(files, config)?,
    };
    match message {
        Some(message) => Err(ModelError::Tensors {
            path: path.to_path_buf(),
            message,
        }),
        None => Ok(()),
    }
}

/// An open safetensors file whose header has been read and checked.
#[derive(Debug)]
pub(super) struct TensorFile {
    pub(super) path: PathBuf,
    name: String,
    file: File,
    /// Where the first tensor starts.
    data_start: u64,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

impl TensorFile {
    fn open(path: &Path) -> Result<Self, ModelError> {
        Self::open_if_there(path)?.ok_or_else(|| not_there(path))
    }

    fn open_if_there(path: &Path) -> Result<Option<Self>, ModelError> {
        let file = open_if_there(path)?;
        file.map(|file| Self::of(path, file)).transpose()
    }

    fn of(path: &Path, mut file: File) -> Result<Self, ModelError> {
        let length = file
            .metadata()
            .map_err(|source| cannot_read(path, source))?
            .len();
        let header = read_header(path, &mut file, length)?;
        let damaged = |error| in_file(path, format!("damaged header: {error}"));
        let metadata: Metadata = serde_json::from_slice(&header).map_err(damaged)?;
        serde_json::from_slice::<UniqueNames>(&header).map_err(damaged)?;
        let data_start = 8 + header.len() as u64;
        let told = data_start.checked_add(metadata.data_len() as u64);
        if told != Some(length) {
            let kind = if told.is_none_or(|told| told > length) {
                "truncated"
            } else {
                "longer than it should be"
            };
            let told = told.map_or("too many".to_owned(), |told| told.to_string());
            let message =
                format!("{kind}: the header tells of {told} bytes, the file has {length}");
            return Err(in_file(path, message));
        }
        let tensors = metadata.tensors();
        Ok(Self {
            path: path.to_path_buf(),
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
            file,
            data_start,
            tensors: tensors.into_iter().map(|(k, v)| (k, v.clone())).collect(),
        })
    }

    /// Reads the tensors that are wanted, in the order in which they lie in the file.
    fn read_into(
        &self,
        tensors: &mut NamedTensors,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), ModelError> {
        let mut order: Vec<_> = self.tensors.iter().filter(|(it, _)| wanted(it)).collect();
        order.sort_by_key(|(_, info)| info.data_offsets);
        for (name, info) in order {
            let shape = info.shape.clone();
            let mut data = vec![0.0; shape.iter().product()];
            for (piece, out) in data.chunks_mut(PIECE).enumerate() {
                self.read(name, info, piece * PIECE, out)?;
            }
            tensors.insert(name.clone(), HostTensor { shape, data });
        }
        Ok(())
    }

    /// Reads values of a tensor from the one at `first` on.
    pub(super) fn read(
        &self,
        name: &str,
        info: &TensorInfo,
        first: usize,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let (start, end) = info.data_offsets;
        let size = info.dtype.bitsize() / 8;
        assert!(
            start + size * (first + out.len()) <= end,
            "`{name}` ends before value {}",
            first + out.len()
        );
        let at = self.data_start + (start + size * first) as u64;
        let fill = |bytes: &mut [u8]| {
            read_at(&self.file, bytes, at).map_err(|source| {
                let told = format!("tensor `{name}`: {source}");
                cannot_read(&self.path, io::Error::new(source.kind(), told))
            })
        };
        // Values of 16 bits, not yet widened.
        let halves = || {
            let mut halves: Vec<u16> = vec![0; out.len()];
            fill(bytemuck::cast_slice_mut(&mut halves))?;
            for half in &mut halves {
                *half = u16::from_le(*half);
            }
            Ok(halves)
        };
        match info.dtype {
            Dtype::F32 => fill(bytemuck::cast_slice_mut(out)).map(|()| {
                // Files are little-endian; where the machine is too, nothing is left of this.
                for it in out {
                    *it = f32::from_bits(u32::from_le(it.to_bits()));
                }
            }),
            Dtype::F16 => halves().map(|it| {
                it.reinterpret_cast::<f16>().convert_to_f32_slice(out);
            }),
            Dtype::BF16 => halves().map(|it| {
                it.reinterpret_cast::<bf16>().convert_to_f32_slice(out);
            }),
            other => Err(in_file(
                &self.path,
                format!("tensor `{name}` is of type {other:?}; supported are F32, F16 and BF16"),
            )),
        }
    }
}

/// That no name stands in a header twice. A map would keep the last of them and say nothing.
struct UniqueNames;

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for UniqueNames {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
            if let Some(name) = names.replace(name) {
                return Err(A::Error::custom(format!("tensor `{name}` is there twice")));
            }
        }
        Ok(self)
    }
}

/// Fills `bytes` from a place in a file, whatever other threads read.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

/// Fills `bytes` from a place in a file, one thread after the other: they share its position.
#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().expect("no thread panics while it reads");
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

/// How a file begins that stands for one in Git LFS: `version https://git-lfs…`.
const GIT_LFS: &[u8; 8] = b"version ";

/// The header's bytes: its length stands in the first 8.
fn read_header(path: &Path, file: &mut File, length: u64) -> Result<Vec<u8>, ModelError> {
    if length < 8 {
        let message = format!("truncated: a safetensors file has 8 bytes at least, not {length}");
        return Err(in_file(path, message));
    }
    let mut size = [0; 8];
    file.read_exact(&mut size)
        .map_err(|source| cannot_read(path, source))?;
    if &size == GIT_LFS {
        let message =
            "a pointer of Git LFS, not the weights; `git lfs pull` fetches them".to_owned();
        return Err(in_file(path, message));
    }
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER {
        let message = format!("no safetensors file: its header would have {size} bytes");
        return Err(in_file(path, message));
    }
    if size > length - 8 {
        let message = format!("truncated: its header has {size} bytes, the whole file {length}");
        return Err(in_file(path, message));
    }
    let mut header = vec![0; size as usize];
    file.read_exact(&mut header)
        .map_err(|source| cannot_read(path, source))?;
    Ok(header)
}
