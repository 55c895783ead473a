//! News of a run on standard error: a bar with the time left, or plain lines where no person
//! watches.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use critique_eval::Row;
use critique_trainer::{Event, Measure, Metrics, Observer, RunConfig};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::out;
use crate::output::time_left::TimeLeft;

/// How long a run may be silent where nobody watches: a line of a stage that takes longer comes
/// this often.
const QUIET: Duration = Duration::from_secs(30);

/// Hears a run and shows it.
pub(crate) struct Progress {
    /// Whether a person watches; without one there are no bars.
    watched: bool,
    bar: Option<ProgressBar>,
    /// Start of the stage or evaluation at hand.
    begin: Instant,
    /// `stage 3/6 critiques`.
    stage: String,
    /// The last numbers of the stage.
    last: String,
    /// Steps done where the stage began, and in all.
    steps: (usize, usize),
    /// When the last line of a step was written, where nobody watches.
    told: Instant,
    /// Of the whole run.
    time: TimeLeft,
    /// ` (run: 8 min left at most)`, or nothing.
    whole: String,
    stop: Arc<AtomicBool>,
    told_stop: bool,
}

impl Progress {
    /// `stop` is the flag that asks the run for an end.
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        Self {
            watched: io::stderr().is_terminal(),
            bar: None,
            begin: Instant::now(),
            stage: String::new(),
            last: String::new(),
            steps: (0, 0),
            told: Instant::now(),
            time: TimeLeft::default(),
            whole: String::new(),
            stop,
            told_stop: false,
        }
    }

    /// Also tells the time that is left of a run with these settings.
    pub(crate) fn of_run(mut self, config: &RunConfig) -> Self {
        self.time = TimeLeft::of(config, &config.out.join("metrics.jsonl"));
        self
    }

    /// Takes away what is left of a bar.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: impl AsRef<str>) {
        match &self.bar {
            Some(bar) => bar.suspend(|| out::tell(text)),
            None => out::tell(text),
        }
    }

    fn start_stage(&mut self, name: &str, place: (usize, usize), done: usize, steps: usize) {
        let from = if done > 0 {
            format!(" from step {done}")
        } else {
            String::new()
        };
        let name = format!("stage {}/{} {name}", place.0, place.1);
        let line = format!("{name}: {steps} steps{from}");
        self.start(name, &line, done, steps);
    }

    /// Work of so many steps, with a bar, or else with a line that says so.
    fn start(&mut self, name: String, line: &str, done: usize, steps: usize) {
        self.end();
        self.begin = Instant::now();
        self.stage = name;
        self.last = String::new();
        self.steps = (done, steps);
        self.told = self.begin;
        if self.watched {
            let bar = ProgressBar::new(steps as u64)
                .with_position(done as u64)
                .with_prefix(self.stage.clone());
            bar.set_style(style(
                "{prefix} {bar:20} {pos}/{len}, {eta} left  {wide_msg}",
            ));
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_secs(1));
            self.bar = Some(bar);
        } else {
            self.line(line);
        }
    }

    fn step(&mut self, stage: &str, done: usize, metrics: &Metrics) {
        self.last = numbers(metrics);
        self.time.step(stage, metrics);
        self.whole = self.whole_run(stage, done);
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
            bar.set_message(format!("{}{}", self.last, self.whole));
        } else if self.told.elapsed() >= QUIET {
            self.told = Instant::now();
            self.line(self.so_far(done));
        }
        if self.stop.load(Ordering::Relaxed) && !self.told_stop {
            self.told_stop = true;
            self.line(
                "stopping: the checkpoint is being written; the same signal again ends at once",
            );
        }
    }

    /// Where the stage stands. A gate may end it before its last step, so the time left is what it
    /// takes at most.
    fn so_far(&self, done: usize) -> String {
        let (from, steps) = self.steps;
        let a_step = self.begin.elapsed().as_secs_f64() / done.saturating_sub(from).max(1) as f64;
        let left = a_step * steps.saturating_sub(done) as f64;
        format!(
            "{}: step {done} of {steps}, {} left at most: {}{}",
            self.stage,
            duration(left),
            self.last,
            self.whole
        )
    }

    /// What steps of the whole run still take, where that is more than those of the stage. A kind of
    /// stage that has not been seen is named as unknown, and evaluations are not in it.
    fn whole_run(&self, stage: &str, done: usize) -> String {
        let Some(left) = self.time.after(stage, done) else {
            return String::new();
        };
        let unknown = match left.unknown {
            0 => String::new(),
            1 => " and a stage of unknown pace".to_owned(),
            count => format!(" and {count} stages of unknown pace"),
        };
        let seconds = duration(left.seconds);
        format!("  (run: {seconds} of steps left at most{unknown})")
    }

    fn end_stage(&mut self, peak_bytes: usize) {
        self.end();
        let last = if self.last.is_empty() {
            String::new()
        } else {
            format!(": {}", self.last)
        };
        let memory = match peak_bytes >> 20 {
            0 => String::new(),
            mib => format!(", {mib} MiB at most"),
        };
        self.line(format!(
            "{} done in {}{memory}{last}",
            self.stage,
            seconds(self.begin)
        ));
    }

    fn start_eval(&mut self, name: &str, problems: usize) {
        self.end();
        self.begin = Instant::now();
        let text = format!("evaluating {name} on {problems} problems");
        if self.watched {
            let bar = ProgressBar::new_spinner().with_message(text);
            bar.set_style(style("{spinner} {msg}, {elapsed}"));
            bar.enable_steady_tick(Duration::from_millis(200));
            self.bar = Some(bar);
        } else {
            self.line(text);
        }
    }

    fn end_eval(&mut self, row: &Row) {
        self.end();
        self.line(format!(
            "eval of {} done in {}: {}",
            row.stage,
            seconds(self.begin),
            figures(row)
        ));
    }
}

