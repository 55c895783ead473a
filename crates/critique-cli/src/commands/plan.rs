//! `critique-rl plan`: what a run would take on GPUs.

use std::fmt::Write as _;
use std::path::PathBuf;

use critique_run::{ModelSource, RlStage, RunConfig, StageConfig};
use critique_trainer::DryRun;
use critique_trainer::gpus::{Ask, GPUS, Gpu, PARTS, Phase, Shape, Split, Trains};
use serde_json::json;

use crate::failure::Failure;
use crate::input::run_file::RunFile;
use crate::output::out;

/// Estimates what a step of reinforcement learning would take on GPUs.
///
/// Some GPUs run inference servers (vLLM, say), the others train in shards, one after the other. The
/// estimate is from data sheets, the shapes of the models and the lengths of the run file; no GPU is
/// asked, and a factor of two is within what it leaves out. It names the part that limits, proposes a
/// split, and says what does not fit.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl plan gsm8k.toml --gpus 8xH100",
    "critique-rl plan gsm8k.toml --gpus 2xA100 --size 7B",
    "critique-rl plan gsm8k.toml --gpus 16xH200 --actor-size 72B --size 7B",
))]
pub(crate) struct Args {
    /// The run file
    #[arg(value_name = "RUN.toml")]
    file: PathBuf,
    /// Settings that overrule the file
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// How many GPUs of which kind: B200, H200, H100, A100, A100-40GB, L40S, RTX4090 or L4
    #[arg(long, value_name = "NxKIND", value_parser = gpus)]
    gpus: (usize, Gpu),
    /// A model of this size of the Qwen2.5 family in place of the run file's models: 0.5B, 1.5B, 3B,
    /// 7B, 14B, 32B or 72B
    #[arg(long, value_name = "SIZE", value_parser = shape_of)]
    size: Option<Shape>,
    /// The same for the actor alone
    #[arg(long, value_name = "SIZE", value_parser = shape_of)]
    actor_size: Option<Shape>,
    /// Share of the longest length that texts take in the mean
    #[arg(long, default_value_t = 0.5, value_name = "SHARE", value_parser = share)]
    fill: f64,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Shapes of Qwen2.5 by size: numbers, layers, width, width of keys, vocabulary.
const SIZES: [(&str, [f64; 5]); 7] = [
    ("0.5B", [0.494e9, 24.0, 896.0, 128.0, 151_936.0]),
    ("1.5B", [1.54e9, 28.0, 1536.0, 256.0, 151_936.0]),
    ("3B", [3.09e9, 36.0, 2048.0, 256.0, 151_936.0]),
    ("7B", [7.62e9, 28.0, 3584.0, 512.0, 152_064.0]),
    ("14B", [14.8e9, 48.0, 5120.0, 1024.0, 152_064.0]),
    ("32B", [32.8e9, 64.0, 5120.0, 1024.0, 152_064.0]),
    ("72B", [72.7e9, 80.0, 8192.0, 1024.0, 152_064.0]),
];

fn shape_of(text: &str) -> Result<Shape, String> {
    let known = SIZES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    let Some(&(_, [parameters, layers, width, keys, vocab])) = known else {
        let names = SIZES.map(|(name, _)| name).join(", ");
        return Err(format!("unknown; expected one of {names}"));
    };
    Ok(Shape {
        parameters,
        layers,
        width,
        keys,
        vocab,
    })
}

fn gpus(text: &str) -> Result<(usize, Gpu), String> {
    let names = GPUS.map(|gpu| gpu.name).join(", ");
    let wanted = format!("expected a number and a kind, such as 8xH100; kinds: {names}");
    let (count, name) = text.split_once('x').ok_or_else(|| wanted.clone())?;
    let gpu = GPUS
        .into_iter()
        .find(|gpu| gpu.name.eq_ignore_ascii_case(name));
    match (count.parse(), gpu) {
        (Ok(count @ 1..=4096), Some(gpu)) => Ok((count, gpu)),
        _ => Err(wanted),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("expected a number above 0, at most 1".into()),
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let file = RunFile::read(&args.file, &args.settings)?;
    let (name, task) = file.task()?;
    let dry = DryRun::of(&file.config, &name, &*task)?;
    let mut plans = Vec::new();
    for stage in &file.config.stages {
        if let StageConfig::Rl(stage) = stage {
            let ask = ask(args, &file.config, stage, &dry)?;
            plans.push((stage, ask, ask.splits()));
        }
    }
    if plans.is_empty() {
        return Err(Failure::usage(
            "the run file has no stage of kind `rl`, which is what GPUs are planned for",
        ));
    }
    if args.json {
        let of_stage = |(stage, ask, splits): &(&RlStage, Ask, Result<Vec<Split>, String>)| {
            json!({
                "stage": stage.name,
                "ask": ask,
                "splits": splits.as_ref().ok(),
                "why_none": splits.as_ref().err(),
            })
        };
        let all: Vec<_> = plans.iter().map(of_stage).collect();
        out::say_json(&json!({ "stages": all }))?;
    } else {
        let texts: Vec<String> = plans
            .iter()
            .map(|(stage, ask, splits)| text(stage, ask, splits))
            .collect();
        out::say(texts.join("\n\n"))?;
    }
    match plans
        .into_iter()
        .find_map(|(stage, _, splits)| Some((stage, splits.err()?)))
    {
        Some((stage, why)) => Err(Failure::failed(format!("stage `{}`: {why}", stage.name))),
        None => Ok(()),
    }
}

/// What a stage asks for.
fn ask(args: &Args, config: &RunConfig, stage: &RlStage, dry: &DryRun) -> Result<Ask, Failure> {
    let (count, gpu) = args.gpus;
    let shape = |model: &str, size: Option<Shape>| {
        let size = size.or(args.size);
        size.map_or_else(|| Ok(dry.models[model].gpu_shape()), Ok::<_, Failure>)
    };
    let (actor, critic) = (shape("actor", args.actor_size)?, shape(&stage.model, None)?);
    let source = &config.models[&stage.model];
    let trains = match &source.lora {
        // Two thin matrices for each of some seven layers a block, a little over the width of both.
        Some(lora) => Trains::Lora(lora.r as f64 * critic.layers * 7.0 * 3.0 * critic.width),
        None => Trains::Full,
    };
    let path = |model: &ModelSource| config.origin(model).path.clone();
    let same = path(source).is_some() && path(source) == path(&config.models["actor"]);
    let rollout = &config.rollout;
    let prompt = |phase: &str| {
        let of = dry
            .prompts
            .iter()
            .find(|it| it.stage == stage.name && it.phase == phase);
        of.map_or(0.0, |of| of.median as f64)
    };
    let responses = (rollout.problems * rollout.responses) as f64;
    let critiques = responses * rollout.group_size as f64;
    let refinements = if stage.rewards.needs_refinement() {
        critiques * rollout.refinements as f64
    } else {
        0.0
    };
    let phase = |texts: f64, prompts: f64, name: &str, most: usize| Phase {
        texts,
        prompts,
        prompt_tokens: prompt(name),
        tokens: args.fill * most as f64,
        at_most: most as f64,
    };
    Ok(Ask {
        gpu,
        count,
        actor,
        critic,
        trains,
        shared: same && trains != Trains::Full && args.actor_size.is_none(),
        reference: stage.reference != "none",
        phases: [
            phase(
                responses,
                rollout.problems as f64,
                "response",
                rollout.response.max_new_tokens,
            ),
            phase(
                critiques,
                responses,
                "critique",
                rollout.critique.max_new_tokens,
            ),
            phase(
                refinements,
                critiques,
                "refinement",
                rollout.refinement.max_new_tokens,
            ),
        ],
    })
}

fn text(stage: &RlStage, ask: &Ask, splits: &Result<Vec<Split>, String>) -> String {
    let billions = |shape: Shape| shape.parameters / 1e9;
    let how = match ask.trains {
        Trains::Full => "all weights".to_owned(),
        Trains::Lora(adapter) => format!("LoRA of {:.0} M", adapter / 1e6),
    };
    let mut text = format!(
        "stage {}: actor {:.2} B, critic {:.2} B ({how}), {} x {}\n",
        stage.name,
        billions(ask.actor),
        billions(ask.critic),
        ask.count,
        ask.gpu.name
    );
    let splits = match splits {
        Ok(splits) => splits,
        Err(why) => return text + "does not fit: " + why,
    };
    let sampled: f64 = ask
        .phases
        .iter()
        .map(|phase| phase.texts * phase.tokens)
        .sum();
    let best = &splits[0];
    let _ = writeln!(
        text,
        "about {} a step, {:.0} tokens sampled in it; longest: {}\n",
        duration(best.total()),
        sampled,
        best.limit()
    );
    let _ = writeln!(
        text,
        "train  actor  critic  a step    {}  GiB a training GPU",
        PARTS.map(|part| format!("{part:>11}")).join("  ")
    );
    for split in splits.iter().take(3) {
        let critic = if ask.shared {
            "shared".to_owned()
        } else {
            servers(split.critic, split.tensor_parallel[1])
        };
        let parts = split
            .seconds
            .map(|seconds| format!("{:>11}", duration(seconds)))
            .join("  ");
        let _ = writeln!(
            text,
            "{:>5}  {:>5}  {critic:>6}  {:<8}  {parts}  {:.0}",
            split.train,
            servers(split.actor, split.tensor_parallel[0]),
            duration(split.total()),
            split.train_bytes / f64::from(1 << 30)
        );
    }
    let _ = write!(
        text,
        "6/2: 6 GPUs, 2 a server; whole stage, {} steps: about {}",
        stage.steps,
        duration(best.total() * stage.steps as f64)
    );
    text
}

/// So many GPUs, and over how many of them a server spreads.
fn servers(gpus: usize, spread: usize) -> String {
    match spread {
        1 => gpus.to_string(),
        spread => format!("{gpus}/{spread}"),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
