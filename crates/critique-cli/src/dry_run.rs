//! `critique-rl train --dry-run`: what a run would do, from its settings, its task and the
//! headers of its models. Nothing is written.

mod memory;
mod weights;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use critique_core::Prompt;
use critique_model::{DeviceSpec, ModelConfig, TextCodec, adapter_tensors};
use critique_tasks::Task;
use critique_trainer::{
    ModelSource, Models, PromptLengths, RlStage, RunConfig, SftStage, StageConfig, TrainError,
    check, measure_prompts, notes_of,
};
use serde::Serialize;
use serde_json::{Map, Value};

use self::memory::{Forecast, Memory};
use crate::failure::Failure;
use crate::out;
use crate::run_file::RunFile;

/// What a run would do.
#[derive(Serialize)]
struct Plan {
    out: String,
    device: String,
    task: String,
    /// Problems by split.
    problems: Map<String, Value>,
    models: BTreeMap<String, ModelPlan>,
    stages: Vec<StagePlan>,
    /// With worked solutions in place of what models will write.
    prompts: Vec<PromptPlan>,
    /// What a person should know of it; nothing of it is wrong.
    notes: Vec<String>,
    /// Completions of one evaluation, at every temperature.
    eval_completions: usize,
    /// What lies in memory where most does, in bytes.
    memory: Memory,
}

#[derive(Serialize)]
struct ModelPlan {
    parameters: usize,
    /// Those that training changes, where it is trained.
    trained: usize,
    context: usize,
    #[serde(skip)]
    pub(super) shape: ModelConfig,
    #[serde(skip)]
    pub(super) codec: Arc<TextCodec>,
}

/// Prompts of one phase of a stage, in tokens.
#[derive(Debug, Serialize)]
struct PromptPlan {
    stage: String,
    phase: &'static str,
    model: String,
    context: usize,
    median: usize,
    longest: usize,
    /// Share of those measured that leave room for a token.
    fit: f64,
}

#[derive(Debug, Serialize)]
struct StagePlan {
    name: String,
    kind: &'static str,
    model: String,
    steps: usize,
    /// Prompts that are read in a step.
    prompts_a_step: usize,
    /// Tokens in the whole stage, at most: sampled ones in RL, read and learnt ones in SFT.
    tokens_at_most: usize,
    /// Bytes in memory, at most; and in the gates and the evaluation after it.
    memory_bytes: usize,
    memory_after_bytes: usize,
}

pub(crate) fn run(
    file: &RunFile,
    task_name: &str,
    task: &dyn Task,
    json: bool,
) -> Result<(), Failure> {
    let plan = plan(file, task_name, task)?;
    if json {
        out::say_json(&plan)
    } else {
        out::say(plan.text())
    }
}

fn plan(file: &RunFile, task_name: &str, task: &dyn Task) -> Result<Plan, Failure> {
    let config = &file.config;
    check(config, task).map_err(|error| file.misfit(error))?;
    // Opening a device shows whether it is there.
    DeviceSpec::parse(&config.device)?.open()?;
    let mut problems = Map::new();
    for split in critique_tasks::data::SPLITS {
        let name = crate::tasks::split_name(split).to_owned();
        problems.insert(name, task.problems(split)?.len().into());
    }
    let models = models(config, task)?;
    let prompts = prompts(file, task, &models)?;
    let mut stages: Vec<StagePlan> = config
        .stages
        .iter()
        .map(|stage| match stage {
            StageConfig::Sft(sft) => sft_plan(sft, models[&sft.model].context),
            StageConfig::Rl(rl) => rl_plan(rl, config),
        })
        .collect();
    let mut forecast = Forecast::new(config, task, &models)?;
    let mut all = Vec::new();
    for (stage, plan) in config.stages.iter().zip(&mut stages) {
        let (held, after) = forecast.stage(stage)?;
        plan.memory_bytes = held.total();
        plan.memory_after_bytes = after.total();
        all.extend([held, after]);
    }
    let memory = (all.into_iter().max_by_key(Memory::total)).unwrap_or_default();
    let evaluated = match config.eval.problems {
        0 => task.problems(config.eval.split)?.len(),
        most => most,
    };
    Ok(Plan {
        out: config.out.display().to_string(),
        device: config.device.clone(),
        task: task_name.to_owned(),
        problems,
        stages,
        prompts,
        notes: notes_of(config, task)?,
        eval_completions: 3 * evaluated * config.eval.temperatures.len(),
        memory,
        models,
    })
}

fn models(config: &RunConfig, task: &dyn Task) -> Result<BTreeMap<String, ModelPlan>, Failure> {
    let mut plans = BTreeMap::new();
    for (name, source) in &config.models {
        let root = root(config, name);
        let mut plan = header(config, task, &root)?;
        let trained = config.stages.iter().any(|stage| stage.model() == name);
        plan.trained = if trained {
            trained_parameters(&plan, source, &root, config)?
        } else {
            0
        };
        plans.insert(name.clone(), plan);
    }
    Ok(plans)
}

/// The model that gives another its weights, through any number of `from`.
fn root(config: &RunConfig, name: &str) -> String {
    let mut name = name;
    while let Some(from) = &config.models[name].from {
        name = from;
    }
    name.to_owned()
}

