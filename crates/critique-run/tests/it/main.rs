//! Run files as a user of the crate reads them.

mod servers;
