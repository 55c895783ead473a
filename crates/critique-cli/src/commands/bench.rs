//! `critique-rl bench`: how fast this machine trains and samples, on random tokens.

use std::path::PathBuf;
use std::time::Instant;

use clap::Subcommand;
use critique_core::{Completion, Request, Rng, Sampling, derive_seed};
use critique_model::{
    AdamW, CpuMemory, DeviceSpec, Dtype, Ends, Engine, Group, KeptMemory, LoraConfig, ModelConfig,
    PerToken, Runtime, Sampled, TokenRun, Training, open_engine,
};
use critique_rewards::advantage::leave_one_out;
use critique_rewards::{KlEstimator, LossSettings, Sequence, TokenCredit, Whiten};
use serde::Serialize;

use critique_trainer::{SampleGroup, add_gradients, memory};

use crate::failure::Failure;
use crate::input::model::{FrozenArgs, count, read, several};
use crate::output::out::{say, say_json};

/// Measures speed and memory.
///
/// Works on random tokens; end-of-text tokens are ignored.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl bench decode --model models/SmolLM2-135M-Instruct --batch 8",
    "critique-rl bench train --model models/SmolLM2-135M-Instruct --lora 16 --json",
))]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A whole RLOO step: rollouts, reference log-probs, one update
    RlooStep(RlooArgs),
    /// Sampling, prompts included
    Decode(DecodeArgs),
    /// Forward, backward and an `AdamW` step
    Train(TrainArgs),
    /// Log-probs without gradients
    Logprobs(Scored),
}

#[derive(Debug, clap::Args)]
struct RlooArgs {
    #[command(flatten)]
    common: Common,
    /// Prompts in a step
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = count)]
    prompts: usize,
    /// Completions of each prompt
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = several)]
    group: usize,
    /// Length of prompts, in tokens
    #[arg(long, default_value_t = 48, value_name = "N", value_parser = count)]
    prompt_tokens: usize,
    /// Length of completions, in tokens
    #[arg(long, default_value_t = 96, value_name = "N", value_parser = count)]
    new_tokens: usize,
}

#[derive(Debug, clap::Args)]
struct DecodeArgs {
    #[command(flatten)]
    common: Common,
    /// Sequences at once
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = count)]
    batch: usize,
    /// Length of prompts, in tokens
    #[arg(long, default_value_t = 48, value_name = "N", value_parser = count)]
    prompt_tokens: usize,
    /// Length of completions, in tokens
    #[arg(long, default_value_t = 96, value_name = "N", value_parser = count)]
    new_tokens: usize,
}

#[derive(Debug, clap::Args)]
struct TrainArgs {
    #[command(flatten)]
    scored: Scored,
    /// Computes activations again on the way back instead of keeping them
    #[arg(long)]
    recompute: bool,
    /// Trains an adapter of this rank on all linear layers instead of all weights
    #[arg(long, value_name = "RANK", value_parser = count)]
    lora: Option<usize>,
}

impl What {
    fn common(&self) -> &Common {
        match self {
            Self::RlooStep(args) => &args.common,
            Self::Decode(args) => &args.common,
            Self::Train(args) => &args.scored.common,
            Self::Logprobs(args) => &args.common,
        }
    }
}

#[derive(Debug, clap::Args)]
struct Common {
    /// A folder in Hugging Face layout; it needs no tokenizer
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Timed repetitions, after one that is not
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = count)]
    steps: usize,
    #[command(flatten)]
    frozen: FrozenArgs,
    /// Measures processor time of all threads instead of the wall clock
    #[arg(long)]
    cpu_time: bool,
    /// Prints one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Scored {
    #[command(flatten)]
    common: Common,
    /// Sequences
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = count)]
    batch: usize,
    /// Length of each, in tokens
    #[arg(long, default_value_t = 144, value_name = "N", value_parser = several)]
    tokens: usize,
}

/// The result.
#[derive(Serialize)]
struct Speed {
    /// Median seconds of a repetition.
    step_s: f64,
    /// Tokens a second: sampled ones where there are any, else all.
    tok_s: f64,
    /// Peak resident memory of the process, in MiB; a GPU's own memory is not in it.
    peak_rss_mb: f64,
    /// What `train --dry-run` would have said of it, in MiB. On the CPU only.
    #[serde(skip_serializing_if = "Option::is_none")]
    predicted_mb: Option<f64>,
    /// Arithmetic of products with weights, in 10^9 operations a second; a multiply-add is two.
    gflop_s: f64,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let runtime = &args.what.common().frozen.runtime(0)?;
    match &args.what {
        What::RlooStep(args) => rloo_step(args, runtime),
        What::Decode(args) => decode(args, runtime),
        What::Train(args) => train(args, runtime),
        What::Logprobs(args) => logprobs(args, runtime),
    }
}

