//! More samples at test time: Pass@K of refinements.

use std::collections::BTreeMap;
use std::path::Path;

use critique_core::files::names_in;
use critique_eval::scaling::pass_at_k;
use critique_rollout::RolloutRecord;

use super::svg::{Axis, Panel, Point, Series, Shape};
use super::{FigureError, Figures, Group, Look, spread};
use crate::lines;

/// The last steps of a stage that are read, as far as their rollouts were recorded.
const LAST: usize = 20;

/// A panel: Pass@K over K critiques of a response, a line a stage.
pub(super) fn panels(figures: &Figures, look: &Look) -> Result<Vec<Panel>, FigureError> {
    let mut series = Vec::new();
    for group in figures.groups(look.band) {
        for name in stages(figures, &group, look) {
            let colour = series.len();
            series.extend(line(figures, &group, &name, colour, look));
        }
    }
    if series.is_empty() {
        return Err(FigureError::Empty {
            needs: "recorded rollouts of a stage that samples several critiques a response and refines by each (`rollout.group_size`, `save.rollouts_every`)",
        });
    }
    Ok(vec![Panel {
        title: "Pass@K of refinements".to_owned(),
        x: Axis::plain("critiques of a response, K"),
        y: Axis::percent(""),
        marks: Vec::new(),
        series,
    }])
}

fn stages(figures: &Figures, group: &Group, look: &Look) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for stage in group.runs.iter().flat_map(|&run| &figures.runs[run].stages) {
        let wanted = look.stage.as_ref().is_none_or(|only| *only == stage.name);
        if stage.rl && wanted && !names.contains(&stage.name) {
            names.push(stage.name.clone());
        }
    }
    names
}

/// Nothing where no response has two refinements.
fn line(
    figures: &Figures,
    group: &Group,
    stage: &str,
    colour: usize,
    look: &Look,
) -> Option<Series> {
    let mut at_k: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for &run in &group.runs {
        let root = figures.runs[run].dir.root();
        for (k, share) in pass_curve(&tries(&last_rollouts(root, stage))) {
            at_k.entry(k).or_default().push(share);
        }
    }
    let point = |(k, values): (usize, Vec<f64>)| {
        let (y, around) = spread(&values, look.band);
        Point {
            around,
            ..Point::at(k as f64, y)
        }
    };
    let points: Vec<Point> = at_k.into_iter().map(point).collect();
    (points.len() > 1).then(|| Series {
        name: format!("{}: {stage}", group.name),
        colour,
        shape: Shape::Line,
        stretches: vec![points],
    })
}

fn last_rollouts(root: &Path, stage: &str) -> Vec<RolloutRecord> {
    let folder = root.join("rollouts").join(format!("stage-{stage}"));
    let mut files = names_in(&folder).unwrap_or_default();
    files.retain(|name| name.strip_suffix(".jsonl").is_some());
    files.sort();
    let last = &files[files.len().saturating_sub(LAST)..];
    // A damaged line costs itself; the report names it.
    let read = |name: &String| lines::read(&folder.join(name), "a rollout", &mut Vec::new());
    last.iter().flat_map(read).collect()
}

/// Of each response: how many refinements there are, and how many are right.
fn tries(records: &[RolloutRecord]) -> Vec<(usize, usize)> {
    let mut tries: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for record in records
        .iter()
        .filter(|record| !record.refinements.is_empty())
    {
        let response = record
            .id
            .rsplit_once('.')
            .map_or(&*record.id, |(name, _)| name);
        let of = tries.entry(response).or_default();
        for refinement in &record.refinements {
            *of = (
                of.0 + 1,
                of.1 + usize::from(refinement.verdict.is_correct()),
            );
        }
    }
    tries.into_values().collect()
}

/// Pass@K for K = 1, 2, 4, … up to what every response has.
fn pass_curve(tries: &[(usize, usize)]) -> Vec<(usize, f64)> {
    let most = tries.iter().map(|(n, _)| *n).min().unwrap_or(0);
    let ks = std::iter::successors(Some(1_usize), |k| Some(k * 2)).take_while(|k| *k <= most);
    let mean = |k: usize| {
        let sum: f64 = tries.iter().map(|&(n, c)| pass_at_k(n, c, k)).sum();
        (k, sum / tries.len() as f64)
    };
    ks.map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_as_far_as_every_response_was_tried() {
        // 2 of 4 and 0 of 3 right: K = 1 gives (0.5 + 0) / 2, K = 2 gives (5/6 + 0) / 2.
        let curve = pass_curve(&[(4, 2), (3, 0)]);
        assert_eq!(curve.iter().map(|(k, _)| *k).collect::<Vec<_>>(), [1, 2]);
        assert!((curve[0].1 - 0.25).abs() < 1e-12 && (curve[1].1 - 5.0 / 12.0).abs() < 1e-12);
        assert!(pass_curve(&[]).is_empty());
    }
}
