//! How many bytes the columns of records have, before they are made.

use messagekit::log::Record;
use messagekit::{Error, ErrorKind};

use crate::columns::{Columns, event_id};

/// The most bytes that a column may have: Arrow counts them in 32 bits.
pub(crate) const LARGEST: usize = i32::MAX as usize;

/// The bytes of each column of variable width, and the number of headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) keys: usize,
    pub(crate) values: usize,
    pub(crate) topics: usize,
    pub(crate) headers: usize,
    pub(crate) names: usize,
    pub(crate) header_values: usize,
    pub(crate) ids: usize,
}

impl Sizes {
    pub(crate) fn of(records: &[Record], columns: Columns) -> Self {
        records.iter().fold(Self::default(), |sum, record| sum.plus(Self::of_one(record, columns)))
    }

    fn of_one(record: &Record, columns: Columns) -> Self {
        let message = &record.message;
        let mut own = Self {
            keys: message.key.as_ref().map_or(0, |key| key.len()),
            values: if record.is_tombstone { 0 } else { message.payload.len() },
            topics: record.position.topic.len(),
            ..Self::default()
        };
        if columns.has_headers {
            for (name, value) in message.headers.iter() {
                own.headers += 1;
                own.names += name.len();
                own.header_values += value.len();
            }
        }
        if columns.has_event_id {
            own.ids = event_id(record).map_or(0, str::len);
        }
        own
    }

    fn plus(self, other: Self) -> Self {
        Self {
            keys: self.keys + other.keys,
            values: self.values + other.values,
            topics: self.topics + other.topics,
            headers: self.headers + other.headers,
            names: self.names + other.names,
            header_values: self.header_values + other.header_values,
            ids: self.ids + other.ids,
        }
    }

    pub(crate) fn largest(self) -> usize {
        let Self { keys, values, topics, headers, names, header_values, ids } = self;
        [values, topics, headers, names, header_values, ids].into_iter().fold(keys, usize::max)
    }
}

/// Cuts records into parts of which each column has at most so many bytes.
pub(crate) fn parts(records: &[Record], columns: Columns, most: usize) -> Result<Vec<&[Record]>, Error> {
    let mut parts = Vec::with_capacity(1);
    let (mut begin, mut sizes) = (0, Sizes::default());
    for (index, record) in records.iter().enumerate() {
        let own = Sizes::of_one(record, columns);
        if own.largest() > most {
            return Err(too_large(&records[index..=index], own.largest()));
        }
        sizes = sizes.plus(own);
        if sizes.largest() > most {
            parts.push(&records[begin..index]);
            (begin, sizes) = (index, own);
        }
    }
    parts.push(&records[begin..]);
    Ok(parts)
}

pub(crate) fn too_large(records: &[Record], bytes: usize) -> Error {
    let text = "column of a batch would have more than 2 GiB: take fewer records";
    let error = Error::new(ErrorKind::TooLarge, text).with("records", records.len()).with("bytes", bytes);
    match records {
        [record] => error.with("position", &record.position),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use messagekit::{Message, Position};

    use super::*;

    fn record(offset: i64, payload: &'static str) -> Record {
        let message = Message::new("orders", payload).with_header("tenant", "north");
        let position = Position { topic: "orders".into(), partition: 0, offset };
        Record { message, position, timestamp: None, is_tombstone: false }
    }

    #[test]
    fn records_are_cut_where_a_column_would_be_too_large() {
        let records: Vec<_> = (0..7).map(|offset| record(offset, "0123456789")).collect();
        let lengths = |columns: Columns, most: usize| -> Vec<usize> {
            parts(&records, columns, most).unwrap().into_iter().map(<[Record]>::len).collect()
        };
        assert_eq!(lengths(Columns::default(), 70), [7]);
        assert_eq!(lengths(Columns::default(), 69), [6, 1]);
        assert_eq!(lengths(Columns::default(), 10), [1; 7]);
        let wide = record(0, "x");
        let names = [wide.clone(), wide];
        assert_eq!(parts(&names, Columns::default(), 12).unwrap().len(), 1);
        assert_eq!(parts(&names, Columns::default().with_headers(), 11).unwrap().len(), 2);
    }

    #[test]
    fn a_record_that_fits_into_no_batch_is_named() {
        let records = [record(6, "short"), record(7, "much too long")];
        let error = parts(&records, Columns::default(), 8).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let text = error.to_string();
        assert!(text.contains("orders/0/7") && !text.contains("much"), "{text}");
    }
}
