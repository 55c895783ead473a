//! Models as the command line names them.

use std::path::Path;

use critique_model::{
    DeviceSpec, Dtype, Engine, LanguageModel, ModelConfig, Runtime, Training, WeightFiles,
    load_adapter, read_model,
};

use critique_run::{MANIFEST, check_files};

use crate::failure::Failure;
use crate::input::folder::what_would_do;

/// Where models run.
#[derive(Debug, clap::Args)]
pub(crate) struct RuntimeArgs {
    /// Where models run: cpu, flex, wgpu, vulkan, metal or cuda, the last four with `:N`
    #[arg(long, default_value = "cpu", env = "CRITIQUE_RL_DEVICE")]
    device: String,
    /// Threads of the CPU engine; 0 takes as many as the machine has. No result depends on it
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        env = "CRITIQUE_RL_THREADS",
        value_parser = threads
    )]
    threads: usize,
}

/// How models compute that are not trained.
#[derive(Debug, clap::Args)]
pub(crate) struct FrozenArgs {
    #[command(flatten)]
    runtime: RuntimeArgs,
    /// Type of the weights: f32, or on the CPU bf16 for half the memory
    #[arg(long, default_value = "f32", value_name = "TYPE", value_parser = dtype)]
    dtype: Dtype,
}

impl FrozenArgs {
    /// The runtime that these describe.
    pub(crate) fn runtime(&self, seed: u64) -> Result<Runtime, Failure> {
        Ok(Runtime {
            dtype: self.dtype,
            ..self.runtime.runtime(seed)?
        })
    }
}

impl RuntimeArgs {
    /// The runtime that these describe.
    pub(crate) fn runtime(&self, seed: u64) -> Result<Runtime, Failure> {
        let device = DeviceSpec::parse(&self.device)?;
        // A device that is not there is told before anything is read.
        if device != DeviceSpec::Cpu {
            device.open()?;
        }
        Ok(Runtime {
            device,
            threads: self.threads,
            seed,
            ..Runtime::default()
        })
    }
}

/// A model with its tokenizer.
pub(crate) fn load(
    dir: &Path,
    adapter: Option<&Path>,
    runtime: &Runtime,
) -> Result<LanguageModel, Failure> {
    is_whole(dir)?;
    Ok(match adapter {
        Some(adapter) => {
            is_whole(adapter)?;
            LanguageModel::load_with_adapter(dir, adapter, runtime)?
        }
        None => LanguageModel::load(dir, runtime)?,
    })
}

/// A model without a tokenizer.
pub(crate) fn open_engine(
    dir: &Path,
    adapter: Option<&Path>,
    runtime: &Runtime,
) -> Result<(ModelConfig, Box<dyn Engine>), Failure> {
    let (config, weights) = read(dir)?;
    let adapter = adapter
        .map(|dir| is_whole(dir).and_then(|()| Ok(load_adapter(dir, &config)?)))
        .transpose()?;
    let engine =
        critique_model::open_engine(&config, weights, adapter, &Training::Frozen, runtime)?;
    Ok((config, engine))
}

/// The shape and the weights of a folder.
pub(crate) fn read(dir: &Path) -> Result<(ModelConfig, WeightFiles), Failure> {
    is_whole(dir)?;
    Ok(read_model(dir)?)
}

/// Refuses what is no model folder, and one that a run wrote and that is not what was written.
fn is_whole(dir: &Path) -> Result<(), Failure> {
    is_folder(dir)?;
    let help = format!(
        "to use it as it is, remove `{}`",
        dir.join(MANIFEST).display()
    );
    let checked = check_files(dir).map_err(|error| Failure::from(error).with_help(Some(help)));
    checked.map(|_| ())
}

/// Refuses what is no model folder, as far as that shows, before anything is read from it.
pub(crate) fn is_folder(dir: &Path) -> Result<(), Failure> {
    let would_do = what_would_do(dir);
    let found = match (dir.is_dir(), dir.exists()) {
        (true, _) if would_do.is_none() => return Ok(()),
        (true, _) => "is no model folder",
        (false, true) => "is a file",
        (false, false) => "is not there",
    };
    let failure = Failure::failed(format!(
        "`{}` {found}; expected a model folder in Hugging Face layout",
        dir.display()
    ));
    Err(failure.with_help(would_do))
}

/// A whole number above 0.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(value) if value > 0 => Ok(value),
        _ => Err("expected a whole number above 0".into()),
    }
}

/// A whole number of at least 2.
pub(crate) fn several(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(value) if value > 1 => Ok(value),
        _ => Err("expected a whole number of at least 2".into()),
    }
}

/// Threads: 0 for all of the machine, and no more than any machine has.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(value) if value <= 1024 => Ok(value),
        _ => Err("expected a whole number from 0 to 1024".into()),
    }
}

/// The type of weights.
pub(crate) fn dtype(text: &str) -> Result<Dtype, String> {
    match text {
        "f32" | "float32" => Ok(Dtype::F32),
        "bf16" | "bfloat16" => Ok(Dtype::Bf16),
        _ => Err("expected `f32` or `bf16`".into()),
    }
}

/// A share: from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

/// A share above 0.
pub(crate) fn some_share(text: &str) -> Result<f32, String> {
    match share(text) {
        Ok(value) if value > 0.0 => Ok(value),
        _ => Err("expected a number above 0, at most 1".into()),
    }
}

/// A number above 0.
pub(crate) fn positive(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if value > 0.0 && f32::is_finite(value) => Ok(value),
        _ => Err("expected a number above 0".into()),
    }
}

/// A temperature: 0 or above.
pub(crate) fn temperature(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if value >= 0.0 && f32::is_finite(value) => Ok(value),
        _ => Err("expected 0 (greedy) or a number above 0".into()),
    }
}
