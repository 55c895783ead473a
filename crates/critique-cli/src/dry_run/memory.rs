//! What a stage of a run will hold in memory, at most.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use critique_core::{Problem, Prompt, Split};
use critique_model::{CpuMemory, DeviceSpec, Group, LoraConfig, Sampled};
use critique_tasks::Task;
use critique_trainer::{RlStage, RunConfig, StageConfig, memory, sft_examples};
use serde::Serialize;

use super::ModelPlan;
use crate::failure::Failure;

/// Problems whose critique prompts are measured.
const MEASURED: usize = 64;

/// Bytes by what they are for. On a GPU only weights, gradients and optimizer state are known.
#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct Memory {
    /// The program itself, its task and tables.
    program: usize,
    /// Weights of all models, and their copies in the order in which products read them.
    weights: usize,
    /// Gradients and the two moments of `AdamW`.
    optimizer: usize,
    /// Activations and logits of training and scoring.
    activations: usize,
    /// Keys, values and work memory of sampling, in training or in an evaluation before. The
    /// allocator keeps it while training goes on.
    sampling: usize,
}

impl Memory {
    pub(super) fn total(&self) -> usize {
        self.program + self.weights + self.optimizer + self.activations + self.sampling
    }

    pub(super) fn of(
        config: &RunConfig,
        task: &dyn Task,
        models: &BTreeMap<String, ModelPlan>,
        stage: &StageConfig,
    ) -> Result<Self, Failure> {
        let name = stage.model();
        let trained = &models[name];
        let lora = config.models[name].lora.as_ref();
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let plan = CpuMemory::new(&trained.shape, lora, threads);
        let mut held = Self {
            program: memory::resident() + CpuMemory::OVERHEAD,
            weights: weights(config, models, stage, &plan, threads),
            optimizer: plan.optimizer(),
            ..Self::default()
        };
        if DeviceSpec::parse(&config.device)? != DeviceSpec::Cpu {
            return Ok(held);
        }
        match stage {
            StageConfig::Sft(sft) => {
                let context = trained.shape.max_position_embeddings;
                let groups = sft_examples(sft, task, &trained.codec, context, config.seed)?;
                held.activations = plan.training(&groups, config.recompute);
            }
            StageConfig::Rl(rl) => {
                let groups = critiques(config, rl, task, trained)?;
                held.activations = plan.training(&groups, config.recompute) + plan.scoring(&groups);
                held.sampling = sampling(config, rl, models, task, threads)?;
            }
        }
        Ok(held)
    }

    pub(super) fn text(&self) -> String {
        let mib = |bytes: usize| super::grouped(bytes >> 20);
        let mut text = format!("memory: about {} MiB at most", mib(self.total()));
        for (what, bytes) in [
            ("program", self.program),
            ("weights", self.weights),
            ("gradients and optimizer", self.optimizer),
            ("activations and logits", self.activations),
            ("keys and values", self.sampling),
        ] {
            if bytes > 0 {
                let _ = write!(text, ", {what} {}", mib(bytes));
            }
        }
        text.push('\n');
        text
    }
}

/// Weights of all models of the run, those that are shared once, and of the reference policy.
fn weights(
    config: &RunConfig,
    models: &BTreeMap<String, ModelPlan>,
    stage: &StageConfig,
    plan: &CpuMemory<'_>,
    threads: usize,
) -> usize {
    let name = stage.model();
    let lora = config.models[name].lora.as_ref();
    // A model that is trained in full has weights of its own once it is trained; others share
    // those of their folder.
    let owner = |name: &str| {
        let model = &models[name];
        let folder = config.models[&model.root].path.as_ref();
        match folder {
            Some(folder) if model.trained != model.parameters => folder.display().to_string(),
            _ if model.trained == model.parameters => name.to_owned(),
            _ => model.root.clone(),
        }
    };
    let used: BTreeMap<String, &str> = match stage {
        StageConfig::Sft(_) => BTreeMap::from([(owner(name), name)]),
        StageConfig::Rl(_) => ["actor", "critic"]
            .into_iter()
            .filter(|name| models.contains_key(*name))
            .map(|name| (owner(name), name))
            .collect(),
    };
    let frozen: usize = used
        .values()
        .map(|name| CpuMemory::new(&models[*name].shape, None, threads).weights(false))
        .sum();
    let reference = matches!(stage, StageConfig::Rl(rl) if rl.reference != "none");
    if lora.is_some() {
        // The base is there already; the backward pass wants its copies too.
        let copies = plan.weights(true) - plan.weights(false);
        let adapters = if reference { 2 } else { 1 };
        return frozen + copies + adapters * plan.adapter();
    }
    // `frozen` counts the model as it was before the stage, which the reference reads.
    frozen + plan.weights(true)
}

