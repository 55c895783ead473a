//! `critique-rl export`: models in Hugging Face layout, rollouts as tables.

mod completions;
#[cfg(feature = "parquet")]
mod parquet;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use critique_model::SaveDtype;

use crate::failure::Failure;
use crate::input::model::{RuntimeArgs, load};
use crate::output::out::say;

/// Writes a model in Hugging Face layout, its adapter merged or not.
///
/// As transformers, vLLM and others load it. A folder that holds an adapter stays one unless
/// `--merge` adds it to its base model. `export completions` writes rollouts of a run.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = examples_of!(
    "critique-rl export runs/gsm8k/stages/stage2 --out exported",
    "critique-rl export runs/gsm8k/stages/stage2 --merge --dtype bf16 --out exported",
))]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// A model or adapter: a stage or checkpoint of a run folder, or any such folder
    #[arg(value_name = "DIR", required = true)]
    model: Option<PathBuf>,
    /// The folder to write; it must not hold anything yet
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
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

/// What is no model.
#[derive(Debug, clap::Subcommand)]
enum What {
    Completions(completions::Args),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Dtype {
    F32,
    F16,
    Bf16,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(What::Completions(args)) = &args.what {
        return completions::run(args);
    }
    // Both are required where there is no other command.
    let (Some(folder), Some(out)) = (&args.model, &args.out) else {
        return Err(Failure::usage(
            "expected the folder of a model, and `--out`",
        ));
    };
    export(args, folder, out)
}

fn export(args: &Args, folder: &Path, out: &Path) -> Result<(), Failure> {
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(format!(
            "`{}` is not empty; expected a new folder",
            out.display()
        )));
    }
    let runtime = args.runtime.runtime(0)?;
    let model = match &args.base {
        Some(base) => load(base, Some(folder), &runtime)?,
        None => load(folder, None, &runtime)?,
    };
    match model.lora() {
        Some(_) if !args.merge => model.save(out)?,
        _ => model.save_merged(out, args.dtype.into())?,
    }
    say(out.display().to_string())
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
