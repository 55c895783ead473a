//! Parameters by the names that checkpoints give them, and what is done to each in turn.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

use super::decoder::Decoder;
use super::optimizer::{Moments, Step};

/// Tensors on the device, flattened, by parameter name.
pub(super) type Flat = BTreeMap<String, Tensor<1>>;

/// Which parameters are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trained {
    Nothing,
    Everything,
    Adapter,
}

/// Where a walk over a module stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Path(Vec<String>);

impl Path {
    /// The place of block `layer`.
    pub(super) fn of_block(layer: usize) -> Self {
        Self(vec!["model".into(), "layers".into(), layer.to_string()])
    }

    /// The place of the last norm.
    pub(super) fn of_norm() -> Self {
        Self(vec!["model".into(), "norm".into()])
    }

    fn is_adapter(&self) -> bool {
        self.0.iter().rev().nth(1).is_some_and(|it| it == "lora")
    }

    /// Hugging Face's name of the parameter here, PEFT's for an adapter.
    fn name(&self) -> String {
        let path = self.0.join(".");
        match path.rsplit_once(".lora.") {
            Some((layer, part)) => {
                let part = part.to_uppercase();
                format!("base_model.model.{layer}.lora_{part}.weight")
            }
            None => path,
        }
    }
}

/// Takes the path's place in a walk.
macro_rules! follow_path {
    () => {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.0.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.0.pop();
        }
    };
}

/// Names and shapes of the base's tensors (`adapter` false) or of the adapter's.
pub(super) fn shapes(decoder: &Decoder, adapter: bool) -> Vec<(String, Vec<usize>)> {
    let mut lister = Lister {
        path: Path::default(),
        adapter,
        shapes: Vec::new(),
    };
    decoder.visit(&mut lister);
    lister.shapes
}

struct Lister {
    path: Path,
    adapter: bool,
    shapes: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Lister {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.is_adapter() == self.adapter {
            let shape = param.val().dims().to_vec();
            self.shapes.push((self.path.name(), shape));
        }
    }
}

/// Copies the tensor of this name to the host.
pub(super) fn read(decoder: &Decoder, name: &str) -> Option<Vec<f32>> {
    let mut reader = Reader {
        path: Path::default(),
        name,
        values: None,
    };
    decoder.visit(&mut reader);
    reader.values
}

struct Reader<'a> {
    path: Path,
    name: &'a str,
    values: Option<Vec<f32>>,
}

impl ModuleVisitor for Reader<'_> {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.name() == self.name {
            self.values = Some(to_host(param.val()));
        }
    }
}

/// A copy whose trained parameters are leaves of the tape; the others stay constants, so no
/// gradient is computed for them.
pub(super) fn on_tape(decoder: &Decoder, trained: Trained) -> Decoder {
    decoder.clone().map(&mut Tracker {
        path: Path::default(),
        trained,
    })
}

struct Tracker {
    path: Path,
    trained: Trained,
}

impl ModuleMapper for Tracker {
    follow_path!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let tracked = match self.trained {
            Trained::Nothing => false,
            Trained::Everything => true,
            Trained::Adapter => self.path.is_adapter(),
        };
        if tracked {
            param.map(|tensor| tensor.autodiff().require_grad())
        } else {
            param
        }
    }
}

/// Moves the gradients of a part of the decoder from the tape to the sums.
pub(super) fn collect(part: &impl Module, at: Path, tape: &mut Gradients, sums: &mut Flat) {
    part.visit(&mut Collector {
        path: at,
        tape,
        sums,
    });
}

struct Collector<'a> {
    path: Path,
    tape: &'a mut Gradients,
    sums: &'a mut Flat,
}

impl ModuleVisitor for Collector<'_> {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.tape) {
            add(self.sums, &self.path.name(), gradient);
        }
    }
}

/// Adds a gradient to the sum of its parameter.
pub(super) fn add<const D: usize>(sums: &mut Flat, name: &str, gradient: Tensor<D>) {
    let gradient = flat(gradient);
    let sum = match sums.remove(name) {
        Some(sum) => sum + gradient,
        None => gradient,
    };
    sums.insert(name.to_owned(), sum);
}

/// Takes one step on every parameter that has a gradient.
pub(super) fn update(
    decoder: &mut Decoder,
    gradients: Flat,
    moments: &mut BTreeMap<String, Moments>,
    step: &Step,
) {
    let mut updater = Updater {
        path: Path::default(),
        gradients,
        moments,
        step,
    };
    // Layers are moved out, so that no old weight outlives its step.
    let layers = std::mem::take(&mut decoder.model.layers);
    let layers = layers.into_iter().enumerate().map(|(layer, block)| {
        updater.path = Path::of_block(layer);
        block.map(&mut updater)
    });
    decoder.model.layers = layers.collect();
    updater.path = Path::default();
    *decoder = decoder.clone().map(&mut updater);
}

struct Updater<'a> {
    path: Path,
    gradients: Flat,
    moments: &'a mut BTreeMap<String, Moments>,
    step: &'a Step,
}

impl ModuleMapper for Updater<'_> {
    follow_path!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let Some(gradient) = self.gradients.remove(&name) else {
            return param;
        };
        let moments = self.moments.remove(&name);
        param.map(|tensor| {
            let shape = tensor.shape();
            let (tensor, moments) = self.step.take(flat(tensor), gradient, moments, D > 1);
            self.moments.insert(name, moments);
            tensor.reshape::<D, _>(shape)
        })
    }
}

/// All values in one row.
pub(super) fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let len = tensor.shape().num_elements();
    tensor.reshape([len])
}

/// The values of an `f32` tensor.
///
/// # Panics
///
/// When the device fails to give them: an out-of-memory or driver error, of which burn gives
/// no other account.
pub(super) fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .try_into_vec_as::<f32>()
        .expect("the device gives back the tensors that it holds")
}

/// A tensor on the device from values on the host.
pub(super) fn to_device<const D: usize>(
    data: Vec<f32>,
    shape: [usize; D],
    device: &burn::tensor::Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(data, shape), device)
}
