//! What a run will need: which model comes from where, and whether settings, files and splits are
//! there.

mod check;
mod model_plan;
mod models;
mod prompts;

pub(crate) use self::check::notes;
pub use self::check::{check, measure_prompts, notes_of};
pub use self::model_plan::{
    ModelPlan, Moment, PlannedModel, Root, StageModels, State, Version,
};
pub use self::models::Models;
pub use self::prompts::PromptLengths;
pub(crate) use self::prompts::prompts_fit;