fn rloo_step(args: &RlooArgs, runtime: &Runtime) -> Result<(), Failure> {
    let &RlooArgs {
        ref common,
        prompts,
        group,
        prompt_tokens,
        new_tokens,
    } = args;
    let begin = memory::resident();
    let mut step = RlooStep::new(common, runtime, prompts, group, prompt_tokens, new_tokens)?;
    let rows = groups_of(prompts, group, prompt_tokens, new_tokens);
    let tokens: usize = rows.iter().map(Group::tokens).sum();
    let planned = {
        let plan = plan(&step.config, runtime, None);
        let sampling = plan.sampling(&sampled(prompts, group, prompt_tokens, new_tokens));
        let mut kept = KeptMemory::default();
        kept.sampling(&sampling);
        kept.pass(plan.scoring(&rows));
        kept.pass(plan.training(&rows, false));
        // The reference policy keeps the weights of the start.
        let weights = plan.weights(true) + plan.weights(false);
        weights + plan.optimizer() + kept.total() + sampling.given_back
    };
    let work = Work {
        tokens: prompts * group * new_tokens,
        // Sampling, the reference and, where sampling is not exact, the old policy go
        // forward, training thrice as far.
        passes: (5 + usize::from(!step.exact)) * tokens,
        predicted: begin + planned,
    };
    let parameters = step.config.parameters();
    time(common, runtime, &work, parameters, |n| step.run(n))
}

fn decode(args: &DecodeArgs, runtime: &Runtime) -> Result<(), Failure> {
    let &DecodeArgs {
        ref common,
        batch,
        prompt_tokens,
        new_tokens,
    } = args;
    let begin = memory::resident();
    let (config, engine) = open(common, runtime, &Training::Frozen)?;
    let plan = plan(&config, runtime, None);
    let sampling = plan.sampling(&sampled(batch, 1, prompt_tokens, new_tokens));
    let mut kept = KeptMemory::default();
    kept.sampling(&sampling);
    let work = Work {
        tokens: batch * new_tokens,
        passes: batch * (prompt_tokens + new_tokens),
        predicted: begin + plan.weights(false) + kept.total() + sampling.given_back,
    };
    time(common, runtime, &work, config.parameters(), |n| {
        let prompts = random(config.vocab, n, batch, prompt_tokens).into_iter();
        let requests: Vec<Request> = prompts.map(|p| request(p, 1, new_tokens, n)).collect();
        engine.generate(&requests, &ENDS)?;
        Ok(())
    })
}

fn train(args: &TrainArgs, runtime: &Runtime) -> Result<(), Failure> {
    let TrainArgs {
        scored,
        recompute,
        lora,
    } = args;
    let &Scored {
        ref common,
        batch,
        tokens,
    } = scored;
    let adapter = |rank: usize| LoraConfig::new(rank, 2.0 * rank as f32, LoraConfig::all_linear());
    let lora = lora.map(adapter);
    let begin = memory::resident();
    let training = lora.clone().map_or(Training::Full, Training::Lora);
    let runtime = &Runtime {
        recompute: *recompute,
        ..*runtime
    };
    let (config, mut engine) = open(common, runtime, &training)?;
    let plan = plan(&config, runtime, lora.as_ref());
    let rows = groups_of(batch, 1, 1, tokens - 1);
    // Frozen weights have no gradient.
    let passes = 2 + usize::from(lora.is_none()) + usize::from(*recompute);
    let held = plan.weights(true) + plan.adapter() + plan.optimizer();
    let work = Work {
        tokens: batch * tokens,
        passes: passes * batch * tokens,
        predicted: begin + held + plan.training(&rows, *recompute).total(),
    };
    let weight = -1.0 / (batch * (tokens - 1)) as f32;
    let loss = |_: TokenRun, _: &[f32], grad: &mut [f32]| grad.fill(weight);
    time(common, runtime, &work, config.parameters(), |n| {
        engine.accumulate(&whole(random(config.vocab, n, batch, tokens)), 1.0, &loss)?;
        engine.update(1e-6, &AdamW::default())?;
        Ok(())
    })
}

