//! Trackers that hear of a run while it goes on.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use critique_run::{RunConfig, RunDir};
use critique_track::{Follower, TrackError};
use critique_trainer::{Event, Observer};

use crate::commands::track::followers;

/// How often the run folder is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Hears a run, shows it, and has a thread beside it tell the trackers: one that is slow or down
/// costs the run nothing.
pub(crate) struct Tracking<'a> {
    config: &'a RunConfig,
    shown: &'a mut dyn Observer,
    beside: Option<Beside>,
}

struct Beside {
    /// Says that the run has ended: well, or not.
    end: Sender<bool>,
    notes: Receiver<String>,
    thread: JoinHandle<()>,
}

impl<'a> Tracking<'a> {
    pub(crate) fn new(config: &'a RunConfig, shown: &'a mut dyn Observer) -> Self {
        Self {
            config,
            shown,
            beside: None,
        }
    }

    /// Tells the trackers the rest. Waits for them, but for those that are down.
    pub(crate) fn end(mut self, well: bool) {
        let Some(beside) = self.beside.take() else {
            return;
        };
        // A thread that is gone has nothing to tell any more.
        let _ = beside.end.send(well);
        let _ = beside.thread.join();
        for note in beside.notes.try_iter() {
            self.shown.on(&Event::Note { text: &note });
        }
    }

    /// By the first event the folder holds the run, and what is taken again was cut off.
    fn begin(&mut self) {
        let track = &self.config.track;
        if self.beside.is_some() || !(track.tensorboard || track.mlflow.is_some()) {
            return;
        }
        let begun = match RunDir::existing(&self.config.out) {
            Ok(dir) => followers(&dir, track),
            Err(error) => vec![Err(error.into())],
        };
        let (end, ended) = channel();
        let (say, notes) = channel();
        let mut followers = Vec::new();
        for follower in begun {
            // A tracker that cannot begin does not stop the others.
            match follower {
                Ok(follower) => followers.push(follower),
                Err(error) => {
                    let _ = say.send(told(&error));
                }
            }
        }
        let thread = std::thread::spawn(move || follow(followers, &ended, &say));
        self.beside = Some(Beside { end, notes, thread });
    }
}

impl Observer for Tracking<'_> {
    fn on(&mut self, event: &Event<'_>) {
        self.begin();
        self.shown.on(event);
        if let Some(beside) = &self.beside {
            for note in beside.notes.try_iter() {
                self.shown.on(&Event::Note { text: &note });
            }
        }
    }
}

/// Looks at the run folder until the run has ended. What a tracker says is told once, until it
/// says something else.
fn follow(mut followers: Vec<Follower>, ended: &Receiver<bool>, say: &Sender<String>) {
    let mut last: Vec<Option<String>> = followers.iter().map(|_| None).collect();
    loop {
        let end = match ended.recv_timeout(EVERY) {
            Ok(well) => Some(well),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(false),
        };
        for (follower, last) in followers.iter_mut().zip(&mut last) {
            let done = match end {
                Some(well) => follower.end(well),
                None => follower.poll(),
            };
            let error = done.err().map(|error| told(&error));
            if error.is_some() && error != *last {
                let _ = say.send(error.clone().unwrap_or_default());
            }
            *last = error;
        }
        if end.is_some() {
            return;
        }
    }
}

fn told(error: &TrackError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |it| it.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    format!("tracking: {}; the run goes on without it", words.join(": "))
}
