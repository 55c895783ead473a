//! Which weights lie in memory as a run goes through its stages.

use std::collections::BTreeMap;

use critique_model::{CpuMemory, Dtype};
use critique_run::{RunConfig, StageConfig};

use super::ModelHeader;
use crate::plan::model_plan::{ModelPlan, PlannedModel, Root, StageModels};

/// Models of a run by the weights that they read.
pub(super) struct Weights<'a> {
    config: &'a RunConfig,
    plan: &'a ModelPlan,
    models: &'a BTreeMap<String, ModelHeader>,
    threads: usize,
    /// The weights of each model that is loaded, by their place among `sets`.
    of: BTreeMap<&'a str, usize>,
    sets: Vec<Set<'a>>,
}

/// Weights that several models may share.
#[derive(Clone, Copy)]
struct Set<'a> {
    /// A model of their shape.
    model: &'a str,
    /// Whether products have read them, so that they are there in panels; and whether those of
    /// the backward pass are there too.
    ran: bool,
    backward: bool,
    /// Whether a stage trained them, so that they are in f32.
    own: bool,
}

impl<'a> Weights<'a> {
    pub(super) fn new(
        config: &'a RunConfig,
        plan: &'a ModelPlan,
        models: &'a BTreeMap<String, ModelHeader>,
        threads: usize,
    ) -> Self {
        Self {
            config,
            plan,
            models,
            threads,
            of: BTreeMap::new(),
            sets: Vec::new(),
        }
    }

    /// Bytes while a stage trains.
    pub(super) fn training(&mut self, stage: &StageConfig, planned: &StageModels) -> usize {
        let (name, _) = self.planned(planned.trains());
        let own = self.load(name);
        let measured = !stage.makes_rollouts() && stage.gates_every() > 0;
        if measured {
            self.run_gates(planned);
        }
        let mut more = 0;
        if stage.makes_rollouts() {
            self.run("actor");
        }
        if planned.other_reference().is_some() {
            more += self.memory(name).weights(false);
        } else if planned.reference.is_some() {
            self.run(name);
        }
        let plan = self.memory(name);
        if self.config.models[name].lora.is_some() {
            // The base is there already; the backward pass wants its copies too.
            (self.sets[own].ran, self.sets[own].backward) = (true, true);
            let adapters = 1 + usize::from(planned.reference.is_some());
            more += adapters * plan.adapter();
        } else {
            more += plan.weights(true);
        }
        self.held() + more
    }

    /// Bytes while the gates and the evaluation after a stage run.
    pub(super) fn after(&mut self, stage: &StageConfig, planned: &StageModels) -> usize {
        let (name, _) = self.planned(planned.trains());
        if self.config.models[name].lora.is_none() {
            self.sets.push(Set {
                model: name,
                ran: true,
                backward: false,
                own: true,
            });
            self.of.insert(name, self.sets.len() - 1);
        }
        self.run_gates(planned);
        if stage.eval_as().is_some() {
            self.run("actor");
            self.run(name);
        }
        self.held() + self.memory(name).adapter()
    }

    fn run_gates(&mut self, planned: &StageModels) {
        for (actor, model) in &planned.gates {
            self.run(actor);
            self.run(model);
        }
    }

    fn held(&self) -> usize {
        let mut sets: Vec<usize> = self.of.values().copied().collect();
        sets.sort_unstable();
        sets.dedup();
        let bytes = |set: usize| {
            let Set {
                model,
                ran,
                backward,
                own,
            } = self.sets[set];
            if self.models[model].on_servers {
                return 0;
            }
            let dtype = if own { Dtype::F32 } else { self.dtype(model) };
            let shape = &self.models[model].shape;
            let plan = CpuMemory::new(shape, None, self.threads).with_dtype(dtype);
            if ran {
                plan.weights(backward)
            } else {
                plan.stored()
            }
        };
        sets.into_iter().map(bytes).sum()
    }

    fn memory(&self, name: &str) -> CpuMemory<'a> {
        let lora = self.config.models[name].lora.as_ref();
        CpuMemory::new(&self.models[name].shape, lora, self.threads).with_dtype(self.dtype(name))
    }

    /// The type of the weights that a model reads.
    fn dtype(&self, name: &str) -> Dtype {
        match self.plan.models[name].root {
            Root::Folder { dtype, .. } => dtype,
            Root::Servers { .. } | Root::New(_) | Root::Nothing => Dtype::F32,
        }
    }

    /// Products read the weights of this model.
    fn run(&mut self, name: &str) {
        let set = self.load(name);
        self.sets[set].ran = true;
    }

    /// The weights of this model, loaded as [`Models`](crate::Models) loads them.
    fn load(&mut self, name: &str) -> usize {
        let (name, planned) = self.planned(name);
        if let Some(&set) = self.of.get(name) {
            return set;
        }
        let set = if let Some(copied) = &planned.copy_of {
            self.load(&copied.model)
        } else {
            self.sets.push(Set {
                model: name,
                ran: false,
                backward: false,
                own: false,
            });
            self.sets.len() - 1
        };
        self.of.insert(name, set);
        for other in self.plan.sharing(name) {
            self.of.entry(other).or_insert(set);
        }
        set
    }

    /// A model's name, as long as the plan lives, and where it comes from.
    fn planned(&self, name: &str) -> (&'a str, &'a PlannedModel) {
        let found = self.plan.models.get_key_value(name);
        let (name, planned) = found.expect("`check` has seen that models of stages are there");
        (name, planned)
    }
}