fn logprobs(args: &Scored, runtime: &Runtime) -> Result<(), Failure> {
    let &Scored {
        ref common,
        batch,
        tokens,
    } = args;
    let begin = memory::resident();
    let (config, engine) = open(common, runtime, &Training::Frozen)?;
    let plan = plan(&config, runtime, None);
    let rows = groups_of(batch, 1, 1, tokens - 1);
    let work = Work {
        tokens: batch * tokens,
        passes: batch * tokens,
        predicted: begin + plan.weights(false) + plan.scoring(&rows).total(),
    };
    time(common, runtime, &work, config.parameters(), |n| {
        engine.score(&whole(random(config.vocab, n, batch, tokens)), 1.0)?;
        Ok(())
    })
}

/// What a repetition does, and what it is thought to take.
struct Work {
    /// Tokens that the speed counts.
    tokens: usize,
    /// Tokens times passes through all weights.
    passes: usize,
    /// Bytes.
    predicted: usize,
}

fn plan<'e>(
    config: &'e ModelConfig,
    runtime: &Runtime,
    lora: Option<&'e LoraConfig>,
) -> CpuMemory<'e> {
    let threads = match runtime.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    CpuMemory::new(config, lora, threads).with_dtype(runtime.dtype)
}

/// Completions of prompts that have nothing in common.
fn sampled(prompts: usize, samples: usize, prompt_tokens: usize, new_tokens: usize) -> Sampled {
    Sampled {
        prompts,
        samples,
        prompt_tokens,
        siblings: 1,
        shared_tokens: 0,
        new_tokens,
    }
}

/// Groups of these lengths.
fn groups_of(prompts: usize, samples: usize, prompt: usize, completion: usize) -> Vec<Group> {
    let group = Group {
        prompt: vec![0; prompt],
        completions: vec![vec![0; completion]; samples],
    };
    vec![group; prompts]
}

fn no_text(_: &[u32]) -> String {
    String::new()
}

const ENDS: Ends<'static> = Ends {
    eos: &[],
    decode: &no_text,
};

fn open(
    common: &Common,
    runtime: &Runtime,
    training: &Training,
) -> Result<(ModelConfig, Box<dyn Engine>), Failure> {
    if *training == Training::Full && runtime.dtype != Dtype::F32 {
        return Err(Failure::usage(
            "`--dtype bf16` is for weights that are not trained; expected `f32`, or `train --lora`",
        ));
    }
    let (config, weights) = read(&common.model)?;
    let engine = open_engine(&config, weights, None, training, runtime)?;
    Ok((config, engine))
}

fn random(vocab: usize, n: usize, rows: usize, tokens: usize) -> Vec<Vec<u32>> {
    let mut rng = Rng::new(derive_seed(n as u64, &["bench"]));
    (0..rows)
        .map(|_| (0..tokens).map(|_| rng.below(vocab) as u32).collect())
        .collect()
}

/// Sequences whose first token is the prompt.
fn whole(rows: Vec<Vec<u32>>) -> Vec<Group> {
    rows.into_iter()
        .map(|ids| Group {
            prompt: ids[..1].to_vec(),
            completions: vec![ids[1..].to_vec()],
        })
        .collect()
}

fn request(prompt: Vec<u32>, samples: u64, new_tokens: usize, n: usize) -> Request {
    let seeds = (0..samples)
        .map(|s| derive_seed(s, &["bench", &n.to_string(), &prompt[0].to_string()]))
        .collect();
    let sampling = Sampling {
        max_new_tokens: new_tokens,
        ignore_eos: true,
        ..Sampling::default()
    };
    Request {
        prompt,
        seeds,
        sampling,
    }
}

/// One step of RLOO with the KL in the reward, as `TRL`'s trainer takes it: sample, score the
/// reference, one `AdamW` update.
struct RlooStep {
    config: ModelConfig,
    engine: Box<dyn Engine>,
    reference: Box<dyn Engine>,
    /// Whether log-probs recorded while sampling are those of the old policy.
    exact: bool,
    prompts: usize,
    group: u64,
    prompt_tokens: usize,
    new_tokens: usize,
}

