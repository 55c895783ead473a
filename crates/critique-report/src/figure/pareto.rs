//! Helping against judging: what a critic does for Acc@Refine, and how well it tells right from wrong.

use critique_eval::{Metric, Row};

use super::svg::{Axis, Panel, Point, Series, Shape};
use super::{FigureError, Figures, Group, Look, is_trained, spread};

const X: (&str, &str) = ("eval/acc_dis_balanced", "balanced Acc@Dis");
const Y: (&str, &str) = ("eval/acc_refined", "Acc@Refine");

/// One panel: a mark an evaluated critic, and a line over validation points.
pub(super) fn panels(figures: &Figures, look: &Look) -> Result<Vec<Panel>, FigureError> {
    let groups = figures.groups(look.band);
    let mut series: Vec<Series> = groups.iter().map(|group| way(figures, group)).collect();
    series.extend(groups.iter().map(|group| critics(figures, group, look)));
    series.retain(|series| !series.stretches.is_empty());
    if series.is_empty() {
        return Err(FigureError::Empty {
            needs: "evaluations of trained critics in `eval/summary.json`, or validation points (`validate_every`)",
        });
    }
    Ok(vec![Panel {
        title: "Helping against judging".to_owned(),
        x: Axis::percent(X.1),
        y: Axis::percent(Y.1),
        marks: Vec::new(),
        series,
    }])
}

/// Validation points of each seed, in the order of steps.
fn way(figures: &Figures, group: &Group) -> Series {
    let way = |&run: &usize| -> Vec<Point> {
        let [x, y] = [X.0, Y.0].map(|name| figures.curves[run].points(name));
        let both = y.iter().filter_map(|(step, _, y)| {
            let (_, _, x) = x.iter().find(|(other, ..)| other == step)?;
            Some(Point::at(*x, *y))
        });
        both.collect()
    };
    let stretches = group.runs.iter().map(way);
    Series {
        name: format!("{}: validation, over steps", group.name),
        colour: group.colour,
        shape: Shape::Way,
        stretches: stretches.filter(|points| points.len() > 1).collect(),
    }
}

/// A mark for each trained critic: the mean of seeds with what lies around it, of one seed alone its
/// interval over problems.
fn critics(figures: &Figures, group: &Group, look: &Look) -> Series {
    let rows = |run: usize| figures.runs[run].rows.iter().filter(|row| is_trained(row));
    let mut names: Vec<&str> = Vec::new();
    for row in group.runs.iter().flat_map(|&run| rows(run)) {
        if !names.contains(&row.stage.as_str()) {
            names.push(&row.stage);
        }
    }
    let point = |name: &&str| {
        let rows: Vec<&Row> = group
            .runs
            .iter()
            .filter_map(|&run| rows(run).find(|row| row.stage == **name))
            .collect();
        critic(name, &rows, look)
    };
    let points: Vec<Point> = names.iter().filter_map(point).collect();
    Series {
        name: group.name.clone(),
        colour: group.colour,
        shape: Shape::Marks,
        stretches: if points.is_empty() {
            Vec::new()
        } else {
            vec![points]
        },
    }
}

fn critic(name: &str, rows: &[&Row], look: &Look) -> Option<Point> {
    let both: Vec<(f64, f64)> = rows
        .iter()
        .filter_map(|row| Some((row.acc_dis_balanced?, row.acc_refined?)))
        .collect();
    if both.is_empty() {
        return None;
    }
    let (xs, ys): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
    let ((x, across), (y, around)) = (spread(&xs, look.band), spread(&ys, look.band));
    let of_one = |metric: Metric| match rows {
        [row] => row.ci95.get(metric.name()).copied(),
        _ => None,
    };
    Some(Point {
        x,
        y,
        across: across.or_else(|| of_one(Metric::AccDisBalanced)),
        around: around.or_else(|| of_one(Metric::AccRefined)),
        label: Some(name.to_owned()),
    })
}
