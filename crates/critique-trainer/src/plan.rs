//! What a run will need: which model comes from where, and whether settings, files and splits are
//! there.

mod check;
mod models;

pub(crate) use self::check::notes;
pub use self::check::{check, notes_of};
pub use self::models::Models;
