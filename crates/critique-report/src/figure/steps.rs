//! Metrics over steps: a panel a metric, a line a run or an arm of seeds.

use std::collections::BTreeMap;

use critique_run::StageConfig;

use super::svg::{Axis, Panel, Point, Series, Shape};
use super::{Figure, FigureError, Figures, Group, Look, spread};
use crate::run::Run;
use crate::stages::Stage;

/// Panels of the training dynamics: what it is, its name on the validation split and in training.
const DYNAMICS: [(&str, &str, &str); 3] = [
    (
        "Acc@Dis on right responses",
        "eval/acc_dis_correct",
        "acc_dis_correct",
    ),
    (
        "Acc@Dis on wrong responses",
        "eval/acc_dis_incorrect",
        "acc_dis_incorrect",
    ),
    ("Acc@Refine", "eval/acc_refined", "acc_refined"),
];

/// A panel a metric.
pub(super) fn metrics(
    figures: &Figures,
    names: &[String],
    look: &Look,
) -> Result<Vec<Panel>, FigureError> {
    let drawn = |name: &String| {
        let panel = panel(figures, name, name, Course::OfRun, look);
        panel.ok_or_else(|| FigureError::Metric {
            name: name.clone(),
            stage: look.stage.clone(),
            known: figures.metrics(),
        })
    };
    names.iter().map(drawn).collect()
}

/// Acc@Dis on right and on wrong responses, and Acc@Refine.
pub(super) fn dynamics(figures: &Figures, look: &Look) -> Result<Vec<Panel>, FigureError> {
    let validated = DYNAMICS.iter().all(|(_, name, _)| {
        let mut curves = figures.curves.iter();
        curves.any(|curves| !curves.points(name).is_empty())
    });
    let split = if validated { "validation" } else { "training" };
    let drawn = DYNAMICS.iter().filter_map(|(title, validation, training)| {
        let name = if validated { validation } else { training };
        panel(
            figures,
            name,
            &format!("{title} ({split})"),
            Course::OfCritic,
            look,
        )
    });
    let panels: Vec<Panel> = drawn.collect();
    if panels.is_empty() {
        return Err(FigureError::Empty {
            needs: "steps of reinforcement learning, which measure Acc@Dis and Acc@Refine",
        });
    }
    Ok(panels)
}

/// Metrics that are shares are drawn in percent.
pub(super) fn is_share(name: &str) -> bool {
    let name = name.strip_prefix("eval/").unwrap_or(name);
    let begins = [
        "acc_",
        "unparsed/",
        "frac_",
        "clip_ratio/",
        "delta_",
        "c2i_",
        "i2c_",
        "stayed_",
    ];
    begins.iter().any(|begin| name.starts_with(begin))
        || name.ends_with("clipped_ratio")
        || matches!(name, "parse_rate" | "said_correct")
}

/// What the axis of steps counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// All steps of the run.
    OfRun,
    /// Those in which reinforcement learning trains the critic: no stage of SFT, and no control
    /// that is trained beside it.
    OfCritic,
}

impl Course {
    /// How far each stage of a run is moved on the axis; nothing where it is not drawn.
    fn shifts(self, run: &Run) -> Vec<Option<f64>> {
        if self == Self::OfRun {
            return vec![Some(0.0); run.stages.len()];
        }
        let model = |stage: &Stage| {
            let mut planned = run.config.iter().flat_map(|config| &config.stages);
            let planned = planned.find(|it| it.name() == stage.name);
            planned.map(StageConfig::model)
        };
        let criticises = |stage: &Stage| stage.rl && model(stage) == Some("critic");
        let named = run.stages.iter().any(criticises);
        let mut drawn = 0;
        let shift = |stage: &Stage| {
            let is_drawn = if named { criticises(stage) } else { stage.rl };
            is_drawn.then(|| {
                let shift = drawn as f64 + 1.0 - stage.first as f64;
                drawn += stage.last + 1 - stage.first;
                shift
            })
        };
        run.stages.iter().map(shift).collect()
    }
}

