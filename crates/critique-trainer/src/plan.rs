//! What a run will need: which model comes from where and as of which stage, whether settings,
//! files and splits are there, and what it will take.

mod check;
mod dry_run;
pub mod gpus;
mod model_plan;
mod models;
mod prompts;
mod sampler;

pub use self::check::{check, notes_of};
pub use self::dry_run::{DryRun, MemoryForecast, ModelHeader, PromptForecast, StageForecast};
pub(crate) use self::dry_run::{Phases, longest};
pub use self::model_plan::{ModelPlan, Moment, PlannedModel, Root, StageModels, State, Version};
pub use self::models::Models;
pub(crate) use self::prompts::{Measure, PromptLengths, prompts_fit};
