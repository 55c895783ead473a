//! What a run will hold in memory at each of its stages, at most.
//!
//! Stages are gone through in their order, since weights, and the work memory that engines share,
//! stay from one to the next.

use std::collections::BTreeMap;

use critique_core::{Problem, Prompt, Split};
use critique_model::{CpuMemory, DeviceSpec, KeptMemory, ModelConfig, Sampled, SamplingMemory};
use critique_run::{Measure, RunConfig, StageConfig};
use critique_tasks::Task;
use serde::Serialize;

use super::ModelHeader;
use super::weights::Weights;
use crate::error::TrainError;
use crate::memory;
use crate::plan::model_plan::{ModelPlan, StageModels};
use crate::stage::work_of;

/// Problems whose prompts are measured.
const MEASURED: usize = 64;

/// Bytes by what they are for. On a GPU only weights, gradients and optimizer state are known.
#[derive(Debug, Default, Clone, Serialize)]
pub struct MemoryForecast {
    /// The program itself, its task and tables.
    pub program: usize,
    /// Weights of all models, and their copies in the order in which products read them.
    pub weights: usize,
    /// Gradients and the two moments of `AdamW`.
    pub optimizer: usize,
    /// Work memory of training, scoring and sampling, which is kept from one to the next.
    pub activations: usize,
    /// Keys and values of sampling, which the system gets back after each call.
    pub sampling: usize,
    /// The copy of a tensor, or of an adapter, while it is written.
    pub saving: usize,
}

impl MemoryForecast {
    /// All of it; of what passes, what takes more.
    pub fn total(&self) -> usize {
        let passing = self.sampling.max(self.saving);
        self.program + self.weights + self.optimizer + self.activations + passing
    }
}

/// A run on its way through its stages.
pub(super) struct Forecast<'a> {
    config: &'a RunConfig,
    task: &'a dyn Task,
    models: &'a BTreeMap<String, ModelHeader>,
    threads: usize,
    on_cpu: bool,
    program: usize,
    weights: Weights<'a>,
    kept: KeptMemory,
}

/// What is sampled at a time.
pub(crate) struct Phases<'m> {
    /// The model that answers; empty where none does.
    pub(crate) actor: &'m str,
    /// The model that criticises; empty where none does.
    pub(crate) critic: &'m str,
    pub(crate) problems: usize,
    /// Of a problem, of a response, and of a critique.
    pub(crate) responses: usize,
    pub(crate) critiques: usize,
    pub(crate) refinements: usize,
    /// Tokens of a response, a critique and a refinement, at most.
    pub(crate) lengths: [usize; 3],
}

impl<'a> Forecast<'a> {
    pub(super) fn new(
        config: &'a RunConfig,
        plan: &'a ModelPlan,
        task: &'a dyn Task,
        models: &'a BTreeMap<String, ModelHeader>,
    ) -> Result<Self, TrainError> {
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        Ok(Self {
            config,
            task,
            models,
            threads,
            on_cpu: DeviceSpec::parse(&config.device)? == DeviceSpec::Cpu,
            program: memory::resident() + CpuMemory::OVERHEAD,
            weights: Weights::new(config, plan, models, threads),
            kept: KeptMemory::default(),
        })
    }

    /// The next stage, the one at this place, and the gates and the evaluation after it, where
    /// there are any.
    pub(super) fn stage(
        &mut self,
        at: usize,
        planned: &StageModels,
    ) -> Result<(MemoryForecast, MemoryForecast), TrainError> {
        let stage = &self.config.stages[at];
        let name = stage.model();
        let model = &self.models[name];
        let lora = self.config.models[name].lora.as_ref();
        let plan = CpuMemory::new(&model.shape, lora, self.threads);
        let mut held = MemoryForecast {
            program: self.program,
            weights: self.weights.training(stage, planned),
            optimizer: plan.optimizer(),
            // An adapter is written in one piece, a model tensor by tensor.
            saving: match lora {
                Some(_) => plan.optimizer() / 3,
                None => largest_tensor(&model.shape),
            },
            ..MemoryForecast::default()
        };
        if self.on_cpu {
            held.sampling = self.steps(at, planned, &plan)?;
            held.activations = self.kept.total();
        }
        let after = MemoryForecast {
            weights: self.weights.after(stage, planned),
            optimizer: 0,
            saving: 0,
            sampling: self.after(stage, planned)?,
            activations: self.kept.total(),
            ..held
        };
        Ok((held, after))
    }

    /// The steps of a stage: what its passes keep is counted, what sampling gives back returned.
    fn steps(
        &mut self,
        at: usize,
        planned: &StageModels,
        plan: &CpuMemory<'_>,
    ) -> Result<usize, TrainError> {
        let train = self.task.problems(Split::Train)?;
        let run = super::planned(self.config, at, self.task, &train);
        let stage = &self.config.stages[at];
        let groups = work_of(stage).batch(&run, &self.models[stage.model()])?;
        self.kept
            .pass(plan.training(&groups, self.config.recompute));
        if planned.reference.is_some() {
            self.kept.pass(plan.scoring(&groups));
        }
        let mut most = 0;
        if let Some(phases) = work_of(stage).sampling(self.config) {
            most = self.sampling(&phases)?;
        }
        if stage.gates_every() > 0 {
            most = most.max(self.gates(stage, planned)?);
        }
        Ok(most)
    }

