//! Which evaluations `--a` and `--b` name, which of them make a pair, and what is in them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use critique_eval::{Outcome, Row, Summary};
use critique_rollout::record;
use serde::Deserialize;

use crate::commands::compare::without_critic;
use crate::failure::Failure;

/// A row of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    dir: PathBuf,
    row: String,
    /// The run's seed, where its folder says it.
    seed: Option<u64>,
}

impl Side {
    /// The run's folder.
    pub(super) fn folder(&self) -> &Path {
        &self.dir
    }
}

/// An evaluation that is there.
#[derive(Debug)]
pub(super) struct Evaluated {
    pub(super) outcomes: Vec<Outcome>,
    /// The responses, by the ids of their rollouts.
    pub(super) texts: Vec<(String, String)>,
    /// Texts that could not be asked for.
    pub(super) dropped: usize,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dir.display(), self.row)
    }
}

/// A pair with the seed that both have, or why there is none.
pub(super) type Pair = (Option<u64>, Result<(Side, Side), String>);

/// Pairs the evaluations that `--a` and `--b` name: those of one folder with each other, then
/// by the seed of the run, then, where no run says its seed, by their order.
pub(super) fn pairs(a: &[String], b: &[String]) -> Result<Vec<Pair>, Failure> {
    let mut a = sides("a", a, &[])?;
    let dirs: Vec<PathBuf> = a.iter().map(|side| side.dir.clone()).collect();
    let mut b = sides("b", b, &dirs)?;
    let mut pairs: Vec<Pair> = Vec::new();
    take_pairs(&mut a, &mut b, |a, b| a.dir == b.dir, &mut pairs);
    for (flag, rest) in [("a", &a), ("b", &b)] {
        refuse_equal_seeds(flag, rest)?;
    }
    let same_seed = |a: &Side, b: &Side| a.seed.is_some() && a.seed == b.seed;
    take_pairs(&mut a, &mut b, same_seed, &mut pairs);
    let by_order = a.len() == b.len() && a.iter().chain(&b).all(|side| side.seed.is_none());
    if by_order {
        take_pairs(&mut a, &mut b, |_, _| true, &mut pairs);
    }
    for (rest, other) in [(a, "b"), (b, "a")] {
        pairs.extend(rest.into_iter().map(|side| alone(&side, other)));
    }
    pairs.sort_by_key(|(seed, _)| (seed.is_none(), *seed));
    Ok(pairs)
}

/// Moves sides that belong together into `pairs`.
fn take_pairs(
    a: &mut Vec<Side>,
    b: &mut Vec<Side>,
    belong: impl Fn(&Side, &Side) -> bool,
    pairs: &mut Vec<Pair>,
) {
    let mut rest = Vec::new();
    for side in a.drain(..) {
        match b.iter().position(|other| belong(&side, other)) {
            Some(at) => pairs.push((side.seed, Ok((side, b.remove(at))))),
            None => rest.push(side),
        }
    }
    *a = rest;
}

fn alone(side: &Side, other: &str) -> Pair {
    let why = match (side.dir.is_dir(), side.seed) {
        (false, _) => format!("`{}` is no folder", side.dir.display()),
        (true, Some(seed)) => {
            format!("`{side}` is of seed {seed}, of which `--{other}` has no run")
        }
        (true, None) => format!(
            "`{}` does not say its seed (`config.resolved.toml`)",
            side.dir.display()
        ),
    };
    (side.seed, Err(why))
}

fn refuse_equal_seeds(flag: &str, sides: &[Side]) -> Result<(), Failure> {
    let mut known: BTreeMap<u64, &Side> = BTreeMap::new();
    for side in sides {
        let Some(seed) = side.seed else { continue };
        if let Some(other) = known.insert(seed, side) {
            return Err(Failure::usage(format!(
                "`--{flag}` has two runs of seed {seed}, `{other}` and `{side}`; expected runs of one kind, each with a seed of its own"
            )));
        }
    }
    Ok(())
}

