//! Keys with failed messages that later messages wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

/// A key of a topic, as a consumer reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockedKey {
    pub(super) consumer: String,
    pub(super) topic: Arc<str>,
    pub(super) key: Bytes,
}

/// Partition, offset and number of a failed message.
pub(super) type Turn = (i32, i64, i64);

/// The open parked failed messages of each key, in the order in which they run.
pub(super) type Queues = BTreeMap<BlockedKey, BTreeSet<Turn>>;
