//! From records to batches.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, Int32Array, Int64Array, ListArray, RecordBatch, StructArray, TimestampMillisecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::ArrowError;
use jiff::Timestamp;
use messagekit::log::Record;
use messagekit::{Error, ErrorKind};

use crate::columns::{Columns, HEADER, HEADER_FIELDS, ZONE, event_id};
use crate::sizes::{LARGEST, Sizes, parts, too_large};

/// Returns records as one batch, a row each, in their order.
///
/// `key` is null where a record has none, `value` for a tombstone. `timestamp` is the record's time, in whole milliseconds; that of a record
/// that has none is what an ordered reader gave it, or else the beginning of 1970. Every column is made in its final size: how often memory
/// is taken does not depend on the number of records.
///
/// # Errors
/// [`ErrorKind::TooLarge`] when the bytes of a column do not fit into 2 GiB, before anything is copied: take fewer records, or
/// [`batches`].
///
/// ```
/// use messagekit_arrow::{Columns, MESSAGE_SCHEMA, batch};
///
/// let empty = batch(&[], Columns::default())?;
/// assert_eq!(empty.schema(), *MESSAGE_SCHEMA);
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn batch(records: &[Record], columns: Columns) -> Result<RecordBatch, Error> {
    let sizes = Sizes::of(records, columns);
    if sizes.largest() > LARGEST {
        return Err(too_large(records, sizes.largest()));
    }
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(8);
    arrays.push(binary(records, sizes.keys, |record| record.message.key.as_deref()));
    arrays.push(binary(records, sizes.values, |record| {
        (!record.is_tombstone).then_some(&*record.message.payload)
    }));
    arrays.push(text(records, sizes.topics, |record| Some(&record.position.topic)));
    arrays
        .push(Arc::new(Int32Array::from_iter_values(records.iter().map(|record| record.position.partition))));
    arrays.push(Arc::new(Int64Array::from_iter_values(records.iter().map(|record| record.position.offset))));
    arrays.push(times(records));
    if columns.has_headers {
        arrays.push(header_lists(records, &sizes).map_err(unfit)?);
    }
    if columns.has_event_id {
        arrays.push(text(records, sizes.ids, event_id));
    }
    RecordBatch::try_new(columns.schema(), arrays).map_err(unfit)
}

/// Returns records as batches, in their order: one, unless the bytes of a column do not fit into 2 GiB.
///
/// # Errors
/// [`ErrorKind::TooLarge`], with its position, for a record that fits into no batch by itself.
///
/// ```
/// use messagekit_arrow::{Columns, batches};
///
/// assert_eq!(batches(&[], Columns::default())?.len(), 1);
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn batches(records: &[Record], columns: Columns) -> Result<Vec<RecordBatch>, Error> {
    parts(records, columns, LARGEST)?.into_iter().map(|part| batch(part, columns)).collect()
}

pub(crate) fn unfit(error: ArrowError) -> Error {
    Error::new(ErrorKind::Other, "rows do not fit their schema").caused_by(error)
}

/// Returns whole milliseconds, rounded down.
pub(crate) fn milliseconds(time: Timestamp) -> i64 {
    time.as_microsecond().div_euclid(1_000)
}

fn binary(records: &[Record], bytes: usize, cell: impl Fn(&Record) -> Option<&[u8]>) -> ArrayRef {
    let mut builder = BinaryBuilder::with_capacity(records.len(), bytes);
    records.iter().for_each(|record| builder.append_option(cell(record)));
    Arc::new(builder.finish())
}

fn text(records: &[Record], bytes: usize, cell: impl Fn(&Record) -> Option<&str>) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(records.len(), bytes);
    records.iter().for_each(|record| builder.append_option(cell(record)));
    Arc::new(builder.finish())
}

fn times(records: &[Record]) -> ArrayRef {
    let times = records.iter().map(|record| milliseconds(record.stored_at()));
    Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone(ZONE))
}

fn header_lists(records: &[Record], sizes: &Sizes) -> Result<ArrayRef, ArrowError> {
    let mut names = StringBuilder::with_capacity(sizes.headers, sizes.names);
    let mut values = BinaryBuilder::with_capacity(sizes.headers, sizes.header_values);
    for (name, value) in records.iter().flat_map(|record| record.message.headers.iter()) {
        names.append_value(name);
        values.append_value(value);
    }
    let columns: Vec<ArrayRef> = vec![Arc::new(names.finish()), Arc::new(values.finish())];
    let pairs = StructArray::try_new(HEADER_FIELDS.clone(), columns, None)?;
    let offsets = OffsetBuffer::from_lengths(records.iter().map(|record| record.message.headers.len()));
    Ok(Arc::new(ListArray::try_new(HEADER.clone(), offsets, Arc::new(pairs), None)?))
}
