//! Expressions and three ways to compare them: exact, modular, numeric.

pub(crate) mod build;
pub(crate) mod calculus;
pub(crate) mod complex;
pub(crate) mod discrete;
pub(crate) mod identity;
mod kinks;
pub(crate) mod limits;
pub(crate) mod meaning;
pub(crate) mod modular;
pub(crate) mod numeric;
pub(crate) mod pool;
pub(crate) mod quadrature;
pub(crate) mod series;
pub(crate) mod walk;

pub(crate) use meaning::Meaning;
pub(crate) use pool::{Fun, Id, Node, Pool};