/// Critiques as they are scored and trained on, as long as they may become.
fn critiques(
    config: &RunConfig,
    stage: &RlStage,
    task: &dyn Task,
    critic: &ModelPlan,
) -> Result<Vec<Group>, Failure> {
    let rollout = &config.rollout;
    let style = task.prompts();
    let problems = task.problems(Split::Train)?;
    let prompt = |problem: &Problem| -> Result<usize, Failure> {
        let gold = task.gold_response(problem);
        let prompt: Prompt = style.critique(problem, &gold);
        Ok(critic.codec.encode_prompt(&prompt)?.len())
    };
    let lengths = problems
        .iter()
        .take(MEASURED)
        .map(prompt)
        .collect::<Result<Vec<usize>, Failure>>()?;
    let context = critic.shape.max_position_embeddings;
    let longest = lengths.into_iter().max().unwrap_or(1).min(context - 1);
    let completion = rollout.critique.max_new_tokens.min(context - longest);
    let group = Group {
        prompt: vec![0; longest],
        completions: vec![vec![0; completion]; rollout.group_size],
    };
    let groups = (rollout.problems * rollout.responses).max(1);
    let part = match stage.minibatch {
        0 => groups,
        critiques => critiques.div_ceil(rollout.group_size).min(groups),
    };
    Ok(vec![group; part])
}

/// What is sampled at a time.
struct Phases {
    problems: usize,
    responses: usize,
    critiques: usize,
    refinements: usize,
    /// Tokens of a response, a critique and a refinement, at most.
    lengths: [usize; 3],
}

/// Memory of the phase of sampling that needs most, in training and in evaluations.
fn sampling(
    config: &RunConfig,
    stage: &RlStage,
    models: &BTreeMap<String, ModelPlan>,
    task: &dyn Task,
    threads: usize,
) -> Result<usize, Failure> {
    let RunConfig { rollout, eval, .. } = config;
    let training = Phases {
        problems: rollout.problems,
        responses: rollout.responses,
        critiques: rollout.group_size,
        refinements: if stage.rewards.needs_refinement() {
            rollout.refinements
        } else {
            0
        },
        lengths: [
            rollout.response.max_new_tokens,
            rollout.critique.max_new_tokens,
            rollout.refinement.max_new_tokens,
        ],
    };
    let mut most = phases(config, models, &training, threads);
    if config.stages.iter().any(|s| s.eval_as().is_some()) {
        let problems = match eval.problems {
            0 => task.problems(eval.split)?.len(),
            problems => problems,
        };
        let evaluation = Phases {
            problems,
            responses: 1,
            critiques: 1,
            refinements: 1,
            lengths: [eval.max_new_tokens; 3],
        };
        most = most.max(phases(config, models, &evaluation, threads));
    }
    Ok(most)
}

fn phases(
    config: &RunConfig,
    models: &BTreeMap<String, ModelPlan>,
    of: &Phases,
    threads: usize,
) -> usize {
    let sampled = |name: &str, before: usize, prompts: usize, samples: usize, tokens: usize| {
        let Some(model) = models.get(name) else {
            return 0;
        };
        if prompts * samples == 0 {
            return 0;
        }
        let lora: Option<&LoraConfig> = config.models[name].lora.as_ref();
        let context = model.shape.max_position_embeddings;
        let question = model.prompt_tokens.map_or(64, |[_, most]| most);
        let prompt_tokens = (question + before).min(context - 1);
        CpuMemory::new(&model.shape, lora, threads).sampling(&Sampled {
            prompts,
            samples,
            prompt_tokens,
            new_tokens: tokens.min(context - prompt_tokens),
        })
    };
    let [response, critique, refinement] = of.lengths;
    let responses = of.problems * of.responses;
    let critiques = responses * of.critiques;
    let respond = sampled("actor", 0, of.problems, of.responses, response);
    let criticise = sampled("critic", response, responses, of.critiques, critique);
    let before = response + critique;
    let refine = sampled("actor", before, critiques, of.refinements, refinement);
    respond.max(criticise).max(refine)
}
