//! Tests of the whole checker on tables, data sets, properties and hostile inputs.

mod checks;
mod datasets;
mod extraction;
mod hostile;
mod properties;
mod protocol;
mod public;
mod responses;
mod rules;
mod support;
