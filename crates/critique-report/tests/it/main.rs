//! Reports of run folders that the tests write.

mod damaged;
mod hostile;
mod page;
mod support;
