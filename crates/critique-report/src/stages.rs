//! Stages of a run as its metrics tell them: where they begin, how far they came, what they took.

use critique_run::{RunConfig, StepMetrics};
use serde::Serialize;

/// A stage that has begun.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Stage {
    pub(crate) name: String,
    /// Whether it is one of reinforcement learning.
    pub(crate) rl: bool,
    /// Its first and its last step so far, counted in the run.
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// Steps done.
    pub(crate) done: usize,
    /// Steps that the run file gives it.
    pub(crate) planned: Option<usize>,
    pub(crate) costs: Costs,
}

/// What a stage took.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Costs {
    /// Seconds of all its steps.
    pub(crate) seconds: f64,
    /// Of these: generation and verification, log-probs of the reference, updates.
    pub(crate) rollout: f64,
    pub(crate) score: f64,
    pub(crate) train: f64,
    /// Tokens that were learnt from or, in reinforcement learning, written by the critic.
    pub(crate) tokens: f64,
    /// Most memory resident in any phase, in MiB; 0 where it is not known.
    pub(crate) memory_mb: f64,
}

/// The stages of these steps, in the order of the run.
pub(crate) fn stages(steps: &[StepMetrics], config: Option<&RunConfig>) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::new();
    for step in steps {
        match stages.last_mut() {
            Some(stage) if stage.name == step.stage => stage.add(step),
            _ => {
                let mut stage = Stage::begun_by(step, config);
                stage.add(step);
                stages.push(stage);
            }
        }
    }
    stages
}

impl Stage {
    fn begun_by(step: &StepMetrics, config: Option<&RunConfig>) -> Self {
        let mut known = config.into_iter().flat_map(|config| &config.stages);
        let planned = known.find(|stage| stage.name() == step.stage);
        Self {
            name: step.stage.clone(),
            rl: step.get("reward").is_some(),
            first: step.step,
            last: step.step,
            done: 0,
            planned: planned.map(critique_run::StageConfig::steps),
            costs: Costs::default(),
        }
    }

    fn add(&mut self, step: &StepMetrics) {
        self.last = step.step;
        self.done += 1;
        let number = |name: &str| step.get(name).unwrap_or(0.0);
        let costs = &mut self.costs;
        costs.seconds += number("time/step");
        costs.rollout += number("time/rollout");
        costs.score += number("time/score");
        costs.train += number("time/train");
        costs.tokens += critique_tokens(step).unwrap_or_else(|| number("num_tokens"));
        for phase in ["memory/rollout_mb", "memory/score_mb", "memory/train_mb"] {
            costs.memory_mb = costs.memory_mb.max(number(phase));
        }
    }
}

/// Tokens of all critiques of a step of reinforcement learning.
pub(crate) fn critique_tokens(step: &StepMetrics) -> Option<f64> {
    Some(step.get("rollouts")? * step.get("completions/mean_length")?)
}
