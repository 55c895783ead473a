//! What a person or a program is told.

pub(crate) mod chart;
pub(crate) mod dry_run;
pub(crate) mod examples;
pub(crate) mod hints;
pub(crate) mod json_log;
pub(crate) mod out;
pub(crate) mod progress;
pub(crate) mod tables;
pub(crate) mod time_left;
