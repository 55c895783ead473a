//! The run file: what is trained, on what, in which stages.

mod check;
mod check_rl;
mod lengths;
mod recipe;

pub(crate) use self::check::origin;
pub(crate) use self::check_rl::stage_and_best;
pub use self::lengths::{EvalLengths, Lengths};

use std::collections::BTreeMap;
use std::path::PathBuf;

use critique_core::{Sampling, Split};
use critique_model::{AdamW, Dtype, LoraConfig};
use critique_rewards::{Advantage, Aggregation, FlatGroups, KlEstimator, KlIn, RewardMix, Whiten};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::schedule::Schedule;

/// A run file. One that was read is [resolved](RunConfig::resolve).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RunConfig {
    /// Draws everything that is random.
    pub seed: u64,
    /// Where models run: `cpu`, `flex`, `wgpu`, `vulkan`, `cuda:0`.
    #[serde(default = "cpu")]
    pub device: String,
    /// Threads of the CPU engine; 0 takes as many as the machine has. No result depends on it.
    #[serde(default)]
    pub threads: usize,
    /// Computes activations again in the backward pass instead of keeping them: less memory, a
    /// third more work. On the CPU; no result depends on it.
    #[serde(default)]
    pub recompute: bool,
    /// The run folder.
    pub out: PathBuf,
    /// The task: `name` or `file`, and its options.
    pub task: toml::Table,
    /// Models by name. RL and evaluation use `actor` and `critic`.
    pub models: BTreeMap<String, ModelSource>,
    /// How responses, critiques and refinements are sampled while training.
    #[serde(default)]
    pub rollout: RolloutConfig,
    /// Run in this order.
    pub stages: Vec<StageConfig>,
    /// Evaluation after stages that ask for it.
    #[serde(default)]
    pub eval: EvalConfig,
    /// Checkpoints and records.
    #[serde(default)]
    pub save: SaveConfig,
}

impl<'de> Deserialize<'de> for RunConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut config = Self::deserialize(deserializer)?;
        config.resolve();
        Ok(config)
    }
}

impl Serialize for RunConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

fn cpu() -> String {
    "cpu".into()
}

/// Where a model comes from: one of `path`, `from` and `new`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// A folder in Hugging Face layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A PEFT adapter on the model at `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
    /// Another model of this run, as it is when this one is first needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A new model with random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<NewModel>,
    /// Trains an adapter of this kind; without it all weights are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// The type of the weights at `path`, which then must not be trained themselves.
    #[serde(default, skip_serializing_if = "is_f32")]
    pub dtype: Dtype,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_f32(dtype: &Dtype) -> bool {
    *dtype == Dtype::F32
}

/// The shape of a new model. Its tokens are those of the task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewModel {
    /// Width of the residual stream.
    pub d_model: usize,
    /// Blocks.
    pub layers: usize,
    /// Query heads, and key-value heads.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub d_ff: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// Deviation of a weight times the square root of its fan-in.
    #[serde(default = "gain")]
    pub gain: f32,
}

fn gain() -> f32 {
    0.7
}

/// How rollouts are made while training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutConfig {
    /// Problems in a step.
    pub problems: usize,
    /// Responses to each problem.
    pub responses: usize,
    /// Critiques of each response: the group.
    pub group_size: usize,
    /// Refinements by each critique; their rewards are averaged.
    pub refinements: usize,
    /// Keeps one right and one wrong response of each problem and drops problems without both
    /// (docs/method.md, "Stages"); wants several `responses`.
    pub balanced: bool,
    /// Reads the actor's responses from this file of JSON lines instead of sampling them:
    /// `responses` of each problem, drawn anew for every step where it has more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses_file: Option<PathBuf>,
    /// How the actor answers.
    #[serde(deserialize_with = "over_response")]
    pub response: Sampling,
    /// How the critic writes. Its log-probs are taken at this temperature.
    #[serde(deserialize_with = "over_critique")]
    pub critique: Sampling,
    /// How the actor refines.
    #[serde(deserialize_with = "over_refinement")]
    pub refinement: Sampling,
}

/// What a table says, over the defaults of its role.
fn over<'de, D: serde::Deserializer<'de>>(
    given: D,
    default: &Sampling,
) -> Result<Sampling, D::Error> {
    let wrong = <D::Error as serde::de::Error>::custom::<toml::ser::Error>;
    let mut table = toml::Table::try_from(default).map_err(wrong)?;
    table.extend(toml::Table::deserialize(given)?);
    table
        .try_into()
        .map_err(|e: toml::de::Error| serde::de::Error::custom(e.message()))
}

