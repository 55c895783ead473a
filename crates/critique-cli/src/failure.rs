//! Why a command failed, how that is shown, and its exit code.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use critique_core::files::FileError;
use critique_eval::EvalError;
use critique_model::ModelError;
use critique_run::{Misfit, RunError};
use critique_tasks::TaskError;
use critique_text::TextError;
use critique_trainer::TrainError;
use miette::{GraphicalReportHandler, GraphicalTheme};

use crate::input::folder::what_would_do;
use crate::output::out::{self, visible};

/// What a failure means to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The reader of our output went away, which is its right.
    Quiet,
    /// The work could not be done.
    Failed,
    /// The command line or the run file asks for what cannot be.
    Usage,
    /// A figure that was asked for was not reached, or a loss was not finite.
    Gate,
    /// A signal ended the work; a checkpoint is saved.
    Signal(u8),
}

/// A failure with all that is shown of it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: Box<dyn Error + Send + Sync>,
    help: Option<String>,
    /// Shown in place of the error where there is a place in a file to point at.
    place: Option<miette::Report>,
}

impl Failure {
    /// Exit code 1.
    pub(crate) fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Exit::Failed, error)
    }

    /// Exit code 2.
    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Exit::Usage, error)
    }

    /// Exit code 3.
    pub(crate) fn gate(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Exit::Gate, error)
    }

    fn new(exit: Exit, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            exit,
            error: error.into(),
            help: None,
            place: None,
        }
    }

    /// Exit code 2, with a place in the run file.
    pub(crate) fn at_place(report: miette::Report) -> Self {
        let error = report.to_string();
        Self {
            place: Some(report),
            ..Self::usage(error)
        }
    }

    /// Adds what would do, where that is known.
    pub(crate) fn with_help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    /// The same failure with another exit code.
    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// 0, 1, 2, 3, or 128 and the number of the signal.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.exit {
            Exit::Quiet => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Gate => 3,
            Exit::Signal(number) => 128 + number,
        }
    }

    /// Prints it on standard error.
    pub(crate) fn show(&self) {
        if self.exit == Exit::Quiet {
            return;
        }
        let mut text = self
            .placed()
            .unwrap_or_else(|| format!("{}{}", label("error"), visible(&chain(&*self.error))));
        if let Some(help) = &self.help {
            let _ = write!(text, "\n  help: {}", visible(help));
        }
        out::tell(text);
    }

    /// The error with the lines of the file it is about.
    fn placed(&self) -> Option<String> {
        let report = self.place.as_ref()?;
        let theme = if out::colours() {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
        let mut lines = String::new();
        handler.render_report(&mut lines, report.as_ref()).ok()?;
        // The message stands on its first line like that of any other error.
        let snippet = lines
            .find('╭')
            .and_then(|corner| lines[..corner].rfind('\n'))
            .map_or("", |end| &lines[end..]);
        let message = report.to_string();
        let message = visible(&message);
        Some(format!("{}{message}{}", label("error"), snippet.trim_end()))
    }
}

fn label(word: &str) -> String {
    if out::colours() {
        format!("\u{1b}[1;31m{word}\u{1b}[0m: ")
    } else {
        format!("{word}: ")
    }
}

/// An error with its causes, each on a line of its own and said once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string().trim_end().to_owned();
        if said != last {
            let _ = write!(text, "\n  caused by: {said}");
        }
        last = said;
        cause = error.source();
    }
    text
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let exit = if error.kind() == io::ErrorKind::BrokenPipe {
            Exit::Quiet
        } else {
            Exit::Failed
        };
        Self::new(exit, error)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        let would_do = would_do(&error);
        Self::new(exit_of_model(&error), error).with_help(would_do)
    }
}

/// What a person can do whose model folder has not the file that was to be read.
fn would_do(error: &ModelError) -> Option<String> {
    match error {
        ModelError::File(FileError::Read { path, .. })
        | ModelError::Text(TextError::File(FileError::Read { path, .. })) => {
            what_would_do(path.parent()?)
        }
        _ => None,
    }
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Self {
        Self::new(exit_of_task(&error), error)
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        Self::failed(error)
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        let exit = match &error {
            TrainError::Run(RunError::Setting(_) | RunError::Folder { .. }) => Exit::Usage,
            TrainError::NotFinite { .. }
            | TrainError::Gate { .. }
            | TrainError::LearntNothing { .. } => Exit::Gate,
            TrainError::Interrupted { .. } => Exit::Signal(2),
            TrainError::Model(error) => exit_of_model(error),
            TrainError::Task(error) => exit_of_task(error),
            _ => Exit::Failed,
        };
        let would_do = match &error {
            TrainError::Model(error) => would_do(error),
            _ => None,
        };
        Self::new(exit, error).with_help(would_do)
    }
}

fn exit_of_model(error: &ModelError) -> Exit {
    if matches!(error, ModelError::Device { .. }) {
        Exit::Usage
    } else {
        Exit::Failed
    }
}

fn exit_of_task(error: &TaskError) -> Exit {
    let usage = matches!(
        error,
        TaskError::Unknown { .. }
            | TaskError::Options { .. }
            | TaskError::Table(_)
            | TaskError::NoDemonstrations { .. }
    );
    if usage { Exit::Usage } else { Exit::Failed }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<Misfit> for Failure {
    fn from(misfit: Misfit) -> Self {
        TrainError::from(misfit).into()
    }
}

impl From<TextError> for Failure {
    fn from(error: TextError) -> Self {
        ModelError::from(error).into()
    }
}
