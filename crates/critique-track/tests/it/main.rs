//! Trackers, told of run folders that are written here.

mod events;
mod server;
mod support;
