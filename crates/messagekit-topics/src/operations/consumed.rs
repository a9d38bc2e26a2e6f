//! Records as an answer holds them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use messagekit::headers;
use messagekit::log::{Record, RecordClaimId};

/// The header in which a table source says what has happened to the row.
const OPERATION: &str = "op";
/// The header in which it says who did it.
const ACTOR: &str = "actor";

/// The answer to a call for records.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Consumed {
    /// The claim that holds them, if a group asked.
    pub claim: Option<ServedClaim>,
    /// The records; those of a claim are of one partition, in the order of their offsets.
    pub records: Vec<ConsumedRecord>,
    /// Where a reader without a group goes on: each partition that was read, with the next offset.
    pub next: Vec<(i32, i64)>,
    /// There may be more records now.
    pub has_more: bool,
    /// Records that were deleted before the group settled them.
    pub deleted: Vec<DeletedOffsets>,
}

/// A partition, and offsets of it that were deleted before a group settled them.
pub type DeletedOffsets = (i32, Range<i64>);

/// The claim of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedClaim {
    /// Its id.
    pub id: RecordClaimId,
    /// The partition of its records.
    pub partition: i32,
    /// The end of its lease, by the clock of the database.
    pub until: Timestamp,
}

/// A record as any language reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumedRecord {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its bytes.
    pub payload: Bytes,
    /// Its key; bytes that are no UTF-8 are replaced.
    pub key: Option<String>,
    /// When the log stored it.
    pub timestamp: Timestamp,
    /// Who changed the row, if a table source says so.
    pub actor: Option<String>,
    /// What has happened.
    pub operation: RecordOperation,
    /// The id of its event, if it has one.
    pub event_id: Option<String>,
    /// The type of its event, if it has one.
    pub event_type: Option<String>,
    /// The number of this attempt, from 1; 0 for a record that was only read.
    pub attempt: u32,
    /// The free headers, with those of the trace and the links of the event.
    pub headers: BTreeMap<String, String>,
}

impl ConsumedRecord {
    pub(super) fn of(record: Record, attempt: u32) -> Self {
        let timestamp = record.stored_at();
        let Record { message, position, .. } = record;
        let mut free = message.headers.free();
        for (name, value) in message.headers.iter() {
            // A client cannot tell a CloudEvent from other JSON without its content type.
            let is_json = name == headers::CONTENT_TYPE && value == headers::JSON;
            let is_own = is_json || [headers::ID, headers::EVENT_TYPE, headers::FREE_HEADERS].contains(&name);
            if let (false, Ok(value)) = (is_own, std::str::from_utf8(value)) {
                free.insert(name.to_owned(), value.to_owned());
            }
        }
        let text = |name| message.headers.text(name).map(str::to_owned);
        Self {
            topic: message.topic.to_string(),
            partition: position.partition,
            offset: position.offset,
            key: message.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned()),
            timestamp,
            actor: free.remove(ACTOR),
            operation: RecordOperation::of(free.get(OPERATION).map_or("", String::as_str)),
            event_id: text(headers::ID),
            event_type: text(headers::EVENT_TYPE),
            attempt,
            headers: free,
            payload: message.payload,
        }
    }
}

/// What a record tells of a row. A record that no table source has made is an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordOperation {
    /// The row has come.
    Insert,
    /// The row was changed.
    Update,
    /// The row has gone.
    Delete,
    /// The table was emptied at once.
    Truncate,
}

impl RecordOperation {
    fn of(word: &str) -> Self {
        match word {
            "update" => Self::Update,
            "delete" => Self::Delete,
            "truncate" => Self::Truncate,
            _ => Self::Insert,
        }
    }

    /// Returns the word of SQL, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
        }
    }
}

/// As HTTP writes it, with a capital letter.
impl fmt::Display for RecordOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Insert => "Insert",
            Self::Update => "Update",
            Self::Delete => "Delete",
            Self::Truncate => "Truncate",
        })
    }
}
