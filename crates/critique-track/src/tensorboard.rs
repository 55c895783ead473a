//! Event files of TensorBoard.

mod event;
mod proto;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use critique_core::files::{FileError, names_in};
use critique_eval::{Row, Summary};
use critique_rollout::RolloutRecord;
use critique_run::RunConfig;

use crate::error::TrackError;
use crate::settings::settings;
use crate::{Scalar, Tracker};

/// What event files of this program are called, behind the time of their making.
const SUFFIX: &str = "critique-rl";

/// Writes event files into a folder, for `tensorboard --logdir`.
///
/// ```
/// use critique_track::{Scalar, TensorBoard, Tracker};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let mut events = TensorBoard::create(folder.path())?;
/// events.scalars(&[Scalar { name: "train/reward".into(), step: 1, value: 0.5 }])?;
/// # Ok::<(), critique_track::TrackError>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// A new event file in this folder. Those of earlier runs of this program are removed: they
    /// told of the same run, which is told anew from its start.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read or written.
    pub fn create(folder: &Path) -> Result<Self, TrackError> {
        critique_core::files::make_folder(folder)?;
        let earlier = event_files(folder)?;
        let path = folder.join(next_name(&earlier));
        let file = File::create_new(&path).map_err(|e| FileError::write(&path, e))?;
        let mut made = Self {
            folder: folder.to_owned(),
            path,
            file,
        };
        made.add(&event::version(now()))?;
        // A board that has read the earlier files forgets what they told.
        made.add(&event::start(now(), 0))?;
        for name in earlier {
            let path = folder.join(name);
            std::fs::remove_file(&path).map_err(|e| FileError::write(&path, e))?;
        }
        Ok(made)
    }

    /// Appends events, each with its length and the checks of both.
    fn add_all(&mut self, events: &[Vec<u8>]) -> Result<(), TrackError> {
        let records: Vec<u8> = events.iter().flat_map(|event| record(event)).collect();
        let written = self.file.write_all(&records);
        Ok(written.map_err(|e| FileError::write(&self.path, e))?)
    }

    fn add(&mut self, event: &[u8]) -> Result<(), TrackError> {
        self.add_all(&[event.to_owned()])
    }
}

impl Tracker for TensorBoard {
    fn begin(&mut self, name: &str, config: &RunConfig) -> Result<(), TrackError> {
        self.add(&event::settings(now(), name, &settings(config)))
    }

    fn again(&mut self) -> Result<(), TrackError> {
        *self = Self::create(&self.folder)?;
        Ok(())
    }

    fn scalars(&mut self, scalars: &[Scalar]) -> Result<(), TrackError> {
        let time = now();
        let events: Vec<Vec<u8>> = scalars
            .iter()
            .map(|it| event::scalar(time, it.step, &it.name, it.value))
            .collect();
        self.add_all(&events)
    }

    fn rollouts(&mut self, step: usize, records: &[RolloutRecord]) -> Result<(), TrackError> {
        let stage = records.first().map_or("", |record| &record.stage);
        let all: Vec<String> = records.iter().map(shown).collect();
        let tag = format!("rollouts/{stage}");
        self.add(&event::text(now(), step, &tag, &all.join("\n\n---\n\n")))
    }

    fn table(&mut self, step: usize, rows: &[Row]) -> Result<(), TrackError> {
        let table = Summary::new(rows.to_vec()).to_markdown();
        self.add(&event::text(now(), step, "evaluation", &table))
    }

    fn end(&mut self, well: bool) -> Result<(), TrackError> {
        self.add(&event::end(now(), well))
    }
}

/// Event files of this program, in the order of their names.
fn event_files(folder: &Path) -> Result<Vec<String>, FileError> {
    let ours = |name: &String| name.starts_with("events.out.tfevents.") && name.ends_with(SUFFIX);
    let mut names: Vec<String> = names_in(folder)?.into_iter().filter(ours).collect();
    names.sort();
    Ok(names)
}

/// A name behind all others in order, for boards read files in the order of their names.
fn next_name(earlier: &[String]) -> String {
    let second_of = |name: &String| name.split('.').nth(3)?.parse::<u64>().ok();
    let last = earlier.iter().filter_map(second_of).max().unwrap_or(0);
    let second = (now() as u64).max(last + 1);
    format!("events.out.tfevents.{second:010}.{SUFFIX}")
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// A record of a `TFRecord` file: length, its check, content, its check.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(check(&length).to_le_bytes());
    record.extend(content);
    record.extend(check(content).to_le_bytes());
    record
}

/// CRC-32C, rotated and moved on, so that a check of data that holds checks means something.
fn check(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// A rollout in Markdown. What models wrote stands between fences longer than any in it, so that
/// it is shown as it is.
fn shown(record: &RolloutRecord) -> String {
    let parts: Vec<String> = record
        .rewards
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let head = format!(
        "**`{}`** reward {} ({}), advantage {}, judged {}\n",
        record.id.replace('`', "'"),
        record.reward,
        parts.join(", "),
        record.advantage,
        if record.judged_rightly {
            "rightly"
        } else {
            "wrongly"
        },
    );
    let refinements = record.refinements.iter().map(|it| ("Refinement", &it.text));
    let texts = [
        ("Question", &record.question),
        ("Response", &record.response),
        ("Critique", &record.critique),
    ];
    let texts = texts.into_iter().chain(refinements).map(|(title, said)| {
        let fence = fence(said);
        format!("{title}\n\n{fence}text\n{said}\n{fence}\n")
    });
    let all: Vec<String> = std::iter::once(head).chain(texts).collect();
    all.join("\n")
}

fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat((longest + 1).max(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, B.4: 32 bytes of zeros have the check 0x8a9136aa; masked by hand.
    #[test]
    fn checks_are_masked() {
        let plain: u32 = 0x8a91_36aa;
        assert_eq!(crc32c::crc32c(&[0; 32]), plain);
        assert_eq!(
            check(&[0; 32]),
            plain.rotate_left(17).wrapping_add(0xa282_ead8)
        );
    }

    #[test]
    fn no_text_ends_its_fence() {
        assert_eq!(fence("no ticks"), "```");
        assert_eq!(fence("a ```` b ` c"), "`````");
    }

    #[test]
    fn a_new_file_comes_behind_the_last_in_order() {
        let last = "events.out.tfevents.9999999998.critique-rl".to_owned();
        assert!(next_name(std::slice::from_ref(&last)) > last);
        assert!(next_name(&[]) < last);
    }
}
