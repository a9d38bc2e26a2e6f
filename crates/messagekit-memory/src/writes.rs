//! Pending changes of a transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use messagekit::adapter::Priming;
use messagekit::{Message, MessageId};
use messagekit_topic_store::ClaimWindow;

use super::marker::Marker;
use super::stored_message::{Resolving, StoredMessage};

/// Consumer, topic, partition, key lane.
pub(super) type OffsetKey = (String, Arc<str>, i32, u32);
/// Consumer, topic, partition.
pub(super) type ClaimKey = (String, Arc<str>, i32);

/// Pending changes of a transaction.
#[derive(Default)]
pub(super) struct Writes {
    pub(super) markers: BTreeMap<(String, MessageId), Marker>,
    /// Markers that this transaction claimed as fresh or behind a blocked key.
    pub(super) fresh: BTreeSet<(String, MessageId)>,
    pub(super) offsets: BTreeMap<OffsetKey, i64>,
    pub(super) claims: BTreeMap<ClaimKey, ClaimWindow>,
    /// In their order: each changes what the one before leaves.
    pub(super) primings: Vec<(String, Priming)>,
    pub(super) failed_messages: BTreeMap<i64, StoredMessage>,
    pub(super) resolved: BTreeMap<i64, Resolving>,
    pub(super) cleared: BTreeSet<(String, MessageId)>,
    pub(super) failures: BTreeMap<(MessageId, String), String>,
    pub(super) numbers: BTreeMap<String, i64>,
    pub(super) texts: BTreeMap<String, String>,
    pub(super) outbox: Vec<Message>,
}
