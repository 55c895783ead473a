//! Names of evaluations: the rows of a summary.

/// The row of the actor alone.
pub const NO_CRITIC: &str = "no_critic";

/// What is put behind a stage's name for the model of its best step.
const BEST: &str = "-best";

/// Behind a stage's name, or a row's, for the model of its best step on the validation split.
pub fn best_of(stage: &str) -> String {
    format!("{stage}{BEST}")
}

/// The stage that a name means, and whether it means that stage's best step.
pub fn stage_and_best(name: &str) -> (&str, bool) {
    match name.strip_suffix(BEST) {
        Some(stage) => (stage, true),
        None => (name, false),
    }
}

/// The row of an evaluation at the temperature of this number, counted from 0: the first has the
/// plain name, the others `@T` behind it.
pub fn at_temperature(name: &str, number: usize, temperature: f32) -> String {
    match number {
        0 => name.to_owned(),
        _ => format!("{name}@{temperature}"),
    }
}

/// A row's name without its temperature.
pub fn without_temperature(row: &str) -> &str {
    row.rsplit_once('@').map_or(row, |(name, _)| name)
}