/// Nothing where no run has the metric.
fn panel(
    figures: &Figures,
    metric: &str,
    title: &str,
    course: Course,
    look: &Look,
) -> Option<Panel> {
    let groups = figures.groups(look.band);
    let lines = groups
        .iter()
        .map(|group| line(figures, group, metric, course, look));
    let series: Vec<Series> = lines.filter(|line| !line.stretches.is_empty()).collect();
    if series.is_empty() {
        return None;
    }
    Some(Panel {
        title: title.to_owned(),
        x: Axis::plain("step"),
        y: if is_share(metric) {
            Axis::percent("")
        } else {
            Axis::plain("")
        },
        marks: marks(figures, metric, course, look),
        series,
    })
}

/// Stages begin here, as the first run has them that has the metric.
fn marks(figures: &Figures, metric: &str, course: Course, look: &Look) -> Vec<(f64, String)> {
    let has = |at: &usize| !figures.curves[*at].points(metric).is_empty();
    let Some(run) = (0..figures.runs.len()).find(has) else {
        return Vec::new();
    };
    let points = figures.curves[run].points(metric);
    let measured = |number: usize| points.iter().any(|(_, stage, _)| *stage == number);
    let shown = |name: &str| look.stage.as_deref().is_none_or(|only| only == name);
    let shifts = course.shifts(&figures.runs[run]);
    let stages = figures.runs[run].stages.iter().enumerate();
    let stages = stages.filter(|(number, stage)| measured(*number) && shown(&stage.name));
    let mark = |(number, stage): (usize, &Stage)| {
        Some((
            stage.first as f64 - 0.5 + shifts[number]?,
            stage.name.clone(),
        ))
    };
    stages.filter_map(mark).collect()
}

fn line(figures: &Figures, group: &Group, metric: &str, course: Course, look: &Look) -> Series {
    // By place on the axis; steps of one place belong to one stage in all seeds of an arm.
    let mut places: BTreeMap<(usize, u64), Vec<f64>> = BTreeMap::new();
    for &run in &group.runs {
        let shifts = course.shifts(&figures.runs[run]);
        for (step, stage, value) in figures.curves[run].points(metric) {
            let name = &figures.runs[run].stages[stage].name;
            let shown = look.stage.as_ref().is_none_or(|only| only == name);
            if let Some(shift) = shifts[stage].filter(|_| shown) {
                let place = (stage, (step + shift).to_bits());
                places.entry(place).or_default().push(value);
            }
        }
    }
    let mut stretches: Vec<(usize, Vec<Point>)> = Vec::new();
    for ((stage, step), values) in places {
        let (y, around) = spread(&values, look.band);
        let point = Point {
            around,
            ..Point::at(f64::from_bits(step), y)
        };
        match stretches.last_mut() {
            Some((last, points)) if *last == stage => points.push(point),
            _ => stretches.push((stage, vec![point])),
        }
    }
    let smooth = |(_, points): (usize, Vec<Point>)| smoothed(points, look.smooth);
    Series {
        name: group.name.clone(),
        colour: group.colour,
        shape: Shape::Line,
        stretches: stretches.into_iter().map(smooth).collect(),
    }
}

/// A mean over `width` points around each, as far as there are some.
fn smoothed(points: Vec<Point>, width: usize) -> Vec<Point> {
    if width < 2 {
        return points;
    }
    let mean = |at: usize, of: &dyn Fn(&Point) -> f64| {
        let half = width / 2;
        let near = &points[at.saturating_sub(half)..(at + half + 1).min(points.len())];
        near.iter().map(of).sum::<f64>() / near.len() as f64
    };
    let point = |(at, point): (usize, &Point)| Point {
        y: mean(at, &|p| p.y),
        around: point
            .around
            .map(|_| [0, 1].map(|end| mean(at, &|p| p.around.map_or(p.y, |around| around[end])))),
        ..point.clone()
    };
    points.iter().enumerate().map(point).collect()
}

impl Figure {
    /// The figure of this name, of those with one.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "dynamics" => Some(Self::Dynamics),
            "pareto" => Some(Self::Pareto),
            "scaling" => Some(Self::Scaling),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_mean_ends_at_the_ends() {
        let points = [1.0, 2.0, 6.0].map(|y| Point::at(y, y)).to_vec();
        let ys: Vec<f64> = smoothed(points, 3).iter().map(|point| point.y).collect();
        assert_eq!(ys, [1.5, 3.0, 4.0]);
    }

    #[test]
    fn shares_are_known() {
        assert!(is_share("eval/acc_dis_correct") && is_share("unparsed/hedged"));
        assert!(!is_share("kl") && !is_share("completions/mean_length"));
    }
}
