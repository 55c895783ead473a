//! Tests of the whole checker on tables, data sets, properties and hostile inputs.

mod datasets;
mod extraction;
mod hostile;
mod pairs;
mod properties;
mod protocol;
mod rules;
mod support;
