//! What a reader says of one partition.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// How far an [`OrderedReader`](super::OrderedReader) is in a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionState {
    /// Its topic.
    #[serde(serialize_with = "text")]
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Where reading began.
    pub replay_start_offset: i64,
    /// Where its past ends: the offset of the next record when the reader was opened.
    pub replay_end_offset: i64,
    /// The offset of the last record that was read; where reading began, as long as there is none.
    pub consumed_offset: i64,
    /// The offset of the last record that was released; where reading began, as long as there is none.
    pub released_offset: i64,
    /// The own time of the last record that was read and had one.
    pub last_consumed_timestamp: Option<Timestamp>,
    /// All of its past is released.
    pub is_live: bool,
    /// It is not read for now.
    pub is_paused: bool,
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
