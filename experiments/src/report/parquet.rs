//! The records of a run as a Parquet file: a row a record, flattened columns whose names are those of
//! `records.jsonl` with the names above them before an underscore. Knows columns; computes nothing.

use std::sync::Arc;

use anyhow::Result;
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use crate::bench::record::{Finish, Record, SCHEMA};

/// What a column holds of a record.
#[derive(Clone, Copy)]
enum Values {
    Text(fn(&Record) -> Option<&str>),
    Integer(fn(&Record) -> Option<i64>),
    Real(fn(&Record) -> Option<f64>),
    Flag(fn(&Record) -> Option<bool>),
    Integers(fn(&Record) -> Vec<i64>),
    Reals(fn(&Record) -> Vec<f64>),
}

use Values::{Flag, Integer, Integers, Real, Reals, Text};

fn all(counts: &[u64]) -> Vec<i64> {
    counts.iter().map(|count| *count as i64).collect()
}

/// The columns, in their order. A name once given keeps its meaning as long as the schema its number.
const COLUMNS: &[(&str, Values)] = &[
    ("schema", Integer(|own| Some(i64::from(own.schema)))),
    ("run", Text(|own| Some(&own.run))),
    ("case", Text(|own| Some(&own.case))),
    ("case_key", Text(|own| Some(&own.case_key))),
    ("draft", Text(|own| Some(&own.draft))),
    ("method", Text(|own| Some(&own.method))),
    ("gamma", Integer(|own| Some(own.gamma as i64))),
    ("tree_nodes", Integer(|own| own.tree_nodes.map(|nodes| nodes as i64))),
    ("temperature", Real(|own| Some(own.temperature))),
    ("prompt_index", Integer(|own| Some(own.prompt_index as i64))),
    ("prompt_id", Text(|own| Some(&own.prompt_id))),
    ("category", Text(|own| Some(&own.category))),
    ("repeat", Integer(|own| Some(i64::from(own.repeat)))),
    ("turn", Integer(|own| Some(i64::from(own.turn)))),
    ("note", Text(|own| own.note.as_deref())),
    ("prompt_tokens", Integer(|own| Some(own.prompt_tokens as i64))),
    ("draft_prompt_tokens", Integer(|own| Some(own.draft_prompt_tokens as i64))),
    ("ids", Integers(|own| own.ids.iter().map(|id| i64::from(*id)).collect())),
    ("text", Text(|own| Some(&own.text))),
    ("finish", Text(|own| Some(finish(own.finish)))),
    ("num_spec_steps", Integer(|own| Some(own.counts.num_spec_steps as i64))),
    ("num_plain_steps", Integer(|own| Some(own.counts.num_plain_steps as i64))),
    ("num_draft_tokens", Integer(|own| Some(own.counts.num_draft_tokens as i64))),
    ("num_accepted_draft_tokens", Integer(|own| Some(own.counts.num_accepted_draft_tokens as i64))),
    ("num_emitted_tokens", Integer(|own| Some(own.counts.num_emitted_tokens as i64))),
    ("num_step_tokens", Integer(|own| Some(own.counts.num_step_tokens as i64))),
    ("acceptance_histogram", Integers(|own| all(&own.counts.acceptance_histogram))),
    ("acceptance_by_position", Integers(|own| all(&own.counts.acceptance_by_position))),
    ("proposed_by_position", Integers(|own| all(&own.counts.proposed_by_position))),
    ("reached_by_position", Integers(|own| all(&own.counts.reached_by_position))),
    ("accepted_by_candidate", Integers(|own| all(&own.counts.accepted_by_candidate))),
    ("draft_model_tokens", Integer(|own| Some(own.counts.draft_model_tokens as i64))),
    ("draft_model_passes", Integer(|own| Some(own.counts.draft_model_passes as i64))),
    ("draft_window_slides", Integer(|own| Some(own.counts.draft_window_slides as i64))),
    (
        "by_probability_candidates",
        Integers(|own| all(&own.counts.observed.by_probability.candidates)),
    ),
    ("by_probability_accepted", Integers(|own| all(&own.counts.observed.by_probability.accepted))),
    ("by_entropy_candidates", Integers(|own| all(&own.counts.observed.by_entropy.candidates))),
    ("by_entropy_accepted", Integers(|own| all(&own.counts.observed.by_entropy.accepted))),
    ("seconds_prefill", Real(|own| Some(own.seconds.prefill))),
    ("seconds_draft", Real(|own| Some(own.seconds.draft))),
    ("seconds_align", Real(|own| Some(own.seconds.align))),
    ("seconds_verify", Real(|own| Some(own.seconds.verify))),
    ("seconds_other", Real(|own| Some(own.seconds.other))),
    ("seconds_total", Real(|own| Some(own.seconds.total))),
    (
        "verify_passes_candidates",
        Integers(|own| own.verify_passes.times().iter().map(|own| own.candidates as i64).collect()),
    ),
    (
        "verify_passes_passes",
        Integers(|own| own.verify_passes.times().iter().map(|own| own.passes as i64).collect()),
    ),
    (
        "verify_passes_seconds",
        Reals(|own| own.verify_passes.times().iter().map(|own| own.seconds).collect()),
    ),
    ("repeats_itself", Flag(|own| Some(own.repeats_itself))),
    ("greedy_identical", Flag(|own| own.greedy.map(|greedy| greedy.identical))),
    (
        "greedy_first_difference",
        Integer(|own| own.greedy?.first_difference.map(|place| place as i64)),
    ),
    ("greedy_margin", Real(|own| own.greedy?.margin)),
    ("greedy_tie", Flag(|own| own.greedy.map(|greedy| greedy.tie))),
];

