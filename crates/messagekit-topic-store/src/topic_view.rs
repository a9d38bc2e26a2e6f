//! What a database shows of its topics to any SQL tool.

/// A view over the topics of a database.
///
/// PostgreSQL has them in the schema of the tables, as `system_topics` and so on; a SQLite file as `messagekit_system_topics` and so on.
/// [`TopicDefinitions::view_rows`](super::TopicDefinitions::view_rows) reads them. No view has dropped topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopicView {
    /// `system.topics`: a row for each topic that was defined.
    ///
    /// `retention_seconds` and `retention_unhandled_seconds` are rounded up, and `routes` a list of `table_id` and `op`.
    Topics,
    /// `system.topic_offsets`: a row for each topic, consumer and partition, for consumers that have begun to read the topic.
    ///
    /// `last_acked_offset` is the last one of the settled prefix, or null before offset 0 is settled, and `next_offset` is the end of the
    /// partition. `lag` counts the kept records that the consumer has not settled; what workers have settled by claims out of order is not
    /// in it. A consumer that handles records one by one and has never claimed any has those in it that it handled behind one that it did
    /// not: to tell them from others, [`count_records`](super::RecordReads::count_records) reads every record. Events that wait for an offset
    /// are not counted.
    TopicOffsets,
    /// `system.routes`: a row for each topic, table and kind of change, for every table source.
    Routes,
}

/// A column of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewColumn {
    /// Its name.
    pub name: &'static str,
    /// What its values are; each may also be null.
    pub kind: ViewType,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViewType {
    /// Texts.
    Text,
    /// Whole numbers.
    Integer,
    /// True or false. A SQLite file holds 1 or 0.
    Boolean,
    /// JSON values. A SQLite file holds their text.
    Json,
    /// Times in the form `2026-01-31T12:00:00.000000Z`, whose order is that of the texts. PostgreSQL has a type of its own for them.
    Timestamp,
}

messagekit::adapter::words! {
    ViewType {
        Text: "text",
        Integer: "integer",
        Boolean: "boolean",
        Json: "json",
        Timestamp: "timestamp",
    }
}

const fn column(name: &'static str, kind: ViewType) -> ViewColumn {
    ViewColumn { name, kind }
}

const TOPICS: &[ViewColumn] = &[
    column("topic_id", ViewType::Text),
    column("name", ViewType::Text),
    column("partitions", ViewType::Integer),
    column("retention_seconds", ViewType::Integer),
    column("retention_max_bytes", ViewType::Integer),
    column("retention_consumed", ViewType::Boolean),
    column("retention_unhandled_seconds", ViewType::Integer),
    column("routes", ViewType::Json),
    column("created_at", ViewType::Timestamp),
];

const TOPIC_OFFSETS: &[ViewColumn] = &[
    column("topic_id", ViewType::Text),
    column("group_id", ViewType::Text),
    column("partition_id", ViewType::Integer),
    column("last_acked_offset", ViewType::Integer),
    column("next_offset", ViewType::Integer),
    column("lag", ViewType::Integer),
];

const ROUTES: &[ViewColumn] = &[
    column("topic_id", ViewType::Text),
    column("table_id", ViewType::Text),
    column("op", ViewType::Text),
    column("payload_mode", ViewType::Text),
    column("filter_expr", ViewType::Text),
    column("partition_key_expr", ViewType::Text),
    column("on_failure", ViewType::Text),
];

impl TopicView {
    /// Every view.
    pub const ALL: [Self; 3] = [Self::Topics, Self::TopicOffsets, Self::Routes];

    /// Returns its name with its schema, as statements name it on every database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Topics => "system.topics",
            Self::TopicOffsets => "system.topic_offsets",
            Self::Routes => "system.routes",
        }
    }

    /// Returns its columns, in the order of `*`.
    pub fn columns(self) -> &'static [ViewColumn] {
        match self {
            Self::Topics => TOPICS,
            Self::TopicOffsets => TOPIC_OFFSETS,
            Self::Routes => ROUTES,
        }
    }
}