/// A model by its configuration and tokenizer; weights are left where they are.
fn header(config: &RunConfig, task: &dyn Task, root: &str) -> Result<ModelPlan, Failure> {
    let (shape, codec) = if let Some(path) = &config.models[root].path {
        (ModelConfig::load(path)?, Arc::new(TextCodec::load(path)?))
    } else {
        // A new model has no folder yet; it is small enough to be made.
        let mut models = Models::new(config, task)?;
        let model = models.get(root)?;
        (model.config().clone(), model.shared_codec())
    };
    Ok(ModelPlan {
        parameters: shape.parameters(),
        trained: 0,
        context: shape.max_position_embeddings,
        shape,
        codec,
    })
}

/// The prompts of all stages of RL, measured as training does before a stage.
fn prompts(
    file: &RunFile,
    task: &dyn Task,
    models: &BTreeMap<String, ModelPlan>,
) -> Result<Vec<PromptPlan>, Failure> {
    let mut measure = |name: &str, prompt: &Prompt| -> Result<_, TrainError> {
        let model = &models[name];
        Ok((model.codec.encode_prompt(prompt)?.len(), model.context))
    };
    let all = measure_prompts(&file.config, task, &mut measure);
    let all = all.map_err(|error| file.misfit(error))?;
    let plan = |(stage, lengths): (String, PromptLengths)| PromptPlan {
        stage,
        phase: lengths.phase.name(),
        model: lengths.model,
        context: lengths.context,
        median: lengths.median,
        longest: lengths.longest,
        fit: lengths.fit as f64 / lengths.measured.max(1) as f64,
    };
    Ok(all.into_iter().map(plan).collect())
}

fn trained_parameters(
    plan: &ModelPlan,
    source: &ModelSource,
    root: &str,
    config: &RunConfig,
) -> Result<usize, Failure> {
    let (Some(lora), Some(path)) = (&source.lora, &config.models[root].path) else {
        return Ok(plan.parameters);
    };
    let tensors = adapter_tensors(&ModelConfig::load(path)?, lora)?;
    Ok(tensors
        .iter()
        .map(|(_, shape)| shape.iter().product::<usize>())
        .sum())
}

fn sft_plan(stage: &SftStage, context: usize) -> StagePlan {
    let rows: usize = stage.data.iter().map(|data| data.rows).sum();
    let all: usize = stage
        .data
        .iter()
        .map(|data| data.rows * stage.steps.div_ceil(data.every))
        .sum();
    StagePlan {
        name: stage.name.clone(),
        kind: "sft",
        model: stage.model.clone(),
        steps: stage.steps,
        prompts_a_step: rows,
        tokens_at_most: all * context,
        memory_bytes: 0,
        memory_after_bytes: 0,
    }
}

fn rl_plan(stage: &RlStage, config: &RunConfig) -> StagePlan {
    let rollout = &config.rollout;
    let responses = rollout.problems * rollout.responses;
    let critiques = responses * rollout.group_size;
    let refinements = if stage.rewards.needs_refinement() {
        critiques * rollout.refinements
    } else {
        0
    };
    let tokens = responses * rollout.response.max_new_tokens
        + critiques * rollout.critique.max_new_tokens
        + refinements * rollout.refinement.max_new_tokens;
    StagePlan {
        name: stage.name.clone(),
        kind: "rl",
        model: stage.model.clone(),
        steps: stage.steps,
        prompts_a_step: responses + critiques + refinements,
        tokens_at_most: tokens * stage.steps,
        memory_bytes: 0,
        memory_after_bytes: 0,
    }
}

impl Plan {
    fn text(&self) -> String {
        let mut text = format!(
            "dry run of `{}` on {}: nothing is written\n\n",
            self.out, self.device
        );
        let splits: Vec<String> = self
            .problems
            .iter()
            .map(|(split, count)| format!("{count} {split}"))
            .collect();
        let _ = writeln!(text, "task {}: {} problems\n", self.task, splits.join(", "));
        let models = self.models.iter().map(|(name, model)| {
            [
                name.clone(),
                grouped(model.parameters),
                grouped(model.trained),
                model.context.to_string(),
            ]
        });
        text += &out::columns(["model", "parameters", "trained", "context"], models);
        text += "\n\n";
        text += &self.prompts_text();
        let stages = self.stages.iter().map(|stage| {
            [
                stage.name.clone(),
                stage.kind.to_owned(),
                stage.model.clone(),
                stage.steps.to_string(),
                stage.prompts_a_step.to_string(),
                grouped(stage.tokens_at_most),
                format!("{} MiB", grouped(stage.memory_bytes >> 20)),
            ]
        });
        text += &out::columns(
            [
                "stage",
                "kind",
                "trains",
                "steps",
                "prompts a step",
                "tokens at most",
                "memory at most",
            ],
            stages,
        );
        let _ = writeln!(
            text,
            "\n\neach evaluation: {} completions",
            grouped(self.eval_completions)
        );
        text += &self.memory.text();
        for note in &self.notes {
            let _ = write!(text, "\n\nnote: {note}");
        }
        text
    }

    /// Lengths of prompts; nothing without a stage of RL.
    fn prompts_text(&self) -> String {
        if self.prompts.is_empty() {
            return String::new();
        }
        let rows = self.prompts.iter().map(|prompt| {
            [
                format!("{} ({})", prompt.phase, prompt.stage),
                prompt.model.clone(),
                prompt.median.to_string(),
                prompt.longest.to_string(),
                format!("{:.0} %", 100.0 * prompt.fit),
            ]
        });
        let head = [
            "prompts, in tokens",
            "model",
            "median",
            "longest",
            "fit the context",
        ];
        out::columns(head, rows) + "\n\n"
    }
}

/// Digits in groups of three.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!(
            [0, 999, 1000, 1234567].map(super::grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