fn finish(own: Finish) -> &'static str {
    match own {
        Finish::Eos => "eos",
        Finish::Length => "length",
    }
}

/// The file.
pub(crate) fn render(records: &[&Record]) -> Result<Vec<u8>> {
    let schema = Arc::new(parse_message_type(&schema())?);
    let version = KeyValue::new("spec.schema".to_owned(), SCHEMA.to_string());
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_key_value_metadata(Some(vec![version]))
        .build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties))?;
    let mut rows = writer.next_row_group()?;
    for (_, values) in COLUMNS {
        if let Some(mut column) = rows.next_column()? {
            values.write(records, &mut column)?;
            column.close()?;
        }
    }
    rows.close()?;
    writer.close()?;
    Ok(bytes)
}

fn schema() -> String {
    let columns: Vec<String> =
        COLUMNS.iter().map(|(name, values)| values.declaration(name)).collect();
    format!("message records {{ {} }}", columns.join(" "))
}

impl Values {
    fn declaration(self, name: &str) -> String {
        let list = |element: &str| {
            format!(
                "required group {name} (LIST) {{ repeated group list {{ required {element} element; }} }}"
            )
        };
        match self {
            Text(_) => format!("optional binary {name} (STRING);"),
            Integer(_) => format!("optional int64 {name};"),
            Real(_) => format!("optional double {name};"),
            Flag(_) => format!("optional boolean {name};"),
            Integers(_) => list("int64"),
            Reals(_) => list("double"),
        }
    }

    fn write(self, records: &[&Record], column: &mut SerializedColumnWriter<'_>) -> Result<()> {
        match self {
            Text(of) => {
                let (values, there) = optional(records, |own| of(own).map(ByteArray::from));
                column.typed::<ByteArrayType>().write_batch(&values, Some(&there), None)?;
            }
            Integer(of) => {
                let (values, there) = optional(records, of);
                column.typed::<Int64Type>().write_batch(&values, Some(&there), None)?;
            }
            Real(of) => {
                let (values, there) = optional(records, of);
                column.typed::<DoubleType>().write_batch(&values, Some(&there), None)?;
            }
            Flag(of) => {
                let (values, there) = optional(records, of);
                column.typed::<BoolType>().write_batch(&values, Some(&there), None)?;
            }
            Integers(of) => {
                let (values, there, goes_on) = lists(records, of);
                column.typed::<Int64Type>().write_batch(&values, Some(&there), Some(&goes_on))?;
            }
            Reals(of) => {
                let (values, there, goes_on) = lists(records, of);
                column.typed::<DoubleType>().write_batch(&values, Some(&there), Some(&goes_on))?;
            }
        }
        Ok(())
    }
}

/// The values that there are, and for each record whether there is one.
fn optional<T>(records: &[&Record], of: impl Fn(&Record) -> Option<T>) -> (Vec<T>, Vec<i16>) {
    let cells: Vec<Option<T>> = records.iter().map(|own| of(own)).collect();
    let there = cells.iter().map(|own| i16::from(own.is_some())).collect();
    (cells.into_iter().flatten().collect(), there)
}

/// The entries of all lists; for each, or for an empty list, whether it is one, and whether it goes on
/// with the list before it.
fn lists<T>(records: &[&Record], of: fn(&Record) -> Vec<T>) -> (Vec<T>, Vec<i16>, Vec<i16>) {
    let (mut values, mut there, mut goes_on) = (Vec::new(), Vec::new(), Vec::new());
    for own in records.iter().map(|own| of(own)) {
        there.extend(std::iter::repeat_n(i16::from(!own.is_empty()), own.len().max(1)));
        goes_on.push(0);
        goes_on.extend(std::iter::repeat_n(1, own.len().saturating_sub(1)));
        values.extend(own);
    }
    (values, there, goes_on)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;
    use crate::bench::summary::tests::records;

    #[test]
    fn every_record_is_a_row_with_its_lists_and_gaps() {
        let records = records();
        let bytes = render(&records.iter().collect::<Vec<_>>()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), records.len());
        for (row, record) in rows.iter().zip(&records) {
            let of = |name: &str| {
                row.get_column_iter()
                    .find(|(own, _)| *own == name)
                    .map(|own| own.1.clone())
                    .unwrap()
            };
            assert_eq!(row.len(), COLUMNS.len());
            assert_eq!(of("category"), Field::Str(record.category.clone()));
            assert_eq!(of("seconds_total"), Field::Double(record.seconds.total));
            let Field::ListInternal(list) = of("acceptance_histogram") else { panic!("no list") };
            let steps: Vec<Field> = list.elements().to_vec();
            let expected = record.counts.acceptance_histogram.iter();
            assert_eq!(steps, expected.map(|own| Field::Long(*own as i64)).collect::<Vec<_>>());
            let margin = record.greedy.and_then(|own| own.margin);
            assert_eq!(of("greedy_margin"), margin.map_or(Field::Null, Field::Double));
        }
        assert!(!render(&[]).unwrap().is_empty());
    }
}
