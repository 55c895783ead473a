//! Which weights lie in memory as a run goes through its stages.

use std::collections::BTreeMap;

use critique_model::{CpuMemory, Dtype};
use critique_trainer::{Gate, RunConfig, StageConfig};

use super::ModelPlan;

/// Models of a run by the weights that they read.
pub(super) struct Weights<'a> {
    config: &'a RunConfig,
    models: &'a BTreeMap<String, ModelPlan>,
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
        models: &'a BTreeMap<String, ModelPlan>,
        threads: usize,
    ) -> Self {
        Self {
            config,
            models,
            threads,
            of: BTreeMap::new(),
            sets: Vec::new(),
        }
    }

    /// Bytes while a stage trains.
    pub(super) fn training(&mut self, stage: &StageConfig) -> usize {
        let (name, _) = self.source(stage.model());
        let own = self.load(name);
        let measured = matches!(stage, StageConfig::Sft(_)) && stage.gates_every() > 0;
        if measured {
            self.run_gates(stage);
        }
        let mut more = 0;
        if let StageConfig::Rl(rl) = stage {
            self.run("actor");
            match rl.reference.as_str() {
                "none" => {}
                "start" => self.run(name),
                _ => more += self.plan(name).weights(false),
            }
        }
        let plan = self.plan(name);
        if self.config.models[name].lora.is_some() {
            // The base is there already; the backward pass wants its copies too.
            (self.sets[own].ran, self.sets[own].backward) = (true, true);
            let adapters = if matches!(stage, StageConfig::Rl(rl) if rl.reference != "none") {
                2
            } else {
                1
            };
            more += adapters * plan.adapter();
        } else {
            more += plan.weights(true);
        }
        self.held() + more
    }

    /// Bytes while the gates and the evaluation after a stage run.
    pub(super) fn after(&mut self, stage: &StageConfig) -> usize {
        let (name, _) = self.source(stage.model());
        if self.config.models[name].lora.is_none() {
            self.sets.push(Set {
                model: name,
                ran: true,
                backward: false,
                own: true,
            });
            self.of.insert(name, self.sets.len() - 1);
        }
        self.run_gates(stage);
        if stage.eval_as().is_some() {
            self.run("actor");
            self.run(name);
        }
        self.held() + self.plan(name).adapter()
    }

    /// Names of the actor and of the model that a gate measures.
    pub(super) fn of_gate<'g>(&self, gate: &'g Gate, stage: &'g StageConfig) -> (&'g str, &'g str) {
        let model = gate.model.as_deref().unwrap_or(stage.model());
        let actor = if self.models.contains_key("actor") {
            "actor"
        } else {
            model
        };
        (actor, model)
    }

    fn run_gates(&mut self, stage: &StageConfig) {
        for gate in stage.gates() {
            let (actor, model) = self.of_gate(gate, stage);
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

    fn plan(&self, name: &str) -> CpuMemory<'a> {
        let lora = self.config.models[name].lora.as_ref();
        CpuMemory::new(&self.models[name].shape, lora, self.threads).with_dtype(self.dtype(name))
    }

    /// The type of the weights that a model reads.
    fn dtype(&self, name: &str) -> Dtype {
        self.config.origin(&self.config.models[name]).dtype
    }

    /// Products read the weights of this model.
    fn run(&mut self, name: &str) {
        let set = self.load(name);
        self.sets[set].ran = true;
    }

    /// The weights of this model, loaded as `Models` of the trainer loads them.
    fn load(&mut self, name: &str) -> usize {
        let (name, source) = self.source(name);
        if let Some(&set) = self.of.get(name) {
            return set;
        }
        let set = if let Some(from) = &source.from {
            self.load(from)
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
        if source.path.is_some() && source.adapter.is_none() {
            for (other, of) in &self.config.models {
                if of.path == source.path && of.adapter.is_none() && of.dtype == source.dtype {
                    self.of.entry(other).or_insert(set);
                }
            }
        }
        set
    }

    /// A model's name, as long as the run file lives, and where it comes from.
    fn source(&self, name: &str) -> (&'a str, &'a critique_trainer::ModelSource) {
        let (name, source) = self
            .config
            .models
            .get_key_value(name)
            .expect("`check` has seen that models of stages are there");
        (name, source)
    }
}