/// The evaluations that one flag names; `:ROW` means the row of each of `dirs`.
fn sides(flag: &str, words: &[String], dirs: &[PathBuf]) -> Result<Vec<Side>, Failure> {
    let mut sides: Vec<Side> = Vec::new();
    for word in words {
        let Some((run, row)) = word.rsplit_once(':').filter(|(_, row)| is_name(row)) else {
            return Err(Failure::usage(format!(
                "`--{flag} {word}`: expected RUN:ROW, such as `runs/quickstart-1:stage2`"
            )));
        };
        let found = match (run.is_empty(), dirs.is_empty()) {
            (true, true) => {
                return Err(Failure::usage(format!(
                    "`--{flag} {word}`: a row without a run means the runs of `--a`; expected RUN:ROW"
                )));
            }
            (true, false) => dirs.to_vec(),
            (false, _) => folders(run)?,
        };
        if found.is_empty() {
            return Err(Failure::usage(format!(
                "`--{flag} {word}`: no folder is called so"
            )));
        }
        sides.extend(found.into_iter().map(|dir| Side {
            seed: seed(&dir),
            row: row.to_owned(),
            dir,
        }));
    }
    for (index, side) in sides.iter().enumerate() {
        if sides[..index].contains(side) {
            return Err(Failure::usage(format!("`--{flag}` names `{side}` twice")));
        }
    }
    Ok(sides)
}

/// Rows are files, and no part of a path.
fn is_name(row: &str) -> bool {
    !row.is_empty() && !row.contains(['/', '\\'])
}

/// The seed of a run, as its resolved run file says it.
fn seed(dir: &Path) -> Option<u64> {
    #[derive(Deserialize)]
    struct Seed {
        seed: u64,
    }
    let text = std::fs::read_to_string(dir.join("config.resolved.toml")).ok()?;
    toml::from_str(&text).ok().map(|Seed { seed }| seed)
}

/// The folders that a path with `*` and `?` stands for, numbers in their names by size. A path
/// without them stands for itself, there or not, so that a missing run is told.
fn folders(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let is_pattern = |part: &str| part.contains(['*', '?']);
    if !is_pattern(pattern) {
        // The same run has the same name, with and without a slash at its end.
        return Ok(vec![Path::new(pattern).components().collect()]);
    }
    let mut found = vec![PathBuf::new()];
    for part in Path::new(pattern).components() {
        let part = part.as_os_str();
        match part.to_str().filter(|part| is_pattern(part)) {
            None => found.iter_mut().for_each(|path| path.push(part)),
            Some(wanted) => {
                let mut matching = Vec::new();
                for path in found {
                    matching.extend(inside(&path, wanted)?);
                }
                found = matching;
            }
        }
        found.retain(|path| path.is_dir());
    }
    Ok(found)
}

/// The folders in a folder whose names fit.
fn inside(folder: &Path, wanted: &str) -> Result<Vec<PathBuf>, Failure> {
    let listed = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(listed)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if fits(wanted.as_bytes(), name.as_bytes()) && listed.join(&name).is_dir() {
            names.push(name);
        }
    }
    names.sort_by_key(|name| natural(name));
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Whether a name is what a pattern says: `*` any text, `?` any one byte.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            fits(rest, name)
                || name
                    .split_first()
                    .is_some_and(|(_, left)| fits(pattern, left))
        }
        (Some((wanted, rest)), Some((found, left))) => {
            (*wanted == b'?' || wanted == found) && fits(rest, left)
        }
        _ => false,
    }
}

/// A name as texts and numbers, so that 10 comes after 9.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts: Vec<(String, u64)> = vec![(String::new(), 0)];
    let mut in_number = false;
    for letter in name.chars() {
        match (letter.to_digit(10), parts.last_mut()) {
            (Some(digit), Some((_, number))) => {
                *number = number.saturating_mul(10).saturating_add(digit.into());
                in_number = true;
            }
            (None, Some((text, _))) if !in_number => text.push(letter),
            _ => {
                parts.push((letter.to_string(), 0));
                in_number = false;
            }
        }
    }
    parts
}

