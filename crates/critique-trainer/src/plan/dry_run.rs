//! What a run would do and take, from its settings, its task and the headers of its models.
//! Nothing is trained and nothing is written.

mod memory;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;

use critique_core::{Prompt, Split};
use critique_model::{DeviceSpec, ModelConfig, adapter_tensors};
use critique_run::RunConfig;
use critique_tasks::Task;
use critique_text::TextCodec;
use serde::Serialize;
use serde_json::{Map, Value};

use self::memory::Forecast;
pub use self::memory::MemoryForecast;
pub(crate) use self::memory::{Phases, longest};
use super::check::{check, measure_prompts, notes_of, planned};
use super::gpus::Shape;
use super::model_plan::{ModelPlan, Root};
use super::models::Models;
use super::prompts::PromptLengths;
use crate::error::TrainError;
use crate::stage::work_of;

/// What a run would do and take: what training checks before it begins, measured and forecast.
#[derive(Debug, Serialize)]
pub struct DryRun {
    /// The run folder.
    pub out: String,
    /// The device's name.
    pub device: String,
    /// The task's name.
    pub task: String,
    /// Problems by split.
    pub problems: Map<String, Value>,
    /// Models by name.
    pub models: BTreeMap<String, ModelHeader>,
    /// Stages in their order.
    pub stages: Vec<StageForecast>,
    /// With worked solutions in place of what models will write.
    pub prompts: Vec<PromptForecast>,
    /// What a person should know of it; nothing of it is wrong.
    pub notes: Vec<String>,
    /// Completions of one evaluation, at every temperature.
    pub eval_completions: usize,
    /// What lies in memory where most does, in bytes.
    pub memory: MemoryForecast,
}

/// A model without its weights.
#[derive(Debug, Serialize)]
pub struct ModelHeader {
    /// Numbers in its weights.
    pub parameters: usize,
    /// Those that training changes, where it is trained.
    pub trained: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// Addresses of the servers that sample for it; none where this process does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Whether all its weights lie on servers.
    pub on_servers: bool,
    #[serde(skip)]
    samples_here: bool,
    #[serde(skip)]
    shape: ModelConfig,
    #[serde(skip)]
    codec: Arc<TextCodec>,
}

impl ModelHeader {
    /// What of its shape counts on GPUs.
    pub fn gpu_shape(&self) -> Shape {
        let shape = &self.shape;
        Shape {
            parameters: self.parameters as f64,
            layers: shape.layers as f64,
            width: shape.d_model as f64,
            keys: (shape.kv_heads * shape.head_dim) as f64,
            vocab: shape.vocab as f64,
        }
    }

    /// Its tokenizer and chat template.
    pub(crate) fn codec(&self) -> &TextCodec {
        &self.codec
    }
}

/// Prompts of one phase of a stage, in tokens.
#[derive(Debug, Serialize)]
pub struct PromptForecast {
    /// The stage's name.
    pub stage: String,
    /// What is prompted for.
    pub phase: &'static str,
    /// The model that is prompted.
    pub model: String,
    /// Tokens that it takes, with those that it writes.
    pub context: usize,
    /// The median.
    pub median: usize,
    /// The longest.
    pub longest: usize,
    /// Share of those measured that leave room for a token.
    pub fit: f64,
}

/// What a stage would do and take.
#[derive(Debug, Serialize)]
pub struct StageForecast {
    /// Its name.
    pub name: String,
    /// `sft` or `rl`.
    pub kind: &'static str,
    /// The model that it trains.
    pub model: String,
    /// Its steps.
    pub steps: usize,
    /// Prompts that are read in a step.
    pub prompts_a_step: usize,
    /// Tokens in the whole stage, at most: sampled ones in RL, read and learnt ones in SFT.
    pub tokens_at_most: usize,
    /// Bytes in memory while it trains, at most.
    pub memory_bytes: usize,
    /// Bytes in memory in the gates and the evaluation after it, at most.
    pub memory_after_bytes: usize,
}

impl DryRun {
    /// Looks at a run file, its task, of this name, and the headers of its models.
    ///
    /// # Errors
    ///
    /// As [`check`], and when the device or a model is not there, or none of the prompts of a
    /// stage fit.
    pub fn of(config: &RunConfig, task_name: &str, task: &dyn Task) -> Result<Self, TrainError> {
        check(config, task)?;
        // Opening a device shows whether it is there.
        DeviceSpec::parse(&config.device)?.open()?;
        let plan = ModelPlan::of(config);
        let models = headers(config, &plan, task)?;
        let prompts = prompts(config, task, &models)?;
        let (stages, memory) = stages(config, &plan, task, &models)?;
        let evaluated = match config.eval.problems {
            0 => task.problems(config.eval.split)?.len(),
            most => most,
        };
        Ok(Self {
            out: config.out.display().to_string(),
            device: config.device.clone(),
            task: task_name.to_owned(),
            problems: problems(task)?,
            stages,
            prompts,
            notes: notes_of(config, task)?,
            eval_completions: 3 * evaluated * config.eval.temperatures.len(),
            memory,
            models,
        })
    }
}

