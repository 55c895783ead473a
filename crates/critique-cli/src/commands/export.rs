//! `critique-rl export`.

use std::path::PathBuf;

use clap::ValueEnum;
use critique_model::SaveDtype;

use crate::failure::Failure;
use crate::input::model::{RuntimeArgs, load};
use crate::output::out;

/// Writes a model in Hugging Face layout, its adapter merged or not.
///
/// As transformers, vLLM and others load it. A folder that holds an adapter stays one unless
/// `--merge` adds it to its base model.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl export runs/gsm8k/stages/stage2 --out exported",
    "critique-rl export runs/gsm8k/stages/stage2 --merge --dtype bf16 --out exported",
))]
pub(crate) struct Args {
    /// A model or adapter: a stage or checkpoint of a run folder, or any such folder
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// The folder to write; it must not hold anything yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The base model of an adapter, where it is not where the adapter says
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// Adds the adapter's part to the weights of its base model
    #[arg(long)]
    merge: bool,
    /// The type of weights; adapters are always written in f32
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    dtype: Dtype,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dtype {
    F32,
    F16,
    Bf16,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if std::fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(format!(
            "`{}` is not empty; expected a new folder",
            args.out.display()
        )));
    }
    let runtime = args.runtime.runtime(0)?;
    let model = match &args.base {
        Some(base) => load(base, Some(&args.model), &runtime)?,
        None => load(&args.model, None, &runtime)?,
    };
    match model.lora() {
        Some(_) if !args.merge => model.save(&args.out)?,
        _ => model.save_merged(&args.out, args.dtype.into())?,
    }
    out::say(args.out.display().to_string())
}

impl From<Dtype> for SaveDtype {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
        }
    }
}
