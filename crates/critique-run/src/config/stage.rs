//! Stages of a run.

use std::path::PathBuf;

use critique_core::AdamW;
use critique_rewards::{Advantage, Aggregation, FlatGroups, KlEstimator, KlIn, RewardMix, Whiten};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gate::Gate;
use super::{RolloutConfig, RunConfig, StagePlace};
use crate::error::Misfit;
use crate::schedule::Schedule;

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StageConfig {
    /// Supervised fine-tuning.
    Sft(SftStage),
    /// Reinforcement learning of the critic.
    Rl(RlStage),
}

/// What stages of every kind have.
#[derive(Debug, Clone, Copy)]
pub struct StageCommon<'a> {
    /// Its name, unique in the run.
    pub name: &'a str,
    /// The model it trains.
    pub model: &'a str,
    /// What its model begins as: an earlier stage, or that stage's best step.
    pub start: Option<&'a str>,
    /// Its steps.
    pub steps: usize,
    /// Learning rate at its peak.
    pub lr: f32,
    /// How the rate rises and falls.
    pub schedule: &'a Schedule,
    /// The optimizer.
    pub optimizer: &'a AdamW,
    /// The row of the summary that evaluates the critic after it.
    pub eval_as: Option<&'a str>,
    /// What must hold after it.
    pub gates: &'a [Gate],
    /// Steps after which its gates are measured, over and over; 0 for never before its end.
    pub gates_every: usize,
}

/// What is asked of the settings of a stage, whatever its kind.
pub trait StageKind {
    /// Its kind, as run files name it.
    fn kind(&self) -> &'static str;

    /// What it has whatever its kind.
    fn common(&self) -> StageCommon<'_>;

    /// Whether its steps make rollouts, for which they need the actor.
    fn makes_rollouts(&self) -> bool {
        false
    }

    /// The policy that it stays close to: `start`, an earlier stage, or `none`; nothing where the
    /// kind knows no such policy.
    fn reference(&self) -> Option<&str> {
        None
    }

    /// Whether it leaves the model of its best step too.
    fn keeps_best(&self) -> bool {
        false
    }

    /// Checks what the types cannot; the stage is at this place of the run.
    ///
    /// # Errors
    ///
    /// Names the setting, what was found, and what would do.
    fn check(&self, run: &RunConfig, index: usize) -> Result<(), Misfit>;

    /// Writes out what settings take from others. They mean the same before and after.
    fn resolve(&mut self, _rollout: &RolloutConfig) {}
}

/// All kinds name these fields alike.
macro_rules! common {
    ($stage:expr) => {
        StageCommon {
            name: &$stage.name,
            model: &$stage.model,
            start: $stage.start.as_deref(),
            steps: $stage.steps,
            lr: $stage.lr,
            schedule: &$stage.schedule,
            optimizer: &$stage.optimizer,
            eval_as: $stage.eval_as.as_deref(),
            gates: &$stage.gates,
            gates_every: $stage.gates_every,
        }
    };
}

impl StageConfig {
    /// The settings of its kind.
    pub fn settings(&self) -> &dyn StageKind {
        match self {
            Self::Sft(stage) => stage,
            Self::Rl(stage) => stage,
        }
    }

    pub(super) fn settings_mut(&mut self) -> &mut dyn StageKind {
        match self {
            Self::Sft(stage) => stage,
            Self::Rl(stage) => stage,
        }
    }

    /// What it has whatever its kind.
    pub fn common(&self) -> StageCommon<'_> {
        self.settings().common()
    }

    /// Whether its steps make rollouts, for which they need the actor.
    pub fn makes_rollouts(&self) -> bool {
        self.settings().makes_rollouts()
    }

    /// Its name, unique in the run.
    pub fn name(&self) -> &str {
        self.common().name
    }

    /// The model it trains.
    pub fn model(&self) -> &str {
        self.common().model
    }

    /// What its model begins as: an earlier stage, or that stage's best step.
    pub fn start(&self) -> Option<&str> {
        self.common().start
    }

    /// Its steps.
    pub fn steps(&self) -> usize {
        self.common().steps
    }

    /// The row of the summary that evaluates the critic after it.
    pub fn eval_as(&self) -> Option<&str> {
        self.common().eval_as
    }

    /// What must hold after it.
    pub fn gates(&self) -> &[Gate] {
        self.common().gates
    }

    /// Steps after which its gates are measured, over and over; 0 for never before its end.
    pub fn gates_every(&self) -> usize {
        self.common().gates_every
    }
}

