//! The subcommands, a module each: its arguments and what it does.

pub(crate) mod bench;
pub(crate) mod board;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod critique;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod generate;
pub(crate) mod plan;
pub(crate) mod plot;
pub(crate) mod quickstart;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod score;
pub(crate) mod tasks;
pub(crate) mod track;
pub(crate) mod train;
pub(crate) mod verify;
pub(crate) mod watch;