impl RlooStep {
    fn new(
        common: &Common,
        runtime: &Runtime,
        prompts: usize,
        group: usize,
        prompt_tokens: usize,
        new_tokens: usize,
    ) -> Result<Self, Failure> {
        let (config, engine) = open(common, runtime, &Training::Full)?;
        Ok(Self {
            config,
            // Read for itself: a copy of a model in training keeps what training needs.
            reference: open(common, runtime, &Training::Frozen)?.1,
            engine,
            exact: runtime.device == DeviceSpec::Cpu,
            prompts,
            group: group as u64,
            prompt_tokens,
            new_tokens,
        })
    }

    fn run(&mut self, n: usize) -> Result<(), Failure> {
        let prompts = random(self.config.vocab, n, self.prompts, self.prompt_tokens);
        let requests: Vec<Request> = prompts
            .iter()
            .map(|p| request(p.clone(), self.group, self.new_tokens, n))
            .collect();
        let completions = self.engine.generate(&requests, &ENDS)?;
        let groups: Vec<Group> = prompts
            .into_iter()
            .zip(&completions)
            .map(|(prompt, c)| Group {
                prompt,
                completions: c.iter().map(|c| c.tokens.clone()).collect(),
            })
            .collect();
        let reference = self.reference.score(&groups, 1.0)?;
        let old: PerToken = if self.exact {
            let recorded = |c: &Vec<Completion>| c.iter().map(|c| c.log_probs.clone()).collect();
            completions.iter().map(recorded).collect()
        } else {
            self.engine.score(&groups, 1.0)?
        };
        let reward = |c: &Completion| c.tokens.iter().filter(|&&t| t % 10 == 7).count() as f32;
        let advantages: Vec<Vec<f32>> = completions
            .iter()
            .map(|c| leave_one_out(&c.iter().map(reward).collect::<Vec<_>>()))
            .collect();
        let sequences: Vec<Sequence<'_>> = old
            .iter()
            .flatten()
            .zip(reference.iter().flatten())
            .zip(advantages.iter().flatten())
            .map(|((log_probs, reference), &advantage)| Sequence {
                advantage,
                log_probs,
                ref_log_probs: reference,
            })
            .collect();
        let credit = TokenCredit {
            kl_coef: 0.05,
            estimator: KlEstimator::K1,
            whiten: Whiten::No,
        };
        let advantages = credit.advantages(&sequences).values;
        let groups = SampleGroup::of(groups, old, PerToken::new(), advantages);
        let minibatch: Vec<&SampleGroup> = groups.iter().collect();
        add_gradients(&mut *self.engine, &minibatch, LossSettings::default(), 1.0)?;
        self.engine.update(1e-6, &AdamW::default())?;
        Ok(())
    }
}

/// Times repetitions and prints the median.
fn time(
    common: &Common,
    runtime: &Runtime,
    work: &Work,
    parameters: usize,
    mut step: impl FnMut(usize) -> Result<(), Failure>,
) -> Result<(), Failure> {
    step(0)?;
    let mut seconds = Vec::new();
    for n in 1..=common.steps {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        step(n)?;
        seconds.push(if common.cpu_time {
            cpu_seconds() - cpu
        } else {
            wall.elapsed().as_secs_f64()
        });
    }
    seconds.sort_by(f64::total_cmp);
    let step_s = seconds[seconds.len() / 2];
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let speed = Speed {
        step_s,
        tok_s: work.tokens as f64 / step_s,
        peak_rss_mb: mib(memory::peak()),
        predicted_mb: (runtime.device == DeviceSpec::Cpu)
            .then(|| mib(work.predicted + CpuMemory::OVERHEAD)),
        gflop_s: 2.0 * (work.passes * parameters) as f64 / step_s / 1e9,
    };
    if common.json {
        return say_json(&speed);
    }
    let kind = if common.cpu_time {
        "processor seconds"
    } else {
        "seconds"
    };
    let predicted = speed.predicted_mb;
    let predicted = predicted.map_or(String::new(), |mib| format!(", {mib:.0} predicted"));
    say(format!(
        "{:.4} {kind} a step, {:.0} tokens a second, {:.0} GFLOP/s; {:.0} MiB at most{predicted}",
        speed.step_s, speed.tok_s, speed.gflop_s, speed.peak_rss_mb
    ))
}

/// Processor time of this process so far; 0 where the system does not say.
fn cpu_seconds() -> f64 {
    let read = || {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: f64 =
            fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        Some(ticks / 100.0)
    };
    read().unwrap_or(0.0)
}
