//! State that the faults of record claims keep.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit_topic_store::{ClaimHolder, ClaimWindow};

/// State that the faults of record claims keep.
#[derive(Default)]
pub(super) struct ClaimNotes {
    /// The windows by holder, consumer and topic.
    pub(super) windows: BTreeMap<(ClaimHolder, String, Arc<str>), ClaimWindow>,
    pub(super) ends: BTreeMap<Arc<str>, i64>,
    pub(super) first_time: Option<Timestamp>,
    /// The earliest offset of each topic, as it was read first.
    pub(super) starts: BTreeMap<Arc<str>, i64>,
}
