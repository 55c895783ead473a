//! What a run tells while it works.

use critique_eval::Row;
use critique_run::{Measure, Metrics};

/// News of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stage begins, or goes on from a checkpoint.
    StageStart {
        /// Its name.
        stage: &'a str,
        /// Its place, counted from 1.
        index: usize,
        /// Stages of the run.
        stages: usize,
        /// Steps already done.
        done: usize,
        /// Steps in all.
        steps: usize,
    },
    /// Updates of a stage are taken once more, up to a step of it.
    ReplayStart {
        /// Its name.
        stage: &'a str,
        /// Steps already done where it begins.
        done: usize,
        /// Steps done where it ends.
        steps: usize,
    },
    /// A step was taken.
    Step {
        /// The stage.
        stage: &'a str,
        /// Steps done.
        done: usize,
        /// Its numbers.
        metrics: &'a Metrics,
    },
    /// A stage was done before, in the run that is resumed.
    StageSkipped {
        /// Its name.
        stage: &'a str,
    },
    /// A stage is done and its model is saved.
    StageEnd {
        /// Its name.
        stage: &'a str,
        /// Most bytes resident in its steps; 0 where the system does not say.
        peak_bytes: usize,
    },
    /// An evaluation begins.
    EvalStart {
        /// Name of its row.
        name: &'a str,
        /// Problems.
        problems: usize,
    },
    /// An evaluation is done.
    EvalEnd {
        /// Its figures.
        row: &'a Row,
    },
    /// A gate was met.
    GateMet {
        /// The stage.
        stage: &'a str,
        /// What was measured.
        measure: Measure,
        /// What came out.
        value: f64,
        /// What was asked.
        at_least: f64,
    },
    /// Something a person should know; nothing has failed.
    Note {
        /// A sentence.
        text: &'a str,
    },
}

/// Hears the news of a run.
pub trait Observer {
    /// Called for every event, in order.
    fn on(&mut self, event: &Event<'_>);
}

/// Hears nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn on(&mut self, _: &Event<'_>) {}
}