impl Side {
    /// What was evaluated, or why nothing is there. A file that cannot be read is a failure of
    /// the command.
    pub(super) fn evaluated(&self) -> Result<Result<Evaluated, String>, Failure> {
        let (dir, row) = (self.dir.display(), &self.row);
        if !self.dir.is_dir() {
            return Ok(Err(format!("`{dir}` is no folder")));
        }
        // A run folder, or what `eval --out` wrote.
        let folders = [self.dir.join("eval"), self.dir.clone()];
        let Some(folder) = folders
            .into_iter()
            .find(|it| it.join("summary.json").is_file())
        else {
            return Ok(Err(format!("`{dir}` holds no evaluation")));
        };
        let summary = Summary::read(&folder.join("summary.json"))?;
        let Some(known) = summary.row(row) else {
            let rows: Vec<&str> = summary.rows.iter().map(|row| row.stage.as_str()).collect();
            let rows = rows.join(", ");
            return Ok(Err(format!("`{dir}` has no row `{row}`; its rows: {rows}")));
        };
        let Some(records) = records_of(&folder, &summary, known) else {
            return Ok(Err(format!("`{dir}` has no rollouts of the row `{row}`")));
        };
        let records = record::read(&records).map_err(Failure::failed)?;
        let outcomes = Outcome::of_records(&records);
        Ok(Ok(Evaluated {
            outcomes: if is_without_critic(known) {
                without_critic(outcomes)
            } else {
                outcomes
            },
            dropped: known.extra.dropped,
            texts: records.into_iter().map(|it| (it.id, it.response)).collect(),
        }))
    }
}

fn is_without_critic(row: &Row) -> bool {
    row.acc_dis.is_none() && row.parse_rate.is_none()
}

/// The file with the rollouts of a row. Without a critic there are none, but any critic's
/// rollouts at the same temperature have the same responses.
fn records_of(folder: &Path, summary: &Summary, row: &Row) -> Option<PathBuf> {
    let file = |row: &Row| folder.join(format!("{}.jsonl", row.stage));
    let mut rows = vec![row];
    if is_without_critic(row) {
        let temperature = row.extra.temperature;
        rows.extend(
            summary
                .rows
                .iter()
                .filter(|it| it.extra.temperature == temperature),
        );
    }
    rows.into_iter().map(file).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, want) in [
            ("*", "seed-1", true),
            ("seed-*", "seed-12", true),
            ("seed-?", "seed-12", false),
            ("*-1", "seed-1", true),
            ("*-1", "seed-11", false),
            ("*-1", "seed-12", false),
            ("a*b*c", "a-b-b-c", true),
            ("seed", "seed", true),
            ("seed", "seeds", false),
        ] {
            assert_eq!(
                fits(pattern.as_bytes(), name.as_bytes()),
                want,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn numbers_in_names_count_by_size() {
        let mut names = ["seed-10", "seed-9", "other-2", "seed-1-b", "seed-1-a"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(
            names,
            ["other-2", "seed-1-a", "seed-1-b", "seed-9", "seed-10"]
        );
    }

    fn side(dir: &str, seed: Option<u64>) -> Side {
        Side {
            dir: dir.into(),
            row: "stage1".into(),
            seed,
        }
    }

    #[test]
    fn equal_seeds_are_refused() {
        let sides = [side("x", Some(1)), side("y", None), side("z", Some(1))];
        let refused = format!("{:?}", refuse_equal_seeds("a", &sides));
        assert!(
            refused.contains("two runs of seed 1, `x:stage1` and `z:stage1`"),
            "{refused}"
        );
        assert!(refuse_equal_seeds("a", &sides[..2]).is_ok());
    }
}