    /// Gates and the evaluation after a stage.
    fn after(&mut self, stage: &StageConfig, planned: &StageModels) -> Result<usize, TrainError> {
        if !self.on_cpu {
            return Ok(0);
        }
        let mut most = self.gates(stage, planned)?;
        if stage.eval_as().is_some() {
            let eval = &self.config.eval;
            let all = self.task.problems(eval.split)?.len();
            let problems = match eval.problems {
                0 => all,
                problems => problems.min(all),
            };
            let phases = self.greedy("actor", stage.model(), problems);
            most = most.max(self.sampling(&phases)?);
        }
        Ok(most)
    }

    fn gates(&mut self, stage: &StageConfig, planned: &StageModels) -> Result<usize, TrainError> {
        let mut most = 0;
        let validation = self.task.problems(Split::Validation)?.len();
        for (gate, (actor, model)) in stage.gates().iter().zip(&planned.gates) {
            let problems = gate.problems.min(validation);
            let mut phases = self.greedy(actor, model, problems);
            match gate.measure {
                Measure::Accuracy => {
                    phases.actor = model;
                    (phases.critiques, phases.refinements) = (0, 0);
                }
                // The critiques are ready-made.
                Measure::PerfectRefinement | Measure::Obedience | Measure::Stubbornness => {
                    phases.critic = "";
                }
                Measure::Discriminability => phases.refinements = 0,
            }
            most = most.max(self.sampling(&phases)?);
        }
        Ok(most)
    }

    fn greedy<'m>(&self, actor: &'m str, critic: &'m str, problems: usize) -> Phases<'m> {
        let lengths = self.config.eval_lengths();
        Phases {
            actor,
            critic,
            problems,
            responses: 1,
            critiques: 1,
            refinements: 1,
            lengths: [lengths.response, lengths.critique, lengths.refinement],
        }
    }

    /// Counts what the phases keep; gives what the one that needs most gives back.
    fn sampling(&mut self, of: &Phases<'_>) -> Result<usize, TrainError> {
        let style = self.task.prompts();
        let problems = self.task.problems(Split::Train)?;
        let longest =
            |model: &str, prompt: &dyn Fn(&Problem) -> Prompt| match self.models.get(model) {
                Some(model) => longest(model, &problems, prompt),
                None => Ok(0),
            };
        let asked = longest(of.actor, &|p| style.response(p))?;
        let criticised = longest(of.critic, &|p| style.critique(p, ""))?;
        let refined = longest(of.actor, &|p| style.refinement(p, "", ""))?;
        let [response, critique, refinement] = of.lengths;
        let responses = of.problems * of.responses;
        let critiques = responses * of.critiques;
        let respond = Sampled {
            prompts: of.problems,
            samples: of.responses,
            prompt_tokens: asked,
            siblings: 1,
            shared_tokens: 0,
            new_tokens: response,
        };
        let criticise = Sampled {
            prompts: responses,
            samples: of.critiques,
            prompt_tokens: criticised + response,
            new_tokens: critique,
            ..respond
        };
        let refine = Sampled {
            prompts: critiques,
            samples: of.refinements,
            prompt_tokens: refined + response + critique,
            siblings: of.critiques,
            shared_tokens: if of.critiques > 1 {
                asked + response
            } else {
                0
            },
            new_tokens: refinement,
        };
        let mut most = 0;
        for (model, sampled) in [
            (of.actor, respond),
            (of.critic, criticise),
            (of.actor, refine),
        ] {
            if let Some(sampling) = self.call(model, sampled) {
                self.kept.sampling(&sampling);
                most = most.max(sampling.given_back);
            }
        }
        Ok(most)
    }

    /// One call that samples, cut to the model's context.
    fn call(&self, model: &str, mut of: Sampled) -> Option<SamplingMemory> {
        let plan = self.models.get(model)?;
        // What servers sample is in no memory here.
        if of.prompts * of.samples == 0 || !plan.samples_here {
            return None;
        }
        let context = plan.shape.max_position_embeddings;
        of.prompt_tokens = of.prompt_tokens.min(context - 1);
        of.shared_tokens = of.shared_tokens.min(of.prompt_tokens);
        of.new_tokens = of.new_tokens.min(context - of.prompt_tokens);
        let lora = self.config.models[model].lora.as_ref();
        Some(CpuMemory::new(&plan.shape, lora, self.threads).sampling(&of))
    }
}

/// Bytes of the largest tensor of a model in `f32`.
fn largest_tensor(shape: &ModelConfig) -> usize {
    let values = |(_, shape): (String, Vec<usize>)| shape.iter().product::<usize>();
    let most = shape.expected_tensors().into_iter().map(values).max();
    size_of::<f32>() * most.unwrap_or(0)
}

/// Tokens of the longest prompt among the first problems.
pub(crate) fn longest(
    model: &ModelHeader,
    problems: &[Problem],
    prompt: &dyn Fn(&Problem) -> Prompt,
) -> Result<usize, TrainError> {
    let mut most = 0;
    for problem in problems.iter().take(MEASURED) {
        most = most.max(model.codec.encode_prompt(&prompt(problem))?.len());
    }
    Ok(most)
}
