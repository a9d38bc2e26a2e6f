//! The cells of a batch, for the forms that are text.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, BinaryArray, ListArray, RecordBatch, StringArray};
use arrow_schema::DataType;

/// A value of one row in one column.
pub(crate) enum Cell<'a> {
    None,
    Bytes(&'a [u8]),
    Text(&'a str),
    Integer(i64),
    Flag(bool),
    /// In milliseconds.
    Time(i64),
    Headers(Headers<'a>),
}

/// The headers of one row.
pub(crate) struct Headers<'a> {
    names: &'a StringArray,
    values: &'a BinaryArray,
    rows: std::ops::Range<usize>,
}

impl<'a> Headers<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let (names, values) = (self.names, self.values);
        self.rows.clone().map(|row| (names.value(row), values.value(row)))
    }
}

/// Returns the names of the columns of a batch, each with its cells.
pub(crate) fn columns(batch: &RecordBatch) -> Vec<(&str, &dyn Array)> {
    let names = batch.schema_ref().fields().iter().map(|field| field.name().as_str());
    names.zip(batch.columns().iter().map(|column| &**column)).collect()
}

/// Returns one cell. A type that no schema of this crate has counts as nothing.
pub(crate) fn cell(column: &dyn Array, row: usize) -> Cell<'_> {
    if column.is_null(row) {
        return Cell::None;
    }
    match column.data_type() {
        DataType::Binary => Cell::Bytes(column.as_binary::<i32>().value(row)),
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row)),
        DataType::Int32 => Cell::Integer(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Boolean => Cell::Flag(column.as_boolean().value(row)),
        DataType::Timestamp(..) => Cell::Time(column.as_primitive::<TimestampMillisecondType>().value(row)),
        DataType::List(_) => headers(column.as_list::<i32>(), row).map_or(Cell::None, Cell::Headers),
        _ => Cell::None,
    }
}

fn headers(lists: &ListArray, row: usize) -> Option<Headers<'_>> {
    let pairs = lists.values().as_struct_opt()?;
    let names = pairs.column(0).as_string_opt::<i32>()?;
    let values = pairs.column(1).as_binary_opt::<i32>()?;
    let bound = |index: usize| usize::try_from(lists.value_offsets()[index]).ok();
    Some(Headers { names, values, rows: bound(row)?..bound(row + 1)? })
}