/// Supervised fine-tuning: next-token loss on what the model is to say, prompts are read only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SftStage {
    /// Unique in the run; letters, digits, `-` and `_`; not ending in `-best`.
    pub name: String,
    /// The model that is trained.
    pub model: String,
    /// What the model begins as: the name of an earlier stage of the same model, or `NAME-best` for
    /// the best step of one with `validate_every`. Absent: as the stage before left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Optimizer steps.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Examples of every step: a list of tables.
    pub data: Vec<SftData>,
    /// Learning rate at its peak.
    pub lr: f32,
    /// How it rises and falls.
    #[serde(default)]
    pub schedule: Schedule,
    /// `AdamW` and gradient clipping.
    #[serde(default)]
    pub optimizer: AdamW,
    /// Evaluates this stage's model as the critic afterwards, under this name: letters, digits,
    /// `-`, `_` and `.`, unique in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_as: Option<String>,
    /// What must hold afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Measures the gates every this many steps, and ends the stage once all are met; 0 trains all
    /// `steps`. The schedule runs over `steps`, or `schedule.steps`, all the same.
    #[serde(default)]
    pub gates_every: usize,
}

impl StageKind for SftStage {
    fn kind(&self) -> &'static str {
        "sft"
    }

    fn common(&self) -> StageCommon<'_> {
        common!(self)
    }

    fn check(&self, run: &RunConfig, index: usize) -> Result<(), Misfit> {
        run.check_sft(StagePlace::of(run, index), self)
    }
}

/// A source of supervised examples: one of `kind`, `critiques` and `messages`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SftData {
    /// Demonstrations of this kind, made by the task; `critique-rl tasks show NAME` lists the
    /// kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// JSON lines with `question`, `response` and `critique`; the prompt is the task's.
    /// `critique-rl data critiques` makes such a file, `data inspect` says how many of its
    /// critiques are of each class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critiques: Option<PathBuf>,
    /// JSON lines with `messages`, a list of `{"role", "content"}`; the last turn must be the
    /// assistant's and is learnt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<PathBuf>,
    /// Examples in a step.
    pub rows: usize,
    /// With `kind`: draws from the first this many, over and over; 0 makes new ones for every step.
    #[serde(default)]
    pub pool: usize,
    /// Takes part in every n-th step only.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub every: usize,
    /// Weight of its tokens in the loss, against those of the other entries.
    #[serde(default = "unit")]
    pub weight: f32,
}

fn unit() -> f32 {
    1.0
}

fn one() -> usize {
    1
}