fn over_response<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Sampling, D::Error> {
    over(given, &RolloutConfig::default().response)
}

fn over_critique<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Sampling, D::Error> {
    over(given, &RolloutConfig::default().critique)
}

fn over_refinement<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Sampling, D::Error> {
    over(given, &RolloutConfig::default().refinement)
}

impl Default for RolloutConfig {
    fn default() -> Self {
        let at = |temperature, max_new_tokens| Sampling {
            temperature,
            max_new_tokens,
            ..Sampling::default()
        };
        Self {
            problems: 64,
            responses: 1,
            group_size: 4,
            refinements: 1,
            balanced: false,
            responses_file: None,
            response: at(0.7, 1024),
            critique: at(0.7, 1536),
            refinement: at(0.0, 1024),
        }
    }
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StageConfig {
    /// Supervised fine-tuning.
    Sft(SftStage),
    /// Reinforcement learning of the critic.
    Rl(RlStage),
}

impl StageConfig {
    /// Its name, unique in the run.
    pub fn name(&self) -> &str {
        match self {
            Self::Sft(stage) => &stage.name,
            Self::Rl(stage) => &stage.name,
        }
    }

    /// The model it trains.
    pub fn model(&self) -> &str {
        match self {
            Self::Sft(stage) => &stage.model,
            Self::Rl(stage) => &stage.model,
        }
    }

    /// What its model begins as: an earlier stage, or that stage's best step.
    pub fn start(&self) -> Option<&str> {
        match self {
            Self::Sft(stage) => stage.start.as_deref(),
            Self::Rl(stage) => stage.start.as_deref(),
        }
    }

    /// Its optimizer steps.
    pub fn steps(&self) -> usize {
        match self {
            Self::Sft(stage) => stage.steps,
            Self::Rl(stage) => stage.steps,
        }
    }

    /// The row of the summary that evaluates the critic after it.
    pub fn eval_as(&self) -> Option<&str> {
        match self {
            Self::Sft(stage) => stage.eval_as.as_deref(),
            Self::Rl(stage) => stage.eval_as.as_deref(),
        }
    }

    /// What must hold after it.
    pub fn gates(&self) -> &[Gate] {
        match self {
            Self::Sft(stage) => &stage.gates,
            Self::Rl(stage) => &stage.gates,
        }
    }

    /// Steps after which its gates are measured, over and over; 0 for never before its end.
    pub fn gates_every(&self) -> usize {
        match self {
            Self::Sft(stage) => stage.gates_every,
            Self::Rl(stage) => stage.gates_every,
        }
    }
}

/// Supervised fine-tuning: next-token loss on what the model is to say, prompts are read only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftStage {
    /// Unique in the run.
    pub name: String,
    /// The model that is trained.
    pub model: String,
    /// What the model begins as: the name of an earlier stage of the same model, or that with
    /// `-best` for its best step on the validation split. Absent: as the stage before left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Optimizer steps.
    pub steps: usize,
    /// Examples of every step.
    pub data: Vec<SftData>,
    /// Learning rate at its peak.
    pub lr: f32,
    /// How it rises and falls.
    #[serde(default)]
    pub schedule: Schedule,
    /// `AdamW` and gradient clipping.
    #[serde(default)]
    pub optimizer: AdamW,
    /// Evaluates the critic afterwards, under this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_as: Option<String>,
    /// What must hold afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// Measures the gates every this many steps, and ends the stage once all are met; 0 trains
    /// all `steps`. The schedule runs over `steps` all the same.
    #[serde(default)]
    pub gates_every: usize,
}