/// Problems by split.
fn problems(task: &dyn Task) -> Result<Map<String, Value>, TrainError> {
    let mut problems = Map::new();
    for split in critique_tasks::data::SPLITS {
        let name = match split {
            Split::Train => "train",
            Split::Validation => "validation",
            _ => "test",
        };
        problems.insert(name.to_owned(), task.problems(split)?.len().into());
    }
    Ok(problems)
}

/// Stages in their order, and what lies in memory where most does.
fn stages(
    config: &RunConfig,
    plan: &ModelPlan,
    task: &dyn Task,
    models: &BTreeMap<String, ModelHeader>,
) -> Result<(Vec<StageForecast>, MemoryForecast), TrainError> {
    let mut forecast = Forecast::new(config, plan, task, models)?;
    let (mut stages, mut most) = (Vec::new(), MemoryForecast::default());
    for (at, stage) in config.stages.iter().enumerate() {
        let (held, after) = forecast.stage(at, &plan.stages[at])?;
        let context = models[stage.model()].context;
        let (prompts_a_step, tokens_at_most) = work_of(stage).volume(config, context);
        stages.push(StageForecast {
            name: stage.name().to_owned(),
            kind: stage.settings().kind(),
            model: stage.model().to_owned(),
            steps: stage.steps(),
            prompts_a_step,
            tokens_at_most,
            memory_bytes: held.total(),
            memory_after_bytes: after.total(),
        });
        for memory in [held, after] {
            if memory.total() >= most.total() {
                most = memory;
            }
        }
    }
    Ok((stages, most))
}

fn headers(
    config: &RunConfig,
    plan: &ModelPlan,
    task: &dyn Task,
) -> Result<BTreeMap<String, ModelHeader>, TrainError> {
    let mut headers = BTreeMap::new();
    for (name, source) in &config.models {
        let mut header = header(config, plan, task, name)?;
        if plan.stages.iter().any(|stage| stage.trains() == name) {
            header.trained = match (&source.lora, &plan.models[name].root) {
                (Some(lora), Root::Folder { .. }) => {
                    let tensors = adapter_tensors(&header.shape, lora)?;
                    let sizes = tensors
                        .iter()
                        .map(|(_, shape)| shape.iter().product::<usize>());
                    sizes.sum()
                }
                _ => header.parameters,
            };
        }
        headers.insert(name.clone(), header);
    }
    Ok(headers)
}

/// A model by its configuration and tokenizer; weights are left where they are.
fn header(
    config: &RunConfig,
    plan: &ModelPlan,
    task: &dyn Task,
    name: &str,
) -> Result<ModelHeader, TrainError> {
    let root = &plan.models[name].root;
    let (mut shape, codec) = match root {
        Root::Folder { path, .. } | Root::Servers { path, .. } => {
            (ModelConfig::load(path)?, Arc::new(TextCodec::load(path)?))
        }
        Root::New(_) | Root::Nothing => {
            // A new model has no folder yet; it is small enough to be made.
            let mut models = Models::new(config, task)?;
            let model = models.get(name)?;
            (model.config().clone(), model.shared_codec())
        }
    };
    let servers = config.origin(&config.models[name]).servers();
    if let Some(context) = servers.as_ref().and_then(|it| it.context) {
        shape.max_position_embeddings = context;
    }
    Ok(ModelHeader {
        parameters: shape.parameters(),
        trained: 0,
        context: shape.max_position_embeddings,
        on_servers: matches!(root, Root::Servers { .. }),
        samples_here: servers.is_none(),
        servers: servers.map_or(Vec::new(), |it| it.urls),
        shape,
        codec,
    })
}

/// The prompts of all stages of RL, measured as training does before a stage.
fn prompts(
    config: &RunConfig,
    task: &dyn Task,
    models: &BTreeMap<String, ModelHeader>,
) -> Result<Vec<PromptForecast>, TrainError> {
    let mut measure = |name: &str, prompt: &Prompt| -> Result<_, TrainError> {
        let model = &models[name];
        Ok((model.codec.encode_prompt(prompt)?.len(), model.context))
    };
    let forecast = |(stage, lengths): (String, PromptLengths)| PromptForecast {
        stage,
        phase: lengths.phase.name(),
        model: lengths.model,
        context: lengths.context,
        median: lengths.median,
        longest: lengths.longest,
        fit: lengths.fit as f64 / lengths.measured.max(1) as f64,
    };
    let all = measure_prompts(config, task, &mut measure)?;
    Ok(all.into_iter().map(forecast).collect())
}
