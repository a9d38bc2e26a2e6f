//! The columns of batches.

use std::sync::{Arc, LazyLock, OnceLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use messagekit::headers;
use messagekit::log::Record;

/// The columns of a record: `key`, `value`, `topic`, `partition`, `offset` and `timestamp`.
pub static MESSAGE_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(message_fields())));

/// The columns of the state of a partition, as [`PartitionState`](messagekit::log::PartitionState) names them.
pub static PARTITION_STATE_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("topic", DataType::Utf8, false),
        Field::new("partition", DataType::Int32, false),
        Field::new("replay_start_offset", DataType::Int64, false),
        Field::new("replay_end_offset", DataType::Int64, false),
        Field::new("consumed_offset", DataType::Int64, false),
        Field::new("released_offset", DataType::Int64, false),
        Field::new("last_consumed_timestamp", time(), true),
        Field::new("is_live", DataType::Boolean, false),
        Field::new("is_paused", DataType::Boolean, false),
    ]))
});

/// The name of the time zone of every time.
pub(crate) const ZONE: &str = "UTC";

fn message_fields() -> Vec<Field> {
    vec![
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("topic", DataType::Utf8, false),
        Field::new("partition", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("timestamp", time(), false),
    ]
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some(ZONE.into()))
}

/// Which columns a batch of records has behind the six of [`MESSAGE_SCHEMA`]: none unless asked for.
///
/// ```
/// use messagekit_arrow::Columns;
///
/// let schema = Columns::default().with_event_id().with_headers().schema();
/// let names: Vec<_> = schema.fields().iter().skip(6).map(|field| field.name().as_str()).collect();
/// assert_eq!(names, ["headers", "event_id"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub(crate) has_headers: bool,
    pub(crate) has_event_id: bool,
}

impl Columns {
    /// Adds `headers`: a list of the name and the bytes of each header, in their order. Of a repeated name the last value is there,
    /// with the earlier ones of Kafka in the header `repeatedHeaders`; one without a value is not.
    #[must_use]
    pub fn with_headers(mut self) -> Self {
        self.has_headers = true;
        self
    }

    /// Adds `event_id`: the text of the header `id`, else of `ce_id`, else null. The payload is not read for it.
    #[must_use]
    pub fn with_event_id(mut self) -> Self {
        self.has_event_id = true;
        self
    }

    /// Returns the schema of batches with these columns, which is made once.
    pub fn schema(self) -> SchemaRef {
        static FURTHER: [OnceLock<SchemaRef>; 4] = [const { OnceLock::new() }; 4];
        match (self.has_headers, self.has_event_id) {
            (false, false) => MESSAGE_SCHEMA.clone(),
            (headers, id) => {
                let known = &FURTHER[usize::from(headers) + 2 * usize::from(id)];
                known.get_or_init(|| Arc::new(Schema::new(self.fields()))).clone()
            }
        }
    }

    fn fields(self) -> Vec<Field> {
        let mut fields = message_fields();
        if self.has_headers {
            fields.push(Field::new("headers", DataType::List(HEADER.clone()), false));
        }
        if self.has_event_id {
            fields.push(Field::new("event_id", DataType::Utf8, true));
        }
        fields
    }
}

/// One header in the list of a record.
pub(crate) static HEADER: LazyLock<Arc<Field>> =
    LazyLock::new(|| Arc::new(Field::new("item", DataType::Struct(HEADER_FIELDS.clone()), false)));

/// What a header has.
pub(crate) static HEADER_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("value", DataType::Binary, false),
    ])
});

/// Returns the id of a record's event, as far as its headers say it.
pub(crate) fn event_id(record: &Record) -> Option<&str> {
    let all = &record.message.headers;
    all.text(headers::ID).or_else(|| all.text(headers::CE_ID))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(schema: &Schema) -> Vec<String> {
        let line = |field: &Arc<Field>| {
            let null = if field.is_nullable() { "null" } else { "not null" };
            format!("{} {} {null}", field.name(), field.data_type())
        };
        schema.fields().iter().map(line).collect()
    }

    const MESSAGE: [&str; 6] = [
        "key Binary null",
        "value Binary null",
        "topic Utf8 not null",
        "partition Int32 not null",
        "offset Int64 not null",
        "timestamp Timestamp(ms, \"UTC\") not null",
    ];

    #[test]
    fn a_record_has_the_six_columns_of_its_schema() {
        assert_eq!(printed(&MESSAGE_SCHEMA), MESSAGE);
        assert_eq!(Columns::default().schema(), *MESSAGE_SCHEMA);
    }

    #[test]
    fn a_partition_state_has_the_nine_columns_of_its_schema() {
        let golden = [
            "topic Utf8 not null",
            "partition Int32 not null",
            "replay_start_offset Int64 not null",
            "replay_end_offset Int64 not null",
            "consumed_offset Int64 not null",
            "released_offset Int64 not null",
            "last_consumed_timestamp Timestamp(ms, \"UTC\") null",
            "is_live Boolean not null",
            "is_paused Boolean not null",
        ];
        assert_eq!(printed(&PARTITION_STATE_SCHEMA), golden);
    }

    #[test]
    fn further_columns_stand_behind_the_six() {
        let schema = printed(&Columns::default().with_headers().with_event_id().schema());
        assert_eq!(schema[..6], MESSAGE);
        assert_eq!(schema.len(), 8);
        assert!(schema[6].starts_with("headers List(") && schema[6].ends_with(" not null"), "{}", schema[6]);
        assert_eq!(schema[7], "event_id Utf8 null");
    }
}
