//! Integration tests of `critique-model`, one binary.
#![expect(clippy::print_stderr, reason = "tests say what they skip")]
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stop where they cannot go on"
)]

mod adapter;
mod bf16;
mod burn_engine;
mod burn_golden;
mod burn_support;
mod config;
mod contract;
mod cpu_engine;
mod hostile_files;
mod loading;
mod real_models;
mod support;
mod weights;
