//! Rollouts as a table in a parquet file.

use std::path::Path;
use std::sync::Arc;

use critique_core::files::write_whole;
use critique_core::{Judgment, Verdict};
use critique_rollout::RolloutRecord;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use crate::failure::Failure;

/// A column: its name, and a value a rollout.
struct Column {
    name: String,
    values: Values,
}

enum Values {
    Whole(Vec<i64>),
    /// A value that is not there is null.
    Numbers(Vec<Option<f64>>),
    Flags(Vec<bool>),
    Texts(Vec<Option<String>>),
}

/// Writes the rollouts of a step, whole or not at all.
pub(super) fn write(path: &Path, step: usize, records: &[RolloutRecord]) -> Result<(), Failure> {
    let bytes = table(&columns(step, records)).map_err(Failure::failed)?;
    if let Some(folder) = path.parent() {
        critique_core::files::make_folder(folder).map_err(Failure::failed)?;
    }
    write_whole(path, &bytes).map_err(Failure::failed)
}

/// TRL's columns in TRL's order: rewards by name and what else is known stand between the completion
/// and the advantage.
fn columns(step: usize, records: &[RolloutRecord]) -> Vec<Column> {
    let texts = |of: &dyn Fn(&RolloutRecord) -> Option<String>| {
        Values::Texts(records.iter().map(of).collect())
    };
    let numbers = |of: &dyn Fn(&RolloutRecord) -> Option<f32>| {
        let wide = |record| of(record).map(f64::from);
        Values::Numbers(records.iter().map(wide).collect())
    };
    let mut columns = vec![
        ("step", Values::Whole(vec![step as i64; records.len()])),
        (
            "prompt",
            texts(&|it| Some(format!("{}\n\n{}", it.question, it.response))),
        ),
        ("completion", texts(&|it| Some(it.critique.clone()))),
    ];
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in records.iter().flat_map(|record| &record.rewards) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let rewards = names.len();
    for name in names {
        let value = |it: &RolloutRecord| {
            let mut rewards = it.rewards.iter();
            rewards
                .find(|(known, _)| known == name)
                .map(|(_, value)| *value)
        };
        columns.push((name, numbers(&value)));
    }
    columns.extend([
        ("id", texts(&|it| Some(it.id.clone()))),
        ("problem", texts(&|it| Some(it.problem.clone()))),
        ("question", texts(&|it| Some(it.question.clone()))),
        ("gold", texts(&|it| Some(it.gold.clone()))),
        ("response", texts(&|it| Some(it.response.clone()))),
        (
            "refined",
            texts(&|it| Some(it.refinements.first()?.text.clone())),
        ),
        ("verdict", texts(&|it| Some(name_of(it.verdict)))),
        (
            "verdict_refined",
            texts(&|it| Some(name_of(it.refinements.first()?.verdict))),
        ),
        ("judgment", texts(&|it| Some(claim(it.judgment)))),
        (
            "judged_rightly",
            Values::Flags(records.iter().map(|it| it.judged_rightly).collect()),
        ),
        ("reward", numbers(&|it| Some(it.reward))),
        ("advantage", numbers(&|it| Some(it.advantage))),
    ]);
    // A reward may have the name of another column.
    let taken = |at: usize| {
        columns
            .iter()
            .enumerate()
            .any(|(other, (name, _))| other != at && *name == columns[at].0)
    };
    let rewards = 3..3 + rewards;
    let names: Vec<String> = (0..columns.len())
        .map(|at| match columns[at].0 {
            name if rewards.contains(&at) && taken(at) => format!("rewards/{name}"),
            name => name.to_owned(),
        })
        .collect();
    let values = columns.into_iter().map(|(_, values)| values);
    let named = names.into_iter().zip(values);
    named
        .map(|(name, values)| Column { name, values })
        .collect()
}

fn name_of(verdict: Verdict) -> String {
    let name = match verdict {
        Verdict::Correct => "correct",
        Verdict::Wrong => "wrong",
        Verdict::Unparsed => "unparsed",
    };
    name.to_owned()
}

fn claim(judgment: Judgment) -> String {
    match judgment {
        Judgment::Correct => "correct".to_owned(),
        Judgment::Wrong => "wrong".to_owned(),
        Judgment::Unparsed => "unparsed".to_owned(),
        Judgment::Score(score) => score.to_string(),
    }
}

fn table(columns: &[Column]) -> Result<Vec<u8>, ParquetError> {
    let fields = columns.iter().map(Column::kind).collect::<Result<_, _>>()?;
    let schema = Type::group_type_builder("schema")
        .with_fields(fields)
        .build()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties.build()))?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        column.write(&mut group)?;
    }
    group.close()?;
    writer.close()?;
    Ok(bytes)
}

impl Column {
    fn kind(&self) -> Result<TypePtr, ParquetError> {
        let (physical, logical, repetition) = match &self.values {
            Values::Whole(_) => (Physical::INT64, None, Repetition::REQUIRED),
            Values::Flags(_) => (Physical::BOOLEAN, None, Repetition::REQUIRED),
            Values::Numbers(_) => (Physical::DOUBLE, None, Repetition::OPTIONAL),
            Values::Texts(_) => (
                Physical::BYTE_ARRAY,
                Some(LogicalType::String),
                Repetition::OPTIONAL,
            ),
        };
        let builder = Type::primitive_type_builder(&self.name, physical);
        let built = builder
            .with_logical_type(logical)
            .with_repetition(repetition)
            .build()?;
        Ok(Arc::new(built))
    }

    fn write<W: std::io::Write + Send>(
        &self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General(format!(
                "the table has no column {}",
                self.name
            )));
        };
        match &self.values {
            Values::Whole(values) => {
                column
                    .typed::<Int64Type>()
                    .write_batch(values, None, None)?;
            }
            Values::Flags(values) => {
                column.typed::<BoolType>().write_batch(values, None, None)?;
            }
            Values::Numbers(values) => {
                let there: Vec<f64> = values.iter().flatten().copied().collect();
                column
                    .typed::<DoubleType>()
                    .write_batch(&there, Some(&levels(values)), None)?;
            }
            Values::Texts(values) => {
                let bytes = |text: &String| ByteArray::from(text.as_str());
                let there: Vec<ByteArray> = values.iter().flatten().map(bytes).collect();
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&there, Some(&levels(values)), None)?;
            }
        }
        column.close()
    }
}

/// 1 where there is a value, 0 where it is null.
fn levels<T>(values: &[Option<T>]) -> Vec<i16> {
    values
        .iter()
        .map(|value| i16::from(value.is_some()))
        .collect()
}
