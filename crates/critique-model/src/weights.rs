//! Weights in memory and in safetensors files: checked by name and shape, read where they are
//! wanted, written whole or not at all.

mod read;
mod spare;
mod write;

pub use read::{WeightFiles, load_tensors, load_weights};
pub(crate) use write::Listed;
pub use write::{SaveDtype, save_tensors, save_weights};

use crate::engine::NamedTensors;
use crate::error::ModelError;
use crate::files::shown_up_to;

/// The weights of a model, wherever they are.
#[derive(Debug)]
pub enum Weights {
    /// In memory.
    Memory(NamedTensors),
    /// In files, not yet read.
    Files(WeightFiles),
}

impl Weights {
    /// All of them, in memory.
    ///
    /// # Errors
    ///
    /// As [`WeightFiles::tensors`].
    pub fn into_tensors(self) -> Result<NamedTensors, ModelError> {
        match self {
            Self::Memory(tensors) => Ok(tensors),
            Self::Files(files) => files.tensors(),
        }
    }

    /// Checks that a tensor is there in the shape that the configuration asks for.
    pub(crate) fn check(&self, name: &str, shape: &[usize]) -> Result<(), ModelError> {
        let found = match self {
            Self::Memory(tensors) => tensors.get(name).map(|it| &*it.shape),
            Self::Files(files) => files.shape(name),
        };
        if let Self::Memory(tensors) = self
            && let Some(tensor) = tensors.get(name)
            && tensor.data.len() != tensor.shape.iter().product::<usize>()
        {
            let (values, shape) = (tensor.data.len(), &tensor.shape);
            let message = format!("weight `{name}` has {values} values, not those of {shape:?}");
            return Err(ModelError::Other { message });
        }
        let message = match found {
            Some(found) if found == shape => return Ok(()),
            Some(found) => {
                format!("weight `{name}` has shape {found:?}; the configuration asks for {shape:?}")
            }
            None => format!("weight `{name}` is missing"),
        };
        Err(ModelError::Other { message })
    }

    /// Copies values of a tensor from the one at `first` on. Several threads may read at once.
    ///
    /// # Errors
    ///
    /// As [`WeightFiles::tensors`].
    ///
    /// # Panics
    ///
    /// When there are no such values.
    pub(crate) fn read(&self, name: &str, first: usize, out: &mut [f32]) -> Result<(), ModelError> {
        match self {
            Self::Memory(tensors) => {
                out.copy_from_slice(&tensors[name].data[first..first + out.len()]);
                Ok(())
            }
            Self::Files(files) => files.read(name, first, out),
        }
    }
}

impl From<NamedTensors> for Weights {
    fn from(tensors: NamedTensors) -> Self {
        Self::Memory(tensors)
    }
}

impl From<WeightFiles> for Weights {
    fn from(files: WeightFiles) -> Self {
        Self::Files(files)
    }
}

/// Name of the only weight file of an unsharded model.
const SINGLE: &str = "model.safetensors";
/// Name of the file that says which shard holds which tensor.
const INDEX: &str = "model.safetensors.index.json";
/// How many tensors an error names before it only counts.
const NAMED: usize = 10;

/// Characters of a name, with what is said of it, that an error shows.
const LONGEST_NAME: usize = 300;

/// Tensors that do not fit, collected so that one error names them all.
#[derive(Default)]
pub(crate) struct Misfits {
    missing: Vec<String>,
    unused: Vec<String>,
    misshapen: Vec<String>,
}

impl Misfits {
    /// Compares what is wanted with what is there; `ignore` says which extra tensors are fine.
    pub(crate) fn between<'a>(
        wanted: &[(String, Vec<usize>)],
        found: impl Iterator<Item = (&'a str, &'a [usize])>,
        ignore: impl Fn(&str, &[usize]) -> bool,
    ) -> Self {
        let mut found: std::collections::BTreeMap<_, _> = found.collect();
        let mut misfits = Self::default();
        for (name, shape) in wanted {
            match found.remove(name.as_str()) {
                None => misfits.missing.push(name.clone()),
                Some(other) if other != shape => {
                    let text = format!("{name} (is {other:?}, wanted {shape:?})");
                    misfits.misshapen.push(text);
                }
                Some(_) => {}
            }
        }
        found.retain(|name, shape| !ignore(name, shape));
        misfits.unused = found.into_keys().map(str::to_owned).collect();
        misfits
    }

    /// What does not fit, in words; nothing when all fits.
    pub(crate) fn message(&self) -> Option<String> {
        let kinds = [
            ("missing", &self.missing),
            ("unused", &self.unused),
            ("misshapen", &self.misshapen),
        ];
        let parts: Vec<_> = kinds
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| format!("{kind} tensors: {}", list(names)))
            .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The first names of a list, and how many more there are.
pub(crate) fn list(names: &[String]) -> String {
    let shown = names.len().min(NAMED);
    let texts = names[..shown].iter();
    let texts: Vec<_> = texts.map(|it| shown_up_to(LONGEST_NAME, it)).collect();
    let text = texts.join(", ");
    match names.len() - shown {
        0 => text,
        more => format!("{text}, and {more} more"),
    }
}