/// Reinforcement learning of the critic (docs/method.md, "Stages" to "Loss").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RlStage {
    /// Unique in the run.
    pub name: String,
    /// The model that is trained, a critic.
    #[serde(default = "critic")]
    pub model: String,
    /// What the model begins as: the name of an earlier stage of the same model, or `NAME-best` for
    /// the best step of one with `validate_every`. Absent: as the stage before left it; `start =
    /// "sft"` in several stages trains them all from one critic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Batches of rollouts.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// What is paid.
    pub rewards: RewardMix,
    /// How rewards become advantages: an estimator by its name.
    #[serde(default)]
    pub advantage: Advantage,
    /// `true` whitens advantages over all tokens of a batch, `"std"` divides them by their
    /// deviation and takes no mean off, `false` does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whiten: Option<Whiten>,
    /// Groups that teach the advantage nothing, since their rewards are all equal or they have one
    /// member: `keep` treats them as all others; `apart` leaves them out of whitening, so that they
    /// hold the KL alone; `drop` leaves them out of the update, and a batch of nothing else is no
    /// update.
    #[serde(default)]
    pub flat_groups: FlatGroups,
    /// Leaves critiques that were cut off at the longest length out of the update; their rewards
    /// count in the baselines of their groups all the same.
    #[serde(default)]
    pub mask_truncated: bool,
    /// Weight of the KL to the reference policy, per nat.
    pub kl_coef: f32,
    /// `k1`, `k2` or `k3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_estimator: Option<KlEstimator>,
    /// `reward` or `loss`. In the loss, k1 has a gradient of 0 in expectation and is refused unless
    /// importance-weighted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_in: Option<KlIn>,
    /// Whether the KL in the loss counts by the ratio of new to old probability.
    #[serde(default)]
    pub kl_importance_weighted: bool,
    /// The policy that KL is measured against: `start` (the critic as it is when the stage starts),
    /// the name of an earlier stage of the critic, `NAME-best` for the best step of one with
    /// `validate_every`, or `none` (then `kl_coef` must be 0).
    #[serde(default = "start")]
    pub reference: String,
    /// Learning rate at its peak.
    pub lr: f32,
    /// How the rate rises and falls over optimizer steps, counted as if no rollouts were dropped;
    /// every batch takes the same share of it.
    #[serde(default)]
    pub schedule: Schedule,
    /// `AdamW` and gradient clipping.
    #[serde(default)]
    pub optimizer: AdamW,
    /// Passes over each batch of rollouts.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub inner_epochs: usize,
    /// Weighs the advantage of each token by its probability in this process over that in the
    /// process that sampled it, at most this (truncated importance sampling): for critics that
    /// servers sample, whose arithmetic differs. 2 is usual; absent, every token weighs 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importance_cap: Option<f32>,
    /// Critiques in an optimizer step; 0 takes the whole batch. Groups stay whole.
    #[serde(default)]
    pub minibatch: usize,
    /// The ratio earns nothing below 1 less this.
    #[serde(default = "fifth")]
    pub clip_low: f32,
    /// The ratio earns nothing above 1 plus this.
    #[serde(default = "fifth")]
    pub clip_high: f32,
    /// Caps the loss of tokens with negative advantage at this times the advantage; above
    /// `1 + clip_high`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dual_clip: Option<f32>,
    /// How the losses of tokens are averaged: that, `"token_mean"`, or `{ constant_length = N }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<Aggregation>,
    /// Evaluates greedily on the validation split every this many and keeps the model of the best
    /// step in `stages/NAME-best`; 0 never does. Best is the highest Acc@Refine where the rewards
    /// look at refinements, else the highest balanced Acc@Dis.
    #[serde(default)]
    pub validate_every: usize,
    /// Evaluates the critic afterwards, under this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_as: Option<String>,
    /// What must hold afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Measures the gates every this many steps, and ends the stage once all are met; 0 trains
    /// all `steps`.
    #[serde(default)]
    pub gates_every: usize,
}

fn critic() -> String {
    "critic".into()
}
fn start() -> String {
    "start".into()
}
fn fifth() -> f32 {
    0.2
}

impl StageKind for RlStage {
    fn kind(&self) -> &'static str {
        "rl"
    }

    fn common(&self) -> StageCommon<'_> {
        common!(self)
    }

    fn makes_rollouts(&self) -> bool {
        true
    }

    fn reference(&self) -> Option<&str> {
        Some(&self.reference)
    }

    fn keeps_best(&self) -> bool {
        (1..=self.steps).contains(&self.validate_every)
    }

    fn check(&self, run: &RunConfig, index: usize) -> Result<(), Misfit> {
        run.check_rl(index, StagePlace::of(run, index), self)
    }

    fn resolve(&mut self, rollout: &RolloutConfig) {
        self.write_recipe(rollout);
    }
}