/// A source of supervised examples: one of `kind`, `critiques` and `messages`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SftData {
    /// Demonstrations of this kind, made by the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// JSON lines with `question`, `response` and `critique`; the prompt is the task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critiques: Option<PathBuf>,
    /// JSON lines with `messages`; the last turn is learnt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<PathBuf>,
    /// Examples in a step.
    pub rows: usize,
    /// Draws every step's demonstrations from the first this many, over and over; 0 makes new
    /// ones for every step.
    #[serde(default)]
    pub pool: usize,
    /// Takes part in every n-th step only.
    #[serde(default = "one")]
    pub every: usize,
    /// Weight of its tokens in the loss, against those of the other sources.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RlStage {
    /// Unique in the run.
    pub name: String,
    /// The model that is trained.
    #[serde(default = "critic")]
    pub model: String,
    /// What the model begins as: the name of an earlier stage of the same model, or that with
    /// `-best` for its best step on the validation split. Absent: as the stage before left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Batches of rollouts.
    pub steps: usize,
    /// What is paid.
    pub rewards: RewardMix,
    /// How rewards become advantages.
    #[serde(default = "rloo")]
    pub advantage: Advantage,
    /// Whitens advantages over all tokens of a batch. Absent, as the three settings below that
    /// may be: what belongs to the advantage, see [`RlStage::recipe`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whiten: Option<Whiten>,
    /// What becomes of groups that teach the advantage nothing.
    #[serde(default)]
    pub flat_groups: FlatGroups,
    /// Leaves critiques that were cut off at the longest length out of the update; their rewards
    /// still count in the baselines of their groups.
    #[serde(default)]
    pub mask_truncated: bool,
    /// Weight of the KL to the reference policy, per nat.
    pub kl_coef: f32,
    /// Estimator of the KL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_estimator: Option<KlEstimator>,
    /// Where the KL acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_in: Option<KlIn>,
    /// Whether the KL in the loss counts by the ratio of new to old probability.
    #[serde(default)]
    pub kl_importance_weighted: bool,
    /// The policy that KL is measured against: `start` (as it is when the stage starts), the name
    /// of an earlier stage of the same model, that with `-best` for its best step, or `none`.
    #[serde(default = "start")]
    pub reference: String,
    /// Learning rate at its peak.
    pub lr: f32,
    /// How it rises and falls, over optimizer steps.
    #[serde(default)]
    pub schedule: Schedule,
    /// `AdamW` and gradient clipping.
    #[serde(default)]
    pub optimizer: AdamW,
    /// Passes over each batch of rollouts.
    #[serde(default = "one")]
    pub inner_epochs: usize,
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
    /// How the losses of tokens are averaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<Aggregation>,
    /// Evaluates greedily on the validation split every this many steps and keeps the model of
    /// the best one; 0 never does.
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
fn rloo() -> Advantage {
    Advantage::Rloo
}
fn start() -> String {
    "start".into()
}
fn fifth() -> f32 {
    0.2
}

/// A figure on the validation split that must be reached, or the run stops.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What is measured.
    pub measure: Measure,
    /// The model that is measured; the stage's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The least that will do, between 0 and 1.
    pub at_least: f64,
    /// Problems of the validation split.
    #[serde(default = "two_hundred")]
    pub problems: usize,
}

fn two_hundred() -> usize {
    200
}

/// What a gate measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of right greedy answers.
    Accuracy,
    /// Balanced accuracy of greedy verdicts on the actor's responses, sampled at T = 0.7.
    Discriminability,
    /// Share of right greedy refinements by perfect critiques of responses sampled at T = 0.7.
    PerfectRefinement,
    /// Share of greedy refinements that do what the verdict of a critique says although all of its
    /// steps say the opposite: told `Correct`, repeat the response; told `Wrong`, change it. The
    /// lower of the two shares, on responses sampled at T = 0.7 that the task can write such
    /// critiques of.
    Obedience,
    /// Share of greedy refinements that stay wrong where the actor is made to get a problem wrong
    /// whatever help it is given. Help of each kind that the task can write of such problems, the
    /// right solution included, has a share of its own, over responses sampled at T = 0.7; the
    /// lowest counts.
    Stubbornness,
}

impl Measure {
    /// The word in run files, metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Discriminability => "discriminability",
            Self::PerfectRefinement => "perfect_refinement",
            Self::Obedience => "obedience",
            Self::Stubbornness => "stubbornness",
        }
    }
}

/// Evaluation of the critic with the actor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvalConfig {
    /// Which problems.
    pub split: Split,
    /// The first this many; 0 takes all.
    pub problems: usize,
    /// Temperatures of all three roles; 0 is greedy. Rows beyond the first temperature get
    /// `@T` after their name.
    pub temperatures: Vec<f32>,
    /// Longest response, critique and refinement, in tokens: one number, or a table of roles. A
    /// role without one has that of `rollout`.
    pub max_new_tokens: EvalLengths,
    /// Also evaluates critics that are no models: the floors and the ceiling.
    pub controls: bool,
    /// Problems of the validation split; 0 takes all.
    pub validation_problems: usize,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            split: Split::Test,
            problems: 0,
            temperatures: vec![0.0],
            max_new_tokens: EvalLengths::default(),
            controls: false,
            validation_problems: 200,
        }
    }
}

/// What is kept on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaveConfig {
    /// A checkpoint every this many steps of a stage; 0 saves at the ends of stages only.
    pub every: usize,
    /// Checkpoints kept within a stage.
    pub keep: usize,
    /// Rollouts are recorded every this many RL steps; 0 records none.
    pub rollouts_every: usize,
}

impl Default for SaveConfig {
    fn default() -> Self {
        Self {
            every: 50,
            keep: 2,
            rollouts_every: 1,
        }
    }
}
