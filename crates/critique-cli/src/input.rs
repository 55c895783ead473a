//! What a command is given: settings, models, folders, texts.

pub(crate) mod folder;
pub(crate) mod model;
pub(crate) mod run_file;
pub(crate) mod servers;
pub(crate) mod settings;
pub(crate) mod stdin;
