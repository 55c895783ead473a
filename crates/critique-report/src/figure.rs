//! Figures of runs as SVG: for papers, pages and slides.

mod pareto;
#[cfg(feature = "png")]
mod png;
mod scaling;
mod steps;
mod svg;

use std::collections::BTreeSet;
use std::path::PathBuf;

use critique_eval::stats::over_seeds;

use crate::curves::{Curves, steps_a_point};
use crate::run::{self, Run};
use crate::settings::arms;
use crate::{ReportError, evaluation};

/// What a figure shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figure {
    /// Metrics over steps, a panel each, by their names in `metrics.jsonl`.
    Metrics(Vec<String>),
    /// Acc@Dis on right and on wrong responses and Acc@Refine over steps; those of the validation
    /// split where some run measured them, else of training.
    Dynamics,
    /// Acc@Refine against balanced Acc@Dis: evaluations, and the way there over validation points.
    Pareto,
    /// Pass@K of refinements over the critiques of a response, at the end of each stage.
    Scaling,
}

/// What lies around the mean of seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Band {
    /// From the least to the most.
    #[default]
    Range,
    /// The 95 % interval of the mean (Student).
    Interval,
    /// Nothing, and each seed is a line of its own.
    Each,
}

/// How a figure is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// What lies around the mean of seeds.
    pub band: Band,
    /// Points of a running mean; 0 and 1 smooth nothing.
    pub smooth: usize,
    /// The only stage that is drawn.
    pub stage: Option<String>,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FigureError {
    /// No run has such a metric.
    #[error("no run has the metric `{name}`{}; metrics: {}", of_stage(stage.as_ref()), known.join(", "))]
    Metric {
        /// What was asked for.
        name: String,
        /// The stage that was asked for.
        stage: Option<String>,
        /// What there is.
        known: Vec<String>,
    },
    /// The runs hold nothing that the figure shows.
    #[error("the runs have nothing for this figure: {needs}")]
    Empty {
        /// What it is made of, and how to get it.
        needs: &'static str,
    },
    /// The figure could not be made into pixels.
    #[cfg(feature = "png")]
    #[error("no PNG: {why}")]
    Pixels {
        /// What is in the way.
        why: String,
    },
}

fn of_stage(stage: Option<&String>) -> String {
    stage.map_or(String::new(), |stage| format!(" in the stage `{stage}`"))
}

/// Runs to draw.
#[derive(Debug)]
pub struct Figures {
    runs: Vec<Run>,
    curves: Vec<Curves>,
    arms: Vec<usize>,
    notes: Vec<String>,
}

/// Runs that are drawn as one: seeds of an arm, or one alone.
struct Group {
    name: String,
    colour: usize,
    runs: Vec<usize>,
}

impl Figures {
    /// Reads the runs of these folders and changes nothing in them.
    ///
    /// # Errors
    ///
    /// When none of the folders holds a run.
    pub fn of(folders: &[PathBuf]) -> Result<Self, ReportError> {
        let mut notes = Vec::new();
        let runs = run::read_all(folders, &mut notes);
        if runs.is_empty() {
            return Err(ReportError::NoRun { whys: notes });
        }
        let all: Vec<&Run> = runs.iter().collect();
        let width = steps_a_point(&all);
        Ok(Self {
            curves: runs.iter().map(|run| Curves::of(run, width)).collect(),
            arms: arms(&all),
            runs,
            notes,
        })
    }

    /// What could not be read, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Names of all metrics that some run has.
    pub fn metrics(&self) -> Vec<String> {
        let names = self.curves.iter().flat_map(Curves::names);
        let names: BTreeSet<&str> = names.collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// A figure as SVG. The same runs give the same figure.
    ///
    /// # Errors
    ///
    /// When the runs hold nothing of what it shows.
    pub fn svg(&self, figure: &Figure, look: &Look) -> Result<String, FigureError> {
        let panels = match figure {
            Figure::Metrics(names) => steps::metrics(self, names, look)?,
            Figure::Dynamics => steps::dynamics(self, look)?,
            Figure::Pareto => pareto::panels(self, look)?,
            Figure::Scaling => scaling::panels(self, look)?,
        };
        Ok(svg::draw(&panels))
    }

    /// A figure as PNG, `scale` pixels for one of the SVG's, with fonts of this machine.
    ///
    /// # Errors
    ///
    /// As [`svg`](Self::svg), and where the machine has no font, or the picture is too large.
    #[cfg(feature = "png")]
    pub fn png(&self, figure: &Figure, look: &Look, scale: f32) -> Result<Vec<u8>, FigureError> {
        png::draw(&self.svg(figure, look)?, scale)
    }

    /// Seeds of one arm together, unless each is asked for.
    fn groups(&self, band: Band) -> Vec<Group> {
        let alone = |at: usize| Group {
            name: self.runs[at].label.clone(),
            colour: at,
            runs: vec![at],
        };
        if band == Band::Each {
            return (0..self.runs.len()).map(alone).collect();
        }
        let mut groups: Vec<Group> = Vec::new();
        for (at, &arm) in self.arms.iter().enumerate() {
            match groups
                .iter_mut()
                .find(|group| self.arms[group.runs[0]] == arm)
            {
                Some(group) => group.runs.push(at),
                None => groups.push(Group {
                    colour: groups.len(),
                    ..alone(at)
                }),
            }
        }
        for group in groups.iter_mut().filter(|group| group.runs.len() > 1) {
            group.name = self.common_name(&group.runs);
        }
        groups
    }

    /// What the labels of several seeds have in common, and how many they are.
    fn common_name(&self, runs: &[usize]) -> String {
        let first: Vec<&str> = self.runs[runs[0]].label.split('/').collect();
        let in_all = |part: &&str| {
            let mut labels = runs.iter().map(|&run| &self.runs[run].label);
            labels.all(|label| label.split('/').any(|other| other == *part))
        };
        let common: Vec<&str> = first.iter().copied().filter(in_all).collect();
        if common.is_empty() {
            return format!("{} and {} more", first.join("/"), runs.len() - 1);
        }
        format!("{}, {} seeds", common.join("/"), runs.len())
    }
}

/// The mean of the values of several seeds, and what lies around it.
fn spread(values: &[f64], band: Band) -> (f64, Option<[f64; 2]>) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    if values.len() < 2 {
        return (mean, None);
    }
    let around = match band {
        Band::Each => None,
        Band::Interval => over_seeds(values).and_then(|over| over.interval),
        Band::Range => {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            Some([least, most])
        }
    };
    (mean, around)
}

/// Whether an evaluation is of a trained critic, greedy or at the first temperature.
fn is_trained(row: &critique_eval::Row) -> bool {
    evaluation::rank(&row.stage) == 0 && !row.stage.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_have_a_mean_and_what_was_asked_for_around_it() {
        assert_eq!(
            spread(&[1.0, 3.0, 5.0], Band::Range),
            (3.0, Some([1.0, 5.0]))
        );
        // 3 ± 4.3027 · 2 / √3
        let (mean, around) = spread(&[1.0, 3.0, 5.0], Band::Interval);
        let [low, high] = around.unwrap();
        assert_eq!(mean, 3.0);
        assert!(
            (low + 1.968).abs() < 1e-3 && (high - 7.968).abs() < 1e-3,
            "{low} {high}"
        );
        assert_eq!(spread(&[2.0], Band::Interval), (2.0, None));
    }
}
