//! Rows of data sets: files, folders, columns and splits.
//!
//! [`read_records`] gives the rows of a file as they are, [`Record`] reads their fields with
//! faults that say what would do, and a [`Row`] is what every data set's columns become.
//! [`find_split`] finds the files of a split in a folder, [`check_disjoint`] makes sure that
//! two splits share no problem.
//!
//! ```
//! use critique_tasks::data::{self, Record};
//!
//! let record = Record::from_json(1, r#"{"problem": "1 + 1?", "solution": "It is \\boxed{2}."}"#)?;
//! let solution = record.text(&["solution"])?;
//! assert_eq!(data::last_boxed(&solution), Some("2"));
//! assert_eq!(
//!     record.text(&["answer"]).unwrap_err().to_string(),
//!     "field `answer` is missing; the row has `problem`, `solution`"
//! );
//! # Ok::<(), data::Fault>(())
//! ```

mod choices;
mod digits;
mod fetch;
mod file;
mod folder;
mod loader;
#[cfg(feature = "parquet")]
mod parquet;
mod record;
mod source;
mod split;

pub use choices::choices_in;
pub use fetch::{fetch, hub_patterns};
pub use file::{read_json_lines, read_records, read_records_from};
pub(crate) use file::{row_error, rows};
pub use folder::{Layout, find_split, split_of_name};
pub use loader::Loader;
pub(crate) use loader::{Description, ReadRow};
pub use record::{Fault, Record, Row, last_boxed};
pub use split::{BySplit, Dropped, SPLITS, check_disjoint, drop_shared, hold_out, question_key};
