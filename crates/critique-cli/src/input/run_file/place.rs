//! Where a setting stands in the text of a run file.

use std::fmt;
use std::ops::Range;

use miette::{LabeledSpan, NamedSource, SourceCode};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use crate::failure::Failure;

/// A message with the lines of a file.
#[derive(Debug)]
struct Misfit {
    message: String,
    help: Option<String>,
    source: NamedSource<String>,
    label: LabeledSpan,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

impl miette::Diagnostic for Misfit {
    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(self.label.clone())))
    }
}

/// A failure that points at a place in a run file; without one, it names the file.
pub(super) fn report(
    name: &str,
    text: &str,
    message: String,
    help: Option<String>,
    at: Option<Range<usize>>,
) -> Failure {
    let Some(at) = at else {
        return Failure::usage(format!("{name}: {message}")).with_help(help);
    };
    let label = LabeledSpan::new_with_span(None, first_line(text, at));
    let source = NamedSource::new(name, text.to_owned());
    Failure::at_place(miette::Report::new(Misfit {
        message,
        help,
        source,
        label,
    }))
}

/// A span cut at the end of its first line: a table of many lines is named by its head.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let line = text
        .get(start..end)
        .and_then(|inside| inside.find('\n'))
        .map_or(end, |length| start + length);
    start..line.max(start)
}

/// Where the key at the end of a path stands, or as much of the path as the file has.
pub(super) fn span(text: &str, path: &[String]) -> Option<Range<usize>> {
    let file = DeTable::parse(text).ok()?;
    let mut at: At<'_, '_> = At::Table(file.get_ref());
    let mut best = None;
    for key in path {
        let Some((span, next)) = at.enter(key) else {
            break;
        };
        best = Some(span);
        at = next;
    }
    best
}

enum At<'a, 't> {
    Table(&'a DeTable<'t>),
    List(&'a [Spanned<DeValue<'t>>]),
    Value,
}

impl<'a, 't> At<'a, 't> {
    fn enter(&self, key: &str) -> Option<(Range<usize>, At<'a, 't>)> {
        let (span, value) = match self {
            At::Table(table) => {
                let (key, value) = table
                    .iter()
                    .find(|(found, _)| found.get_ref().as_ref() == key)?;
                (key.span(), value)
            }
            At::List(list) => {
                let value = list.get(key.parse::<usize>().ok()?)?;
                (value.span(), value)
            }
            At::Value => return None,
        };
        let next = match value.get_ref() {
            DeValue::Table(table) => At::Table(table),
            DeValue::Array(list) => At::List(list),
            _ => At::Value,
        };
        Some((span, next))
    }
}

/// The value at a path.
pub(super) fn get<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(table.get(first)?, |value, key| match value {
            Value::Array(list) => list.get(key.parse::<usize>().ok()?),
            value => value.get(key),
        })
}

/// The way to the outermost key of this name in a table and the tables within it.
pub(super) fn find(table: &Table, key: &str) -> Option<Vec<String>> {
    if table.contains_key(key) {
        return Some(vec![key.to_owned()]);
    }
    table.iter().find_map(|(name, value)| {
        let mut path = find(value.as_table()?, key)?;
        path.insert(0, name.clone());
        Some(path)
    })
}

/// What a person calls an entry of a list.
pub(super) fn name_or_index(entry: &Table, index: usize) -> String {
    entry
        .get("name")
        .and_then(Value::as_str)
        .map_or_else(|| index.to_string(), str::to_owned)
}
