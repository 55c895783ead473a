//! How long a run still takes, as far as its steps so far tell.
//!
//! A stage to come takes a step's time of the last stage of its kind. Evaluations are left out, and
//! gates may end a stage early, so the sum is what steps take at most.

use std::collections::BTreeMap;
use std::path::Path;

use critique_run::{Metrics, RunConfig, StageConfig, read_metrics};

/// Steps that tell a stage's pace: the last ones, since texts grow and shrink while it learns.
const RECENT: usize = 20;

/// What a run has to do, and how fast it was.
#[derive(Debug, Default)]
pub(crate) struct TimeLeft {
    stages: Vec<Planned>,
    /// Seconds of the last steps of each stage.
    paces: BTreeMap<String, Vec<f64>>,
}

#[derive(Debug, PartialEq)]
struct Planned {
    name: String,
    rl: bool,
    steps: usize,
}

/// What is left of a run.
#[derive(Debug, PartialEq)]
pub(crate) struct Left {
    /// Of steps whose pace is known.
    pub(crate) seconds: f64,
    /// Stages of a kind that has not been seen yet.
    pub(crate) unknown: usize,
}

impl TimeLeft {
    /// Of a run with these settings; steps that an earlier process took tell their pace too.
    pub(crate) fn of(config: &RunConfig, metrics: &Path) -> Self {
        let planned = |stage: &StageConfig| Planned {
            name: stage.name().to_owned(),
            rl: stage.makes_rollouts(),
            steps: stage.steps(),
        };
        let mut left = Self {
            stages: config.stages.iter().map(planned).collect(),
            paces: BTreeMap::new(),
        };
        // Without a file nothing is known, and one that is damaged is told by the trainer.
        for step in read_metrics(metrics).unwrap_or_default() {
            left.add(&step.stage, step.get("time/step"));
        }
        left
    }

    /// A step was taken.
    pub(crate) fn step(&mut self, stage: &str, metrics: &Metrics) {
        let seconds = metrics.get("time/step").and_then(serde_json::Value::as_f64);
        self.add(stage, seconds);
    }

    fn add(&mut self, stage: &str, seconds: Option<f64>) {
        let Some(seconds) = seconds else { return };
        let pace = self.paces.entry(stage.to_owned()).or_default();
        if pace.len() == RECENT {
            pace.remove(0);
        }
        pace.push(seconds);
    }

    /// What is left when this many steps of a stage are done; nothing before the first step of it is.
    pub(crate) fn after(&self, stage: &str, done: usize) -> Option<Left> {
        let at = self
            .stages
            .iter()
            .position(|planned| planned.name == stage)?;
        let own = self.pace(stage)?;
        let mut left = Left {
            seconds: own * self.stages[at].steps.saturating_sub(done) as f64,
            unknown: 0,
        };
        for (number, next) in self.stages.iter().enumerate().skip(at + 1) {
            match self.expected(number) {
                Some(pace) => left.seconds += pace * next.steps as f64,
                None => left.unknown += 1,
            }
        }
        Some(left)
    }

    fn pace(&self, stage: &str) -> Option<f64> {
        let steps = self.paces.get(stage).filter(|steps| !steps.is_empty())?;
        Some(steps.iter().sum::<f64>() / steps.len() as f64)
    }

    /// The pace of a stage to come: its own, where it was begun before, or that of its kind.
    fn expected(&self, number: usize) -> Option<f64> {
        let stage = &self.stages[number];
        let kin = self.stages[..number].iter().rev();
        let mut kin = kin.filter(|other| other.rl == stage.rl);
        self.pace(&stage.name)
            .or_else(|| kin.find_map(|other| self.pace(&other.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(name: &str, rl: bool, steps: usize) -> Planned {
        let name = name.to_owned();
        Planned { name, rl, steps }
    }

    #[test]
    fn stages_to_come_are_as_fast_as_the_last_of_their_kind() {
        let mut left = TimeLeft {
            stages: vec![
                planned("sft", false, 10),
                planned("one", true, 5),
                planned("two", true, 4),
            ],
            paces: BTreeMap::new(),
        };
        assert_eq!(left.after("sft", 0), None);
        left.add("sft", Some(2.0));
        assert_eq!(
            left.after("sft", 4),
            Some(Left {
                seconds: 12.0,
                unknown: 2
            })
        );
        left.add("one", Some(1.0));
        left.add("one", Some(3.0));
        assert_eq!(
            left.after("one", 2),
            Some(Left {
                seconds: 14.0,
                unknown: 0
            })
        );
        left.add("two", Some(10.0));
        assert_eq!(
            left.after("one", 5),
            Some(Left {
                seconds: 40.0,
                unknown: 0
            })
        );
    }

    #[test]
    fn recent_steps_tell_the_pace() {
        let mut left = TimeLeft {
            stages: vec![planned("one", true, 100)],
            paces: BTreeMap::new(),
        };
        for seconds in [100.0, 1.0].into_iter().chain([1.0; RECENT]) {
            left.add("one", Some(seconds));
        }
        assert_eq!(
            left.after("one", 90),
            Some(Left {
                seconds: 10.0,
                unknown: 0
            })
        );
    }
}
