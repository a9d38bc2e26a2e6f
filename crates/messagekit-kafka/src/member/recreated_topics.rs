//! What a member knows of topics that were made again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a member knows of topics that were made again.
#[derive(Default)]
pub(super) struct RecreatedTopics {
    /// The number of ids that were known when they were last compared; `None` if there are new lanes.
    pub(super) compared: Option<u64>,
    /// The id of each topic in which this member has had a position.
    pub(super) read: BTreeMap<Arc<str>, Arc<str>>,
    /// Topics that are read from their start, whatever was known of them.
    pub(super) from_start: BTreeSet<Arc<str>>,
}
