//! Seeds that a run draws by name.

use critique_core::derive_seed;
use critique_rollout::Seeds;

/// The seed of a run's evaluations. All rows share it, so that all critics judge the same
/// responses.
pub fn eval_seed(run: u64) -> u64 {
    derive_seed(run, &["eval"])
}

/// The seed of a stage.
pub fn stage_seed(run: u64, stage: &str) -> u64 {
    derive_seed(run, &["stage", stage])
}

/// Seeds of the samples that gates look at.
pub fn gate_samples(run: u64) -> Seeds<'static> {
    Seeds {
        run,
        stage: "gate",
        step: 0,
    }
}