impl Observer for Progress {
    fn on(&mut self, event: &Event<'_>) {
        match event {
            Event::StageStart {
                stage,
                index,
                stages,
                done,
                steps,
            } => {
                self.start_stage(stage, (*index, *stages), *done, *steps);
            }
            Event::ReplayStart { stage, done, steps } if done < steps => {
                let line = format!("taking steps {} to {steps} of {stage} again", done + 1);
                self.start(format!("{stage} again"), &line, *done, *steps);
            }
            Event::Step {
                stage,
                done,
                metrics,
            } => self.step(stage, *done, metrics),
            Event::StageSkipped { stage } => self.line(format!("stage {stage} was done before")),
            Event::StageEnd { peak_bytes, .. } => self.end_stage(*peak_bytes),
            Event::EvalStart { name, problems } => self.start_eval(name, *problems),
            Event::EvalEnd { row } => self.end_eval(row),
            Event::GateMet {
                stage,
                measure,
                value,
                at_least,
            } => {
                let what = measured(*measure);
                self.line(format!(
                    "gate of {stage} met: {what} {value:.3}, at least {at_least} asked"
                ));
            }
            Event::Note { text } => self.line(format!("note: {}", out::visible(text))),
            _ => {}
        }
    }
}

/// Seconds in words.
fn duration(seconds: f64) -> String {
    match seconds {
        it if it < 90.0 => format!("{it:.0} s"),
        it if it < 5400.0 => format!("{:.0} min", it / 60.0),
        it => format!("{:.1} h", it / 3600.0),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
}

fn measured(measure: Measure) -> &'static str {
    match measure {
        Measure::Accuracy => "accuracy",
        Measure::Discriminability => "balanced Acc@Dis",
        Measure::PerfectRefinement => "Acc@Refine by perfect critiques",
        Measure::Obedience => "obedience to verdicts against the steps",
        Measure::Stubbornness => "wrong whatever help, where meant to be",
    }
}

fn seconds(begin: Instant) -> String {
    format!("{:.1} s", begin.elapsed().as_secs_f64())
}

/// The numbers of a step that tell how it goes.
fn numbers(metrics: &Metrics) -> String {
    let shown = [
        ("reward", "reward"),
        ("acc_dis", "Acc@Dis"),
        ("acc_refined", "Acc@Refine"),
        ("kl_sequence", "KL"),
        ("loss", "loss"),
    ];
    let reinforced = metrics.contains_key("reward");
    let part = |(key, word): (&str, &str)| {
        // The loss of a policy update says nothing to a person.
        let value = metrics
            .get(key)?
            .as_f64()
            .filter(|_| !(reinforced && key == "loss"))?;
        Some(format!("{word} {}", out::number(value, 3)))
    };
    shown
        .into_iter()
        .filter_map(part)
        .collect::<Vec<_>>()
        .join("  ")
}

fn figures(row: &Row) -> String {
    let alone = row.acc_dis.is_none();
    let shown = [
        ("Acc", row.acc_initial.filter(|_| alone)),
        ("Acc@Refine", row.acc_refined.filter(|_| !alone)),
        ("balanced Acc@Dis", row.acc_dis_balanced),
    ];
    let part = |(word, value): (&str, Option<f64>)| {
        let value = value?;
        if row.gives_scores() && word != "balanced Acc@Dis" {
            return Some(format!("{} {value:.2}", word.replace("Acc", "score")));
        }
        Some(format!("{word} {:.1} %", 100.0 * value))
    };
    shown
        .into_iter()
        .filter_map(part)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_goes_on_counts_its_own_steps_alone() {
        let mut progress = Progress::new(Arc::default());
        progress.stage = "stage 1/2 sft".into();
        progress.last = "loss 0.5".into();
        progress.steps = (90, 100);
        let Some(begin) = Instant::now().checked_sub(Duration::from_mins(2)) else {
            return;
        };
        progress.begin = begin;
        // Two steps in two minutes, eight to go.
        let wanted = "stage 1/2 sft: step 92 of 100, 8 min left at most: loss 0.5";
        assert_eq!(progress.so_far(92), wanted);
        assert_eq!(duration(30.4), "30 s");
        assert_eq!(duration(7200.0), "2.0 h");
    }
}
